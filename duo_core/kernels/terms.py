"""One class's term: powers of two, and combined logits in double precision."""

import math

import numpy as np
from numba import njit
from numba.extending import overload

LOG2_E = 1 / math.log(2)

FAST = {"reassoc", "contract", "nsz", "arcp", "nnan", "ninf"}
"""What a compiler may assume so that it sums in vectors: finite numbers, in any order. Never where ties are told."""

_SINGLE = tuple(np.float32(math.log(2) ** i / math.factorial(i)) for i in range(8))
_DOUBLE = tuple(math.log(2) ** i / math.factorial(i) for i in range(14))


def exp2(x: float) -> float:
    """2 to the power x, 0 or some large number where that is not a normal one of the type; only for use inside kernels.

    The series of 2**f on [-1/2, 1/2] errs by less than half a unit in the last place; the whole part shifts the exponent.
    """
    raise NotImplementedError


@overload(exp2, inline="always")
def _exp2(x):
    if x.bitwidth == 32:

        def single(x):
            x = min(max(x, np.float32(-127)), np.float32(126))
            whole = np.floor(x + np.float32(0.5))
            f = x - whole
            p = _SINGLE[7]
            for i in (6, 5, 4, 3, 2, 1, 0):
                p = p * f + _SINGLE[i]
            return p * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)

        return single

    def double(x):
        x = min(max(x, -1023.0), 1022.0)
        whole = np.floor(x + 0.5)
        f = x - whole
        p = _DOUBLE[13]
        for i in (12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0):
            p = p * f + _DOUBLE[i]
        return p * np.int64((np.int64(np.int32(whole)) + np.int64(1023)) << np.int64(52)).view(np.float64)

    return double


@njit(nogil=True, cache=True)
def first_largest(x, y, u, v):
    """Class of the largest combined logit in double precision, rounded as u * x + v * y is, so that ties are those of `combine`."""
    best, top = 0, -np.inf
    for j in range(len(x)):
        z = combined(x, y, u, v, j)
        if z > top:
            best, top = j, z
    return best


@njit(nogil=True, cache=True)
def combined(x, y, u, v, j):
    """The combined logit of class j, rounded after each product and after the sum."""
    return u * np.float64(x[j]) + v * np.float64(y[j])


@njit(nogil=True, cache=True)
def relative(x, y, u, v, c, j):
    """The combined logit of class j relative to that of class c."""
    return u * (np.float64(x[j]) - np.float64(x[c])) + v * (np.float64(y[j]) - np.float64(y[c]))
