"""How far the distributions that models give lie apart, image by image."""

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from duo_core.common.arrays import Floats, same_length
from duo_core.common.parallel import over_blocks
from duo_core.systems.weighing import weighted_sum

_ELEMENTS = 1 << 18
"""Logits a block, all models together, in double precision."""

_LEAST = 1e-300
"""A probability of 0 adds nothing to an entropy; the logarithm of this is taken in its place."""


def jensen_shannon(models: Sequence[Tensor], temperatures: Sequence[float], pairs: Sequence[tuple[int, int]]) -> Floats:
    """Return the Jensen-Shannon divergence H((p + q) / 2) - (H(p) + H(q)) / 2 of pairs of models, (pairs, n), nats.

    In [0, log 2]: 0 where both say the same, log 2 where neither thinks possible what the other does. In double precision; a class
    that one model masks has probability 0 there and keeps the other's.

    Parameters
    ----------
    models
        Logits (n, k) of each, any floating dtype.
    temperatures
        What multiplies each model's logits before the softmax.
    pairs
        Places of two models each.

    Examples
    --------
    >>> import torch
    >>> sure, other = torch.tensor([[99.0, 0.0]]), torch.tensor([[0.0, 99.0]])
    >>> jensen_shannon([sure, other], [1.0, 1.0], [(0, 1), (0, 0)]).round(6).tolist()
    [[0.693147], [0.0]]
    """
    same_length(**{f"model {place}": len(own) for place, own in enumerate(models)})
    n, k = models[0].shape
    found = np.empty((len(pairs), n))

    def block(rows: slice) -> None:
        own = [_probabilities(logits[rows], t) for logits, t in zip(models, temperatures, strict=True)]
        entropies = [_entropy(p) for p in own]
        for at, (i, j) in enumerate(pairs):
            apart = _entropy((own[i] + own[j]) / 2) - (entropies[i] + entropies[j]) / 2
            found[at, rows] = np.clip(apart, 0.0, math.log(2))

    over_blocks(block, n, _ELEMENTS // (k * len(models)))
    return found


def _probabilities(logits: Tensor, temperature: float) -> Floats:
    p: Floats = weighted_sum([logits], (temperature,)).softmax(1).numpy(force=True)
    return p


def _entropy(p: Floats) -> Floats:
    entropy: Floats = -(p * np.log(np.maximum(p, _LEAST))).sum(1)
    return entropy
