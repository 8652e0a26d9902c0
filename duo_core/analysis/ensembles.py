"""Deep ensembles by size, and ensembles of smaller models against one large model at equal cost (Kondratyuk et al. 2020)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb, inf
from pathlib import Path

import pandas as pd

from duo_core.analysis.candidates import Candidate, candidates
from duo_core.analysis.options import CHOSEN_BY, Draws, Judge
from duo_core.common.arrays import InputError, UncertaintyKind
from duo_core.logits import FIT_SPLIT, Card, LogitSet
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval
from duo_core.systems.enumeration import Results, subsets
from duo_core.systems.groups import groups_of
from duo_core.systems.growing import MOST, WHOLE, choices
from duo_core.systems.judging import multiply_adds
from duo_core.systems.kinds import one_group
from duo_core.systems.pair_judging import Memory
from duo_core.systems.remembered_systems import swept_or_judged
from duo_core.systems.sweep import check_fit_split, check_judged
from duo_core.systems.system import System

COLUMNS = ["recipe", "model", "m", "subsets", "of", "multiply_adds", *METRICS, *(f"{key}_spread" for key in METRICS)]
"""Of the table of deep ensembles."""


def deep_ensembles(
    own: LogitSet,
    split: str = "test",
    *,
    kind: UncertaintyKind = "softmax",
    seed: int = 0,
    store: Path | None = None,
    memory: Memory | None = None,
) -> pd.DataFrame:
    """Return deep ensembles of every group of trainings, one row a group and number of members m, a single training among them.

    `subsets` were judged `of` so many: all up to 32, else 32 drawn by the seed. Metrics are means over them, with `_spread` the
    standard deviation between them (that of the subsets at hand; they share members, so it is no standard error, and 0 for one).
    """
    check_fit_split(own)
    check_judged(own, split)
    rows = []
    for group in groups_of(own.cards, own.models(FIT_SPLIT, split)):
        for m in range(1, len(group.members) + 1):
            systems = [System(members, "ensemble" if m > 1 else "fitted") for members in group.subsets(m, seed)]
            found = swept_or_judged(own, systems, split, store, memory)
            values = pd.DataFrame([result.judged[split][kind] for result in found.values()], dtype=float)
            spread = values.std(ddof=0).add_suffix("_spread")
            facts = {
                "subsets": len(systems),
                "of": comb(len(group.members), m),
                "multiply_adds": multiply_adds(own, systems[0].members),
            }
            rows.append({"recipe": group.recipe, "model": group.model, "m": m, **facts, **values.mean(), **spread})
    return pd.DataFrame(rows, columns=COLUMNS)


@dataclass(frozen=True)
class Step:
    """The best single model of at most some cost, and the best ensemble of smaller ones, both by NLL on the fit split."""

    cost: float
    """Multiply-adds."""
    single: Candidate
    ensemble: Candidate
    difference: Interval | None
    """The metric of the ensemble less that of the single model on the judged split."""
    metric: str

    @property
    def lead(self) -> float:
        """By how much the ensemble's NLL is lower on the fit split."""
        return self.single.val_nll - self.ensemble.val_nll

    @property
    def wins(self) -> bool:
        """Whether the ensemble is better, and other images would hardly undo it."""
        gain = self.difference
        return gain is not None and gain.stands and (gain.estimate > 0) == METRICS[self.metric].higher_is_better

    @property
    def deep(self) -> bool:
        """Whether the ensemble is of trainings of one recipe; else it is a heterogeneous one."""
        return self.ensemble.kind == "deep ensemble"


@dataclass(frozen=True)
class Contest:
    """Ensembles against single models over the costs at which there are both."""

    steps: tuple[Step, ...]
    """In the order of their costs, one wherever either side changes."""

    @property
    def crossing(self) -> Step | None:
        """The least cost from which on the ensemble wins at every cost; None where it does not win at the largest."""
        found = None
        for step in reversed(self.steps):
            if not step.wins:
                break
            found = step
        return found

    @property
    def widest(self) -> Step | None:
        """Where the ensemble leads by most on the fit split, which leaves the judged one no choice; None where it leads nowhere."""
        ahead = [step for step in self.steps if step.lead > 0]
        return max(ahead, key=lambda step: step.lead, default=None)


def contest(
    own: LogitSet,
    split: str = "test",
    *,
    metric: str = CHOSEN_BY,
    models: Sequence[str] | None = None,
    kind: UncertaintyKind = "softmax",
    known: Results | None = None,
    store: Path | None = None,
    memory: Memory | None = None,
    draws: Draws | None = None,
) -> Contest:
    """Compare the best ensemble with the best single model at every cost up to that of the largest.

    Ensembles are of up to three models, each of which costs less than the single one; trainings of one recipe count as much as each
    other.

    Parameters
    ----------
    models
        Those to compare, of one family for instance; by default all.
    known
        Systems that were judged on the split before.

    Raises
    ------
    InputError
        For a metric that is none, and a split that the set does not have or that is fitted on.
    """
    check_fit_split(own)
    check_judged(own, split)
    if metric not in METRICS:
        raise InputError(f"expected a metric among {', '.join(METRICS)}, got '{metric}'")
    named = [m for m in own.models(FIT_SPLIT, split) if own.cards[m].multiply_adds and (models is None or m in models)]
    if not named:
        return Contest(())
    weighed, found = _weighed(own, named, split, known or {}, store, memory)
    base = next(one for one in weighed if one.members == (named[0],))
    judge = Judge(own, split, base, found, kind=kind, draws=draws or Draws())
    leaders = _leaders(own.cards, weighed)
    judge.draw((one for two in leaders.values() for one in two), (metric,))
    return Contest(tuple(_step(judge, cost, *two, metric) for cost, two in leaders.items()))


def _weighed(
    own: LogitSet, named: Sequence[str], split: str, known: Results, store: Path | None, memory: Memory | None
) -> tuple[list[Candidate], Results]:
    """Single models, and systems of smaller ones that cost no more than the largest."""
    size = max(m for m in range(1, WHOLE + 1) if m <= 2 or choices(len(named), m) <= MOST)
    most = own.cards[named[0]].multiply_adds or 0
    chosen = [members for members in subsets(named, size) if (multiply_adds(own, members) or 0) <= most]
    alike = [one_group([own.cards[member] for member in members]) for members in chosen]
    systems = [System(members, "ensemble" if same else "fitted") for members, same in zip(chosen, alike, strict=True)]
    new = [system for system in systems if system not in known]
    judged = {**known, **(swept_or_judged(own, new, split, store, memory) if new else {})}
    found = {system: judged[system] for system in systems}
    return candidates(own, named[0], found), found


def _leaders(cards: Mapping[str, Card], weighed: Sequence[Candidate]) -> dict[float, tuple[Candidate, Candidate]]:
    """By cost the best single model and the best ensemble of models smaller than that, wherever either changes."""
    ranked = sorted(weighed, key=lambda one: (one.cost, one.val_nll))
    together = [(one, max(cards[member].multiply_adds or 0 for member in one.members)) for one in ranked if len(one.members) > 1]
    singles: list[Candidate] = []
    for one in ranked:
        if len(one.members) == 1 and (not singles or one.val_nll < singles[-1].val_nll):
            singles.append(one)
    found: dict[float, tuple[Candidate, Candidate]] = {}
    for single, end in zip(singles, [*(one.cost for one in singles[1:]), inf], strict=True):
        best: Candidate | None = None
        for one, largest in together:
            if largest < single.cost and one.cost < end and (best is None or one.val_nll < best.val_nll):
                best = one
                found[max(one.cost, single.cost)] = single, one
    return found


def _step(judge: Judge, cost: float, single: Candidate, ensemble: Candidate, metric: str) -> Step:
    return Step(cost, single, ensemble, judge.between(ensemble, single, (metric,))[metric], metric)
