"""Temperatures, the combination of two models' logits, the exact fit, and the variants that the paper compares."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duo_core import kernels
from duo_core.arrays import Floats, InputError, Integers, same_length
from duo_core.blocks import over_blocks

BOUND = 100.0
"""Largest weight that the fit gives a model whose logits are scaled to a root mean square deviation of 1.

Reached only where the fit split is separated perfectly, so that no finite temperature is best."""

_STEPS = 100
_ELEMENTS = 1 << 18
LARGE = 1 << 19
"""Logits of one model from which on a fit is begun on some of them, and keeps several cores busy."""
_DECREASE = 1e-22
"""Newton's decrement (twice the decrease of the NLL still to be had, nats) that ends the search: the next step would move the
weights by some 1e-11 of themselves."""
_EDGE = 1e-9
"""Slope (nats a unit of normalised weight) above which an edge of the quadrant binds; models that say the same lie below it."""


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

        The scale of either model's logits drops out. None where it is undefined: the sidekick's weight or a calibration is 0.
        """
        if not (self.temperatures.sidekick and self.calibration.base and self.calibration.sidekick):
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

    >>> combine(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]), Temperatures(2.0, 0.5)).tolist()
    [[2.0, 1.0]]
    """
    return base.double() * temperatures.base + sidekick.double() * temperatures.sidekick


@dataclass(frozen=True)
class Single:
    """One model on the fit split, calibrated by temperature scaling (Guo et al. 2017)."""

    logits: Tensor
    """(n, k), as given."""
    labels: Tensor
    scale: float
    """Root mean square deviation of the logits from each row's mean; weights are sought in its units."""
    weight: float
    """Temperature in units of 1 / scale."""
    nll: float
    """On the fit split at that temperature, nats."""
    steps: int
    separated: bool
    """Whether no finite temperature is best."""

    @property
    def temperature(self) -> float:
        """What multiplies the logits; >= 0."""
        return self.weight / self.scale


def calibrate(logits: Tensor, labels: Tensor, name: str = "model") -> Single:
    """Minimise the NLL over one temperature >= 0, exactly; the first half of `fit`, once a model.

    Nine of ten right with logits of 1 and -1: the logarithm of 9 over 2.

    >>> round(calibrate(torch.tensor([[1.0, -1.0]] * 10), torch.tensor([0] * 9 + [1])).temperature, 6)
    1.098612
    """
    scale = _checked(logits, labels, name)
    found = _minimum(_features([logits], labels, [scale]), np.zeros(1))
    return Single(logits, labels, scale, float(found.weights[0]), found.nll, found.steps, found.separated)


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
    features = _of_both(base, sidekick)
    both, scales = _quadrant_minimum(features, (base, sidekick)), features.scales
    named: dict[str, Single | _Minimum] = {"base": base, "sidekick": sidekick, "duo": both}
    return Fit(
        temperatures=Temperatures(*(both.weights / scales).tolist()),
        calibration=Temperatures(base.temperature, sidekick.temperature),
        nll={name: found.nll for name, found in named.items()},
        gradient=float(np.linalg.norm(_projected(both.weights, both.gradient * scales))),
        steps=both.steps,
        separated=tuple(name for name, found in named.items() if found.separated),
    )


def newton_path(base: Single, sidekick: Single, start: Temperatures) -> list[Temperatures]:
    """Return the temperatures that the search over both weights passes through, from a given start to where it ends.

    It ends where the fit does, unless that lies on an edge of the quadrant, which the search may then leave, or two models say the
    same, so that many temperatures are the best.
    """
    features = _of_both(base, sidekick)
    points = _path(features, _at(features, np.array(start) * features.scales), _DECREASE)
    return [Temperatures(*(point.weights / features.scales).tolist()) for point in points]


def _checked(logits: Tensor, labels: Tensor, name: str) -> float:
    """Root mean square deviation of the logits from their rows' means, 1 where they are all the same, once the input is sound."""
    if logits.ndim != 2 or 0 in logits.shape:
        raise InputError(f"expected {name} logits of shape (n, k) with n and k at least 1, got {tuple(logits.shape)}")
    same_length(**{f"{name} logits": len(logits), "labels": len(labels)})
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        raise InputError(f"expected labels in 0..{logits.shape[1] - 1}, got {int(labels.min())}..{int(labels.max())}")
    array = _array(logits)
    squares, bad = zip(*over_blocks(lambda rows: kernels.spread(array[rows]), len(array), _rows(array)), strict=True)
    if sum(bad):
        raise InputError(f"expected finite {name} logits, got NaN or infinite values in {sum(bad)} rows")
    return math.sqrt(sum(squares) / array.size) or 1.0


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
    precision: type[np.floating[Any]] = np.float64

    def thinned(self) -> "_Features":
        """Every eighth image."""
        return replace(self, logits=tuple(np.ascontiguousarray(x[::8]) for x in self.logits), labels=self.labels[::8].copy())


def _features(logits: Sequence[Tensor], labels: Tensor, scales: Sequence[float]) -> _Features:
    return _Features(tuple(_array(x) for x in logits), labels.numpy(force=True), np.array(scales))


def _of_both(base: Single, sidekick: Single) -> _Features:
    return _features([base.logits, sidekick.logits], base.labels, [base.scale, sidekick.scale])


@dataclass(frozen=True)
class _Minimum:
    weights: Floats
    nll: float
    gradient: Floats
    steps: int
    separated: bool


def _quadrant_minimum(features: _Features, alone: tuple[Single, Single]) -> _Minimum:
    """The minimum over two non-negative weights, given each model's own.

    A minimum over both weights that lies inside the quadrant is the quadrant's. Otherwise, or where there is no finite one, an
    edge's minimum is the quadrant's where the slope into it is not negative.
    """
    base, sidekick = alone
    inside = _minimum(features, np.array([base.weight / 2, sidekick.weight / 2]))
    sound = bool((inside.weights >= 0).all())
    if sound and (inside.weights > 0).all() and not inside.separated:
        return inside
    edges = [_at(features, np.array(w)) for w in ((base.weight, 0.0), (0.0, sidekick.weight))]
    for edge, single, inward in ((edges[0], base, 1), (edges[1], sidekick, 0)):
        if edge.gradient[inward] > _EDGE:
            return _Minimum(edge.weights, edge.nll, edge.gradient, single.steps, single.separated)
    best, single = min(zip(edges, alone, strict=True), key=lambda pair: pair[0].nll)
    if sound and inside.nll <= best.nll + 1e-12:
        return inside
    return _Minimum(best.weights, best.nll, best.gradient, inside.steps, single.separated)


def _minimum(features: _Features, start: Floats) -> _Minimum:
    """The minimum over one weight >= 0 or two free ones.

    A large split is begun on every eighth image and gone on with in single precision; only the last steps take all of the
    arithmetic. Where an earlier stage ends on an edge or runs off, the next begins from the start.
    """
    stages = [(features, _DECREASE)]
    if features.logits[0].size > LARGE:
        single = replace(features, precision=np.float32)
        stages = [(single.thinned(), 1e-5), (single, 1e-8), *stages]
    steps = 0
    for stage, decrease in stages:
        found = _newton(stage, start, decrease)
        steps += found.steps
        if not found.separated and (found.weights > 0).all():
            start = found.weights
    return replace(found, steps=steps)


def _newton(features: _Features, start: Floats, enough: float) -> _Minimum:
    """Newton's method with a halving line search, until its decrement is small enough."""
    first, steps = _at(features, start), 0
    if len(start) == 1 and start[0] == 0:
        if first.gradient[0] >= 0:
            return first
        # At 0 the NLL curves too little to say how far the minimum lies: logits of unit spread take about this much.
        first = _at(features, np.ones(1))
    for steps, here in enumerate(_path(features, first, enough), 1):  # noqa: B007
        pass
    far = np.abs(here.weights).max()
    if far > BOUND or _separated(features, here.weights):
        bounded = _at(features, here.weights * (BOUND / far))
        return _Minimum(bounded.weights, bounded.nll, bounded.gradient, steps, separated=True)
    return _Minimum(here.weights, here.nll, here.gradient, steps, separated=False)


def _path(features: _Features, here: "_Point", enough: float) -> Iterator["_Point"]:
    """The points that Newton's method passes through, the start among them."""
    for _ in range(_STEPS):
        yield here
        direction = -np.linalg.pinv(here.hessian, rcond=1e-12, hermitian=True) @ here.gradient
        decrease = -float(here.gradient @ direction)
        if decrease < enough or np.abs(here.weights).max() > BOUND:
            return
        moved = _line_search(features, here, direction, decrease)
        if moved is here:
            return
        here = moved
    yield here


@dataclass(frozen=True)
class _Point(_Minimum):
    """The NLL at given weights with its derivatives."""

    hessian: Floats


def _line_search(features: _Features, here: _Point, direction: Floats, decrease: float) -> _Point:
    """The first point along the direction, halving, that lowers the NLL enough; the start itself where none does."""
    # Below this the NLL's own rounding hides the decrease, and Newton's full step is right.
    hidden = 1e-12 if features.precision is np.float64 else 1e-5
    size = 1.0
    while size > 1e-10:
        there = _at(features, here.weights + size * direction)
        if decrease < hidden or there.nll <= here.nll - 1e-4 * size * decrease:
            return there
        size /= 2
    return here


def _at(features: _Features, weights: Floats) -> _Point:
    """Mean NLL, gradient and Hessian at the weights, from one softmax: the mean and covariance of the logits under it."""
    m, labels = len(weights), features.labels
    x, y = features.logits[0], features.logits[-1]  # one model is a pair whose second weight is 0
    u, v = (*(weights / features.scales), 0.0)[:2]
    unit = np.ones(1, features.precision)
    parts = over_blocks(lambda rows: kernels.moments(x[rows], y[rows], labels[rows], u, v, unit), len(labels), _rows(x))
    nll, f, g, ff, fg, gg = np.sum(parts, axis=0) / len(labels)
    return _Point(
        weights=weights,
        nll=float(nll),
        gradient=np.array([f, g])[:m] / features.scales,
        steps=0,
        separated=False,
        hessian=np.array([[ff, fg], [fg, gg]])[:m, :m] / np.outer(features.scales, features.scales),
    )


def _separated(features: _Features, weights: Floats) -> bool:
    """Whether every label has the largest logit, so that larger weights are better without end."""
    u, v = (*(weights / features.scales), 0.0)[:2]
    return bool(kernels.separates(features.logits[0], features.logits[-1], features.labels, u, v))


def _projected(weights: Floats, gradient: Floats) -> Floats:
    """The gradient without components that push a weight of zero below zero."""
    return np.where((weights == 0) & (gradient > 0), 0.0, gradient)
