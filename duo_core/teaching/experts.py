"""Two made-up experts who sort images into three classes: a stated model of which everything is known, drawn from a seed."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.systems.duo import Temperatures

CLASSES = 3
SEED = 12
"""Drawn by it, two experts of one quality are about as often right, which not every draw of so few images shows."""
OVERLAP = 0.2
"""How much alike two experts err where nothing else is said."""


@dataclass(frozen=True)
class Expert:
    """How much an expert sees and how sure it sounds."""

    quality: float
    """How far evidence for the true class stands out of noise of standard deviation 1; 0 sees nothing."""
    boldness: float
    """What it multiplies its evidence with. Honest is a boldness equal to the quality; above, it sounds surer than it is."""


BASE = Expert(quality=2.0, boldness=4.0)
SIDEKICK = Expert(quality=1.4, boldness=2.0)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Two models' logits on the images of one split."""

    base: Tensor
    """(n, k), any floating dtype."""
    sidekick: Tensor
    """(n, k)."""
    labels: Tensor
    """int64 (n,)."""


@dataclass(frozen=True, eq=False)
class Splits:
    """A pair of models on the images to fit on and on those to judge on, made up or real."""

    fit: Drawn
    test: Drawn


@dataclass(frozen=True, eq=False)
class Classroom(Splits):
    """A made-up pair and what it was made from."""

    base: Expert
    sidekick: Expert
    overlap: float
    seed: int


def classroom(
    base: Expert = BASE,
    sidekick: Expert = SIDEKICK,
    *,
    overlap: float = OVERLAP,
    seed: int = SEED,
    n: int = 4000,
    n_fit: int = 2000,
) -> Classroom:
    """Draw two experts' logits on images of three classes that are equally likely.

    An image of class y gives an expert the evidence x = quality * onehot(y) + noise, its noise standard normal in each class; the
    two noises have the correlation `overlap`, class by class. Its logits are boldness * x. So an expert's true probabilities are
    softmax(quality * x), and the best weights of two follow from a formula: `best_temperatures`.

    One seed draws the same images whatever the experts: where one of them or the overlap changes, the base stays as it is.

    Parameters
    ----------
    overlap
        In [0, 1): 0 for experts who err independently.
    n, n_fit
        Images to judge on and to fit on.

    >>> room = classroom(n=2, n_fit=1)
    >>> tuple(room.test.base.shape), tuple(room.fit.sidekick.shape), room.test.labels.dtype
    ((2, 3), (1, 3), torch.int64)
    """
    if not 0 <= overlap < 1:
        raise InputError(f"expected an overlap in [0, 1), got {overlap}; two experts who err alike are one")
    random = np.random.default_rng(seed)
    labels = random.integers(CLASSES, size=n_fit + n)
    own, other = random.standard_normal((2, n_fit + n, CLASSES))
    noises = own, overlap * own + np.sqrt(1 - overlap**2) * other
    truth = np.eye(CLASSES)[labels]
    logits = [
        torch.from_numpy((expert.boldness * (expert.quality * truth + noise)).astype(np.float32))
        for expert, noise in zip((base, sidekick), noises, strict=True)
    ]
    everything = (*logits, torch.from_numpy(labels))
    fit, test = Drawn(*(part[:n_fit] for part in everything)), Drawn(*(part[n_fit:] for part in everything))
    return Classroom(fit, test, base, sidekick, overlap, seed)


def best_temperatures(base: Expert, sidekick: Expert, overlap: float) -> Temperatures:
    """Return the weights of the two experts' logits that minimise the NLL over all images that could be drawn.

    The evidence of both, weighted by Sigma^-1 (quality_base, quality_sidekick) with Sigma = [[1, overlap], [overlap, 1]], gives the
    true probabilities. Where a weight would be negative it is 0, as the fit has it, and the other expert stands alone.

    >>> best_temperatures(Expert(2.0, 4.0), Expert(1.0, 1.0), 0.0), best_temperatures(Expert(2.0, 4.0), Expert(1.0, 1.0), 0.6)
    (Temperatures(base=0.5, sidekick=1.0), Temperatures(base=0.5, sidekick=0.0))
    """
    weights = [one.quality - overlap * other.quality for one, other in ((base, sidekick), (sidekick, base))]
    if min(weights) > 0:
        weights = [weight / (1 - overlap**2) for weight in weights]
    else:
        weights = [expert.quality if weight > 0 else 0.0 for expert, weight in zip((base, sidekick), weights, strict=True)]
    return Temperatures(weights[0] / base.boldness, weights[1] / sidekick.boldness)


def real(logit_set: LogitSet, base: str, sidekick: str, split: str = "test") -> Splits:
    """Return a pair of a logit set's models in the same form, to fit on its fit split and to judge on another."""
    fit, test = (
        Drawn(logit_set.logits(base, name), logit_set.logits(sidekick, name), logit_set.labels[name]) for name in (FIT_SPLIT, split)
    )
    return Splits(fit, test)
