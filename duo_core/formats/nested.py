"""What torch.save wrote, as arrays by name: tensors in dictionaries, tuples and lists, batches put one after the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.formats.problems import Report

Arrays = dict[str, NDArray[Any]]
DEPTH = 4
"""Dictionaries and lists within each other."""


def arrays_in(content: Any, where: str, report: Report) -> Arrays:
    """Return the arrays of an object that was loaded: by key, by place in a tuple, `a/b` where they nest; others are left out.

    A list of tensors that continue each other is one array: batches, of one width; models would have as many rows each.
    """
    found: Arrays = {}
    _fill(found, "", content, where, report, 0)
    return found


def _fill(found: Arrays, name: str, value: Any, where: str, report: Report, depth: int) -> None:
    array = _array(value)
    if array is not None:
        found[name] = array
    elif depth >= DEPTH:
        return
    elif isinstance(value, Mapping):
        rows = _row_counts(list(value.values()))
        for key, item in value.items():
            inner = f"{name}/{key}" if name else str(key)
            _fill(found, inner, _joined(item, inner, rows, where, report), where, report, depth + 1)
    elif isinstance(value, list | tuple) and value:
        whole = _transposed(value)
        if whole is not None:
            _fill(found, name, whole, where, report, depth + 1)
            return
        rows = _row_counts(value)
        together = _joined(value, name, rows, where, report)
        items = (
            {name: together}
            if isinstance(together, np.ndarray)
            else {f"{name}/{i}" if name else str(i): v for i, v in enumerate(value)}
        )
        for inner, item in items.items():
            _fill(found, inner, item, where, report, depth + 1)


def _array(value: Any) -> NDArray[Any] | None:
    """A tensor, an array, or a list of numbers or texts as NumPy has it; None for anything else."""
    if isinstance(value, Tensor):
        return _of_tensor(value)
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "fiubUS" else None
    if isinstance(value, list | tuple) and value and isinstance(value[0], int | float | str):
        if all(isinstance(item, str) for item in value):
            return np.array(value)
        if all(isinstance(item, int | float) for item in value):
            return np.asarray(value)
    return None


def _of_tensor(tensor: Tensor) -> NDArray[Any]:
    """A tensor as NumPy has it; bfloat16 and smaller floats become float32, which holds each of their values."""
    plain = tensor.detach().to_dense() if tensor.is_sparse else tensor.detach()
    try:
        return np.asarray(plain.numpy())
    except TypeError:
        return np.asarray(plain.float().numpy())


def _transposed(value: Sequence[Any]) -> Any:
    """A list of batches, each a dictionary or tuple alike, as one dictionary of lists; None for anything else."""
    first = value[0]
    if len(value) < 2:
        return first if isinstance(first, Mapping | tuple) and _array(first) is None else None
    if all(isinstance(item, Mapping) and item.keys() == first.keys() for item in value):
        return {key: _Batches(item[key] for item in value) for key in first}
    if all(isinstance(item, list | tuple) and len(item) == len(first) and _array(item) is None for item in value):
        return {str(place): _Batches(item[place] for item in value) for place in range(len(first))}
    return None


class _Batches(list[Any]):
    """A list that is known to hold batches."""


def _row_counts(values: Sequence[Any]) -> set[int]:
    """Numbers of rows that arrays of one dimension beside a list have: those of the labels."""
    lists = [value if isinstance(value, list | tuple) and _array(value) is None else [value] for value in values]
    arrays = [[_array(item) for item in items] for items in lists]
    flat = [items for items in arrays if items and all(item is not None and item.ndim == 1 for item in items)]
    return {sum(len(item) for item in items if item is not None) for items in flat}


def _joined(value: Any, name: str, rows: set[int], where: str, report: Report) -> Any:
    """A list of batches as one array, anything else as it is; `rows` are the numbers of rows that the labels have."""
    if not isinstance(value, list | tuple) or not value or _array(value) is not None:
        return value
    arrays = [array for array in map(_array, value) if array is not None]
    if len(arrays) < len(value):
        return value
    if len({(array.ndim, array.shape[1:], array.dtype) for array in arrays}) > 1 or len(arrays) < 2:
        return value
    if not arrays[0].ndim or (arrays[0].ndim == 1 and arrays[0].dtype.kind == "f" and not isinstance(value, _Batches)):
        return np.stack(arrays) if len({len(array) for array in arrays if array.ndim}) < 2 else value
    lengths = [len(array) for array in arrays]
    continued = isinstance(value, _Batches) or arrays[0].ndim == 1 or sum(lengths) in rows or len(set(lengths)) > 1
    if lengths[0] in rows and not isinstance(value, _Batches):
        return value
    if not continued:
        raise InputError(
            f"expected one model's logits in '{name or 'the list'}' of '{where}', got a list of {len(arrays)} tensors of the shape "
            f"{arrays[0].shape}, which may be batches or models; save torch.cat(tensors), or a dictionary by model"
        )
    report.add(where, "W09", f"the {len(arrays)} tensors{f' of {name}' if name else ''} are put one after the other, as batches")
    return np.concatenate(arrays)
