"""Newton's method on the NLL of one or two weights, for logits of any scale: where the fit's minima are found."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from duo_core.common.arrays import Floats, Integers
from duo_core.common.parallel import over_blocks
from duo_core.systems import pair_loops

BOUND = 100.0
"""Largest weight that the fit gives a model whose logits are scaled so that their top-two margin has a median of 1.

Reached where the fit split is separated perfectly, so that no finite temperature is best, and nowhere else."""

_STEPS = 400
_ELEMENTS = 1 << 18
LARGE = 1 << 19
"""Logits of one model from which on a fit is begun on some of them, and keeps several cores busy."""
DECREASE = 1e-22
"""Newton's decrement (twice the decrease of the NLL still to be had, nats) that ends the search: the next step would move the
weights by some 1e-11 of themselves."""


@dataclass(frozen=True)
class Features:
    """What the NLL depends on beside the weights; weights are in units of 1 / scale."""

    logits: tuple[NDArray[Any], ...]
    labels: Integers
    scales: Floats
    masked: bool
    single: bool
    """Whether single precision holds the squares of all logits."""
    precision: type[np.floating[Any]] = np.float64

    def thinned(self) -> "Features":
        """Every eighth image."""
        return replace(self, logits=tuple(np.ascontiguousarray(x[::8]) for x in self.logits), labels=self.labels[::8].copy())


@dataclass(frozen=True)
class Minimum:
    """Where a search ended, and the NLL there."""

    weights: Floats
    nll: float
    gradient: Floats
    steps: int = 0
    separated: bool = False
    found: bool = True
    """Whether the search ended where the NLL falls no further."""


@dataclass(frozen=True)
class Point(Minimum):
    """The NLL at given weights with its derivatives."""

    hessian: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    def slope(self, axis: int) -> float:
        """By one weight, in units of the root of the curvature."""
        return float(self.gradient[axis] / math.sqrt(self.hessian[axis, axis] or 1.0))


def minimum(features: Features, start: Floats) -> Minimum:
    """The minimum over one weight >= 0 or two free ones.

    A large split is begun on every eighth image and gone on with in single precision; only the last steps take all of the
    arithmetic. Where an earlier stage ends on an edge or runs off, the next begins from the start.
    """
    runs_off, stages = separating(features), [(features, DECREASE)]
    if features.logits[0].size > LARGE and features.single and not runs_off:
        single = replace(features, precision=np.float32)
        thinned = single.thinned()
        stages = [*([] if separating(thinned) else [(thinned, 1e-5)]), (single, 1e-8), *stages]
    steps = 0
    for stage, decrease in stages:
        found = _search(stage, start, decrease, runs_off)
        steps += found.steps
        if (found.weights > 0).all():
            start = found.weights
    return replace(found, steps=steps)


def separating(features: Features) -> bool:
    """Whether some weights give every label the largest logit, so that larger ones are better without end."""
    x, y = features.logits[0], features.logits[-1]
    u, v = (1.0, 0.0) if len(features.logits) == 1 else pair_loops.separation(x, y, features.labels)
    return bool((u or v) and pair_loops.separates(x, y, features.labels, u, v))


def _search(features: Features, start: Floats, enough: float, runs_off: bool) -> Minimum:
    """Newton's method, until its decrement is small enough; where there is no finite minimum, to the bound."""
    here, steps = nll_at(features, start), 0
    if len(start) == 2:
        points = path(features, here, enough, runs_off)
    elif start[0] == 0 and here.gradient[0] >= 0:
        return replace(here, found=True)
    else:
        # At 0 the NLL curves too little to say how far the minimum lies: most lie near 1.
        first = float(start[0]) or 1.0
        points = (found.point for found in one_weight(lambda w: side(nll_at(features, np.array([w])), 0), first, enough, runs_off))
    for steps, here in enumerate(points, 1):  # noqa: B007
        pass
    if runs_off:
        here = nll_at(features, here.weights * (BOUND / np.abs(here.weights).max()))
    return Minimum(here.weights, here.nll, here.gradient, steps, runs_off, -float(here.gradient @ newton_step(here)) < 1e-16)


class Side(NamedTuple):
    """A point of a search for one weight, with the derivatives of the NLL by that weight."""

    weight: float
    slope: float
    curvature: float
    point: "Point"


def side(point: "Point", axis: int) -> Side:
    """The point as the search for one of its weights sees it."""
    return Side(float(point.weights[axis]), float(point.gradient[axis]), float(point.hessian[axis, axis]), point)


def one_weight(at: Callable[[float], Side], start: float, enough: float, runs_off: bool) -> Iterator[Side]:
    """Newton's method for one weight > 0, kept between weights that are known to be too small and too large.

    The slope grows with the weight, so a step that leaves those bounds, as where all images are far too sure, is replaced by one
    that halves the distance of the bounds' logarithms, or goes on in larger and larger steps where one of them is not known yet.
    """
    low, high, stride, here = 0.0, math.inf, 16.0, at(start)
    for _ in range(_STEPS):
        yield here
        weight, slope, curvature = here[:3]
        if slope == 0 or slope * slope < enough * curvature or weight < 1e-200 or (runs_off and weight > BOUND):
            return
        low, high = (weight, high) if slope < 0 else (low, weight)
        if high <= low * (1 + 1e-15):
            return
        nearest, farthest = max(low, weight / stride), min(high, weight * stride)
        there = weight - slope / curvature if curvature > 0 else math.nan
        if not nearest < there < farthest:
            known = low > 0 and high < math.inf
            there = math.sqrt(low) * math.sqrt(high) if known else farthest if slope < 0 else nearest
            stride = min(stride * stride, 1e64)
        here = at(there)


def nested_minimum(features: Features) -> Minimum:
    """The minimum over two weights >= 0, the first sought for each value of the second; slow, and sure to be found."""

    def first(second: float) -> Side:
        edge = nll_at(features, np.array([0.0, second]))
        if edge.gradient[0] >= 0:
            return side(edge, 1)
        *_, best = one_weight(lambda w: side(nll_at(features, np.array([w, second])), 0), 1.0, DECREASE, False)
        own, mixed, other = best.point.hessian[[0, 0, 1], [0, 1, 1]]
        return Side(second, float(best.point.gradient[1]), max(float(other - mixed * mixed / own), 0.0), best.point)

    steps, best = 0, first(1.0)
    for steps, best in enumerate(one_weight(first, 1.0, DECREASE, False), 1):  # noqa: B007
        pass
    return Minimum(best.point.weights, best.point.nll, best.point.gradient, steps)


def path(features: Features, here: "Point", enough: float, runs_off: bool) -> Iterator["Point"]:
    """The points that Newton's method with a halving line search passes through, the start among them."""
    for _ in range(_STEPS):
        yield here
        direction = newton_step(here)
        decrease = -float(here.gradient @ direction)
        if not decrease >= enough or (runs_off and np.abs(here.weights).max() > BOUND):
            return
        moved = _line_search(features, here, direction, decrease)
        if moved is here:
            return
        here = moved
    yield here


def newton_step(here: "Point") -> Floats:
    """From the pseudo-inverse of the Hessian in units of its own diagonal: no choice of scales decides what is singular."""
    unit = np.sqrt(np.maximum(np.diag(here.hessian), np.finfo(np.float64).tiny))
    step: Floats = -pseudo_inverse(here.hessian / np.outer(unit, unit)) @ (here.gradient / unit) / unit
    return step


def pseudo_inverse(matrix: Floats) -> Floats:
    """What `numpy.linalg.pinv` says of a symmetric matrix, to the last bit, without what it does beside: of two rows in a fifth of
    the time, which was a fifth of that of a fit of few images."""
    values, vectors = np.linalg.eigh(matrix)
    order = np.abs(values).argsort()[::-1]
    values, vectors = values[order], vectors[:, order]
    sizes = np.abs(values)
    large = sizes > 1e-14 * sizes.max()
    inverse = np.divide(1.0, sizes, out=np.zeros_like(sizes), where=large)
    found: Floats = (vectors * np.copysign(1.0, values)) @ (inverse[:, None] * vectors.T)
    return found


def _line_search(features: Features, here: Point, direction: Floats, decrease: float) -> Point:
    """The first point along the direction, halving, that lowers the NLL enough; the start itself where none does."""
    # Below this the NLL's own rounding hides the decrease, and Newton's full step is right.
    hidden = (1e-12 if features.precision is np.float64 else 1e-5) * max(1.0, here.nll)
    size = 1.0
    while size > 1e-10:
        there = nll_at(features, here.weights + size * direction)
        if there.nll < math.inf and (decrease < hidden or there.nll <= here.nll - 1e-4 * size * decrease):
            return there
        size /= 2
    return here


def nll_at(features: Features, weights: Floats) -> Point:
    """Mean NLL, gradient and Hessian at the weights, from one softmax: the mean and covariance of the logits under it."""
    m, labels = len(weights), features.labels
    x, y = features.logits[0], features.logits[-1]  # one model is a pair whose second weight is 0
    u, v = (*(weights / features.scales), 0.0)[:2]
    unit, masked = np.ones(1, features.precision), features.masked
    parts = over_blocks(
        lambda rows: pair_loops.moments(x[rows], y[rows], labels[rows], u, v, unit, masked), len(labels), rows_a_block(x)
    )
    nll, f, g, ff, fg, gg = np.sum(parts, axis=0) / len(labels)
    return Point(
        weights=weights,
        nll=float(nll),
        gradient=np.array([f, g])[:m] / features.scales,
        hessian=np.array([[ff, fg], [fg, gg]])[:m, :m] / np.outer(features.scales, features.scales),
    )


def rows_a_block(array: NDArray[Any]) -> int:
    """Rows a block: so many that a thread has work for a tenth of a millisecond or more."""
    return max(1, _ELEMENTS // int(array.shape[1]))
