"""How a table of text is laid out: its encoding, its separator, the names in its first line, and what its columns hold."""

import codecs
import contextlib
import csv
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from duo_core.common.files import unguarded
from duo_core.formats.limits import HEADER, words
from duo_core.formats.problems import Flaw, shown

DELIMITERS = ",;\t"
CHUNK = 1 << 20
ENCODINGS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""By the byte-order mark that a file begins with; the longer marks first, since one begins with another."""
WHOLE = re.compile(r"\s*[+-]?\d+\s*")
NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*|\s*[+-]?(nan|inf)\s*|\s*", re.I)
SAMPLE = 200
"""Rows that are looked at to tell what columns hold."""
CELLS = 200_000
"""Cells of them."""


@dataclass(frozen=True)
class Layout:
    """How a table is to be parsed."""

    names: list[str]
    kinds: list[str]
    """What each column holds, as one of `tables.KINDS`, by its first rows."""
    delimiter: str
    headings: int
    """Lines before the first row."""
    decimal: str
    """The sign before the fraction of a number."""


def as_utf8(view: memoryview) -> memoryview:
    """Return text in UTF-8, without a byte-order mark; what a mark says is in UTF-16 or UTF-32 is written anew."""
    if bytes(view[:3]) == codecs.BOM_UTF8:
        return view[3:]
    mark = next((mark for mark in ENCODINGS if bytes(view[: len(mark)]) == mark), None)
    if mark is None:
        return view
    decoder, text = codecs.getincrementaldecoder(ENCODINGS[mark])(), bytearray()
    try:
        for start in range(len(mark), len(view), CHUNK):
            text += decoder.decode(view[start : start + CHUNK]).encode()
        text += decoder.decode(b"", final=True).encode()
    except UnicodeError:
        raise Flaw("E102", f"the file begins as {ENCODINGS[mark]} text and is none", format=".csv") from None
    return memoryview(text)


def layout(view: memoryview) -> Layout:
    """Tell from the first lines how a table is to be parsed; raise a Flaw where the first does not name columns."""
    first = _first_line(view)
    delimiter = max(DELIMITERS, key=first.count)
    rows = _sample(view, delimiter, first)
    names, below = rows[0], rows[1:]
    if _are_numbers(names, below):
        if len([name for name in names if name.strip()]) > 1 or not WHOLE.fullmatch(_plain(names[0])):
            raise _nameless(names)
        names, below, headings = ["target", *names[1:]], rows, 0
    else:
        headings = 1
    if below and len(below[0]) == len(names) + 1 and not below[0][-1]:
        names = [*names, ""]
    elif below and len(below[0]) == len(names) - 1 and not names[-1]:
        names = names[:-1]
    kinds = [_kind([row[place] for row in below if place < len(row)]) for place in range(len(names))]
    commas = delimiter == ";" and any("," in cell and NUMBER.fullmatch(cell) for row in below for cell in row)
    names = [unguarded(name) or f"Unnamed: {place}" for place, name in enumerate(names)]  # as pandas calls them
    return Layout(names, kinds, delimiter, headings, "," if commas else ".")


def _first_line(view: memoryview) -> str:
    start = bytes(view[: HEADER + 1])
    if not start.strip():
        raise Flaw("E102", "the file is empty", format=".csv")
    line = start.partition(b"\n")[0]
    if len(line) > HEADER:
        raise Flaw("E105", f"its first line has no end in {words(HEADER)}", limit=f"lines of at most {words(HEADER)}")
    if b"\0" in line:
        raise Flaw("E102", "the first line has bytes that are no text", format=".csv")
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError:
        raise Flaw("E102", "the first line is no UTF-8 text", format=".csv", mend="save the table as UTF-8") from None


def _sample(view: memoryview, delimiter: str, first: str) -> list[list[str]]:
    """The first rows, that of the names among them, as texts."""
    width = first.count(delimiter) + 1
    size = min(len(view), CHUNK + 4 * len(first))
    lines = bytes(view[:size]).decode("utf-8", "replace").splitlines(keepends=True)[1:]
    whole = lines if size == len(view) or len(lines) < 2 else lines[:-1]
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        rows += csv.reader([first], delimiter=delimiter)
        rows += itertools.islice(csv.reader(whole, delimiter=delimiter), max(1, min(SAMPLE, CELLS // width)))
    if not rows or not rows[0]:
        raise Flaw("E102", "the first line does not name columns", format=".csv")
    return rows


def _plain(cell: str) -> str:
    """A cell without a fraction of zeros.

    >>> _plain("1.000e+00"), _plain("12"), _plain("0.5")
    ('1', '12', '0.5')
    """
    try:
        value = float(cell)
    except ValueError:
        return cell
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1 << 53 else cell


def _are_numbers(names: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a first line holds numbers and no names: a fraction, or whole numbers alone that do not count its columns."""
    filled = [name for name in (names if len(names) > 1 else names[0].split()) if name.strip()]
    if not filled or (len(names) > 1 and not names[0] and all(WHOLE.fullmatch(name) for name in filled)):
        return False  # pandas leaves the name of its index empty
    numbers = [name for name in filled if NUMBER.fullmatch(name) and re.search(r"\d", name)]
    if any(not WHOLE.fullmatch(name) for name in numbers):
        return True
    if len(numbers) < len(filled):
        return False
    counted = [int(name) for name in filled] in [list(range(start, start + len(filled))) for start in (0, 1)]
    whole_below = all(WHOLE.fullmatch(cell) or not cell for row in below for cell in row)
    return not counted or whole_below


def _nameless(cells: Sequence[str]) -> Flaw:
    """What is to be written above a table that has no names of columns."""
    cells = cells if len(cells) > 1 else cells[0].split()
    count = len([cell for cell in cells if cell.strip()])
    example = "logit_0,logit_1" + (",logit_2" if count > 2 else "") + (f",...,logit_{count - 1}" if count > 3 else "")
    return Flaw(
        "E201",
        f"the first line holds numbers ({', '.join(shown(cell.strip(), 12) for cell in cells[:3])}, ...) and no names of columns",
        mend=f"write a line above it that names the {count} columns, separated by commas: {example} where all are logits, "
        "prob_0,prob_1,... where they are probabilities, target for the true classes, filename for the images",
    )


def _kind(cells: Sequence[str]) -> str:
    """What cells hold, as one of `tables.KINDS`; an empty one may hold anything."""
    filled = [cell for cell in cells if cell.strip()]
    if not filled:
        return ""
    if all(WHOLE.fullmatch(cell) for cell in filled):
        return "i"
    return "f" if all(NUMBER.fullmatch(cell) for cell in filled) else "U"
