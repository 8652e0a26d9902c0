"""safetensors files: a JSON header of bounded length, then plain tensors that are never copied here."""

import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duo_core.formats.limits import ARRAYS, HEADER, Limits, words
from duo_core.formats.problems import Flaw, Report, shown
from duo_core.formats.uploads import TEXT, Member, Upload, report_repeated

DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "I16": "<i2",
    "U16": "<u2",
    "I32": "<i4",
    "U32": "<u4",
    "I64": "<i8",
    "U64": "<u8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}
"""Those that NumPy has; a logit array must be one of the last three."""
TEXTS = ("ids", "class_names", "split")
"""Entries of the header's metadata that hold JSON lists of text, since safetensors has no text of its own."""


def safetensors_members(upload: Upload, view: memoryview, limits: Limits, report: Report) -> list[Member]:
    """Return the tensors of a file, and the lists in its metadata; single wrong ones are reported, a wrong header is raised."""
    header, start = _header(view)
    limits.check_decoded(len(view) - start)
    report_repeated(upload, [name for name, _ in header], report)
    content = view[start:]
    members = []
    for name, entry in dict(header).items():
        with report.at(f"{upload.label}, {name}"):
            members += _metadata(entry) if name == "__metadata__" else [_member(name, entry, content)]
    return members


def _header(view: memoryview) -> tuple[list[tuple[str, Any]], int]:
    """The header's entries, repeated ones too, and where the tensors begin."""
    length = int.from_bytes(view[:8], "little")
    if len(view) < 10 or view[8] != ord("{"):
        raise _broken("the file does not begin with a header")
    if length > HEADER:
        raise Flaw("E105", f"its header declares {words(length)}", limit=f"a header of at most {words(HEADER)}")
    text = bytes(view[8 : 8 + length])
    if len(text) < length:
        raise _broken("the file ends within its header")
    if text.count(b"[") + text.count(b"{") > 4 * ARRAYS:
        raise Flaw("E105", "its header declares more tensors than one can name", limit=f"at most {ARRAYS:,} tensors")
    try:
        entries = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise _broken(f"its header is no JSON ({shown(error)})") from None
    _check_layout([dict(entry) for name, entry in entries if name != "__metadata__" and _is_object(entry)], len(view) - 8 - length)
    return entries, 8 + length


def _is_object(entry: Any) -> bool:
    """Whether an entry was a JSON object; `object_pairs_hook` makes it a list of pairs."""
    return isinstance(entry, list) and all(isinstance(pair, tuple) for pair in entry)


def _check_layout(entries: list[dict[str, Any]], size: int) -> None:
    """Tensors must fill the file without holes and without sharing bytes."""
    offsets = [entry.get("data_offsets") for entry in entries]
    if not all(isinstance(pair, list) and len(pair) == 2 and all(_natural(edge) for edge in pair) for pair in offsets):
        raise _broken("a tensor has no offsets")
    edges = list(itertools.chain.from_iterable(sorted(pair for pair in offsets if pair)))
    if edges != sorted(edges) or any(a != b for a, b in zip(edges[1::2], edges[2::2], strict=False)) or edges[:1] not in ([], [0]):
        raise Flaw("E105", "its tensors overlap or leave holes", limit="one part of the file for each tensor", mend="save it again")
    if (edges[-1] if edges else 0) != size:
        raise _broken(f"its header declares {words(edges[-1] if edges else 0)} of tensors, but {words(size)} follow")


def _natural(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _broken(found: str) -> Flaw:
    return Flaw("E102", found, format=".safetensors")


def _member(name: str, pairs: Any, content: memoryview) -> Member:
    entry = dict(pairs) if _is_object(pairs) else {}
    shape = entry.get("shape")
    if not isinstance(shape, list) or len(shape) > 8 or not all(_natural(side) for side in shape):
        raise _broken("the tensor has no shape")
    code = str(entry.get("dtype"))
    if code not in DTYPES:
        raise Flaw("E106", f"its dtype is {shown(code)}")
    dtype = np.dtype(DTYPES[code])
    begin, end = entry["data_offsets"]
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise Flaw(
            "E105",
            f"its shape {tuple(shape)} does not fill the {words(end - begin)} it has",
            limit="a shape that tells the truth",
            mend="save it again",
        )

    def read() -> NDArray[Any]:
        if begin == end:
            return np.zeros(shape, dtype)
        return np.frombuffer(content[begin:end], dtype).reshape(shape)

    return Member(name, tuple(shape), dtype, read)


def _metadata(pairs: Any) -> list[Member]:
    if not _is_object(pairs):
        raise _broken("its metadata is no object")
    return [_texts(name, text) for name, text in dict(pairs).items() if name in TEXTS]


def _texts(name: str, text: Any) -> Member:
    try:
        values = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Flaw("E206", f"'{name}' in the metadata is no JSON list of texts", need="a JSON list of texts", dtype="str")
    read: Callable[[], NDArray[Any]] = lambda: np.array(values, dtype=object)  # noqa: E731
    return Member(name, (len(values),), TEXT, read)
