"""Unpacks Parquet in a process of its own, which `apart` starts as a script: pyarrow and NumPy are all that it imports.

It answers one request after the other until its input ends. A request is a JSON object, the file where another one is meant than
before, and is answered by a JSON object and the arrays that this names, each as plain bytes. Nothing is unpacked but columns of
numbers and of text, text with each value once as the file has it, so that what is sent grows with the file and its rows alone.
"""

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

BATCH = 4096
LENGTH = 8
"""Bytes that say how long a JSON object is."""
Answer = Iterator[tuple[dict[str, Any], Sequence[NDArray[Any]]]]


class RefusalError(Exception):
    """A file that cannot be read; its arguments are the code of the problem and what was found."""


def send(stream: BinaryIO, head: dict[str, Any], *contents: Any) -> None:
    """Write a JSON object and the bytes that follow it."""
    text = json.dumps(head).encode()
    stream.write(len(text).to_bytes(LENGTH, "little") + text)
    for content in contents:
        stream.write(content)
    stream.flush()


def receive(stream: BinaryIO, most: int) -> dict[str, Any]:
    """Read a JSON object of at most so many bytes; EOFError where the stream ends."""
    length = int.from_bytes(filled(stream, bytearray(LENGTH)), "little")
    if length > most:
        raise EOFError(f"an answer of {length} bytes")
    head = json.loads(filled(stream, bytearray(length)))
    return head if isinstance(head, dict) else {}


def filled(stream: BinaryIO, buffer: Any) -> Any:
    """Return a buffer of bytes once it is full; EOFError where the stream ends before."""
    view, done = memoryview(buffer), 0
    while done < len(view):
        count = stream.readinto(view[done:])  # type: ignore[attr-defined]  # which buffered streams have
        if not count:
            raise EOFError("the stream has ended")
        done += count
    return buffer


def plain(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of a contiguous array."""
    return array.reshape(-1).view(np.uint8) if array.size else np.zeros(0, np.uint8)


def schema(content: Any) -> Answer:
    """Names and types of a file's columns."""
    found = _opened(content).schema_arrow
    yield {"names": found.names, "kinds": [kind(one) for one in found.types], "types": [str(one)[:60] for one in found.types]}, []


def columns(content: Any, names: Sequence[str], text: int) -> Answer:
    """Columns of numbers, and of text as its different values with the number of that of each row, -1 for none.

    `text` is how many bytes those values may take. Of columns that hold neither nothing is read.
    """
    types = dict(zip((opened := _opened(content).schema_arrow).names, opened.types, strict=True))
    asked = [name for name in names if kind(types[name]) or pa.types.is_boolean(types[name])]
    file = _opened(content, [name for name in asked if kind(types[name]) == "U"])
    table, found, arrays = file.read(columns=_alone(file, asked), use_threads=False), {}, []
    for name in asked:
        if kind(types[name]) == "U":
            values, numbers = _text(table[name], text)
            found[name] = {"dtype": numbers.dtype.str, "values": values}
        else:
            numbers = np.ascontiguousarray(_decoded(table[name]).to_numpy())
            found[name] = {"dtype": numbers.dtype.str}
        arrays.append(numbers)
    yield {"rows": table.num_rows, "columns": found}, arrays


def logits(content: Any, names: Sequence[str], dtype: str) -> Answer:
    """Columns of numbers side by side (n, k), some rows at a time; the last answer is of none."""
    file = _opened(content)
    for batch in file.iter_batches(BATCH, columns=_alone(file, names), use_threads=False):
        block = np.empty((len(batch), len(names)), dtype)
        for index, name in enumerate(names):
            block[:, index] = batch.column(name).to_numpy(zero_copy_only=False)
        if len(batch):
            yield {"rows": len(batch)}, [block]
    yield {"rows": 0}, []


def kind(of: pa.DataType) -> str:
    """What a column holds: whole numbers (i), numbers (f), text (U), or other things (empty)."""
    of = of.value_type if pa.types.is_dictionary(of) else of
    text = pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of)
    return "i" if pa.types.is_integer(of) else "f" if pa.types.is_floating(of) else "U" if text else ""


def _opened(content: Any, texts: Sequence[str] = ()) -> pq.ParquetFile:
    reader = pa.BufferReader(pa.py_buffer(content))
    return pq.ParquetFile(reader, read_dictionary=list(texts), memory_map=False, pre_buffer=False)


def _alone(file: pq.ParquetFile, names: Sequence[str]) -> list[str]:
    """The names, once it is known that none of them stands for a column within another one, too, which would be read with it."""
    paths = Counter[str]()
    for index in range(len(file.schema)):
        parts = file.schema.column(index).path.split(".")
        paths.update(".".join(parts[:end]) for end in range(1, len(parts) + 1))
    if twice := [name for name in names if paths[name] != 1]:
        raise RefusalError("E103", f"the column '{twice[0][:60]}' is there within another one, too")
    return list(names)


def _text(column: pa.ChunkedArray, most: int) -> tuple[list[str], NDArray[np.int32]]:
    """The different values of a column, and the number of that of each row."""
    values: list[str] = []
    numbers: list[NDArray[np.int32]] = []
    total = sum(chunk.dictionary.nbytes for chunk in column.chunks)
    if total > most:
        raise RefusalError("E105", str(total))
    for chunk in column.chunks:
        chunk.validate(full=True)  # the library takes places in the dictionary as the file says them
        places = chunk.indices.to_numpy(zero_copy_only=False)
        numbers.append(np.where(np.isnan(places), -1, places + len(values)).astype(np.int32))
        values += chunk.dictionary.to_pylist()
    return values, np.concatenate([np.zeros(0, np.int32), *numbers])


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column.validate(full=True)
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


READERS: dict[str, Callable[..., Answer]] = {"schema": schema, "columns": columns, "logits": logits}


def answers(content: Any, request: dict[str, Any]) -> Answer:
    """What is answered to a request; a refusal at last where the file cannot be read."""
    try:
        yield from READERS[request["what"]](content, **request["of"])
    except RefusalError as error:
        yield {"refused": error.args}, []
    except MemoryError:
        yield {"refused": ["E105", ""]}, []
    except Exception as error:  # bytes that are no table make the library raise anything
        yield {"refused": ["E102", str(error)[:200]]}, []


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until there are no more."""
    content: Any = b""
    while True:
        try:
            request = receive(requests, 1 << 40)
        except EOFError:
            return
        if "bytes" in request:
            content = b""  # two files are never held at once
            content = filled(requests, bytearray(request["bytes"]))
        for head, arrays in answers(content, request):
            send(replies, head, *map(plain, arrays))


def limit_memory(more: int) -> None:
    """Let the process take so many bytes more than it has, where the system knows of such a limit."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm", encoding="ascii") as pages:
            now = int(pages.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))


if __name__ == "__main__":
    sys.modules["pandas"] = None  # type: ignore[assignment]  # it takes half a second, and pyarrow goes without it
    limit_memory(int(sys.argv[1]))
    serve(sys.stdin.buffer, sys.stdout.buffer)
