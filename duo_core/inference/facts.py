"""What a model's card says of its cost: counted, and measured on the device that runs it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from duo_core.common.arrays import InputError
from duo_core.inference.jobs import Tell
from duo_core.models.cost import cost, throughput

if TYPE_CHECKING:
    from duo_core.models.zoo import LoadedModel


def card_costs(
    model: "LoadedModel", device: torch.device, precision: str, batch_size: int | None, measured: bool, tell: Tell
) -> dict[str, Any]:
    """Multiply-adds, parameters, and, where it is to be measured, images a second with the device and settings of that."""
    size = model.transform.input_size
    try:
        counted = asdict(cost(model.module, size))
    except InputError as error:
        tell(f"the cost of '{model.spec.name}' stays unknown: {error}")
        counted = {"multiply_adds": None, "parameters": sum(p.numel() for p in model.module.parameters())}
    if not measured:
        return {**counted, "images_per_second": None, "device": None}
    speed = throughput(model.module, size, device=device, precision=precision, batch_size=batch_size)
    stated = f"{speed.device}, {precision}, batch of {speed.batch_size}"
    return {**counted, "images_per_second": round(speed.images_per_second, 2), "device": stated}
