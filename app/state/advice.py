"""What to do with more compute than a base takes, under every budget that a page offers."""

from dataclasses import replace

from app.state.caches import Key, awaited
from app.state.once import Progress
from app.state.sets import Handle, memory
from app.state.systems import every, readable
from duo_core.analysis.advisor import Advice, Beside, advise, systems_beside
from duo_core.analysis.ensembles import Contest, contest
from duo_core.common.arrays import UncertaintyKind

BUDGETS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
"""Shares of the base's multiply-adds that may be added."""


WEIGHING = "Weighing what could stand in the place of {}"


def beside(handle: Handle, base: str, split: str) -> Beside:
    """The systems that are weighed beside a base; cascades, which the uncertainty decides on, come later."""
    whole = every(handle, split)

    def compute(progress: Progress) -> Beside:
        own = readable(handle, split)
        return systems_beside(own, base, split, BUDGETS, known=whole, memory=memory(handle), progress=progress)

    return awaited(Key("beside", handle.stamp, (base, split)), compute, WEIGHING.format(base))


def advised(
    handle: Handle, base: str, split: str, kind: UncertaintyKind, metric: str, *, cascades: bool
) -> dict[float, Advice] | None:
    """The advice under each of BUDGETS, as `duo advise` gives it; None where nobody knows what the base costs."""
    if not handle.logit_set.cards[base].multiply_adds:
        return None

    known = beside(handle, base, split)

    def compute(_: Progress) -> list[Advice]:
        own = readable(handle, split)
        return advise(own, base, BUDGETS, split=split, kind=kind, cascades=cascades, known=known)

    found = awaited(Key("advice", handle.stamp, (base, split, kind, cascades)), compute, WEIGHING.format(base))
    # The choice is by the NLL whatever the metric; the gains of what was chosen are there in all of them.
    return {one.budget: replace(one, metric=metric) for one in found}


def contest_of(handle: Handle, split: str, kind: UncertaintyKind, metric: str) -> Contest:
    """Ensembles of smaller models against single large ones, at every cost, as `duo ensembles` gives it."""

    known = every(handle, split)

    def compute(_: Progress) -> Contest:
        return contest(readable(handle, split), split, metric=metric, kind=kind, known=known, memory=memory(handle))

    key = Key("contest", handle.stamp, (split, kind, metric))
    return awaited(key, compute, "Holding ensembles against single models")
