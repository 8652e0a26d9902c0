"""The only place where logits (n, k) become a few numbers an image (n,)."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duo_core.common.arrays import Floats, InputError, Integers, Predictions, UncertaintyKind, same_length
from duo_core.common.parallel import cores, over_blocks
from duo_core.systems import pair_loops
from duo_core.systems.duo import VARIANTS, Fit, Temperatures

WIDE = 128
"""Up to so many classes sums are double precision; with more, single, each relative to the predicted class.

Single precision errs by about 1e-7 times the distance between the logits that matter: less than 1e-6 of what is reported."""

_ELEMENTS = 1 << 20
"""Logits a block, all models together; a row of all of them lies in a core's own cache while every pair is read from it."""

_BLOCKS, _ROWS = 8, 512
"""At least so many blocks, each of at least so many rows, so that all cores have work to the end."""

_UNTHREADED = 1 << 15
"""Up to so many elements, torch runs an operator on the calling core and waits for no thread of its own."""


class _Scratch:
    """Memory that is used again for the next block: fresh pages from the system cost more than what is done with them."""

    def __init__(self) -> None:
        self._memory: dict[str, NDArray[np.uint8]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array of whatever values; good until the name is asked for again."""
        size = math.prod(shape) * dtype.itemsize
        if name not in self._memory or len(self._memory[name]) < size:
            self._memory[name] = np.empty(size, dtype=np.uint8)
        return self._memory[name][:size].view(dtype).reshape(shape)


_FREE: list[_Scratch] = []


@contextmanager
def _scratch() -> Iterator[_Scratch]:
    """Memory that nobody else uses meanwhile; as much is kept as there are cores."""
    try:
        own = _FREE.pop()
    except IndexError:
        own = _Scratch()
    try:
        yield own
    finally:
        if len(_FREE) < cores():
            _FREE.append(own)


class Job(NamedTuple):
    """One weighting of two of several models."""

    first: int
    second: int
    temperatures: Temperatures


class Reduced(NamedTuple):
    """What is left of a block of b rows: by job `predicted` int32 (jobs, b) and `columns` float64 (pair_loops.COLUMNS, jobs, b);
    `own` int32 (m, b) the class that each model predicts by itself."""

    predicted: NDArray[np.int32]
    columns: Floats
    own: NDArray[np.int32]


def variant_predictions(
    base: Tensor,
    sidekick: Tensor,
    labels: Tensor,
    fit: Fit,
    *,
    variants: Collection[str] = tuple(VARIANTS),
    kind: UncertaintyKind = "softmax",
    known: Mapping[str, Predictions] | None = None,
) -> dict[str, Predictions]:
    """Return what each variant predicts and how sure it is (paper Sec. 3.1).

    Parameters
    ----------
    base, sidekick
        Logits (n, k), any floating dtype.
    labels
        int64 (n,).
    fit
        Temperatures found on the fit split.
    variants
        Keys of VARIANTS.
    kind
        Which uncertainty ranks the images: 1 - max softmax, or entropy.
    known
        Variants that were predicted before, with the same fit.
    """
    there = {key: predictions.ranked_by(kind) for key, predictions in (known or {}).items()}
    jobs = {key: _job(VARIANTS[key].weights(fit), VARIANTS[key].classes) for key in variants if key not in there}
    found = _weighted(base, sidekick, labels, list(dict.fromkeys(jobs.values())))
    new = {key: found(job, VARIANTS[key].classes, kind) for key, job in jobs.items()}
    return {key: there[key] if key in there else new[key] for key in variants}


def pair_predictions(
    base: Tensor,
    sidekick: Tensor,
    labels: Tensor,
    temperatures: Temperatures,
    *,
    classes: str = "combined",
    kind: UncertaintyKind = "softmax",
) -> Predictions:
    """Reduce one weighting of two models' logits to Predictions.

    `classes` says whose largest logit is the predicted class: that of the `combined` logits, of the `base` or of the `sidekick`.
    Confidence and uncertainty are those of that class under the combined distribution. Of tied logits the lowest class wins.

    >>> one = torch.tensor([[2.0, 0.0]])
    >>> p = pair_predictions(one, one, torch.tensor([0]), Temperatures(0.5, 0.5))
    >>> p.predicted.tolist(), round(p.confidence.item(), 4), round(p.nll.item(), 4)
    ([0], 0.8808, 0.1269)
    """
    job = _job(temperatures, classes)
    return _weighted(base, sidekick, labels, [job])(job, classes, kind)


def _job(temperatures: Temperatures, classes: str) -> Job:
    """The weighting of both models; of one alone where the other has no weight and no say, so that its masks count for nothing."""
    at, weight = {"base": (0, temperatures.base), "sidekick": (1, temperatures.sidekick)}.get(classes, (0, math.nan))
    return Job(at, at, Temperatures(weight, 0.0)) if weight == sum(temperatures) else Job(0, 1, temperatures)


def _weighted(
    base: Tensor, sidekick: Tensor, labels: Tensor, jobs: Sequence[Job]
) -> Callable[[Job, str, UncertaintyKind], Predictions]:
    """All weightings of two models from one pass over their logits; the result looks one up, with whose class is predicted."""
    same_length(base=len(base), sidekick=len(sidekick), labels=len(labels))
    n = len(labels)
    own = np.empty((2, n), dtype=np.int64)
    # Of each weighting by itself, so that who keeps one does not keep all.
    predicted = [np.empty(n, dtype=np.int64) for _ in jobs]
    columns = [np.empty((len(pair_loops.COLUMNS), n)) for _ in jobs]

    def keep(rows: slice | Integers, block: Reduced) -> None:
        own[:, rows] = block.own
        for at in range(len(jobs)):
            predicted[at][rows], columns[at][:, rows] = block.predicted[at], block.columns[:, at]

    if jobs:
        reduce_blocks([base, sidekick], labels, jobs, keep)
    true = labels.cpu().numpy()

    def look_up(job: Job, classes: str, kind: UncertaintyKind) -> Predictions:
        at = jobs.index(job)
        doubt, entropy, nll, brier, of_base, of_sidekick = columns[at]
        of_class = {"combined": (predicted[at], doubt), "base": (own[0], of_base), "sidekick": (own[1], of_sidekick)}
        said, doubt = of_class[classes]
        return Predictions(true, said, 1 - doubt, doubt, entropy, nll, brier, kind)

    return look_up


def reduce_blocks(
    models: Sequence[Tensor],
    labels: Tensor,
    jobs: Sequence[Job],
    keep: Callable[[slice | Integers, Reduced], None],
    known: Mapping[int, NDArray[np.int32]] | None = None,
) -> None:
    """Reduce every job on the logits (n, k) of several models, reading each once, block of rows by block of rows.

    `keep` is given the rows of a block, a slice, and what is left of it, good until it returns; it may be called from several
    threads, for different rows. At last, rows of the same logits in another order may come again, as indices, with uncertainties
    that are equal to the last bit: ties by symmetry are no matter of rounding. `known` are the classes (n,) that models predict by
    themselves, by the model's place, where that was found before.

    Raises
    ------
    InputError
        Where a logit is NaN or infinite; minus infinity is a masked class, but not at the label.
    """
    first, second = (np.array([job[i] for job in jobs], dtype=np.int64) for i in (0, 1))
    weights = np.array([job.temperatures for job in jobs], dtype=np.float64)

    def loop(block: Floats, true: Integers, own: NDArray[np.int32], masked: bool, ordered: bool, *out: NDArray[Any]) -> None:
        pair_loops.reduce(block, true, own, first, second, weights, masked, ordered, *out)

    reduce_jobs(models, labels, (len(pair_loops.COLUMNS), len(jobs)), loop, keep, known)


def reduce_jobs(
    models: Sequence[Tensor],
    labels: Tensor,
    shape: tuple[int, int],
    loop: Callable[..., None],
    keep: Callable[[slice | Integers, Reduced], None],
    known: Mapping[int, NDArray[np.int32]] | None = None,
) -> None:
    """Reduce jobs of any kind as `reduce_blocks` does those of two models.

    `shape` counts columns and jobs. The loop is given a block (m, b, k), the labels (b,), the models' own classes (m, b), whether a
    class is masked, whether to sum in the order of the logits, and two arrays to fill: the classes (jobs, b) and the columns
    (columns, jobs, b).
    """
    n, k = models[0].shape
    real = precision(*models)
    of_columns, of_jobs = shape
    classes = np.empty((len(models), n), dtype=np.int32)

    def reduced(rows: slice | NDArray[np.int64], real: np.dtype[Any] = real, ordered: bool = False) -> None:
        with _scratch() as memory:
            b = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
            block = memory.array("block", (len(models), b, k), real)
            true = labels[rows].numpy(force=True)
            own, masked = _load(models, rows, true, block, known or {})
            classes[:, rows] = own
            predicted = memory.array("predicted", (of_jobs, b), np.dtype(np.int32))
            columns = memory.array("columns", (of_columns, of_jobs, b), np.dtype(np.float64))
            loop(block, true, own, masked, ordered, predicted, columns)
            keep(rows, Reduced(predicted, columns, own))

    size = max(1, min(_ELEMENTS // (k * len(models)), _ELEMENTS // max(of_jobs, 1), max(n // _BLOCKS, _ROWS)))
    over_blocks(reduced, n, size)
    again = _alike(models, classes)
    over_blocks(lambda part: reduced(again[part], np.dtype(np.float64), True), len(again), size)


def _alike(models: Sequence[Tensor], classes: NDArray[np.int32]) -> Integers:
    """Rows whose logits are those of another row in some order, by at least one model."""
    found = np.zeros(classes.shape[1], dtype=bool)
    for logits, own in zip(models, classes, strict=True):
        top = logits.gather(1, torch.from_numpy(own.astype(np.int64))[:, None].to(logits.device))[:, 0].double().numpy(force=True)
        rows = np.flatnonzero(_repeated(top))
        numbers = np.empty(len(rows), dtype=np.uint64)

        def number(part: slice, logits: Tensor = logits, rows: Integers = rows, numbers: NDArray[np.uint64] = numbers) -> None:
            pair_loops.multisets(logits[rows[part]].double().numpy(force=True), numbers[part])

        over_blocks(number, len(rows), max(1, _ELEMENTS // 8 // logits.shape[1]))
        found[rows[_repeated(numbers)]] = True
    return np.flatnonzero(found)


def _repeated(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values occur more than once."""
    order = np.argsort(values, kind="stable")
    same = np.zeros(len(values) + 1, dtype=bool)
    same[1:-1] = values[order[1:]] == values[order[:-1]]
    found = np.empty(len(values), dtype=bool)
    found[order] = same[1:] | same[:-1]
    return found


def precision(*models: Tensor) -> np.dtype[Any]:
    """The type that sums over the classes of these logits (n, k) are computed in."""
    wide = models[0].shape[1] <= WIDE or any(logits.dtype == torch.float64 for logits in models)
    return np.dtype(np.float64 if wide else np.float32)


def _load(
    models: Sequence[Tensor],
    rows: slice | Integers,
    labels: Integers,
    block: Floats,
    known: Mapping[int, NDArray[np.int32]],
) -> tuple[NDArray[np.int32], bool]:
    """Fill a block (m, b, k) with the models' logits; the class (m, b) that each predicts, and whether any class is masked."""
    classes = np.empty(block.shape[:2], dtype=np.int32)
    for i, logits in enumerate(models):
        _copy(logits[rows], block[i])
        if i in known:
            classes[i] = known[i][rows]
        else:
            classes[i] = _classes(block[i])
    _check_sound(classes, rows)
    masked = bool(block.min() == -np.inf)
    if masked:
        _check_sound(block[:, np.arange(len(labels)), labels], rows, "minus infinity at the label")
    return classes, masked


def _classes(block: Floats) -> NDArray[np.int64]:
    """The class of the largest logit (b,), of tied ones the lowest; -1 where one is NaN or infinite.

    Minus infinity is a class that is masked in its row; not all of them are. NaN counts as the largest.
    """
    found = block.argmax(1)
    return np.where(np.isfinite(block[np.arange(len(block)), found]), found, -1)


def _copy(logits: Tensor, own: NDArray[Any]) -> None:
    if logits.dtype in {torch.float32, torch.float64}:
        own[:] = logits.numpy(force=True)
        return
    logits = logits.cpu()
    step = max(1, _UNTHREADED // logits.shape[1])
    for start in range(0, len(logits), step):
        torch.from_numpy(own[start : start + step]).copy_(logits[start : start + step])


def _check_sound(found: NDArray[Any], rows: slice | Integers, what: str = "NaN or an infinite value") -> None:
    """Raise InputError for a class below 0 or an infinite logit in (m, b)."""
    if (wrong := (found < 0) & ~(found > -np.inf) if found.dtype.kind == "f" else found < 0).any():
        at = int(wrong.any(0).argmax())
        raise InputError(f"expected finite logits, got {what} in row {rows.start + at if isinstance(rows, slice) else rows[at]}")
