"""Parquet tables: footer and page headers are read as plain records, then columns by a process apart."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duo_core.formats.apart import Answers, unpacker
from duo_core.formats.footers import footer, unpacked_bytes
from duo_core.formats.limits import FOOTER_BYTES, Limits, words
from duo_core.formats.problems import Flaw, Report, shown
from duo_core.formats.tables import column_members, columns
from duo_core.formats.uploads import Member, Upload

MAGIC = b"PAR1"
FLOATS = {"halffloat": "f2", "float": "f4", "double": "f8"}
"""Types of columns that can be logits, as Arrow calls them."""
TRUTH, AGAIN = "metadata that tells the truth", "save it again"


def parquet_members(upload: Upload, view: memoryview, limits: Limits, report: Report) -> list[Member]:
    """Return the columns of a table as members; the values of a model's logits are read when they are asked for."""
    n = _check_records(view, limits)
    with unpacker(limits) as process:
        with process.answers(view, "schema") as answers:
            schema = answers.head()
        found = columns(upload, schema["names"], schema["kinds"], report)
        types = dict(zip(schema["names"], schema["types"], strict=True))
        logits = {}
        for model, names in found.models.items():
            with report.at(f"{upload.label}, {model}"):
                dtype = _dtype([types[name] for name in names])
                logits[model] = ((n, len(names)), dtype, _reader(view, names, dtype, n, limits))
        return column_members(upload, found, _columns(view, found.texts, n, limits), logits, report)


def _check_records(view: memoryview, limits: Limits) -> int:
    """Compare what the footer and the pages' own headers declare with the limits; return the number of rows."""
    declared = footer(_footer(view))
    limits.check_rows(declared.rows)
    if declared.group_rows != declared.rows:
        found = f"{declared.rows:,} rows are declared, its row groups have {declared.group_rows:,}"
        raise Flaw("E105", found, limit=TRUTH, mend=AGAIN)
    limits.check_decoded(unpacked_bytes(view, declared.chunks))
    return declared.rows


def _footer(view: memoryview) -> memoryview:
    if bytes(view[:4]) != MAGIC or bytes(view[-4:]) != MAGIC or len(view) < 12:
        raise Flaw("E102", f"the file begins with {bytes(view[:4])!r} and ends with {bytes(view[-4:])!r}", format=".parquet")
    length = int.from_bytes(view[-8:-4], "little")
    if length > min(FOOTER_BYTES, len(view) - 12):
        limit = f"a footer of at most {words(FOOTER_BYTES)}, within the file"
        raise Flaw("E105", f"its footer declares {words(length)}", limit=limit, mend=AGAIN)
    return view[-8 - length : -8]


def _dtype(types: list[str]) -> np.dtype[Any]:
    """The dtype that holds all of a model's columns."""
    odd = next((kind for kind in types if kind not in FLOATS), None)
    if odd is not None:
        raise Flaw("E206", f"a logit column has the type {shown(odd)}", need="float16, float32 or float64", dtype="float32")
    return np.result_type(*{np.dtype(FLOATS[kind]) for kind in types})


def _reader(view: memoryview, names: Sequence[str], dtype: np.dtype[Any], n: int, limits: Limits) -> Callable[[], NDArray[Any]]:
    def read() -> NDArray[Any]:
        array, done = np.empty((n, len(names)), dtype), 0
        with unpacker(limits) as process, process.answers(view, "logits", names=list(names), dtype=dtype.str) as answers:
            while rows := int(answers.head()["rows"]):
                if done + rows > n:
                    raise _untrue(n, done + rows)
                answers.fill(array[done : done + rows])
                done += rows
        if done != n:
            raise _untrue(n, done)
        return array

    return read


def _untrue(declared: int, held: int) -> Flaw:
    return Flaw("E105", f"{declared:,} rows are declared, {held:,} are there", limit=TRUTH, mend=AGAIN)


def _columns(view: memoryview, names: Sequence[str], n: int, limits: Limits) -> dict[str, NDArray[Any]]:
    """Columns (n,) by name: numbers, text as an array of str, or raw bytes for what is neither."""
    if not names:
        return {}
    with unpacker(limits) as process, process.answers(view, "columns", names=list(names), text=2 * limits.text_bytes) as answers:
        head = answers.head()
        if head["rows"] != n:
            raise _untrue(n, head["rows"])
        read = {name: _column(one, n, answers, limits) for name, one in head["columns"].items()}
    return {name: read.get(name, np.zeros(n, "V1")) for name in names}


def _column(head: Mapping[str, Any], n: int, answers: Answers, limits: Limits) -> NDArray[Any]:
    """Numbers as they are; text as an array of str, written out only once its length is known. An empty cell is empty text."""
    numbers = answers.fill(np.empty(n, head["dtype"]))
    if "values" not in head:
        return numbers
    values = np.array([*head["values"], ""], dtype=object)  # the last is that of -1
    total = int(np.array([len(value.encode()) for value in values])[numbers].sum())
    limits.check_texts(total)
    return np.asarray(values[numbers])
