"""Tasks as plain data, a line of JSON each: all that another machine needs, and nothing that it would have to trust as code."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from duo_core.common.arrays import InputError
from duo_core.common.files import as_json, write_text

VERSION = 1
"""Of the lines; those of another version are refused."""
Tell = Callable[[str], None]


class Task(Protocol):
    """A piece of work that may run anywhere, any number of times: what is done is found again."""

    kind: ClassVar[str]

    def run(self, device: str, workers: int | None, tell: Tell) -> str:
        """Do it; say what was done."""

    def __str__(self) -> str:
        """Name it to a person."""


@dataclass(frozen=True)
class Images:
    """Where images are and how they become splits."""

    sources: Mapping[str, str]
    class_index: str = "auto"
    class_folder: str = "leaf"
    fit: int | float | None = None
    seed: int = 0
    corrupt: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """`KIND:SEVERITY` by split."""


def kinds() -> dict[str, type[Any]]:
    """What each kind of task is read into."""
    from duo_core.cluster.logits import LogitsTask
    from duo_core.cluster.trials import TrialTask

    return {kind.kind: kind for kind in (LogitsTask, TrialTask)}


def line_of(task: Any) -> str:
    """A task as one line of JSON; equal tasks give equal lines."""
    return json.dumps({"version": VERSION, "kind": task.kind, **dataclasses.asdict(task)}, sort_keys=True)


def key_of(task: Any) -> str:
    """SHA-256 of a task."""
    return hashlib.sha256(line_of(task).encode()).hexdigest()


def task_of(line: str, where: str) -> Task:
    """Read one line; InputError where it is none of this version."""
    try:
        found = as_json(line)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "version" not in found:
        raise InputError(f"expected a task as JSON in {where}, got something else; write the tasks again with --plan")
    version, kind = found.pop("version"), kinds().get(found.pop("kind", ""))
    names = {part.name for part in dataclasses.fields(kind)} if kind else set()
    if version != VERSION or kind is None or set(found) != names:
        raise InputError(
            f"expected a task of version {VERSION} in {where}, got one of version {version!r} or of another kind; "
            "write the tasks again with --plan"
        )
    task: Task = kind(**found)
    return task


def write_tasks(file: Path, tasks: Sequence[Any]) -> None:
    """Write tasks, a line each, in one step."""
    write_text(file, "".join(f"{line_of(task)}\n" for task in tasks))


def read_task(file: Path, number: int) -> Task:
    """Read the task of a number, counted from 0."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"expected a file of tasks at '{file}', got none that can be read; write one with --plan") from None
    if not 0 <= number < len(lines):
        raise InputError(f"expected the number of a task, 0 to {len(lines) - 1} in '{file}', got {number}")
    return task_of(lines[number], f"line {number + 1} of '{file}'")
