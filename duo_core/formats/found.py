"""What was found in uploaded files: facts for a preview, and the whole outcome of reading."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from duo_core.formats.problems import Problem, RefusedError
from duo_core.logits import LogitSet


@dataclass(frozen=True)
class ArrayFacts:
    """One array of a file, or column of a table, as the file has it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    role: str
    """What it was read as; empty where it was left alone."""


@dataclass(frozen=True)
class FileFacts:
    """One file as it is, whether it can be used or not."""

    name: str
    size: int
    """Bytes."""
    members: tuple[str, ...]
    """Name, dtype and shape of each array, a line each."""
    arrays: tuple[ArrayFacts, ...] = ()


@dataclass(frozen=True)
class ModelFacts:
    """One model's logits; the scores are those of the logits as they are, None where there is no set."""

    name: str
    file: str
    n: int
    """Rows in its file."""
    k: int
    dtype: str
    multiply_adds: int | None = None
    parameters: int | None = None
    accuracy: float | None = None
    nll: float | None = None
    ece: float | None = None


@dataclass(frozen=True)
class Found:
    """What a preview shows; the later entries are known only where there is a set."""

    files: tuple[FileFacts, ...] = ()
    models: tuple[ModelFacts, ...] = ()
    n: int | None = None
    """Images of the set."""
    k: int | None = None
    splits: Mapping[str, int] = field(default_factory=dict)
    seed: int | None = None
    """Of the draw of the fit split; None where the files name their splits."""
    left_out: int = 0
    """Images that are not in every file."""
    base: str | None = None
    sidekick: str | None = None
    missing: tuple[str, ...] = ()
    """What the files do not say and a person may: `costs`, `class_names`."""
    rows: tuple[Mapping[str, Any], ...] = ()
    """The first images: id, split, label, and each model's first logits."""


@dataclass(frozen=True)
class Reading:
    """The outcome of reading files: a set to work with, or the problems that stand in the way."""

    logit_set: LogitSet | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    found: Found

    def opened(self) -> LogitSet:
        """Return the set, or raise InputError with one line a problem."""
        if self.logit_set is None:
            raise RefusedError(self.problems)
        return self.logit_set

    def document(self) -> dict[str, Any]:
        """Return everything but the logits as what `duo check --json` prints."""
        return {
            "ok": self.logit_set is not None,
            "problems": [asdict(problem) for problem in self.problems],
            "warnings": [asdict(problem) for problem in self.warnings],
            **asdict(self.found),
        }
