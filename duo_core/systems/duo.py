"""Temperatures, what a fit finds, the combination of two models' logits, and the variants that the paper compares."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from torch import Tensor


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

    >>> import torch
    >>> combine(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]), Temperatures(2.0, 0.5)).tolist()
    [[2.0, 1.0]]
    """
    masked = base.isneginf() | sidekick.isneginf()
    base, sidekick = (logits.double().masked_fill(masked, 0.0) for logits in (base, sidekick))
    return (base * temperatures.base + sidekick * temperatures.sidekick).masked_fill(masked, -math.inf)
