"""Files that are converted on the user's own machine: PyTorch, NumPy and HDF5 files, and those that can be uploaded."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duo_core.arrays import InputError
from duo_core.formats.limits import Limits
from duo_core.formats.parts import ALIASES, OF_MODEL, ROWS
from duo_core.formats.problems import RefusedError, Report, listed
from duo_core.formats.reading import OPENERS
from duo_core.formats.uploads import Member, Upload

UNLIMITED = Limits(file_bytes=1 << 50, decoded_bytes=1 << 50, rows=1 << 40, classes=1 << 30)
"""One's own machine may read what one's own memory holds."""
LABELS = ("label", "targets", "y")
"""Further names of labels; those that can be uploaded are known already."""


def arrays_of(file: Path, model: str | None = None) -> dict[str, NDArray[Any]]:
    """Return a file's arrays by role.

    Logits of a single model are those of `model`, where it is given. Arrays of two dimensions that are not named as an upload's are
    logits: a single one is named after the file, several after their keys. A single array of one dimension is the labels.

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
    several = len([key for key, values in arrays.items() if _is_wide(values)]) > 1
    named = {_role(key, values, key if several else file.stem, len(arrays)): values for key, values in arrays.items()}
    named.pop("", None)
    logits = [key for key in named if key.startswith("logits/")]
    if model and len(logits) == 1:
        named[f"logits/{model}"] = named.pop(logits[0])
    if not named:
        names = listed(list(arrays))
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


def _role(key: str, values: NDArray[Any], model: str, arrays: int) -> str:
    """The name that an upload has for an array, empty where it has none."""
    role = ALIASES.get(key, key)
    if part := OF_MODEL.fullmatch(role):
        return f"{part[1]}/{part[2]}"
    if role in (*ROWS, "class_names"):
        return role
    if _is_wide(values):
        return f"logits/{model}"
    return "labels" if key in LABELS or (values.ndim == 1 and arrays == 1) else ""


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
    return {str(key): _array(value) for key, value in tensors.items() if isinstance(value, Tensor)}


def _array(tensor: Tensor) -> NDArray[Any]:
    """A tensor as NumPy has it; bfloat16 and smaller floats become float32, which holds each of their values."""
    plain = tensor.detach().to_dense() if tensor.is_sparse else tensor.detach()
    try:
        return np.asarray(plain.numpy())
    except TypeError:
        return np.asarray(plain.float().numpy())


def _numpy(file: Path) -> dict[str, NDArray[Any]]:
    try:
        with open(file, "rb") as content:
            return {"": np.lib.format.read_array(content, allow_pickle=False)}
    except ValueError as error:
        why = " ".join(str(error).split())
        raise InputError(f"expected an array of numbers in '{file}', got something else ({why}); save it with numpy.save") from None


def _lines(file: Path) -> dict[str, NDArray[Any]]:
    try:
        return {"labels": np.array([int(line) for line in file.read_text(encoding="utf-8").split()], dtype=np.int64)}
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
    ".npy": _numpy,
    ".txt": _lines,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
}
"""Formats that are converted but not uploaded."""
