"""Systems that are not enumerated: grown greedily from one model, a member at a time, by the NLL of the fit split alone."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from duo_core.common.arrays import InputError
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.systems.enumeration import Results, fit_all, subsets
from duo_core.systems.judging import cost_ratio, multiply_adds
from duo_core.systems.pair_judging import Memory, Steps
from duo_core.systems.screening import promises
from duo_core.systems.sweep import calibrate_models
from duo_core.systems.system import System

WAYS = ("decrease", "decrease_per_cost")
"""What a member is taken by: how far it has the NLL fall, and how far for each multiply-add that it costs."""

WHOLE, MOST = 3, 5000
"""Up to so many members systems are enumerated, unless these are more than so many; pairs always are."""


class Grown(NamedTuple):
    """A system that grew, and what it passed through."""

    members: tuple[str, ...]
    """The model that it began with, then the others in the order in which they were taken."""
    nll_fit: float
    """Of the rule `fitted`, nats: what was chosen by, so no result."""
    way: str
    """Which of WAYS it grew by."""
    path: tuple[tuple[str, ...], ...]
    """The members after each step, the first model alone among them."""


def grow(
    logit_set: LogitSet,
    first: str,
    *,
    budget: float | None = None,
    size: int | None = None,
    models: Sequence[str] | None = None,
    memory: Memory | None = None,
) -> Grown:
    """Grow a system from one model by either of WAYS, and return the better on the fit split; of equal ones the cheaper.

    At each step all weights are fitted again with each model that may still be taken. A member whose weight becomes 0 is let go,
    and its cost returned; the first stays, as costs are relative to it. It ends where none has the NLL fall by more than a member
    costs on new images, 1 / n of n images fitted on. Greedy as it is, it may end worse under a larger budget: who compares budgets
    takes what grew under the smaller ones, too.

    Parameters
    ----------
    budget
        Multiply-adds of the others over those of the first, at most; None for no limit.
    size
        Members at most.
    models
        Those that may be taken, by default every one with logits of the fit split.

    Raises
    ------
    InputError
        For a negative budget, a size below 1, or a budget where the multiply-adds of the first are unknown.
    """
    return grow_under(logit_set, first, [budget], size=size, models=models, memory=memory)[0]


def grow_under(
    logit_set: LogitSet,
    first: str,
    budgets: Sequence[float | None],
    *,
    size: int | None = None,
    models: Sequence[str] | None = None,
    memory: Memory | None = None,
    known: Results | None = None,
    fitted: int | None = None,
) -> list[Grown]:
    """Return what `grow` does under each budget, in their order; what several pass through is fitted once.

    Parameters
    ----------
    known
        Systems that were judged before: they are not fitted again.
    fitted
        Models that are fitted at each step, at most: those that promise most at the fit so far (`screening`); None for all.
    """
    for budget in budgets:
        check_budget(budget)
    if size is not None and size < 1:
        raise InputError(f"expected systems of at least 1 member, got {size}")
    if any(budget is not None for budget in budgets) and not logit_set.cards[first].multiply_adds:
        raise InputError(f"expected multiply-adds of '{first}', which a budget is relative to, got none; state them, or no budget")
    may = [model for model in models or logit_set.models(FIT_SPLIT) if model != first]
    memory = memory or Memory()
    calibrate_models(logit_set, [first, *may], memory)
    mine = {system: result for system, result in (known or {}).items() if first in system.members}
    nursery = _Nursery(logit_set, may, memory, mine, fitted)
    grown = nursery.grown(first, [(budget, way) for budget in budgets for way in WAYS], size)
    both = zip(grown[:: len(WAYS)], grown[1 :: len(WAYS)], strict=True)
    return [min(two, key=lambda one: (one.nll_fit, multiply_adds(logit_set, one.members) or 0)) for two in both]


def check_budget(budget: float | None) -> None:
    """Raise InputError for a budget that is no share of at least 0."""
    if budget is not None and not budget >= 0:
        raise InputError(f"expected a budget of at least 0 times the first member's multiply-adds, got {budget}")


def within(logit_set: LogitSet, members: Sequence[str], budget: float | None) -> bool:
    """Whether members after the first add at most that share of its multiply-adds; where one is unknown, nobody can say so."""
    return len(members) == 1 or _allows(budget, logit_set.cards[members[0]].multiply_adds, multiply_adds(logit_set, members))


def _allows(budget: float | None, first: int | None, total: int | None) -> bool:
    """Whether multiply-adds are at most so much more than those of the first; of unknown ones nobody can say so."""
    if budget is None:
        return True
    return first is not None and first > 0 and total is not None and total / first <= 1 + budget + 1e-12


class _Fit(NamedTuple):
    """What the fit of some members says."""

    nll: float
    weights: dict[str, float]


class _Nursery:
    """Grows systems under several budgets side by side."""

    def __init__(self, logit_set: LogitSet, may: Sequence[str], memory: Memory, known: Results, fitted: int | None) -> None:
        self._own, self._may, self._memory, self._most = logit_set, may, memory, fitted
        self._worth = 1 / len(logit_set.labels[FIT_SPLIT])
        self._known = {frozenset(s.members): (s, of) for s, of in known.items() if s.rule == "fitted" and s.says is None}
        self._promises: dict[tuple[str, ...], dict[str, float] | None] = {}

    def grown(self, first: str, asked: Sequence[tuple[float | None, str]], size: int | None) -> list[Grown]:
        """What grows from a model under each budget by each way."""
        nll = self._memory.calibrated[first].nll
        found = [Grown((first,), nll, way, ((first,),)) for _, way in asked]
        growing = list(range(len(asked)))
        while growing:
            room = [at for at in growing if size is None or len(found[at].members) < size]
            following = {at: self._following(found[at], asked[at][0]) for at in room}
            fits = self._fits(dict.fromkeys(members for nexts in following.values() for members in nexts))
            steps = {at: self._step(found[at], {members: fits[members] for members in following[at]}) for at in room}
            growing = [at for at, step in steps.items() if step is not None]
            found = [steps.get(at) or one for at, one in enumerate(found)]
        return found

    def _following(self, here: Grown, budget: float | None) -> list[tuple[str, ...]]:
        """The systems of one member more that are fitted."""
        nexts = [(*here.members, model) for model in self._affordable(here.members, budget)]
        if self._most is None or len(nexts) <= self._most or all(frozenset(members) in self._known for members in nexts):
            return nexts
        if here.members not in self._promises:
            self._promises[here.members] = self._promised(here.members)
        promised = self._promises[here.members]
        if promised is None:
            return nexts
        ranked = sorted(nexts, key=lambda members: _rank(self._own, promised[members[-1]], members, here.way), reverse=True)
        return ranked[: self._most]

    def _affordable(self, members: tuple[str, ...], budget: float | None) -> list[str]:
        """Models that may be added, as `within` says it, with the costs of those that are there added up once."""
        cards, there = self._own.cards, multiply_adds(self._own, members)
        total = {m: None if (own := cards[m].multiply_adds) is None or there is None else there + own for m in self._may}
        first = cards[members[0]].multiply_adds
        return [model for model in self._may if model not in members and _allows(budget, first, total[model])]

    def _promised(self, members: tuple[str, ...]) -> dict[str, float] | None:
        singles, weights = self._memory.calibrated, self._fits([members])[members].weights
        others = {model: singles[model] for model in self._may if model not in members}
        return promises([singles[name] for name in members], tuple(weights[name] for name in members), others)

    def _fits(self, asked: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], _Fit]:
        """What is known of systems, or else fitted."""
        found: dict[tuple[str, ...], _Fit] = {}
        for members in asked:
            if (before := self._known.get(frozenset(members))) is not None:
                system, result = before
                found[members] = _Fit(result.nll_fit, dict(zip(system.members, result.weights, strict=True)))
        new = [System(members) for members in asked if members not in found]
        for members, fit in fit_all(self._own, new, self._memory, Steps(0, None)).items():
            found[members] = _Fit(fit.nll["fitted"], dict(zip(members, fit.weights, strict=True)))
        return found

    def _step(self, here: Grown, fits: Mapping[tuple[str, ...], _Fit]) -> Grown | None:
        """The best of some next steps; None where none is worth it."""
        better = [(here.nll_fit - fit.nll, members) for members, fit in fits.items() if here.nll_fit - fit.nll > self._worth]
        if not better:
            return None
        _, members = max(better, key=lambda one: _rank(self._own, one[0], one[1], here.way))
        fit, first = fits[members], here.path[0][0]
        kept = tuple(m for m in members if m == first or fit.weights[m] > 0)
        return Grown(kept, fit.nll, here.way, (*here.path, kept))


def _rank(logit_set: LogitSet, decrease: float, members: Sequence[str], way: str) -> tuple[float, float]:
    """What the best of some next steps has most of; of equal decreases the cheaper member. Unknown costs count as none."""
    cost = logit_set.cards[members[-1]].multiply_adds or 0
    return (decrease if way == "decrease" else decrease / max(cost, 1), -cost)


class Plan(NamedTuple):
    """Which members a sweep over systems is about."""

    members: list[tuple[str, ...]]
    """Of each system, most multiply-adds first; smaller systems first."""
    whole: int
    """Up to so many members every choice is among them; larger ones grew."""
    beyond: int
    """Choices left out because they cost more than the budget."""
    unknown: int
    """Choices left out because nobody knows what they cost."""


def plan(
    logit_set: LogitSet,
    size: int,
    splits: Sequence[str],
    *,
    budget: float | None = None,
    memory: Memory | None = None,
    progress: Callable[[int, int], bool | None] | None = None,
) -> Plan:
    """Return the members of systems of up to so many: every choice of few, and beyond what grows from each model.

    Up to WHOLE members every choice is taken, or up to two where these would be more than MOST. Larger systems grow from each model
    among those with no more multiply-adds, so that the first member is the one with most, as in the others.

    Parameters
    ----------
    splits
        Those that the models must have logits of.
    budget
        Multiply-adds of the members after the first over those of the first, at most.
    progress
        Called with models grown from and models in all; returning True cancels, and what grew until then is returned.
    """
    check_budget(budget)
    models = logit_set.models(FIT_SPLIT, *splits)
    whole = max((m for m in range(1, min(size, WHOLE) + 1) if m <= 2 or choices(len(models), m) <= MOST), default=0)
    every = list(subsets(models, whole))
    kept = [members for members in every if within(logit_set, members, budget)]
    dear = [members for members in every if not within(logit_set, members, budget)]
    unknown = sum(cost_ratio(logit_set, members) is None for members in dear)
    grown: dict[tuple[str, ...], None] = {}
    for at, first in enumerate(models if size > whole else ()):
        if budget is None or logit_set.cards[first].multiply_adds:
            found = grow(logit_set, first, budget=budget, size=size, models=models[at + 1 :], memory=memory)
            grown |= {_ordered(members, models): None for members in found.path if len(members) > whole}
        if progress and progress(at + 1, len(models)):
            break
    return Plan([*kept, *sorted(grown, key=len)], whole, len(dear) - unknown, unknown)


def choices(models: int, size: int) -> int:
    """How many choices of up to `size` of so many models there are.

    >>> choices(13, 3), choices(30, 3)
    (377, 4525)
    """
    return sum(math.comb(models, m) for m in range(1, size + 1))


def _ordered(members: Sequence[str], models: Sequence[str]) -> tuple[str, ...]:
    return tuple(model for model in models if model in members)
