"""What stands in a set's folder, read as data that anybody may have touched: every entry checked, all compared with its digest."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.common.files import NAME, as_json, read_json
from duo_core.logits import Card, tensor_digest
from duo_core.logits.store.headers import Header, read_header

AGAIN = "restore it or make the set again"
STRUCTURED = {
    "input_size",
    "transform",
    "arguments",
    "multiply_adds",
    "parameters",
    "images_per_second",
    "versions",
    "digests",
    "training",
    "tf32",
}
"""Header entries that are JSON; the others are plain text."""
LOGITS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
CLASSES, ROWS, COUNT, TEXT = 1_000_000, 1_000_000_000, 10**18, 10_000
"""The most classes, images of a split, multiply-adds or parameters, and letters of a text."""


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= TEXT


def _whole(value: Any, most: int, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _by_name(value: Any, holds: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(holds(item) for item in value.values())


def is_split(name: str) -> bool:
    """Whether a name may be a split's."""
    return 0 < len(name) <= 60 and name.isprintable()


SET: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "title": ("a text", _text),
    "classes": (
        "a list of two or more names",
        lambda v: isinstance(v, list) and 2 <= len(v) <= CLASSES and all(_text(name) for name in v),
    ),
    "splits": (
        "the number of images by split",
        lambda v: _by_name(v, lambda n: _whole(n, ROWS)) and all(is_split(name) for name in v),
    ),
}
"""Entries of set.json that everything relies on, what each must be, and whether it is."""
OPTIONAL: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("name", "source", "licence", "created", "digest"), ("a text", _text)),
    "how": ("a text by split", lambda v: _by_name(v, _text)),
    "digests": ("digests by kind and name", lambda v: _by_name(v, lambda part: _by_name(part, _text))),
}
CARD: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("model", "source"), ("a text", _text)),
    **dict.fromkeys(
        (
            *("weights", "weights_sha256", "device", "family", "created", "recipe", "methodology", "data"),
            *("precision", "computed_on"),
        ),
        ("a text", _text),
    ),
    "input_size": (
        "three whole numbers",
        lambda v: isinstance(v, list) and len(v) == 3 and all(_whole(side, 1 << 30, 1) for side in v),
    ),
    **dict.fromkeys(("transform", "arguments", "training"), ("a JSON object", lambda v: isinstance(v, dict))),
    **dict.fromkeys(("multiply_adds", "parameters"), (f"a whole number from 1 to {COUNT:g}", lambda v: _whole(v, COUNT, 1))),
    "images_per_second": (
        "a number above 0",
        lambda v: isinstance(v, int | float) and not isinstance(v, bool) and 0 < v <= COUNT and math.isfinite(v),
    ),
    "tf32": ("true or false", lambda v: isinstance(v, bool)),
    "versions": ("a text by package", lambda v: _by_name(v, _text)),
    "digests": ("a text by split", lambda v: _by_name(v, _text)),
}
"""Entries of a model's header."""


def read_about(folder: Path, advice: str = AGAIN) -> dict[str, Any]:
    """Read set.json; InputError names the entries that are wrong, and says what the first must be."""
    file = folder / "set.json"
    about = read_json(file, advice)
    rules = {**SET, **{key: rule for key, rule in OPTIONAL.items() if key in about}}
    wrong = [key for key, (_, holds) in rules.items() if not holds(about.get(key))]
    if wrong:
        listed, (expected, _) = ", ".join(map(repr, wrong)), rules[wrong[0]]
        raise InputError(f"expected {listed} in '{file}', got none or another type ('{wrong[0]}' is to be {expected}); {AGAIN}")
    return about


def check_about(folder: Path, about: Mapping[str, Any]) -> None:
    """Raise InputError where set.json differs from the digest that it carries; those of earlier versions carry none."""
    if about.get("digest", about_digest(about)) != about_digest(about):
        raise InputError(
            f"'{folder / 'set.json'}' was altered after it was written (it differs from its digest); restore it, "
            f"or record it as it is with duo sets {folder.name} --seal"
        )


def about_digest(about: Mapping[str, Any]) -> str:
    """SHA-256 of all entries of set.json but the digest itself."""
    rest = {key: value for key, value in about.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def ids_digest(ids: Sequence[str]) -> str:
    """SHA-256 of the names of a split's images, in their order."""
    return hashlib.sha256(json.dumps(list(ids)).encode()).hexdigest()


def read_ids(folder: Path, about: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of images by split; none where there is no such file, which may be left out."""
    file = folder / "ids.json"
    if not file.exists():
        return {}
    ids = read_json(file)
    known = about.get("digests", {}).get("ids", {})
    for split, n in about["splits"].items():
        own = ids.get(split)
        if own is None and split not in known:
            continue
        if not isinstance(own, list) or len(own) != n or not all(isinstance(name, str) for name in own):
            raise InputError(f"expected {n:,} names of images for '{split}' in '{file}', got others; {AGAIN}")
        if known.get(split, ids_digest(own)) != ids_digest(own):
            check_about(folder, about)  # it may be the digest that was altered
            raise InputError(f"'{file}' was altered after it was written ('{split}' differs from its digest); {AGAIN}")
    return {split: own for split, own in ids.items() if split in about["splits"]}


def read_labels(folder: Path, about: Mapping[str, Any]) -> dict[str, Tensor]:
    """Labels (n,) by split, each compared with what set.json says and with its digests."""
    file = folder / "labels.safetensors"
    header = _header(file, AGAIN)
    known = [about.get("digests", {}).get("labels", {}), _facts(file, header, AGAIN).get("digests", {})]
    return {split: _labels_of(file, header, split, about, known) for split in about["splits"]}


def _labels_of(file: Path, header: Header, split: str, about: Mapping[str, Any], known: Sequence[Mapping[str, str]]) -> Tensor:
    n, k = about["splits"][split], len(about["classes"])
    got = (header.dtypes.get(split), header.shapes.get(split))
    if got != ("I64", (n,)):
        found = "none" if got[0] is None else f"{got[0]} of shape {got[1]}"
        raise InputError(f"expected {n} labels of '{split}', int64, in '{file}', got {found}; {AGAIN}")
    labels = tensor_of(file, split, AGAIN)
    if n and not 0 <= int(labels.min()) <= int(labels.max()) < k:
        raise InputError(f"expected labels of '{split}' in 0..{k - 1} in '{file}', got others; {AGAIN}")
    if any(digests.get(split, own) != own for own in [tensor_digest(labels)] for digests in known):
        check_about(file.parent, about)
        raise InputError(f"'{file}' was altered after it was written (its '{split}' differs from the digest); {AGAIN}")
    return labels


@dataclass(frozen=True)
class ModelFile:
    """What a model's header says: its card, and the digest of each split that the set has."""

    card: Card
    digests: Mapping[str, str]
    sealed: bool
    """Whether the header itself was compared with a digest."""


def read_model(file: Path, about: Mapping[str, Any]) -> ModelFile:
    """Read one model's header and check it against the set; FileNotFoundError where the file has gone meanwhile."""
    if not NAME.fullmatch(file.stem):
        raise InputError(f"expected a model's file named by letters, digits, '.', '_' and '-', got {file.name!r}; rename it")
    header = _header(file, again(file))
    facts = _facts(file, header, again(file))
    digests = facts.pop("digests", {})
    expected = {split: (n, len(about["classes"])) for split, n in about["splits"].items()}
    for split, shape in header.shapes.items():
        if shape != expected.get(split, shape):
            raise InputError(f"expected shape {expected[split]} for '{split}' in '{file}', got {shape}; {again(file)}")
        if header.dtypes[split] not in LOGITS:
            got = header.dtypes[split][:20]
            raise InputError(f"expected float32, float16 or bfloat16 for '{split}' in '{file}', got {got}; {again(file)}")
        if split not in digests:
            raise InputError(f"'{file}' carries no digest of '{split[:60]}', so it was not written by duo; {again(file)}")
    if "model" not in facts or "source" not in facts:
        raise InputError(
            f"expected 'model' and 'source' in the header of '{file}', got {sorted(facts) or 'nothing'}; {again(file)}"
        )
    stated = header.stated_digest or about.get("digests", {}).get("headers", {}).get(file.stem)
    if stated not in (None, header.digest):
        raise InputError(f"'{file}' was altered after it was written (its header differs from the digest); {again(file)}")
    return ModelFile(_card(file.stem, facts), {s: digests[s] for s in header.shapes if s in expected}, stated is not None)


def _card(name: str, facts: Mapping[str, Any]) -> Card:
    known = {key: value for key, value in facts.items() if key in {f.name for f in fields(Card)}}
    if "input_size" in known:
        known["input_size"] = tuple(known["input_size"])
    return Card(**{**known, "name": name})


def _header(file: Path, advice: str) -> Header:
    try:
        return read_header(file)
    except InputError as error:
        raise InputError(f"{error}; {advice}") from None
    except FileNotFoundError:
        if file.stem != "labels":
            raise
        raise InputError(f"expected the file '{file}', got nothing there; {advice}") from None


def _facts(file: Path, header: Header, advice: str) -> dict[str, Any]:
    """The header's metadata, those that are JSON read, all of the types that they must be."""
    facts: dict[str, Any] = {}
    for key, text in header.metadata.items():
        expected, holds = CARD.get(key, ("a text", _text))
        try:
            facts[key] = as_json(text) if key in STRUCTURED else text
        except ValueError:
            raise InputError(f"expected {expected} as '{key}' in the header of '{file}', got {text[:40]!r}; {advice}") from None
        if key in CARD and not holds(facts[key]):
            raise InputError(f"expected {expected} as '{key}' in the header of '{file}', got {text[:40]!r}; {advice}")
    return facts


def tensor_of(file: Path, split: str, advice: str) -> Tensor:
    """One tensor of a file, mapped into memory."""
    try:
        with safetensors.safe_open(file, framework="pt") as tensors:
            tensor: Tensor = tensors.get_tensor(split)
    except FileNotFoundError:
        raise InputError(f"expected the file '{file}', got nothing there; {advice}") from None
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise InputError(f"'{file}' is truncated or altered and cannot be read ({error}); {advice}") from None
    return tensor


def again(file: Path) -> str:
    """What to do about a model's file."""
    return f"delete it and compute it again with duo logits --set {file.parent.name}"
