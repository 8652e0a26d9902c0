"""The loops over every logit, compiled: they see a block of rows at a time and leave a few numbers an image.

One pass over a row, while it is in the cache, yields all that is kept of it, so no (n, k) array is ever made. Exponentials are
powers of two: the weights carry the factor log2(e). All run without Python's lock, so that threads share the rows.

No loop calls into another file, since compiled code is kept for the next start until the file it is from changes, and that alone.
"""

import math

import numpy as np
from numba.extending import overload
from numpy.polynomial import Polynomial

from duo_core.common.compiling import njit

LOG2_E = 1 / math.log(2)

_FAST = {"reassoc", "contract", "nsz", "arcp", "nnan", "ninf"}
"""What a compiler may assume so that it sums in vectors: finite numbers, in any order. Never where ties are told."""


def _near_two_to_the(degree: int) -> tuple[np.float32, ...]:
    """Coefficients, lowest first, of the polynomial that meets 2**f at the Chebyshev nodes of [-1/2, 1/2]."""
    met = np.polynomial.Chebyshev.interpolate(lambda f: 2.0**f, degree, domain=[-0.5, 0.5])
    return tuple(np.float32(c) for c in met.convert(kind=Polynomial).coef)


_SINGLE = _near_two_to_the(5)
_DOUBLE = tuple(math.log(2) ** i / math.factorial(i) for i in range(14))

_RIVAL = 0.998
"""A class that equals or exceeds the one that sums are relative to adds 1 or more to the squares, less what rounding takes: where
they are less than this there is none."""
_TINY = 1e-28
"""Sums below this are done again in double precision, where they cannot underflow."""

COLUMNS = ("doubt", "entropy", "nll", "brier", "doubt_of_first", "doubt_of_second")
"""What `reduce` leaves of a row beside the predicted class; the last two are 1 - the probability of either model's own class."""

_HUGE = 1e30
"""Sums of exponentials that reach this are done again, relative to the largest and in double precision."""


def exp2(x: float) -> float:
    """2 to the power x, 0 or some large number where that is not a normal one of the type; only for use inside compiled loops.

    2 to the fraction, in [-1/2, 1/2], is a polynomial that errs by no more than its rounding; the whole part shifts the exponent.
    """
    raise NotImplementedError


@overload(exp2, inline="always")
def _exp2(x):
    if x.bitwidth == 32:

        def single(x):
            x = min(max(x, np.float32(-127)), np.float32(126))
            whole = np.rint(x)
            f = x - whole
            p = _SINGLE[5]
            for i in (4, 3, 2, 1, 0):
                p = p * f + _SINGLE[i]
            return p * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)

        return single

    def double(x):
        x = min(max(x, -1023.0), 1022.0)
        whole = np.rint(x)
        f = x - whole
        p = _DOUBLE[13]
        for i in (12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0):
            p = p * f + _DOUBLE[i]
        return p * np.int64((np.int64(np.int32(whole)) + np.int64(1023)) << np.int64(52)).view(np.float64)

    return double


def clamped(x: float) -> float:
    """The exponent x, or the largest whose power `exp2` gives as 0; only for use inside compiled loops."""
    raise NotImplementedError


@overload(clamped, inline="always")
def _clamped(x):
    if x.bitwidth == 32:
        return lambda x: max(x, np.float32(-127))
    return lambda x: max(x, -1023.0)


@njit(nogil=True, cache=True)
def _first_largest(x, y, u, v):
    """Class of the largest combined logit in double precision, of tied ones the lowest."""
    top = _ordered(_combined(x, y, u, v, np.int64(0)))
    for j in range(1, len(x)):
        top = max(top, _ordered(_combined(x, y, u, v, j)))
    first = np.int64(len(x))
    for j in range(len(x)):
        first = min(first, np.int64(j) if _ordered(_combined(x, y, u, v, j)) == top else np.int64(len(x)))
    return first


@njit(nogil=True, cache=True)
def _ordered(value):
    """An integer that orders as the floats do: a compiler finds maxima of integers in vectors, of floats one at a time."""
    bits = np.float64(value + 0.0).view(np.int64)  # the sum turns -0 into 0
    return bits ^ ((bits >> np.int64(63)) & np.int64(0x7FFFFFFFFFFFFFFF))


@njit(nogil=True, cache=True)
def _combined(x, y, u, v, j):
    """The combined logit of class j, rounded after each product and after the sum."""
    return u * np.float64(x[j]) + v * np.float64(y[j])


@njit(nogil=True, cache=True)
def _relative(x, y, u, v, c, j):
    """The combined logit of class j relative to that of class c."""
    return u * (np.float64(x[j]) - np.float64(x[c])) + v * (np.float64(y[j]) - np.float64(y[c]))


@njit(nogil=True, cache=True, fastmath=_FAST - {"ninf"})
def _sums(x, y, u, v, c):
    """Over all classes but c: sums of e, e * e and e * z, where e = 2**z is relative to class c.

    No maximum is sought and nothing counted, which would keep the compiler from vectors of full width.
    """
    zero = u - u
    rest = square = slope = zero
    from_x, from_y, chosen = x[c], y[c], np.int32(c)
    for j in range(len(x)):
        z = u * (x[j] - from_x) + v * (y[j] - from_y)
        z = clamped(z)  # a masked class's may be minus infinity in single precision
        e = exp2(z)
        e = e if np.int32(j) != chosen else zero
        rest += e
        square += e * e
        slope += e * z
    return rest, square, slope


@njit(nogil=True, cache=True)
def reduce(block, labels, own, first, second, weights, masked, ordered, predicted, columns):
    """Reduce a block of rows of m models to the predicted class and COLUMNS of every job.

    Parameters
    ----------
    block
        Logits (m, b, k), float32 or float64: the precision of the sums.
    labels, own
        Classes (b,), and those that the models predict, (m, b).
    first, second, weights
        Job j combines models first[j] and second[j] with weights[j] (2,), which multiply the logits. Of these models' own
        classes the likelier one is tried first: hardly ever it is a third.
    masked
        Whether a logit is minus infinity anywhere: the class is then left out of its row by every job that has the model.
    ordered
        Whether to sum in the order of the logits, so that rows of the same logits in another order have the same sums. Slower.
    predicted, columns
        Filled: int32 (jobs, b), float64 (len(COLUMNS), jobs, b).
    """
    real = block.dtype.type
    for i in range(block.shape[1]):
        for job in range(len(first)):
            x, y = block[first[job], i], block[second[job], i]
            own_x, own_y = np.int64(own[first[job], i]), np.int64(own[second[job], i])
            u, v = weights[job, 0], weights[job, 1]
            wide_u, wide_v = u * LOG2_E, v * LOG2_E
            real_u, real_v = real(wide_u), real(wide_v)
            if masked or ordered:
                c = _first_largest_unmasked(x, y, u, v)
                rest, square, slope = _careful_sums(x, y, u, v, c, ordered)
                predicted[job, i] = c
                _row(x, y, u, v, c, labels[i], own_x, own_y, rest, square, slope, columns[:, job, i])
                continue
            c = _likelier(x, y, u, v, own_x, own_y)
            rest, square, slope = _sums(x, y, real_u, real_v, c)
            if square > _RIVAL:
                found = _first_largest(x, y, u, v)
                if found != c:
                    c = found
                    rest, square, slope = _sums(x, y, real_u, real_v, c)
            if rest < _TINY:
                rest, square, slope = _sums(x, y, wide_u, wide_v, c)
            predicted[job, i] = c
            _row(x, y, u, v, c, labels[i], own_x, own_y, rest, square, slope, columns[:, job, i])


@njit(nogil=True, cache=True)
def _first_largest_unmasked(x, y, u, v):
    """Class of the largest combined logit among those that neither model masks, of tied ones the lowest."""
    first, top = np.int64(-1), -np.inf
    for j in range(len(x)):
        if x[j] > -np.inf and y[j] > -np.inf and (first < 0 or _combined(x, y, u, v, j) > top):
            first, top = np.int64(j), _combined(x, y, u, v, j)
    return first


@njit(nogil=True, cache=True)
def _careful_sums(x, y, u, v, c, ordered):
    """The sums of `_sums` in double precision over the classes that neither model masks, the smallest first where asked for."""
    exponents = np.empty(len(x))
    others = 0
    for j in range(len(x)):
        if j != c and x[j] > -np.inf and y[j] > -np.inf:
            exponents[others] = _relative(x, y, u, v, c, j) * LOG2_E
            others += 1
    exponents = exponents[:others]
    if ordered:
        exponents.sort()
    rest = square = slope = 0.0
    for z in exponents:
        e = exp2(z)
        rest += e
        square += e * e
        slope += e * max(z, -1e6)
    return rest, square, slope


@njit(nogil=True, cache=True)
def multisets(block, found):
    """Fill found (b,) with a number that is the same for rows (b, k) of the same logits in whatever order."""
    for i in range(len(block)):
        total = np.uint64(0)
        for j in range(block.shape[1]):
            bits = np.uint64(np.float64(block[i, j] + 0.0).view(np.int64))  # the sum turns -0 into 0
            bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            total += bits ^ (bits >> np.uint64(31))
        found[i] = total


@njit(nogil=True, cache=True)
def _likelier(x, y, u, v, one, other):
    """Of two classes the one with the larger combined logit, of tied ones the lower."""
    low, high = min(one, other), max(one, other)
    return low if low == high or _combined(x, y, u, v, low) >= _combined(x, y, u, v, high) else high


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
        own_term = _relative(x, y, u, v, c, label)
        p = math.exp(own_term) / total
        out[2] = log_total - own_term
        out[3] = (1 - p) ** 2 + (1 + square) / total**2 - p**2
    out[4] = out[0] if own_x == c else 1 - _power(x, y, u, v, c, own_x) / total
    out[5] = out[0] if own_y == c else 1 - _power(x, y, u, v, c, own_y) / total


@njit(nogil=True, cache=True)
def _power(x, y, u, v, c, j):
    """The exponential of the combined logit of class j relative to that of class c; 0 where either model masks it."""
    return math.exp(_relative(x, y, u, v, c, j)) if x[j] > -np.inf and y[j] > -np.inf else 0.0


@njit(nogil=True, cache=True)
def survey(logits, labels, margins):
    """Fill margins (n,) with how far the largest logit of each row (n, k) lies above the second, in double precision.

    Returns
    -------
    tuple
        Number of rows that are not sound (NaN, plus infinity, or minus infinity at the label); of logits that are minus infinity;
        the largest absolute value among the others.
    """
    unsound = masked = 0
    largest = 0.0
    for i in range(len(labels)):
        row = logits[i]
        first = second = -np.inf
        sound = row[labels[i]] > -np.inf
        for j in range(len(row)):
            value = np.float64(row[j])
            sound &= value < np.inf
            if value == -np.inf:
                masked += 1
            else:
                largest = max(largest, abs(value))
            if value > first:
                first, second = value, first
            elif value > second:
                second = value
        unsound += not sound
        margins[i] = first - second
    return unsound, masked, largest


@njit(nogil=True, cache=True)
def moments(x, y, labels, u, v, unit, masked):
    """Sums over rows of the NLL of u * x + v * y and of its derivatives, from one softmax a row.

    Parameters
    ----------
    x, y
        Logits (n, k), float32 or float64.
    labels
        int64 (n,).
    unit
        Array that holds a 1 of the precision of the sums over classes, float32 or float64; those over rows are float64.
    masked
        Whether a logit is minus infinity anywhere: the class is then left out of its row, whatever the weights.

    Returns
    -------
    array
        float64 (6,): the NLL; its two first derivatives; its second ones by (u, u), (u, v), (v, v).
    """
    sums = np.zeros(6)
    real, one = unit.dtype.type, unit[0]
    wide_u, wide_v = u * LOG2_E, v * LOG2_E
    for i in range(len(labels)):
        if masked:
            total, f, g, ff, fg, gg = _weighted_unmasked(x[i], y[i], labels[i], wide_u, wide_v, 0.0)
        else:
            total, f, g, ff, fg, gg = _weighted(x[i], y[i], labels[i], real(wide_u), real(wide_v), real(0), one)
        top = 0.0
        if not total < _HUGE:
            top = _largest_relative(x[i], y[i], u, v, labels[i])
            if masked:
                total, f, g, ff, fg, gg = _weighted_unmasked(x[i], y[i], labels[i], wide_u, wide_v, top * LOG2_E)
            else:
                total, f, g, ff, fg, gg = _weighted(x[i], y[i], labels[i], wide_u, wide_v, top * LOG2_E, 1.0)
            if not 0 < total < np.inf:  # the weights lift a logit beyond all numbers
                sums[0] = np.inf
                continue
        sums[0] += math.log(total) + top
        sums[1] += f / total
        sums[2] += g / total
        sums[3] += ff / total - (f / total) ** 2
        sums[4] += fg / total - (f / total) * (g / total)
        sums[5] += gg / total - (g / total) ** 2
    return sums


@njit(nogil=True, cache=True)
def _largest_relative(x, y, u, v, label):
    """The largest combined logit relative to that of the label, in double precision; masked classes have none."""
    top = 0.0
    for j in range(len(x)):
        z = _relative(x, y, u, v, label, j)
        if z > top and x[j] > -np.inf and y[j] > -np.inf:
            top = z
    return top


@njit(nogil=True, cache=True)
def _weighted_unmasked(x, y, label, u, v, top):
    """The sums of `_weighted` in double precision over the classes that neither model masks."""
    total = f = g = ff = fg = gg = 0.0
    for j in range(len(x)):
        if x[j] > -np.inf and y[j] > -np.inf:
            a, b = np.float64(x[j]) - np.float64(x[label]), np.float64(y[j]) - np.float64(y[label])
            e = exp2(u * a + v * b - top)
            total += e
            f += e * a
            g += e * b
            ff += e * a * a
            fg += e * a * b
            gg += e * b * b
    return total, f, g, ff, fg, gg


@njit(nogil=True, cache=True, fastmath=_FAST - {"nnan", "ninf"})
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
            z = _relative(x[i], y[i], u, v, labels[i], j)
            if z > 0:
                return False
            informed |= z < 0
    return informed


@njit(nogil=True, cache=True)
def separation(x, y, labels):
    """Weights (u, v), not negative, at which no class's combined logit exceeds the label's in any row; (0, 0) where there are none.

    Every class of every row bounds the ratio v / u from below or from above; bounds are kept as fractions and compared by
    products. Masked classes (minus infinity) bound nothing. Where several ratios will do, one from within their range is given.
    """
    low_v, low_u, high_v, high_u = 0.0, 1.0, 1.0, 0.0
    for i in range(len(labels)):
        from_x, from_y = np.float64(x[i, labels[i]]), np.float64(y[i, labels[i]])
        for j in range(x.shape[1]):
            a, b = np.float64(x[i, j]) - from_x, np.float64(y[i, j]) - from_y
            if (a <= 0 and b <= 0) or a == -np.inf or b == -np.inf:
                continue
            if a > 0 and b > 0:
                return 0.0, 0.0
            if a > 0:  # u * a <= v * -b
                if a * low_u > low_v * -b:
                    low_v, low_u = a, -b
            elif -a * high_u < high_v * b:  # v * b <= u * -a
                high_v, high_u = -a, b
            if low_v * high_u > high_v * low_u:
                return 0.0, 0.0
    if low_v * high_u == high_v * low_u:
        return low_u, low_v
    return low_u + high_u, low_v + high_v
