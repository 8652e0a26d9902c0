"""Random samples that hold every class in proportion."""

import numpy as np
import torch
from torch import Tensor

from duo_core.common.arrays import InputError


def stratified_sample(labels: Tensor, size: int, seed: int) -> Tensor:
    """Draw rows, int64 (size,) in ascending order: every row is as likely as every other, every class in proportion.

    With the rows laid out class by class, in random order within and among classes, every n/size-th one is taken from a random
    start. So each class gets its share of `size`, rounded down or up.

    >>> labels = torch.tensor([0] * 60 + [1] * 30)
    >>> labels[stratified_sample(labels, 6, seed=0)].tolist()
    [0, 0, 0, 0, 1, 1]
    """
    return stratified_samples(labels, size, seed, 1)[0]


def stratified_samples(labels: Tensor, size: int, seed: int, samples: int) -> list[Tensor]:
    """Draw several such samples at once; none shares a row with another as long as there are rows enough, samples * size.

    Their starts lie `size` apart, in units of 1/size rows, which moves every row taken on by one.

    >>> one, other = stratified_samples(torch.tensor([0, 0, 1, 1]), 2, seed=0, samples=2)
    >>> sorted([*one.tolist(), *other.tolist()])
    [0, 1, 2, 3]
    """
    n = len(labels)
    if not 0 < size <= n:
        raise InputError(f"expected a sample of 1 to {n} of {n} rows, got {size}")
    random = np.random.default_rng(seed)
    rows, classes = random.permutation(n), labels.cpu().numpy()
    place = random.permutation(int(classes.max()) + 1)
    laid_out = rows[np.argsort(place[classes[rows]], kind="stable")]
    starts = (random.integers(n) + np.arange(samples) * size) % n  # in whole numbers, so that no rounding favours a row
    return [torch.from_numpy(np.sort(laid_out[(np.arange(size) * n + start) // size])) for start in starts]
