"""A block of logits reduced to a few numbers an image, for many weightings of many models."""

import math

import numpy as np
from numba import njit

from duo_core.kernels.terms import FAST, LOG2_E, exp2, first_largest, relative

_RIVAL = 0.998
"""A class that equals or exceeds the one that sums are relative to adds 1 or more to the squares, less what rounding takes: where
they are less than this there is none."""
_TINY = 1e-28
"""Sums below this are done again in double precision, where they cannot underflow."""

COLUMNS = ("doubt", "entropy", "nll", "brier", "doubt_of_first", "doubt_of_second")
"""What `reduce` leaves of a row beside the predicted class; the last two are 1 - the probability of either model's own class."""


@njit(nogil=True, cache=True)
def classes(block, bits, infinity, sign, positive, own):
    """Fill own (m, b) with the class that each model predicts in a block (m, b, k), -1 where a logit is not finite.

    `bits` are the block's bits as integers of the same width; `infinity` is (those of infinity, width - 1, largest integer).
    """
    for model in range(block.shape[0]):
        for i in range(block.shape[1]):
            own[model, i] = _largest(block[model, i], bits[model, i], infinity, sign, positive)


@njit(nogil=True, cache=True)
def _largest(row, bits, infinity, sign, positive):
    """Class of the largest logit, of tied ones the lowest.

    The bits order as the floats do once those of negative ones are inverted; maxima of integers are found in vectors.
    """
    most = least = bits[0] ^ ((bits[0] >> sign) & positive)
    for j in range(len(bits)):
        ordered = bits[j] ^ ((bits[j] >> sign) & positive)
        most, least = max(most, ordered), min(least, ordered)
    if most >= infinity or least <= ~infinity:
        return np.int32(-1)
    top = most ^ ((most >> sign) & positive)
    first = np.int32(len(bits))
    for j in range(len(bits)):
        first = min(first, np.int32(j) if bits[j] == top else np.int32(len(bits)))
    if row[first] == 0:  # 0 and -0 are one number of two kinds of bits
        for j in range(first):
            if row[j] == 0:
                return np.int32(j)
    return first


@njit(nogil=True, cache=True, fastmath=FAST)
def _sums(x, y, u, v, c):
    """Over all classes but c: sums of e, e * e and e * z, where e = 2**z is relative to class c.

    No maximum is sought and nothing counted, which would keep the compiler from vectors of full width.
    """
    zero = u - u
    rest = square = slope = zero
    from_x, from_y, chosen = x[c], y[c], np.int32(c)
    for j in range(len(x)):
        z = u * (x[j] - from_x) + v * (y[j] - from_y)
        e = exp2(z)
        e = e if np.int32(j) != chosen else zero
        rest += e
        square += e * e
        slope += e * z
    return rest, square, slope


@njit(nogil=True, cache=True)
def reduce(block, labels, own, first, second, weights, predicted, columns):
    """Reduce a block of rows of m models to the predicted class and COLUMNS of every job.

    Parameters
    ----------
    block
        Logits (m, b, k), float32 or float64: the precision of the sums. All finite.
    labels, own
        Classes (b,), and those that the models predict, (m, b).
    first, second, weights
        Job j combines models first[j] and second[j] with weights[j] (2,), which multiply the logits. The class of the first model
        that has a weight is tried first.
    predicted, columns
        Filled: int32 (jobs, b), float64 (len(COLUMNS), jobs, b).
    """
    real = block.dtype.type
    for i in range(block.shape[1]):
        for job in range(len(first)):
            x, y = block[first[job], i], block[second[job], i]
            u, v = weights[job, 0], weights[job, 1]
            wide_u, wide_v = u * LOG2_E, v * LOG2_E
            real_u, real_v = real(wide_u), real(wide_v)
            c = own[first[job], i] if u else own[second[job], i]
            rest, square, slope = _sums(x, y, real_u, real_v, c)
            if square > _RIVAL:
                found = first_largest(x, y, u, v)
                if found != c:
                    c = found
                    rest, square, slope = _sums(x, y, real_u, real_v, c)
            if rest < _TINY:
                rest, square, slope = _sums(x, y, wide_u, wide_v, c)
            predicted[job, i] = c
            _row(x, y, u, v, c, labels[i], own[first[job], i], own[second[job], i], rest, square, slope, columns[:, job, i])


@njit(nogil=True, cache=True)
def _row(x, y, u, v, c, label, own_x, own_y, rest, square, slope, out):
    """Write COLUMNS of one row, given the sums over all classes but the predicted class c."""
    rest, square, slope = np.float64(rest), np.float64(square), np.float64(slope)
    total = 1 + rest
    log_total = math.log1p(rest)
    out[0] = rest / total
    out[1] = log_total - slope / LOG2_E / total
    if label == c:
        out[2] = log_total
        out[3] = out[0] ** 2 + square / total**2
    else:
        own_term = relative(x, y, u, v, c, label)
        p = math.exp(own_term) / total
        out[2] = log_total - own_term
        out[3] = (1 - p) ** 2 + (1 + square) / total**2 - p**2
    out[4] = out[0] if own_x == c else 1 - math.exp(relative(x, y, u, v, c, own_x)) / total
    out[5] = out[0] if own_y == c else 1 - math.exp(relative(x, y, u, v, c, own_y)) / total
