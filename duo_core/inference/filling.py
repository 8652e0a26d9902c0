"""The set that a computation fills: what it lacks, its cards, its journals, and the moment it becomes whole."""

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.common.versions import COMPUTING, versions
from duo_core.images.splits import Split
from duo_core.logits import Card, LogitSet, join_devices, same_precision
from duo_core.logits.store import Store
from duo_core.logits.store.journal import Journal

if TYPE_CHECKING:  # only the record's shape is needed, not torchvision and timm
    from duo_core.models.zoo import LoadedModel, ModelSpec


class Full(Protocol):
    """All rows of a model and split, and what they take up beside the set: a journal that is full, or shards."""

    @property
    def computed_on(self) -> tuple[str, ...]:
        """Processors that the rows are from."""

    def tensor(self) -> Tensor:
        """All rows (n, k)."""

    def discard(self) -> None:
        """Remove them: they stand in the set now."""


@dataclass(frozen=True)
class Filling:
    """A set in a store and the images it is to hold logits of."""

    store: Store
    name: str
    splits: Mapping[str, Split]
    classes: tuple[str, ...]
    title: str
    source: str
    licence: str
    precision: str = "float32"

    def has(self, spec: "ModelSpec") -> bool:
        """Whether the set has a model of that name for all splits, which is seen to be this one without loading it.

        The weights of a library are known by their name there, a checkpoint by its file's digest; what is known by neither is
        loaded, and so is a checkpoint of several weights.
        """
        there = self._opened()
        if there is None or set(self.splits) - set(there.labels) or spec.name not in there.models(*self.splits):
            return False
        card = there.cards[spec.name]
        if spec.source == "python" or card.weights_key is not None:
            return False
        return card.model == spec.reference and _known_weights(card, spec) and not self._differing(card, _facts(spec))

    def missing(self, models: Sequence["LoadedModel"]) -> dict[str, list[str]]:
        """Return the splits that each model lacks in the set.

        Raises InputError where the set has other weights, or another transform, under a model's name.
        """
        there = self._opened()
        lacking: dict[str, list[str]] = {}
        for model in models:
            name = model.spec.name
            card = there.cards.get(name) if there else None
            if card:
                self._check_same(card, model)
            lacking[name] = [split for split in self.splits if not (there and name in there.models(split))]
        return lacking

    def check(self, skip_unreadable: bool) -> None:
        """Raise InputError now, not after the computation, where the set was made of other images."""
        there = self._opened()
        if there is None:
            return
        shared = [split for split in self.splits if split in there.labels]
        absent = {split: self._absent(there, split) if skip_unreadable else [] for split in shared}
        replace(self, classes=self.classes or there.classes)._prepare(shared, absent)

    def card(self, model: "LoadedModel", costs: Mapping[str, Any]) -> Card:
        """Return what is to be known of a model beside its logits."""
        return Card(
            name=model.spec.name,
            model=model.spec.reference,
            source=model.spec.source,
            weights=model.weights,
            weights_sha256=model.weights_sha256,
            weights_key=model.weights_key,
            input_size=model.transform.input_size,
            transform=model.transform.to_dict(),
            arguments=_arguments(model.spec),
            family=model.spec.family or None,
            created=datetime.datetime.now(datetime.UTC).date().isoformat(),
            versions=versions(COMPUTING),
            training=model.spec.training,
            recipe=model.spec.recipe,
            methodology=model.spec.methodology,
            data=model.spec.data,
            precision=self.precision,
            tf32=self.precision == "tf32",
            **costs,
        )

    def journal(self, model: "LoadedModel", split: str, dtype: torch.dtype, computed_on: str) -> Journal:
        """Open what was computed so far of a model and split, to go on with on a device of that name."""
        shape = (len(self.splits[split]), len(self.classes))
        mark = fingerprint(model, self.splits[split], self.precision)
        return self.store.journal(
            self.name, model.spec.name, split, shape=shape, dtype=dtype, fingerprint=mark, computed_on=computed_on
        )

    def finish(
        self, cards: Sequence[Card], journals: Mapping[tuple[str, str], Full], skip_unreadable: bool
    ) -> dict[str, list[str]]:
        """Write the models whose journals are full into the set; return the images of each split that were left out.

        The set appears only here: until then it is open which images it has.
        """
        rows = {key: journal.tensor() for key, journal in journals.items()}
        absent = {split: sorted({i for key in rows if key[1] == split for i in _left_out(rows[key])}) for split in self.splits}
        names = {split: [self.splits[split].ids[i] for i in places] for split, places in absent.items() if places}
        if names and not skip_unreadable:
            split, first = next(iter(names.items()))
            raise InputError(
                f"the image '{first[0]}' of '{split}' could not be read in an earlier run; leave such images out again"
            )
        if cards:
            self._prepare(list(self.splits), absent)
        for card in cards:
            own = {split: rows[name, split] for name, split in rows if name == card.name}
            devices = [place for key, journal in journals.items() if key[0] == card.name for place in journal.computed_on]
            complete = replace(card, computed_on=join_devices(devices))
            self.store.write_model(self.name, complete, {split: _without(tensor, absent[split]) for split, tensor in own.items()})
        for journal in journals.values():
            journal.discard()
        return names

    def _check_same(self, card: Card, model: "LoadedModel") -> None:
        same = card.weights_sha256 == model.weights_sha256 and _same_key(card, model)
        facts = model.transform.to_dict(), _arguments(model.spec)
        for what in [*([] if same else ["weights"]), *self._differing(card, facts)]:
            raise InputError(
                f"the set '{self.name}' has '{card.name}' with other {what}; name this one ID={model.spec.reference}, "
                f"or delete {card.name}.safetensors there"
            )

    def _differing(self, card: Card, facts: tuple[dict[str, Any], dict[str, Any] | None]) -> list[str]:
        """What besides the weights differs between what the set has and what is asked for."""
        transform, arguments = facts
        same = {
            "preprocessing": json.dumps(card.transform, sort_keys=True) == json.dumps(transform, sort_keys=True),
            "arguments": None in (card.arguments, arguments) or card.arguments == arguments,
            f"precision ({card.precision}, not {self.precision})": same_precision(card.precision, self.precision),
        }
        return [what for what, holds in same.items() if not holds]

    def _opened(self) -> LogitSet | None:
        return self.store.open(self.name) if self.name in self.store.names() else None

    def _absent(self, there: LogitSet, split: str) -> list[int]:
        """Rows that the set lacks: those that could not be read when it was made."""
        known = set(there.ids.get(split, self.splits[split].ids))
        return [row for row, name in enumerate(self.splits[split].ids) if name not in known]

    def _prepare(self, names: Sequence[str], absent: Mapping[str, Sequence[int]]) -> None:
        chosen = {split: self.splits[split] for split in names}
        gone = {split: set(absent.get(split, ())) for split in names}
        self.store.prepare(
            self.name,
            title=self.title,
            classes=self.classes,
            labels={split: _without(part.labels, sorted(gone[split])) for split, part in chosen.items()},
            ids={split: [name for i, name in enumerate(part.ids) if i not in gone[split]] for split, part in chosen.items()},
            source=self.source or "; ".join(sorted({part.source.text for part in chosen.values()})),
            licence=self.licence,
            details={
                "how": {split: _how(part, len(gone[split])) for split, part in chosen.items()},
                "class_order": {split: part.source.order for split, part in chosen.items()},
            },
        )


def _same_key(card: Card, model: "LoadedModel") -> bool:
    """Whether the weights stood at one place of their checkpoint; a card without a key is of a time when averages were not read."""
    return card.weights_key == model.weights_key or (card.weights_key is None and not model.averaged)


def _known_weights(card: Card, spec: "ModelSpec") -> bool:
    """Whether a card's weights are those of a spec, by the file's digest or by the name that their library gives them."""
    from duo_core.models.zoo import checkpoints
    from duo_core.models.zoo.loading import weights_name

    if spec.checkpoint is not None:
        return spec.choice is None and card.weights_sha256 == checkpoints.file_sha256(spec.checkpoint)
    return card.weights is not None and card.weights == weights_name(spec)


def _facts(spec: "ModelSpec") -> tuple[dict[str, Any], dict[str, Any] | None]:
    from duo_core.models.zoo.loading import transform_of

    return transform_of(spec).to_dict(), _arguments(spec)


def _arguments(spec: "ModelSpec") -> dict[str, Any] | None:
    """The model's constructor arguments as a header can hold them; None where one of them is no plain value."""
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(spec.arguments)))
    except TypeError:
        return None
    return found


def _how(split: Split, left_out: int) -> str:
    return f"{split.how}, without {left_out} that could not be read" if left_out else split.how


def _left_out(rows: Tensor) -> list[int]:
    """Models' logits are finite, so NaN marks an image that could not be read."""
    return [int(row) for row in torch.nonzero(torch.isnan(rows[:, 0])).flatten()]


def _without(tensor: Tensor, rows: Sequence[int]) -> Tensor:
    if not rows:
        return tensor
    keep = torch.ones(len(tensor), dtype=torch.bool)
    keep[list(rows)] = False
    return tensor[keep]


def fingerprint(model: "LoadedModel", split: Split, precision: str) -> str:
    """Everything that says which numbers a journal holds; where and in what batches they were computed may change."""
    about = {
        "model": [model.spec.reference, dict(model.spec.arguments), model.weights_sha256, model.weights_key],
        "transform": model.transform.to_dict(),
        "precision": precision,
        "corruption": str(split.corruption),
        "images": split.ids,
        "labels": split.labels.tolist(),
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()
