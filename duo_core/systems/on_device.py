"""The reduction of `loops` in plain torch, for logits that lie on a GPU; double precision."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from duo_core.systems.pair_on_device import LEAST, columns_of
from duo_core.systems.weighing import log_mean, weighted_sum


def columns(
    logits: Sequence[Tensor], labels: Tensor, own: Sequence[Tensor], weights: Sequence[float], final: float, pooled: bool, said: int
) -> tuple[Tensor, Tensor]:
    """Return the predicted class (b,) and `loops.COLUMNS` (5, b) of one job.

    Parameters
    ----------
    logits, own
        Of the job's members: (b, k), and the classes (b,) that they predict.
    weights, final, pooled
        As in `loops.reduce`.
    said
        Place of the member whose own class the last column is about.
    """
    total = (log_mean if pooled else weighted_sum)(logits, tuple(weights))
    masked = total.isneginf()
    top = _agreed(total, masked, own, weights)
    scaled = (total.masked_fill_(masked, 0.0) * final).masked_fill_(masked, LEAST)
    return top, columns_of(scaled, top[:, None], labels, [own[said]])


def _agreed(total: Tensor, masked: Tensor, own: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The class of the largest value, of tied ones the lowest; where all members with a weight predict one, that one."""
    voters = [classes for classes, weight in zip(own, weights, strict=True) if weight > 0]
    top = total.argmax(1)
    if not voters:
        return top
    agreed = functools.reduce(torch.logical_and, (classes == voters[0] for classes in voters))
    agreed &= ~masked.gather(1, voters[0][:, None])[:, 0]
    return torch.where(agreed, voters[0], top)
