"""What a command would do, and how long it takes: counted from shapes, timed by one small model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from duo_core.images.splits import Split
from duo_core.inference.computing import checked
from duo_core.inference.filling import Filling
from duo_core.inference.progress import clock
from duo_core.logits.store import Store
from duo_core.models.cost import cost, throughput
from duo_core.models.zoo import ModelSpec, load, outline


@dataclass(frozen=True)
class Estimate:
    """A row a model, and a sentence on all of them."""

    rows: list[dict[str, Any]]
    said: str


def estimate(specs: Sequence[ModelSpec], splits: Mapping[str, Split], store: Store, name: str, options: Any) -> Estimate:
    """Say what filling a set takes: images, multiply-adds, bytes of logits, time here and at a named throughput.

    Models are built without their numbers, so that nothing is downloaded; the cheapest of them runs with random weights to see how
    many multiply-adds a second this device does, unless `options.no_throughput`.
    """
    where, size = checked(options.device, options.precision, getattr(torch, options.dtype), options.batch_size)
    filling = Filling(store, name, splits, (), "", "", "", options.precision)
    images, rows = sum(map(len, splits.values())), []
    for spec in specs:
        if filling.has(spec):
            continue
        model = outline(spec)
        count = cost(model.module, model.transform.input_size)
        logits = images * model.classes * getattr(torch, options.dtype).itemsize
        rows.append(
            {
                "name": spec.name,
                "images": images,
                "multiply_adds": count.multiply_adds * images,
                "parameters": count.parameters,
                "bytes_of_logits": logits,
            }
        )
    total = sum(row["multiply_adds"] for row in rows)
    said = f"{len(rows)} of {len(specs)} models lack logits: {total:.3g} multiply-adds, {_megabytes(rows)} of logits"
    if rows and not options.no_throughput:
        cheapest = min(rows, key=lambda row: row["multiply_adds"])
        rate = _rate(next(spec for spec in specs if spec.name == cheapest["name"]), where, options, cheapest, images)
        said += f"; about {clock(total / rate)} on this device ({rate:.3g} multiply-adds a second, as '{cheapest['name']}' runs)"
    if rows and options.throughput:
        said += f"; {clock(total / options.throughput)} at {options.throughput:.3g}"
    return Estimate(rows, f"{said}; {size} images a batch")


def _megabytes(rows: Sequence[Mapping[str, Any]]) -> str:
    return f"{sum(row['bytes_of_logits'] for row in rows) / 1e6:,.1f} MB"


def _rate(spec: ModelSpec, where: torch.device, options: Any, row: Mapping[str, Any], images: int) -> float:
    """Multiply-adds a second of a model with random weights."""
    model = load(spec, random_weights=True)
    size, batch = model.transform.input_size, options.batch_size
    speed = throughput(model.module, size, device=where, precision=options.precision, batch_size=batch, seconds=1)
    return float(speed.images_per_second * row["multiply_adds"] / images)
