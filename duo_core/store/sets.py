"""Logit sets on disk: written whole or not at all, read memory-mapped, never unpickled."""

import contextlib
import datetime
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from duo_core.arrays import InputError
from duo_core.files import checked_name, locked, read_json, replaced, write_text
from duo_core.logits import Card, LogitSet, tensor_digest
from duo_core.store.journal import Journal

DEFAULT_STORE = Path(__file__).resolve().parents[2] / "data"
AGAIN = "restore it or make the set again"
NOT_MODELS = {"labels"}
STRUCTURED = {"input_size", "transform", "arguments", "multiply_adds", "parameters", "images_per_second", "versions", "digests"}
"""Header entries that are JSON; the others are plain text."""


def default_store() -> Path:
    """The folder that `DUO_STORE` names, else the project's own `data/`."""
    return Path(os.environ.get("DUO_STORE") or DEFAULT_STORE)


class Store:
    """A folder of logit sets, one folder each (`set.json`, `labels.safetensors`, `<model>.safetensors`)."""

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path else default_store()

    def names(self) -> list[str]:
        """Names of the sets, in alphabetical order."""
        return sorted(found.parent.name for found in self.path.glob("*/set.json"))

    def open(self, name: str) -> LogitSet:
        """Open a set, reading headers only; a model that cannot be read is listed in `broken`, the others stay usable."""
        folder = self._folder(name)
        about = _about(folder, f"make the set '{name}' with duo logits; the store '{self.path}' has {self._listed()}")
        labels = _labels(folder, about)
        ids = read_json(folder / "ids.json") if (folder / "ids.json").exists() else {}
        cards: dict[str, Card] = {}
        broken: dict[str, str] = {}
        arrays = _Files()
        for file in sorted(folder.glob("*.safetensors")):
            if file.stem in NOT_MODELS:
                continue
            try:
                cards[file.stem] = _register(file, about, arrays)
            except InputError as error:
                broken[file.stem] = str(error)
        return LogitSet(
            name=name,
            title=about["title"],
            classes=tuple(about["classes"]),
            labels=labels,
            cards=cards,
            arrays=arrays,
            ids=ids,
            about=about,
            broken=broken,
            digests=arrays.digests,
        )

    def prepare(
        self,
        name: str,
        *,
        title: str,
        classes: Sequence[str],
        labels: Mapping[str, Tensor],
        ids: Mapping[str, Sequence[str]] | None = None,
        source: str = "",
        licence: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Create a set, or check that what is there agrees and add the splits that are new."""
        folder = self._folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            about, old_labels, old_ids = _existing(folder)
            if about:
                _agree(name, (about, old_labels, old_ids), classes, labels, ids or {})
            elif not labels:
                raise InputError(f"expected at least one split for the new set '{name}', got none")
            labels, ids = {**old_labels, **labels}, {**old_ids, **(ids or {})}
            facts = {
                "name": name,
                "title": title,
                "classes": list(classes),
                "source": source,
                "licence": licence,
                "created": _today(),
            }
            about = {**facts, **about, "splits": {split: len(values) for split, values in labels.items()}}
            about = {**about, **_merged(about, details or {})}
            _write_tensors(folder / "labels.safetensors", labels, {})
            if ids:
                write_text(folder / "ids.json", json.dumps({split: list(values) for split, values in ids.items()}))
            write_text(folder / "set.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")

    def has_model(self, name: str, model: str, splits: Iterable[str]) -> bool:
        """Whether the model's file is there, readable and has logits of all these splits."""
        try:
            return model in self.open(name).models(*splits)
        except InputError:
            return False

    def write_model(self, name: str, card: Card, logits: Mapping[str, Tensor]) -> None:
        """Write one model's logits in one step; splits of the same weights that are there already stay.

        Other weights under the same name are refused: `ID=NAME` gives the second one a name of its own.
        """
        folder = self._folder(name)
        checked_name(card.name, "model")
        with locked(folder):
            file = folder / f"{card.name}.safetensors"
            kept = _kept(file, card) if file.exists() else {}
            metadata = {key: _encoded(value) for key, value in asdict(card).items() if value is not None}
            _write_tensors(file, {**kept, **logits}, metadata)

    def journal(self, name: str, model: str, split: str, shape: tuple[int, int], dtype: torch.dtype, fingerprint: str) -> Journal:
        """Open the rows computed so far of one model and split; a different fingerprint starts anew."""
        folder = self._folder(name) / ".partial" / checked_name(model, "model")
        return Journal(folder, checked_name(split, "split"), shape, dtype, fingerprint)

    def _folder(self, name: str) -> Path:
        return self.path / checked_name(name, "set")

    def _listed(self) -> str:
        return ", ".join(self.names()) or "none yet"


class _Files(Mapping[tuple[str, str], Tensor]):
    """Tensors by (model, split), mapped from their files when first asked for and compared with their digest."""

    def __init__(self) -> None:
        self._where: dict[tuple[str, str], Path] = {}
        self._read: dict[tuple[str, str], Tensor] = {}
        self.digests: dict[tuple[str, str], str] = {}

    def add(self, file: Path, split: str, digest: str) -> None:
        self._where[file.stem, split] = file
        self.digests[file.stem, split] = digest

    def __getitem__(self, key: tuple[str, str]) -> Tensor:
        if key not in self._read:
            self._read[key] = _verified(self._where[key], key[1], self.digests[key])
        return self._read[key]

    def __contains__(self, key: object) -> bool:
        return key in self._where  # the mixin's own would read the tensor

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


def _verified(file: Path, split: str, digest: str) -> Tensor:
    with _opened(file) as tensors:
        tensor: Tensor = tensors.get_tensor(split)
    if tensor_digest(tensor) != digest:
        raise InputError(f"'{file}' was altered after it was written (its '{split}' differs from the digest); {_again(file)}")
    return tensor


def _register(file: Path, about: Mapping[str, Any], arrays: _Files) -> Card:
    """Read one model's header, check it against the set, and note where its tensors are."""
    with _opened(file) as tensors:
        metadata = {key: _decoded(key, value) for key, value in (tensors.metadata() or {}).items()}
        shapes = {split: tuple(tensors.get_slice(split).get_shape()) for split in tensors.keys()}  # noqa: SIM118 (no mapping)
    digests = metadata.pop("digests", {})
    expected = {split: (n, len(about["classes"])) for split, n in about["splits"].items()}
    for split, shape in shapes.items():
        if shape != expected.get(split, shape):
            raise InputError(f"expected shape {expected[split]} for '{split}' in '{file}', got {shape}; {_again(file)}")
        if split not in digests:
            raise InputError(f"'{file}' carries no digest of '{split}', so it was not written by duo; {_again(file)}")
    if "model" not in metadata or "source" not in metadata:
        raise InputError(
            f"expected 'model' and 'source' in the header of '{file}', got {sorted(metadata) or 'nothing'}; {_again(file)}"
        )
    for split in set(shapes) & set(expected):
        arrays.add(file, split, digests[split])
    names = {f.name for f in fields(Card)}
    facts: dict[str, Any] = {key: tuple(value) if key == "input_size" else value for key, value in metadata.items() if key in names}
    return Card(**{**facts, "name": file.stem})


def _about(folder: Path, advice: str = AGAIN) -> dict[str, Any]:
    """Read set.json and check the entries that everything else relies on."""
    file = folder / "set.json"
    about = read_json(file, advice)
    types = {"title": str, "classes": list, "splits": dict}
    wrong = [repr(key) for key, kind in types.items() if not isinstance(about.get(key), kind)]
    if wrong:
        raise InputError(f"expected {', '.join(wrong)} in '{file}', got none or another type; {AGAIN}")
    return about


def _labels(folder: Path, about: Mapping[str, Any]) -> dict[str, Tensor]:
    file = folder / "labels.safetensors"
    with _opened(file) as tensors:
        labels = {split: tensors.get_tensor(split) for split in about["splits"] if split in tensors.keys()}  # noqa: SIM118
    for split, n in about["splits"].items():
        if split not in labels or tuple(labels[split].shape) != (n,):
            got = tuple(labels[split].shape) if split in labels else "none"
            raise InputError(f"expected {n} labels of '{split}' in '{file}', got {got}; {AGAIN}")
        if n and not 0 <= int(labels[split].min()) <= int(labels[split].max()) < len(about["classes"]):
            raise InputError(f"expected labels of '{split}' in 0..{len(about['classes']) - 1} in '{file}', got others; {AGAIN}")
    return labels


def _kept(file: Path, card: Card) -> dict[str, Tensor]:
    """Splits of the same model that its file has already."""
    try:
        with _opened(file) as tensors:
            metadata = tensors.metadata() or {}
            kept = {split: tensors.get_tensor(split).clone() for split in tensors.keys()}  # noqa: SIM118
    except InputError:
        return {}
    if metadata.get("weights_sha256") != card.weights_sha256:
        raise InputError(
            f"the set '{file.parent.name}' has other weights under the name '{card.name}'; name these with ID={card.model}"
        )
    return kept


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        with safetensors.safe_open(file, framework="pt") as tensors:
            yield tensors
    except FileNotFoundError:
        raise InputError(f"expected the file '{file}', got nothing there; {_again(file)}") from None
    except (safetensors.SafetensorError, json.JSONDecodeError, OSError) as error:
        raise InputError(f"'{file}' is truncated or altered and cannot be read ({error}); {_again(file)}") from None


def _encoded(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _decoded(key: str, text: str) -> Any:
    return json.loads(text) if key in STRUCTURED else text


def _again(file: Path) -> str:
    return f"delete it and compute it again with duo logits --set {file.parent.name}"


def _existing(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, list[str]]]:
    if not (folder / "set.json").exists():
        return {}, {}, {}
    about = _about(folder)
    ids = read_json(folder / "ids.json") if (folder / "ids.json").exists() else {}
    return about, {split: values.clone() for split, values in _labels(folder, about).items()}, ids


def _agree(
    name: str,
    old: tuple[Mapping[str, Any], Mapping[str, Tensor], Mapping[str, Sequence[str]]],
    classes: Sequence[str],
    labels: Mapping[str, Tensor],
    ids: Mapping[str, Sequence[str]],
) -> None:
    """Raise InputError where the images given are not those the set was made of."""
    about, old_labels, old_ids = old
    if list(about["classes"]) != list(classes):
        raise InputError(
            f"the set '{name}' has {len(about['classes'])} classes, but these images have {len(classes)} or others; name a new set"
        )
    for split in set(labels) & set(old_labels):
        same_ids = split not in ids or split not in old_ids or list(ids[split]) == list(old_ids[split])
        if not torch.equal(labels[split], old_labels[split]) or not same_ids:
            raise InputError(
                f"the set '{name}' has {len(old_labels[split])} other images as its split '{split}' "
                f"(now {len(labels[split])}); name a new set or split"
            )


def _merged(about: Mapping[str, Any], details: Mapping[str, Any]) -> dict[str, Any]:
    """Details by name, those of single splits added to what is there."""
    return {
        key: {**about.get(key, {}), **value} if isinstance(value, Mapping) and isinstance(about.get(key, {}), Mapping) else value
        for key, value in details.items()
    }


def _write_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    whole = {split: tensor.detach().cpu().contiguous() for split, tensor in tensors.items()}
    digests = {split: tensor_digest(tensor) for split, tensor in whole.items()}
    content = memoryview(save(whole, {**metadata, "digests": json.dumps(digests)}))
    header, start = _sorted_header(content)
    with replaced(file) as beside, open(beside, "wb") as written:
        written.write(header)
        written.write(content[start:])


def _sorted_header(content: memoryview) -> tuple[bytes, int]:
    """Return the file's head with its keys in order, and where the tensors begin.

    safetensors writes the keys in any order; in one order, the same content gives the same bytes.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    text = json.dumps(json.loads(bytes(content[8:start])), sort_keys=True, separators=(",", ":")).encode()
    text = text.ljust(-len(text) % 8 + len(text))  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text, start


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
