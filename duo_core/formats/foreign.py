"""Files that are converted on the user's own machine: PyTorch, NumPy and HDF5 files, and those that can be uploaded."""

import importlib
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from duo_core.common.arrays import InputError
from duo_core.formats.limits import Limits
from duo_core.formats.naming import is_role, named, role_alone
from duo_core.formats.nested import arrays_in
from duo_core.formats.problems import RefusedError, Report, listed, shown
from duo_core.formats.reading import OPENERS
from duo_core.formats.uploads import TEXT, Member, Upload

UNLIMITED = Limits(file_bytes=1 << 50, decoded_bytes=1 << 50, rows=1 << 40, classes=1 << 30, text_bytes=1 << 40)
"""One's own machine may read what one's own memory holds."""
_ARRAY: Any = np.empty(0).__reduce__()[0]
_SCALAR: Any = np.float64(0).__reduce__()[0]
NUMPY: list[Any] = [
    *(type(np.dtype(code)) for code in "?bBhHiIlLqQefdU"),
    *(np.dtype, np.ndarray, _ARRAY, _SCALAR),
    *((one, f"numpy.core.multiarray.{one.__name__}") for one in (_ARRAY, _SCALAR)),  # as NumPy 1 called it
]
"""What pickles of plain arrays name; other objects in them are still refused."""


def arrays_of(upload: Upload, report: Report, model: str | None = None) -> dict[str, NDArray[Any]]:
    """Return a file's arrays by role; what was read for its looks is noted, what is no logits, labels, ... is left out.

    Parameters
    ----------
    upload
        Its path is read; its `names` say what arrays are.
    model
        Name of the one model whose logits it has.

    Raises
    ------
    InputError
        Where the file cannot be read as plain arrays, or nothing in it is known.
    """
    members = _members(upload, report)
    with report.at(upload.label):
        members = named(upload, members, UNLIMITED, report, lenient=True)
    if report.problems:
        raise RefusedError(tuple(report.problems))
    found = {member.name: member.read() for member in members if is_role(member.name)}
    logits = [key for key in found if key.startswith("logits/")]
    if model:
        if len(logits) != 1:
            got = ", ".join(logits) or "none"
            raise InputError(f"expected the logits of one model in '{upload.path}', which is to be '{model}', got {got}")
        found[f"logits/{model}"] = found.pop(logits[0])
    if not found:
        there = listed([f"{member.given} {member.dtype} {member.shape}" for member in members])
        advice = "say which is which: --name logits/MODEL=ARRAY labels=ARRAY"
        raise InputError(f"expected logits (N, K) or labels (N,) in '{upload.path}', got {there}; {advice}")
    return found


def _members(upload: Upload, report: Report) -> list[Member]:
    """The arrays of a file as it has them."""
    if upload.suffix not in (*OPENERS, *LOADERS):
        known = ", ".join([*OPENERS, *LOADERS])
        raise InputError(f"expected a file ending in one of {known}, got '{upload.path}'; save plain arrays with numpy.savez first")
    path = Path(upload.path)
    if upload.suffix not in OPENERS:
        return [_member(upload, name, values) for name, values in LOADERS[upload.suffix](path, report).items()]
    own, members = replace(upload, content=path.read_bytes()), list[Member]()
    with report.at(upload.label):
        members = OPENERS[upload.suffix](own, own.view(UNLIMITED), UNLIMITED, report)
    if report.problems:
        raise RefusedError(tuple(report.problems))
    return members


def _member(upload: Upload, name: str, values: NDArray[Any]) -> Member:
    """An array in memory as a member; one without a name is called as its file is."""
    dtype = TEXT if values.dtype.kind in "OUS" else values.dtype
    role = name or role_alone(upload.stem, values.shape, dtype)
    return Member(role, values.shape, dtype, partial(np.asarray, values), name or upload.stem, name or upload.stem)


def _torch(file: Path, report: Report) -> dict[str, NDArray[Any]]:
    try:
        with torch.serialization.safe_globals(NUMPY):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # bytes that are no checkpoint make it raise anything
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        why = f"it holds {named[1]}" if named else shown(str(error).partition("\n")[0] or type(error).__name__, 100)
        raise InputError(
            f"expected tensors in '{file}', got other objects, which are not loaded ({why}); "
            "save torch.save({'logits': logits, 'labels': labels}) of plain tensors"
        ) from None
    return arrays_in(content, str(file), report)


def _lines(file: Path, report: Report) -> dict[str, NDArray[Any]]:  # noqa: ARG001 (as all loaders)
    """Whole numbers, one a line, as they are or as numpy.savetxt writes them."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        return {"labels": np.array([_whole(line) for line in text.replace(",", " ").split()], dtype=np.int64)}
    except ValueError as error:
        raise InputError(f"expected one integer a line in '{file}', got something else ({error}); leave headings out") from None


def _whole(text: str) -> int:
    """Read a whole number, however it is written.

    >>> _whole("3"), _whole("1.000000000000000000e+00")
    (3, 1)
    """
    value = float(text)
    if not value.is_integer() or abs(value) >= 1 << 53:
        raise ValueError(f"'{text}' is no whole number")
    return int(value)


def _hdf5(file: Path, report: Report) -> dict[str, NDArray[Any]]:  # noqa: ARG001 (as all loaders)
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


LOADERS: dict[str, Callable[[Path, Report], dict[str, NDArray[Any]]]] = {
    ".pt": _torch,
    ".pth": _torch,
    ".txt": _lines,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
}
"""Formats that are converted but not uploaded."""
