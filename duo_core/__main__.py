"""The command line: `duo zoo | cost | logits | sets | check | convert | import | fit | sweep | ...`."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from duo_core import __version__
from duo_core.cli import commands, exporting, fitting, importing, reporting, thresholds, training, uploading
from duo_core.cli.arguments import (
    assignment,
    choice,
    count_or_fraction,
    input_size,
    json_assignment,
    not_negative,
    port,
    positive,
    seed,
)
from duo_core.cli.printing import say
from duo_core.common.arrays import InputError

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

    _making(actions)
    _judging(actions)
    return root


def _making(actions: Any) -> None:
    """Commands that end in a logit set."""
    zoo = _command(actions, "zoo", commands.zoo, "list the models it knows: name, source, family, role, input size, parameters")
    _json_option(zoo)

    cost = _command(actions, "cost", commands.cost, "multiply-adds, parameters and throughput of models, with random weights")
    cost.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="NAME, timm/NAME, torchvision/NAME[:WEIGHTS], module:callable, or a .yaml or .toml list",
    )
    cost.add_argument("--input-size", type=input_size, metavar="PX|HxW", help="instead of the model's own")
    cost.add_argument("--no-throughput", action="store_true", help="do not run the models: quick")
    cost.add_argument("--check", action="store_true", help="count a second time, by fvcore")
    _model_options(cost)
    _compute_options(cost)
    _json_option(cost)

    logits = _command(actions, "logits", commands.logits, "compute the logits that a set lacks; stopped, it goes on where it was")
    _logits_options(logits)
    _model_options(logits)
    _compute_options(logits)
    _store_option(logits)

    finetune = _command(
        actions, "finetune", training.finetune, "train trials from one linear probe; stopped, it goes on where it was"
    )
    training.finetune_options(finetune)
    training.image_options(finetune)
    _class_options(finetune)
    _json_option(finetune)

    soup = _command(actions, "soup", training.soup, "average the weights of a run's trials: uniform or greedy soup, Model Stock")
    training.soup_options(soup)
    training.image_options(soup)
    _class_options(soup)
    _json_option(soup)

    sets = _command(actions, "sets", commands.sets, "the logit sets in the store, or the models of one")
    sets.add_argument("name", nargs="?", metavar="NAME", help="one set: its models with accuracy by split and cost")
    sets.add_argument("--seal", action="store_true", help="record digests that the set lacks, and its set.json as it is now")
    _store_option(sets)
    _json_option(sets)

    check = _command(actions, "check", uploading.check, "read logit files as the dashboard reads uploads; say every problem")
    uploading.check_options(check)
    _json_option(check)

    imported = _command(actions, "import", importing.import_files, "logits from files become a set of the store")
    importing.import_options(imported)
    _store_option(imported)
    _json_option(imported)

    convert = _command(actions, "convert", uploading.convert, "write logits of .pt, .npy, ... files as one that can be uploaded")
    uploading.convert_options(convert)


def _judging(actions: Any) -> None:
    """Commands that begin with one."""
    fit = _command(actions, "fit", fitting.fit, "weights of a pair, or of any number of models, and all metrics of what they make")
    fitting.fit_options(fit)
    _set_options(fit)
    _json_option(fit)

    sweep = _command(actions, "sweep", commands.sweep, "every pair of a set, every variant, every split")
    sweep.add_argument("--split", action="append", metavar="SPLIT", help="only this split; may be repeated")
    sweep.add_argument("--out", type=Path, metavar="FILE", help="write the table to a .parquet or .csv file")
    sweep.add_argument("--force", action="store_true", help="replace a file that is there")
    _set_options(sweep)
    _json_option(sweep)

    threshold = _command(
        actions, "threshold", thresholds.threshold, "the uncertainty up to which a pair answers under a target risk"
    )
    thresholds.threshold_options(threshold)
    _set_options(threshold)
    _json_option(threshold)

    report = _command(actions, "report", reporting.report, "everything about a pair, or all pairs of a set, as one HTML file")
    reporting.report_options(report)
    _set_options(report)

    export = _command(actions, "export", exporting.export, "the fitted duo as a folder that runs")
    exporting.export_options(export)
    _store_option(export)
    _json_option(export)

    app = _command(actions, "app", commands.app, "open the dashboard")
    app.add_argument("--port", type=port, default=8501, metavar="N", help="default 8501")
    app.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    _store_option(app)


def _command(actions: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(run=run)
    return command


def _json_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def _store_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="folder of logit sets (default: DUO_STORE, else data/ of a checkout, else your own)",
    )


def _set_options(command: argparse.ArgumentParser) -> None:
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--set", metavar="NAME", help="logit set")
    which.add_argument("--file", nargs="+", type=Path, metavar="FILE", help="logit files from outside, as duo check reads them")
    command.add_argument(
        "--uncertainty", choices=["softmax", "entropy"], default="softmax", help="what ranks the images (default softmax)"
    )
    uploading.file_options(command)
    _store_option(command)


def _model_options(command: argparse.ArgumentParser) -> None:
    for option, kind, form, text in (
        ("--checkpoint", assignment, "MODEL=FILE", "own weights, .safetensors, .pt, .pth, .pth.tar, .ckpt or .bin"),
        ("--weights", choice, "WHICH", "of a checkpoint: raw, ema (averaged; default where there are some), a key; or MODEL=WHICH"),
        ("--arguments", json_assignment, "MODEL=JSON", "constructor arguments"),
        ("--transform", json_assignment, "MODEL=JSON", "fields of the evaluation transform that differ from the model's own"),
    ):
        command.add_argument(option, nargs="+", action="extend", default=[], type=kind, metavar=form, help=text)


def _compute_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:N")
    command.add_argument(
        "--precision", choices=["float32", "bfloat16"], default="float32", help="bfloat16 is autocast (default float32)"
    )
    command.add_argument("--batch-size", type=positive, metavar="N", help="images a batch (default by device)")


def _logits_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--set", required=True, metavar="NAME", help="logit set to make or to fill")
    command.add_argument(
        "--images",
        nargs="+",
        action="extend",
        required=True,
        type=assignment,
        metavar="SPLIT=SOURCE",
        help="folder, tar, torch/..., hfds/...",
    )
    command.add_argument(
        "--models", nargs="+", action="extend", required=True, metavar="MODEL", help="NAME, ID=NAME, or a .yaml or .toml list"
    )
    command.add_argument(
        "--fit", type=count_or_fraction, metavar="N|FRACTION", help="draw `val` out of `test`'s images, stratified by class"
    )
    command.add_argument("--seed", type=seed, default=0, help="of that draw (default 0)")
    command.add_argument(
        "--corrupt",
        nargs="+",
        action="extend",
        default=[],
        type=assignment,
        metavar="SPLIT=KIND:SEVERITY",
        help="a split of `test`'s images, corrupted",
    )
    _class_options(command)
    command.add_argument(
        "--dtype", choices=["float32", "float16", "bfloat16"], default="float32", help="what the logits are stored as"
    )
    command.add_argument(
        "--workers", type=not_negative, metavar="N", help="processes that decode (default: by the number of cores)"
    )
    command.add_argument("--skip-unreadable", action="store_true", help="leave out images that cannot be read instead of stopping")
    command.add_argument("--no-throughput", action="store_true", help="do not measure images per second")
    command.add_argument("--title", help="name of a new set that people read")
    command.add_argument("--source", default="", help="where the images are from, kept in set.json")
    command.add_argument("--licence", default="", help="of the images, kept in set.json")


def _class_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--class-index",
        default="auto",
        metavar="HOW",
        help="order of the classes: natural, text (torchvision's ImageFolder), numeric (names are indices), or a class map file; "
        "auto (default) is numeric where all names are numbers, else natural",
    )
    command.add_argument(
        "--class-folder",
        choices=["leaf", "top", "path"],
        default="leaf",
        help="which folder is the class: the innermost (leaf, default), the outermost (top, as ImageFolder), each (path)",
    )


if __name__ == "__main__":
    sys.exit(main())
