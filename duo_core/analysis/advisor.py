"""So much more compute: which system to take instead of a base, chosen on the fit split and judged on another."""

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from duo_core.analysis.beside import Beside, systems_beside
from duo_core.analysis.candidates import BUDGETS, GROWN_UNDER, Bounds, Candidate, enumerated, grown, takes_part
from duo_core.analysis.cascading import Cascades, cascades_beside
from duo_core.analysis.choice import Advice, affordable, front, ranked
from duo_core.analysis.missing import missing_kinds
from duo_core.analysis.one_split import OneSplitJudge, as_fit_split, only_split
from duo_core.analysis.options import CHOSEN_BY, LEVEL, Draws, Judge
from duo_core.common.arrays import InputError, UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import REPLICATES
from duo_core.systems.growing import WHOLE, check_budget
from duo_core.systems.pair_judging import Memory
from duo_core.systems.sweep import check_fit_split, check_judged

__all__ = ["BUDGETS", "CHOSEN_BY", "LEVEL", "Advice", "Adviser", "advise"]


class _Offer(NamedTuple):
    """What is weighed under a budget."""

    may: list[Candidate]
    """The base first; of cascades only those that are worth taking instead of it."""
    others: int
    """Cascades that are not."""
    bounds: Bounds


class _Choice(NamedTuple):
    """What is chosen under a budget, whatever the metric that is shown."""

    chosen: Candidate
    second: Candidate | None
    cheapest: Candidate | None
    weighed: int
    bounds: Bounds
    may: Sequence[Candidate] = ()
    """What it was chosen from, where the choice is made again on draws."""


class Adviser:
    """Answers for one base, budget after budget; what was found for one of them is not found again for the next.

    The answers are those of `advise`, and its parameters those named as there.
    """

    def __init__(
        self, beside: Beside, *, kind: UncertaintyKind = "softmax", cascades: bool = True, draws: Draws | None = None
    ) -> None:
        """Of the systems that `systems_beside` returned."""
        self._beside, self._kind, self._with_cascades, self._draws = beside, kind, cascades, draws or Draws()
        self._chosen: dict[float, _Choice] = {}
        self._lock = threading.Lock()

    def answers(self, budgets: Sequence[float], metric: str = CHOSEN_BY) -> list[Advice]:
        """What to do under each budget, in their order."""
        _check(budgets, metric)
        with self._lock:
            return _ladder(self._judge, self._choice, budgets, metric)

    def _choice(self, budget: float) -> _Choice:
        if budget not in self._chosen:
            self._chosen[budget] = _choice(self._judge, self._offer(budget))
        return self._chosen[budget]

    @cached_property
    def _judge(self) -> Judge:
        own = self._beside
        alone = next(one for one in own.weighed.values() if one.action == "keep")
        return Judge(own.own, own.split, alone, own.found, kind=self._kind, draws=self._draws)

    @cached_property
    def _cascades(self) -> Cascades:
        beside = self._beside
        return cascades_beside(beside.own, beside.base, beside.whole, kind=self._kind, memory=beside.memory)

    def _offer(self, budget: float) -> _Offer:
        base = self._judge.base
        may = affordable(self._beside.within(budget), base, budget)
        bounds = Bounds(self._beside.fitted)
        if not self._with_cascades:
            return _Offer(may, 0, bounds)
        bounds = replace(self._cascades.bounds, fitted=bounds.fitted)
        count, better = self._cascades.under((1 + budget) * base.cost) if budget > 0 else (0, [])
        return _Offer(may + better, count - len(better), bounds)


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

    What may be done is listed in `candidates.ACTIONS`. Where the gain of what was chosen is not significant, but that of a smaller
    budget's choice is, that is advised; else the base stays. At a budget of 0 no other network is asked for: the base stays as it
    is, or an average of its trainings takes its place.

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
    _check(budgets, metric)
    draws = Draws(replicates, level, seed)
    if (only := only_split(logit_set)) is not None:
        return _on_one_split(logit_set, only, base, budgets, metric, kind, size, draws)
    check_fit_split(logit_set)
    check_judged(logit_set, split)
    _check_base(logit_set, base, FIT_SPLIT, split)
    beside = systems_beside(logit_set, base, split, budgets, size=size, store=store, memory=memory, seed=seed, progress=progress)
    return Adviser(beside, kind=kind, cascades=cascades, draws=draws).answers(budgets, metric)


def _on_one_split(
    logit_set: LogitSet,
    only: str,
    base: str,
    budgets: Sequence[float],
    metric: str,
    kind: UncertaintyKind,
    size: int,
    draws: Draws,
) -> list[Advice]:
    """The same of a set that has one split, by cross-fitting; without cascades, whose gates would need a split of their own."""
    _check_base(logit_set, base, only)
    whole = as_fit_split(logit_set, only)
    limit = (1 + max([*BUDGETS, *budgets])) * (logit_set.cards[base].multiply_adds or 0)
    systems = enumerated(whole, "test", size=size, seed=draws.seed, limit=limit, base=base)
    larger, fitted = grown(whole, base, "test", [*GROWN_UNDER, *budgets], size=size, memory=Memory())
    judge = OneSplitJudge(logit_set, only, base, [*systems, *larger], kind=kind, draws=draws)
    grew = {system.members: under for system, under in larger.items()}

    def choice(budget: float) -> _Choice:
        there = [one for one in judge.weighed if one.members not in grew or takes_part(grew[one.members], budget)]
        may = affordable(there, judge.base, budget)
        return _choice(judge, _Offer(may, 0, Bounds(fitted)))._replace(may=may)

    return _ladder(judge, choice, budgets, metric)


def _check(budgets: Sequence[float], metric: str) -> None:
    for budget in budgets:
        check_budget(budget)
    if metric not in METRICS:
        raise InputError(f"expected a metric among {', '.join(METRICS)}, got '{metric}'")


def _check_base(logit_set: LogitSet, base: str, *splits: str) -> None:
    for split in splits:
        logit_set.logits(base, split)
    if not logit_set.cards[base].multiply_adds:
        raise InputError(f"expected multiply-adds of '{base}', which a budget is relative to, got none; state them")


def _choice(judge: Judge | OneSplitJudge, offer: _Offer) -> _Choice:
    order = ranked(offer.may, judge.base)
    chosen = order[0]
    second = next((one for one in order[1:] if set(one.members) != set(chosen.members)), None)
    return _Choice(chosen, second, judge.cheapest(front(order)), len(offer.may) + offer.others, offer.bounds)


def _ladder(
    judge: Judge | OneSplitJudge, choice: Callable[[float], _Choice], budgets: Sequence[float], metric: str
) -> list[Advice]:
    """The advice under each budget, with what to fall back on: answers of the standard ladder alone, whatever else is asked."""
    under = functools.cache(lambda budget: _advice(judge, choice(budget), budget, metric))

    def advice(budget: float) -> Advice:
        found = under(budget)
        if found.stands or found.chosen.candidate.action == "keep":
            return found
        smaller = (under(other) for other in sorted(BUDGETS, reverse=True) if 0 < other < budget)
        return replace(found, fallback=next((other.chosen for other in smaller if other.stands), None))

    return [advice(budget) for budget in budgets]


def _advice(judge: Judge | OneSplitJudge, choice: _Choice, budget: float, metric: str) -> Advice:
    """The advice under one budget."""
    own, base, keys = judge.own, judge.base, tuple(dict.fromkeys([metric, CHOSEN_BY]))
    of_chosen = judge.chosen(choice.chosen, choice.may)
    second, cheapest = judge.beside([choice.second, choice.cheapest], choice.chosen, keys)
    models = own.models(*judge.splits)
    return Advice(
        set=own.name,
        base=base.members[0],
        budget=budget,
        chosen_on=judge.splits[0],
        judged_on=judge.splits[-1],
        metric=metric,
        reference=judge.option(base),
        chosen=of_chosen,
        runner_up=second,
        cheapest=cheapest,
        fallback=None,
        candidates=choice.weighed,
        unknown=sum(not own.cards[model].multiply_adds for model in models),
        missing=missing_kinds(own.cards, base.members[0], models),
        corrected=len(judge.splits) == 1,
        bounds=choice.bounds,
    )
