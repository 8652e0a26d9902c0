"""Parquet tables: footer and page headers are read as plain records before pyarrow sees them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from duo_core.formats.footers import footer, unpacked_bytes
from duo_core.formats.limits import FOOTER_BYTES, TEXT, Limits, words
from duo_core.formats.problems import Flaw, Report, shown
from duo_core.formats.tables import column_members, columns
from duo_core.formats.uploads import Member, Upload

DAMAGED = (pa.ArrowException, OSError, ValueError, OverflowError, TypeError, IndexError, MemoryError, NotImplementedError)
"""What pyarrow raises for files that are not as they should be."""
MAGIC = b"PAR1"
BATCH = 4096
TRUTH, AGAIN = "metadata that tells the truth", "save it again"


def parquet_members(upload: Upload, view: memoryview, limits: Limits, report: Report) -> list[Member]:
    """Return the columns of a table as members; the values of a model's logits are read when they are asked for."""
    n = _check_records(view, limits)
    try:
        file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(view)), memory_map=False, pre_buffer=False)
        schema = file.schema_arrow
    except DAMAGED as error:
        raise _damaged(error) from None
    found = columns(upload, schema.names, [_kind(kind) for kind in schema.types], report)
    types = dict(zip(schema.names, schema.types, strict=True))
    logits = {}
    for model, names in found.models.items():
        with report.at(f"{upload.label}, {model}"):
            dtype = _dtype([types[name] for name in names])
            logits[model] = ((n, len(names)), dtype, _reader(file, names, dtype, n))
    return column_members(upload, found, _columns(view, {name: types[name] for name in found.texts}, n), logits, report)


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


def _columns(view: memoryview, types: Mapping[str, pa.DataType], n: int) -> dict[str, NDArray[Any]]:
    """Columns (n,) by name: numbers, text as an array of str, or raw bytes for what is neither."""
    try:
        texts = [name for name, kind in types.items() if _is_text(kind)]
        file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(view)), read_dictionary=texts)
        table = file.read(columns=list(types), use_threads=False)
        _check_told(n, len(table))
        return {name: _values(table[name], n) for name in types}
    except (*DAMAGED, KeyError) as error:
        raise _damaged(error) from None


def _kind(kind: pa.DataType) -> str:
    """What a column holds, as one of `tables.KINDS`."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return "i" if pa.types.is_integer(kind) else "f" if pa.types.is_floating(kind) else "U" if _is_text(kind) else ""


def _values(column: pa.ChunkedArray, n: int) -> NDArray[Any]:
    if pa.types.is_dictionary(column.type) and _is_text(column.type):
        return _text(column)
    return np.asarray(column.to_numpy()) if _is_number(column.type) else np.zeros(n, "V1")


def _text(column: pa.ChunkedArray) -> NDArray[Any]:
    """Dictionary-encoded text as an array of str, written out only once its length is known; an empty cell is empty text."""
    lengths = (pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() for chunk in column.chunks)
    total = sum(length or 0 for length in lengths)
    if total > TEXT:
        raise Flaw("E105", f"its texts take {words(total)} unpacked", limit=f"at most {words(TEXT)} of text")
    return np.array([value or "" for chunk in column.chunks for value in chunk.to_pylist()], dtype=object)


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
