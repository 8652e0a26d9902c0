"""What a set lacks as a list of tasks, cut by what they cost."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from duo_core.cluster.logits import LogitsTask, spec_fields, splits_of
from duo_core.cluster.shards import gaps, shards
from duo_core.cluster.tasks import Images, Tell
from duo_core.common.arrays import InputError
from duo_core.inference.filling import Filling, fingerprint
from duo_core.inference.runner import check_names, fitting_classes
from duo_core.models.cost import cost
from duo_core.models.zoo import LoadedModel, ModelSpec, load

THROUGHPUT = {"cpu": 5e10}
"""Multiply-adds a second by which tasks are cut where nobody says how many: of a desktop's processor,"""
ON_GPU = 1e13
"""and of one GPU in float32."""
MINUTES = 10.0
"""What a task is to take: starting Python, torch and a model takes up to one of them."""


@dataclass(frozen=True)
class Planned:
    """Tasks, and what is to be joined of what they leave."""

    filling: Filling
    tasks: tuple[LogitsTask, ...]
    """Those that are left to do."""
    models: tuple[str, ...]
    """Models that the set lacks, in their order."""
    marks: dict[tuple[str, str], str]
    """Fingerprint by (model, split) of what the set lacks."""
    dtype: torch.dtype
    skip_unreadable: bool


@dataclass(frozen=True)
class Cut:
    """How tasks are cut, and what all of them share."""

    precision: str = "float32"
    dtype: str = "float32"
    batch_size: int = 64
    skip_unreadable: bool = False
    measured: bool = False
    minutes: float = MINUTES
    throughput: float = ON_GPU
    """Multiply-adds a second."""

    def spans(self, gap: range, multiply_adds: int | None) -> list[range]:
        """Parts of a gap that take so many minutes, at multiples of the batch size: the same batches as in one piece."""
        if not multiply_adds:
            return [gap]
        fits = int(self.minutes * 60 * self.throughput / multiply_adds)
        rows = max(1, fits // self.batch_size) * self.batch_size
        ends = [*range((gap.start // rows + 1) * rows, gap.stop, rows), gap.stop]
        return [range(start, stop) for start, stop in zip([gap.start, *ends], ends, strict=False)]


def plan(specs: Sequence[ModelSpec], images: Images, filling: Filling, cut: Cut, tell: Tell) -> Planned:
    """Return the tasks that fill a set.

    Each model is loaded once, one after another, so that what does not fit is said before anything runs, and so that the tasks
    know the digests of their weights.

    Parameters
    ----------
    specs, images
        What is to run on what.
    filling
        The set, its splits left empty: they are made of the images.
    cut
        How large tasks are.
    tell
        Called with sentences on what was chosen.
    """
    made = splits_of(json.dumps(dataclasses.asdict(images), sort_keys=True))
    check_names([spec.name for spec in specs], made)
    filling = replace(filling, splits=made, precision=cut.precision)
    filling.check(cut.skip_unreadable)
    tasks: list[LogitsTask] = []
    marks: dict[tuple[str, str], str] = {}
    for spec in specs:
        if filling.has(spec):
            continue
        model = load(spec)
        if model.note:
            tell(model.note)
        classes = fitting_classes([model], made)
        unnamed = filling.classes in ((), tuple(map(str, range(model.classes))))
        if len(filling.classes or classes) != model.classes:
            raise InputError(
                f"expected models of one number of classes, got {len(filling.classes)} and '{spec.name}' with {model.classes}; "
                "make a set for each"
            )
        filling = replace(filling, classes=classes if unnamed else filling.classes)
        missing = filling.missing([model])[spec.name]
        marks |= {(spec.name, split): fingerprint(model, made[split], cut.precision) for split in missing}
        tasks += _tasks_of(model, missing, images, filling, cut, marks)
    if filling.classes:
        filling.check(cut.skip_unreadable)
    names = tuple(dict.fromkeys(name for name, _ in marks))
    return Planned(filling, tuple(tasks), names, marks, getattr(torch, cut.dtype), cut.skip_unreadable)


def _tasks_of(
    model: LoadedModel, missing: Sequence[str], images: Images, filling: Filling, cut: Cut, marks: dict[tuple[str, str], str]
) -> list[LogitsTask]:
    name = model.spec.name
    folder = filling.store.partial(filling.name, name)
    try:
        multiply_adds = cost(model.module, model.transform.input_size).multiply_adds
    except InputError:
        multiply_adds = None
    found, measured = [], cut.measured
    shared: dict[str, Any] = {
        "store": str(filling.store.path.resolve()),
        "set_name": filling.name,
        "model": spec_fields(model.spec),
        "weights_sha256": model.weights_sha256,
        "images": dataclasses.asdict(images),
        "precision": cut.precision,
        "dtype": cut.dtype,
        "batch_size": cut.batch_size,
        "skip_unreadable": cut.skip_unreadable,
        "multiply_adds": multiply_adds,
    }
    for split in missing:
        shape, mark = (len(filling.splits[split]), model.classes), marks[name, split]
        there = shards(folder, split, mark, shape, getattr(torch, cut.dtype))
        measured = measured and not any(shard.card.get("images_per_second") for shard in there)
        for gap in gaps(there, shape[0]):
            for span in cut.spans(gap, multiply_adds):
                rows = (span.start, span.stop)
                found.append(LogitsTask(split=split, rows=rows, fingerprint=mark, measured=measured, **shared))
                measured = False
    return found
