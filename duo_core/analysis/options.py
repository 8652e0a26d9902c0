"""Candidates judged beside a base: what they predict, their metrics, and paired intervals of the differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from duo_core.analysis.candidates import Candidate, known, predicted
from duo_core.common.arrays import Predictions, UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import REPLICATES, Drawn, Interval, drawn
from duo_core.metrics.intervals import between as paired
from duo_core.systems.cascades import Cascade, cascaded, ends_at, mean_cost
from duo_core.systems.enumeration import Results
from duo_core.systems.system import System

CHOSEN_BY = "nll"
"""What is chosen by, whichever metric is shown."""
LEVEL = 0.99
"""Share of the draws inside an interval: a ladder of seven answers then finds something in nothing less than once in 20 times."""


@dataclass(frozen=True)
class Option:
    """A candidate as it was judged."""

    candidate: Candidate
    metrics: Mapping[str, float | None]
    """On the split that is judged on."""
    gain: Mapping[str, Interval | None]
    """The metric less the base's, on the same images; None where there is no interval. Of the base itself there are none."""
    cost_ratio: float
    """Multiply-adds over the base's; of a cascade the mean on the split that is judged on."""
    cost_interval: Interval | None = None
    """Of that, of a cascade: how many images go on is a matter of the images."""
    apart: Interval | None = None
    """Its NLL less that of the system that was chosen."""

    @property
    def members(self) -> tuple[str, ...]:
        """Names of its models."""
        return self.candidate.members


class Draws(NamedTuple):
    """How intervals come about."""

    replicates: int = REPLICATES
    level: float = LEVEL
    seed: int = 0


class Judge:
    """Judges candidates beside one of them, the base; each once."""

    def __init__(
        self,
        own: LogitSet,
        split: str,
        base: Candidate,
        found: Results,
        *,
        kind: UncertaintyKind,
        draws: Draws,
    ) -> None:
        self.own, self.split, self.base, self.splits = own, split, base, (FIT_SPLIT, split)
        self._found, self._kind, self._draws = found, kind, draws
        self._predicted: dict[tuple[System, str], Predictions] = {}
        self._drawn: dict[tuple[Candidate, tuple[str, ...]], Drawn] = {}

    def chosen(self, one: Candidate, _: Sequence[Candidate]) -> Option:
        """The candidate that was chosen among others, by images that do not judge it."""
        return self.option(one)

    def option(self, one: Candidate, keys: Sequence[str] = tuple(METRICS)) -> Option:
        """A candidate with intervals of its gains in some metrics."""
        gain = {} if one is self.base else self.between(one, self.base, keys)
        cost, interval = one.cost / self.base.cost, None
        if isinstance(one.system, Cascade):
            interval = self._cascade_cost(one.system)
            cost = interval.estimate
        return Option(one, self._metrics(one), gain, cost, interval)

    def beside(self, one: Candidate, chosen: Candidate, keys: Sequence[str]) -> Option:
        """The same with the interval of its NLL less that of the system that was chosen."""
        return replace(self.option(one, keys), apart=self.between(one, chosen, (CHOSEN_BY,))[CHOSEN_BY])

    def between(self, one: Candidate, other: Candidate, keys: Sequence[str]) -> dict[str, Interval | None]:
        """Intervals of the differences of two candidates in some metrics, on the same draws of the judged images."""
        return paired(self._on_draws(one, keys), self._on_draws(other, keys), self._draws.level)

    def alike(self, one: Candidate, chosen: Candidate) -> bool:
        """Whether neither the images that chose nor those that judge tell two candidates apart, by NLL."""
        if any(self._clearly_apart(one, chosen, split) for split in (FIT_SPLIT, self.split)):
            return False
        apart = self.between(one, chosen, (CHOSEN_BY,))[CHOSEN_BY]
        return apart is not None and not apart.stands

    def _clearly_apart(self, one: Candidate, other: Candidate, split: str) -> bool:
        """Whether the mean of the paired differences in NLL lies that many standard errors from 0; it costs no draws."""
        apart = self._of(one, split).nll - self._of(other, split).nll
        error = float(apart.std(ddof=1)) / np.sqrt(len(apart)) if len(apart) > 1 else np.inf
        return bool(abs(apart.mean()) > NormalDist().inv_cdf((1 + self._draws.level) / 2) * error)

    def _on_draws(self, one: Candidate, keys: Sequence[str]) -> Drawn:
        """Its metrics on all draws of the judged split."""
        key = (one, tuple(keys))
        if key not in self._drawn:
            predictions = self._of(one, self.split)
            self._drawn[key] = drawn([predictions], keys=keys, replicates=self._draws.replicates, seed=self._draws.seed)[0]
        return self._drawn[key]

    def _metrics(self, one: Candidate) -> Mapping[str, float | None]:
        """Those of the sweep; a cascade is in none."""
        if isinstance(one.system, Cascade):
            return self._on_draws(one, tuple(METRICS)).measured
        return self._found[one.system].judged[self.split][self._kind]

    def _cascade_cost(self, cascade: Cascade) -> Interval:
        """Mean cost on the judged split, over the base's."""
        costs = cascade.costs({member: self.own.cards[member].multiply_adds or 0 for member in cascade.members})
        place = ends_at([self._predictions(stage, self.split) for stage in cascade.stages], cascade.gates)
        replicates, level, seed = self._draws
        return mean_cost(place, [cost / self.base.cost for cost in costs], replicates=replicates, level=level, seed=seed)

    def _of(self, one: Candidate, split: str) -> Predictions:
        if isinstance(one.system, Cascade):
            return cascaded([self._predictions(stage, split) for stage in one.system.stages], one.system.gates)
        return self._predictions(one.system, split)

    def _predictions(self, system: System, split: str) -> Predictions:
        if (system, split) not in self._predicted:
            self._predicted[system, split] = predicted(self.own, known(self._found, [system]), split, self._kind)[0]
        return self._predicted[system, split]
