"""So much more compute: which system to take instead of a base, chosen on the fit split and judged on another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from duo_core.analysis.candidates import BUDGETS, Candidate, candidate_systems, candidates, cascade_candidates
from duo_core.analysis.missing import Missing, missing_kinds
from duo_core.analysis.options import CHOSEN_BY, LEVEL, Draws, Judge, Option
from duo_core.common.arrays import InputError, UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import REPLICATES, Interval
from duo_core.systems.enumeration import results
from duo_core.systems.growing import WHOLE, check_budget
from duo_core.systems.pair_judging import Memory
from duo_core.systems.remembered_systems import swept_systems
from duo_core.systems.sweep import check_fit_split, check_judged


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


def ranked_within(weighed: Sequence[Candidate], base: Candidate, limit: float) -> list[Candidate]:
    """Return who may be chosen under a limit, the one that is first; by NLL on the fit split, then by cost.

    They are the base, and all that cost at most the limit and are better than the base by what makes them worth taking.
    """

    def may(one: Candidate) -> bool:
        return one.action != "keep" and one.cost <= limit * (1 + 1e-12) and base.val_nll - one.val_nll > one.worth

    return sorted([base, *filter(may, weighed)], key=lambda one: (one.val_nll, one.cost))


def front(ranked: Sequence[Candidate]) -> list[Candidate]:
    """Return those of ranked candidates that are cheaper than all that are better, the best first."""
    found: list[Candidate] = []
    for one in ranked:
        if not found or one.cost < found[-1].cost:
            found.append(one)
    return found


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
    alone = next(one for one in weighed if one.action == "keep")
    judge = Judge(logit_set, split, alone, found, kind=kind, memory=memory, draws=Draws(replicates, level, seed))
    return [_advice(judge, weighed, base, budget, metric) for budget in budgets]


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


def _advice(judge: Judge, weighed: Sequence[Candidate], base: str, budget: float, metric: str) -> Advice:
    """The advice under one budget."""
    own, limit = judge.own, (1 + budget) * judge.base.cost
    offered = [one for one in weighed if budget > 0 or one.action in ("keep", "soup")]
    ranked = ranked_within(offered, judge.base, limit)
    chosen, keys = ranked[0], tuple(dict.fromkeys([metric, CHOSEN_BY]))
    second = next((one for one in ranked[1:] if set(one.members) != set(chosen.members)), None)
    cheapest = next((one for one in reversed(front(ranked)[1:]) if judge.alike(one, chosen)), None)
    models = own.models(FIT_SPLIT, judge.split)
    return Advice(
        set=own.name,
        base=base,
        budget=budget,
        chosen_on=FIT_SPLIT,
        judged_on=judge.split,
        metric=metric,
        reference=judge.option(judge.base),
        chosen=judge.option(chosen),
        runner_up=None if second is None else judge.beside(second, chosen, keys),
        cheapest=None if cheapest is None else judge.beside(cheapest, chosen, keys),
        candidates=sum(one.cost <= limit * (1 + 1e-12) for one in offered),
        unknown=sum(not own.cards[model].multiply_adds for model in models),
        missing=missing_kinds(own.cards, base, models),
    )
