"""So much more compute: which system to take instead of a base, chosen on the fit split and judged on another."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from duo_core.analysis.candidates import BUDGETS, Bounds, Candidate, candidates, enumerated, grown
from duo_core.analysis.cascading import cascade_candidates
from duo_core.analysis.choice import Advice, affordable, front, ranked
from duo_core.analysis.missing import missing_kinds
from duo_core.analysis.one_split import OneSplitJudge, as_fit_split, only_split
from duo_core.analysis.options import CHOSEN_BY, LEVEL, Draws, Judge
from duo_core.common.arrays import InputError, UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import REPLICATES
from duo_core.systems.enumeration import Results, results
from duo_core.systems.growing import WHOLE, check_budget
from duo_core.systems.pair_judging import Memory
from duo_core.systems.remembered_systems import swept_or_judged
from duo_core.systems.sweep import check_fit_split, check_judged

__all__ = ["BUDGETS", "CHOSEN_BY", "LEVEL", "Advice", "advise", "systems_beside"]


class Beside(NamedTuple):
    """Judged systems that may stand in a base's place."""

    base: str
    whole: Results
    """Every choice of few models, and deep ensembles; those that the largest budget does not allow take no part."""
    grown: Results
    """Larger ones, which grew from the base."""
    fitted: int | None
    """Of `Bounds`."""


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
    known: Beside | None = None,
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
    known
        What `systems_beside` returned for the same base, split and budgets, so that it is not asked again.
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
    memory = memory or Memory()
    known = known or systems_beside(
        logit_set, base, split, budgets, size=size, store=store, memory=memory, seed=seed, progress=progress
    )
    if known.base != base:
        raise ValueError(f"expected systems beside '{base}', got those beside '{known.base}'")
    systems = enumerated(logit_set, split, size=size, seed=seed, limit=_limit(logit_set, base, budgets), base=base)
    found, fitted = {s: known.whole[s] for s in systems if s in known.whole} | known.grown, known.fitted
    weighed, bounds = candidates(logit_set, base, found), Bounds(fitted)
    if cascades:
        most = (1 + max([*budgets, 0])) * (logit_set.cards[base].multiply_adds or 0)
        more, bounds = cascade_candidates(logit_set, base, found, most, kind=kind)
        weighed, bounds = weighed + more, replace(bounds, fitted=fitted)
    alone = next(one for one in weighed if one.action == "keep")
    judge = Judge(logit_set, split, alone, found, kind=kind, draws=draws)
    return _ladder(judge, weighed, budgets, metric, bounds)


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
    whole, limit = as_fit_split(logit_set, only), _limit(logit_set, base, budgets)
    systems = enumerated(whole, "test", size=size, seed=draws.seed, limit=limit, base=base)
    larger, fitted = grown(whole, base, "test", budgets, size=size, memory=Memory())
    judge = OneSplitJudge(logit_set, only, base, [*systems, *larger], kind=kind, draws=draws)
    return _ladder(judge, judge.weighed, budgets, metric, Bounds(fitted))


def systems_beside(
    logit_set: LogitSet,
    base: str,
    split: str = "test",
    budgets: Sequence[float] = BUDGETS,
    *,
    size: int = WHOLE,
    known: Results | None = None,
    store: Path | None = None,
    memory: Memory | None = None,
    seed: int = 0,
    progress: Callable[[int, int], bool | None] | None = None,
) -> Beside:
    """Return the systems that `advise` weighs beside a base, its cascades left out; parameters as there.

    Parameters
    ----------
    known
        Systems that were judged on the split before; those of `candidates.enumerated` do not depend on the base.
    """
    memory, known = memory or Memory(), known or {}
    systems = enumerated(logit_set, split, size=size, seed=seed, limit=_limit(logit_set, base, budgets), base=base)
    if new := [system for system in systems if system not in known]:
        known = {**known, **swept_or_judged(logit_set, new, split, store, memory, progress)}
    larger, fitted = grown(logit_set, base, split, budgets, size=size, memory=memory, known=known)
    new = [system for system in larger if system not in known]
    return Beside(base, known, results(logit_set, new, [split], memory=memory), fitted)


def _limit(logit_set: LogitSet, base: str, budgets: Sequence[float]) -> float:
    """Multiply-adds under the largest budget."""
    return (1 + max([*BUDGETS, *budgets])) * (logit_set.cards[base].multiply_adds or 0)


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


def _ladder(
    judge: Judge | OneSplitJudge, weighed: Sequence[Candidate], budgets: Sequence[float], metric: str, bounds: Bounds
) -> list[Advice]:
    """The advice under each budget, with what to fall back on: answers of the standard ladder alone, whatever else is asked."""
    under = functools.cache(lambda budget: replace(_advice(judge, weighed, budget, metric), bounds=bounds))

    def advice(budget: float) -> Advice:
        found = under(budget)
        if found.stands or found.chosen.candidate.action == "keep":
            return found
        smaller = (under(other) for other in sorted(BUDGETS, reverse=True) if 0 < other < budget)
        return replace(found, fallback=next((other.chosen for other in smaller if other.stands), None))

    return [advice(budget) for budget in budgets]


def _advice(judge: Judge | OneSplitJudge, weighed: Sequence[Candidate], budget: float, metric: str) -> Advice:
    """The advice under one budget."""
    own, base = judge.own, judge.base
    may = affordable(weighed, base, budget)
    order = ranked(may, base)
    chosen, keys = order[0], tuple(dict.fromkeys([metric, CHOSEN_BY]))
    second = next((one for one in order[1:] if set(one.members) != set(chosen.members)), None)
    cheapest = next((one for one in reversed(front(order)[1:]) if judge.alike(one, chosen)), None)
    models = own.models(*judge.splits)
    return Advice(
        set=own.name,
        base=base.members[0],
        budget=budget,
        chosen_on=judge.splits[0],
        judged_on=judge.splits[-1],
        metric=metric,
        reference=judge.option(base),
        chosen=judge.chosen(chosen, may),
        runner_up=None if second is None else judge.beside(second, chosen, keys),
        cheapest=None if cheapest is None else judge.beside(cheapest, chosen, keys),
        fallback=None,
        candidates=len(may),
        unknown=sum(not own.cards[model].multiply_adds for model in models),
        missing=missing_kinds(own.cards, base.members[0], models),
        corrected=len(judge.splits) == 1,
    )
