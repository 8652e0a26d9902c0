"""The reduction of `pair_loops` in plain torch, for logits that lie on a GPU; double precision, every job of a block in turn."""

from collections.abc import Sequence

import torch
from torch import Tensor

LEAST = -1e300
"""The logit of a masked class: its exponential is 0, and its product with that, too."""


def classes(block: Tensor) -> Tensor:
    """Class that each model predicts in a block (m, b, k), of tied logits the lowest; -1 where one is NaN or infinite.

    Minus infinity is a class that is masked in its row; not all of them are.
    """
    return torch.where((block < torch.inf).all(2) & (block > -torch.inf).any(2), block.argmax(2), -1)


def columns(
    x: Tensor, y: Tensor, labels: Tensor, own: tuple[Tensor, Tensor], weights: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Return the predicted class (b,) and `pair_loops.COLUMNS` (6, b) of u * x + v * y, logits (b, k) and weights (u, v).

    With the largest logit subtracted, its exponential is 1 and `rest` the sum of the others, so that 1 - max softmax is never a
    difference of nearly equal numbers.
    """
    masked = x.isneginf() | y.isneginf()
    x, y = (own.double().masked_fill(masked, 0.0) for own in (x, y))
    logits = (x * weights[0] + y * weights[1]).masked_fill_(masked, LEAST)
    top = logits.argmax(1, keepdim=True)
    return top[:, 0], columns_of(logits, top, labels, own)


def columns_of(logits: Tensor, top: Tensor, labels: Tensor, said: Sequence[Tensor]) -> Tensor:
    """Return doubt, entropy, NLL, Brier score and 1 - the probability of each class that is said, (4 + len(said), b).

    Of logits (b, k), which are changed, given the predicted class (b, 1).
    """
    logits -= logits.gather(1, top)
    exponentials = logits.exp()
    label, label_logit = _at(exponentials, labels), _at(logits, labels)
    slope = (exponentials * logits.clamp(min=LEAST)).sum(1)
    of_said = [_at(exponentials, c) for c in said]
    exponentials.scatter_(1, top, 0.0)
    rest, square = exponentials.sum(1), exponentials.square().sum(1)
    total = 1 + rest
    right = labels == top[:, 0]
    missing = torch.where(right, rest, total - label) / total
    others = square + torch.where(right, 0.0, 1 - label.square())
    doubts = [torch.where(c == top[:, 0], rest, total - e) / total for c, e in zip(said, of_said, strict=True)]
    found = (rest / total, rest.log1p() - slope / total, rest.log1p() - label_logit, missing.square() + others / total.square())
    return torch.stack([*found, *doubts])


def _at(values: Tensor, classes: Tensor) -> Tensor:
    return values.gather(1, classes[:, None])[:, 0]
