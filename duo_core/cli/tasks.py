"""`duo task`: one task of a list; and what `duo logits` and `duo finetune` share in writing lists and running them."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duo_core.cli.arguments import not_negative, number
from duo_core.cli.options import Commands, device_option, new_command
from duo_core.cli.printing import say
from duo_core.common.arrays import InputError
from duo_core.common.files import check_output

if TYPE_CHECKING:
    from duo_core.cluster import Engine


def add_task(commands: Commands) -> None:
    """Add `duo task`."""
    command = new_command(commands, "task", task, "run one task of a list that --plan wrote; what is done is not done again")
    command.add_argument("file", type=Path, metavar="FILE", help="the list: a line of JSON a task")
    which = "which, from 0: ${SLURM_ARRAY_TASK_ID}, ${JOB_COMPLETION_INDEX}"
    command.add_argument("number", type=not_negative, metavar="N", help=which)
    device_option(command)
    command.add_argument("--workers", type=not_negative, metavar="N", help="processes that decode (default: as many as fit)")


def task(options: argparse.Namespace) -> None:
    """Run one task and say what it did."""
    from duo_core.cluster import read_task

    found = read_task(options.file, options.number)
    said = found.run(options.device, options.workers, lambda sentence: say(f"duo task: {sentence}", sys.stderr))
    say(f"task {options.number}: {found}: {said}")


def engine_options(command: argparse.ArgumentParser, what: str) -> None:
    """Add --engine and --plan."""
    group = command.add_argument_group("on other machines")
    group.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help=f"what runs {what}: this process (default), or Ray by RAY_ADDRESS",
    )
    group.add_argument("--plan", type=Path, metavar="FILE", help="write the tasks to a file, for duo task, and run none")


def cut_options(command: argparse.ArgumentParser) -> None:
    """Add how large tasks are, and --dry-run."""
    command.add_argument(
        "--task-minutes", type=number, default=10.0, metavar="M", help="of --plan and ray: what a task takes (default 10)"
    )
    command.add_argument(
        "--throughput",
        type=number,
        metavar="X",
        help="multiply-adds a second by which tasks are cut and times estimated (default 1e13, on a CPU 5e10)",
    )
    command.add_argument("--dry-run", action="store_true", help="say what there is to do, how long it takes, and do nothing")


def engine_of(options: argparse.Namespace) -> "Engine":
    """What runs tasks."""
    from duo_core.cluster import Local
    from duo_core.cluster.ray import Ray

    workers = getattr(options, "workers", None)
    if options.engine == "ray":
        return Ray(options.device, workers)
    return Local(options.device, workers, lambda sentence: say(f"duo {options.command}: {sentence}", sys.stderr))


def write_plan(options: argparse.Namespace, tasks: Sequence[Any]) -> None:
    """Write the list and say how it is run."""
    from duo_core.cluster import write_tasks

    check_output(options.plan, force=True)
    write_tasks(options.plan, tasks)
    if not tasks:
        say("0 tasks: nothing is missing; the same command without --plan joins what is there")
        return
    say(
        f"{len(tasks):,} tasks in '{options.plan}': duo task {options.plan} 0, and so on to {len(tasks) - 1}, anywhere and in any "
        "order; then the same command without --plan joins what they leave"
    )


def run_tasks(options: argparse.Namespace, tasks: Sequence[Any], then: Callable[[Any], None] = lambda _: None) -> list[str]:
    """Run tasks on the engine that was asked for, and call `then` with each that has ended; return what those said that failed."""
    from duo_core.cluster import finished

    if not tasks:
        return []

    def followed() -> Iterator[Any]:
        for one in engine_of(options).run(tasks):
            yield one
            then(one.task)

    ended = followed()
    return finished(ended, len(tasks), lambda text: say(f"duo {options.command}: {text}", sys.stderr))


def fail_with(sentences: Sequence[str]) -> None:
    """Raise InputError with what tasks said that failed, once all others are done."""
    if sentences:
        raise InputError(*sentences)
