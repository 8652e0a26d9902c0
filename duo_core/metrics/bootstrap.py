"""Metrics on draws of the images with replacement: a draw is a count for each image.

Images are sorted once, and those between which no metric tells a difference share a cell: a draw then costs one pass over the
images and one over the cells' bounds. Images of equal uncertainty stay together as in `metrics`.
The loops are compiled and run without Python's lock, so threads share the draws.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from duo_core.common.arrays import Floats, InputError, Integers, Predictions, same_length
from duo_core.common.compiling import njit
from duo_core.common.parallel import over_blocks
from duo_core.metrics.definitions import ECE_BINS, METRICS, SAC_TARGET, as_bits

_AT_ONCE = 1 << 10
_STEP = np.uint64(0x9E3779B97F4A7C15)
"""Of SplitMix64: random numbers made at once, and how far apart their states are."""

_COUNT = np.uint8
"""How often an image is drawn: 256 times in fewer than one of 1e500 draws. Narrow, so that a draw stays next to the processor."""

_IMAGES = 1 << 19
"""Images drawn in one go by a thread, which takes about a millisecond."""


def metrics_on_draws(systems: Sequence[Predictions], keys: Sequence[str], replicates: int, seed: int) -> Floats:
    """Metrics of m systems on the same draws of the same images, (m, replicates, keys); NaN where undefined.

    Draw r takes image i as often as `counts(n, replicates, seed)[r, i]` says, whatever the number of cores.
    """
    if replicates < 1:
        raise InputError(f"expected at least one replicate, got {replicates}")
    chosen, passes = _chosen(keys)
    n = len(systems[0])
    columns = _columns(systems, n)

    def block(rows: slice) -> Floats:
        out = np.empty((len(systems), rows.stop - rows.start, len(_KEYS)))
        _judge_draws(columns, np.uint64(seed), rows.start, passes, out)
        return out

    return np.concatenate(over_blocks(block, replicates, max(1, _IMAGES // n)), axis=1)[:, :, chosen]


def counts(n: int, replicates: int, seed: int = 0) -> Integers:
    """How often each draw takes each of n images, (replicates, n); every row sums to n.

    >>> counts(4, 2, seed=0).sum(axis=1)
    array([4, 4])
    """
    drawn = np.empty((replicates, n), _COUNT)
    for replicate, row in enumerate(drawn):
        _draw(row, np.uint64(seed), replicate)
    return drawn.astype(np.int64)


def sums_on_draws(columns: Floats, replicates: int, seed: int) -> Floats:
    """Sums of c columns of numbers an image, (c, n), over the same draws as `metrics_on_draws` has, (replicates, c).

    Whole numbers below 2**53 are added exactly.

    >>> sums_on_draws(np.ones((1, 4)), replicates=2, seed=0).tolist()
    [[4.0], [4.0]]
    """
    if replicates < 1:
        raise InputError(f"expected at least one replicate, got {replicates}")
    n = columns.shape[1]
    by_image = np.ascontiguousarray(columns.T, dtype=np.float64)

    def block(rows: slice) -> Floats:
        out = np.zeros((rows.stop - rows.start, by_image.shape[1]))
        _sum_draws(by_image, np.uint64(seed), rows.start, out)
        return out

    return np.concatenate(over_blocks(block, replicates, max(1, _IMAGES // n)))


def weighted_metrics(predictions: Predictions, taken: Integers, keys: Sequence[str] = tuple(METRICS)) -> dict[str, float | None]:
    """Metrics of the predictions with image i taken so many times, (n,), not all 0; None where one is undefined."""
    same_length(predictions=len(predictions), taken=len(taken))
    chosen, passes = _chosen(keys)
    out = np.empty((1, len(_KEYS)))
    before = np.empty(len(taken) + 1, np.int32)
    _judge(_columns([predictions], int(taken.sum())), taken.astype(np.int32), before, passes, out)
    return {key: None if np.isnan(value) else float(value) for key, value in zip(keys, out[0, chosen], strict=True)}


class _Columns(NamedTuple):
    """What a draw reads of m systems and n images. Narrow types, so that a draw stays in a core's cache."""

    images: NDArray[np.uint32]  # (m, n) by label and predicted class, see `_confusion`
    cells: NDArray[np.int32]  # (c, 4) of all systems' confusion matrices, one after the other
    cells_of: Integers  # (m + 1,) where those of each system begin, and the end
    nll: Floats
    brier: Floats
    gap: Floats  # 1 if right, less the confidence
    bin: NDArray[np.uint8]  # of the confidence, for the ECE
    order: NDArray[np.uint32]  # (m, n) images by uncertainty, see `_ranked`
    bounds: NDArray[np.uint32]  # of the cells that these are cut into, of all systems one after the other
    bounds_of: Integers  # (m + 1,)
    harmonic: float  # H(n), the sum of 1/i over i = 1..n, of n images drawn
    sums: Floats  # H(0) + ... + H(j - 1), for j = 0..n


def _columns(systems: Sequence[Predictions], drawn: int) -> _Columns:
    if not len(systems[0]):
        raise InputError("expected at least one image, got none")
    edges = np.linspace(0, 1, ECE_BINS + 1)
    bins = [np.clip(np.searchsorted(edges, one.confidence) - 1, 0, ECE_BINS - 1) for one in systems]
    harmonic = np.append(0, np.cumsum(1 / np.arange(1, drawn + 1)))
    order, bounds = zip(*(_ranked(one) for one in systems), strict=True)
    images, cells = zip(*(_confusion(one) for one in systems), strict=True)
    return _Columns(
        images=np.array(images, np.uint32),
        cells=np.concatenate(cells),
        cells_of=_ends(cells),
        nll=np.array([one.nll for one in systems]),
        brier=np.array([one.brier for one in systems]),
        gap=np.array([one.correct - one.confidence for one in systems]),
        bin=np.array(bins, np.uint8),
        order=np.array(order, np.uint32),
        bounds=np.concatenate(bounds),
        bounds_of=_ends(bounds),
        harmonic=float(harmonic[-1]),
        sums=np.append(0, np.cumsum(harmonic[:-1])),
    )


def _ends(parts: Sequence[NDArray[Any]]) -> Integers:
    """Where each of some arrays begins when they lie one after the other, and the end of all."""
    return np.append(0, np.cumsum([len(part) for part in parts]))


def _confusion(system: Predictions) -> tuple[Integers, NDArray[np.int32]]:
    """The images by label and predicted class, (n,), and the cells with any, (c, 4): first image, the next cell's, label, class."""
    cell = system.labels * (int(system.predicted.max()) + 1) + system.predicted
    order = np.argsort(cell, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(cell[order]) != 0))
    first = order[starts]
    cells = [starts, np.append(starts[1:], len(order)), system.labels[first], system.predicted[first]]
    return order, np.stack(cells, axis=1).astype(np.int32)


def _ranked(system: Predictions) -> tuple[Integers, NDArray[np.uint32]]:
    """The images from sure to unsure, (n,), and the bounds of the cells between which metrics tell a difference, (3b + 4,).

    The b blocks of equal uncertainty that have wrong images cut the ranking; cell 3j holds the right images before the j-th such
    block, 3j + 1 the right ones within it and 3j + 2 its wrong ones. Cell 3b holds the right images after the last; two empty
    ones follow.
    """
    bits = as_bits(system.uncertainty)
    order = np.argsort((bits << 1) | ~system.correct)
    ranked, wrong = bits[order], ~system.correct[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    ends = np.append(starts[1:], len(order))
    errors = np.add.reduceat(wrong.astype(np.int64), starts)
    cut = errors > 0
    bounds = np.stack([starts[cut], (ends - errors)[cut], ends[cut]], axis=1).ravel()
    return order, np.concatenate([[0], bounds, [len(order)] * 3]).astype(np.uint32)


_PASSES = (("nll", "brier"), ("ece",), ("macro_f1",), ("accuracy", "auroc", "aurc", "sac98"))
"""Metrics that come from one pass over the images; a pass that no key asks for is left out."""
_KEYS = tuple(key for metrics in _PASSES for key in metrics)
_TARGET = Fraction(str(SAC_TARGET))
_NUMERATOR, _DENOMINATOR = _TARGET.numerator, _TARGET.denominator


def _chosen(keys: Sequence[str]) -> tuple[list[int], tuple[bool, ...]]:
    """Columns of the keys among _KEYS, and which passes give them."""
    unknown = [key for key in keys if key not in _KEYS]
    if unknown:
        raise InputError(f"expected metrics among {', '.join(METRICS)}, got {', '.join(unknown)}")
    return [_KEYS.index(key) for key in keys], tuple(bool({*metrics} & {*keys}) for metrics in _PASSES)


@njit(nogil=True, cache=True)
def _judge_draws(columns: _Columns, seed: np.uint64, first: int, passes: tuple[bool, ...], out: Floats) -> None:
    """Judge draws first, first + 1, ... into out (m, draws, _KEYS)."""
    taken = np.empty(columns.order.shape[1], _COUNT)
    before = np.empty(len(taken) + 1, np.int32)  # once for all draws, as the system's fresh pages cost more than a pass over it
    for row in range(out.shape[1]):
        _draw(taken, seed, first + row)
        _judge(columns, taken, before, passes, out[:, row])


@njit(nogil=True, cache=True)
def _sum_draws(by_image: Floats, seed: np.uint64, first: int, out: Floats) -> None:
    """Add the columns of by_image (n, c) over draws first, first + 1, ... to out (draws, c)."""
    taken = np.empty(len(by_image), _COUNT)
    for row in range(len(out)):
        _draw(taken, seed, first + row)
        for image, count in enumerate(taken):
            for column in range(by_image.shape[1]):
                out[row, column] += count * by_image[image, column]


@njit(nogil=True, cache=True)
def _draw(taken: NDArray[np.uint8], seed: np.uint64, replicate: int) -> None:
    """Draw n of n images: SplitMix64 from a start of the replicate's own, each image equally likely (Lemire 2019).

    Numbers are made many at a time, which processors do in one instruction. All is unsigned: of a signed and an unsigned integer
    numba makes a float.
    """
    taken[:] = 0
    n, low, half = np.uint64(len(taken)), np.uint64(0xFFFFFFFF), np.uint64(32)
    rejected = (low + np.uint64(1)) % n
    made = np.empty(_AT_ONCE, np.uint64)
    state, drawn = _mixed(_mixed(seed) + np.uint64(replicate)), 0
    while drawn < len(taken):
        for i in range(_AT_ONCE):
            made[i] = (_mixed(state + np.uint64(i + 1) * _STEP) >> half) * n
        state += np.uint64(_AT_ONCE) * _STEP
        for i in range(min(_AT_ONCE, len(taken) - drawn)):
            if (made[i] & low) >= rejected:
                taken[made[i] >> half] += 1
                drawn += 1


@njit(nogil=True, cache=True)
def _mixed(state: np.uint64) -> np.uint64:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@njit(nogil=True, cache=True)
def _judge(columns: _Columns, taken: NDArray[Any], before: NDArray[np.int32], passes: tuple[bool, ...], out: Floats) -> None:
    """Metrics of every system with the images taken as often as counted, into out (m, _KEYS); `before` is overwritten."""
    for m in range(len(out)):
        row = out[m]
        if passes[0]:
            row[0], row[1] = _means(columns.nll[m], columns.brier[m], taken)
        if passes[1]:
            row[2] = _calibration(columns.gap[m], columns.bin[m], taken)
        if passes[2]:
            _count_before(columns.images[m], taken, before)
            row[3] = _macro_f1(columns.cells[columns.cells_of[m] : columns.cells_of[m + 1]], before)
        if passes[3]:
            _count_before(columns.order[m], taken, before)
            bounds = columns.bounds[columns.bounds_of[m] : columns.bounds_of[m + 1]]
            row[4], row[5], row[6], row[7] = _ranking(bounds, columns.harmonic, columns.sums, before)


@njit(nogil=True, cache=True)
def _means(nll, brier, taken):  # type: ignore[no-untyped-def]
    """NLL and Brier score."""
    n = 0
    nll_sum = brier_sum = 0.0
    for image, count in enumerate(taken):
        n += count
        nll_sum += count * nll[image]
        brier_sum += count * brier[image]
    return nll_sum / n, brier_sum / n


@njit(nogil=True, cache=True)
def _calibration(gap, bins, taken):  # type: ignore[no-untyped-def]
    """The ECE."""
    n, gaps = 0, np.zeros(ECE_BINS)
    for image, count in enumerate(taken):
        n += count
        gaps[bins[image]] += count * gap[image]
    return np.abs(gaps).sum() / n


@njit(nogil=True, cache=True)
def _macro_f1(cells, before):  # type: ignore[no-untyped-def]
    """Macro F1 from the images in each cell of the confusion matrix."""
    k = cells[:, 2:].max() + 1
    hits, sums = np.zeros(k, np.int64), np.zeros(k, np.int64)
    for start, end, label, said in cells:
        count = before[end] - before[start]
        sums[label] += count
        sums[said] += count
        if label == said:
            hits[label] += count
    total, classes = 0.0, 0
    for c in range(k):
        if sums[c]:
            total += 2 * hits[c] / sums[c]
            classes += 1
    return total / classes


@njit(nogil=True, cache=True)
def _count_before(order, taken, before):  # type: ignore[no-untyped-def]
    """Images drawn of those before each place of an order (n,), and of all, into before (n + 1,)."""
    total = 0
    for place in range(len(order)):
        before[place] = total
        total += taken[order[place]]
    before[-1] = total


@njit(nogil=True, cache=True)
def _ranking(bounds, harmonic, sums, before):  # type: ignore[no-untyped-def]
    """Accuracy, AUROC, AURC and SAC@98 from the images in each cell of the ranking; a block of equal uncertainty shares its errors.

    A wrong image at rank r is among the errors of every coverage from r on and so adds H(n) - H(r - 1) to the sum of all risks; a
    block of c images with e errors, whose ranks these share evenly, adds e H(n) - e/c times the sum of H over the ranks before.
    Among right images the accuracy only grows, so that SAC@98 is found before a block with errors or at the end.
    """
    errors = reached = pairs = 0
    area, total = 0.0, before[-1]
    for at in range(1, len(bounds), 3):
        start, end = before[bounds[at]], before[bounds[at + 2]]
        if (start - errors) * _DENOMINATOR >= _NUMERATOR * start:
            reached = start
        wrong, share = end - start, 1.0
        if bounds[at] < bounds[at + 1]:  # right ones among them
            wrong = end - before[bounds[at + 1]]
            share = wrong / max(end - start, 1)
        area -= share * (sums[end] - sums[start])
        pairs += wrong * (2 * (start - errors) + end - start - wrong)
        errors += wrong
    area += errors * harmonic
    mixed = errors * (total - errors)
    return 1 - errors / total, pairs / 2 / mixed if mixed else np.nan, area / total, reached / total
