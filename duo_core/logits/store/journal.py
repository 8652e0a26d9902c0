"""Journal: rows computed so far of one model and split, kept on disk against any interruption."""

import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import filelock
import torch
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.common.files import clear_left_behind, write_text

RECENT = 120.0
"""Seconds after which a journal that nobody has added to is of a run that was stopped."""


@dataclass(frozen=True)
class UnderWay:
    """How far a run is that fills a set: of the models that it computes now."""

    models: int
    done: int
    """Predictions that are safe on disk."""
    total: int


def under_way(partial: Path) -> UnderWay | None:
    """What journals in a folder say that were added to within the last minutes; None where nobody computes, as far as one sees."""
    found: dict[str, list[tuple[int, int]]] = {}
    for state in partial.glob("*/*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, IndexError):
            about = json.loads(state.read_text())
            if time.time() - state.stat().st_mtime < RECENT:
                found.setdefault(state.parent.name, []).append((int(about["done"]), int(about["shape"][0])))
    counts = [count for own in found.values() for count in own]
    return UnderWay(len(found), sum(done for done, _ in counts), sum(n for _, n in counts)) if counts else None


class Journal:
    """Rows computed so far of one model and split; what `done` counts is safe on disk, whatever kills the process."""

    def __init__(
        self, folder: Path, split: str, shape: tuple[int, int], dtype: torch.dtype, fingerprint: str, computed_on: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._rows, self._state, lock = (folder / f"{split}.{end}" for end in ("rows", "json", "lock"))
        self.shape, self.dtype = shape, dtype
        self._lock = filelock.FileLock(lock)
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            raise InputError(
                f"another process is computing '{folder.name}' on '{split}' in '{folder.parent.parent}'; "
                "wait for it or leave the model out"
            ) from None
        clear_left_behind(folder, self._state.name, alone=True)
        self._about = {"fingerprint": fingerprint, "shape": list(shape), "dtype": str(dtype)}
        self._here = computed_on
        self.computed_on: tuple[str, ...] = ()
        self.done = self._recorded()
        self._file = open(self._rows, "r+b" if self._rows.exists() else "w+b")  # noqa: SIM115 (closed by close)
        self._file.truncate(self.done * self._row_bytes)
        self._file.seek(0, os.SEEK_END)

    @property
    def _row_bytes(self) -> int:
        return self.shape[1] * self.dtype.itemsize

    def _recorded(self) -> int:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            state = json.loads(self._state.read_text())
            done, places = int(state.pop("done")), tuple(map(str, state.pop("computed_on", ())))
            if state == self._about and done >= 0 and self._rows.stat().st_size >= done * self._row_bytes:
                self.computed_on = places
                return done
        return 0

    def append(self, rows: Tensor) -> None:
        """Add rows (b, k) after those done; they are durable when this returns."""
        self._file.write(rows.to(self.dtype).contiguous().cpu().view(torch.uint8).numpy().data)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.computed_on = tuple(dict.fromkeys((*self.computed_on, self._here)))
        state = {**self._about, "done": self.done + len(rows), "computed_on": self.computed_on}
        write_text(self._state, json.dumps(state))
        self.done += len(rows)

    def tensor(self) -> Tensor:
        """All rows (n, k), once every one is done."""
        if self.done != self.shape[0]:
            raise ValueError(f"the journal has {self.done} of {self.shape[0]} rows")
        if not self.shape[0]:
            return torch.empty(self.shape, dtype=self.dtype)
        return torch.from_file(str(self._rows), shared=False, size=self.shape[0] * self.shape[1], dtype=self.dtype).view(self.shape)

    def close(self) -> None:
        """Let another process go on from here."""
        self._file.close()
        self._lock.release()

    def discard(self) -> None:
        """Remove the rows: they stand in the set now."""
        self._rows.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)
        self.close()
