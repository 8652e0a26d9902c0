"""What is odd about logits that can be used: masked classes, rows of another scale, ties for the first place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duo_core.common.arrays import Booleans, Floats

MASK = 10.0
"""A smallest value that many logits share is a mask where it lies so many times the usual range of a row below all others."""
EXTREME = 50.0
"""Rows whose logits span more than so many times the usual range are of another scale."""

_BLOCK = 1 << 17


@dataclass(frozen=True)
class Oddities:
    """Of one model's logits (n, k)."""

    mask: float | None
    """The value that masked logits have, minus infinity among them; None where there are none."""
    masked: float
    """Share of the logits that are masked."""
    masked_classes: int
    """Classes that are masked in some row."""
    extreme: Booleans
    """Which rows (n,) are of another scale than most."""
    usual: float
    """Median over the rows of the distance from the largest to the smallest logit that is not masked."""
    tied: int
    """Rows in which the largest logit is that of several classes."""


def oddities(logits: Sequence[NDArray[np.floating]]) -> Oddities:
    """Look for what is odd in the logits of one model, given split by split, (n, k) each.

    >>> found = oddities([np.array([[2.0, 1.0, -1e9], [0.0, 3.0, -1e9], [3e5, 0.0, -1e9], [1.0, 1.0, -1e9]])])
    >>> found.mask, found.masked_classes, found.extreme.tolist(), found.tied
    (-1000000000.0, 1, [False, False, True, False], 1)
    """
    lowest = min(float(block.min(where=block > -np.inf, initial=np.inf)) for block in _blocks(logits))
    tops, lows, rests, tied = (np.concatenate(part) for part in zip(*(_of_rows(b, lowest) for b in _blocks(logits)), strict=True))
    spans = tops - rests
    usual = float(np.median(spans[np.isfinite(spans)])) if np.isfinite(spans).any() else 0.0
    gaps = (rests - lowest)[(lows == lowest) & np.isfinite(rests)]
    finite = len(gaps) > 1 and float(np.median(gaps)) > MASK * usual > 0
    masked = sum(((block == -np.inf) | (finite & (block == lowest))).sum(0) for block in _blocks(logits))
    share = float(np.sum(masked)) / sum(array.size for array in logits)
    spans = spans if finite else tops - lows
    return Oddities(
        mask=None if not share else lowest if finite else -np.inf,
        masked=share,
        masked_classes=int(np.count_nonzero(masked)),
        extreme=np.isfinite(spans) & (spans > EXTREME * usual) & (usual > 0),
        usual=usual,
        tied=int(tied.sum()),
    )


def _of_rows(block: Floats, lowest: float) -> tuple[Floats, Floats, Floats, Booleans]:
    """Largest logit of each row, the smallest, the smallest above the lowest of all, and whether several are the largest."""
    top = block.max(1)
    lows, rests = (block.min(1, where=block > floor, initial=np.inf) for floor in (-np.inf, lowest))
    return top, lows, rests, np.asarray((block == top[:, None]).sum(1) > 1)


def _blocks(logits: Sequence[NDArray[np.floating]]) -> Iterator[Floats]:
    """Rows a block at a time in double precision, so that what is computed of them stays small."""
    for array in logits:
        size = max(1, _BLOCK // array.shape[1])
        yield from (array[start : start + size].astype(np.float64) for start in range(0, len(array), size))
