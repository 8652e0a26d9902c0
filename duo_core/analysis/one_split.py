"""A choice among systems of a set that has one split: it chooses and judges, corrected for having done both.

Predictions are cross-fitted: of each fold of the images by what was fitted on the others. The bias of choosing is taken out by the
bootstrap (Tsamardinos et al. 2018): on each draw of the images the best system is chosen, and judged on those that were not drawn.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from duo_core.analysis.candidates import Candidate, candidates, predicted
from duo_core.analysis.options import Draws, Option
from duo_core.common.arrays import Floats, InputError, Integers, Predictions, UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import METRICS, metrics
from duo_core.metrics.bootstrap import counts
from duo_core.metrics.intervals import UNBIASED, Interval, percentiles
from duo_core.systems.enumeration import Result, Results
from duo_core.systems.judging import fit_system
from duo_core.systems.pair_judging import Memory
from duo_core.systems.predicting import Asked
from duo_core.systems.system import RULES, System

FOLDS = 5
FEWEST = 10
"""Images a fold, at least."""
REPLICATES = 500
"""Draws, at most: on each, every metric of two systems is computed from the images that were not drawn."""


def only_split(own: LogitSet) -> str | None:
    """The one split of a set; None where it has several."""
    return next(iter(own.labels)) if len(own.labels) == 1 else None


def as_fit_split(own: LogitSet, split: str) -> LogitSet:
    """The set with its one split as the one to fit on, and to judge on."""
    arrays = {(model, part): own.arrays[model, split] for model in own.models(split) for part in (FIT_SPLIT, "test")}
    return replace(own, labels=dict.fromkeys((FIT_SPLIT, "test"), own.labels[split]), arrays=arrays, digests={}, ids={})


class CrossFitted:
    """Systems of one split, each image predicted by what was fitted on the other folds."""

    def __init__(self, own: LogitSet, split: str, kind: UncertaintyKind, seed: int) -> None:
        """InputError where there are too few images for folds."""
        images = len(own.labels[split])
        if images < FOLDS * FEWEST:
            raise InputError(
                f"expected at least {FOLDS * FEWEST} images in '{split}', the one split of the set '{own.name}', to choose and "
                f"judge on, got {images}; add images, or a split to judge on"
            )
        self.own, self._kind = own, kind
        self._fold = folds(own.labels[split], seed)
        self._cuts = [_cut(own, split, torch.from_numpy(self._fold == fold)) for fold in range(FOLDS)]
        self._memories = [Memory() for _ in range(FOLDS)]
        self._predicted: dict[System, Predictions] = {}

    def nll(self, systems: Sequence[System]) -> Floats:
        """NLL of every image under every system, (systems, n)."""
        found = np.empty((len(systems), len(self._fold)))
        for fold, (cut, memory) in enumerate(zip(self._cuts, self._memories, strict=True)):
            rows = self._fold == fold
            for at, one in enumerate(predicted(cut, _anew(cut, systems, memory), "test", self._kind)):
                found[at, rows] = one.nll
        return found

    def predictions(self, system: System) -> Predictions:
        """What a system predicts for all images, (n,)."""
        if system not in self._predicted:
            parts = [
                predicted(cut, _anew(cut, [system], memory), "test", self._kind)[0]
                for cut, memory in zip(self._cuts, self._memories, strict=True)
            ]
            order = np.argsort(np.concatenate([np.flatnonzero(self._fold == fold) for fold in range(FOLDS)]))
            names = ("labels", "predicted", "confidence", "doubt", "entropy", "nll", "brier")
            columns = {name: np.concatenate([getattr(part, name) for part in parts])[order] for name in names}
            self._predicted[system] = Predictions(**columns, kind=self._kind)
        return self._predicted[system]


def _anew(cut: LogitSet, systems: Sequence[System], memory: Memory) -> list[Asked]:
    """Systems fitted on the images that are not judged."""
    return [(system, fit_system(cut, system.members, memory, [system.rule])) for system in systems]


def folds(labels: Tensor, seed: int) -> Integers:
    """Return the fold of each image, (n,): drawn by the seed, the classes spread evenly.

    >>> np.bincount(folds(torch.tensor([0] * 10 + [1] * 5), 0)).tolist()
    [3, 3, 3, 3, 3]
    """
    true = labels.numpy(force=True)
    order = np.random.default_rng(seed).permutation(len(true))
    fold = np.empty(len(true), np.int64)
    fold[order[np.argsort(true[order], kind="stable")]] = np.arange(len(true)) % FOLDS
    return fold


def _cut(own: LogitSet, split: str, judged: Tensor) -> LogitSet:
    """The set with some images to judge on and the others to fit on."""
    rows = {FIT_SPLIT: ~judged, "test": judged}
    arrays = {(model, part): own.arrays[model, split][of] for model in own.models(split) for part, of in rows.items()}
    return replace(own, labels={part: own.labels[split][of] for part, of in rows.items()}, arrays=arrays, digests={}, ids={})


def cross_candidates(own: LogitSet, base: str, systems: Sequence[System], nll: Floats) -> list[Candidate]:
    """Systems as candidates by their cross-fitted NLL (systems, n); weights that gain by chance gain nothing there."""
    memory, found = Memory(), Results()
    for system, values in zip(systems, nll, strict=True):
        weights = RULES[system.rule].weights(fit_system(own, system.members, memory, [system.rule]))
        found[system] = Result(weights, weights, float(values.mean()), None, False)
    return [replace(one, worth=0.0) for one in candidates(own, base, found)]


class Correction:
    """What choices gain over the base on images that had no say in them."""

    def __init__(self, fitted: CrossFitted, nll: Floats, draws: Draws) -> None:
        """Of systems with NLL of every image, (systems, n)."""
        self._fitted, self._draws = fitted, draws
        self._drawn = counts(nll.shape[1], min(draws.replicates, REPLICATES), draws.seed)
        self._sums: Floats = nll @ self._drawn.T.astype(np.float64)
        self._known: dict[tuple[int, System], Floats] = {}

    def gain(self, offered: Sequence[Candidate], places: Sequence[int]) -> tuple[dict[str, float], dict[str, Interval | None]]:
        """What choosing among candidates gains over the first of them, corrected, with its intervals; NaN and None where undefined.

        `places` are the candidates' rows of the NLL. Of equal NLL the cheaper is chosen.
        """
        order = np.argsort([one.cost for one in offered], kind="stable")
        best = order[np.argmin(self._sums[np.asarray(places)[order]], axis=0)]
        base = _system(offered[0])
        pairs = [(self._judged(draw, _system(offered[at])), self._judged(draw, base)) for draw, at in enumerate(best)]
        values: Floats = np.array([one - other for one, other in pairs])
        means = {key: float(np.mean(column[~np.isnan(column)])) if np.isfinite(column).any() else np.nan
                 for key, column in zip(METRICS, values.T, strict=True)}  # fmt: skip
        estimates = {key: mean if key in UNBIASED and not np.isnan(mean) else None for key, mean in means.items()}
        return means, percentiles(estimates, values, self._draws.level, self._draws.seed)

    def _judged(self, draw: int, system: System) -> Floats:
        """Metrics of a system on the images that a draw left out, (metrics,)."""
        if (draw, system) not in self._known:
            left = self._fitted.predictions(system).take(np.flatnonzero(self._drawn[draw] == 0))
            self._known[draw, system] = np.array(list(metrics(left).values()), dtype=float)
        return self._known[draw, system]


class OneSplitJudge:
    """Judges what is chosen from systems by the only split, as `options.Judge` does where there are two; without cascades."""

    def __init__(
        self, own: LogitSet, split: str, base: str, systems: Sequence[System], *, kind: UncertaintyKind, draws: Draws
    ) -> None:
        self.own, self.splits = own, (split,)
        self._fitted = CrossFitted(own, split, kind, draws.seed)
        nll = self._fitted.nll(systems)
        self._place = {system: at for at, system in enumerate(systems)}
        self._correction = Correction(self._fitted, nll, draws)
        self.weighed = cross_candidates(as_fit_split(own, split), base, systems, nll)
        self.base = next(one for one in self.weighed if one.action == "keep")

    def option(self, one: Candidate) -> Option:
        """The base, which nobody chose."""
        return Option(one, metrics(self._fitted.predictions(_system(one))), {}, 1.0)

    def chosen(self, one: Candidate, may: Sequence[Candidate]) -> Option:
        """The candidate that was chosen among others, the base first, with metrics and gains that are corrected for the choice."""
        alone = self.option(self.base)
        if one is self.base:
            return alone
        means, gain = self._correction.gain(may, [self._place[_system(other)] for other in may])
        values = {
            key: None if value is None or np.isnan(means[key]) else value + means[key] for key, value in alone.metrics.items()
        }
        return Option(one, values, gain, one.cost / self.base.cost)

    def beside(self, those: Sequence[Candidate | None], _: Candidate, keys: Sequence[str]) -> list[Option | None]:
        """Other candidates; nothing is shown of them but what chose, as no images are left to judge them."""
        unknown, nothing = dict.fromkeys(METRICS), dict.fromkeys(keys)
        return [None if one is None else Option(one, unknown, nothing, one.cost / self.base.cost) for one in those]

    def cheapest(self, _: Sequence[Candidate]) -> None:
        """None that the images cannot tell from the first: not asked for, as no images are left to judge that."""


def _system(one: Candidate) -> System:
    if not isinstance(one.system, System):
        raise TypeError("a cascade has no place among the systems of one split")
    return one.system
