"""The command line: `duo zoo | cost | logits | sets | check | convert | import | fit | sweep | ...`."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from duo_core import __version__
from duo_core.common.collecting import loading

with loading():
    from duo_core.cli import (
        advising,
        comparing,
        computing,
        ensembling,
        exporting,
        fitting,
        importing,
        reporting,
        serving,
        sets,
        sweeping,
        tasks,
        thresholds,
        training,
        uploading,
    )
    from duo_core.cli.printing import say
    from duo_core.common.arrays import InputError

COMMANDS = (
    computing.add_zoo,
    computing.add_cost,
    computing.add_logits,
    training.add_finetune,
    training.add_soup,
    tasks.add_task,
    sets.add_sets,
    uploading.add_check,
    importing.add_import,
    uploading.add_convert,
    fitting.add_fit,
    sweeping.add_sweep,
    advising.add_advise,
    ensembling.add_ensembles,
    comparing.add_diversity,
    thresholds.add_threshold,
    reporting.add_report,
    exporting.add_export,
    serving.add_app,
)
"""What adds each command, in the order of the help; its options and its run stand in one module."""

OF_MODELS = {"torchvision", "timm", "fvcore", "huggingface_hub", "sklearn"}
"""What requirements-models.txt brings."""
WHOLE = "pip install 'asymmetric-duos-explorer[models]', or the wheel's file with [models] behind it, brings what runs models"

EXAMPLE = """\
example:
  duo logits --set pets --images val=pets/val test=pets/test --models resnet18 convnext_base
  duo fit --set pets --base convnext_base --sidekick resnet18
  duo app
"""


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:  # noqa: D102
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: D102
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:  # said here, it names the command whose help to see
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when done, 2 where the input is wrong, 130 when interrupted.

    What a command noted as odd is said after what it prints, and before what went wrong.
    """
    options = parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
        _say_warnings(options)
    except InputError as error:
        _say_warnings(options)
        return _fail(options, *(str(line) for line in error.args))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in OF_MODELS:
            raise
        return _fail(options, f"expected the package '{error.name}', got an installation that looks at sets alone; {WHOLE}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: nothing more to say
    except OSError as error:
        return _fail(options, _sentence(error))
    except KeyboardInterrupt:
        print(
            f"duo {options.command}: stopped; what was computed is kept, and the same command goes on from there", file=sys.stderr
        )
        return 130
    return 0


def _say_warnings(options: argparse.Namespace) -> None:
    for warning in getattr(options, "warnings", ()):
        say(f"duo {options.command}: {warning}", sys.stderr)


def _fail(options: argparse.Namespace, *messages: str) -> int:
    for message in messages:
        say(f"duo {options.command}: {' '.join(message.split())}", sys.stderr)
    return 2


def _sentence(error: OSError) -> str:
    where = f" at '{error.filename}'" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return (
            f"expected room on the disk{where}, got none left; free some and run the same command again, what was computed is kept"
        )
    return f"expected to read or write{where}, got: {error.strerror or error}; check the path and its permissions"


def parser() -> Parser:
    """Build the parser of every command."""
    root = Parser(
        prog="duo",
        description="Pair a large image classifier with a small sidekick.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"duo {__version__}")
    actions = root.add_subparsers(dest="command", required=True, metavar="COMMAND")

    for add in COMMANDS:
        add(actions)
    return root


if __name__ == "__main__":
    sys.exit(main())
