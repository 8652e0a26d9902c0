"""Checkpoints of training: weights with a header that says what they are, where they come from and how to build their model."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.common.files import as_json
from duo_core.logits import tensor_digest
from duo_core.logits.store.headers import read_header, write_tensors
from duo_core.models.zoo.checkpoints import file_sha256
from duo_core.models.zoo.trained import ABOUT

PLAIN = ("model", "methodology", "arguments", "transform", "classes", "recipe", "seed", "anchor")
"""What stands in entries of its own as well, for programs that know no record: architecture, classes and the like."""


def write(file: Path, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """Write weights in one step and return the SHA-256 of the file; the same record and weights, in any order, give the same."""
    plain = {key: value if isinstance(value, str) else _json(value) for key, value in about.items() if key in PLAIN}
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in sorted(state.items())}
    write_tensors(file, tensors, {**plain, ABOUT: _json(about)})
    return file_sha256(file)


def read(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the record and the weights of a checkpoint of training.

    Raises
    ------
    InputError
        Where there is none, it is of another program, or it was altered after it was written.
    """
    about, digests = _read_about(file)
    try:
        state: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise InputError(f"'{file}' is truncated or altered and cannot be read ({error}); make it again") from None
    altered = [key for key, value in state.items() if tensor_digest(value) != digests.get(key)]
    if altered:
        raise InputError(f"'{file}' was altered after it was written (its '{altered[0]}' differs from the digest); make it again")
    return about, state


def read_about(file: Path) -> dict[str, Any]:
    """Read the record alone, without the weights."""
    return _read_about(file)[0]


def _read_about(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        header = read_header(file)
    except FileNotFoundError:
        raise InputError(f"expected a checkpoint of training at '{file}', got no file there") from None
    if header.stated_digest is not None and header.stated_digest != header.digest:
        raise InputError(f"'{file}' was altered after it was written (its header differs from the digest); make it again")
    try:
        about, digests = as_json(header.metadata[ABOUT]), as_json(header.metadata["digests"])
    except (KeyError, ValueError):
        about = digests = None
    if not isinstance(about, dict) or not isinstance(digests, dict):
        raise InputError(f"expected a checkpoint that duo finetune or duo soup wrote, got '{file}' of another program")
    return about, digests


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
