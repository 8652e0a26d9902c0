"""Checkpoints: read without running code, their number of classes found, loaded strictly or refused in one sentence."""

import argparse
import collections
import contextlib
import datetime
import hashlib
import os
import pathlib
import re
import types
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from duo_core.common.arrays import InputError

SUFFIXES = (".safetensors", ".pt", ".pth", ".pth.tar", ".pt.tar", ".tar", ".ckpt", ".bin")
PROBE_CLASSES = 1013
"""A number of classes that no layer has by chance, so that what has it is the head."""
NOT_WEIGHTS = re.compile(r"optim|sched|scaler|grad|moment", re.IGNORECASE)
"""What names beside the weights say that they are none."""

State = dict[str, Tensor]
Place = tuple[str, ...]


def read(path: Path) -> dict[Place, State]:
    """Read the tensors of a checkpoint, by the keys under which a training script put them: () where it saved them plainly.

    Raises
    ------
    InputError
        Where there is no such file, or it is no checkpoint of tensors and plain values alone.
    """
    if not path.is_file():
        raise InputError(f"expected a checkpoint at '{path}', got no file there")
    if not path.name.lower().endswith(SUFFIXES):
        raise InputError(f"expected a checkpoint that ends in {', '.join(SUFFIXES)}, got '{path}'")
    if not path.stat().st_size:
        raise InputError(f"expected a checkpoint at '{path}', got an empty file; copy it again")
    try:
        content = load_file(path) if _is_safetensors(path) else _unpickled(path)
    except Exception as error:  # bytes that are no checkpoint make it raise anything
        raise InputError(
            f"'{path}' cannot be read as a checkpoint of tensors alone ({_reason(path, error)}); save model.state_dict() alone: "
            "torch.save(model.state_dict(), FILE)"
        ) from error
    if not isinstance(content, Mapping):
        raise InputError(f"expected a state dict in '{path}', got {type(content).__name__}; save model.state_dict()")
    found = _places(content)
    if not found:
        raise InputError(
            f"expected a state dict in '{path}', plain or under a key, got the keys {few(list(map(str, content)))}; "
            "save model.state_dict()"
        )
    return found


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors does: the length of its header, then JSON."""
    with path.open("rb") as file:
        head = file.read(9)
    return path.suffix.lower() == ".safetensors" or (head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size)


def _plain_dict(*_: object) -> dict[Any, Any]:
    return {}


def _plain_list(*_: object) -> list[Any]:
    return []


def _allowed() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Plain values that training scripts save beside the weights; none of them runs code of the file's.

    Containers that torch's loader cannot fill become plain ones, paths become mere names.
    """
    numpy_names = [f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")]
    multiarray = np._core.multiarray  # type: ignore[attr-defined]
    dtypes = [kind for kind in vars(np.dtypes).values() if isinstance(kind, type) and issubclass(kind, np.dtype)]
    values: list[type] = [argparse.Namespace, types.SimpleNamespace, bool, float, int, str, frozenset, slice]
    values += [datetime.datetime, datetime.date, datetime.timedelta, datetime.timezone]
    paths = [
        (f"{module}.{pure}{kind}Path", f"Pure{kind}Path")
        for module in ("pathlib", "pathlib._local")
        for kind in ("Posix", "Windows")
        for pure in ("", "Pure")
    ]
    return [
        *(*values, np.ndarray, np.dtype, *dtypes),
        *((getattr(multiarray, name.rpartition(".")[2]), name) for name in numpy_names),
        *((getattr(pathlib, kind), name) for name, kind in paths),
        *((_plain_dict, name) for name in ("collections.defaultdict", "builtins.dict")),
        *((_plain_list, name) for name in ("collections.deque", "builtins.list")),
    ]


def _unpickled(path: Path) -> Any:
    with torch.serialization.safe_globals(_allowed()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of archives that are refused anyway
        return torch.load(path, map_location="cpu", weights_only=True)


def _reason(path: Path, error: Exception) -> str:
    """Say what is in the way, without escape codes or addresses."""
    names = re.findall(r"GLOBAL ([\w.]+)", str(error))
    with contextlib.suppress(Exception), torch.serialization.safe_globals(_allowed()):
        names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path)) or names
    if names:
        return f"it holds objects of {few(names)}, whose code is not run"
    said = re.sub(r"\x1b\[[0-9;]*m|\s*<[^<>]* at 0x[0-9a-f]+>", "", str(error).strip().partition("\n")[0])
    return said[:200] or type(error).__name__


def _places(content: Mapping[Any, Any]) -> dict[Place, State]:
    """Find all tensors in nested mappings, those of optimizers and the like left out."""
    found: dict[Place, State] = {}
    todo: collections.deque[tuple[Place, Mapping[Any, Any]]] = collections.deque([((), content)])
    seen: set[int] = set()
    while todo:
        place, mapping = todo.popleft()
        if id(mapping) in seen:
            continue
        seen.add(id(mapping))
        tensors = {key: _tensor(value) for key, value in mapping.items() if isinstance(key, str)}
        found[place] = {key: tensor for key, tensor in tensors.items() if tensor is not None}
        found.update({(*place, str(key)): _numbered(value) for key, value in mapping.items() if isinstance(value, list | tuple)})
        todo.extend(
            ((*place, key), value)
            for key, value in mapping.items()
            if isinstance(key, str) and isinstance(value, Mapping) and not NOT_WEIGHTS.search(key)
        )
    return {place: state for place, state in found.items() if state}


def _numbered(values: Sequence[Any]) -> State:
    """Tensors that were saved without names, as some averages are."""
    return {str(place): value for place, value in enumerate(values) if isinstance(value, Tensor)}


def _tensor(value: object) -> Tensor | None:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(value)
    return value if isinstance(value, Tensor) else None


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


def fill(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy the tensors of a state dict that was seen to fit into a module, in place; a counter that it lacks stays.

    Not by `load_state_dict`: some modules want to be told the version of their code, which no file of tensors says.
    """
    with torch.no_grad():
        for key, tensor in module.state_dict().items():
            if key in state:
                tensor.copy_(state[key])


def _listed(one: str, many: str, items: Sequence[str]) -> str:
    return f"{len(items)} {one if len(items) == 1 else many} ({few(items)})" if items else ""


def few(items: Sequence[str]) -> str:
    """Return the first few of many names."""
    return ", ".join(items[:3]) + (", ..." if len(items) > 3 else "")


def file_name(path: Path) -> str:
    """Name of a file as text, bytes that are no UTF-8 written out."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
