"""The compiled loops that leave a few numbers an image of the logits of any number of members.

A row's members are first added into one row, which stays in the cache, and the sums are taken from that. The powers of two are
those of `pair_loops`. Compiled code is kept until its own file changes, and that alone: POWERS says which powers this file
was compiled with, and a test asks for a new word here where they change.
"""

import math

import numpy as np

from duo_core.common.compiling import njit
from duo_core.systems.pair_loops import clamped, exp2

POWERS = "89496ab7"
"""What the source of `exp2` and `clamped` digests to."""

LOG2_E = 1 / math.log(2)

_FAST = {"reassoc", "contract", "nsz", "arcp"}
"""What a compiler may assume so that it sums in vectors; never where ties are told."""

_TINY, _RIVAL, _FLOOR = 1e-28, 0.998, 1e-280
"""The first two as in `pair_loops`; the least probability whose logarithm is taken of itself."""

_CHUNK = 1 << 11
"""Exponents that are made at once: so many that vectors are full, and few enough to stay in the innermost cache."""

_SERIES = tuple(2 * LOG2_E / (2 * i + 1) for i in range(11))
"""Of the logarithm to base 2 of x in (x - 1) / (x + 1), the odd powers."""
_ABOVE = (np.int64(1023) << np.int64(52)) - np.float64(math.sqrt(0.5)).view(np.int64)
"""Added to the bits of a number, it has the exponent say which power of two its root of 2 lies above, plus 1023."""

COLUMNS = ("doubt", "entropy", "nll", "brier", "doubt_of_said")
"""What `reduce` leaves of a row beside the predicted class; the last is 1 - the probability of the class of the member who says."""


@njit(nogil=True, cache=True)
def reduce(block, labels, own, members, sizes, weights, finals, pooled, said, masked, ordered, predicted, columns):
    """Reduce a block of rows to the predicted class and COLUMNS of every job.

    Parameters
    ----------
    block
        Logits (models, b, k), float32 or float64: the precision of the sums.
    labels, own
        Classes (b,), and those that the models predict, (models, b).
    members, sizes, weights, finals
        Job j adds the models members[j, :sizes[j]], each times its weight, and multiplies the sum by finals[j], which changes no
        class.
    pooled
        By job, whether it is instead the softmaxes of the weighted models that are averaged, and the logarithm multiplied.
    said
        By job, the model whose own class the last column is about.
    masked
        Whether a logit is minus infinity anywhere: the class is then left out of its row by every job that has the model.
    ordered
        Whether to sum in the order of the logits, so that rows of the same logits in another order have the same sums. Slower.
    predicted, columns
        Filled: int32 (jobs, b), float64 (len(COLUMNS), jobs, b).
    """
    k, chunk = block.shape[2], max(1, _CHUNK // block.shape[2])
    z, e = np.empty((chunk, k), block.dtype), np.empty((chunk, k), block.dtype)
    chosen, agreed = np.empty(chunk, np.int64), np.empty(chunk, np.bool_)
    memory = np.empty((2, k)), np.empty((2, members.shape[1]))
    for start in range(0, block.shape[1], chunk):
        rows = min(chunk, block.shape[1] - start)
        for job in range(len(sizes)):
            at, w, final, spoken = members[job, : sizes[job]], weights[job], finals[job], own[said[job]]
            out, found, pool = columns[:, job], predicted[job], pooled[job]
            if masked or ordered or pool:
                for i in range(start, start + rows):
                    c = _agreed(block, i, own, at, w, masked)
                    _careful(
                        block, i, at, w, final, pooled[job], masked, ordered, c, labels[i], np.int64(spoken[i]), memory, found, out
                    )
                continue
            for r in range(rows):
                chosen[r] = _agreed(block, start + r, own, at, w, masked)
                agreed[r] = chosen[r] >= 0
                if not agreed[r]:
                    chosen[r] = _likeliest(block, start + r, own, at, w)
                _fill(block, start + r, at, w, final, chosen[r], z[r])
            _powers(z.reshape(-1)[: rows * k], e.reshape(-1)[: rows * k])
            _quick(block, start, rows, at, w, final, chosen, agreed, z, e, labels, spoken, memory, found, out)


@njit(nogil=True, cache=True)
def _quick(block, start, rows, at, w, final, chosen, agreed, z, e, labels, spoken, memory, predicted, out):
    """Write some rows, given the powers relative to a class that is likely to be the predicted one, or surely is."""
    no = np.bool_(False)  # of the same type as in other calls: for a literal all that follows would be compiled once more
    for r in range(rows):
        i, c, said = start + r, chosen[r], np.int64(spoken[start + r])
        rest, square, slope = _sums(z[r], e[r], c)
        if square > _RIVAL and not agreed[r]:
            c = _first_largest(block, i, at, w, memory[0][0])
            if c != chosen[r]:
                _fill(block, i, at, w, final, c, z[r])
                _powers(z[r], e[r])
                rest, square, slope = _sums(z[r], e[r], c)
        if rest < _TINY:
            _careful(block, i, at, w, final, no, no, no, c, labels[i], said, memory, predicted, out)
            continue
        z_label = _relative(block, i, at, w, final, c, labels[i]) if labels[i] != c else 0.0
        z_said = _relative(block, i, at, w, final, c, said) if said != c else 0.0
        predicted[i] = c
        _write(c, labels[i], said, z_label, z_said, rest, square, slope, out[:, i])


@njit(nogil=True, cache=True)
def _careful(block, i, at, w, final, pooled, masked, ordered, c, label, spoken, memory, predicted, out):
    """Write one row in double precision, masked classes left out; c is the predicted class where that is known, else -1."""
    wide, scratch = memory[0][0], memory[0][1]  # not unpacked, which would hide that they are contiguous
    if pooled:
        c = _pool(block, i, at, w, final, c, masked, ordered, wide, scratch, memory[1])
    else:
        c = c if c >= 0 else _first_largest(block, i, at, w, wide)
        _widen(block, i, at, w, final, c, wide)
    z_label, z_said = wide[label] / LOG2_E, wide[spoken] / LOG2_E
    if masked or ordered:
        rest, square, slope = _careful_sums(wide, c, ordered, scratch)
    else:
        _powers(wide, scratch)
        rest, square, slope = _sums(wide, scratch, c)
    predicted[i] = c
    _write(c, label, spoken, z_label, z_said, rest, square, slope, out[:, i])


@njit(nogil=True, cache=True, forceinline=True)
def _agreed(block, i, own, at, w, masked):
    """The class that all members with a weight predict, unless another masks it; -1 where there is none."""
    c = np.int64(-1)
    for a in range(len(at)):
        if w[a] > 0:
            if c >= 0 and own[at[a], i] != c:
                return np.int64(-1)
            c = np.int64(own[at[a], i])
    if masked and c >= 0:
        for a in range(len(at)):
            if block[at[a], i, c] == -np.inf:
                return np.int64(-1)
    return c


@njit(nogil=True, cache=True)
def _combined(block, i, at, w, j):
    """The weighted sum of class j, rounded after each product and sum; minus infinity where a member masks it."""
    total = 0.0
    for a in range(len(at)):
        x = np.float64(block[at[a], i, j])
        total += w[a] * x if x > -np.inf else -np.inf
    return total


@njit(nogil=True, cache=True)
def _relative(block, i, at, w, final, c, j):
    """The weighted sum of class j relative to that of class c, times the final temperature."""
    total = 0.0
    for a in range(len(at)):
        total += w[a] * (np.float64(block[at[a], i, j]) - np.float64(block[at[a], i, c]))
    return final * total


@njit(nogil=True, cache=True, forceinline=True)
def _likeliest(block, i, own, at, w):
    """Of the members' own classes the one with the largest weighted sum, of tied ones the lowest."""
    first, top = np.int64(-1), -np.inf
    for a in range(len(at)):
        c = np.int64(own[at[a], i])
        value = _combined(block, i, at, w, c)
        if value > top or first < 0 or (value == top and c < first):
            first, top = c, value
    return first


@njit(nogil=True, cache=True)
def _first_largest(block, i, at, w, wide):
    """Class of the largest weighted sum in double precision, of tied ones the lowest; one that no member masks."""
    x, u = block[at[0], i], w[0]
    for j in range(len(wide)):
        wide[j] = u * np.float64(x[j]) if x[j] > -np.inf else -np.inf
    for a in range(1, len(at)):
        x, u = block[at[a], i], w[a]
        for j in range(len(wide)):
            wide[j] += u * np.float64(x[j]) if x[j] > -np.inf else -np.inf
    return _first_of(wide, _top(wide))


@njit(nogil=True, cache=True, fastmath={"nnan", "nsz"})
def _top(values):
    """The largest of some values, none of them NaN."""
    top = values[0]
    for j in range(1, len(values)):
        top = max(top, values[j])
    return top


@njit(nogil=True, cache=True)
def _first_of(values, value):
    for j in range(len(values)):
        if values[j] == value:
            return np.int64(j)
    return np.int64(0)


@njit(nogil=True, cache=True, forceinline=True, fastmath=_FAST)
def _fill(block, i, at, w, final, c, row):
    """Fill a row with the exponents of all members together, relative to class c: three at once, then the others."""
    m, real, power = len(at), row.dtype.type, final * LOG2_E
    x, y, z = block[at[0], i], block[at[min(1, m - 1)], i], block[at[min(2, m - 1)], i]
    u, v, t = real(w[0] * power), real(w[1] * power if m > 1 else 0.0), real(w[2] * power if m > 2 else 0.0)
    from_x, from_y, from_z = x[c], y[c], z[c]
    for j in range(len(row)):
        row[j] = u * (x[j] - from_x) + v * (y[j] - from_y) + t * (z[j] - from_z)
    for a in range(3, m):
        x, u = block[at[a], i], real(w[a] * power)
        from_x = x[c]
        for j in range(len(row)):
            row[j] += u * (x[j] - from_x)


@njit(nogil=True, cache=True, fastmath=_FAST | {"nnan"})
def _powers(z, e):
    """Fill e with 2**z, and raise each z of z to the least whose power is told from 0."""
    for j in range(len(z)):
        z[j] = clamped(z[j])
        e[j] = exp2(z[j])


@njit(nogil=True, cache=True, forceinline=True, fastmath=_FAST)
def _sums(z, e, c):
    """Over all classes but c: sums of e, e * e and e * z, where e = 2**z is relative to class c."""
    e[c] = rest = square = slope = e.dtype.type(0)
    for j in range(len(z)):
        rest += e[j]
        square += e[j] * e[j]
        slope += e[j] * z[j]
    return np.float64(rest), np.float64(square), np.float64(slope)


@njit(nogil=True, cache=True)
def _widen(block, i, at, w, final, c, wide):
    """Fill wide with the exponents relative to class c in double precision; minus infinity where a member masks the class."""
    for j in range(len(wide)):
        masked = False
        for a in range(len(at)):
            masked |= block[at[a], i, j] == -np.inf
        wide[j] = -np.inf if masked else _relative(block, i, at, w, final, c, j) * LOG2_E


@njit(nogil=True, cache=True)
def _careful_sums(wide, c, ordered, scratch):
    """The sums of `_sums` over exponents in double precision, masked classes left out; the smallest first where asked for."""
    others = 0
    for j in range(len(wide)):
        if j != c and wide[j] > -np.inf:
            scratch[others] = wide[j]
            others += 1
    if ordered:
        scratch[:others].sort()
    rest = square = slope = 0.0
    for j in range(others):
        e = exp2(scratch[j])
        rest += e
        square += e * e
        slope += e * max(scratch[j], -1e6)
    return rest, square, slope


@njit(nogil=True, cache=True)
def _pool(block, i, at, w, final, agreed, masked, ordered, wide, scratch, memory):
    """Fill wide with the exponents, relative to the predicted class, of the mean of the members' softmaxes, to the power `final`;
    the predicted class."""
    starts, totals = memory[0], memory[1]
    wide[:] = 0.0
    if masked:
        for a in range(len(at)):
            _leave_out(block[at[a], i], wide)
    for a in range(len(at)):
        starts[a], totals[a] = _softmax(block[at[a], i], w[a] * LOG2_E, wide, masked, ordered, scratch)
        _add(scratch, 1 / totals[a], wide)
    c = agreed if agreed >= 0 else _first_of(wide, _top(wide))
    scratch[:] = wide
    logarithms(wide)
    at_c = wide[c]
    for j in range(len(wide)):
        wide[j] = final * (wide[j] - at_c)
    if -_top(-scratch) < _FLOOR:
        for j in range(len(wide)):
            if scratch[j] == -np.inf:
                wide[j] = -np.inf
            elif scratch[j] < _FLOOR:
                wide[j] = final * (_log_total(block, i, at, w, j, starts, totals) * LOG2_E - at_c)
    return c


@njit(nogil=True, cache=True)
def _leave_out(x, wide):
    """Put minus infinity where a member masks the class."""
    for j in range(len(wide)):
        if x[j] == -np.inf:
            wide[j] = -np.inf


@njit(nogil=True, cache=True, fastmath=_FAST)
def _add(e, share, wide):
    for j in range(len(wide)):
        wide[j] += share * e[j]


@njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy")
def logarithms(values):
    """Replace positive, normal numbers by their logarithms to base 2, and others by whatever; in vectors, as no library's is.

    x is 2 to a whole number times a fraction between the roots of 1/2 and 2, whose logarithm is a series in (x - 1) / (x + 1).
    """
    for j in range(len(values)):
        bits = np.float64(values[j]).view(np.int64)
        whole = np.int64(np.uint64(bits + _ABOVE) >> np.uint64(52)) - np.int64(1023)
        fraction = np.int64(bits - (whole << np.int64(52))).view(np.float64)
        s = (fraction - 1) / (fraction + 1)
        t = s * s
        p = _SERIES[10]
        for i in (9, 8, 7, 6, 5, 4, 3, 2, 1, 0):
            p = p * t + _SERIES[i]
        values[j] = np.float64(np.int32(whole)) + s * p


@njit(nogil=True, cache=True)
def _softmax(x, u, mask, masked, ordered, e):
    """Fill e (k,) with powers 2**(u * x), relative to the largest, of classes whose mask is not minus infinity, else with 0; the
    largest logit, and the sum of the powers."""
    if masked:
        for j in range(len(e)):
            e[j] = np.float64(x[j]) if mask[j] > -np.inf else -np.inf
        start = _top(e)
        total = _shifted_powers(e, u, start, e)
        total = _without(mask, e)
    else:
        start = np.float64(_top(x))
        total = _shifted_powers(x, u, start, e)
    return start, np.sum(np.sort(e)) if ordered else total


@njit(nogil=True, cache=True)
def _without(mask, e):
    """Put 0 in place of masked classes; the sum of the others."""
    total = 0.0
    for j in range(len(e)):
        e[j] = e[j] if mask[j] > -np.inf else 0.0
        total += e[j]
    return total


@njit(nogil=True, cache=True, fastmath=_FAST)
def _shifted_powers(x, u, start, e):
    """Fill e with 2**(u * (x - start)); their sum."""
    total = 0.0
    for j in range(len(e)):
        power = exp2(u * (np.float64(x[j]) - start))
        e[j] = power
        total += power
    return total


@njit(nogil=True, cache=True)
def _log_total(block, i, at, w, j, starts, totals):
    """Logarithm of the sum of the members' probabilities of class j, where that is no normal number."""
    top = -np.inf
    for a in range(len(at)):
        top = max(top, w[a] * (np.float64(block[at[a], i, j]) - starts[a]) - math.log(totals[a]))
    total = 0.0
    for a in range(len(at)):
        total += math.exp(w[a] * (np.float64(block[at[a], i, j]) - starts[a]) - math.log(totals[a]) - top)
    return top + math.log(total)


@njit(nogil=True, cache=True, forceinline=True)
def _write(c, label, spoken, z_label, z_said, rest, square, slope, out):
    """Write COLUMNS of one row, given the sums over all classes but the predicted class c, and two classes relative to it."""
    total = 1 + rest
    log_total = math.log1p(rest)
    out[0] = rest / total
    out[1] = log_total - slope / LOG2_E / total
    if label == c:
        out[2] = log_total
        out[3] = out[0] ** 2 + square / total**2
    else:
        p = math.exp(z_label) / total
        out[2] = log_total - z_label
        out[3] = (1 - p) ** 2 + (1 + square) / total**2 - p**2
    out[4] = out[0] if spoken == c else 1 - math.exp(z_said) / total
