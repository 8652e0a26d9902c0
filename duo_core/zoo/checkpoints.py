"""Checkpoints: read without running code, their number of classes found, loaded strictly or refused in one sentence."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from duo_core.arrays import InputError

NESTED = ("state_dict", "model", "model_state_dict")
PROBE_CLASSES = 1013
"""A number of classes that no layer has by chance, so that what has it is the head."""

State = dict[str, Tensor]


def read(path: Path) -> State:
    """Read a state dict, floating-point tensors as float32; names lose the prefix `module.` of data-parallel training.

    Raises
    ------
    InputError
        Where there is no such file, or it is no checkpoint of tensors alone.
    """
    if not path.is_file():
        raise InputError(f"expected a checkpoint at '{path}', got no file there")
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise InputError(f"expected a checkpoint that ends in .safetensors, .pt or .pth, got '{path}'")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no checkpoint make it raise anything
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"'{path}' cannot be read as a checkpoint of tensors alone ({reason}); save model.state_dict()") from error
    return _plain(_state(content, path))


def _state(content: Any, path: Path) -> Mapping[str, Tensor]:
    """Find the state dict in what a training script saved."""
    while isinstance(content, Mapping) and not _tensors(content):
        inner = [content[key] for key in NESTED if isinstance(content.get(key), Mapping)]
        if not inner:
            raise InputError(
                f"expected a state dict in '{path}', plain or under {', '.join(NESTED)}, "
                f"got the keys {_few(list(map(str, content)))}"
            )
        content = inner[0]
    if not isinstance(content, Mapping):
        raise InputError(f"expected a state dict in '{path}', got {type(content).__name__}; save model.state_dict()")
    return content


def _tensors(content: Mapping[Any, Any]) -> bool:
    return bool(content) and all(isinstance(value, Tensor) for value in content.values())


def _plain(state: Mapping[str, Tensor]) -> State:
    prefix = "module." if all(key.startswith("module.") for key in state) else ""
    return {key.removeprefix(prefix): value.float() if value.is_floating_point() else value for key, value in state.items()}


def head_classes(state: Mapping[str, Tensor], probe: nn.Module) -> int | None:
    """Number of classes of a checkpoint: what it has where a model of `PROBE_CLASSES` classes has that many; None if unclear."""
    found = {
        state[key].shape[0]
        for key, tensor in probe.state_dict().items()
        if tensor.ndim and tensor.shape[0] == PROBE_CLASSES and key in state and state[key].ndim == tensor.ndim
    }
    return found.pop() if len(found) == 1 else None


def check(module: nn.Module, state: Mapping[str, Tensor], reference: str, path: Path) -> None:
    """Compare a state dict with a module that it is to be loaded into, which may have shapes only.

    Raises
    ------
    InputError
        Naming what is missing, left over or of another shape.
    """
    own = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    problems = [
        _listed("is missing", "are missing", [key for key in own if key not in state and not key.endswith("num_batches_tracked")]),
        _listed("is unknown to it", "are unknown to it", [key for key in state if key not in own]),
        _listed(
            "has another shape",
            "have other shapes",
            [
                f"{key} {tuple(state[key].shape)} instead of {shape}"
                for key, shape in own.items()
                if key in state and tuple(state[key].shape) != shape
            ],
        ),
    ]
    if any(problems):
        raise InputError(
            f"the checkpoint '{path}' does not fit '{reference}': {'; '.join(filter(None, problems))}; "
            "name the model it was saved from, or give the arguments that it was built with"
        )


def _listed(one: str, many: str, items: Sequence[str]) -> str:
    return f"{len(items)} {one if len(items) == 1 else many} ({_few(items)})" if items else ""


def _few(items: Sequence[str]) -> str:
    return ", ".join(items[:3]) + (", ..." if len(items) > 3 else "")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
