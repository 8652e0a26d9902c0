"""Files that are converted on the user's own machine: PyTorch, NumPy and HDF5 files, and those that can be uploaded."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duo_core.arrays import InputError
from duo_core.formats.limits import Limits
from duo_core.formats.naming import Naming, clean, is_known
from duo_core.formats.problems import RefusedError, Report, listed
from duo_core.formats.reading import OPENERS
from duo_core.formats.uploads import TEXT, Member, Upload

UNLIMITED = Limits(file_bytes=1 << 50, decoded_bytes=1 << 50, rows=1 << 40, classes=1 << 30)
"""One's own machine may read what one's own memory holds."""


def arrays_of(
    file: Path, model: str | None = None, naming: Naming | None = None, report: Report | None = None
) -> dict[str, NDArray[Any]]:
    """Return a file's arrays by role.

    Logits of a single model are those of `model`, where it is given. Arrays of two dimensions that are not named as an upload's are
    logits: a single one is named after its own name or the file, several after their names. What was read off shapes and names is
    noted in the report.

    Raises
    ------
    InputError
        Where the file cannot be read as plain arrays.
    """
    suffix = file.suffix.lower()
    if suffix not in (*OPENERS, *LOADERS):
        known = ", ".join([*OPENERS, *LOADERS])
        raise InputError(f"expected a file ending in one of {known}, got '{file}'; save plain arrays with numpy.savez first")
    arrays = _uploadable(file) if suffix in OPENERS else LOADERS[suffix](file)
    named = _named(file, arrays, naming or Naming({}), report or Report())
    logits = [key for key in named if key.startswith("logits/")]
    if model and len(logits) == 1:
        named[f"logits/{model}"] = named.pop(logits[0])
    if not named:
        names = listed([f"{name} {values.dtype} {values.shape}" for name, values in arrays.items()])
        raise InputError(f"expected logits (N, K) or labels (N,) in '{file}', got {names}; name the arrays logits/MODEL and labels")
    return named


def _uploadable(file: Path) -> dict[str, NDArray[Any]]:
    """Members of a file that could be uploaded."""
    report, upload, members = Report(), Upload(file.name, file.read_bytes()), list[Member]()
    with report.at(file.name):
        members = OPENERS[upload.suffix](upload, upload.view(UNLIMITED), UNLIMITED, report)
    if report.problems:
        raise RefusedError(tuple(report.problems))
    return {member.name: member.read() for member in members}


def _is_wide(values: NDArray[Any]) -> bool:
    return values.ndim == 2 and values.dtype.kind == "f"


def _named(file: Path, arrays: Mapping[str, NDArray[Any]], naming: Naming, report: Report) -> dict[str, NDArray[Any]]:
    """The arrays that have a role, by role."""
    members = [
        Member(key or file.stem, values.shape, TEXT if values.dtype.kind in "OUS" else values.dtype, partial(np.asarray, values))
        for key, values in arrays.items()
    ]
    found = naming.applied(file.name, file.stem, members, report)
    named = {member.name: member.read() for member in found if is_known(member.name)}
    if not any(name.startswith("logits/") for name in named):
        named |= {f"logits/{clean(m.label) or m.label}": m.read() for m in found if _is_wide(m.read()) and not is_known(m.name)}
    return named


def _torch(file: Path) -> dict[str, NDArray[Any]]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # bytes that are no checkpoint make it raise anything
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"expected tensors in '{file}', got other objects, which are not loaded ({why}); "
            "save torch.save({'logits': logits, 'labels': labels}) of plain tensors"
        ) from None
    tensors = content if isinstance(content, Mapping) else {"": content}
    if isinstance(content, list | tuple) and all(isinstance(item, Tensor) for item in content) and not _is_batches(content):
        tensors = {f"item_{place}": item for place, item in enumerate(content)}  # (logits, labels), as one returns them
    return {str(key): array for key, value in tensors.items() if (array := _of(value)) is not None}


def _is_batches(items: Sequence[Tensor]) -> bool:
    """Whether tensors are parts of one, as a loop over batches collects them in a list; a tuple holds different things."""
    return isinstance(items, list) and len({(item.ndim, item.shape[1:]) for item in items}) == 1


def _of(value: Any) -> NDArray[Any] | None:
    """A tensor, or a list of tensors or numbers as a loop over batches collects them, as one array; None where it is neither."""
    if isinstance(value, Tensor):
        return _array(value)
    if not isinstance(value, list | tuple) or not value:
        return None
    if all(isinstance(item, Tensor) for item in value):
        parts = [_array(item) for item in value]
        return np.concatenate(parts) if _is_batches(list(value)) and parts[0].ndim else None
    found = np.array(value) if all(isinstance(item, int | float | list | tuple) for item in value) else None
    return found if found is not None and found.dtype.kind in "iuf" else None


def _array(tensor: Tensor) -> NDArray[Any]:
    """A tensor as NumPy has it; bfloat16 and smaller floats become float32, which holds each of their values."""
    plain = tensor.detach().to_dense() if tensor.is_sparse else tensor.detach()
    try:
        return np.asarray(plain.numpy())
    except TypeError:
        return np.asarray(plain.float().numpy())


def _lines(file: Path) -> dict[str, NDArray[Any]]:
    try:
        values = np.array([float(line) for line in file.read_text(encoding="utf-8-sig").split()])
        if not ((values == np.rint(values)) & (np.abs(values) < 1 << 53)).all():
            raise ValueError(f"{values[values != np.rint(values)][0]:g} is no class")
        return {"labels": values.astype(np.int64)}
    except ValueError as error:
        raise InputError(f"expected one integer a line in '{file}', got something else ({error}); leave headings out") from None


def _hdf5(file: Path) -> dict[str, NDArray[Any]]:
    try:
        h5py = importlib.import_module("h5py")
    except ImportError:
        raise InputError(f"expected the package h5py to read '{file}', got none; install it: pip install h5py") from None
    found: dict[str, NDArray[Any]] = {}

    def keep(name: str, item: Any) -> None:
        here = isinstance(item, h5py.Dataset) and not item.external and not item.is_virtual  # not the bytes of another file
        if here and item.shape is not None:
            found[name] = np.asarray(item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()])

    with open(file, "rb") as opened:  # a missing file is said as everywhere
        try:
            with h5py.File(opened) as content:
                content.visititems(keep)  # which follows no link to other files
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            why = " ".join(str(error).split())
            raise InputError(f"expected an HDF5 file at '{file}', got something else ({why}); save it again with h5py") from None
    return found


LOADERS: dict[str, Callable[[Path], dict[str, NDArray[Any]]]] = {
    ".pt": _torch,
    ".pth": _torch,
    ".txt": _lines,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
}
"""Formats that are converted but not uploaded."""
