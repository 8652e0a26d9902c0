"""Tables of text, separated by commas, semicolons or tabs: lines are counted and measured before one is parsed."""

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from duo_core.common.files import unguarded
from duo_core.formats.fd_shifts import whole_numbers
from duo_core.formats.headings import Layout, as_utf8, layout
from duo_core.formats.limits import HEADER, Limits, words
from duo_core.formats.problems import Flaw, Report, shown
from duo_core.formats.tables import Columns, column_members, columns
from duo_core.formats.uploads import Member, Upload

CHUNK = 1 << 20
BLOCK = 2 << 20
"""Bytes of text that are parsed at once, up to the end of a line."""
FLOAT32_DIGITS = 9
"""Significant digits that tell every float32 apart; a table of numbers with no more of them holds float32."""


def csv_members(upload: Upload, view: memoryview, limits: Limits, report: Report) -> list[Member]:
    """Return the columns of a table as members.

    Numbers of at most nine significant digits are read as float32, which is what timm writes so; the others as float64.
    """
    view = as_utf8(view)
    table = layout(view)
    n = _lines(view) - table.headings
    limits.check_rows(n)
    found = columns(upload, table.names, table.kinds, report)
    limits.check_decoded(8 * sum(map(len, found.models.values())) * n)
    numbers, texts = _parsed(view, table, n, found, limits)
    arrays = {model: _narrowed(array) for model, array in numbers.items()}
    logits = {model: (array.shape, array.dtype, partial(np.asarray, array)) for model, array in arrays.items()}
    typed = {name: texts[name] if role == "ids" else _typed(texts[name]) for role, name in found.roles.items()}
    return column_members(upload, found, typed, logits, report)


def _lines(view: memoryview) -> int:
    """Number of lines, none of them longer than the limit."""
    count, last = 0, -1
    for start in range(0, len(view), CHUNK):
        ends = np.flatnonzero(np.frombuffer(view[start : start + CHUNK], np.uint8) == ord("\n")) + start
        count += len(ends)
        if len(ends):
            last = _measured(np.append(last, ends))
        elif start + CHUNK - last > HEADER:
            raise _endless()
    _measured(np.array([last, len(view)]))
    return count + (last + 1 < len(view))


def _measured(ends: NDArray[np.int64]) -> int:
    if np.diff(ends).max() > HEADER:
        raise _endless()
    return int(ends[-1])


def _endless() -> Flaw:
    return Flaw("E105", f"a line has no end in {words(HEADER)}", limit=f"lines of at most {words(HEADER)}")


def _parsed(
    view: memoryview, table: Layout, n: int, found: Columns, limits: Limits
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[Any]]]:
    """Each model's logits (n, k) as float64, and the columns that have a role as text; at most n rows."""
    logits = {model: np.empty((n, len(of_model))) for model, of_model in found.models.items()}
    texts: dict[str, list[pa.ChunkedArray]] = {name: [] for name in found.texts}  # not yet Python's, which take more room
    sizes, done = dict.fromkeys(texts, 0), 0
    try:
        for rows in _tables(view, table, found):
            for model, array in logits.items():
                for index, name in enumerate(found.models[model]):
                    array[done : done + len(rows), index] = rows[name].to_numpy()
            sizes = {name: size + rows[name].nbytes for name, size in sizes.items()}
            limits.check_texts(max(sizes.values(), default=0))
            for name, column in texts.items():
                column.append(rows[name])
            done += len(rows)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unparsed(error) from None
    return (
        {model: array[:done] for model, array in logits.items()},
        {
            name: np.array([unguarded(text) for part in parts for text in part.to_pylist()], dtype=object)
            for name, parts in texts.items()
        },
    )


def _tables(view: memoryview, table: Layout, found: Columns) -> Iterator[pa.Table]:
    """The columns that are asked for, some lines at a time; no thread of the library's outlives a table."""
    numbers = [name for of_model in found.models.values() for name in of_model]
    types = {**dict.fromkeys(numbers, pa.float64()), **dict.fromkeys(found.texts, pa.string())}
    for block in _line_blocks(view, table.headings) if types else ():
        yield pacsv.read_csv(
            pa.BufferReader(pa.py_buffer(block)),
            pacsv.ReadOptions(use_threads=False, block_size=2 * HEADER, column_names=table.names),
            pacsv.ParseOptions(delimiter=table.delimiter),
            pacsv.ConvertOptions(column_types=types, include_columns=list(types), decimal_point=table.decimal),
        )


def _line_blocks(view: memoryview, headings: int) -> Iterator[memoryview]:
    """The text behind the headings in parts of whole lines; empty lines at the end of one may be left out."""
    start = _end_of_line(view, 0) if headings else 0
    while start < len(view):
        end = len(view) if len(view) - start <= BLOCK else _end_of_line(view, start + BLOCK)
        if bytes(view[start : start + 2]).strip() or bytes(view[start:end]).strip():
            yield view[start:end]
        start = end


def _end_of_line(view: memoryview, start: int) -> int:
    """Where the line that a place lies in ends, its end included; no line is longer than the limit."""
    ends = (bytes(view[start : start + size]).find(b"\n") for size in (CHUNK, HEADER + 1))
    end = next((end for end in ends if end >= 0), -1)
    return len(view) if end < 0 else start + end + 1


def _unparsed(error: Exception) -> Flaw:
    text = shown(error, 140)
    if "conversion error" in text:
        return Flaw(
            "E206", f"a logit column holds other than numbers ({text})", need="a number in every cell", mend="save numbers alone"
        )
    if cells := re.search(r"Expected (\d+) columns, got (\d+)", text):
        found = f"a row has {cells[2]} cells, the first line names {cells[1]}"
        return Flaw("E102", found, format=".csv", mend="write one name for each column, and one cell for each name in every row")
    return Flaw("E102", f"the table cannot be parsed ({text})", format=".csv")


def _narrowed(array: NDArray[np.float64]) -> NDArray[Any]:
    """The array as float32 where its numbers have so few digits that they are float32 written out.

    >>> _narrowed(np.array([[0.1, 12.3456]])).dtype, _narrowed(np.array([[0.1, 1 / 3]])).dtype
    (dtype('float32'), dtype('float64'))
    """
    rows = max(1, CHUNK // max(1, array.shape[1]))
    if all(_few_digits(array[start : start + rows]) for start in range(0, len(array), rows)):
        return array.astype(np.float32)
    return array


def _few_digits(block: NDArray[np.float64]) -> bool:
    values = np.abs(block[np.isfinite(block) & (block != 0)])
    if not values.size:
        return True
    if values.max() > 1e30 or values.min() < 1e-30:
        return False
    scale = 10.0 ** (FLOAT32_DIGITS - 1 - np.floor(np.log10(values)))
    return bool((np.abs(np.rint(values * scale) / scale - values) <= 4 * np.spacing(values)).all())


def _typed(texts: NDArray[Any]) -> NDArray[Any]:
    """Text as the numbers that all of it are, whole ones as integers however they are written, or as it is.

    >>> _typed(np.array(["1", "2"], dtype=object)), _typed(np.array(["val"], dtype=object))
    (array([1, 2]), array(['val'], dtype=object))
    >>> _typed(np.array(["0.0", "1.000e+00"], dtype=object)), _typed(np.array(["0.5"], dtype=object))
    (array([0, 1]), array([0.5]))
    """
    for dtype in (np.int64, np.float64):
        try:
            return whole_numbers(texts.astype(dtype))
        except (ValueError, OverflowError):
            continue
    return texts
