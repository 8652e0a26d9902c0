"""What to do with more compute than a base takes, under every budget that a page offers."""

from collections.abc import Sequence

from app.state.caches import Key, awaited, kept
from app.state.once import Progress
from app.state.sets import Handle, memory
from app.state.systems import every, readable
from duo_core.analysis.advisor import Advice, Adviser
from duo_core.analysis.beside import Beside, systems_beside
from duo_core.analysis.candidates import GROWN_UNDER
from duo_core.analysis.ensembles import Contest, contest
from duo_core.common.arrays import UncertaintyKind

BUDGETS = GROWN_UNDER
"""Shares of the base's multiply-adds that may be added."""


def beside(handle: Handle, base: str, split: str) -> Beside:
    """The systems that are weighed beside a base, whatever the uncertainty; larger ones grow as budgets are asked for."""
    whole = every(handle, split)

    def compute() -> Beside:
        return systems_beside(readable(handle, split), base, split, BUDGETS, known=whole, memory=memory(handle))

    return kept(Key("beside", handle.stamp, (base, split)), compute, grows=True)


def _adviser(handle: Handle, base: str, split: str, kind: UncertaintyKind, cascades: bool) -> Adviser:
    """Who answers for a base, and remembers what one answer found for the next."""

    def compute() -> Adviser:
        return Adviser(beside(handle, base, split), kind=kind, cascades=cascades)

    return kept(Key("adviser", handle.stamp, (base, split, kind, cascades)), compute, grows=True)


def advised(
    handle: Handle,
    base: str,
    split: str,
    kind: UncertaintyKind,
    metric: str,
    *,
    cascades: bool,
    budgets: Sequence[float] = BUDGETS,
) -> dict[float, Advice] | None:
    """The advice under each of some budgets, as `duo advise` gives it; None where nobody knows what the base costs."""
    if not handle.logit_set.cards[base].multiply_adds:
        return None

    def compute(_: Progress) -> list[Advice]:
        return _adviser(handle, base, split, kind, cascades).answers(budgets, metric)

    every(handle, split)  # waited for here, where it says how far it is
    key = Key("advice", handle.stamp, (base, split, kind, cascades, metric, tuple(budgets)))
    found = awaited(key, compute, f"Weighing what could stand in the place of {base}")
    return {one.budget: one for one in found}


def contest_of(handle: Handle, split: str, kind: UncertaintyKind, metric: str) -> Contest:
    """Ensembles of smaller models against single large ones, at every cost, as `duo ensembles` gives it."""

    known = every(handle, split)

    def compute(_: Progress) -> Contest:
        return contest(readable(handle, split), split, metric=metric, kind=kind, known=known, memory=memory(handle))

    key = Key("contest", handle.stamp, (split, kind, metric))
    return awaited(key, compute, "Holding ensembles against single models")
