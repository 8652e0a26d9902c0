"""How far a difference between two systems would move with other images, for all pairs of a set at once.

The images are cut into parts at random, and every pair is judged on each part: how much a difference varies from part to part says
how far its mean over all of them is to be trusted (batch means). That costs as much as to judge all pairs once more, where a
bootstrap would cost hundreds of times as much, and it holds pairs together, which err on the same images.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from duo_core.common.arrays import Booleans, Floats, UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.systems.pair_judging import Memory, Pair
from duo_core.systems.remembered import swept
from duo_core.systems.sweep import sweeps

PARTS = 20
"""Of the images; fewer where a part would have fewer than LEAST."""
LEAST = 25
"""Images a part."""
FEWEST = 5
"""Parts from which on something is said."""
DEFINED = 0.8
"""Share of the parts in which a difference must be defined to be trusted."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Pairs judged on parts of a split."""

    tables: dict[UncertaintyKind, pd.DataFrame]
    """Rows of a sweep, with the name of a part as the split; none where there are too few images."""
    images: int
    """In all parts together."""

    @property
    def count(self) -> int:
        """How many parts there are; 0 where there are too few images."""
        return self.tables["softmax"]["split"].nunique() if self.tables else 0


def parts_of(
    own: LogitSet,
    split: str,
    pairs: Collection[Pair],
    *,
    store: Path | None = None,
    memory: Memory | None = None,
    progress: Callable[[int, int], bool | None] | None = None,
) -> Parts:
    """Judge pairs on each part of a split; with a store, what was found before is remembered there.

    What the memory knows of the fit split is used and added to.
    """
    images = len(own.labels[split])
    count = min(PARTS, images // LEAST)
    if count < FEWEST or not pairs:
        return Parts({}, images)
    models = sorted({model for pair in pairs for model in pair})
    cut, memory = cut_set(own, split, models, count), memory or Memory()
    known = Memory(memory.calibrated, memory.fitted, on_fit=memory.on_fit, nll_fit=memory.nll_fit)
    if store is None:
        return Parts(sweeps(cut, only=pairs, memory=known, progress=progress), images)
    return Parts(swept(cut, store, only=pairs, memory=known, progress=progress), images)


def cut_set(own: LogitSet, split: str, models: Collection[str], count: int) -> LogitSet:
    """Some models of the set on the fit split and the parts of a split; every image is in one part, whatever their order is."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(own.labels[split])))
    rows = {f"{split} {at + 1}/{count}": order[at::count].sort().values for at in range(count)}
    known = {key: digest for key, digest in own.digests.items() if key[0] in models}
    digests = {(model, FIT_SPLIT): known[model, FIT_SPLIT] for model in models if (model, FIT_SPLIT) in known}
    digests |= {(model, part): f"{known[model, split]} {part}" for part in rows for model in models if (model, split) in known}
    return replace(
        own,
        name=f"{own.name}/parts",
        labels={FIT_SPLIT: own.labels[FIT_SPLIT], **{part: own.labels[split][at] for part, at in rows.items()}},
        cards={model: own.cards[model] for model in models},
        arrays=_Sliced(own, split, models, rows),
        ids={},
        broken={},
        digests=digests,
    )


class _Sliced(Mapping[tuple[str, str], Tensor]):
    """Logits of the parts, cut out of the whole when they are asked for."""

    def __init__(self, own: LogitSet, split: str, models: Collection[str], rows: Mapping[str, Tensor]) -> None:
        self._own, self._split, self._rows = own, split, rows
        self._keys = {(model, part): None for model in models for part in (FIT_SPLIT, *rows)}

    def __getitem__(self, key: tuple[str, str]) -> Tensor:
        if key not in self._keys:
            raise KeyError(key)
        model, part = key
        return self._own.logits(model, FIT_SPLIT) if part == FIT_SPLIT else self._own.logits(model, self._split)[self._rows[part]]

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def effects(values: Floats) -> tuple[Floats, Booleans]:
    """Return how far each part's value lies from the mean over parts, and which columns may be trusted.

    Parameters
    ----------
    values
        (parts, p); NaN where a part has none.

    Returns
    -------
    effects
        (parts, p), their mean is 0; 0 where a part has no value, the others made up for it.
    trusted
        (p,): at least DEFINED of the parts have a value.
    """
    there = ~np.isnan(values)
    count = there.sum(axis=0)
    mean = np.where(there, values, 0).sum(axis=0) / np.maximum(count, 1)
    spread = np.where(there, values - mean, 0) * np.sqrt(len(values) / np.maximum(count, 1))
    return spread, count >= DEFINED * len(values)


def standard_error(effects: Floats) -> Floats:
    """Standard error of the mean over parts, (p,), from (parts, p) effects."""
    found: Floats = np.sqrt((effects**2).sum(axis=0) / (len(effects) * (len(effects) - 1)))
    return found


def steps(parts: int, replicates: int, seed: int) -> Floats:
    """Return what each draw takes of each part's effects, (replicates, parts): their sum moves a mean as other images would.

    The sums follow Student's t of one degree less than there are parts, times the standard error; columns keep their correlations.
    """
    random = np.random.default_rng(seed)
    normal = random.standard_normal((replicates, parts)) / np.sqrt(parts * (parts - 1))
    return np.asarray(normal / np.sqrt(random.chisquare(parts - 1, (replicates, 1)) / (parts - 1)))
