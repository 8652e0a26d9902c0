"""Many pairs of one split judged in one pass over the models' logits."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from duo_core.common.arrays import Floats, Integers, Predictions, UncertaintyKind
from duo_core.common.parallel import in_parallel
from duo_core.metrics import Judged, metrics_by_kind
from duo_core.systems.duo import VARIANTS, Fit, Temperatures
from duo_core.systems.fitting import Single
from duo_core.systems.pair_loops import COLUMNS
from duo_core.systems.pair_predicting import Job, Reduced, precision, reduce_blocks
from duo_core.systems.system import Fitted, System

Pair = tuple[str, str]
Metrics = dict[UncertaintyKind, dict[str, float | None]]
"""Of one system by the uncertainty that ranks the images."""

SINGLE = ("base", "sidekick")
"""Variants that are one model alone, and the columns that name it."""

COMBINED = ("duo", "unweighted")
"""Variants whose class is that of both models together."""

_AT = {name: place for place, name in enumerate(COLUMNS)}


PREDICTED = 16
"""Single models whose predictions are kept; of 50,000 images each takes some 2 MB."""


class OnFit(NamedTuple):
    """What a model alone is on the fit split: what is chosen is chosen by this."""

    accuracy: float
    nll: float
    """After its own temperature scaling, nats."""


@dataclass(frozen=True)
class Memory:
    """What was found of a logit set's models and pairs before, so that it is found once, not once a pair, split or sweep."""

    calibrated: dict[str, Single] = field(default_factory=dict)
    fitted: dict[Pair, Fit] = field(default_factory=dict)
    """By the names of both models, the first in the alphabet as base."""
    weighed: dict[tuple[str, ...], Fitted] = field(default_factory=dict)
    """Of any number of members, by their names in the order of the alphabet."""
    classes: dict[tuple[str, str], NDArray[np.int32]] = field(default_factory=dict)
    """What a single model predicts, (n,), by model and split."""
    on_fit: dict[str, OnFit] = field(default_factory=dict)
    """Of single models."""
    nll_fit: dict[Pair, float] = field(default_factory=dict)
    """NLL of duos on the fit split, by the names as in `fitted`."""
    judged: dict[tuple[str, str], Metrics] = field(default_factory=dict)
    """Metrics of single models by model and split."""
    predicted: dict[tuple[str, str, float], Predictions] = field(default_factory=dict)
    """What a single model says, by model, split and temperature; the latest."""

    lost: dict[System, Floats] = field(default_factory=dict)
    """NLL of every image of the fit split by a fitted system, (n,); the latest."""

    def keep(self, model: str, split: str, temperature: float, predictions: Predictions) -> None:
        """Keep predictions, and let go of the oldest."""
        self.predicted.pop((model, split, temperature), None)
        self.predicted[model, split, temperature] = predictions
        for oldest in list(self.predicted)[:-PREDICTED]:
            self.predicted.pop(oldest, None)


class CancelledError(Exception):
    """The caller's progress function asked to stop."""


class Steps:
    """Adds up work done by several threads and tells the caller, who may cancel."""

    def __init__(self, total: int, progress: Callable[[int, int], bool | None] | None) -> None:
        self._total, self._progress = total, progress
        self._done, self._told, self._lock, self._cancelled = 0.0, 0, threading.Lock(), False

    def advance(self, steps: float) -> None:
        """Report steps done, whole ones to the caller; raise CancelledError once that asks to stop."""
        with self._lock:
            self._done += steps
            whole = int(self._done + 1e-6)
            if whole > self._told and self._progress:
                self._told = whole
                self._cancelled |= bool(self._progress(whole, self._total))
            if self._cancelled:
                raise CancelledError


def bytes_a_pair(n: int, real: np.dtype[Any]) -> int:
    """What `judge_pairs` holds for a pair of n images: two jobs' classes and scores, and the doubt about either model's class."""
    return n * (2 * np.dtype(np.int32).itemsize + 6 * real.itemsize)


def judge_pairs(
    models: Mapping[str, Tensor],
    labels: Tensor,
    temperatures: Mapping[str, float],
    fits: Mapping[Pair, Fit],
    singles: dict[str, Metrics],
    classes: dict[str, NDArray[np.int32]],
    steps: Steps,
) -> dict[Pair, dict[str, Metrics]]:
    """Return the metrics of every variant of every pair, with either uncertainty, from one pass over the models' logits (n, k).

    That is two steps a pair: the logits, and the metrics. Of two models that are paired both ways only what is said of the base's
    class is another. `singles` has the metrics of models that were judged before; those of the others, at `temperatures` (1/T), are
    added. `classes` has what models predict by themselves, (n,); what is new is added.
    """
    new = [name for name in models if name not in singles]
    jobs, places = _jobs(list(models), new, temperatures, fits)
    kept = _Kept(len(models), len(new), jobs, labels, precision(*models.values()))

    def keep(rows: slice | Integers, block: Reduced) -> None:
        kept.keep(rows, block)
        if isinstance(rows, slice):
            steps.advance(len(fits) * (rows.stop - rows.start) / len(labels))

    known = {place: classes[name] for place, name in enumerate(models) if name in classes}
    reduce_blocks(list(models.values()), labels, jobs, keep, known)
    classes |= {name: kept.classes(place) for place, name in enumerate(models) if place not in known}
    judged = in_parallel(kept.alone, range(len(new)))
    singles |= dict(zip(new, judged, strict=True))

    def values(pair: Pair) -> dict[Pair, dict[str, Metrics]]:
        duo = places[pair]
        combined = {key: kept.judged(duo + i) for i, key in enumerate(COMBINED)}
        found: dict[Pair, dict[str, Metrics]] = {}
        for side, way in enumerate((pair, pair[::-1])):
            if way in fits:
                single = {role: singles[name] for role, name in zip(SINGLE, way, strict=True)}
                found[way] = {**single, **combined, "uq_only": kept.uq_only(duo, side)}
                steps.advance(1)
        return found

    return {pair: of for both in in_parallel(values, list(places)) for pair, of in both.items()}


def _jobs(
    names: list[str], new: Sequence[str], temperatures: Mapping[str, float], fits: Mapping[Pair, Fit]
) -> tuple[list[Job], dict[Pair, int]]:
    """A job for each new model, then two for each pair of models; and where those of a pair begin, one way."""
    at = {name: place for place, name in enumerate(names)}
    jobs = [Job(at[name], at[name], Temperatures(temperatures[name], 0.0)) for name in new]
    places: dict[Pair, int] = {}
    for (base, sidekick), fit in fits.items():
        if (sidekick, base) not in places:
            places[base, sidekick] = len(jobs)
            jobs += [Job(at[base], at[sidekick], VARIANTS[key].weights(fit)) for key in COMBINED]
    return jobs, places


class _Kept:
    """What metrics need of every job: the predicted class and scores an image, the sums of what is only averaged."""

    def __init__(self, m: int, singles: int, jobs: Sequence[Job], labels: Tensor, real: np.dtype[Any]) -> None:
        """Of m models; the first jobs are single ones, the others a duo and its unweighted pair by turns."""
        n = len(labels)
        self._labels, self._jobs, self._singles = labels.numpy(force=True), jobs, singles
        self._own = np.empty((m, n), dtype=np.int32)
        self._predicted = np.empty((len(jobs), n), dtype=np.int32)
        self._doubt = np.empty((len(jobs), n), dtype=real)
        self._entropy = np.empty((len(jobs), n), dtype=real)
        self._doubt_of_own = np.empty((2, (len(jobs) - singles) // 2, n), dtype=real)
        self._sums: dict[int, Floats] = {}

    def keep(self, rows: slice | Integers, block: Reduced) -> None:
        """Take a block; several threads may do so for different rows. Rows that come again add nothing to what is averaged."""
        self._own[:, rows], self._predicted[:, rows] = block.own, block.predicted
        self._doubt[:, rows], self._entropy[:, rows] = block.columns[_AT["doubt"]], block.columns[_AT["entropy"]]
        for side, column in enumerate(("doubt_of_first", "doubt_of_second")):
            self._doubt_of_own[side][:, rows] = block.columns[_AT[column], self._singles :: 2]
        if isinstance(rows, slice):
            self._sums[rows.start] = block.columns[[_AT["nll"], _AT["brier"]]].sum(2)

    @cached_property
    def _means(self) -> Floats:
        """Mean NLL and Brier score by job, (2, jobs); added in the order of the rows, whichever thread came first."""
        total: Floats = np.sum([self._sums[start] for start in sorted(self._sums)], axis=0)
        return total / len(self._labels)

    def classes(self, model: int) -> NDArray[np.int32]:
        """What a model predicts by itself; of it alone, so that who keeps it does not keep all."""
        own: NDArray[np.int32] = self._own[model].copy()
        return own

    def judged(self, job: int) -> Metrics:
        """A job's own metrics."""
        return self._judged(job, self._predicted[job], self._doubt[job])

    def alone(self, job: int) -> Metrics:
        """Those of a single model, which answers its own class also at a temperature of 0, where it gives all the same chance."""
        return self._judged(job, self._own[self._jobs[job].first], self._doubt[job])

    def uq_only(self, job: int, side: int) -> Metrics:
        """The same for the class of the job's first or second model under the duo's distribution."""
        model = (self._jobs[job].first, self._jobs[job].second)[side]
        return self._judged(job, self._own[model], self._doubt_of_own[side, (job - self._singles) // 2])

    def _judged(self, job: int, predicted: NDArray[Any], doubt: NDArray[Any]) -> Metrics:
        nll, brier = self._means[:, job].tolist()
        found = Judged(self._labels, predicted, 1 - doubt.astype(np.float64), doubt, nll, brier)
        return metrics_by_kind(found, self._entropy[job])
