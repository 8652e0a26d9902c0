"""Commands on logit files from outside: the same reading as the dashboard's uploads."""

import argparse
import contextlib
import mmap
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from duo_core.cli.arguments import assignment, unique
from duo_core.cli.options import (
    Commands,
    file_options,
    force_option,
    json_option,
    new_command,
    pair_options,
    repeated_option,
    value_options,
)
from duo_core.cli.printing import print_json, say, show
from duo_core.common.arrays import InputError, UncertaintyKind
from duo_core.common.files import check_output, replaced
from duo_core.formats import OPENERS, Cost, Limits, ModelFacts, Options, Reading, Upload, costs_of, read
from duo_core.formats.foreign import arrays_of
from duo_core.formats.joining import check_unnamed, drawn_split, together
from duo_core.formats.naming import addressed, role_of
from duo_core.formats.problems import Report, listed
from duo_core.formats.writing import left_out, prepared, write
from duo_core.logits import LogitSet
from duo_core.logits.store import Store
from duo_core.systems.remembered import swept
from duo_core.systems.sweep import sweeps


def add_check(commands: Commands) -> None:
    """Add `duo check`."""
    command = new_command(commands, "check", check, "read logit files as the dashboard reads uploads; say every problem")
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help=f"{', '.join(OPENERS)}; several are joined")
    pair_options(command, "which model is the base (default: the costlier or more accurate)")
    file_options(command)
    json_option(command)


def check(options: argparse.Namespace) -> None:
    """Read files as an upload is read; say what was found, or every problem."""
    reading = read_files(options.files, options)
    if options.json:
        print_json(reading.document())
    options.warnings = reading.warnings
    reading.opened()
    if not options.json:
        _print_found(reading)


def logit_set_of(options: argparse.Namespace, alone: bool = False) -> LogitSet:
    """The set that --set names in the store, or that the files of --file hold; `alone` is whether one model is enough."""
    if options.file is None:
        _check_no_file_options(options)
        return Store(options.store).open(options.set)
    reading = read_files(options.file, options, alone)
    options.warnings = reading.warnings
    return reading.opened()


def _check_no_file_options(options: argparse.Namespace) -> None:
    """What may be said about files would change nothing in a set, and is not passed over in silence."""
    for option in ("fit", "seed", "log", "floor", "name", "labels_from_one", "cost", "costs"):
        if vars(options).get(option):
            name = f"--{option.replace('_', '-')}"
            raise InputError(f"expected {name} with --file only, got it with --set, which is used as it was made; leave {name} out")


def tables_of(own: LogitSet, options: argparse.Namespace, splits: Sequence[str] | None) -> dict[UncertaintyKind, pd.DataFrame]:
    """All pairs, with either uncertainty; those of a set in the store are remembered there, as the dashboard's are."""
    if options.file is None:
        return swept(own, Store(options.store).path, splits, progress=progress_of("all pairs"))
    return sweeps(own, splits, progress=progress_of("all pairs"))


def progress_of(what: str) -> Callable[[int, int], None]:
    """Return what tells a person at a terminal how far something is."""

    def told(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{what}: {done / total:.0%}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return told


def read_files(files: Sequence[Path], options: argparse.Namespace, alone: bool = False) -> Reading:
    """Read files with what the options say of them; `alone` is whether one model is enough."""
    table = _cost_table(options.costs)
    said = Options(
        take_log=options.log,
        floor=options.floor,
        names=options.name,
        labels_from_one=options.labels_from_one,
        seed=options.seed,
        fit=options.fit,
        base=getattr(options, "base", None),
        sidekick=getattr(options, "sidekick", None),
        costs=unique(options.cost, "--cost"),
        cost_table=table,
        alone=alone,
        limits=Limits.from_environment(),
    )
    with contextlib.ExitStack() as stack:
        found = read([Upload(file.name, stack.enter_context(_mapped(file)), str(file)) for file in files], said)
    models = [facts.name for facts in found.found.models]
    if table and models and not set(table) & set(models):
        raise InputError(
            f"expected costs of the files' models ({', '.join(models)}), got '{next(iter(table))}' in '{options.costs}'"
        )
    return found


def _cost_table(file: Path | None) -> dict[str, Cost]:
    if file is None:
        return {}
    try:
        return costs_of(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(f"expected a table of text in UTF-8 at '{file}', got other bytes; save it so") from None
    except InputError as error:
        raise InputError(f"{error}, in '{file}'") from None


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
    say(f"{found.n:,} images, {found.k:,} classes; {splits}{drawn}{left}")
    say(f"base {found.base}, sidekick {found.sidekick}\n")
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


def add_convert(commands: Commands) -> None:
    """Add `duo convert`."""
    text = "write logits of .pt, .npy, ... files as one that can be uploaded"
    command = new_command(commands, "convert", convert, text)
    command.add_argument(
        "files", nargs="*", type=Path, metavar="IN", help=".pt, .pth, .npy, .npz, .csv, .h5, ...; several are joined"
    )
    repeated_option(command, "--model", assignment, "NAME=FILE", "logits of a model by name")
    command.add_argument(
        "--labels", type=Path, metavar="FILE", help="true classes, where IN has none; joined on ids where both have them"
    )
    command.add_argument("--out", required=True, type=Path, metavar="FILE", help=".npz, .safetensors, .parquet or .csv")
    command.add_argument("--dtype", choices=["float16", "float32", "float64"], help="of the logits (default: as they are)")
    value_options(command)
    force_option(command, "write over a file that is there already")


def convert(options: argparse.Namespace) -> None:
    """Write logits of other files as one file that can be uploaded."""
    sources = [(None, file) for file in options.files] + [(name, Path(file)) for name, file in options.model]
    if not sources:
        raise InputError("expected a file of logits, got none; name one, or several with --model NAME=FILE")
    check_output(options.out, options.force)
    report, names = Report(), options.name
    uploads = addressed([Upload(file.name, b"", path=str(file)) for _, file in sources], names)
    files = [(upload.path, arrays_of(upload, report, model)) for upload, (model, _) in zip(uploads, sources, strict=True)]
    labels = [_labels(Upload(file.name, b"", str(file)), names, report) for file in [options.labels] if file]
    arrays, left = together([*files, *labels], report)
    missing = [(role, target) for role, target in names if role_of(role) not in arrays]
    if missing:
        role, target = missing[0]
        raise InputError(f"expected an array '{target}' for --name {role}, got none in the files; duo check lists them")
    said = {"log": options.log, "floor": options.floor, "labels_from_one": options.labels_from_one, "dtype": options.dtype}
    ready = prepared(arrays, options.out.name, report=report, **said)
    options.warnings = report.warnings
    if not any(key.startswith("logits/") for key in ready):
        raise InputError(f"expected logits (N, K) in {listed([path for path, _ in files])}, got {', '.join(ready)}; add their file")
    if options.fit is not None:
        ready["split"] = _split(ready, options.fit, options.seed)
    with replaced(options.out) as beside, open(beside, "wb") as out:
        write(ready, options.out.name, out)
    _print_conversion(options.out, ready, left)


def _print_conversion(out: Path, ready: Mapping[str, NDArray[Any]], left: int) -> None:
    lost = left_out(ready, out.name)
    lines = [f"{left:,} images are not in every file and were left out"] if left else []
    lines += [f"left out, since a table has no room for it: {', '.join(lost)}"] if lost else []
    for line in lines:
        say(f"duo convert: {line}", file=sys.stderr)
    logits = [f"{key} {values.shape} {values.dtype}" for key, values in ready.items() if key.startswith("logits/")]
    say(f"{', '.join(logits)} in '{out}'; read it with duo check {shlex.quote(str(out))}")


def _split(arrays: Mapping[str, NDArray[Any]], fit: int | float, seed: int) -> NDArray[Any]:
    """The split that reading the file would draw, to be written into it."""
    if "split" in arrays:
        check_unnamed(arrays["split"], fit)
    ids = [str(name) for name in arrays["ids"].tolist()] if "ids" in arrays else None
    return drawn_split(arrays["labels"], ids, seed, fit)


def _labels(file: Upload, names: Sequence[tuple[str, str]], report: Report) -> tuple[str, dict[str, NDArray[Any]]]:
    """Labels of a file, with the ids that they are joined on where it has some."""
    (own,) = addressed([file], [(role, array) for role, array in names if role in ("labels", "ids")])
    found = arrays_of(own, report)
    if "labels" not in found:
        raise InputError(f"expected labels in '{file.path}', got {', '.join(found)}; save one integer an image, named labels")
    return file.path, {role: found[role] for role in ("labels", "ids") if role in found}
