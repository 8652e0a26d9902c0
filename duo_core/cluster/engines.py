"""What runs tasks: this process, one after another, or Ray; both say of each what came of it, and go on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from duo_core.cluster.tasks import Tell
from duo_core.common.arrays import InputError


@dataclass(frozen=True)
class Done:
    """A task that is done."""

    task: Any
    said: str


@dataclass(frozen=True)
class Failed:
    """A task that would fail again: its sentence says what to do."""

    task: Any
    said: str


class Engine(Protocol):
    """Runs tasks, each at least once and in any order."""

    def run(self, tasks: Sequence[Any]) -> Iterator[Done | Failed]:
        """Give what came of each task when it has ended."""


@dataclass(frozen=True)
class Local:
    """This process."""

    device: str = "auto"
    workers: int | None = None
    tell: Tell = lambda _: None

    def run(self, tasks: Sequence[Any]) -> Iterator[Done | Failed]:
        """Run tasks one after another."""
        for task in tasks:
            try:
                yield Done(task, task.run(self.device, self.workers, self.tell))
            except InputError as error:
                yield Failed(task, str(error))


def finished(ended: Iterable[Done | Failed], total: int, tell: Callable[[str], None]) -> list[str]:
    """Say of each task that it has ended, and return the sentences of those that failed, each once."""
    failed: list[str] = []
    for number, one in enumerate(ended, 1):
        tell(f"{number:,} of {total:,} tasks: {one.task}: {one.said}")
        if isinstance(one, Failed):
            failed.append(one.said)
    return list(dict.fromkeys(failed))
