"""The compiled loops of the fit: the NLL of weighted members with its derivatives, and how far weights leave a class above a label.

Compiled code is kept until its own file changes, and that alone: POWERS says which powers of two, those of `pair_loops`,
this file was compiled with, and a test asks for a new word here where they change.
"""

import math

import numpy as np

from duo_core.common.compiling import njit
from duo_core.systems.pair_loops import exp2

POWERS = "89496ab7"
"""What the source of `exp2` digests to."""

LOG2_E = 1 / math.log(2)

_FAST = {"reassoc", "contract", "nsz", "arcp"}
"""What a compiler may assume so that it sums in vectors."""

_HUGE = 1e30
"""Sums of powers that reach this are done again, relative to the largest and in double precision."""


@njit(nogil=True, cache=True)
def moments(block, labels, weights, unit, masked):
    """Sums over rows of the NLL of the weighted sum of members and of its derivatives, from one softmax a row.

    Parameters
    ----------
    block
        Logits (m, b, k), float32 or float64.
    labels, weights
        int64 (b,), float64 (m,).
    unit
        Array that holds a 1 of the precision of the sums over classes, float32 or float64; those over rows are float64.
    masked
        Whether a logit is minus infinity anywhere: the class is then left out of its row, whatever the weights.

    Returns
    -------
    array
        float64 (1 + m + m * m): the NLL, its first derivatives, its second ones row by row.
    """
    m, _, k = block.shape
    sums, mean = np.zeros(1 + m + m * m), np.empty(m)
    base = np.zeros(k, unit.dtype)
    away, e = np.empty((m, k), unit.dtype), np.empty(k, unit.dtype)
    wide_base, wide_away, wide_e = np.zeros(k), np.empty((m, k)), np.empty(k)
    powers = weights * LOG2_E
    for i in range(len(labels)):
        total = np.inf
        if not masked:
            _apart(block, i, labels[i], away)
            total = _exponentials(away, powers, base, e)
        if total < _HUGE:
            sums[0] += math.log(total)
            _add_moments(e, away, total, mean, sums)
            continue
        _apart(block, i, labels[i], wide_away)
        _mask(block, i, wide_away, wide_base)
        top = _largest(wide_away, powers, wide_base)
        wide_base -= top
        total = _exponentials(wide_away, powers, wide_base, wide_e)
        if not 0 < total < np.inf:  # the weights lift a logit beyond all numbers
            sums[0] = np.inf
            continue
        sums[0] += math.log(total) + top / LOG2_E
        _add_moments(wide_e, wide_away, total, mean, sums)
    return sums


@njit(nogil=True, cache=True)
def _apart(block, i, label, away):
    """Fill away (m, k) with the logits of a row relative to the label's."""
    one = away.dtype.type(1)
    for a in range(len(block)):
        row, own = block[a, i], away[a]
        at_label = one * row[label]
        for j in range(len(own)):
            own[j] = one * row[j] - at_label


@njit(nogil=True, cache=True)
def _mask(block, i, away, base):
    """Fill base (k,) with minus infinity where a member masks the class, and away (m, k) with 0 there; with 0 elsewhere."""
    for j in range(len(base)):
        base[j] = 0.0
        for a in range(len(block)):
            if block[a, i, j] == -np.inf:
                base[j] = -np.inf
        if base[j] == -np.inf:
            away[:, j] = 0.0


@njit(nogil=True, cache=True)
def _largest(away, powers, base):
    """The largest exponent, that of the label, 0, among them."""
    top = 0.0
    for j in range(len(base)):
        z = base[j]
        for a in range(len(away)):
            z += powers[a] * away[a, j]
        top = max(top, z)
    return top


@njit(nogil=True, cache=True, fastmath=_FAST)
def _exponentials(away, powers, base, e):
    """Fill e (k,) with 2**(base + the sum of powers * away); their sum."""
    real = e.dtype.type
    for j in range(len(e)):
        e[j] = base[j]
    for a in range(len(away)):
        u, own = real(powers[a]), away[a]
        if u != 0:
            for j in range(len(e)):
                e[j] += u * own[j]
    total = real(0)
    for j in range(len(e)):
        power = exp2(e[j])
        e[j] = power
        total += power
    return np.float64(total)


@njit(nogil=True, cache=True, fastmath=_FAST)
def _add_moments(e, away, total, mean, sums):
    """Add the mean and the covariance of the members' logits under the distribution e / total to the sums."""
    real, m = e.dtype.type, len(away)
    for a in range(m):
        own, first = away[a], real(0)
        for j in range(len(e)):
            first += e[j] * own[j]
        mean[a] = np.float64(first) / total
        sums[1 + a] += mean[a]
        for b in range(a + 1):
            other, second = away[b], real(0)
            for j in range(len(e)):
                second += e[j] * own[j] * other[j]
            covariance = np.float64(second) / total - mean[a] * mean[b]
            sums[1 + m + a * m + b] += covariance
            if b < a:
                sums[1 + m + b * m + a] += covariance


@njit(nogil=True, cache=True, fastmath=_FAST)
def one_more(logits, labels, p, apart):
    """Sums over rows of the slope of the NLL by one more model's weight, of its curvature by that, and by that and each member's.

    Parameters
    ----------
    logits, labels
        The model's, float32 or float64 (n, k), and int64 (n,).
    p, apart
        The distribution so far, float64 (n, k), and p times each member's logits less their mean under p, float64
        (m, n, k).
    """
    (n, k), m = p.shape, len(apart)
    slope, square, mixed = 0.0, 0.0, np.zeros(m)
    for i in range(n):
        row, own, label = logits[i], p[i], np.float64(logits[i, labels[i]])
        first = second = 0.0
        for j in range(k):
            by = np.float64(row[j]) - label
            first += own[j] * by
            second += own[j] * by * by
        slope += first
        square += second - first * first
        for a in range(m):
            other, both = apart[a, i], 0.0
            for j in range(k):
                both += other[j] * np.float64(row[j])
            mixed[a] += both
    return slope, square, mixed


@njit(nogil=True, cache=True)
def most_violated(block, labels, weights, apart):
    """Fill apart (m,) with how far each member puts that class above the label that the weighted sum does most; a block (m, b, k).

    Returns how far that is, 0 or less where no class exceeds the label; infinity, at once, for a class that every member puts above
    it, so that no weights help. And whether some class lies below the label by the weighted sum.
    """
    m, b, k = block.shape
    most, below = -np.inf, False
    for i in range(b):
        for j in range(k):
            total, least = 0.0, np.inf
            for a in range(m):
                by = np.float64(block[a, i, j]) - np.float64(block[a, i, labels[i]])
                total += weights[a] * by if by > -np.inf else -np.inf
                least = min(least, by)
            if total == -np.inf:
                continue
            below |= total < 0
            if total > most or least > 0:
                most = np.inf if least > 0 else total
                for a in range(m):
                    apart[a] = np.float64(block[a, i, j]) - np.float64(block[a, i, labels[i]])
            if least > 0:
                return most, below
    return most, below
