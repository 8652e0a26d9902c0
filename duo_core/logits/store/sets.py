"""Logit sets on disk: written whole or not at all, read memory-mapped, never unpickled."""

import datetime
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from duo_core.common import places
from duo_core.common.arrays import InputError
from duo_core.common.files import NAME, checked_name, locked, write_text
from duo_core.logits import Card, LogitSet, join_devices, same_precision, tensor_digest
from duo_core.logits.store.headers import read_header, write_tensors
from duo_core.logits.store.journal import Journal, UnderWay, under_way
from duo_core.logits.store.reading import (
    STRUCTURED,
    about_digest,
    again,
    check_about,
    ids_digest,
    read_about,
    read_ids,
    read_labels,
    read_model,
    tensor_of,
)

DEFAULT_STORE = places.SHIPPED_SETS
NOT_MODELS = {"labels"}


def default_store() -> Path:
    """The folder that `DUO_STORE` names, else `data/` of a checkout, else one among the user's data."""
    return Path(os.environ.get("DUO_STORE") or places.sets())


class Store:
    """A folder of logit sets, one folder each (`set.json`, `labels.safetensors`, `<model>.safetensors`).

    Beside those in the folder that nobody named stand the sets that came with the package, which are only read.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path else default_store()
        self._folders = [self.path] if path or os.environ.get("DUO_STORE") else [self.path, DEFAULT_STORE]

    def names(self) -> list[str]:
        """Names of the sets, in alphabetical order."""
        found = {file.parent.name for folder in self._folders for file in folder.glob("*/set.json")}
        return sorted(filter(NAME.fullmatch, found))

    def folder(self, name: str) -> Path:
        """Where a set lies, or would."""
        own = self.path / checked_name(name, "set")
        return next((folder / name for folder in self._folders if (folder / name / "set.json").exists()), own)

    def own_folder(self, name: str) -> Path:
        """Where a set may be written; InputError for one that came with the package."""
        folder = self.folder(name)
        if folder.parent != self.path:
            raise InputError(
                f"expected a set of your own to write to, got '{name}', which came with the package; name another, or copy "
                f"'{folder}' into '{self.path}' first"
            )
        return folder

    def open(self, name: str) -> LogitSet:
        """Open a set, reading headers only; a model that cannot be read is listed in `broken`, the others stay usable."""
        found = self._opened(name)
        check_about(self.folder(name), found.about)
        return found

    def _opened(self, name: str) -> LogitSet:
        folder = self.folder(name)
        about = read_about(folder, f"make the set '{name}' with duo logits; the store '{self.path}' has {self._listed()}")
        labels, ids = read_labels(folder, about), read_ids(folder, about)
        cards: dict[str, Card] = {}
        broken: dict[str, str] = {}
        unsealed = [] if "digest" in about else ["set.json", "labels.safetensors", *(["ids.json"] if ids else [])]
        arrays = _Files()
        for file in _model_files(folder):
            try:
                found = read_model(file, about)
            except FileNotFoundError:  # it has gone since the folder was listed
                continue
            except InputError as error:
                broken[file.stem] = str(error)
                continue
            cards[file.stem] = found.card
            arrays.add(file, found.digests)
            unsealed += [] if found.sealed else [file.name]
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
            unsealed=unsealed,
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
        folder = self.own_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            about, old_labels, old_ids = _existing(folder)
            if about:
                check_about(folder, about)
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
            write_tensors(folder / "labels.safetensors", labels, {})
            if ids:
                write_text(folder / "ids.json", json.dumps({split: list(values) for split, values in ids.items()}))
            _write_about(folder, about, labels, ids)

    def seal(self, name: str) -> LogitSet:
        """Add digests to a set of an earlier version, of its labels, ids, headers and set.json; its logits stay as they are.

        Raises
        ------
        InputError
            Where something of the set is known to have been altered.
        """
        folder = self.own_folder(name)
        with locked(folder):
            found = self._opened(name)
            for reason in found.broken.values():
                raise InputError(reason)
            for tensor in found.arrays:  # reading compares each with its digest
                found.arrays[tensor]
            about, labels, ids = _existing(folder)
            headers = {file.stem: read_header(file) for file in _model_files(folder)}
            without = {model: header.digest for model, header in headers.items() if header.stated_digest is None}
            _write_about(folder, about, labels, ids, without)
        return self.open(name)

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
        folder = self.own_folder(name)
        _checked_model(card.name)
        with locked(folder):
            file = folder / f"{card.name}.safetensors"
            kept, devices = _kept(file, card) if file.exists() else ({}, None)
            card = replace(card, computed_on=join_devices([card.computed_on, devices]))
            metadata = {key: _encoded(key, value) for key, value in asdict(card).items() if value is not None}
            write_tensors(file, {**kept, **logits}, metadata)

    def journal(
        self, name: str, model: str, split: str, shape: tuple[int, int], dtype: torch.dtype, fingerprint: str, computed_on: str = ""
    ) -> Journal:
        """Open the rows computed so far of one model and split; a different fingerprint starts anew."""
        return Journal(self.partial(name, model), checked_name(split, "split"), shape, dtype, fingerprint, computed_on)

    def partial(self, name: str, model: str) -> Path:
        """Where what is computed of a model lies until the set has all of it."""
        return self.own_folder(name) / ".partial" / _checked_model(model)

    def under_way(self, name: str) -> UnderWay | None:
        """How far a run is that fills a set just now; None where there is none."""
        return under_way(self.folder(name) / ".partial")

    def has_shards(self, name: str) -> bool:
        """Whether tasks have left rows of a set that are to be joined."""
        return any((self.own_folder(name) / ".partial").glob("*/*.shard"))

    def _listed(self) -> str:
        return ", ".join(self.names()) or "none yet"


class _Files(Mapping[tuple[str, str], Tensor]):
    """Tensors by (model, split), mapped from their files when first asked for and compared with their digest."""

    def __init__(self) -> None:
        self._where: dict[tuple[str, str], Path] = {}
        self._read: dict[tuple[str, str], Tensor] = {}
        self.digests: dict[tuple[str, str], str] = {}

    def add(self, file: Path, digests: Mapping[str, str]) -> None:
        for split, digest in digests.items():
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
    tensor = tensor_of(file, split, again(file))
    if tensor_digest(tensor) != digest:
        raise InputError(f"'{file}' was altered after it was written (its '{split}' differs from the digest); {again(file)}")
    return tensor


def _checked_model(name: str) -> str:
    """A model's name, which is its file's, or InputError."""
    if checked_name(name, "model").casefold() in NOT_MODELS:
        raise InputError(f"expected another name for the model than '{name}', which is that of the file of the set's labels")
    return name


def _model_files(folder: Path) -> list[Path]:
    """Files of models, in alphabetical order; hidden ones are another program's."""
    files = sorted(folder.glob("*.safetensors"))
    return [file for file in files if file.stem not in NOT_MODELS and not file.name.startswith(".")]


def _kept(file: Path, card: Card) -> tuple[dict[str, Tensor], str | None]:
    """Splits of the same model that its file has already, and where they were computed."""
    try:
        header = read_header(file)
        kept = {split: tensor_of(file, split, again(file)).clone() for split in header.shapes}
    except InputError:
        return {}, None
    if header.metadata.get("weights_sha256") != card.weights_sha256:
        raise InputError(
            f"the set '{file.parent.name}' has other weights under the name '{card.name}'; name these with ID={card.model}"
        )
    if not same_precision(header.metadata.get("precision"), card.precision):
        raise InputError(
            f"the set '{file.parent.name}' has '{card.name}' in {header.metadata.get('precision') or 'float32'}, not in "
            f"{card.precision}; name these with ID={card.model}"
        )
    return kept, header.metadata.get("computed_on")


def _encoded(key: str, value: Any) -> str:
    return json.dumps(value) if key in STRUCTURED else str(value)


def _existing(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, list[str]]]:
    if not (folder / "set.json").exists():
        return {}, {}, {}
    about = read_about(folder)
    return about, {split: values.clone() for split, values in read_labels(folder, about).items()}, read_ids(folder, about)


def _write_about(
    folder: Path,
    about: Mapping[str, Any],
    labels: Mapping[str, Tensor],
    ids: Mapping[str, Sequence[str]],
    headers: Mapping[str, str] | None = None,
) -> None:
    """Write set.json with digests of labels and ids by split, of headers that hold none, and of itself.

    Splits are only ever added, so that who reads an older set.json beside newer files finds them in order.
    """
    digests = {
        "labels": {split: tensor_digest(values) for split, values in labels.items()},
        "ids": {split: ids_digest(values) for split, values in ids.items()},
        "headers": headers if headers is not None else about.get("digests", {}).get("headers", {}),
    }
    # As it will be read: what JSON makes a text or a list is one before its digest is taken.
    whole = json.loads(json.dumps({**about, "digests": {kind: part for kind, part in digests.items() if part}}))
    whole["digest"] = about_digest(whole)
    write_text(folder / "set.json", json.dumps(whole, indent=1, ensure_ascii=False) + "\n")


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


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
