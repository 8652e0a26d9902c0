"""Judged systems that are remembered beside the store: one is not judged again until something that went into it changes."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from math import isnan, nan
from pathlib import Path
from typing import Any

import pandas as pd

from duo_core.common.arrays import UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet, tensor_digest
from duo_core.metrics import METRICS
from duo_core.systems import remembered, result_files
from duo_core.systems.enumeration import Result, Results, results
from duo_core.systems.pair_judging import Memory, Metrics, Pair
from duo_core.systems.sweep import check_judged
from duo_core.systems.system import RULES, System

_OF = ["members", "rule", "says", "split"]
"""Columns that say what a row is about; `says` is -1 where the class is the system's own."""

_RANKED = [key for key, metric in METRICS.items() if metric.ranks]
_NUMBERS: dict[UncertaintyKind, dict[str, str]] = {
    "softmax": {key: key for key in METRICS},
    "entropy": {key: f"{key}_entropy" if key in _RANKED else key for key in METRICS},
}
"""Where the metrics stand by uncertainty: those that rank no images are the same by either."""

_FIT = ["weights", "alone", "nll_fit", "temperature", "separated"]
_VALUES = [*METRICS, *(f"{key}_entropy" for key in _RANKED)]
_KEPT = [*_OF, *_VALUES, *_FIT, "key"]
"""Columns of the file."""

_BETWEEN = " + "
"""Stands between the names of members, in which a store allows no blank."""


def swept_systems(
    logit_set: LogitSet,
    store: Path,
    systems: Sequence[System],
    splits: Sequence[str],
    *,
    memory: Memory | None = None,
    progress: Callable[[int, int], bool | None] | None = None,
) -> Results:
    """Return what `results` does, computing only what is not remembered in the store; then that is, too.

    A system is known by the digests of its members' logits and of the labels, on the fit split and on the one that it is judged on,
    so that a model that was added or replaced costs its own systems. A file that cannot be read is as good as none, and a store
    that cannot be written to gives the same results and remembers nothing. What is known of duos' fits goes into `memory`.
    """
    for split in splits:
        check_judged(logit_set, split)
    asked, memory = set(systems), memory or Memory()
    known = _results(_valid(logit_set, store, splits), asked)
    missing: dict[tuple[System, ...], list[str]] = {}
    for split in splits:
        new = tuple(system for system in systems if system not in known or split not in known[system].judged)
        missing.setdefault(new, []).append(split)
    for todo, of in missing.items():
        computed = results(logit_set, todo, of, memory=memory, progress=progress) if todo else {}
        if computed:
            with contextlib.suppress(OSError):
                _remember(computed, logit_set, store)
        for system, result in computed.items():
            before = known[system].judged if system in known else {}
            known[system] = result
            known[system].judged.update({**before, **result.judged})
    memory.nll_fit.update(_of_duos(known))
    return {system: known[system] for system in systems if system in known}


def _of_duos(known: Results) -> dict[Pair, float]:
    """NLL on the fit split of those systems that are duos, under the names that `Memory` has for pairs."""
    duos = ((system, result) for system, result in known.items() if (system.m, system.rule, system.says) == (2, "fitted", None))
    return {(min(system.members), max(system.members)): result.nll_fit for system, result in duos}


def swept_or_judged(
    logit_set: LogitSet,
    systems: Sequence[System],
    split: str,
    store: Path | None,
    memory: Memory | None = None,
    progress: Callable[[int, int], bool | None] | None = None,
) -> Results:
    """Systems judged on a split; with a store, what was found before is remembered there."""
    if store is None:
        return results(logit_set, systems, [split], memory=memory, progress=progress)
    return swept_systems(logit_set, store, systems, [split], memory=memory, progress=progress)


def _results(table: pd.DataFrame, asked: Collection[System]) -> Results:
    """What the rows say of the systems that are asked for."""
    found = Results()
    names = {system.members: _BETWEEN.join(system.members) for system in asked}
    members = {text: of for of, text in names.items()}
    of_rows = table[table["members"].isin(list(members))]
    for row in of_rows.to_dict("records"):
        system = System(members[row["members"]], row["rule"], None if row["says"] < 0 else int(row["says"]))
        if system in asked:
            if system not in found:
                found[system] = _result(row)
            found[system].judged[row["split"]] = _metrics(row)
    return found


def _result(row: Mapping[str, Any]) -> Result:
    weights, alone = (tuple(json.loads(row[column])) for column in ("weights", "alone"))
    return Result(weights, alone, row["nll_fit"], None if isnan(row["temperature"]) else row["temperature"], bool(row["separated"]))


def _metrics(row: Mapping[str, Any]) -> Metrics:
    return {
        kind: {key: None if isnan(row[column]) else row[column] for key, column in columns.items()}
        for kind, columns in _NUMBERS.items()
    }


def _rows(found: Results) -> pd.DataFrame:
    rows = [
        {
            "members": _BETWEEN.join(system.members),
            "rule": system.rule,
            "says": -1 if system.says is None else system.says,
            "split": split,
            **{column: values[kind][key] for kind, columns in _NUMBERS.items() for key, column in columns.items()},
            "weights": json.dumps(result.weights),
            "alone": json.dumps(result.alone),
            "nll_fit": result.nll_fit,
            "temperature": nan if result.temperature is None else result.temperature,
            "separated": result.separated,
        }
        for system, result in found.items()
        for split, values in result.judged.items()
    ]
    return pd.DataFrame(rows, columns=_KEPT[:-1]).astype(dict.fromkeys([*_VALUES, "nll_fit", "temperature"], float))


def _valid(logit_set: LogitSet, store: Path, splits: Sequence[str]) -> pd.DataFrame:
    """The rows of the file whose key is that of the system as it is now."""
    table = result_files.read(_file(logit_set, store), _KEPT, _VALUES)
    table = table[table["split"].isin(list(splits)) & table["rule"].isin(list(RULES))]
    return table[_keys(table, logit_set) == table["key"]].reset_index(drop=True)


def _remember(found: Results, logit_set: LogitSet, store: Path) -> None:
    """Put results into the file, beside what another process may have put there."""
    rows = _rows(found)
    rows = rows.assign(key=_keys(rows, logit_set))
    result_files.add(_file(logit_set, store), rows, lambda: _valid(logit_set, store, list(logit_set.labels)), _OF)


def _keys(table: pd.DataFrame, logit_set: LogitSet) -> pd.Series:
    """What each row depends on, as one digest; empty where the set has no such models any more."""
    of_models: dict[str, dict[str, str]] = {}
    shared: dict[str, str] = {}
    for split in table["split"].unique():
        whole = logit_set.models(FIT_SPLIT, split) if {FIT_SPLIT, split} <= set(logit_set.labels) else []
        of_models[split] = {model: f"{model} {logit_set.digest((model, FIT_SPLIT), (model, split))}" for model in whole}
        digests = [tensor_digest(logit_set.labels[s]) for s in (FIT_SPLIT, split)] if whole else []
        shared[split] = "\n".join([str(remembered.DEFINITIONS), *digests])

    def key(members: str, split: str) -> str:
        parts = [of_models[split].get(member) for member in members.split(_BETWEEN)]
        return "" if None in parts else hashlib.sha256("\n".join([shared[split], *map(str, parts)]).encode()).hexdigest()

    rows = list(zip(table["members"], table["split"], strict=True))
    known = {row: key(*row) for row in set(rows)}
    return pd.Series([known[row] for row in rows], index=table.index, dtype=str)


def _file(logit_set: LogitSet, store: Path) -> Path:
    return store / remembered.FOLDER / logit_set.name / "systems.parquet"
