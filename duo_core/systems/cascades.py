"""Cascades: a small system answers what it is sure of, and a larger one the rest; they choose among Predictions, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from duo_core.common.arrays import Floats, InputError, Integers, Predictions, same_length
from duo_core.metrics.intervals import LEVEL, REPLICATES, Interval, percentiles
from duo_core.systems.system import System


@dataclass(frozen=True)
class Cascade:
    """Systems in the order of their cost, and the uncertainties above which each hands on to the next.

    >>> one, both = System(("small",)), System(("large", "small"))
    >>> Cascade((one, both), (0.3,)).members
    ('large', 'small')
    """

    stages: tuple[System, ...]
    gates: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.stages) < 2 or len(self.gates) != len(self.stages) - 1:
            raise InputError(
                f"expected two systems or more and one gate fewer, got {len(self.stages)} systems and {len(self.gates)} gates"
            )

    @property
    def members(self) -> tuple[str, ...]:
        """All models, those of the last stage first."""
        return tuple(dict.fromkeys(member for stage in reversed(self.stages) for member in stage.members))

    def costs(self, of: dict[str, int]) -> tuple[int, ...]:
        """Multiply-adds of an image that ends at each stage, given those of each model: what ran before is not run again."""
        ran: dict[str, None] = {}
        found = []
        for stage in self.stages:
            ran |= dict.fromkeys(stage.members)
            found.append(sum(of[member] for member in ran))
        return tuple(found)


def ends_at(stages: Sequence[Predictions], gates: Sequence[float]) -> Integers:
    """Return the stage that answers each image, (n,): the first whose uncertainty is not above its gate, else the last."""
    same_length(**{f"stage {at}": len(stage) for at, stage in enumerate(stages)})
    place, goes_on = np.zeros(len(stages[0]), np.int64), np.ones(len(stages[0]), bool)
    for stage, gate in zip(stages, gates, strict=False):
        goes_on &= stage.uncertainty > gate
        place += goes_on
    return place


def cascaded(stages: Sequence[Predictions], gates: Sequence[float]) -> Predictions:
    """Return what a cascade predicts: of each image all that the stage says that it ends at."""
    place = ends_at(stages, gates)
    columns = {
        field.name: np.choose(place, [getattr(stage, field.name) for stage in stages])
        for field in fields(Predictions)
        if field.name != "kind"
    }
    return Predictions(**columns, kind=stages[0].kind)


def gate_for_share(uncertainty: Floats, share: float) -> float:
    """Return the least gate that at most a share of the images lies above; images of equal uncertainty stay together.

    >>> uncertainty = np.array([0.1, 0.2, 0.3, 0.3])
    >>> gate_for_share(uncertainty, 0.5), gate_for_share(uncertainty, 0.4), gate_for_share(uncertainty, 1.0)
    (0.2, 0.3, -inf)
    """
    return gates_for_shares(uncertainty, [share])[0]


def gates_for_shares(uncertainty: Floats, shares: Sequence[float]) -> list[float]:
    """Return the same for each of several shares."""
    if wrong := [share for share in shares if not 0 <= share <= 1]:
        raise InputError(f"expected a share of images in [0, 1] that go on, got {wrong[0]}")
    ranked = np.sort(uncertainty)[::-1]
    most = [int(np.floor(share * len(ranked) + 1e-9)) for share in shares]
    return [float(ranked[at]) if at < len(ranked) else float("-inf") for at in most]


def gate_for_risk(first: Predictions, last: Predictions, risk: float) -> float | None:
    """Return the largest gate at which the cascade of two stages errs on at most that share of the images; None where none does.

    The larger a gate, the fewer images go on.
    """
    same_length(first=len(first), last=len(last))
    order = np.argsort(-first.uncertainty, kind="stable")
    ranked = first.uncertainty[order]
    changed = np.cumsum(last.correct[order].astype(np.int64) - first.correct[order])
    right = int(first.correct.sum()) + np.append(0, changed)
    ends = np.append(True, np.append(ranked[1:] != ranked[:-1], True))  # so many images can go on without parting equal ones
    enough = np.flatnonzero(ends & (len(first) - right <= risk * len(first) + 1e-9))
    if not len(enough):
        return None
    return float(ranked[enough[0]]) if enough[0] < len(ranked) else float("-inf")


def mean_cost(
    place: Integers, costs: Sequence[float], *, replicates: int = REPLICATES, level: float = LEVEL, seed: int = 0
) -> Interval:
    """Return what a cascade costs an image on average, with the interval that other images would give.

    Of images drawn with replacement the numbers that end at each stage are multinomial, so that no image need be drawn.

    >>> mean_cost(np.array([0, 0, 1, 1]), [1.0, 3.0], replicates=10).estimate
    2.0
    """
    shares = np.bincount(place, minlength=len(costs)) / len(place)
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(place), shares, size=replicates) @ np.asarray(costs, dtype=np.float64) / len(place)
    found = percentiles({"cost": float(shares @ costs)}, drawn[:, None], level, seed)["cost"]
    if found is None:
        raise InputError("expected images to average the cost of a cascade over, got none")
    return found
