"""Commands on logit files from outside: the same reading as the dashboard's uploads."""

import argparse
import contextlib
import mmap
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duo_core.arrays import InputError, UncertaintyKind
from duo_core.cli.arguments import assignment, cost_of, count_or_fraction, seed, unique
from duo_core.cli.printing import print_json, show
from duo_core.files import check_output, replaced
from duo_core.formats import Limits, ModelFacts, Options, Reading, Upload, read
from duo_core.formats.foreign import arrays_of
from duo_core.formats.joining import check_unnamed, drawn_split
from duo_core.formats.writing import left_out, prepared, write
from duo_core.logits import LogitSet
from duo_core.results import swept
from duo_core.store import Store
from duo_core.sweep import sweeps


def check(options: argparse.Namespace) -> None:
    """Read files as an upload is read; say what was found, or every problem."""
    reading = _read(options.files, options)
    if options.json:
        print_json(reading.document())
    reading.opened()
    if not options.json:
        _print_found(reading)
    _print_warnings(reading, "check")


def logit_set_of(options: argparse.Namespace) -> LogitSet:
    """The set that --set names in the store, or that the files of --file hold."""
    if options.file is None:
        _check_no_file_options(options)
        return Store(options.store).open(options.set)
    reading = _read(options.file, options)
    opened = reading.opened()
    _print_warnings(reading, options.command)
    return opened


def _check_no_file_options(options: argparse.Namespace) -> None:
    """What may be said about files would change nothing in a set, and is not passed over in silence."""
    for option in ("fit", "seed", "log", "labels_from_one", "cost"):
        if vars(options).get(option):
            name = f"--{option.replace('_', '-')}"
            raise InputError(f"expected {name} with --file only, got it with --set, which is used as it was made; leave {name} out")


def tables_of(own: LogitSet, options: argparse.Namespace, splits: Sequence[str] | None) -> dict[UncertaintyKind, pd.DataFrame]:
    """All pairs, with either uncertainty; those of a set in the store are remembered there, as the dashboard's are."""
    if options.file is None:
        return swept(own, Store(options.store).path, splits, progress=_progress)
    return sweeps(own, splits, progress=_progress)


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\rall pairs: {done / total:.0%}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _read(files: Sequence[Path], options: argparse.Namespace) -> Reading:
    said = Options(
        take_log=options.log,
        labels_from_one=options.labels_from_one,
        seed=options.seed,
        fit=options.fit,
        base=getattr(options, "base", None),
        sidekick=getattr(options, "sidekick", None),
        costs=unique(options.cost, "--cost"),
        limits=Limits.from_environment(),
    )
    with contextlib.ExitStack() as stack:
        return read([Upload(file.name, stack.enter_context(_mapped(file))) for file in files], said)


@contextlib.contextmanager
def _mapped(file: Path) -> Iterator[Any]:
    """A file's bytes without reading them: what a check refuses unread is not read here either."""
    if file.exists() and not file.is_file():
        raise InputError(f"expected a file, got '{file}'; name the files one by one")
    with open(file, "rb") as opened:
        if not file.stat().st_size:
            yield b""
            return
        # Arrays that were not kept may still look into it, so it is closed when they are gone.
        yield mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)


def _print_warnings(reading: Reading, command: str) -> None:
    for warning in reading.warnings:
        print(f"duo {command}: {warning}", file=sys.stderr)


def _print_found(reading: Reading) -> None:
    found = reading.found
    splits = ", ".join(f"{split} {n:,}" for split, n in found.splits.items())
    drawn = "" if found.seed is None else f" (drawn with seed {found.seed})"
    left = f"; {found.left_out:,} images are not in every file and left out" if found.left_out else ""
    print(f"{found.n:,} images, {found.k:,} classes; {splits}{drawn}{left}")
    print(f"base {found.base}, sidekick {found.sidekick}\n")
    show([_row(facts) for facts in found.models], False)


def _row(facts: ModelFacts) -> dict[str, Any]:
    return {
        "model": facts.name,
        "dtype": facts.dtype,
        "accuracy": facts.accuracy,
        "nll": facts.nll,
        "ece": facts.ece,
        "multiply_adds": facts.multiply_adds,
        "parameters": facts.parameters,
    }


def convert(options: argparse.Namespace) -> None:
    """Write logits of other files as one file that can be uploaded."""
    named = [(None, file) for file in options.files] + [(name, Path(file)) for name, file in options.model]
    if not named:
        raise InputError("expected a file of logits, got none; name one, or several with --model NAME=FILE")
    check_output(options.out)
    arrays: dict[str, NDArray[Any]] = {}
    for name, file in named:
        found = arrays_of(file, name)
        twice = sorted(key for key in set(arrays) & set(found) if not np.array_equal(arrays[key], found[key]))
        if twice:
            raise InputError(f"expected one '{twice[0]}', got another in '{file}'; give each model a name with --model NAME=FILE")
        arrays |= found
    if options.labels:
        arrays["labels"] = _labels(options.labels)
    ready = prepared(arrays, options.out.name, log=options.log, labels_from_one=options.labels_from_one, dtype=options.dtype)
    if options.fit is not None:
        ready["split"] = _split(ready, options.fit, options.seed)
    with replaced(options.out) as beside, open(beside, "wb") as out:
        write(ready, options.out.name, out)
    lost = left_out(ready, options.out.name)
    if lost:
        print(f"duo convert: left out, since a table has no room for it: {', '.join(lost)}", file=sys.stderr)
    logits = [f"{key} {values.shape} {values.dtype}" for key, values in ready.items() if key.startswith("logits/")]
    print(f"{', '.join(logits)} in '{options.out}'; read it with duo check {options.out}")


def _split(arrays: Mapping[str, NDArray[Any]], fit: int | float, seed: int) -> NDArray[Any]:
    """The split that reading the file would draw, to be written into it."""
    if "split" in arrays:
        check_unnamed(arrays["split"], fit)
    ids = [str(name) for name in arrays["ids"].tolist()] if "ids" in arrays else None
    return drawn_split(arrays["labels"], ids, seed, fit)


def _labels(file: Path) -> NDArray[Any]:
    found = arrays_of(file)
    if "labels" not in found:
        raise InputError(f"expected labels in '{file}', got {', '.join(found)}; save one integer an image, named labels")
    return found["labels"]


def check_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `duo check`."""
    command.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help=".npz, .safetensors, .parquet or .csv; several are joined"
    )
    command.add_argument("--base", metavar="MODEL", help="which model is the base (default: the costlier or more accurate)")
    command.add_argument("--sidekick", metavar="MODEL")
    file_options(command)


def file_options(command: argparse.ArgumentParser) -> None:
    """Add what a person may say about files from outside."""
    files = command.add_argument_group("about files from outside")
    _value_options(files)
    files.add_argument(
        "--cost",
        nargs="+",
        action="extend",
        default=[],
        type=cost_of,
        metavar="MODEL=MULTIPLY_ADDS[:PARAMETERS]",
        help="what the files do not say",
    )


def _value_options(command: Any) -> None:
    command.add_argument("--log", action="store_true", help="take the logarithm of probabilities")
    command.add_argument("--labels-from-one", action="store_true", help="subtract 1 from labels")
    command.add_argument(
        "--fit",
        type=count_or_fraction,
        metavar="N|FRACTION",
        help="rows to fit on, drawn where files name no splits (default a fifth)",
    )
    command.add_argument("--seed", type=seed, default=0, help="of that draw (default 0)")


def convert_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `duo convert`."""
    command.add_argument("files", nargs="*", type=Path, metavar="IN", help=".pt, .pth, .npy, .npz, .csv, .h5, ...")
    command.add_argument(
        "--model", nargs="+", action="extend", default=[], type=assignment, metavar="NAME=FILE", help="logits of a model by name"
    )
    command.add_argument("--labels", type=Path, metavar="FILE", help="true classes, where IN has none")
    command.add_argument("--out", required=True, type=Path, metavar="FILE", help=".npz, .safetensors, .parquet or .csv")
    command.add_argument("--dtype", choices=["float16", "float32", "float64"], help="of the logits (default: as they are)")
    _value_options(command)
