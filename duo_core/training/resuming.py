"""The state of a trial between two steps, on disk: weights, the optimiser's moments, the best weights so far, and where it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.training import checkpoints
from duo_core.training.scores import Score

PARTS = ("weights", "best", "moments")


@dataclass(frozen=True)
class Saved:
    """A trial between two steps; no generator is in it, since every random number depends on the step alone."""

    moment: Mapping[str, Any]
    """Fields of a Moment."""
    weights: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    """The best so far; empty before the end of the first epoch."""
    moments: Mapping[str, Tensor]
    """Of the optimiser, by `NUMBER.NAME`."""
    threads: tuple[int, ...] = ()
    """Numbers of threads that its steps were taken with, the first first: sums are rounded otherwise by another number."""


class Stored:
    """Where a trial's state is stored.

    Parameters
    ----------
    file
        What it is written to.
    fingerprint
        All that the trial depends on, as one text; the state of another is not read.
    """

    def __init__(self, file: Path, fingerprint: str) -> None:
        self.file, self._fingerprint = file, fingerprint

    def write(self, saved: Saved) -> None:
        """Store a state in one step: killed meanwhile, the one before is still there."""
        tensors = {f"{part}.{key}": value for part in PARTS for key, value in getattr(saved, part).items()}
        best = saved.moment["best"]
        moment = {**saved.moment, "best": None if best is None else best.to_dict()}
        checkpoints.write(self.file, tensors, {"fingerprint": self._fingerprint, "moment": moment, "threads": list(saved.threads)})

    def read(self, tell: Callable[[str], None]) -> Saved | None:
        """Return what was stored; None where there is nothing, or, which is said, something altered or of another trial."""
        if not self.file.exists():
            return None
        try:
            about, tensors = checkpoints.read(self.file)
        except InputError as error:
            tell(f"the trial begins anew: {error}")
            return None
        if about.get("fingerprint") != self._fingerprint:
            tell(f"the trial begins anew: '{self.file}' is of another one")
            return None
        moment = about["moment"]
        best = None if moment["best"] is None else Score(**moment["best"])
        parts = {part: _part(tensors, f"{part}.") for part in PARTS}
        return Saved({**moment, "best": best}, **parts, threads=tuple(about.get("threads", ())))


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
