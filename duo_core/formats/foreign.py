"""Files that are converted on the user's own machine: PyTorch, NumPy and HDF5 files, and those that can be uploaded."""

import importlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duo_core.arrays import InputError
from duo_core.formats.limits import Limits
from duo_core.formats.parts import ALIASES, OF_MODEL
from duo_core.formats.problems import RefusedError, Report, listed
from duo_core.formats.reading import OPENERS
from duo_core.formats.uploads import Upload

UNLIMITED = Limits(file_bytes=1 << 50, decoded_bytes=1 << 50, rows=1 << 40, classes=1 << 30)
"""One's own machine may read what one's own memory holds."""
LABELS = ("label", "targets", "y")
"""Further names of labels; those that can be uploaded are known already."""


def arrays_of(file: Path, model: str | None = None) -> dict[str, NDArray[Any]]:
    """Return a file's arrays by role.

    A single array of two dimensions is the logits of `model`, by default named after the file; of several, each is named by its
    key. A single array of one dimension is the labels.

    Raises
    ------
    InputError
        Where the file cannot be read as plain arrays.
    """
    suffix = file.suffix.lower()
    if suffix in OPENERS:
        return _uploadable(file, model)
    if suffix not in LOADERS:
        known = ", ".join([*OPENERS, *LOADERS])
        raise InputError(f"expected a file ending in one of {known}, got '{file}'; save plain arrays with numpy.savez first")
    return _by_role(LOADERS[suffix](file), model or file.stem, file)


def _uploadable(file: Path, model: str | None) -> dict[str, NDArray[Any]]:
    """Members of a file that could be uploaded; logits of a single model take the given name."""
    report, upload = Report(), Upload(f"{model or file.stem}{file.suffix}", file.read_bytes())
    members = []
    with report.at(str(file)):
        members = OPENERS[upload.suffix](upload, upload.view(UNLIMITED), UNLIMITED, report)
    if report.problems:
        raise RefusedError(tuple(report.problems))
    return _by_role({member.name: member.read() for member in members}, model or file.stem, file)


def _by_role(arrays: Mapping[str, NDArray[Any]], model: str, file: Path) -> dict[str, NDArray[Any]]:
    """Arrays under the names that an upload has."""
    found: dict[str, NDArray[Any]] = {}
    flat = [key for key, values in arrays.items() if values.ndim == 1]
    wide = [key for key, values in arrays.items() if values.ndim == 2 and values.dtype.kind == "f"]
    for key, values in arrays.items():
        role = ALIASES.get(key, key)
        if part := OF_MODEL.fullmatch(role):
            found[f"{part[1]}/{part[2]}"] = values
        elif role in ("labels", "ids", "split", "class_names"):
            found[role] = values
        elif key in wide:
            found[f"logits/{model if len(wide) == 1 else key}"] = values
        elif key in LABELS or (key in flat and len(arrays) == 1):
            found["labels"] = values
    if not found:
        names = listed(list(arrays))
        raise InputError(f"expected logits (N, K) or labels (N,) in '{file}', got {names}; name the arrays logits/MODEL and labels")
    return found


def _torch(file: Path) -> dict[str, NDArray[Any]]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"expected tensors in '{file}', got other objects, which are not loaded ({why}); "
            "save torch.save({'logits': logits, 'labels': labels}) of plain tensors"
        ) from None
    tensors = content if isinstance(content, Mapping) else {"": content}
    return {str(key): _array(value) for key, value in tensors.items() if isinstance(value, Tensor)}


def _array(tensor: Tensor) -> NDArray[Any]:
    """A tensor as NumPy has it; bfloat16 becomes float32, which holds each of its values."""
    plain = tensor.detach().to_dense() if tensor.is_sparse else tensor.detach()
    return np.asarray(plain.float().numpy() if plain.dtype == torch.bfloat16 else plain.numpy())


def _numpy(file: Path) -> dict[str, NDArray[Any]]:
    try:
        return {"": np.load(file, allow_pickle=False)}
    except ValueError as error:
        raise InputError(
            f"expected an array of numbers in '{file}', got something else ({error}); save it with numpy.save"
        ) from None


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
    with h5py.File(file) as content:
        content.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
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
