"""The reduction of `kernels` in plain torch, for logits that lie on a GPU; double precision, every job of a block in turn."""

import torch
from torch import Tensor


def classes(block: Tensor) -> Tensor:
    """Class that each model predicts in a block (m, b, k), of tied logits the lowest; -1 where one is not finite."""
    return torch.where(block.isfinite().all(2), block.argmax(2), -1)


def columns(
    x: Tensor, y: Tensor, labels: Tensor, own: tuple[Tensor, Tensor], weights: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Return the predicted class (b,) and `kernels.COLUMNS` (6, b) of u * x + v * y, logits (b, k) and weights (u, v).

    With the largest logit subtracted, its exponential is 1 and `rest` the sum of the others, so that 1 - max softmax is never a
    difference of nearly equal numbers.
    """
    logits = x.double() * weights[0] + y.double() * weights[1]
    top = logits.argmax(1, keepdim=True)
    logits -= logits.gather(1, top)
    exponentials = logits.exp()
    label, label_logit = _at(exponentials, labels), _at(logits, labels)
    slope = (exponentials * logits).sum(1)
    of_first, of_second = (_at(exponentials, c) for c in own)
    exponentials.scatter_(1, top, 0.0)
    rest, square = exponentials.sum(1), exponentials.square().sum(1)
    total = 1 + rest
    right = labels == top[:, 0]
    missing = torch.where(right, rest, total - label) / total
    others = square + torch.where(right, 0.0, 1 - label.square())
    doubts = [torch.where(c == top[:, 0], rest, total - e) / total for c, e in zip(own, (of_first, of_second), strict=True)]
    found = (rest / total, rest.log1p() - slope / total, rest.log1p() - label_logit, missing.square() + others / total.square())
    return top[:, 0], torch.stack([*found, *doubts])


def _at(values: Tensor, classes: Tensor) -> Tensor:
    return values.gather(1, classes[:, None])[:, 0]
