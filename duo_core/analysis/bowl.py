"""The NLL of the fit split as a surface over the two temperatures: the bowl whose bottom the fit finds."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from duo_core.analysis.subsets import stratified_sample
from duo_core.common.arrays import Floats, InputError, same_length
from duo_core.common.parallel import over_blocks
from duo_core.systems.duo import VARIANTS, Fit, Temperatures
from duo_core.systems.pair_predicting import pair_predictions

POINTS = 41
MARKED = ("duo", "base", "sidekick", "unweighted")
"""Variants with temperatures of their own."""
LOGITS = 5_000_000
"""Logits a model (images times classes) up to which every image counts; of larger splits a stratified sample is drawn."""
SEED = 0

_BLOCK = 1 << 13
"""Logits a block; its exponentials, at every grid point of an axis, should stay in a core's cache."""
_SAFE = 1e-30
"""A sum of products of exponentials above this has lost nothing that float32 would have kept."""


@dataclass(frozen=True)
class Bowl:
    """NLL, in nats, on a grid of temperatures."""

    base: Floats
    """Temperatures of the base, (p,), from 0 up."""
    sidekick: Floats
    """Temperatures of the sidekick, (q,), from 0 up."""
    nll: Floats
    """Mean NLL, (q, p): a row for each temperature of the sidekick."""
    images: int
    """Images that it is the mean of."""

    def table(self) -> pd.DataFrame:
        """Return the surface as one row a grid point: `T_base`, `T_sidekick`, `nll`."""
        base, sidekick = np.meshgrid(self.base, self.sidekick)
        return pd.DataFrame({"T_base": base.ravel(), "T_sidekick": sidekick.ravel(), "nll": self.nll.ravel()})


def reach(fit: Fit, role: str) -> float:
    """The largest temperature of `base` or `sidekick` worth showing: twice that of the duo or of the model alone, not 0."""
    return 2.0 * max(getattr(fit.temperatures, role), getattr(fit.calibration, role)) or 1.0


def marks_of(base: Tensor, sidekick: Tensor, labels: Tensor, fit: Fit) -> dict[str, tuple[Temperatures, float]]:
    """Return the temperatures of each variant that has its own, and the NLL on the fit split there, in nats.

    `base` and `sidekick` are its logits (n, k), whole.
    """
    own = {name: VARIANTS[name].weights(fit) for name in MARKED}
    rest = {name: at for name, at in own.items() if name not in fit.nll}
    known = {**fit.nll, **{name: float(pair_predictions(base, sidekick, labels, at).nll.mean()) for name, at in rest.items()}}
    return {name: (at, known[name]) for name, at in own.items()}


def bowl(base: Tensor, sidekick: Tensor, labels: Tensor, fit: Fit, *, points: int = POINTS) -> Bowl:
    """Return the NLL over a grid of both temperatures from 0 to their `reach`.

    exp(s * f + t * g) = exp(s * f) * exp(t * g), so the softmax's denominators of all pairs of temperatures are one product of two
    small matrices for each image, and exponentials are taken once a temperature instead of once a pair. They are float32: the
    surface is within 1e-5 nats of the exact one.

    Parameters
    ----------
    base, sidekick
        Logits (n, k) of the fit split. Where n * k is above LOGITS, a stratified sample drawn with SEED stands for them.
    labels
        int64 (n,).
    fit
        What was learned: it says how far the grid reaches.
    points
        Grid points along either axis, at least 2.
    """
    if points < 2:
        raise InputError(f"expected at least 2 grid points along an axis, got {points}")
    same_length(base=len(base), sidekick=len(sidekick), labels=len(labels))
    n, k = base.shape
    if n * k > LOGITS:
        rows = stratified_sample(labels, max(1, LOGITS // k), SEED)
        base, sidekick, labels = base[rows], sidekick[rows], labels[rows]
    axes = [torch.linspace(0.0, reach(fit, role), points, dtype=torch.float64) for role in ("base", "sidekick")]
    parts = over_blocks(lambda rows: _nll([base[rows], sidekick[rows]], labels[rows], axes), len(labels), _BLOCK // k)
    total = torch.stack(parts).sum(0) / len(labels)
    return Bowl(axes[0].numpy(), axes[1].numpy(), total.T.numpy(), len(labels))


def _nll(pair: list[Tensor], labels: Tensor, axes: list[Tensor]) -> Tensor:
    """The summed NLL of a block, (p, q); logits are taken relative to each model's largest, so no exponential exceeds 1."""
    wide = [logits.to(torch.promote_types(logits.dtype, torch.float32)) for logits in pair]
    shifted = [(logits - logits.amax(1, keepdim=True)).float() for logits in wide]
    first, second = (
        (axis.float()[:, None] * logits[:, None, :]).exp_() for axis, logits in zip(axes, shifted, strict=True)
    )  # (b, p, k), (b, q, k)
    sums = torch.bmm(first, second.transpose(1, 2))
    logarithms = sums.double().log_()
    # Where each model is sure of a class that the other rules out, every product may vanish: such images are summed as logarithms.
    for row in torch.nonzero(sums.amin((1, 2)) < _SAFE)[:, 0]:
        logarithms[row] = _exact([logits[row] for logits in shifted], axes)
    of_label = [logits.gather(1, labels[:, None]).sum(dtype=torch.float64) for logits in shifted]
    return logarithms.sum(0) - axes[0][:, None] * of_label[0] - axes[1][None, :] * of_label[1]


def _exact(pair: list[Tensor], axes: list[Tensor]) -> Tensor:
    """The logarithms of one image's sums, (p, q), however small they are."""
    return torch.logsumexp(axes[0][:, None, None] * pair[0].double() + axes[1][None, :, None] * pair[1].double(), dim=2)
