"""Walks through images in the order of their uncertainty."""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def tie_ends(ranked, wrong):
    """Ends of the blocks of equal values in a sorted array (n,), and how many are wrong up to each end; int64."""
    ends, errors = np.empty(len(ranked), np.int64), np.empty(len(ranked), np.int64)
    blocks, total = 0, 0
    for i in range(len(ranked)):
        total += int(wrong[i])
        if i + 1 == len(ranked) or ranked[i + 1] != ranked[i]:
            ends[blocks], errors[blocks] = i + 1, total
            blocks += 1
    return ends[:blocks], errors[:blocks]


@njit(nogil=True, cache=True)
def running_risks(ends, errors):
    """Errors among the first j over j, for j = 1..n, float64 (n,); those of a block are shared evenly by its members."""
    risks = np.empty(ends[-1])
    start = wrong = 0
    for block in range(len(ends)):
        share = (errors[block] - wrong) / (ends[block] - start)
        for j in range(start + 1, ends[block] + 1):
            risks[j - 1] = (wrong + share * (j - start)) / j
        start, wrong = ends[block], errors[block]
    return risks
