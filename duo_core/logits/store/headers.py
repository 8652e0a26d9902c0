"""Headers of safetensors files: read as plain JSON of bounded size, checked, and known by a digest of their own."""

import hashlib
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from safetensors.torch import save
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.common.files import as_json, replaced
from duo_core.logits import tensor_digest

OWN_DIGEST = "header_sha256"
"""Entry of the metadata that holds the digest of all the rest of the header."""
LARGEST = 100_000_000
"""Bytes of a header, as the format has it."""
BYTES = {"I64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Of the types that the store writes."""


@dataclass(frozen=True)
class Header:
    """What a file says before its tensors."""

    metadata: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    """By safetensors' own names, F32 for instance."""
    digest: str
    """Of everything in the header but the digest that it may carry itself."""

    @property
    def stated_digest(self) -> str | None:
        """The digest that the file carries; None in files of earlier versions."""
        return self.metadata.get(OWN_DIGEST)


def read_header(file: Path) -> Header:
    """Read a file's header, seen to describe the file that it stands in.

    Raises
    ------
    InputError
        Where the file is no whole safetensors file; FileNotFoundError where there is none.
    """
    content, start, size = _content(file)
    metadata, tensors = content.pop("__metadata__", {}), content
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InputError(f"'{file}' is truncated or altered (its metadata is no list of texts)")
    end = max((_end(file, name, entry) for name, entry in tensors.items()), default=0)
    if start + end != size:
        raise InputError(f"'{file}' is truncated or altered (it has {size:,} bytes, its header describes {start + end:,})")
    own = {key: value for key, value in metadata.items() if key != OWN_DIGEST}
    return Header(
        metadata=metadata,
        shapes={name: tuple(entry["shape"]) for name, entry in tensors.items()},
        dtypes={name: entry["dtype"] for name, entry in tensors.items()},
        digest=header_digest({**tensors, "__metadata__": own}),
    )


def _content(file: Path) -> tuple[dict[str, Any], int, int]:
    """The header as JSON, where the tensors begin, and the file's size."""
    if file.exists() and not file.is_file():
        raise InputError(f"expected a file at '{file}', got something else")
    try:
        with patiently_opened(file) as opened:
            size = os.fstat(opened.fileno()).st_size
            length = int.from_bytes(opened.read(8), "little")
            if not 2 <= length <= min(LARGEST, size - 8):
                raise InputError(f"'{file}' is truncated or altered (its header has no possible length)")
            content = as_json(opened.read(length))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"'{file}' is truncated or altered and cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"'{file}' is truncated or altered (its header is no JSON object)")
    return content, 8 + length, size


def _end(file: Path, name: str, entry: Any) -> int:
    """Where a tensor ends behind the header."""
    facts = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = (facts.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise InputError(f"'{file}' is truncated or altered (its tensor '{name[:60]}' has no type, shape or place)")
    if dtype in BYTES and math.prod(shape) * BYTES[dtype] != offsets[1] - offsets[0]:
        raise InputError(f"'{file}' is truncated or altered (its tensor '{name[:60]}' does not fill its place)")
    return offsets[1]


def _naturals(values: Any) -> TypeGuard[list[int]]:
    return (
        isinstance(values, list)
        and len(values) <= 8
        and all(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 50 for value in values)
    )


def patiently_opened(file: Path) -> Any:
    """Open a file to read bytes; one that a writer is about to put there is waited for, for a moment."""
    for wait in (0.01, 0.03, 0.1):
        try:
            return open(file, "rb")
        except FileNotFoundError:
            time.sleep(wait)
    return open(file, "rb")


def header_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of a header whose metadata lacks the digest itself; the order of its entries does not count."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors with digests of each of them and of the header, in one step; the same content gives the same bytes."""
    whole = {split: tensor.detach().cpu().contiguous() for split, tensor in tensors.items()}
    digests = {split: tensor_digest(tensor) for split, tensor in whole.items()}
    content = memoryview(save(whole, {**metadata, "digests": json.dumps(digests)}))
    header, start = _sealed_header(content)
    with replaced(file) as beside, open(beside, "wb") as written:
        written.write(header)
        written.write(content[start:])


def _sealed_header(content: memoryview) -> tuple[bytes, int]:
    """Return the file's head with its digest, its keys in order (safetensors writes them in any), and where the tensors begin."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(bytes(content[8:start]))
    header["__metadata__"][OWN_DIGEST] = header_digest(header)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text = text.ljust(-len(text) % 8 + len(text))  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text, start
