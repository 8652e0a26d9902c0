"""The members of a system on their way into a folder and out of it: what each is, and where its weights are."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from duo_core.common.arrays import InputError
from duo_core.deploy.module import Member
from duo_core.logits import Card
from duo_core.models.transforms import Transform
from duo_core.models.zoo import LoadedModel, ModelSpec, load
from duo_core.models.zoo.checkpoints import SUFFIXES as CHECKPOINTS
from duo_core.models.zoo.checkpoints import file_sha256
from duo_core.models.zoo.foreign import foreign_spec, is_own_code
from duo_core.models.zoo.loading import download
from duo_core.models.zoo.references import spec_of
from duo_core.models.zoo.weights import RAW


@dataclass(frozen=True)
class Source:
    """One model of a set, with the model itself where its weights are at hand."""

    card: Card
    spec: ModelSpec | None
    """None where its logits were uploaded: nothing says how it is built."""
    loaded: LoadedModel | None
    lacking: str
    """Why the model is not here, or nothing."""

    @property
    def file_of_its_own(self) -> bool:
        """Whether the weights are a checkpoint's, which no library downloads."""
        return (self.card.weights or "").endswith(CHECKPOINTS)

    def record(self, place: int) -> dict[str, Any]:
        """Return what duo.json says of the model; `file` is where its weights lie, or are to be put."""
        card = self.card
        ours = self.loaded is not None or (card.weights or "").endswith(".safetensors")
        return {
            "name": card.name,
            "model": self.spec.reference if self.spec else card.model,
            "source": card.source,
            "family": card.family,
            "weights": card.weights,
            "weights_sha256": card.weights_sha256,
            # Of the file as it is; what is written here holds nothing else.
            "weights_key": None if self.loaded else card.weights_key,
            "file": f"{place}-{file_name(card.name)}.safetensors" if ours else None,
            "arguments": dict(self.spec.arguments) if self.spec else {},
            "transform": self.loaded.transform.to_dict() if self.loaded else card.transform,
            "multiply_adds": card.multiply_adds,
            "parameters": card.parameters,
        }

    def write(self, file: Path) -> None:
        """Write the weights: the checkpoint as it is, or the state dict of what a library loaded."""
        checkpoint = self.spec.checkpoint if self.spec else None
        whole = self.loaded is None or self.loaded.weights_key is None
        if checkpoint is not None and checkpoint.suffix == ".safetensors" and whole:
            shutil.copyfile(checkpoint, file)
        elif self.loaded is not None:
            state = self.loaded.module.state_dict()
            # Of tensors that share memory, safetensors would write none.
            save_file({key: value.clone().contiguous() for key, value in state.items()}, file)


def file_name(name: str) -> str:
    """Return a model's name as part of a file's, whatever an uploaded file calls it.

    >>> file_name("resnet56"), file_name("../a b")
    ('resnet56', '_a_b')
    """
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".")[:60] or "_"


def source_of(
    card: Card,
    k: int,
    *,
    checkpoint: Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    architecture: str | None = None,
) -> Source:
    """Find a model of a set, and its weights where they are on this machine: a checkpoint, a library's cache, own code.

    What the card says is data: a `module:callable` is imported only where `architecture` says it, too.

    Raises
    ------
    InputError
        Where the checkpoint is not the one that the logits came from, or has other classes.
    """
    if card.source == "upload":
        return Source(card, None, None, f"the logits of '{card.name}' were uploaded, so nothing says how the model is built")
    if architecture is None and is_own_code(card.model):
        return Source(card, None, None, _asked_for(card))
    known = _arguments(card, arguments)
    spec = replace(
        foreign_spec(card.model, known) if architecture is None else replace(spec_of(architecture), arguments=known),
        name=card.name,
        checkpoint=Path(checkpoint) if checkpoint else None,
        # A card without a key is of plain weights, or of a time when averages were not read.
        choice=(card.weights_key or RAW) if checkpoint else None,
        transform=None if card.transform is None else Transform.from_dict(card.transform),
    )
    lacking = _lacking(card, spec)
    return Source(card, spec, None if lacking else _same(load(spec), card, k), lacking)


def _asked_for(card: Card) -> str:
    return (
        f"the set says that '{card.name}' is built by running '{card.model}', which a file may not decide; "
        f"if you know and trust that code, say --architecture {card.name}={card.model}"
    )


def _arguments(card: Card, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Constructor arguments of a model: those of its card, or those given where the card is of a time before it held them."""
    known = card.arguments
    if given is not None and known is not None and dict(given) != dict(known):
        raise InputError(
            f"expected the arguments that the logits of '{card.name}' were computed with, {json.dumps(known)}, got "
            f"{json.dumps(given)}; leave --arguments out"
        )
    return dict((known if given is None else given) or {})


def _lacking(card: Card, spec: ModelSpec) -> str:
    """Why the weights cannot be had without a download, or nothing."""
    if spec.checkpoint is not None or spec.source == "python":
        return ""
    if card.weights is None or card.weights.endswith(CHECKPOINTS):
        option = f"--checkpoint {card.name}={card.weights or 'FILE'}"
        return f"the weights of '{card.name}' are those of the file '{card.weights}'; give it with {option}"
    place = download(spec.reference)
    # The hub keeps files under the name of a revision's commit.
    if place is not None and any(place[1].parent.parent.glob(f"*/{place[1].name}")):
        return ""
    return f"the weights {card.weights} of '{card.name}' are not on this machine; they are downloaded when the folder is loaded"


def _same(loaded: LoadedModel, card: Card, k: int) -> LoadedModel:
    """Return the model, seen to be the one that the set's logits came from."""
    if card.weights_sha256 is not None and loaded.weights_sha256 != card.weights_sha256:
        raise InputError(
            f"expected the weights that the logits of '{card.name}' came from ({card.weights}, SHA-256 {card.weights_sha256}), "
            f"got {loaded.weights} with SHA-256 {loaded.weights_sha256}; give that file with --checkpoint {card.name}=FILE"
        )
    if loaded.classes != k:
        raise InputError(f"expected a model of {k} classes as '{card.name}', got {loaded.classes}")
    return loaded


def member(record: Mapping[str, Any], folder: Path, own_code: bool) -> Member:
    """Build a model that a folder's duo.json describes, with its weights from the folder or from its library."""
    trusted = own_code and is_own_code(record["model"])
    if not trusted and (record["source"] == "python" or is_own_code(record["model"])):
        raise InputError(
            f"'{record['name']}' is built by running '{record['model']}', code that is not this project's; "
            "say own_code=True if you trust the folder"
        )
    if record["transform"] is None or record["source"] == "upload":
        raise InputError(f"nothing in '{folder}' says how '{record['name']}' is built: its logits were uploaded")
    spec = replace(
        spec_of(record["model"]) if trusted else foreign_spec(record["model"], record["arguments"]),
        name=record["name"],
        checkpoint=folder / record["file"] if record["file"] else None,
        choice=record.get("weights_key") if record["file"] else None,
        arguments=record["arguments"],
        transform=Transform.from_dict(record["transform"]),
    )
    if spec.checkpoint is None and (record["weights"] or "").endswith(CHECKPOINTS):
        raise InputError(
            f"the weights of '{record['name']}' ({record['weights']}) are not in '{folder}'; make the folder with "
            f"duo export --checkpoint {record['name']}={record['weights']}"
        )
    loaded = load(spec)
    if spec.checkpoint is None and loaded.weights_sha256 != record["weights_sha256"]:
        raise InputError(
            f"expected the weights {record['weights']} of '{record['model']}' with SHA-256 {record['weights_sha256']}, "
            f"got {loaded.weights_sha256}; the library has other ones now"
        )
    return Member(loaded.module, loaded.transform)


def checked_file(file: Path, sha256: str, what: str) -> None:
    """Raise InputError unless a file is there with the digest that duo.json states."""
    if not file.is_file():
        raise InputError(f"expected {what} with SHA-256 {sha256} at '{file}', got no file there; put it there or export again")
    found = file_sha256(file)
    if found != sha256:
        raise InputError(
            f"'{file}' was altered after it was exported: expected {what} with SHA-256 {sha256}, got {found}; export it again"
        )
