"""Temperatures, the combination of two models' logits, the exact fit, and the variants that the paper compares."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duo_core import kernels
from duo_core.arrays import Floats, InputError, Integers, same_length
from duo_core.blocks import over_blocks

BOUND = 100.0
"""Largest weight that the fit gives a model whose logits are scaled so that their top-two margin has a median of 1.

Reached where the fit split is separated perfectly, so that no finite temperature is best, and nowhere else."""

_STEPS = 400
_ELEMENTS = 1 << 18
LARGE = 1 << 19
"""Logits of one model from which on a fit is begun on some of them, and keeps several cores busy."""
_DECREASE = 1e-22
"""Newton's decrement (twice the decrease of the NLL still to be had, nats) that ends the search: the next step would move the
weights by some 1e-11 of themselves."""
_EDGE = 1e-9
"""Slope of the NLL, in units of the root of its curvature, above which an edge of the quadrant binds; models that say the same lie
below it."""
_SINGLE = 1e-12, 1e12
"""Absolute logits whose squares single precision can add up."""
_DOUBLE = 1e-100, 1e100
"""The same of double precision; logits beyond are rescaled, and clipped to it."""


class Temperatures(NamedTuple):
    """The weights of base and sidekick; they multiply the logits (paper Sec. 3.1)."""

    base: float
    sidekick: float


@dataclass(frozen=True)
class Fit:
    """What fitting on one split found."""

    temperatures: Temperatures
    """Weights of the duo, both >= 0, that minimise the NLL of the fit split."""
    calibration: Temperatures
    """Temperature of each model alone, >= 0."""
    nll: dict[str, float]
    """NLL on the fit split in nats, of `base` and `sidekick` after calibration and of the `duo`."""
    gradient: float
    """Norm of the projected gradient of the NLL at the duo's temperatures."""
    steps: int
    """Newton steps that the two-weight problem took."""
    separated: tuple[str, ...] = ()
    """Those of base, sidekick, duo that have no finite optimum; their weights stand at the bound."""

    @property
    def ratio(self) -> float | None:
        """Weight of the base over that of the sidekick, each relative to its own calibration (paper Figure 10).

        The scale of either model's logits drops out. None where it is undefined: the sidekick's weight or a calibration is 0, or
        one of the three stands at its bound.
        """
        if self.separated or not (self.temperatures.sidekick and self.calibration.base and self.calibration.sidekick):
            return None
        return (self.temperatures.base / self.calibration.base) / (self.temperatures.sidekick / self.calibration.sidekick)

    def swapped(self) -> "Fit":
        """The same with base and sidekick in each other's place."""
        other = {"base": "sidekick", "sidekick": "base", "duo": "duo"}
        return replace(
            self,
            temperatures=Temperatures(*self.temperatures[::-1]),
            calibration=Temperatures(*self.calibration[::-1]),
            nll={name: self.nll[other[name]] for name in self.nll},
            separated=tuple(name for name in other if other[name] in self.separated),
        )


@dataclass(frozen=True)
class Variant:
    """One of the systems compared: how the logits are weighted and whose class is predicted."""

    label: str
    weights: Callable[[Fit], Temperatures]
    classes: Literal["combined", "base", "sidekick"]


VARIANTS = {
    "base": Variant("Base", lambda fit: Temperatures(fit.calibration.base, 0.0), "base"),
    "sidekick": Variant("Sidekick", lambda fit: Temperatures(0.0, fit.calibration.sidekick), "sidekick"),
    "duo": Variant("Duo", lambda fit: fit.temperatures, "combined"),
    "unweighted": Variant(
        "Unweighted", lambda fit: Temperatures(fit.calibration.base / 2, fit.calibration.sidekick / 2), "combined"
    ),
    "uq_only": Variant("UQ only", lambda fit: fit.temperatures, "base"),
}
"""The variants of paper Sec. 3.1 by key, single models first."""


def combine(base: Tensor, sidekick: Tensor, temperatures: Temperatures) -> Tensor:
    """Return the duo's logits (n, k), float64: each model's times its temperature, added.

    Minus infinity, a class that a model masks, stays so whatever the weights.

    >>> combine(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]), Temperatures(2.0, 0.5)).tolist()
    [[2.0, 1.0]]
    """
    masked = base.isneginf() | sidekick.isneginf()
    base, sidekick = (logits.double().masked_fill(masked, 0.0) for logits in (base, sidekick))
    return (base * temperatures.base + sidekick * temperatures.sidekick).masked_fill(masked, -math.inf)


@dataclass(frozen=True)
class Single:
    """One model on the fit split, calibrated by temperature scaling (Guo et al. 2017)."""

    logits: Tensor
    """(n, k), as given."""
    labels: Tensor
    survey: "Survey"
    weight: float
    """Temperature in units of 1 / scale."""
    nll: float
    """On the fit split at that temperature, nats."""
    steps: int
    separated: bool
    """Whether no finite temperature is best."""

    @property
    def scale(self) -> float:
        """What weights are sought in units of: their product with it is `weight`."""
        return self.survey.scale

    @property
    def temperature(self) -> float:
        """What multiplies the logits; >= 0."""
        return self.weight / self.scale


class Survey(NamedTuple):
    """What is to be known of logits (n, k) before sums are taken over them."""

    scale: float
    """Median over the rows of how far the largest logit lies above the second: masked classes and single rows do not rule it. Where
    that is 0, the median of the margins that are not; 1 where all are."""
    masked: bool
    """Whether a logit is minus infinity: its class is masked in that row."""
    largest: float
    """Largest absolute value of the others."""

    @property
    def exponent(self) -> int | None:
        """The power of two by which logits are to be divided so that double precision holds their squares; None where it does."""
        sound = _DOUBLE[0] < self.scale and self.largest < _DOUBLE[1]
        return None if sound else math.frexp(self.scale)[1]


def calibrate(logits: Tensor, labels: Tensor, name: str = "model") -> Single:
    """Minimise the NLL over one temperature >= 0, exactly; the first half of `fit`, once a model.

    Nine of ten right with logits of 1 and -1: the logarithm of 9 over 2.

    >>> round(calibrate(torch.tensor([[1.0, -1.0]] * 10), torch.tensor([0] * 9 + [1])).temperature, 6)
    1.098612
    """
    survey = _surveyed(logits, labels, name)
    found = _minimum(_features([logits], labels, [survey]), np.zeros(1))
    return Single(logits, labels, survey, float(found.weights[0]), found.nll, found.steps, found.separated)


def fit(base: Tensor, sidekick: Tensor, labels: Tensor) -> Fit:
    """Minimise the NLL over the two temperatures, both >= 0, exactly.

    The NLL is convex in the weights. Each model alone is solved first; such an edge of the quadrant is the optimum of the whole
    exactly where the slope into the quadrant is not negative there. Otherwise the optimum lies inside, where Newton's method with
    the exact Hessian finds it, and where two models say the same it takes the solution of least norm.

    Parameters
    ----------
    base, sidekick
        Logits (n, k) of the fit split, any floating dtype; the arithmetic is float64.
    labels
        int64 (n,), values in 0..k-1.

    Raises
    ------
    InputError
        Where shapes disagree, labels are out of range, or logits are not finite.
    """
    return fit_calibrated(calibrate(base, labels, "base"), calibrate(sidekick, labels, "sidekick"))


def fit_calibrated(base: Single, sidekick: Single) -> Fit:
    """Fit a pair of models of the same images, each calibrated before: a model's own work is done once, not once a pair."""
    if base.logits.shape != sidekick.logits.shape:
        shapes = " and ".join(str(tuple(single.logits.shape)) for single in (base, sidekick))
        raise InputError(f"expected base and sidekick logits of one shape, got {shapes}")
    alone = _masked_alike(base, sidekick)
    both, scales = _quadrant_minimum(_of_both(*alone), alone), np.array([single.scale for single in alone])
    named: dict[str, Single | _Minimum] = {"base": base, "sidekick": sidekick, "duo": both}
    return Fit(
        temperatures=Temperatures(*(both.weights / scales).tolist()),
        calibration=Temperatures(base.temperature, sidekick.temperature),
        nll={name: found.nll for name, found in named.items()},
        gradient=math.hypot(*_projected(both.weights, both.gradient * scales)),
        steps=both.steps,
        separated=tuple(name for name, found in named.items() if found.separated),
    )


def _masked_alike(base: Single, sidekick: Single) -> tuple[Single, Single]:
    """The models as members of one system: a class that one of them masks in a row is left out there, whatever the weights."""
    if not (base.survey.masked or sidekick.survey.masked):
        return base, sidekick
    out = base.logits.isneginf() | sidekick.logits.isneginf()
    return _masked(base, out), _masked(sidekick, out)


def _masked(single: Single, out: Tensor) -> Single:
    """The model, calibrated again where more of its classes are left out (n, k) than it masks itself."""
    if bool((single.logits.isneginf() == out).all()):
        return single
    return calibrate(single.logits.masked_fill(out, -math.inf), single.labels)


def newton_path(base: Single, sidekick: Single, start: Temperatures) -> list[Temperatures]:
    """Return the temperatures that the search over both weights passes through, from a given start to where it ends.

    It ends where the fit does, unless that lies on an edge of the quadrant, which the search may then leave, or two models say the
    same, so that many temperatures are the best.
    """
    features = _of_both(base, sidekick)
    scales = np.array([base.scale, sidekick.scale])
    points = _path(features, _at(features, np.array(start) * scales), _DECREASE, _separating(features))
    return [Temperatures(*(point.weights / scales).tolist()) for point in points]


def _surveyed(logits: Tensor, labels: Tensor, name: str) -> Survey:
    """Look at logits before they are fitted; InputError where they or the labels are unsound."""
    if logits.ndim != 2 or 0 in logits.shape:
        raise InputError(f"expected {name} logits of shape (n, k) with n and k at least 1, got {tuple(logits.shape)}")
    same_length(**{f"{name} logits": len(logits), "labels": len(labels)})
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        raise InputError(f"expected labels in 0..{logits.shape[1] - 1}, got {int(labels.min())}..{int(labels.max())}")
    array, true, margins = _array(logits), labels.numpy(force=True), np.empty(len(logits))
    parts = over_blocks(lambda rows: kernels.survey(array[rows], true[rows], margins[rows]), len(array), _rows(array))
    unsound, masked, largest = zip(*parts, strict=True)
    if sum(unsound):
        raise InputError(
            f"expected finite {name} logits, got NaN or infinite values in {sum(unsound)} rows; "
            "-inf is read as a masked class, but not at the label"
        )
    return Survey(_median_margin(margins), any(masked), max(largest))


def _median_margin(margins: Floats) -> float:
    if not math.isinf(middle := float(np.median(margins))) and middle > 0:
        return middle
    some = margins[(margins > 0) & np.isfinite(margins)]
    return float(np.median(some)) if len(some) else 1.0


def _array(logits: Tensor) -> NDArray[Any]:
    """The logits as the kernels take them: half precision widened, which is exact."""
    wide = logits if logits.dtype in {torch.float32, torch.float64} else logits.float()
    return np.ascontiguousarray(wide.numpy(force=True))


def _rows(array: NDArray[Any]) -> int:
    """Rows a block: so many that a thread has work for a tenth of a millisecond or more."""
    return max(1, _ELEMENTS // int(array.shape[1]))


@dataclass(frozen=True)
class _Features:
    """What the NLL depends on beside the weights; weights are in units of 1 / scale."""

    logits: tuple[NDArray[Any], ...]
    labels: Integers
    scales: Floats
    masked: bool
    single: bool
    """Whether single precision holds the squares of all logits."""
    precision: type[np.floating[Any]] = np.float64

    def thinned(self) -> "_Features":
        """Every eighth image."""
        return replace(self, logits=tuple(np.ascontiguousarray(x[::8]) for x in self.logits), labels=self.labels[::8].copy())


def _features(logits: Sequence[Tensor], labels: Tensor, surveys: Sequence[Survey]) -> _Features:
    return _Features(
        logits=tuple(_rescaled(_array(x), survey.exponent) for x, survey in zip(logits, surveys, strict=True)),
        labels=labels.numpy(force=True),
        scales=np.array([math.ldexp(survey.scale, -(survey.exponent or 0)) for survey in surveys]),
        masked=any(survey.masked for survey in surveys),
        single=all(_SINGLE[0] < survey.scale and survey.largest < _SINGLE[1] for survey in surveys),
    )


def _rescaled(array: NDArray[Any], exponent: int | None) -> NDArray[Any]:
    """The logits over a power of two; minus infinity stays, others that double precision could not square are clipped."""
    if exponent is None:
        return array
    most = math.ldexp(_DOUBLE[1], min(exponent, 690))
    clipped: NDArray[Any] = np.where(array == -np.inf, array, np.clip(array, -most, most).astype(np.float64))
    scaled: NDArray[Any] = np.ldexp(clipped, -exponent)
    return scaled


def _of_both(base: Single, sidekick: Single) -> _Features:
    return _features([base.logits, sidekick.logits], base.labels, [base.survey, sidekick.survey])


@dataclass(frozen=True)
class _Minimum:
    weights: Floats
    nll: float
    gradient: Floats
    steps: int = 0
    separated: bool = False
    found: bool = True
    """Whether the search ended where the NLL falls no further."""


def _quadrant_minimum(features: _Features, alone: tuple[Single, Single]) -> _Minimum:
    """The minimum over two non-negative weights, given each model's own.

    A minimum over both weights that lies inside the quadrant is the quadrant's. Otherwise, or where there is no finite one, an
    edge's minimum is the quadrant's where the slope into it is not negative. Where neither is found, as where a logit of -1e38 has
    the NLL fall by much within a hair's breadth of an edge, one weight is sought within the search for the other.
    """
    base, sidekick = alone
    inside = _minimum(features, np.array([base.weight / 2, sidekick.weight / 2]))
    sound = bool((inside.weights >= 0).all()) and inside.nll <= min(base.nll, sidekick.nll) + 1e-12
    if sound and inside.found and (inside.weights > 0).all() and not inside.separated:
        return inside
    edges = [_at(features, np.array(w)) for w in ((base.weight, 0.0), (0.0, sidekick.weight))]
    inward = [edges[0].slope(1), edges[1].slope(0)]
    for edge, slope, single in zip(edges, inward, alone, strict=True):
        if slope > _EDGE:
            return _Minimum(edge.weights, edge.nll, edge.gradient, single.steps, single.separated)
    if max(inward) < -_EDGE and not (inside.found or inside.separated):
        return _nested_minimum(features)
    best, single = min(zip(edges, alone, strict=True), key=lambda pair: pair[0].nll)
    if sound and inside.nll <= best.nll + 1e-12:
        return inside
    return _Minimum(best.weights, best.nll, best.gradient, inside.steps, single.separated)


def _minimum(features: _Features, start: Floats) -> _Minimum:
    """The minimum over one weight >= 0 or two free ones.

    A large split is begun on every eighth image and gone on with in single precision; only the last steps take all of the
    arithmetic. Where an earlier stage ends on an edge or runs off, the next begins from the start.
    """
    runs_off, stages = _separating(features), [(features, _DECREASE)]
    if features.logits[0].size > LARGE and features.single and not runs_off:
        single = replace(features, precision=np.float32)
        thinned = single.thinned()
        stages = [*([] if _separating(thinned) else [(thinned, 1e-5)]), (single, 1e-8), *stages]
    steps = 0
    for stage, decrease in stages:
        found = _search(stage, start, decrease, runs_off)
        steps += found.steps
        if (found.weights > 0).all():
            start = found.weights
    return replace(found, steps=steps)


def _separating(features: _Features) -> bool:
    """Whether some weights give every label the largest logit, so that larger ones are better without end."""
    x, y = features.logits[0], features.logits[-1]
    u, v = (1.0, 0.0) if len(features.logits) == 1 else kernels.separation(x, y, features.labels)
    return bool((u or v) and kernels.separates(x, y, features.labels, u, v))


def _search(features: _Features, start: Floats, enough: float, runs_off: bool) -> _Minimum:
    """Newton's method, until its decrement is small enough; where there is no finite minimum, to the bound."""
    here, steps = _at(features, start), 0
    if len(start) == 2:
        points = _path(features, here, enough, runs_off)
    elif start[0] == 0 and here.gradient[0] >= 0:
        return replace(here, found=True)
    else:
        # At 0 the NLL curves too little to say how far the minimum lies: most lie near 1.
        first = float(start[0]) or 1.0
        points = (side.point for side in _one_weight(lambda w: _side(_at(features, np.array([w])), 0), first, enough, runs_off))
    for steps, here in enumerate(points, 1):  # noqa: B007
        pass
    if runs_off:
        here = _at(features, here.weights * (BOUND / np.abs(here.weights).max()))
    return _Minimum(here.weights, here.nll, here.gradient, steps, runs_off, -float(here.gradient @ _newton_step(here)) < 1e-16)


class _Side(NamedTuple):
    """A point of a search for one weight, with the derivatives of the NLL by that weight."""

    weight: float
    slope: float
    curvature: float
    point: "_Point"


def _side(point: "_Point", axis: int) -> _Side:
    return _Side(float(point.weights[axis]), float(point.gradient[axis]), float(point.hessian[axis, axis]), point)


def _one_weight(at: Callable[[float], _Side], start: float, enough: float, runs_off: bool) -> Iterator[_Side]:
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


def _nested_minimum(features: _Features) -> _Minimum:
    """The minimum over two weights >= 0, the first sought for each value of the second; slow, and sure to be found."""

    def first(second: float) -> _Side:
        edge = _at(features, np.array([0.0, second]))
        if edge.gradient[0] >= 0:
            return _side(edge, 1)
        *_, best = _one_weight(lambda w: _side(_at(features, np.array([w, second])), 0), 1.0, _DECREASE, False)
        own, mixed, other = best.point.hessian[[0, 0, 1], [0, 1, 1]]
        return _Side(second, float(best.point.gradient[1]), max(float(other - mixed * mixed / own), 0.0), best.point)

    steps, best = 0, first(1.0)
    for steps, best in enumerate(_one_weight(first, 1.0, _DECREASE, False), 1):  # noqa: B007
        pass
    return _Minimum(best.point.weights, best.point.nll, best.point.gradient, steps)


def _path(features: _Features, here: "_Point", enough: float, runs_off: bool) -> Iterator["_Point"]:
    """The points that Newton's method with a halving line search passes through, the start among them."""
    for _ in range(_STEPS):
        yield here
        direction = _newton_step(here)
        decrease = -float(here.gradient @ direction)
        if not decrease >= enough or (runs_off and np.abs(here.weights).max() > BOUND):
            return
        moved = _line_search(features, here, direction, decrease)
        if moved is here:
            return
        here = moved
    yield here


def _newton_step(here: "_Point") -> Floats:
    """From the pseudo-inverse of the Hessian in units of its own diagonal: no choice of scales decides what is singular."""
    unit = np.sqrt(np.maximum(np.diag(here.hessian), np.finfo(np.float64).tiny))
    step: Floats = -np.linalg.pinv(here.hessian / np.outer(unit, unit), rcond=1e-14, hermitian=True) @ (here.gradient / unit) / unit
    return step


@dataclass(frozen=True)
class _Point(_Minimum):
    """The NLL at given weights with its derivatives."""

    hessian: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    def slope(self, axis: int) -> float:
        """By one weight, in units of the root of the curvature."""
        return float(self.gradient[axis] / math.sqrt(self.hessian[axis, axis] or 1.0))


def _line_search(features: _Features, here: _Point, direction: Floats, decrease: float) -> _Point:
    """The first point along the direction, halving, that lowers the NLL enough; the start itself where none does."""
    # Below this the NLL's own rounding hides the decrease, and Newton's full step is right.
    hidden = (1e-12 if features.precision is np.float64 else 1e-5) * max(1.0, here.nll)
    size = 1.0
    while size > 1e-10:
        there = _at(features, here.weights + size * direction)
        if there.nll < math.inf and (decrease < hidden or there.nll <= here.nll - 1e-4 * size * decrease):
            return there
        size /= 2
    return here


def _at(features: _Features, weights: Floats) -> _Point:
    """Mean NLL, gradient and Hessian at the weights, from one softmax: the mean and covariance of the logits under it."""
    m, labels = len(weights), features.labels
    x, y = features.logits[0], features.logits[-1]  # one model is a pair whose second weight is 0
    u, v = (*(weights / features.scales), 0.0)[:2]
    unit, masked = np.ones(1, features.precision), features.masked
    parts = over_blocks(lambda rows: kernels.moments(x[rows], y[rows], labels[rows], u, v, unit, masked), len(labels), _rows(x))
    nll, f, g, ff, fg, gg = np.sum(parts, axis=0) / len(labels)
    return _Point(
        weights=weights,
        nll=float(nll),
        gradient=np.array([f, g])[:m] / features.scales,
        hessian=np.array([[ff, fg], [fg, gg]])[:m, :m] / np.outer(features.scales, features.scales),
    )


def _projected(weights: Floats, gradient: Floats) -> Floats:
    """The gradient without components that push a weight of zero below zero."""
    return np.where((weights == 0) & (gradient > 0), 0.0, gradient)
