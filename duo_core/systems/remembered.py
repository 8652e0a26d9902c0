"""Sweeps that are remembered beside the store: a finished pair is not computed again until something that went into it changes."""

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterable
from math import isnan, nan
from pathlib import Path

import numpy as np
import pandas as pd

from duo_core.common.arrays import KINDS, UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet, tensor_digest
from duo_core.metrics import METRICS
from duo_core.systems import result_files
from duo_core.systems.pair_judging import SINGLE, Memory, Metrics, OnFit, Pair
from duo_core.systems.sweep import COLUMNS, check_judged, on_fit, pairs, sweeps

FOLDER = ".results"
"""In the store; may be deleted at any time."""

DEFINITIONS = 3
"""Raised when the same logits give other numbers than before, so that older results are not shown."""

_ROW = ["base", "sidekick", "split"]

_FIT = ["nll_fit", "accuracy_fit"]
"""What is remembered beside a sweep's rows: NLL and accuracy on the fit split, where the row's variant has one of its own."""

_KEPT = [*COLUMNS, *_FIT, "uncertainty", "key"]
"""Columns of the file."""

_OF = [*_ROW, "variant", "uncertainty"]
"""Which of them say what a row is about."""


def swept(
    logit_set: LogitSet,
    store: Path,
    splits: Iterable[str] | None = None,
    *,
    only: Collection[Pair] | None = None,
    memory: Memory | None = None,
    progress: Callable[[int, int], bool | None] | None = None,
) -> dict[UncertaintyKind, pd.DataFrame]:
    """Return what `sweeps` does, computing only the pairs that are not remembered in the store; then those are, too.

    A pair is known by the digests of its logits and labels, so that a model that was added or replaced costs its own pairs. What
    is computed is computed both ways, as the other way costs little more. A store that cannot be written to gives the same tables
    and remembers nothing. What is remembered of models alone and of the fit split goes into `memory`.
    """
    chosen = list(splits) if splits is not None else logit_set.evaluation_splits
    for split in chosen:
        check_judged(logit_set, split)
    known, memory = _valid(logit_set, store, chosen).drop(columns="key"), memory or Memory()
    _recall(known, memory)
    missing: dict[frozenset[Pair], list[str]] = {}
    wanted = {split: set(only if only is not None else pairs(logit_set, FIT_SPLIT, split, memory=memory)) for split in chosen}
    for split in chosen:
        there = _pairs_of(known[known["split"] == split])
        new = wanted[split] - there
        missing.setdefault(frozenset(new | {pair[::-1] for pair in new} - there), []).append(split)
    computed = [
        _with_fit(table, logit_set, memory).assign(uncertainty=kind)
        for todo, of in missing.items()
        if todo
        for kind, table in sweeps(logit_set, of, only=todo, memory=memory, progress=progress).items()
    ]
    parts = [part for part in (known, *computed) if len(part)]
    table = pd.concat(parts, ignore_index=True) if parts else known
    if any(len(part) for part in computed):
        with contextlib.suppress(OSError):
            _remember(table, logit_set, store)
    asked = np.array([(base, sidekick) in wanted[split] for base, sidekick, split in _named(table)], dtype=bool)
    order = {split: place for place, split in enumerate(chosen)}
    rows = table[asked].sort_values(_ROW, key=lambda c: c.map(order) if c.name == "split" else c, kind="stable")
    return _by_kind(rows)


def recall(logit_set: LogitSet, store: Path, memory: Memory, splits: Iterable[str] | None = None) -> None:
    """Put into the memory what is remembered of models alone, and of the fit split, on the logits and labels that there are now."""
    chosen = list(splits) if splits is not None else logit_set.evaluation_splits
    _recall(_valid(logit_set, store, chosen), memory)


def _by_kind(table: pd.DataFrame) -> dict[UncertaintyKind, pd.DataFrame]:
    return {kind: table.loc[table["uncertainty"] == kind, COLUMNS].reset_index(drop=True) for kind in KINDS}


def _recall(table: pd.DataFrame, memory: Memory) -> None:
    """Put what the table says of models alone, and of the fit split, into the memory."""
    duos = table[table["variant"] == "duo"]
    known_pairs = zip(duos["base"], duos["sidekick"], duos["nll_fit"], strict=True)
    memory.nll_fit.update({(base, sidekick): nll for base, sidekick, nll in known_pairs if base < sidekick})
    found: dict[tuple[str, str], Metrics] = {}
    for role in SINGLE:
        rows = table[table["variant"] == role].drop_duplicates([role, "split", "uncertainty"])
        for model, split, kind, *values in rows[[role, "split", "uncertainty", *METRICS]].itertuples(index=False, name=None):
            known = {key: None if isnan(value) else value for key, value in zip(METRICS, values, strict=True)}
            found.setdefault((model, split), {})[kind] = known
        models = rows.drop_duplicates(role)
        memory.on_fit.update(
            {m: OnFit(*of) for m, *of in models[[role, "accuracy_fit", "nll_fit"]].itertuples(index=False, name=None)}
        )
    memory.judged.update(found)


def _with_fit(table: pd.DataFrame, logit_set: LogitSet, memory: Memory) -> pd.DataFrame:
    """A sweep's rows with what the fit split says of each one's system: a model alone, or the duo."""
    known = on_fit(logit_set, sorted(_pairs_of(table)), memory)
    rows = table[["base", "sidekick"]].merge(known, how="left")
    variant = table["variant"].to_numpy()
    nll, accuracy = np.where(variant == "duo", rows["nll_fit"], nan), np.full(len(table), nan)
    for role in SINGLE:
        nll = np.where(variant == role, rows[f"{role}_nll_fit"], nll)
        accuracy = np.where(variant == role, rows[f"{role}_accuracy_fit"], accuracy)
    return table.assign(nll_fit=nll, accuracy_fit=accuracy)


def _pairs_of(table: pd.DataFrame) -> set[Pair]:
    return set(zip(table["base"].tolist(), table["sidekick"].tolist(), strict=True))


def _named(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Base, sidekick and split of every row."""
    return list(zip(*(table[column].tolist() for column in _ROW), strict=True))


def _valid(logit_set: LogitSet, store: Path, splits: list[str]) -> pd.DataFrame:
    """The rows of the file whose key is that of the pair as it is now."""
    table = result_files.read(_file(logit_set, store), _KEPT, [*COLUMNS[5:], *_FIT])
    table = table[table["split"].isin(splits)]
    return table[_row_keys(table, logit_set) == table["key"]].reset_index(drop=True)


def _remember(table: pd.DataFrame, logit_set: LogitSet, store: Path) -> None:
    """Put the table's rows into the file, beside what another process may have put there."""
    rows = table.assign(key=_row_keys(table, logit_set))
    result_files.add(_file(logit_set, store), rows[_KEPT], lambda: _valid(logit_set, store, list(logit_set.labels)), _OF)


def _row_keys(table: pd.DataFrame, logit_set: LogitSet) -> pd.Series:
    """What each row depends on, as one digest; empty where the set has no such models any more."""
    models: dict[str, dict[str, str]] = {}
    for split in table["split"].unique():
        shared = [str(DEFINITIONS), *(tensor_digest(logit_set.labels[s]) for s in (FIT_SPLIT, split))]
        own = {
            m: [logit_set.digest((m, FIT_SPLIT), (m, split)), str(logit_set.cards[m].multiply_adds)]
            for m in _models(logit_set, split)
        }
        models[split] = {m: "\n".join([*shared, *parts]) for m, parts in own.items()}

    def key(base: str, sidekick: str, split: str) -> str:
        parts = [models.get(split, {}).get(m) for m in (base, sidekick)]
        return "" if None in parts else hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()

    rows = _named(table)
    found = {row: key(*row) for row in set(rows)}
    return pd.Series([found[row] for row in rows], index=table.index, dtype=str)


def _models(logit_set: LogitSet, split: str) -> list[str]:
    return logit_set.models(FIT_SPLIT, split) if FIT_SPLIT in logit_set.labels else []


def _file(logit_set: LogitSet, store: Path) -> Path:
    return store / FOLDER / logit_set.name / "pairs.parquet"
