"""Records of Thrift's compact protocol, of which only the integers that are asked for are kept.

The walk is compiled, since a Parquet footer may hold millions of records, and a file millions of pages.
"""

import numpy as np

from duo_core.common.compiling import njit

BYTE, INT16, INT32, INT64, DOUBLE, BINARY, LIST, SET, STRUCT = 3, 4, 5, 6, 7, 8, 9, 10, 12
BOOLEANS, VARINTS = (1, 2), (INT16, INT32, INT64)
DEPTH = 10
"""Structs and lists within each other."""
CUT, ENDLESS, UNKNOWN, UNORDERED, MANY = 1, 2, 3, 4, 5
"""How a walk may end but well."""
WORDS = {
    CUT: "a record is cut off",
    ENDLESS: "a record has a number of no end",
    UNKNOWN: "a record has a field of no known kind",
    UNORDERED: "a record's fields are not in order",
}


def path(*fields: int) -> int:
    """Number of a field within a field within ...: the numbers of the fields as digits."""
    place = 0
    for field in fields:
        place = 32 * place + field
    return place


LEFT, ELEMENT, LAST, PATH, OWNER = range(5)
"""What is kept of each struct or list that a walk is in: elements to come (-1: a struct), their kind; the last field's number; its
own path; the number of the struct."""


@njit(cache=True)
def _varint(data, at):
    """A number of at most 63 bits, and where it ends; below 0 where there is none."""
    value, shift = np.int64(0), 0
    while shift < 63:
        if at >= data.size:
            return value, -CUT
        byte = np.int64(data[at])
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    return value, -ENDLESS


@njit(cache=True)
def _signed(data, at):
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


@njit(cache=True)
def _kind(data, at, inside):
    """Kind of the next value of a struct or list, 0 behind the last, and where it begins; goes on to it."""
    if inside[LEFT] >= 0:
        inside[LEFT] -= 1
        return (inside[ELEMENT] if inside[LEFT] >= 0 else 0), at
    if at >= data.size:
        return 0, -CUT
    kind, step = np.int64(data[at]) & 15, np.int64(data[at]) >> 4
    inside[LAST] += step
    at += 1
    if kind and not step:
        number, at = _signed(data, at)
        # Writers write fields in order; where one stood twice, readers would differ in which of them counts.
        at = at if at < 0 or number > inside[LAST] else -UNORDERED
        inside[LAST] = number
    return kind, at


@njit(cache=True)
def _path_of(inside):
    """Path of the value that a struct or list has come to; -1 where it is too long to be asked for."""
    if inside[LEFT] >= 0 or inside[PATH] < 0:
        return inside[PATH]
    return 32 * inside[PATH] + inside[LAST] if 0 < inside[LAST] < 32 and inside[PATH] < 1 << 50 else -1


@njit(cache=True)
def _plain(data, at, kind, is_element):
    """A value that is no struct and no list, 0 for one that is no integer, and where it ends."""
    if kind in VARINTS:
        return _signed(data, at)
    if kind == BINARY:
        length, at = _varint(data, at)
        return 0, (at if at < 0 else at + length if length <= data.size - at else -CUT)
    if kind in (BYTE, DOUBLE):
        return 0, at + (1 if kind == BYTE else 8)
    # Of a struct's field its kind is the value.
    return 0, at + is_element if kind in BOOLEANS else -UNKNOWN


@njit(cache=True)
def _list(data, at, inner):
    """Begin a list; return its length, and where its first element begins."""
    if at >= data.size:
        return 0, -CUT
    size, kind = np.int64(data[at]) >> 4, np.int64(data[at]) & 15
    at += 1
    if size == 15:
        size, at = _varint(data, at)
    inner[LEFT], inner[ELEMENT] = size, kind or 15
    return size, at


@njit(cache=True)
def walk(data, at, budget, wanted, integers, found):
    """Go through the struct at a place; return where it ends, what is left of the budget, and how many rows of `found` were filled.

    A row is the number of the struct that a wanted value stands in, its path, and the value: an integer of the kind that is
    expected there, or the length of a list of structs. An end below 0 says why there is none.
    """
    stack = np.zeros((DEPTH + 1, 5), np.int64)
    stack[0, LEFT] = -1
    depth, structs, count = 0, 0, 0
    while depth >= 0:
        inside = stack[depth]
        kind, at = _kind(data, at, inside)
        if at < 0:
            break
        if kind == 0:
            depth -= 1
            continue
        budget -= 1
        if budget < 0 or depth == DEPTH or count == len(found):
            return -MANY, budget, count
        place, value = _path_of(inside), np.int64(0)
        if kind in (STRUCT, LIST, SET):
            depth += 1
            inner = stack[depth]
            inner[LAST], inner[PATH] = 0, place
            if kind == STRUCT:
                structs += 1
                inner[LEFT], inner[OWNER] = -1, structs
            else:
                value, at = _list(data, at, inner)
                inner[OWNER] = inside[OWNER]
        else:
            value, at = _plain(data, at, kind, inside[LEFT] >= 0)
        if at < 0:
            break
        if inside[LEFT] < 0 and ((place == wanted) & ((kind == integers) | (kind == LIST))).any():
            if kind == LIST and value and inner[ELEMENT] != STRUCT:
                return -UNKNOWN, budget, count
            found[count, 0], found[count, 1], found[count, 2] = inside[OWNER], place, value
            count += 1
    return at, budget, count


@njit(cache=True)
def pages(data, budget, wanted, integers, found):
    """Sum of the bytes that pages declare to unpack to, where the last one ends, and what is left of the budget; -1: no size."""
    at, total = 0, np.int64(0)
    while 0 <= at < data.size:
        at, budget, count = walk(data, at, budget, wanted, integers, found)
        if at < 0:
            break
        unpacked = packed = np.int64(-1)
        for row in range(count):
            if found[row, 1] == wanted[0]:
                unpacked = found[row, 2]
            else:
                packed = found[row, 2]
        if unpacked < 0 or packed < 0 or packed > data.size - at or unpacked > 1 << 40:
            return np.int64(-1), at, budget
        total, at = total + unpacked, at + packed
    return total, at, budget
