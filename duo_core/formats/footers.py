"""What a Parquet file declares, read without pyarrow, which some footers end and which unpacks a page to say how large it is."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duo_core.formats.limits import CHUNKS, NESTS, RECORDS
from duo_core.formats.problems import Flaw
from duo_core.formats.thrift import INT32, INT64, MANY, WORDS, pages, path, walk

COLUMNS, ROWS, GROUPS, CHILDREN = path(2), path(3), path(4), path(2, 5)
GROUP_CHUNKS, GROUP_ROWS = path(4, 1), path(4, 3)
PACKED, DATA, DICTIONARY = (path(4, 1, 3, field) for field in (7, 9, 11))
FOOTER = np.array([COLUMNS, CHILDREN, ROWS, GROUPS, GROUP_CHUNKS, GROUP_ROWS, PACKED, DATA, DICTIONARY])
FOOTER_KINDS = np.where(FOOTER == CHILDREN, INT32, INT64)
PAGE_UNPACKED, PAGE_PACKED = path(2), path(3)
PAGE = np.array([PAGE_UNPACKED, PAGE_PACKED])
PAGE_KINDS = np.full(len(PAGE), INT32)


@dataclass(frozen=True)
class Footer:
    """What a footer declares."""

    rows: int
    group_rows: int
    """Sum of the rows of all groups."""
    chunks: Sequence[tuple[int, int]]
    """Where each column of each group begins, and how many bytes of the file it takes."""


def footer(view: memoryview) -> Footer:
    """Read what is needed of a footer; raise a Flaw where it is damaged or holds too much."""
    found = np.zeros((7 * CHUNKS, 3), np.int64)
    end, _, count = walk(_bytes(view), 0, RECORDS, FOOTER, FOOTER_KINDS, found)
    _check(end)
    values: dict[int, list[int]] = defaultdict(list)
    chunks: dict[int, dict[int, int]] = defaultdict(dict)
    for struct, place, value in found[:count].tolist():
        values[place].append(value)
        chunks[struct][place] = value
    if max(sum(values[GROUP_CHUNKS]), sum(values[COLUMNS])) > CHUNKS:
        raise Flaw(
            "E105",
            f"it has {sum(values[COLUMNS]):,} columns in {sum(values[GROUPS]):,} row groups",
            limit=f"at most {CHUNKS:,} columns, those of each row group counted",
            mend="save fewer columns, or all rows in one group",
        )
    nests = sum(count > 0 for count in values[CHILDREN])
    if nests > NESTS:  # libraries go down into each other's columns, and end the process where they go too deep
        raise Flaw("E105", f"{nests:,} of its columns hold others", limit=f"at most {NESTS}", mend="save plain columns")
    if len(values[ROWS]) != 1 or values[ROWS][0] < 0:
        raise damaged("the footer does not say how many rows there are")
    group_rows = sum(max(0, rows) for rows in values[GROUP_ROWS])
    return Footer(values[ROWS][0], group_rows, [_chunk(chunk) for chunk in chunks.values() if PACKED in chunk])


def _chunk(fields: dict[int, int]) -> tuple[int, int]:
    starts = [fields[place] for place in (DATA, DICTIONARY) if fields.get(place, 0) > 0]
    return min(starts, default=0), max(0, fields[PACKED])


def unpacked_bytes(view: memoryview, chunks: Sequence[tuple[int, int]]) -> int:
    """Bytes that the pages of column chunks, each given by its place and size in the file, declare to unpack to.

    Raises
    ------
    Flaw
        Where the pages do not fill their chunk.
    """
    total, budget, found = 0, RECORDS, np.zeros((16, 3), np.int64)
    for start, size in chunks:
        if not 0 <= start <= start + size <= len(view):
            raise damaged("a column lies outside the file")
        unpacked, end, budget = pages(_bytes(view[start : start + size]), budget, PAGE, PAGE_KINDS, found)
        _check(end)
        if unpacked < 0:
            raise damaged("a page has no size, or ends outside its column")
        total += int(unpacked)
    return total


def _bytes(view: memoryview) -> NDArray[np.uint8]:
    array: NDArray[Any] = np.frombuffer(view, np.uint8) if len(view) else np.zeros(0, np.uint8)
    array.flags.writeable = False  # so that what is compiled for one kind of array serves all
    return array


def _check(end: int) -> None:
    """Raise a Flaw for the end of a walk that did not go well."""
    if end == -MANY:
        raise Flaw("E105", "its records are too many or nest", limit="one record for each column, row group and page")
    if end < 0:
        raise damaged(WORDS[-end])


def damaged(found: str) -> Flaw:
    """Return the Flaw of a file that is not as it should be."""
    return Flaw("E102", found, format=".parquet")
