"""Candidates judged beside a base: what they predict, their metrics, and paired intervals of the differences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from duo_core.analysis.candidates import Candidate, known, lost, predicted
from duo_core.common.arrays import Booleans, Floats, Predictions, UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import METRICS, metrics
from duo_core.metrics.bootstrap import metrics_on_draws
from duo_core.metrics.intervals import REPLICATES, UNBIASED, Drawn, Interval
from duo_core.metrics.intervals import between as paired
from duo_core.systems.cascades import Cascade, cascaded, ends_at, mean_cost
from duo_core.systems.enumeration import Results
from duo_core.systems.system import System

CHOSEN_BY = "nll"
"""What is chosen by, whichever metric is shown."""
LEVEL = 0.99
"""Share of the draws inside an interval: a ladder of seven answers then finds something in nothing less than once in 20 times."""
AT_ONCE = 16
"""Candidates whose NLL of every image is held at once."""
PREDICTED = 64
"""Systems whose predictions are kept, the latest; of 50,000 images each takes some 2 MB."""


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
        self._drawn: dict[tuple[Candidate, str], Floats] = {}
        self._correct: dict[Candidate, Booleans] = {}

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

    def beside(self, those: Sequence[Candidate | None], chosen: Candidate, keys: Sequence[str]) -> list[Option | None]:
        """The same of others, with the interval of each one's NLL less that of the system that was chosen; None stays."""
        self.draw([one for one in those if one is not None], keys)
        return [None if one is None else replace(self.option(one, keys), apart=self._apart(one, chosen)) for one in those]

    def _apart(self, one: Candidate, chosen: Candidate) -> Interval | None:
        return self.between(one, chosen, (CHOSEN_BY,))[CHOSEN_BY]

    def between(self, one: Candidate, other: Candidate, keys: Sequence[str]) -> dict[str, Interval | None]:
        """Intervals of the differences of two candidates in some metrics, on the same draws of the judged images."""
        self.draw([one, other], keys)
        return paired(self._on_draws(one, keys), self._on_draws(other, keys), self._draws.level)

    def cheapest(self, front: Sequence[Candidate]) -> Candidate | None:
        """The cheapest of those that are cheaper and cheaper after the first that the images cannot tell from that by NLL.

        Neither those that chose may, nor those that judge.
        """
        chosen, *cheaper = front
        apart = self._clearly_apart(cheaper, chosen, FIT_SPLIT)
        near = [one for one, is_apart in zip(cheaper, apart, strict=True) if not is_apart]
        return next((one for one in reversed(near) if self._alike(one, chosen)), None)

    def _alike(self, one: Candidate, chosen: Candidate) -> bool:
        """Whether the images that judge cannot tell two candidates apart."""
        if self._clearly_apart([one], chosen, self.split)[0]:
            return False
        apart = self._apart(one, chosen)
        return apart is not None and not apart.stands

    def _clearly_apart(self, those: Sequence[Candidate], other: Candidate, split: str) -> Booleans:
        """Whether the mean of the paired differences in NLL lies that many standard errors from 0, of each; it costs no draws."""
        sure = NormalDist().inv_cdf((1 + self._draws.level) / 2)
        found = np.zeros(len(those), bool)
        own = self._lost([other], split)[0]
        for start in range(0, len(those), AT_ONCE):
            apart = self._lost(those[start : start + AT_ONCE], split) - own
            error = apart.std(1, ddof=1) / np.sqrt(apart.shape[1]) if apart.shape[1] > 1 else np.inf
            found[start : start + AT_ONCE] = np.abs(apart.mean(1)) > sure * error
        return found

    def _lost(self, those: Sequence[Candidate], split: str) -> Floats:
        """NLL of every image, (those, n)."""
        systems = [one.system for one in those if isinstance(one.system, System)]
        plain = iter(lost(self.own, known(self._found, systems), split)) if systems else iter(())
        return np.array([self._of(one, split).nll if isinstance(one.system, Cascade) else next(plain) for one in those])

    def draw(self, those: Iterable[Candidate], keys: Sequence[str]) -> None:
        """Have candidates' metrics on all draws of the judged split at hand: of many at once a draw is made once, not once each.

        Without those whose differences have no interval.
        """
        lacking = {one: [key for key in keys if key in UNBIASED and (one, key) not in self._drawn] for one in dict.fromkeys(those)}
        new = [one for one, of in lacking.items() if of]
        for start in range(0, len(new), AT_ONCE):
            group = new[start : start + AT_ONCE]
            asked = tuple(dict.fromkeys(key for one in group for key in lacking[one]))
            self._predict([one.system for one in group if isinstance(one.system, System)], self.split)
            predictions = [self._of(one, self.split) for one in group]
            values = metrics_on_draws(predictions, asked, self._draws.replicates, self._draws.seed)
            for one, of, on_draws in zip(group, predictions, values, strict=True):
                self._drawn |= {(one, key): on_draws[:, at].copy() for at, key in enumerate(asked)}
                self._correct[one] = of.correct

    def _on_draws(self, one: Candidate, keys: Sequence[str]) -> Drawn:
        """What `draw` found of a candidate."""
        measured = self._metrics(one)
        undefined = np.full(self._draws.replicates, np.nan)
        values = np.stack([self._drawn.get((one, key), undefined) for key in keys], axis=1)
        return Drawn({key: measured[key] for key in keys}, values, self._draws.seed, self._correct[one])

    def _metrics(self, one: Candidate) -> Mapping[str, float | None]:
        """Those of the sweep; a cascade is in none."""
        if isinstance(one.system, Cascade):
            return metrics(self._of(one, self.split))
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
        self._predict([system], split)
        return self._predicted[system, split]

    def _predict(self, systems: Sequence[System], split: str) -> None:
        """Have what systems predict at hand, and let go of the oldest."""
        new = [system for system in dict.fromkeys(systems) if (system, split) not in self._predicted]
        if new:
            found = predicted(self.own, known(self._found, new), split, self._kind)
            self._predicted |= {(system, split): of for system, of in zip(new, found, strict=True)}
        for oldest in list(self._predicted)[: -max(PREDICTED, len(systems))]:
            self._predicted.pop(oldest)
