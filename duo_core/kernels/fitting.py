"""The NLL of two weighted models with its derivatives, and the spread of a model's logits."""

import math

import numpy as np
from numba import njit

from duo_core.kernels.terms import FAST, LOG2_E, exp2, first_largest, relative

_HUGE = 1e30
"""Sums of exponentials that reach this are done again, relative to the largest and in double precision."""


@njit(nogil=True, cache=True)
def spread(logits):
    """Sum over rows (n, k) of squared deviations from the row's mean, and the number of rows that are not finite."""
    total, bad = 0.0, 0
    for row in logits:
        deviation = _deviation(row)
        if np.isfinite(deviation):
            total += deviation
        else:
            bad += 1
    return total, bad


@njit(nogil=True, cache=True, fastmath=FAST - {"nnan", "ninf"})
def _deviation(row):
    """Sum of squared deviations from the mean, each logit taken relative to the first."""
    first = np.float64(row[0])
    total = squares = 0.0
    for j in range(len(row)):
        value = np.float64(row[j]) - first
        total += value
        squares += value * value
    return max(squares - total * total / len(row), 0.0) if np.isfinite(squares) else squares


@njit(nogil=True, cache=True)
def moments(x, y, labels, u, v, unit):
    """Sums over rows of the NLL of u * x + v * y and of its derivatives, from one softmax a row.

    Parameters
    ----------
    x, y
        Logits (n, k), float32 or float64, finite.
    labels
        int64 (n,).
    unit
        Array that holds a 1 of the precision of the sums over classes, float32 or float64; those over rows are float64.

    Returns
    -------
    array
        float64 (6,): the NLL; its two first derivatives; its second ones by (u, u), (u, v), (v, v).
    """
    sums = np.zeros(6)
    real, one = unit.dtype.type, unit[0]
    for i in range(len(labels)):
        wide_u, wide_v = u * LOG2_E, v * LOG2_E
        total, f, g, ff, fg, gg = _weighted(x[i], y[i], labels[i], real(wide_u), real(wide_v), real(0), one)
        top = 0.0
        if not total < _HUGE:
            j = first_largest(x[i], y[i], u, v)
            top = relative(x[i], y[i], u, v, labels[i], j)
            total, f, g, ff, fg, gg = _weighted(x[i], y[i], labels[i], wide_u, wide_v, top * LOG2_E, 1.0)
        sums[0] += math.log(total) + top
        sums[1] += f / total
        sums[2] += g / total
        sums[3] += ff / total - (f / total) ** 2
        sums[4] += fg / total - (f / total) * (g / total)
        sums[5] += gg / total - (g / total) ** 2
    return sums


@njit(nogil=True, cache=True, fastmath=FAST - {"nnan", "ninf"})
def _weighted(x, y, label, u, v, top, one):
    """Sums over classes of e, e * a, e * b, e * a * a, e * a * b, e * b * b, where a and b are the two models' logits relative to
    the label's and e = 2**(u * a + v * b - top)."""
    from_x, from_y = one * x[label], one * y[label]
    total = f = g = ff = fg = gg = one - one
    for j in range(len(x)):
        a, b = one * x[j] - from_x, one * y[j] - from_y
        e = exp2(u * a + v * b - top)
        ea, eb = e * a, e * b
        total += e
        f += ea
        g += eb
        ff += ea * a
        fg += ea * b
        gg += eb * b
    return total, f, g, ff, fg, gg


@njit(nogil=True, cache=True)
def separates(x, y, labels, u, v):
    """Whether in every row no class's combined logit exceeds the label's, and in some row not all are alike."""
    informed = False
    for i in range(len(labels)):
        for j in range(x.shape[1]):
            z = relative(x[i], y[i], u, v, labels[i], j)
            if z > 0:
                return False
            informed |= z < 0
    return informed
