"""The only place where logits (n, k) become a few numbers an image (n,)."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duo_core import kernels, plain
from duo_core.arrays import Floats, InputError, Predictions, UncertaintyKind, same_length
from duo_core.blocks import cores, over_blocks
from duo_core.duo import VARIANTS, Fit, Temperatures

WIDE = 128
"""Up to so many classes sums are double precision; with more, single, each relative to the predicted class.

Single precision errs by about 1e-7 times the distance between the logits that matter: less than 1e-6 of what is reported."""

_ELEMENTS = 1 << 20
"""Logits a block, all models together; a row of all of them lies in a core's own cache while every pair is read from it."""

_BLOCKS, _ROWS = 8, 512
"""At least so many blocks, each of at least so many rows, so that all cores have work to the end."""

_UNTHREADED = 1 << 15
"""Up to so many elements, torch runs an operator on the calling core and waits for no thread of its own."""

_DEVICE_ELEMENTS = 1 << 24
"""Logits of one model a block on a GPU: some hundred megabytes of double precision at work."""


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
    """What is left of a block of b rows: `predicted` int32 (jobs, b) and `columns` float64 (len(kernels.COLUMNS), jobs, b) by job,
    and the class that each model predicts by itself, `own` int32 (m, b)."""

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
    weightings = {key: VARIANTS[key].weights(fit) for key in variants if key not in there}
    found = _weighted(base, sidekick, labels, list(dict.fromkeys(weightings.values())))
    new = {key: found(weights, VARIANTS[key].classes, kind) for key, weights in weightings.items()}
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
    return _weighted(base, sidekick, labels, [temperatures])(temperatures, classes, kind)


def _weighted(
    base: Tensor, sidekick: Tensor, labels: Tensor, weightings: Sequence[Temperatures]
) -> Callable[[Temperatures, str, UncertaintyKind], Predictions]:
    """All weightings of two models from one pass over their logits; the result looks one up, with whose class is predicted."""
    same_length(base=len(base), sidekick=len(sidekick), labels=len(labels))
    n = len(labels)
    own = np.empty((2, n), dtype=np.int64)
    # Of each weighting by itself, so that who keeps one does not keep all.
    predicted = [np.empty(n, dtype=np.int64) for _ in weightings]
    columns = [np.empty((len(kernels.COLUMNS), n)) for _ in weightings]

    def keep(rows: slice, block: Reduced) -> None:
        own[:, rows] = block.own
        for at in range(len(weightings)):
            predicted[at][rows], columns[at][:, rows] = block.predicted[at], block.columns[:, at]

    if weightings:
        reduce_blocks([base, sidekick], labels, [Job(0, 1, temperatures) for temperatures in weightings], keep)
    true = labels.cpu().numpy()

    def look_up(temperatures: Temperatures, classes: str, kind: UncertaintyKind) -> Predictions:
        at = weightings.index(temperatures)
        doubt, entropy, nll, brier, of_base, of_sidekick = columns[at]
        of_class = {"combined": (predicted[at], doubt), "base": (own[0], of_base), "sidekick": (own[1], of_sidekick)}
        said, doubt = of_class[classes]
        return Predictions(true, said, 1 - doubt, doubt, entropy, nll, brier, kind)

    return look_up


def reduce_blocks(
    models: Sequence[Tensor],
    labels: Tensor,
    jobs: Sequence[Job],
    keep: Callable[[slice, Reduced], None],
    known: Mapping[int, NDArray[np.int32]] | None = None,
) -> None:
    """Reduce every job on the logits (n, k) of several models, reading each once, block of rows by block of rows.

    `keep` is given the rows of a block and what is left of it, good until it returns; it may be called from several threads, for
    different rows. `known` are the classes (n,) that models predict by themselves, by the model's place, where that was found
    before.

    Raises
    ------
    InputError
        Where a logit is NaN or infinite.
    """
    if models[0].device.type != "cpu":
        _reduce_on_device(models, labels, jobs, keep)
        return
    n, k = models[0].shape
    real = precision(*models)
    first, second = (np.array([job[i] for job in jobs], dtype=np.int64) for i in (0, 1))
    weights = np.array([job.temperatures for job in jobs], dtype=np.float64)

    def reduced(rows: slice) -> None:
        with _scratch() as memory:
            shape = len(jobs), rows.stop - rows.start
            block = memory.array("block", (len(models), shape[1], k), real)
            own = _load(models, rows, block, known or {})
            predicted = memory.array("predicted", shape, np.dtype(np.int32))
            columns = memory.array("columns", (len(kernels.COLUMNS), *shape), np.dtype(np.float64))
            kernels.reduce(block, labels[rows].numpy(), own, first, second, weights, predicted, columns)
            keep(rows, Reduced(predicted, columns, own))

    over_blocks(reduced, n, min(_ELEMENTS // (k * len(models)), _ELEMENTS // len(jobs), max(n // _BLOCKS, _ROWS)))


def precision(*models: Tensor) -> np.dtype[Any]:
    """The type that sums over the classes of these logits (n, k) are computed in."""
    wide = models[0].shape[1] <= WIDE or any(logits.dtype == torch.float64 for logits in models)
    return np.dtype(np.float64 if wide else np.float32)


def _load(models: Sequence[Tensor], rows: slice, block: Floats, known: Mapping[int, NDArray[np.int32]]) -> NDArray[np.int32]:
    """Fill a block (m, b, k) with the models' logits; the class (m, b) that each predicts."""
    classes = np.empty(block.shape[:2], dtype=np.int32)
    bits, *layout = _bits(block)
    for i, logits in enumerate(models):
        _copy(logits[rows], block[i])
        if i in known:
            classes[i] = known[i][rows]
        else:
            kernels.classes(block[i : i + 1], bits[i : i + 1], *layout, classes[i : i + 1])
    _check_finite(classes, rows)
    return classes


def _copy(logits: Tensor, own: NDArray[Any]) -> None:
    if logits.dtype in {torch.float32, torch.float64}:
        own[:] = logits.numpy()
        return
    step = max(1, _UNTHREADED // logits.shape[1])
    for start in range(0, len(logits), step):
        torch.from_numpy(own[start : start + step]).copy_(logits[start : start + step])


def _check_finite(classes: NDArray[Any], rows: slice) -> None:
    if (classes < 0).any():
        row = rows.start + int((classes < 0).any(0).argmax())
        raise InputError(f"expected finite logits, got NaN or an infinite value in row {row}")


def _bits(block: Floats) -> tuple[NDArray[np.signedinteger[Any]], ...]:
    """The bits of floats as integers, those of infinity, the place of the sign, and the largest integer."""
    whole = np.dtype(f"i{block.itemsize}").type
    return (
        block.view(whole),
        np.array(np.inf, block.dtype).view(whole)[()],
        whole(8 * block.itemsize - 1),
        whole(np.iinfo(whole).max),
    )


def _reduce_on_device(
    models: Sequence[Tensor], labels: Tensor, jobs: Sequence[Job], keep: Callable[[slice, Reduced], None]
) -> None:
    """The same in plain torch where the logits lie; larger blocks, so that the device is busy."""
    labels = labels.to(models[0].device)
    for start in range(0, len(labels), step := max(1, _DEVICE_ELEMENTS // models[0].shape[1])):
        rows = slice(start, min(start + step, len(labels)))
        block = [logits[rows] for logits in models]
        own = plain.classes(torch.stack(block))
        _check_finite(own.numpy(force=True), rows)
        found = [plain.columns(block[i], block[j], labels[rows], (own[i], own[j]), temperatures) for i, j, temperatures in jobs]
        predicted, columns = (torch.stack(part).numpy(force=True) for part in zip(*found, strict=True))
        keep(rows, Reduced(predicted.astype(np.int32), columns.transpose(1, 0, 2), own.numpy(force=True).astype(np.int32)))
