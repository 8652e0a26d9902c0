"""The exact fit: temperature scaling of single models, and of a pair of them (paper Sec. 3.1)."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duo_core.common.arrays import Floats, InputError, same_length
from duo_core.common.parallel import over_blocks
from duo_core.systems import pair_loops
from duo_core.systems.duo import Fit, Temperatures
from duo_core.systems.newton import DECREASE, Features, Minimum, minimum, nested_minimum, nll_at, path, rows_a_block, separating

_EDGE = 1e-9
"""Slope of the NLL, in units of the root of its curvature, above which an edge of the quadrant binds; models that say the same lie
below it."""
_SINGLE = 1e-12, 1e12
"""Absolute logits whose squares single precision can add up."""
_DOUBLE = 1e-100, 1e100
"""The same of double precision; logits beyond are rescaled, and clipped to it."""


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
    found = minimum(features_of([logits], labels, [survey]), np.zeros(1))
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
    alone = masked_alike(base, sidekick)
    both, scales = _quadrant_minimum(_of_both(*alone), alone), np.array([single.scale for single in alone])
    named: dict[str, Single | Minimum] = {"base": base, "sidekick": sidekick, "duo": both}
    return Fit(
        temperatures=Temperatures(*(both.weights / scales).tolist()),
        calibration=Temperatures(base.temperature, sidekick.temperature),
        nll={name: found.nll for name, found in named.items()},
        gradient=math.hypot(*projected(both.weights, both.gradient * scales)),
        steps=both.steps,
        separated=tuple(name for name, found in named.items() if found.separated),
    )


def masked_alike(*members: Single) -> tuple[Single, ...]:
    """The models as members of one system: a class that one of them masks in a row is left out there, whatever the weights."""
    if not any(single.survey.masked for single in members):
        return members
    out = functools.reduce(torch.logical_or, (single.logits.isneginf() for single in members))
    return tuple(_masked(single, out) for single in members)


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
    points = path(features, nll_at(features, np.array(start) * scales), DECREASE, separating(features))
    return [Temperatures(*(point.weights / scales).tolist()) for point in points]


def _surveyed(logits: Tensor, labels: Tensor, name: str) -> Survey:
    """Look at logits before they are fitted; InputError where they or the labels are unsound."""
    if logits.ndim != 2 or 0 in logits.shape:
        raise InputError(f"expected {name} logits of shape (n, k) with n and k at least 1, got {tuple(logits.shape)}")
    same_length(**{f"{name} logits": len(logits), "labels": len(labels)})
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        raise InputError(f"expected labels in 0..{logits.shape[1] - 1}, got {int(labels.min())}..{int(labels.max())}")
    array, true, margins = array_of(logits), labels.numpy(force=True), np.empty(len(logits))
    parts = over_blocks(lambda rows: pair_loops.survey(array[rows], true[rows], margins[rows]), len(array), rows_a_block(array))
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


def _quadrant_minimum(features: Features, alone: tuple[Single, ...]) -> Minimum:
    """The minimum over two non-negative weights, given each model's own.

    A minimum over both weights that lies inside the quadrant is the quadrant's. Otherwise, or where there is no finite one, an
    edge's minimum is the quadrant's where the slope into it is not negative. Where neither is found, as where a logit of -1e38 has
    the NLL fall by much within a hair's breadth of an edge, one weight is sought within the search for the other.
    """
    base, sidekick = alone
    inside = minimum(features, np.array([base.weight / 2, sidekick.weight / 2]))
    sound = bool((inside.weights >= 0).all()) and inside.nll <= min(base.nll, sidekick.nll) + 1e-12
    if sound and inside.found and (inside.weights > 0).all() and not inside.separated:
        return inside
    edges = [nll_at(features, np.array(w)) for w in ((base.weight, 0.0), (0.0, sidekick.weight))]
    inward = [edges[0].slope(1), edges[1].slope(0)]
    for edge, slope, single in zip(edges, inward, alone, strict=True):
        if slope > _EDGE:
            return Minimum(edge.weights, edge.nll, edge.gradient, single.steps, single.separated)
    if max(inward) < -_EDGE and not (inside.found or inside.separated):
        return nested_minimum(features)
    best, single = min(zip(edges, alone, strict=True), key=lambda pair: pair[0].nll)
    if sound and inside.nll <= best.nll + 1e-12:
        return inside
    return Minimum(best.weights, best.nll, best.gradient, inside.steps, single.separated)


def features_of(logits: Sequence[Tensor], labels: Tensor, surveys: Sequence[Survey]) -> Features:
    """What the NLL of models on the same images depends on beside their weights."""
    return Features(
        logits=tuple(_rescaled(array_of(x), survey.exponent) for x, survey in zip(logits, surveys, strict=True)),
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


def _of_both(base: Single, sidekick: Single) -> Features:
    return features_of([base.logits, sidekick.logits], base.labels, [base.survey, sidekick.survey])


def array_of(logits: Tensor) -> NDArray[Any]:
    """The logits as the compiled loops take them: half precision widened, which is exact."""
    wide = logits if logits.dtype in {torch.float32, torch.float64} else logits.float()
    return np.ascontiguousarray(wide.numpy(force=True))


def projected(weights: Floats, gradient: Floats) -> Floats:
    """The gradient without components that push a weight of zero below zero."""
    return np.where((weights == 0) & (gradient > 0), 0.0, gradient)
