"""Newton's method with an active set at 0: the minimum of the NLL over any number of weights >= 0 (Bertsekas 1982)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duo_core.common.arrays import Floats
from duo_core.common.parallel import over_blocks
from duo_core.systems.moments import moments
from duo_core.systems.newton import BOUND, DECREASE, LARGE, Features, Minimum, Point, newton_step, one_weight, rows_a_block, side
from duo_core.systems.separation import separating

_STEPS = 400
_ROUNDS = 50
"""Rounds of one weight after the other, where Newton's method finds no way on."""
_FOUND = 1e-16
"""Newton's decrement up to which a search has ended where the NLL falls no further."""


def least(features: Features, start: Floats) -> Minimum:
    """The minimum over weights >= 0, from some that are not negative; at the bound where no finite ones are best.

    A large split is begun on every eighth image and gone on with in single precision, as for a pair.
    """
    runs_off, stages = separating(features), [(features, DECREASE)]
    if features.logits[0].size > LARGE and features.single and not runs_off:
        single = replace(features, precision=np.float32)
        thinned = single.thinned()
        stages = [*([] if separating(thinned) else [(thinned, 1e-5)]), (single, 1e-8), *stages]
    steps, weights = 0, start
    for stage, enough in stages:
        points = list(path(stage, point_at(stage, weights), enough, runs_off))
        steps, here = steps + len(points), points[-1]
        weights = np.maximum(here.weights + _direction(here), 0.0) if decrement(here) < enough else here.weights
    if runs_off:
        here = point_at(features, here.weights * (BOUND / here.weights.max()))
    elif decrement(here) > _FOUND:
        here = _one_by_one(features, here)
    return Minimum(here.weights, here.nll, here.gradient, steps, runs_off, decrement(here) <= _FOUND)


def path(features: Features, here: Point, enough: float, runs_off: bool) -> Iterator[Point]:
    """The points that the search passes through, the start among them, until the decrement is small enough."""
    for _ in range(_STEPS):
        yield here
        direction = _direction(here)
        decrease = -float(here.gradient @ direction)
        if not decrease >= enough or (runs_off and here.weights.max() > BOUND):
            return
        moved = _moved(features, here, direction, decrease)
        if moved is here:
            return
        here = moved
    yield here


def decrement(here: Point) -> float:
    """Twice the decrease of the NLL still to be had by weights that may move, nats."""
    return -float(here.gradient @ _direction(here))


def _direction(here: Point) -> Floats:
    """Newton's step of the weights that are free: not those at 0 that the gradient holds there."""
    free = ~((here.weights == 0) & (here.gradient > 0))
    direction = np.zeros(len(free))
    if free.any():
        part = replace(here, gradient=here.gradient[free], hessian=here.hessian[np.ix_(free, free)])
        direction[free] = newton_step(part)
    return direction


def _moved(features: Features, here: Point, direction: Floats, decrease: float) -> Point:
    """The first point along the direction, halving, and kept from negative weights, that lowers the NLL enough."""
    hidden = (1e-12 if features.precision is np.float64 else 1e-5) * max(1.0, here.nll)
    size = 1.0
    while size > 1e-10:
        weights = np.maximum(here.weights + size * direction, 0.0)
        there = point_at(features, weights)
        expected = float(here.gradient @ (here.weights - weights))
        if there.nll < np.inf and (decrease < hidden or there.nll <= here.nll - 1e-4 * expected):
            return there
        size /= 2
    return here


def _one_by_one(features: Features, here: Point) -> Point:
    """The best of one weight after the other, and Newton's method from there: slow, and sure to get on.

    Logits of -1e38 have the NLL fall by much within a hair's breadth of 0, where its second-order model says little.
    """
    for _ in range(_ROUNDS):
        before = here.nll
        for axis in range(len(here.weights)):
            here = _best_along(features, here, axis)
        *_, here = path(features, here, DECREASE, False)
        if decrement(here) <= _FOUND or not here.nll < before:
            return here
    return here


def _best_along(features: Features, here: Point, axis: int) -> Point:
    def with_weight(weight: float) -> Point:
        weights = here.weights.copy()
        weights[axis] = weight
        return point_at(features, weights)

    edge = with_weight(0.0)
    if edge.gradient[axis] >= 0:
        return edge
    first = float(here.weights[axis]) or 1.0
    *_, best = one_weight(lambda weight: side(with_weight(weight), axis), first, DECREASE, False)
    return best.point if best.point.nll <= here.nll else here


def point_at(features: Features, weights: Floats) -> Point:
    """Mean NLL, gradient and Hessian of any number of members at the weights."""
    m, labels = len(weights), features.labels
    unit, scaled = np.ones(1, features.precision), weights / features.scales

    def sums(rows: slice) -> Floats:
        found: Floats = moments(stacked(features, rows), labels[rows], scaled, unit, features.masked)
        return found

    total = np.sum(over_blocks(sums, len(labels), rows_a_block(features.logits[0]) // m), axis=0) / len(labels)
    return Point(
        weights=weights,
        nll=float(total[0]),
        gradient=total[1 : 1 + m] / features.scales,
        hessian=total[1 + m :].reshape(m, m) / np.outer(features.scales, features.scales),
    )


def stacked(features: Features, rows: slice) -> NDArray[Any]:
    """Some rows of all members as one array (m, b, k)."""
    return np.stack([logits[rows] for logits in features.logits])
