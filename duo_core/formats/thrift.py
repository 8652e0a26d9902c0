"""Parquet's own records, read without pyarrow: it ends the process for some footers, and unpacks a page to say how large it is.

Footer and page headers are structs of Thrift's compact protocol. Only the integers that are asked for are kept.
"""

from collections.abc import Mapping
from typing import Any

from duo_core.formats.problems import Flaw

BYTE, DOUBLE, BINARY, LIST, SET, STRUCT = 3, 7, 8, 9, 10, 12
BOOLEANS, VARINTS = (1, 2), (4, 5, 6)
WIDTHS = {1: 1, 2: 1, BYTE: 1, DOUBLE: 8}
"""Bytes of an element of a list; as a field of a struct a boolean takes none."""
DEPTH = 10

Wanted = Mapping[int, Any]
"""Numbers of the fields to keep: None for an integer, what to keep of it for a struct or for each struct of a list."""


class Records:
    """Reads structs from bytes; gives up after so many fields and elements, since each takes time however small it is."""

    def __init__(self, view: memoryview, budget: int) -> None:
        self.view = view
        self.at = 0
        self.budget = budget

    def struct(self, wanted: Wanted, depth: int = 0) -> dict[int, Any]:
        """Return the wanted fields of the struct that begins here, and go to its end."""
        found: dict[int, Any] = {}
        number = 0
        while kind := self._byte() & 15:
            step = self.view[self.at - 1] >> 4
            number = number + step if step else self._integer()
            value = self._value(kind, wanted.get(number, {}), depth)
            if number in wanted:
                found[number] = value
        return found

    def _value(self, kind: int, wanted: Wanted | None, depth: int) -> Any:
        self.budget -= 1
        if self.budget < 0 or depth > DEPTH:
            raise Flaw("E105", "its records are too many or nest", limit="one record for each column and row group")
        if kind in VARINTS:
            return self._integer()
        if kind == STRUCT:
            return self.struct(wanted or {}, depth + 1)
        if kind in (LIST, SET):
            return self._list(wanted or {}, depth)
        if kind not in (*BOOLEANS, BYTE, DOUBLE, BINARY):
            raise _damaged("a record has a field of no known kind")
        length = self._varint() if kind == BINARY else 0 if kind in BOOLEANS else WIDTHS[kind]
        self.at += length
        return None

    def _list(self, wanted: Wanted, depth: int) -> list[dict[int, Any]]:
        """The wanted fields of each struct of a list; other lists are passed over."""
        size, kind = divmod(self._byte(), 16)
        size = self._varint() if size == 15 else size
        kept = []
        if kind in WIDTHS:
            self.at += size * WIDTHS[kind]
            size = 0
        for _ in range(size):
            element = self._value(kind, wanted, depth + 1)
            if wanted and kind == STRUCT:
                kept.append(element)
        return kept

    def _byte(self) -> int:
        if self.at >= len(self.view):
            raise _damaged("a record is cut off")
        self.at += 1
        return self.view[self.at - 1]

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise _damaged("a record has a number of no end")


def _damaged(found: str) -> Flaw:
    return Flaw("E102", found, format=".parquet")


ROWS, GROUPS, COLUMNS = 3, 4, 1
CHUNK, VALUES, PACKED, DATA, DICTIONARY = 3, 5, 7, 9, 11
FOOTER = {ROWS: None, GROUPS: {COLUMNS: {CHUNK: dict.fromkeys((VALUES, PACKED, DATA, DICTIONARY))}, ROWS: None}}
PAGE_UNPACKED, PAGE_PACKED = 2, 3


def unpacked_bytes(view: memoryview, start: int, size: int) -> int:
    """Bytes that the pages of one column chunk, at the given place of the file, declare to unpack to.

    Raises
    ------
    Flaw
        Where the pages do not fill the chunk.
    """
    if not 0 <= start <= start + size <= len(view):
        raise _damaged("a column lies outside the file")
    records, total = Records(view[start : start + size], size), 0
    while records.at < size:
        page = records.struct(dict.fromkeys((PAGE_UNPACKED, PAGE_PACKED)))
        unpacked, packed = page.get(PAGE_UNPACKED, -1), page.get(PAGE_PACKED, -1)
        if not (isinstance(unpacked, int) and isinstance(packed, int) and unpacked >= 0 and packed >= 0):
            raise _damaged("a page has no size")
        total, records.at = total + unpacked, records.at + packed
    if records.at != size:
        raise _damaged("a page ends outside its column")
    return total
