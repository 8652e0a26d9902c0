"""Commands and their options: how a command registers itself, and the options that several share, each defined once."""

import argparse
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from duo_core.cli.arguments import (
    assignment,
    choice,
    cost_of,
    count_or_fraction,
    json_assignment,
    positive,
    probability,
    seed,
    unique,
)
from duo_core.common.arrays import InputError
from duo_core.formats import FLOOR
from duo_core.systems.system import check_members

Commands = Any
"""What argparse calls the subparsers' action; it has no public type."""
Run = Callable[[argparse.Namespace], None]
BENCHMARKS = "imagenet=FOLDER, imagenetv2=FOLDER, caltech256=FOLDER, iwildcam=FOLDER, laid out as their makers ship them"
"""What --images takes beside sources of single splits."""


def new_command(commands: Commands, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    """Add a command that calls `run`, and return what its options are added to."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(run=run)
    return command


def json_option(command: argparse.ArgumentParser) -> None:
    """Add --json."""
    command.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def store_option(command: argparse.ArgumentParser) -> None:
    """Add --store."""
    command.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="folder of logit sets (default: DUO_STORE, else data/ of a checkout, else your own)",
    )


def split_option(command: argparse.ArgumentParser) -> None:
    """Add --split, the one that is judged on."""
    command.add_argument("--split", default="test", help="split to judge on (default test)")


def uncertainty_option(command: argparse.ArgumentParser, what: str = "what ranks the images") -> None:
    """Add --uncertainty."""
    command.add_argument("--uncertainty", choices=["softmax", "entropy"], default="softmax", help=f"{what} (default softmax)")


def force_option(command: argparse.ArgumentParser, text: str = "replace a file that is there") -> None:
    """Add --force beside an --out."""
    command.add_argument("--force", action="store_true", help=text)


def repeated_option(command: Any, name: str, kind: Callable[[str], Any], form: str, text: str, required: bool = False) -> None:
    """Add an option that takes several values, and may stand several times."""
    command.add_argument(
        name, nargs="+", action="extend", default=None if required else [], required=required, type=kind, metavar=form, help=text
    )


def set_options(command: argparse.ArgumentParser, ranked: bool = True) -> None:
    """Add --set or --file, what may be said of such files, and --store: all that names logits to judge.

    `ranked` is whether the command ranks images, so that --uncertainty says by what.
    """
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--set", metavar="NAME", help="logit set")
    which.add_argument("--file", nargs="+", type=Path, metavar="FILE", help="logit files from outside, as duo check reads them")
    if ranked:
        uncertainty_option(command)
    file_options(command)
    store_option(command)


def about_options(command: argparse.ArgumentParser, what: str) -> None:
    """Add what set.json keeps of a new set; `what` are the images or the logits."""
    command.add_argument("--title", help="name of a new set that people read")
    command.add_argument("--source", default="", help=f"where the {what} are from, kept in set.json")
    command.add_argument("--licence", default="", help="of the images, kept in set.json")


def file_options(command: argparse.ArgumentParser) -> None:
    """Add what a person may say about files from outside."""
    files = command.add_argument_group("about files from outside")
    value_options(files)
    repeated_option(files, "--cost", cost_of, "MODEL=MULTIPLY_ADDS[:PARAMETERS]", "what the files do not say")
    files.add_argument(
        "--costs", type=Path, metavar="TABLE", help="the same as a table: model, multiply_adds, parameters (1.2G, 300M, ...)"
    )


def value_options(command: Any) -> None:
    """Add what a person may say about the arrays in files, to a command or a group of its options."""
    names = "what arrays are (logits/MODEL, labels, ids, split, class_names); of a table a column, of logits the first"
    repeated_option(command, "--name", assignment, "ROLE=[FILE:]ARRAY", names)
    command.add_argument("--log", action="store_true", help="take the logarithm of probabilities")
    command.add_argument(
        "--floor",
        type=probability,
        metavar="X",
        help=f"what stands for smaller probabilities there (default: {FLOOR:g})",
    )
    command.add_argument("--labels-from-one", action="store_true", help="subtract 1 from labels")
    fit_option(command, "rows to fit on, drawn where files name no splits (default a fifth)")


def fit_option(command: Any, text: str) -> None:
    """Add --fit, how much is drawn to fit on, and --seed."""
    command.add_argument("--fit", type=count_or_fraction, metavar="N|FRACTION", help=text)
    command.add_argument("--seed", type=seed, default=0, help="of that draw (default 0)")


def model_options(command: argparse.ArgumentParser) -> None:
    """Add how models are built that differ from what their library says."""
    for option, kind, form, text in (
        ("--checkpoint", assignment, "MODEL=FILE", "own weights, .safetensors, .pt, .pth, .pth.tar, .ckpt or .bin"),
        ("--weights", choice, "WHICH", "of a checkpoint: raw, ema (averaged; default where there are some), a key; or MODEL=WHICH"),
        ("--arguments", json_assignment, "MODEL=JSON", "constructor arguments"),
        ("--transform", json_assignment, "MODEL=JSON", "fields of the evaluation transform that differ from the model's own"),
    ):
        repeated_option(command, option, kind, form, text)


def images_of(options: argparse.Namespace, wanted: Collection[str] | None, tell: Callable[[str], None]) -> dict[str, str]:
    """Sources by split of --images, a benchmark's splits among them; what a benchmark was taken for is told."""
    from duo_core.images.benchmarks import expanded

    sources, notes = expanded(unique(options.images, "--images"), wanted)
    for note in notes:
        tell(note)
    return sources


def class_options(command: argparse.ArgumentParser) -> None:
    """Add which folders are classes, and in which order."""
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


def compute_options(command: argparse.ArgumentParser) -> None:
    """Add where and how models run."""
    device_option(command)
    command.add_argument(
        "--precision",
        choices=["float32", "tf32", "float16", "bfloat16"],
        default="float32",
        help="what models compute in, but for the layer of the logits: tf32 rounds products of float32 numbers, float16 and "
        "bfloat16 are autocast (default float32)",
    )
    command.add_argument("--batch-size", type=positive, metavar="N", help="images a batch (default by device)")


def device_option(command: argparse.ArgumentParser) -> None:
    """Add --device."""
    command.add_argument("--device", default="auto", help="auto (default: a GPU where there is one), cpu, cuda, cuda:N, mps or xpu")


def pair_options(command: argparse.ArgumentParser, base: str | None = None, required: bool = False) -> None:
    """Add --base and --sidekick, of which `base` says what they are for."""
    command.add_argument("--base", required=required, metavar="MODEL", help=base)
    command.add_argument("--sidekick", required=required, metavar="MODEL")


def member_options(command: argparse.ArgumentParser, pair: str, members: str) -> None:
    """Add --base and --sidekick, and --members instead, with what either is for."""
    pair_options(command, f"with --sidekick: {pair}")
    command.add_argument("--members", nargs="+", action="extend", metavar="MODEL", help=f"instead: any number of models{members}")


def check_member_options(options: argparse.Namespace) -> None:
    """Raise InputError where the options name neither a pair nor members, or both, or one member twice."""
    named = [name for name in ("base", "sidekick") if getattr(options, name)]
    if options.members and named:
        raise InputError(f"expected --members, or --base and --sidekick, got --members and --{named[0]}; leave one of them out")
    if not options.members and len(named) < 2:
        got = f"--{named[0]} alone" if named else "none of them"
        raise InputError(f"expected --members, or --base and --sidekick, got {got}")
    if options.members:
        check_members(tuple(options.members))
