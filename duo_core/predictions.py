"""The only place where logits (n, k) become a few numbers an image (n,)."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from duo_core.arrays import InputError, Predictions, UncertaintyKind, same_length
from duo_core.blocks import over_blocks
from duo_core.duo import VARIANTS, Fit, Temperatures

_COLUMNS = ("predicted", "confidence", "doubt", "entropy", "nll", "brier")


def variant_predictions(
    base: Tensor,
    sidekick: Tensor,
    labels: Tensor,
    fit: Fit,
    *,
    variants: Iterable[str] = tuple(VARIANTS),
    kind: UncertaintyKind = "softmax",
) -> dict[str, Predictions]:
    """Return what each variant predicts and how sure it is (paper Sec. 3.1).

    Parameters
    ----------
    base, sidekick
        Logits (n, k), any floating dtype; the arithmetic is float64.
    labels
        int64 (n,).
    fit
        Temperatures found on the fit split.
    variants
        Keys of VARIANTS.
    kind
        Which uncertainty ranks the images: 1 - max softmax, or entropy.
    """
    return {
        key: pair_predictions(base, sidekick, labels, VARIANTS[key].weights(fit), classes=VARIANTS[key].classes, kind=kind)
        for key in variants
    }


def pair_predictions(
    base: Tensor,
    sidekick: Tensor,
    labels: Tensor,
    temperatures: Temperatures,
    *,
    classes: str = "combined",
    kind: UncertaintyKind = "softmax",
) -> Predictions:
    """Reduce one weighting of two models' logits to Predictions.

    `classes` says whose largest logit is the predicted class: that of the `combined` logits, of the `base` or of the `sidekick`.
    Confidence and uncertainty are those of that class under the combined distribution. Of tied logits the lowest class wins.

    >>> one = torch.tensor([[2.0, 0.0]])
    >>> p = pair_predictions(one, one, torch.tensor([0]), Temperatures(0.5, 0.5))
    >>> p.predicted.tolist(), round(p.confidence.item(), 4), round(p.nll.item(), 4)
    ([0], 0.8808, 0.1269)
    """
    same_length(base=len(base), sidekick=len(sidekick), labels=len(labels))
    source = {"combined": None, "base": base, "sidekick": sidekick}[classes]

    def reduced(at: slice) -> tuple[Tensor, ...]:
        predicted = None if source is None else source[at].argmax(1)
        return _reduced(_weighted(base[at], sidekick[at], temperatures), labels[at], predicted)

    blocks = over_blocks(reduced, *base.shape)
    columns = {name: torch.cat(parts).cpu().numpy() for name, parts in zip(_COLUMNS, zip(*blocks, strict=True), strict=True)}
    if not np.isfinite(columns["nll"]).all():
        raise InputError(f"expected finite logits, got NaN or infinite values in {(~np.isfinite(columns['nll'])).sum()} rows")
    return Predictions(labels=labels.cpu().numpy(), **columns, kind=kind)


def _weighted(base: Tensor, sidekick: Tensor, temperatures: Temperatures) -> Tensor:
    """Combined logits, float64; a model of weight 0 is not touched."""
    terms = [
        logits.double() * weight for logits, weight in ((base, temperatures.base), (sidekick, temperatures.sidekick)) if weight
    ]
    return sum(terms[1:], terms[0]) if terms else torch.zeros_like(base, dtype=torch.float64)


def _reduced(logits: Tensor, labels: Tensor, predicted: Tensor | None) -> tuple[Tensor, ...]:
    """The columns of Predictions for one block of combined logits (b, k).

    With the row's largest logit subtracted, its exponential is 1 and `rest` is the sum of the others: 1 - max softmax is
    rest / (1 + rest) and never a difference of nearly equal numbers.
    """
    top = logits.argmax(1, keepdim=True)
    logits = logits - logits.gather(1, top)
    exponentials = logits.exp()
    true = labels[:, None]
    own, true_logit = (exponentials.gather(1, true)[:, 0], logits.gather(1, true)[:, 0])
    entropy_sum = (exponentials * logits).sum(1)
    predicted = top[:, 0] if predicted is None else predicted
    chosen = exponentials.gather(1, predicted[:, None])[:, 0]
    exponentials.scatter_(1, top, 0.0)
    rest = exponentials.sum(1)
    right = labels == top[:, 0]
    others_squared = exponentials.square().sum(1) + torch.where(right, 0.0, 1.0 - own.square())
    total = 1.0 + rest
    doubt = torch.where(predicted == top[:, 0], rest, total - chosen) / total
    missing = torch.where(right, rest, total - own) / total
    nll = rest.log1p() - true_logit
    return (
        predicted,
        chosen / total,
        doubt,
        rest.log1p() - entropy_sum / total,
        nll,
        missing.square() + others_squared / total.square(),
    )
