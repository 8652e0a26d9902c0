"""Systems that are not enumerated: grown greedily from one model, a member at a time, by the NLL of the fit split alone."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from duo_core.common.arrays import InputError
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.systems.enumeration import fit_all, subsets
from duo_core.systems.judging import cost_ratio, multiply_adds
from duo_core.systems.pair_judging import Memory, Steps
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
    check_budget(budget)
    if size is not None and size < 1:
        raise InputError(f"expected systems of at least 1 member, got {size}")
    if budget is not None and not logit_set.cards[first].multiply_adds:
        raise InputError(f"expected multiply-adds of '{first}', which a budget is relative to, got none; state them, or no budget")
    may = [model for model in models or logit_set.models(FIT_SPLIT) if model != first]
    memory = memory or Memory()
    calibrate_models(logit_set, [first, *may], memory)
    both = [_grown(logit_set, first, may, way, budget, size, memory) for way in WAYS]
    return min(both, key=lambda grown: (grown.nll_fit, multiply_adds(logit_set, grown.members) or 0))


def check_budget(budget: float | None) -> None:
    """Raise InputError for a budget that is no share of at least 0."""
    if budget is not None and not budget >= 0:
        raise InputError(f"expected a budget of at least 0 times the first member's multiply-adds, got {budget}")


def within(logit_set: LogitSet, members: Sequence[str], budget: float | None) -> bool:
    """Whether members after the first add at most that share of its multiply-adds; where one is unknown, nobody can say so."""
    if budget is None or len(members) == 1:
        return True
    ratio = cost_ratio(logit_set, members)
    return ratio is not None and ratio <= 1 + budget + 1e-12


def _grown(
    logit_set: LogitSet,
    first: str,
    may: Sequence[str],
    way: str,
    budget: float | None,
    size: int | None,
    memory: Memory,
) -> Grown:
    """Grow by one way."""
    nll = memory.calibrated[first].nll
    path: list[tuple[str, ...]] = [(first,)]
    worth = 1 / len(logit_set.labels[FIT_SPLIT])
    while size is None or len(path[-1]) < size:
        here = path[-1]
        next_ones = [(*here, model) for model in may if model not in here and within(logit_set, (*here, model), budget)]
        fits = fit_all(logit_set, map(System, next_ones), memory, Steps(0, None))
        better = [(nll - found.nll["fitted"], members) for members, found in fits.items() if nll - found.nll["fitted"] > worth]
        if not better:
            break
        _, members = max(better, key=lambda one: _rank(logit_set, one[0], one[1], way))
        weights = dict(zip(members, fits[members].weights, strict=True))
        nll, kept = fits[members].nll["fitted"], tuple(m for m in members if m == first or weights[m] > 0)
        path.append(kept)
    return Grown(path[-1], nll, way, tuple(path))


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
