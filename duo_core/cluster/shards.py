"""Logits of some rows as a file: written whole beside the set, without a lock, found again by what they are of."""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.common.files import clear_left_behind
from duo_core.logits import tensor_digest
from duo_core.logits.store.headers import read_header, write_tensors
from duo_core.logits.store.reading import LOGITS, tensor_of

ROWS = "rows"


@dataclass(frozen=True)
class Shard:
    """Rows a..b of a split, whole."""

    file: Path
    start: int
    stop: int
    card: dict[str, Any]
    """Fields of the model's card, as the machine that computed the rows knows them."""

    def rows(self) -> Tensor:
        """The logits (b - a, k), memory-mapped."""
        return tensor_of(self.file, ROWS, "delete it")


def write_shard(folder: Path, split: str, span: range, rows: Tensor, fingerprint: str, card: dict[str, Any]) -> Path:
    """Write a shard in one step; two machines that write the same one write equal bytes, and neither is in the other's way."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{split}.{span.start}-{span.stop}.shard"
    clear_left_behind(folder, file.name)
    # Processes of two machines, or containers, may have one number.
    beside = file.with_name(f".{file.name}.{secrets.randbelow(10**9)}")
    try:
        write_tensors(beside, {ROWS: rows}, {"fingerprint": fingerprint, "card": json.dumps(card)})
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
    return file


def shards(folder: Path, split: str, fingerprint: str, shape: tuple[int, int], dtype: torch.dtype) -> list[Shard]:
    """Those of a split that are whole and of this fingerprint, shape (n, k) and type, by where they begin."""
    pattern = re.compile(rf"{re.escape(split)}\.(\d+)-(\d+)\.shard")
    files = [(match, file) for file in folder.glob(f"{split}.*.shard") if (match := pattern.fullmatch(file.name))]
    found = [_read(file, int(match[1]), int(match[2]), fingerprint, shape, dtype) for match, file in files]
    return sorted((shard for shard in found if shard), key=lambda shard: (shard.start, -shard.stop))


def _read(file: Path, start: int, stop: int, fingerprint: str, shape: tuple[int, int], dtype: torch.dtype) -> Shard | None:
    """The shard, its bytes compared with their digest; None for one of something else, or altered."""
    try:
        header = read_header(file)
        card = json.loads(header.metadata["card"])
        digests = json.loads(header.metadata["digests"])
        whole = header.shapes[ROWS] == (stop - start, shape[1]) and LOGITS.get(header.dtypes[ROWS]) == dtype and stop <= shape[0]
        if header.metadata["fingerprint"] != fingerprint or not whole:
            return None
        shard = Shard(file, start, stop, card)
        return shard if tensor_digest(shard.rows()) == digests[ROWS] else None
    except (InputError, FileNotFoundError, KeyError, ValueError, TypeError):
        return None


def gaps(found: Sequence[Shard], n: int) -> list[range]:
    """Rows of 0..n-1 that no shard has.

    >>> here = [Shard(Path("x"), 2, 4, {}), Shard(Path("y"), 3, 6, {})]
    >>> gaps(here, 8)
    [range(0, 2), range(6, 8)]
    """
    missing, at = [], 0
    for shard in found:
        if shard.start > at:
            missing.append(range(at, shard.start))
        at = max(at, shard.stop)
    return missing + ([range(at, n)] if at < n else [])


def gathered(found: Sequence[Shard]) -> Tensor:
    """All rows (n, k) of shards without gaps; where two have a row, the first's."""
    parts, at = [], 0
    for shard in found:
        if shard.stop > at:
            parts.append(shard.rows()[at - shard.start :])
            at = shard.stop
    return torch.cat(parts)
