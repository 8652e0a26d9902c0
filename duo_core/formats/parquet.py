"""Parquet tables: footer and page headers are read as plain records before pyarrow sees them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from duo_core.formats.limits import FOOTER_BYTES, TEXT, Limits, words
from duo_core.formats.problems import Flaw, Report, shown
from duo_core.formats.tables import column_members, columns
from duo_core.formats.thrift import CHUNK, COLUMNS, DATA, DICTIONARY, FOOTER, GROUPS, PACKED, ROWS, Records, unpacked_bytes
from duo_core.formats.uploads import Member, Upload

DAMAGED = (pa.ArrowException, OSError, ValueError, OverflowError, TypeError, IndexError, MemoryError, NotImplementedError)
"""What pyarrow raises for files that are not as they should be."""
MAGIC = b"PAR1"
BATCH = 4096
RECORDS = 60
"""Fields and elements of records a column, in a table of as many columns as there may be classes."""
TRUTH, AGAIN = "metadata that tells the truth", "save it again"


def parquet_members(upload: Upload, view: memoryview, limits: Limits, report: Report) -> list[Member]:
    """Return the columns of a table as members; the values of a model's logits are read when they are asked for."""
    n = _check_records(view, limits)
    try:
        file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(view)), memory_map=False, pre_buffer=False)
        schema = file.schema_arrow
    except DAMAGED as error:
        raise _damaged(error) from None
    found = columns(upload, schema.names, report)
    types = {name: schema.field(name).type for name in schema.names}
    logits = {}
    for model, names in found.models.items():
        with report.at(f"{upload.label}, {model}"):
            dtype = _dtype([types[name] for name in names])
            logits[model] = ((n, len(names)), dtype, _reader(file, names, dtype, n))
    rows = {name: _column(view, name, types[name], n) for name in found.texts}
    return column_members(found, rows, logits)


def _check_records(view: memoryview, limits: Limits) -> int:
    """Compare what the footer and the pages' own headers declare with the limits; return the number of rows."""
    footer = Records(_footer(view), RECORDS * limits.classes).struct(FOOTER)
    rows, groups = footer.get(ROWS), _structs(footer.get(GROUPS))
    if not isinstance(rows, int) or rows < 0:
        raise Flaw("E102", "the footer does not say how many rows there are", format=".parquet")
    limits.check_rows(rows)
    held = sum(_natural(group.get(ROWS)) for group in groups)
    if held != rows:
        raise Flaw("E105", f"{rows:,} rows are declared, its row groups have {held:,}", limit=TRUTH, mend=AGAIN)
    total = 0
    for column in (column for group in groups for column in _structs(group.get(COLUMNS))):
        chunk = next(iter(_structs([column.get(CHUNK)])), {})
        start = min(_natural(chunk.get(DATA)), _natural(chunk.get(DICTIONARY)) or len(view))
        total += unpacked_bytes(view, start, _natural(chunk.get(PACKED)))
        limits.check_decoded(total)
    return rows


def _structs(value: Any) -> list[dict[int, Any]]:
    """The structs of a list of a record, none where it is something else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _natural(value: Any) -> int:
    """An integer of a record, 0 where it is missing, negative or something else."""
    return value if isinstance(value, int) and value > 0 else 0


def _footer(view: memoryview) -> memoryview:
    if bytes(view[:4]) != MAGIC or bytes(view[-4:]) != MAGIC or len(view) < 12:
        raise Flaw("E102", f"the file begins with {bytes(view[:4])!r} and ends with {bytes(view[-4:])!r}", format=".parquet")
    length = int.from_bytes(view[-8:-4], "little")
    if length > min(FOOTER_BYTES, len(view) - 12):
        limit = f"a footer of at most {words(FOOTER_BYTES)}, within the file"
        raise Flaw("E105", f"its footer declares {words(length)}", limit=limit, mend=AGAIN)
    return view[-8 - length : -8]


def _damaged(error: Exception) -> Flaw:
    return Flaw("E102", f"the file is truncated or damaged ({shown(error, 100)})", format=".parquet")


def _dtype(types: list[pa.DataType]) -> np.dtype[Any]:
    """The dtype that holds all of a model's columns."""
    odd = next((kind for kind in types if not pa.types.is_floating(kind)), None)
    if odd is not None:
        raise Flaw("E206", f"a logit column has the type {shown(odd)}", need="float16, float32 or float64", dtype="float32")
    return np.result_type(*{kind.to_pandas_dtype() for kind in types})


def _reader(file: pq.ParquetFile, names: Sequence[str], dtype: np.dtype[Any], n: int) -> Callable[[], NDArray[Any]]:
    def read() -> NDArray[Any]:
        array, done = np.empty((n, len(names)), dtype), 0
        try:
            for batch in file.iter_batches(BATCH, columns=list(names), use_threads=False):
                for index, name in enumerate(names):
                    array[done : done + len(batch), index] = batch.column(name).to_numpy(zero_copy_only=False)
                done += len(batch)
        except (*DAMAGED, KeyError) as error:
            raise _damaged(error) from None
        _check_told(n, done)
        return array

    return read


def _check_told(declared: int, held: int) -> None:
    if declared != held:
        raise Flaw("E105", f"{declared:,} rows are declared, {held:,} are there", limit=TRUTH, mend=AGAIN)


def _column(view: memoryview, name: str, kind: pa.DataType, n: int) -> NDArray[Any]:
    """One column (n,): numbers, text as an array of str, or raw bytes for what is neither."""
    try:
        source = pa.BufferReader(pa.py_buffer(view))
        column = pq.read_table(source, columns=[name], read_dictionary=[name] if _is_text(kind) else None, use_threads=False)[name]
        _check_told(n, len(column))
        if pa.types.is_dictionary(column.type) and _is_text(column.type):
            return _text(column)
        if _is_number(column.type):
            return np.asarray(column.to_numpy())
    except (*DAMAGED, KeyError) as error:
        raise _damaged(error) from None
    return np.zeros(n, "V1")


def _text(column: pa.ChunkedArray) -> NDArray[Any]:
    """Dictionary-encoded text as an array of str, written out only once its length is known; an empty cell is empty text."""
    lengths = (pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() for chunk in column.chunks)
    total = sum(length or 0 for length in lengths)
    if total > TEXT:
        raise Flaw("E105", f"its texts take {words(total)} unpacked", limit=f"at most {words(TEXT)} of text")
    return np.array([value or "" for chunk in column.chunks for value in chunk.to_pylist()], dtype=object)


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
