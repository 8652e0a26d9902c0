"""Uploaded files in, a LogitSet or every problem out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.formats.apart import unpacker
from duo_core.formats.archives import npy_members, npz_members
from duo_core.formats.checks import FLOOR, check_unmasked, checked_logits, floored, scores, warn
from duo_core.formats.conversion import CONVERTED, conversion
from duo_core.formats.delimited import csv_members
from duo_core.formats.found import ArrayFacts, FileFacts, Found, ModelFacts, Reading
from duo_core.formats.joining import Joined, joined
from duo_core.formats.limits import Limits
from duo_core.formats.models import Model, check_classes, check_count, check_labels, models_of
from duo_core.formats.naming import addressed, check_found, is_role, named
from duo_core.formats.parquet import parquet_members
from duo_core.formats.parts import Cost, Part, dtype_name, part_of
from duo_core.formats.problems import Flaw, Report, shown
from duo_core.formats.tensors import safetensors_members
from duo_core.formats.uploads import Member, Upload
from duo_core.logits import FIT_SPLIT, Card, LogitSet, check_pair, tensor_digest

Opener = Callable[[Upload, memoryview, Limits, Report], list[Member]]
OPENERS: dict[str, Opener] = {
    ".npz": npz_members,
    ".safetensors": safetensors_members,
    ".parquet": parquet_members,
    ".csv": csv_members,
    ".npy": npy_members,
    ".tsv": csv_members,
}
"""The formats that are read, by extension."""
PREVIEW_ROWS, PREVIEW_LOGITS = 5, 5


@dataclass(frozen=True)
class Options:
    """What a person says about files beside what they hold."""

    take_log: bool = False
    """Whether probabilities are turned into log-probabilities."""
    floor: float | None = None
    """What stands for smaller probabilities then; None: FLOOR."""
    names: Sequence[tuple[str, str]] = ()
    """What arrays are: a role, and the array's name in any file, or FILE:ARRAY; it goes before what their own names say."""
    labels_from_one: bool = False
    """Whether 1 is subtracted from labels."""
    seed: int = 0
    """Of the draw of the fit split, where the files name none."""
    fit: int | float | None = None
    """How many rows are drawn, or what share of them; None: a fifth, at least 200 and at most 5000, never more than half."""
    base: str | None = None
    sidekick: str | None = None
    costs: Mapping[str, Cost] = field(default_factory=dict)
    """By model; they go before what the files say."""
    cost_table: Mapping[str, Cost] = field(default_factory=dict)
    """The same of more models than the files have, perhaps; `costs` go before it."""
    alone: bool = False
    """Whether one model is enough."""
    class_names: Sequence[str] | None = None
    limits: Limits = field(default_factory=Limits)


def read(files: Sequence[Upload], options: Options | None = None) -> Reading:
    """Read uploaded files as one logit set.

    Nothing is written to disk, no object is loaded, and nothing is unpacked that declares more than the limits. Every problem is
    found, not only the first. The set's arrays are its own: the uploads may be dropped.

    Raises
    ------
    InputError
        Only where `options` do not suit the files (a model that they do not have, more rows to fit on than there are), or no file
        is given.
    """
    options = options or Options()
    if not files:
        raise InputError(f"expected at least one logit file, got none; name one that ends in {', '.join(OPENERS)}")
    with unpacker(options.limits):
        return _read(files, options)


def _read(files: Sequence[Upload], options: Options) -> Reading:
    report, files = Report(), addressed(files, options.names)
    parts, facts = _parts(files, options, report)
    models, whole = models_of(parts, report), len(parts) == len(files)
    if whole and not (options.alone and models):
        check_count(parts, models, report)
    check_classes(parts, models, options.class_names, report)
    check_labels(parts, models, options.labels_from_one, report)
    if not report.problems:
        _check_names(models, options)
    together = joined(parts, options.seed, report, options.fit) if whole else None
    arrays = _arrays(models, together, options, report)
    pa.default_memory_pool().release_unused()  # which would keep what tables took while they were parsed
    found = Found(tuple(facts), tuple(_facts(model) for model in models.values()))
    if report.problems or together is None:
        return Reading(None, tuple(report.problems), tuple(report.warnings), found)
    logit_set = _logit_set(shown(files[0].stem), parts, models, together, arrays, options)
    found = _completed(found, logit_set, together, parts, options)
    pair = found.base or "", found.sidekick or ""
    warn(", ".join(file.label for file in files), logit_set, {facts.name: facts for facts in found.models}, pair, report)
    return Reading(logit_set, (), tuple(report.warnings), found)


def _parts(files: Sequence[Upload], options: Options, report: Report) -> tuple[list[Part], list[FileFacts]]:
    """What each file has; a file that cannot be opened is reported and left out."""
    parts, facts, found, unpacked = [], [], dict[str, list[Member]](), 0
    for file in files:
        view, members, read = memoryview(b""), list[Member](), list[Member]()
        with report.at(file.label):
            view = file.view(options.limits)
            opener = _opener(file, files)
            if not len(view):
                raise Flaw("E102", "the file is empty", format=file.suffix)
            members = opener(file, view, options.limits, report)
            unpacked += sum(member.size * member.dtype.itemsize for member in members)
            options.limits.check_all(unpacked)
            read = named(file, members, options.limits, report)
            parts.append(part_of(file.label, read, options.limits, report))
        lines = tuple(f"{shown(member.label)} {dtype_name(member)} {member.shape}" for member in members if not member.offered)
        found.setdefault(file.path or file.name, []).extend(read)
        facts.append(FileFacts(file.label, len(view), lines, _arrays_of(members, read)))
    if len(parts) == len(files):
        check_found(options.names, found)
    return parts, facts


def _arrays_of(members: Sequence[Member], read: Sequence[Member]) -> tuple[ArrayFacts, ...]:
    """The arrays as the file has them, each with the role that it was read in."""
    roles = {member.given: member.name for member in read if is_role(member.name)}
    return tuple(ArrayFacts(member.given, dtype_name(member), member.shape, roles.get(member.given, "")) for member in members)


def _opener(file: Upload, files: Sequence[Upload]) -> Opener:
    if file.suffix in OPENERS:
        return OPENERS[file.suffix]
    found = f"the extension is '{shown(file.suffix)}'"
    if file.suffix not in CONVERTED:
        raise Flaw("E101", found)
    raise Flaw("E101", found, mend=conversion([other for other in files if other.suffix in (*OPENERS, *CONVERTED)]))


def _check_names(models: Mapping[str, Model], options: Options) -> None:
    """Models that the options name must be there."""
    for name in [*options.costs, *(name for name in (options.base, options.sidekick) if name)]:
        if name not in models:
            raise InputError(f"expected a model of the files, got '{name}'; they have {', '.join(models)}")
    if options.base and options.sidekick:
        check_pair(options.base, options.sidekick)


def _arrays(
    models: Mapping[str, Model], together: Joined | None, options: Options, report: Report
) -> dict[tuple[str, str], Tensor]:
    """Logits by model and split, one file's at a time; where something is wrong they are checked and not kept."""
    arrays: dict[tuple[str, str], Tensor] = {}
    for name, model in models.items():
        with report.at(model.where):
            read = model.member.read()
            values = checked_logits(read, options.take_log, options.floor or FLOOR)
            if values is not read:
                _note_floored(model, read, together, options.floor or FLOOR, report)
            native = values.dtype.newbyteorder("=")
            for split, images in (together.splits if together and not report.problems else {}).items():
                rows = together.rows[model.place][images] if together else images
                arrays[name, split] = torch.from_numpy(values[rows].astype(native, copy=False))
                if together:
                    check_unmasked(arrays[name, split], torch.from_numpy(together.labels[images]))
    return arrays


def _note_floored(model: Model, probabilities: NDArray[Any], together: Joined | None, floor: float, report: Report) -> None:
    """Say how many probabilities are below the floor, and how many of true classes."""
    rows = together.rows[model.place] if together else slice(None)
    said = floored(probabilities[rows], together.labels if together else None, floor)
    if said:
        report.add(model.where, "W08", said)


def _logit_set(
    name: str,
    parts: Sequence[Part],
    models: Mapping[str, Model],
    together: Joined,
    arrays: Mapping[tuple[str, str], Tensor],
    options: Options,
) -> LogitSet:
    k = next(iter(models.values())).k
    classes = options.class_names or next((part.classes for part in parts if part.classes), None)
    costs = {**{model: cost for part in parts for model, cost in part.costs.items()}, **options.cost_table, **options.costs}
    ids = together.ids
    return LogitSet(
        name=name,
        title=", ".join(part.file for part in parts),
        classes=tuple(classes or (f"class {index}" for index in range(k))),
        labels={split: torch.from_numpy(together.labels[images]) for split, images in together.splits.items()},
        cards={model: Card(model, f"upload/{model}", "upload", **costs.get(model, Cost())._asdict()) for model in models},
        arrays=arrays,
        ids={split: [ids[image] for image in images] for split, images in together.splits.items()} if ids else {},
        about={"how": {split: _how(split, together) for split in together.splits}},
        digests={key: tensor_digest(array) for key, array in arrays.items()},
    )


def _how(split: str, together: Joined) -> str:
    """How a split came about, in words."""
    if together.seed is None:
        return "as the files say"
    if split != FIT_SPLIT:
        return "the rows that were not drawn for fitting"
    n = len(together.splits[split])
    return f"{n:,} of the {len(together.labels):,} rows, drawn stratified by class with seed {together.seed}"


def _facts(model: Model) -> ModelFacts:
    (n, k), cost = model.member.shape, model.part.costs.get(model.name, Cost())
    return ModelFacts(model.name, model.part.file, n, k, dtype_name(model.member), *cost)


def _completed(found: Found, logit_set: LogitSet, together: Joined, parts: Sequence[Part], options: Options) -> Found:
    """The facts with what is known of a set that can be used."""
    models = []
    for facts in found.models:
        accuracy, nll, ece = scores(logit_set, facts.name)
        card = logit_set.cards[facts.name]
        known = replace(facts, multiply_adds=card.multiply_adds, parameters=card.parameters)
        models.append(replace(known, accuracy=accuracy, nll=nll, ece=ece))
    base, sidekick = _pair(models, options)
    unnamed = not options.class_names and not any(part.classes for part in parts)
    uncosted = any(facts.multiply_adds is None for facts in models)
    return replace(
        found,
        models=tuple(models),
        n=len(together.labels),
        k=logit_set.k,
        splits={split: len(images) for split, images in together.splits.items()},
        seed=together.seed,
        left_out=together.left_out,
        base=base,
        sidekick=sidekick,
        missing=tuple(what for what, lacks in (("costs", uncosted), ("class_names", unnamed)) if lacks),
        rows=_first_rows(logit_set),
    )


def _pair(models: Sequence[ModelFacts], options: Options) -> tuple[str, str | None]:
    """Base and sidekick: as a person says, as the file's own names say, else the costlier or more accurate model first.

    There is no sidekick where there is one model alone.
    """
    ranked = sorted(models, key=lambda facts: (-(facts.multiply_adds or 0), -(facts.accuracy or 0)))
    names = [facts.name for facts in ranked]
    base = options.base or next((name for name in names if name == "base"), None)
    sidekick = options.sidekick or next((name for name in names if name == "sidekick" != base), None)
    base = base or next(name for name in names if name != sidekick)
    return base, sidekick or next((name for name in reversed(names) if name != base), None)


def _first_rows(logit_set: LogitSet) -> tuple[dict[str, object], ...]:
    rows: list[dict[str, object]] = []
    for split, labels in logit_set.labels.items():
        for row in range(min(len(labels), PREVIEW_ROWS - len(rows))):
            rows.append(
                {
                    "id": logit_set.ids[split][row] if logit_set.ids else None,
                    "split": split,
                    "label": int(labels[row]),
                    "logits": {
                        model: [float(value) for value in logit_set.logits(model, split)[row, :PREVIEW_LOGITS]]
                        for model in logit_set.cards
                    },
                }
            )
    return tuple(rows)
