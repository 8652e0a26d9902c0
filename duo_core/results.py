"""Sweeps that are remembered beside the store: a finished pair is not computed again until something that went into it changes."""

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from duo_core.arrays import UncertaintyKind
from duo_core.files import locked, replaced
from duo_core.logits import FIT_SPLIT, LogitSet, tensor_digest
from duo_core.pairing import Pair
from duo_core.sweep import COLUMNS, pairs, sweep

FOLDER = ".results"
"""In the store; may be deleted at any time."""

DEFINITIONS = 1
"""Raised when the same logits give other numbers than before, so that older results are not shown."""

_ROW = ["base", "sidekick", "split"]


def swept(
    logit_set: LogitSet,
    store: Path,
    splits: Iterable[str] | None = None,
    *,
    kind: UncertaintyKind = "softmax",
    progress: Callable[[int, int], bool | None] | None = None,
) -> pd.DataFrame:
    """Return what `sweep` does, computing only the pairs that are not remembered in the store; then those are, too.

    A pair is known by the digests of its logits and labels, so that a model that was added or replaced costs its own pairs. A
    store that cannot be written to gives the same table and remembers nothing.
    """
    chosen = list(splits) if splits is not None else logit_set.evaluation_splits
    known = remembered(logit_set, store, chosen, kind=kind)
    missing: dict[frozenset[Pair], list[str]] = {}
    for split in chosen:
        have = known[known["split"] == split]
        todo = frozenset(pairs(logit_set, FIT_SPLIT, split)) - set(zip(have["base"], have["sidekick"], strict=True))
        missing.setdefault(todo, []).append(split)
    new = [sweep(logit_set, of, kind=kind, only=todo, progress=progress) for todo, of in missing.items() if todo]
    parts = [part for part in (known, *new) if len(part)]
    table = pd.concat(parts, ignore_index=True) if parts else known
    if any(len(part) for part in new):
        with contextlib.suppress(OSError):
            _remember(table, logit_set, store, kind)
    order = {split: place for place, split in enumerate(chosen)}
    return table.sort_values(_ROW, key=lambda c: c.map(order) if c.name == "split" else c, kind="stable", ignore_index=True)


def remembered(
    logit_set: LogitSet, store: Path, splits: Iterable[str] | None = None, *, kind: UncertaintyKind = "softmax"
) -> pd.DataFrame:
    """Return the rows of pairs that were evaluated on exactly the logits and labels that the set holds now."""
    chosen = list(splits) if splits is not None else logit_set.evaluation_splits
    return _valid(logit_set, store, chosen, kind)[COLUMNS]


def _valid(logit_set: LogitSet, store: Path, splits: list[str], kind: UncertaintyKind) -> pd.DataFrame:
    """The rows of the file whose key is that of the pair as it is now."""
    try:
        table = pd.read_parquet(_file(logit_set, store, kind))
    except (OSError, ValueError):  # not there, or not a table: as good as not there
        return pd.DataFrame(columns=[*COLUMNS, "key"]).astype(dict.fromkeys(COLUMNS[5:], float))
    keys = {(*pair, split): key for split in splits for pair, key in _keys(logit_set, split, kind).items()}
    good = [keys.get(tuple(row)) == key for *row, key in zip(*(table[c] for c in (*_ROW, "key")), strict=True)]
    return table[good].reset_index(drop=True)


def _remember(table: pd.DataFrame, logit_set: LogitSet, store: Path, kind: UncertaintyKind) -> None:
    """Put the table's rows into the file, beside what another process may have put there of other splits."""
    file = _file(logit_set, store, kind)
    file.parent.mkdir(parents=True, exist_ok=True)
    splits = list(dict.fromkeys(table["split"]))
    keys = {(*pair, split): key for split in splits for pair, key in _keys(logit_set, split, kind).items()}
    keyed = table.assign(key=[keys[row] for row in zip(*(table[c] for c in _ROW), strict=True)])
    with locked(file.parent):
        others = _valid(logit_set, store, [s for s in logit_set.evaluation_splits if s not in splits], kind)
        with replaced(file) as beside:
            pd.concat([keyed, others], ignore_index=True).to_parquet(beside, index=False)


def _keys(logit_set: LogitSet, split: str, kind: UncertaintyKind) -> dict[Pair, str]:
    """What a pair's rows on a split depend on, as one digest."""
    labels = [tensor_digest(logit_set.labels[s]) for s in (FIT_SPLIT, split)] if FIT_SPLIT in logit_set.labels else []
    models = {m: logit_set.digest((m, FIT_SPLIT), (m, split)) for m in logit_set.models(FIT_SPLIT, split)}
    costs = {m: str(logit_set.cards[m].multiply_adds) for m in models}
    return {
        pair: hashlib.sha256(
            "\n".join([str(DEFINITIONS), kind, *labels, *(models[m] for m in pair), *(costs[m] for m in pair)]).encode()
        ).hexdigest()
        for pair in pairs(logit_set, FIT_SPLIT, split)
    }


def _file(logit_set: LogitSet, store: Path, kind: UncertaintyKind) -> Path:
    return store / FOLDER / logit_set.name / f"{kind}.parquet"
