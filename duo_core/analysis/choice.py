"""The choice among systems under a budget, and what is known of it once it was judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from duo_core.analysis.candidates import Bounds, Candidate
from duo_core.analysis.missing import Missing
from duo_core.analysis.options import Option
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval


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
    fallback: Option | None
    """Where the gain of the one chosen is not significant: what was chosen under the largest smaller budget of the ladder whose
    gain is; None where there is none."""
    candidates: int
    """Systems weighed within the budget, the base among them."""
    unknown: int
    """Models of the set that took no part, as their multiply-adds are unknown."""
    missing: tuple[Missing, ...] = field(default=())
    """Kinds of system that the set cannot offer, and the command that would make them."""
    corrected: bool = False
    """Whether one split chose and judged, so that the values are corrected for that (`one_split`)."""
    bounds: Bounds = field(default_factory=Bounds)
    """What was not tried, as there are too many models."""

    @property
    def advised(self) -> Option:
        """What to do: the one chosen where its gain is significant, else the fallback, else the base as it is."""
        return self.chosen if self.stands else self.fallback or self.reference

    @property
    def keep(self) -> bool:
        """Whether the advice is to keep the base."""
        return self.advised is self.reference

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
    def told(self) -> Option:
        """What the sentences give the values of: what is advised, or the one chosen where the advice is to keep the base."""
        return self.fallback or self.chosen

    @property
    def lost(self) -> tuple[str, ...]:
        """Keys of the metrics in which that is worse than the base, as measured."""
        own, base = self.told.metrics, self.reference.metrics
        return tuple(key for key in METRICS if _worse(key, own[key], base[key]))


def _worse(key: str, own: float | None, base: float | None) -> bool:
    if own is None or base is None:
        return False
    return own < base if METRICS[key].higher_is_better else own > base


def affordable(weighed: Sequence[Candidate], base: Candidate, budget: float) -> list[Candidate]:
    """Return the base, and the candidates that cost at most so much more; at a budget of 0 only averages of its trainings."""
    limit = (1 + budget) * base.cost * (1 + 1e-12)
    others = (one for one in weighed if one.action != "keep" and one.cost <= limit)
    return [base, *(one for one in others if budget > 0 or one.action == "soup")]


def ranked(may: Sequence[Candidate], base: Candidate) -> list[Candidate]:
    """Return the base and the candidates that are better by what makes them worth taking; the one chosen is first.

    They stand in the order of their NLL on the fit split, then of their cost.
    """
    worth = (one for one in may if one is not base and base.val_nll - one.val_nll > one.worth)
    return sorted([base, *worth], key=lambda one: (one.val_nll, one.cost))


def front(ranked: Sequence[Candidate]) -> list[Candidate]:
    """Return those of ranked candidates that are cheaper than all that are better, the best first."""
    found: list[Candidate] = []
    for one in ranked:
        if not found or one.cost < found[-1].cost:
            found.append(one)
    return found
