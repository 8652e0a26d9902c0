"""Logit files out, in the four formats that are read, and a template of each."""

import io
import json
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import PurePath
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from duo_core.common.arrays import InputError
from duo_core.common.files import write_csv
from duo_core.formats.checks import FLOOR, checked_logits, floored
from duo_core.formats.limits import Limits
from duo_core.formats.models import check_classes, check_labels, models_of
from duo_core.formats.parts import part_of
from duo_core.formats.problems import RefusedError, Report
from duo_core.formats.tensors import DTYPES, TEXTS
from duo_core.formats.uploads import TEXT, Member

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by role: logits/MODEL (n, k), labels (n,), and perhaps split, ids, class_names, flops/MODEL, parameters/MODEL."""
WRITTEN = (".npz", ".safetensors", ".parquet", ".csv")
"""Formats that hold a whole set in one file, so that there is a template of each."""
COLUMNS = {"ids": "filename", "labels": "target", "split": "split"}
"""Arrays that a table has a column for, beside the logits."""


def prepared(
    arrays: Arrays,
    name: str,
    *,
    log: bool = False,
    floor: float | None = None,
    labels_from_one: bool = False,
    dtype: str | None = None,
    report: Report | None = None,
) -> dict[str, NDArray[Any]]:
    """Return the arrays as they are to be written, checked as an upload is; one model alone is enough here.

    Parameters
    ----------
    log, floor
        Take the logarithm of probabilities, and what stands for smaller ones; see `checked_logits`.
    report
        What is odd is noted there.
    labels_from_one
        Subtract 1 from labels.
    dtype
        Of the logits, float16, float32 or float64; by default as they are.

    Raises
    ------
    RefusedError
        With every problem found.
    """
    report = Report() if report is None else report
    members = [Member(key, values.shape, _dtype(key, values, dtype), partial(np.asarray, values)) for key, values in arrays.items()]
    part = part_of(name, members, Limits(), report)
    if not part.has_labels:
        report.add(name, "E302", "no array or column of labels was found")
    models = models_of([part], report)
    check_classes([part], models, None, report)
    check_labels([part], models, labels_from_one, report)
    ready = dict(arrays)
    for model in models.values():
        with report.at(model.where):
            read = model.member.read()
            logits = checked_logits(read, log, floor or FLOOR)
            if logits is not read and (said := floored(read, part.labels, floor or FLOOR)):
                report.add(model.where, "W08", said)
            if dtype and logits.dtype != dtype:
                with np.errstate(over="ignore"):  # what float16 cannot hold is found as infinite
                    logits = checked_logits(logits.astype(dtype), False)
            ready[f"logits/{model.name}"] = logits
    if report.problems:
        raise RefusedError(tuple(report.problems))
    return ready | ({"labels": part.labels} if part.labels is not None else {})


def _dtype(key: str, values: NDArray[Any], dtype: str | None) -> np.dtype[Any]:
    """The dtype that an array will be written with."""
    if _is_text(values):
        return TEXT
    return np.dtype(dtype) if dtype and key.startswith("logits/") and values.dtype.kind == "f" else values.dtype


def write(arrays: Arrays, name: str, file: BinaryIO) -> None:
    """Write arrays to an open file in the format that the extension of its name says.

    A table has no room for class names and costs and is written without them; it holds each model's logits in `MODEL.logit_0`,
    `MODEL.logit_1`, ..., in `logit_0`, ... where the one model has the file's own name. In CSV an apostrophe goes before text that
    would begin a formula; reading takes it away.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix == ".npz":
        _write_npz(arrays, file)
    elif suffix == ".safetensors":
        _write_safetensors(arrays, file)
    elif suffix == ".parquet":
        pq.write_table(_table(arrays, PurePath(name).stem), file)
    elif suffix == ".csv":
        write_csv(_table(arrays, PurePath(name).stem), file)
    else:
        raise InputError(f"expected an output ending in .npz, .safetensors, .parquet or .csv, got '{name}'")


def _write_npz(arrays: Arrays, file: BinaryIO) -> None:
    """What numpy.savez does, with no name that it would take for an option of its own."""
    with zipfile.ZipFile(file, "w") as archive:
        for key, values in arrays.items():
            plain = np.array(values.tolist(), dtype=str) if _is_text(values) else values
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, plain, allow_pickle=False)


def _write_safetensors(arrays: Arrays, file: BinaryIO) -> None:
    """Write array after array; the same arrays give the same bytes, which the library does not promise."""
    header: dict[str, Any] = {"__metadata__": {key: json.dumps(arrays[key].tolist()) for key in TEXTS if _is_text(arrays.get(key))}}
    numbers = {key: values for key, values in arrays.items() if not _is_text(values)}
    codes, offset = {np.dtype(code): name for name, code in DTYPES.items()}, 0
    ordered = sorted(numbers, key=lambda key: -numbers[key].dtype.itemsize)  # so that each begins at a multiple of its own
    for key in ordered:
        values, end = numbers[key], offset + numbers[key].nbytes
        code = codes[values.dtype.newbyteorder("<")]
        header[key] = {"dtype": code, "shape": list(values.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text = text.ljust(-len(text) % 8 + len(text))
    file.write(len(text).to_bytes(8, "little") + text)
    for key in ordered:
        file.write(np.ascontiguousarray(numbers[key], numbers[key].dtype.newbyteorder("<")).data)


def _is_text(values: NDArray[Any] | None) -> bool:
    return values is not None and values.dtype.kind in "OU"


def _table(arrays: Arrays, stem: str) -> pa.Table:
    columns: dict[str, Any] = {COLUMNS[role]: pa.array(arrays[role].tolist()) for role in COLUMNS if role in arrays}
    for key in arrays:
        if key.startswith("logits/"):
            model = key.removeprefix("logits/")
            prefix = "" if model == stem else f"{model}."
            # Text has no float16, and as few digits as tell float16 apart would be read as other numbers.
            wide = arrays[key].astype(np.float32) if arrays[key].dtype == np.float16 else arrays[key]
            columns |= {f"{prefix}logit_{index}": np.ascontiguousarray(column) for index, column in enumerate(wide.T)}
    return pa.table(columns)


def left_out(arrays: Arrays, name: str) -> list[str]:
    """Arrays that a file of this name has no room for."""
    if PurePath(name).suffix.lower() not in (".parquet", ".csv"):
        return []
    return [key for key in arrays if key not in COLUMNS and not key.startswith("logits/")]


def template(kind: str) -> bytes:
    """Return a tiny example, filled in: two models, three classes, twelve images; `kind` is npz, safetensors, parquet or csv.

    >>> template("csv").splitlines()[0].decode()[:44]
    '"filename","target","split","base.logit_0","'
    """
    file = io.BytesIO()
    write(example(), f"template.{kind}", file)
    return file.getvalue()


def example() -> dict[str, NDArray[Any]]:
    """Arrays of a template; on the images that only one model gets wrong it is unsure, which is what a duo lives on."""
    labels, images = np.tile(np.arange(3), 4), np.arange(12)
    logits = {}
    for model, strength, wrong in (("base", 4.0, (1, 2, 9)), ("sidekick", 2.5, (2, 4, 7, 10))):
        errs = np.isin(images, wrong)
        ripple = np.sin(np.arange(36.0).reshape(12, 3) * strength)
        sure = np.where(errs, 0.4, 1.0)[:, None] * (strength * np.eye(3)[(labels + errs) % 3] + ripple)
        logits[f"logits/{model}"] = sure.round(3).astype(np.float32)
    return {
        **logits,
        "labels": labels,
        "split": np.repeat(["val", "test"], 6),
        "ids": np.array([f"image-{image:02d}.jpg" for image in images]),
        "class_names": np.array(["cat", "dog", "fox"]),
        "flops/base": np.array(4_089_000_000),
        "flops/sidekick": np.array(390_000_000),
        "parameters/base": np.array(25_557_032),
        "parameters/sidekick": np.array(5_288_548),
    }
