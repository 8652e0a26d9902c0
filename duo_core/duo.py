"""Temperatures, the combination of two models' logits, the exact fit, and the variants that the paper compares."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from duo_core.arrays import InputError, same_length
from duo_core.blocks import over_blocks

BOUND = 100.0
"""Largest weight that the fit gives a model whose logits are scaled to a root mean square deviation of 1.

Reached only where the fit split is separated perfectly, so that no finite temperature is best."""

_STEPS = 100
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
    features, scales = zip(
        *(_normalised(logits, labels, name) for name, logits in (("base", base), ("sidekick", sidekick))), strict=True
    )
    if base.shape != sidekick.shape:
        raise InputError(f"expected base and sidekick logits of one shape, got {tuple(base.shape)} and {tuple(sidekick.shape)}")
    alone = [_minimum([feature], torch.zeros(1, dtype=torch.float64)) for feature in features]
    both = _quadrant_minimum(features, *alone)
    scale = torch.tensor(scales, dtype=torch.float64)
    raw = both.weights / scale
    named = {"base": alone[0], "sidekick": alone[1], "duo": both}
    return Fit(
        temperatures=Temperatures(*raw.tolist()),
        calibration=Temperatures(*(single.weights.item() / s for single, s in zip(alone, scales, strict=True))),
        nll={name: found.nll for name, found in named.items()},
        gradient=_projected(both.weights, both.gradient * scale).norm().item(),
        steps=both.steps,
        separated=tuple(name for name, found in named.items() if found.separated),
    )


@dataclass(frozen=True)
class _Minimum:
    weights: Tensor
    nll: float
    gradient: Tensor
    steps: int
    separated: bool


def _normalised(logits: Tensor, labels: Tensor, name: str) -> tuple[Tensor, float]:
    """Logits relative to the label's, in units of their root mean square deviation from each row's mean; and that unit."""
    if logits.ndim != 2 or 0 in logits.shape:
        raise InputError(f"expected {name} logits of shape (n, k) with n and k at least 1, got {tuple(logits.shape)}")
    same_length(**{f"{name} logits": len(logits), "labels": len(labels)})
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        raise InputError(f"expected labels in 0..{logits.shape[1] - 1}, got {int(labels.min())}..{int(labels.max())}")
    wide = logits.double()
    if not torch.isfinite(wide).all():
        raise InputError(
            f"expected finite {name} logits, got NaN or infinite values in {int((~torch.isfinite(wide)).any(1).sum())} rows"
        )
    scale = (wide - wide.mean(1, keepdim=True)).square().mean().sqrt().item() or 1.0
    return (wide - wide.gather(1, labels[:, None])) / scale, scale


def _quadrant_minimum(features: Sequence[Tensor], base: _Minimum, sidekick: _Minimum) -> _Minimum:
    """The minimum over two non-negative weights, given each model's own."""
    edges = [
        _at(features, torch.tensor(w, dtype=torch.float64)) for w in ((base.weights.item(), 0.0), (0.0, sidekick.weights.item()))
    ]
    for edge, single, inward in ((edges[0], base, 1), (edges[1], sidekick, 0)):
        if edge.gradient[inward] > _EDGE:
            return _Minimum(edge.weights, edge.nll, edge.gradient, single.steps, single.separated)
    inside = _minimum(features, torch.stack([base.weights[0] / 2, sidekick.weights[0] / 2]))
    best, single = min(zip(edges, (base, sidekick), strict=True), key=lambda pair: pair[0].nll)
    if bool((inside.weights >= 0).all()) and inside.nll <= best.nll + 1e-12:
        return inside
    return _Minimum(best.weights, best.nll, best.gradient, inside.steps, single.separated)


def _minimum(features: Sequence[Tensor], start: Tensor) -> _Minimum:
    """Newton's method with a halving line search; one weight stays >= 0, two are free."""
    weights, steps = start, 0
    here = _at(features, weights)
    if len(features) == 1 and here.gradient[0] >= 0:
        return here
    for steps in range(1, _STEPS + 1):  # noqa: B007
        direction = -torch.linalg.pinv(here.hessian, rtol=1e-12, hermitian=True) @ here.gradient
        decrease = -(here.gradient @ direction).item()
        if decrease < 1e-26 or weights.abs().max() > BOUND:
            break
        moved = _line_search(features, here, direction, decrease)
        if moved is here:
            break
        here, weights = moved, moved.weights
    if here.all_right or weights.abs().max() > BOUND:
        bounded = _at(features, weights * (BOUND / weights.abs().max()))
        return _Minimum(bounded.weights, bounded.nll, bounded.gradient, steps, separated=True)
    return _Minimum(here.weights, here.nll, here.gradient, steps, separated=False)


@dataclass(frozen=True)
class _Point(_Minimum):
    """The NLL at given weights with its derivatives, and whether every label has the largest logit there."""

    hessian: Tensor
    all_right: bool


def _line_search(features: Sequence[Tensor], here: _Point, direction: Tensor, decrease: float) -> _Point:
    """The first point along the direction, halving, that lowers the NLL enough; the start itself where none does."""
    size = 1.0
    while size > 1e-10:
        there = _at(features, here.weights + size * direction)
        # Below this the NLL's own rounding hides the decrease, and Newton's full step is right.
        if decrease < 1e-12 or there.nll <= here.nll - 1e-4 * size * decrease:
            return there
        size /= 2
    return here


def _at(features: Sequence[Tensor], weights: Tensor) -> _Point:
    """Mean NLL, gradient and Hessian at the weights, from one softmax: the mean and covariance of the features under it."""
    n, k = features[0].shape
    parts = over_blocks(lambda rows: _moments([feature[rows] for feature in features], weights), n, k)
    nll, first, second, top = (torch.cat(column) for column in zip(*parts, strict=True))
    covariance = second - first[:, :, None] * first[:, None, :]
    return _Point(
        weights=weights,
        nll=nll.mean().item(),
        gradient=first.mean(0),
        steps=0,
        separated=False,
        hessian=covariance.mean(0),
        all_right=bool((top <= 0).all()) and bool((nll < math.log(k)).any()),
    )


def _moments(features: Sequence[Tensor], weights: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """By image of a block: NLL (b,), first moments (b, m) and second moments (b, m, m) of the features, largest logit (b,)."""
    logits = weights[0] * features[0]
    for weight, feature in zip(weights[1:], features[1:], strict=True):
        logits += weight * feature
    top = logits.amax(1, keepdim=True)
    p = logits.sub_(top).exp_()
    total = p.sum(1, keepdim=True)
    p /= total
    weighted = [p * feature for feature in features]
    first = torch.stack([product.sum(1) for product in weighted], 1)
    second = torch.stack([torch.stack([torch.linalg.vecdot(one, feature) for feature in features], 1) for one in weighted], 1)
    return (top + total.log())[:, 0], first, second, top[:, 0]


def _projected(weights: Tensor, gradient: Tensor) -> Tensor:
    """The gradient without components that push a weight of zero below zero."""
    return torch.where((weights == 0) & (gradient > 0), torch.zeros_like(gradient), gradient)
