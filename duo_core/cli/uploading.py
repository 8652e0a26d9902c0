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
from duo_core.cli.arguments import assignment, cost_of, count_or_fraction, probability, seed, unique
from duo_core.cli.printing import print_json, show
from duo_core.files import check_output, replaced
from duo_core.formats import Limits, ModelFacts, Options, Reading, Upload, read
from duo_core.formats.checks import FLOOR
from duo_core.formats.foreign import arrays_of
from duo_core.formats.joining import check_unnamed, drawn_split
from duo_core.formats.naming import Naming
from duo_core.formats.problems import Report
from duo_core.formats.writing import left_out, prepared, write
from duo_core.logits import LogitSet
from duo_core.results import swept
from duo_core.store import Store
from duo_core.sweep import sweeps


def check(options: argparse.Namespace) -> None:
    """Read files as an upload is read; say what was found, or every problem."""
    reading = read_files(options.files, options)
    if options.json:
        print_json(reading.document())
    options.warnings = reading.warnings
    reading.opened()
    if not options.json:
        _print_found(reading)


def logit_set_of(options: argparse.Namespace) -> LogitSet:
    """The set that --set names in the store, or that the files of --file hold."""
    if options.file is None:
        _check_no_file_options(options)
        return Store(options.store).open(options.set)
    reading = read_files(options.file, options)
    options.warnings = reading.warnings
    return reading.opened()


def _check_no_file_options(options: argparse.Namespace) -> None:
    """What may be said about files would change nothing in a set, and is not passed over in silence."""
    for option in ("fit", "seed", "log", "floor", "name", "labels_from_one", "cost"):
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


def read_files(files: Sequence[Path], options: argparse.Namespace) -> Reading:
    """Read files with what the options say of them."""
    said = Options(
        take_log=options.log,
        floor=options.floor,
        names=unique(options.name, "--name"),
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
    check_output(options.out, options.force)
    naming, report, arrays = Naming(unique(options.name, "--name")), Report(), dict[str, NDArray[Any]]()
    for name, file in named:
        found = _in_order_of(arrays, arrays_of(file, name, naming, report), file, report)
        twice = sorted(key for key in set(arrays) & set(found) if not np.array_equal(arrays[key], found[key]))
        if twice:
            raise InputError(f"expected one '{twice[0]}', got another in '{file}'; give each model a name with --model NAME=FILE")
        arrays |= found
    if options.labels:
        arrays |= _labels(options.labels, arrays, naming, report)
    ready = prepared(
        arrays,
        options.out.name,
        log=options.log,
        floor=options.floor,
        labels_from_one=options.labels_from_one,
        dtype=options.dtype,
        report=report,
    )
    options.warnings = report.warnings
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


def _labels(file: Path, arrays: Mapping[str, NDArray[Any]], naming: Naming, report: Report) -> dict[str, NDArray[Any]]:
    """The labels of a file in the order of the logits' rows, and the names of the rows where the logits have none."""
    found = arrays_of(file, None, naming, report)
    if "labels" not in found:
        raise InputError(
            f"expected labels in '{file}', got {', '.join(found)}; save one integer an image, named labels, or name them: "
            "--name labels=ARRAY"
        )
    ordered = _in_order_of(arrays, found, file, report)
    return {key: ordered[key] for key in ("labels", "ids") if key in ordered}


def _in_order_of(
    arrays: Mapping[str, NDArray[Any]], found: dict[str, NDArray[Any]], file: Path, report: Report
) -> dict[str, NDArray[Any]]:
    """A file's arrays with their rows in the order of those that were read before: by the ids where both have them.

    Where only one of them has, the rows are taken to be in the same order, which is said.
    """
    if not arrays:
        return found
    if "ids" not in arrays or "ids" not in found:
        if "ids" in arrays or "ids" in found:
            report.add(file.name, "W13", "not all files name their rows, so rows are joined in the order in which they stand")
        return found
    wanted, there = (np.asarray(part["ids"]).astype(str) for part in (arrays, found))
    if np.array_equal(wanted, there):
        return found
    place = {name: row for row, name in enumerate(there.tolist())}
    if len(place) < len(there):
        raise InputError(f"expected each name once in '{file}', got {len(there) - len(place):,} repeated; remove the repeated rows")
    lacking = [name for name in wanted.tolist() if name not in place]
    if lacking:
        raise InputError(
            f"expected a row for each of the {len(wanted):,} images in '{file}', got none for {len(lacking):,}, '{lacking[0]}' "
            "among them; add them, or leave these images out of the logits"
        )
    rows = np.array([place[name] for name in wanted.tolist()], dtype=np.int64)
    return {key: values if _is_of_all(key) else values[rows] for key, values in found.items()}


def _is_of_all(key: str) -> bool:
    """Whether an array says something of all rows."""
    return key == "class_names" or key.startswith(("flops/", "parameters/"))


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
    command.add_argument(
        "--floor",
        type=probability,
        metavar="P",
        help=f"what stands for smaller probabilities there (default: {FLOOR:g} where some are 0, else nothing)",
    )
    command.add_argument(
        "--name",
        nargs="+",
        action="extend",
        default=[],
        type=assignment,
        metavar="ROLE=ARRAY",
        help="what an array is: logits/MODEL=ARRAY, labels=ARRAY, ids=ARRAY, split=ARRAY; FILE:ARRAY where several files have it",
    )
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
    command.add_argument("--force", action="store_true", help="replace a file that is there")
    command.add_argument("--dtype", choices=["float16", "float32", "float64"], help="of the logits (default: as they are)")
    _value_options(command)
