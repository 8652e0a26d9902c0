"""Models in groups that fit into memory together, each loaded when its group's turn comes."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from duo_core.inference.jobs import Tell
from duo_core.models.devices import free_memory

if TYPE_CHECKING:  # only the records' shapes are needed, not torchvision and timm
    from duo_core.models.zoo import LoadedModel, ModelSpec

SHARE = 2
"""Weights take at most one part in so many of the memory that is free; the rest is for what lies between the layers."""


def spec_of(model: "LoadedModel | ModelSpec") -> "ModelSpec":
    """What was asked for, of a model that is loaded or not."""
    given: Any = model
    spec: ModelSpec = getattr(given, "spec", given)
    return spec


def in_memory(models: Sequence["LoadedModel | ModelSpec"]) -> list["LoadedModel"]:
    """Those that are loaded already."""
    from duo_core.models.zoo import LoadedModel

    return [model for model in models if isinstance(model, LoadedModel)]


def groups(models: Sequence["LoadedModel | ModelSpec"], device: torch.device, tell: Tell) -> Iterator[list["LoadedModel"]]:
    """Give models in groups whose weights fit beside each other, in their order; who clears a group frees it for the next.

    A model that takes more than its share stands alone: whether it fits is seen when it is put on the device.
    """
    group: list[LoadedModel] = []
    held, room = 0, _room(device)
    for number, given in enumerate(models):
        model, added = _loaded(given, device, tell)
        if group and room is not None and held + added > room:
            tell(f"{len(group)} models at a time fit into memory: {len(models) - number} wait for them to end")
            yield group
            group, held, room = [], 0, _room(device)
        group.append(model)
        held += added
    if group:
        yield group


def _loaded(given: "LoadedModel | ModelSpec", device: torch.device, tell: Tell) -> tuple["LoadedModel", int]:
    """The model, and the bytes that it adds to those in memory: one that was loaded before adds none to the host's."""
    from duo_core.models.zoo import LoadedModel, load

    if isinstance(given, LoadedModel):
        return given, 0 if device.type == "cpu" else weight_bytes(given)
    model = load(given)
    if model.note:
        tell(model.note)
    return model, weight_bytes(model)


def weight_bytes(model: "LoadedModel") -> int:
    """Bytes of a model's parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*model.module.parameters(), *model.module.buffers()))


def _room(device: torch.device) -> int | None:
    free = [memory for memory in (free_memory(device), free_memory(torch.device("cpu"))) if memory is not None]
    return min(free) // SHARE if free else None
