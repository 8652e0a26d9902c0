"""The loops over every logit, compiled: they see a block of rows at a time and leave a few numbers an image.

One pass over a row, while it is in the cache, yields all that is kept of it, so no (n, k) array is ever made. Exponentials are
powers of two: the weights carry the factor log2(e). All run without Python's lock, so threads share the rows.
"""

import math

import numpy as np
from numba import njit
from numba.extending import overload

LOG2_E = 1 / math.log(2)

_FAST = {"reassoc", "contract", "nsz", "arcp", "nnan", "ninf"}
_SINGLE = tuple(np.float32(math.log(2) ** i / math.factorial(i)) for i in range(8))
_DOUBLE = tuple(math.log(2) ** i / math.factorial(i) for i in range(14))
_NEAR = 1e-3
"""Two logits closer than this (in units of log 2) are compared exactly: far above what single precision can be wrong by."""
_TINY = 1e-28
"""Sums below this are done again in double precision, where they cannot underflow."""

COLUMNS = ("doubt", "entropy", "nll", "brier", "doubt_of_first", "doubt_of_second")
"""What `reduce` leaves of a row beside the predicted class; the last two are 1 - the probability of either model's own class."""


def exp2(x: float) -> float:
    """2 to the power x, 0 or some large number where that is not a normal one of the type; only for use inside kernels.

    The series of 2**f on [-1/2, 1/2] errs by less than half a unit in the last place; the whole part shifts the exponent.
    """
    raise NotImplementedError


@overload(exp2)
def _exp2(x):  # type: ignore[no-untyped-def]
    if x.bitwidth == 32:

        def single(x):  # type: ignore[no-untyped-def]
            whole = np.floor(x + np.float32(0.5))
            f = x - whole
            p = _SINGLE[7]
            for i in (6, 5, 4, 3, 2, 1, 0):
                p = p * f + _SINGLE[i]
            power = min(max(np.int32(whole), np.int32(-127)), np.int32(126))
            return p * np.int32((power + np.int32(127)) << np.int32(23)).view(np.float32)

        return single

    def double(x):  # type: ignore[no-untyped-def]
        whole = np.floor(x + 0.5)
        f = x - whole
        p = _DOUBLE[13]
        for i in (12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0):
            p = p * f + _DOUBLE[i]
        power = min(max(np.int32(whole), np.int32(-1023)), np.int32(1022))
        return p * np.int64((np.int64(power) + np.int64(1023)) << np.int64(52)).view(np.float64)

    return double


@njit(nogil=True, cache=True)
def classes(block, bits, infinity, sign, positive, own):  # type: ignore[no-untyped-def]
    """Fill own (m, b) with the class that each model predicts in a block (m, b, k), -1 where a logit is not finite.

    `bits` are the block's bits as integers of the same width; `infinity` is (those of infinity, width - 1, largest integer).
    """
    for model in range(block.shape[0]):
        for i in range(block.shape[1]):
            own[model, i] = _largest(block[model, i], bits[model, i], infinity, sign, positive)


@njit(nogil=True, cache=True)
def _largest(row, bits, infinity, sign, positive):  # type: ignore[no-untyped-def]
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


@njit(nogil=True, cache=True, fastmath=_FAST)
def _sums(x, y, u, v, c, entropy):  # type: ignore[no-untyped-def]
    """Over all classes but c: sums of e, e * e and, for the entropy, e * z, where e = 2**z is relative to class c; and c's rivals.

    No maximum is sought: a compiler sums floats in vectors, but takes their maximum one at a time.
    """
    rest = square = slope = u * 0
    rivals, rival = np.int32(0), np.int32(0)
    from_x, from_y, chosen = x[c], y[c], np.int32(c)
    for j in range(len(x)):
        z = u * (x[j] - from_x) + v * (y[j] - from_y)
        e = exp2(z)
        other = np.int32(j) != chosen
        e = e if other else u * 0
        rest += e
        square += e * e
        if entropy:
            slope += e * z
        near = other & (z > -_NEAR)
        rivals += np.int32(1) if near else np.int32(0)
        rival += np.int32(j) if near else np.int32(0)
    return rest, square, slope, rivals, rival


@njit(nogil=True, cache=True)
def _first_largest(x, y, u, v):  # type: ignore[no-untyped-def]
    """Class of the largest combined logit in double precision, rounded as u * x + v * y is, so that ties are those of `combine`."""
    best, top = 0, -np.inf
    for j in range(len(x)):
        z = _combined(x, y, u, v, j)
        if z > top:
            best, top = j, z
    return best


@njit(nogil=True, cache=True)
def _predicted(x, y, u, v, c, rivals, rival):  # type: ignore[no-untyped-def]
    """The class of the largest combined logit, given how many come near class c and, where it is one, which."""
    if rivals > 1:
        return _first_largest(x, y, u, v)
    low, high = min(c, rival), max(c, rival)
    return high if _combined(x, y, u, v, high) > _combined(x, y, u, v, low) else low


@njit(nogil=True, cache=True)
def _combined(x, y, u, v, j):  # type: ignore[no-untyped-def]
    return u * np.float64(x[j]) + v * np.float64(y[j])


@njit(nogil=True, cache=True)
def reduce(block, labels, own, first, second, weights, entropy, predicted, columns):  # type: ignore[no-untyped-def]
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
    entropy
        Whether it is wanted; without it that column means nothing.
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
            rest, square, slope, rivals, rival = _sums(x, y, real_u, real_v, c, entropy)
            if rivals:
                found = _predicted(x, y, u, v, c, rivals, rival)
                if found != c:
                    c = found
                    rest, square, slope, rivals, rival = _sums(x, y, real_u, real_v, c, entropy)
            if rest < _TINY:
                rest, square, slope, rivals, rival = _sums(x, y, wide_u, wide_v, c, entropy)
            predicted[job, i] = c
            _row(x, y, u, v, c, labels[i], own[first[job], i], own[second[job], i], rest, square, slope, columns[:, job, i])


@njit(nogil=True, cache=True)
def _row(x, y, u, v, c, label, own_x, own_y, rest, square, slope, out):  # type: ignore[no-untyped-def]
    """Write COLUMNS of one row, given the sums over all classes but the predicted class c."""
    rest, square, slope = np.float64(rest), np.float64(square), np.float64(slope)
    total = 1 + rest
    own_term = _relative(x, y, u, v, c, label)
    p = math.exp(own_term) / total
    out[0] = rest / total
    out[1] = math.log1p(rest) - slope / LOG2_E / total
    out[2] = math.log1p(rest) - own_term
    if label == c:
        out[3] = (rest / total) ** 2 + square / total**2
    else:
        out[3] = (1 - p) ** 2 + (1 + square) / total**2 - p**2
    out[4] = out[0] if own_x == c else 1 - math.exp(_relative(x, y, u, v, c, own_x)) / total
    out[5] = out[0] if own_y == c else 1 - math.exp(_relative(x, y, u, v, c, own_y)) / total


@njit(nogil=True, cache=True)
def _relative(x, y, u, v, c, j):  # type: ignore[no-untyped-def]
    """The combined logit of class j relative to that of class c."""
    return u * (np.float64(x[j]) - np.float64(x[c])) + v * (np.float64(y[j]) - np.float64(y[c]))


@njit(nogil=True, cache=True)
def spread(logits):  # type: ignore[no-untyped-def]
    """Sum over rows (n, k) of squared deviations from the row's mean, and the number of rows that are not finite."""
    total, bad = 0.0, 0
    for row in logits:
        deviation = _deviation(row)
        if np.isfinite(deviation):
            total += deviation
        else:
            bad += 1
    return total, bad


@njit(nogil=True, cache=True, fastmath=_FAST - {"nnan", "ninf"})
def _deviation(row):  # type: ignore[no-untyped-def]
    mean = 0.0
    for value in row:
        mean += np.float64(value)
    mean /= len(row)
    total = 0.0
    for value in row:
        total += (np.float64(value) - mean) ** 2
    return total


@njit(nogil=True, cache=True)
def moments(x, y, labels, u, v):  # type: ignore[no-untyped-def]
    """Sums over rows of the NLL of u * x + v * y and of its derivatives, in double precision from one softmax a row.

    Parameters
    ----------
    x, y
        Logits (n, k), float32 or float64, finite.
    labels
        int64 (n,).

    Returns
    -------
    array
        float64 (8,): the NLL; its two first derivatives; its second ones by (u, u), (u, v), (v, v); the number of rows in which
        another class exceeds the label; the number in which the NLL is less than that of a uniform distribution.
    """
    sums = np.zeros(8)
    for i in range(len(labels)):
        _moments_of_row(x[i], y[i], labels[i], u, v, sums)
    return sums


@njit(nogil=True, cache=True, fastmath=_FAST)
def _moments_of_row(x, y, label, u, v, sums):  # type: ignore[no-untyped-def]
    """Add one row's moments; features are logits relative to the label's."""
    from_x, from_y = np.float64(x[label]), np.float64(y[label])
    wide_u, wide_v = u * LOG2_E, v * LOG2_E
    top = 0.0
    for j in range(len(x)):
        top = max(top, wide_u * (np.float64(x[j]) - from_x) + wide_v * (np.float64(y[j]) - from_y))
    total = f = g = ff = fg = gg = 0.0
    for j in range(len(x)):
        a, b = np.float64(x[j]) - from_x, np.float64(y[j]) - from_y
        e = exp2(wide_u * a + wide_v * b - top)
        ea, eb = e * a, e * b
        total += e
        f += ea
        g += eb
        ff += ea * a
        fg += ea * b
        gg += eb * b
    f, g = f / total, g / total
    nll = math.log(total) + top / LOG2_E
    sums[0] += nll
    sums[1] += f
    sums[2] += g
    sums[3] += ff / total - f * f
    sums[4] += fg / total - f * g
    sums[5] += gg / total - g * g
    sums[6] += 1.0 if top > 0 else 0.0
    sums[7] += 1.0 if nll < math.log(len(x)) else 0.0
