"""So much more compute: which system to take instead of a base, chosen on the fit split and judged on another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from pathlib import Path

from duo_core.analysis.candidates import BUDGETS, Candidate, candidate_systems, candidates, cascade_candidates, predicted
from duo_core.analysis.missing import Missing, missing_kinds
from duo_core.common.arrays import InputError, Predictions, UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import REPLICATES, Drawn, Interval, between, drawn
from duo_core.systems.cascades import Cascade, cascaded, ends_at, mean_cost
from duo_core.systems.enumeration import Results, results
from duo_core.systems.growing import WHOLE, check_budget
from duo_core.systems.pair_judging import Memory
from duo_core.systems.remembered_systems import swept_systems
from duo_core.systems.sweep import check_fit_split, check_judged
from duo_core.systems.system import System

LEVEL = 0.99
"""Share of the draws inside an interval: a ladder of seven answers then finds something in nothing less than once in 20 times."""
CHOSEN_BY = "nll"
"""What is chosen by, whichever metric is shown."""


@dataclass(frozen=True)
class Option:
    """A candidate as it was judged."""

    candidate: Candidate
    metrics: Mapping[str, float | None]
    """On the split that is judged on."""
    gain: Mapping[str, Interval | None]
    """The metric less the base's, on the same images; None where there is no interval."""
    cost_ratio: float
    """Multiply-adds over the base's; of a cascade the mean on the split that is judged on."""
    cost_interval: Interval | None = None
    """Of that, of a cascade: which images are uncertain is a matter of the images."""
    apart: Interval | None = None
    """Its NLL less that of the system that was chosen."""

    @property
    def members(self) -> tuple[str, ...]:
        """Names of its models, the base first where it is one of them."""
        return self.candidate.members


@dataclass(frozen=True)
class Advice:
    """What to do with so much more compute than a base takes."""

    set: str
    base: str
    budget: float
    """Share of the base's multiply-adds that may be added."""
    chosen_on: str
    judged_on: str
    metric: str
    """Key of METRICS: what is shown, and what the verdict is about."""
    reference: Option
    """The base alone."""
    chosen: Option
    """The system of least NLL on the fit split within the budget; the base where none is better by more than its weights cost."""
    runner_up: Option | None
    """The next by that, of other members."""
    cheapest: Option | None
    """The cheapest that the images cannot tell from the one chosen; None where it is that itself."""
    candidates: int
    """Systems weighed within the budget, the base among them."""
    unknown: int
    """Models of the set that took no part, as their multiply-adds are unknown."""
    missing: tuple[Missing, ...] = field(default=())
    """Kinds of system that the set cannot offer, and the command that would make them."""

    @property
    def keep(self) -> bool:
        """Whether the advice is to keep the base: it was chosen, or what was chosen does not stand as better."""
        return not self.stands

    @property
    def interval(self) -> Interval | None:
        """Of the gain in the metric; None for the base itself, and where it is undefined."""
        return None if self.chosen.candidate.action == "keep" else self.chosen.gain.get(self.metric)

    @property
    def better(self) -> bool | None:
        """Whether the metric is better than the base's, as measured; None where that is undefined or the base was chosen."""
        gain = self.interval
        return None if gain is None else (gain.estimate > 0) == METRICS[self.metric].higher_is_better

    @property
    def stands(self) -> bool:
        """Whether other images of the same kind would hardly undo the gain."""
        gain = self.interval
        return gain is not None and gain.stands and bool(self.better)

    @property
    def lost(self) -> tuple[str, ...]:
        """Keys of the metrics that are worse than the base's, as measured."""
        own, base = self.chosen.metrics, self.reference.metrics
        return tuple(key for key in METRICS if _worse(key, own[key], base[key]))


def _worse(key: str, own: float | None, base: float | None) -> bool:
    if own is None or base is None:
        return False
    return own < base if METRICS[key].higher_is_better else own > base


def chosen_of(weighed: Sequence[Candidate], base: Candidate, limit: float, images: int) -> Candidate:
    """Return the candidate of least NLL on the fit split that costs at most the limit; of equal ones the cheaper, then the first.

    It replaces the base only where it is better by more than its further weights gain by chance, 1 / n each of n images.
    """
    return min(within(weighed, base, limit, images), key=lambda one: (one.val_nll, one.cost))


def within(weighed: Sequence[Candidate], base: Candidate, limit: float, images: int) -> list[Candidate]:
    """The base, and the candidates within a limit that are better than it by more than their further weights gain by chance."""
    return [base, *(one for one in weighed if _affordable(one, limit) and _worth_it(one, base, images))]


def _affordable(one: Candidate, limit: float) -> bool:
    return one.action != "keep" and one.cost <= limit * (1 + 1e-12)


def _worth_it(one: Candidate, base: Candidate, images: int) -> bool:
    return base.val_nll - one.val_nll > (one.weights - base.weights) / images


def advise(
    logit_set: LogitSet,
    base: str,
    budgets: Sequence[float] = BUDGETS,
    *,
    split: str = "test",
    metric: str = CHOSEN_BY,
    kind: UncertaintyKind = "softmax",
    size: int = WHOLE,
    cascades: bool = True,
    store: Path | None = None,
    memory: Memory | None = None,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
    progress: Callable[[int, int], bool | None] | None = None,
) -> list[Advice]:
    """Return what to do under each budget, in their order.

    What may be done is listed in `candidates.ACTIONS`. At a budget of 0 no other network is asked for: the base stays as it is, or
    an average of its trainings takes its place.

    Parameters
    ----------
    budgets
        Shares of the base's multiply-adds that the system may cost more.
    metric
        What is shown, and what the verdict is about; the choice is by the NLL on the fit split, always.
    kind
        Which uncertainty ranks the images.
    size
        Members up to which every choice is weighed.
    cascades
        Whether cascades are weighed, too.
    store
        Where judged systems are remembered; None for nowhere.
    memory
        What was found of the set's models before; what is found now is added.
    replicates, level, seed
        Of the paired bootstrap behind the intervals; the seed is also that of drawn deep ensembles.
    progress
        Called with steps done and steps in all.

    Raises
    ------
    InputError
        For a base or split that the set does not have, a negative budget, an unknown metric, and a base of unknown cost.
    """
    _check(logit_set, base, budgets, split, metric)
    memory = memory or Memory()
    systems = candidate_systems(logit_set, base, split, budgets, size=size, memory=memory, seed=seed)
    if store is None:
        found = results(logit_set, systems, [split], memory=memory, progress=progress)
    else:
        found = swept_systems(logit_set, store, systems, [split], memory=memory, progress=progress)
    weighed = candidates(logit_set, base, found)
    if cascades:
        limit = (1 + max([*budgets, 0])) * (logit_set.cards[base].multiply_adds or 0)
        weighed += cascade_candidates(logit_set, base, found, limit, kind=kind, memory=memory)
    judge = _Judge(logit_set, base, split, found, weighed, metric, kind, memory, replicates, level, seed)
    return [judge.advice(budget) for budget in budgets]


def _check(logit_set: LogitSet, base: str, budgets: Sequence[float], split: str, metric: str) -> None:
    check_fit_split(logit_set)
    check_judged(logit_set, split)
    logit_set.logits(base, FIT_SPLIT)
    logit_set.logits(base, split)
    for budget in budgets:
        check_budget(budget)
    if metric not in METRICS:
        raise InputError(f"expected a metric among {', '.join(METRICS)}, got '{metric}'")
    if not logit_set.cards[base].multiply_adds:
        raise InputError(f"expected multiply-adds of '{base}', which a budget is relative to, got none; state them")


class _Judge:
    """Judges what is chosen from some candidates under one budget after another; every system once."""

    def __init__(
        self,
        own: LogitSet,
        base: str,
        split: str,
        found: Results,
        weighed: Sequence[Candidate],
        metric: str,
        kind: UncertaintyKind,
        memory: Memory,
        replicates: int,
        level: float,
        seed: int,
    ) -> None:
        self._own, self._split, self._found, self._weighed, self._memory = own, split, found, weighed, memory
        self._metric, self._kind = metric, kind
        self._replicates, self._level, self._seed = replicates, level, seed
        self._base = next(one for one in weighed if one.action == "keep")
        self._name = base
        self._predicted: dict[tuple[System, str], Predictions] = {}
        self._drawn: dict[Candidate, Drawn] = {}

    @cached_property
    def _images(self) -> int:
        return len(self._own.labels[FIT_SPLIT])

    def advice(self, budget: float) -> Advice:
        """The advice under one budget."""
        limit = (1 + budget) * self._base.cost
        offered = [one for one in self._weighed if budget > 0 or one.action in ("keep", "soup")]
        ranked = sorted(within(offered, self._base, limit, self._images), key=lambda one: (one.val_nll, one.cost))
        chosen = ranked[0]
        second = next((one for one in ranked[1:] if set(one.members) != set(chosen.members)), None)
        models = self._own.models(FIT_SPLIT, self._split)
        return Advice(
            set=self._own.name,
            base=self._name,
            budget=budget,
            chosen_on=FIT_SPLIT,
            judged_on=self._split,
            metric=self._metric,
            reference=self._option(self._base),
            chosen=self._option(chosen),
            runner_up=None if second is None else replace(self._option(second), apart=self._apart(second, chosen)),
            cheapest=self._cheapest(chosen, ranked),
            candidates=1 + sum(_affordable(one, limit) for one in offered),
            unknown=sum(not self._own.cards[model].multiply_adds for model in models),
            missing=missing_kinds(self._own.cards, self._name, models),
        )

    def _option(self, one: Candidate) -> Option:
        own, gain = self._draws(one), between(self._draws(one), self._draws(self._base), self._level)
        cost, interval = one.cost / self._base.cost, None
        if isinstance(one.system, Cascade):
            interval = self._cascade_cost(one.system)
            cost = interval.estimate
        return Option(one, self._metrics(one, own), {} if one is self._base else gain, cost, interval)

    def _metrics(self, one: Candidate, own: Drawn) -> Mapping[str, float | None]:
        """Those of the sweep; a cascade is in none."""
        return own.measured if isinstance(one.system, Cascade) else self._found[one.system].judged[self._split][self._kind]

    def _cascade_cost(self, cascade: Cascade) -> Interval:
        """Mean cost on the judged split, over the base's."""
        costs = cascade.costs({member: self._own.cards[member].multiply_adds or 0 for member in cascade.members})
        place = ends_at([self._predictions(stage, self._split) for stage in cascade.stages], cascade.gates)
        ratios = [cost / self._base.cost for cost in costs]
        return mean_cost(place, ratios, replicates=self._replicates, level=self._level, seed=self._seed)

    def _apart(self, one: Candidate, chosen: Candidate) -> Interval | None:
        return between(self._draws(one), self._draws(chosen), self._level)[CHOSEN_BY]

    def _cheapest(self, chosen: Candidate, ranked: Sequence[Candidate]) -> Option | None:
        """The cheapest that neither split's images tell from the one chosen, among those that nothing cheaper is better than."""
        for one in reversed(_front(ranked, chosen)):
            on_fit = between(self._draws(one, FIT_SPLIT), self._draws(chosen, FIT_SPLIT), self._level)[CHOSEN_BY]
            here = self._apart(one, chosen)
            if on_fit and here and not on_fit.stands and not here.stands:
                return replace(self._option(one), apart=here)
        return None

    def _draws(self, one: Candidate, split: str | None = None) -> Drawn:
        """Its metrics on all draws of a split; on the fit split the NLL alone."""
        keys = tuple(METRICS) if split is None else (CHOSEN_BY,)
        key = (one, split)
        if key not in self._known:
            predictions = self._of(one, split or self._split)
            self._known[key] = drawn([predictions], keys=keys, replicates=self._replicates, seed=self._seed)[0]
        return self._known[key]

    @cached_property
    def _known(self) -> dict[tuple[Candidate, str | None], Drawn]:
        return {}

    def _of(self, one: Candidate, split: str) -> Predictions:
        if isinstance(one.system, Cascade):
            return cascaded([self._predictions(stage, split) for stage in one.system.stages], one.system.gates)
        return self._predictions(one.system, split)

    def _predictions(self, system: System, split: str) -> Predictions:
        if (system, split) not in self._predicted:
            self._predicted[system, split] = predicted(self._own, [system], split, self._memory, self._kind)[0]
        return self._predicted[system, split]


def _front(ranked: Sequence[Candidate], chosen: Candidate) -> list[Candidate]:
    """Of candidates from the best on, those cheaper than all before them; the one chosen is left out."""
    front, least = [], inf
    for one in ranked:
        if one.cost < least:
            front.append(one)
            least = one.cost
    return [one for one in front if one is not chosen]
