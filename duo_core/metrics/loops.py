"""Compiled loops over the images of one system, (n,): what metrics count, and the points that a curve needs.

They run without Python's lock, so that threads share the systems.
"""

import math

import numpy as np

from duo_core.common.compiling import njit


@njit(nogil=True, cache=True)
def tie_ends(bits, correct):
    """Ends of the blocks of equal values (n,), smallest first, and how many images are wrong up to each end; int64.

    `bits` are unsigned integers whose highest bit is free, as those of floats that are not negative, which order as the floats do:
    each is sorted together with whether its image is wrong, which is several times as fast as an order of indices.
    """
    one = bits.dtype.type(1)
    keys = np.empty_like(bits)
    for i in range(len(bits)):
        keys[i] = (bits[i] << one) | (not correct[i])
    keys = sorted_keys(keys)
    ends, errors = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    blocks, total = 0, 0
    for i in range(len(keys)):
        total += int(keys[i] & one)
        if i + 1 == len(keys) or keys[i + 1] >> one != keys[i] >> one:
            ends[blocks], errors[blocks] = i + 1, total
            blocks += 1
    return ends[:blocks], errors[:blocks]


@njit(nogil=True, cache=True)
def surer_right(ends, errors):
    """Number of pairs of a right and a wrong image of which the right one is surer, ties counting one half, of blocks as
    `tie_ends` gives them; exact below 2**52."""
    total = 0.0
    start = before = 0
    for block in range(len(ends)):
        wrong = errors[block] - before
        right = ends[block] - start - wrong
        total += (start - before + right / 2) * wrong
        start, before = ends[block], errors[block]
    return total


@njit(nogil=True, cache=True)
def most_covered(ends, errors, numerator, denominator):
    """End of the last block up to which at least numerator / denominator of the images are right; 0 where there is none."""
    for block in range(len(ends) - 1, -1, -1):
        if (ends[block] - errors[block]) * denominator >= numerator * ends[block]:
            return ends[block]
    return 0


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


@njit(nogil=True, cache=True)
def sorted_keys(keys):
    """The unsigned integers (n,) in ascending order, counted eleven bits at a time; overwrites its argument."""
    other = np.empty_like(keys)
    last = np.uint64(2047)
    for bit in range(0, 8 * keys.itemsize, 11):
        shift = np.uint64(bit)
        places = np.zeros(2048, np.int64)
        for key in keys:
            places[(key >> shift) & last] += 1
        if places.max() == len(keys):
            continue
        start = 0
        for digit in range(len(places)):
            places[digit], start = start, start + places[digit]
        for key in keys:
            digit = (key >> shift) & last
            other[places[digit]] = key
            places[digit] += 1
        keys, other = other, keys
    return keys


@njit(nogil=True, cache=True)
def bin_gaps(correct, confidence, edges):
    """Right ones less the sum of confidences (n,) in each bin (edges[b], edges[b + 1]] of equal width; 0 is in the first."""
    bins = len(edges) - 1
    gaps = np.zeros(bins)
    for i in range(len(correct)):
        b = min(max(math.ceil(confidence[i] * bins) - 1, 0), bins - 1)
        # The product may round across an edge.
        if b > 0 and confidence[i] <= edges[b]:
            b -= 1
        elif b < bins - 1 and confidence[i] > edges[b + 1]:
            b += 1
        gaps[b] += correct[i] - confidence[i]
    return gaps


@njit(nogil=True, cache=True)
def class_counts(labels, predicted, k):
    """By class, int64 (k,): true positives, labels, predictions."""
    hits, true, said = np.zeros(k, np.int64), np.zeros(k, np.int64), np.zeros(k, np.int64)
    for i in range(len(labels)):
        true[labels[i]] += 1
        said[predicted[i]] += 1
        if labels[i] == predicted[i]:
            hits[labels[i]] += 1
    return hits, true, said


@njit(nogil=True, cache=True)
def thinned(values, points, tolerance):
    """Columns of curves (m, n) that straight lines between them miss least, int64 ascending, and the largest error left.

    The segment that errs most, of equal ones the first, is split at its worst column, again and again, until `points` columns are
    kept or no line errs by more than the tolerance.
    """
    last = values.shape[1] - 1
    errors = np.empty(max(last, 1))
    # Segment s runs from column low[s] to high[s] and errs most, by error[s], at worst[s].
    low, high, worst = np.empty(points, np.int64), np.empty(points, np.int64), np.empty(points, np.int64)
    error = np.empty(points)
    low[0], high[0] = 0, last
    error[0], worst[0] = _worst(values, np.int64(0), last, errors)
    count = 1
    while True:
        s = 0
        for other in range(1, count):
            if error[other] > error[s] or (error[other] == error[s] and low[other] < low[s]):
                s = other
        if count + 1 >= points or error[s] <= tolerance:
            break
        low[count], high[count], high[s] = worst[s], high[s], worst[s]
        for part in (s, count):
            error[part], worst[part] = _worst(values, low[part], high[part], errors)
        count += 1
    kept = np.append(low[:count], last) if last else low[:count]
    return np.sort(kept), error[s]


@njit(nogil=True, cache=True)
def _worst(values, low, high, errors):
    """The largest distance of any row from the straight line between two columns, and the first column where it is so large."""
    inside = high - low - 1
    if inside < 1:
        return 0.0, low
    errors[:inside] = 0
    for row in values:
        for j in range(inside):
            share = (j + 1) / (high - low)
            errors[j] = max(errors[j], abs(row[low + 1 + j] - (row[low] * (1 - share) + row[high] * share)))
    at = 0
    for j in range(inside):
        if errors[j] > errors[at]:
            at = j
    return errors[at], low + 1 + at
