"""A task that computes logits of one model on some rows of a split, and leaves them as a shard."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from duo_core.cluster.shards import shards, write_shard
from duo_core.cluster.tasks import Images, Tell
from duo_core.common.arrays import InputError
from duo_core.images.splits import Split
from duo_core.inference.computing import checked
from duo_core.inference.facts import card_costs
from duo_core.inference.filling import Filling, fingerprint
from duo_core.inference.jobs import rows_of
from duo_core.inference.runner import Runner
from duo_core.logits.store import Store
from duo_core.models.devices import current, device_name
from duo_core.models.transforms import Transform
from duo_core.models.zoo import LoadedModel, ModelSpec


@dataclass(frozen=True)
class LogitsTask:
    """Logits of one model on rows of one split."""

    kind: ClassVar[str] = "logits"
    store: str
    set_name: str
    model: Mapping[str, Any]
    """Fields of its ModelSpec."""
    weights_sha256: str | None
    images: Mapping[str, Any]
    """Fields of Images."""
    split: str
    rows: tuple[int, int]
    fingerprint: str
    """Of the model, the images and the precision: what the shard is found by."""
    precision: str
    dtype: str
    batch_size: int
    skip_unreadable: bool
    measured: bool
    """Whether the model's throughput is measured as well; of one task a model at most."""
    multiply_adds: int | None
    """Of an image, where that is known."""

    def __str__(self) -> str:
        return f"{self.model['name']} on {self.split}, rows {self.rows[0]:,} to {self.rows[1]:,}"

    def run(self, device: str, workers: int | None, tell: Tell) -> str:
        """Compute the rows, unless their shard is there or the set has them."""
        where, _ = checked(device, self.precision, getattr(torch, self.dtype), self.batch_size)
        if Store(self.store).has_model(self.set_name, self.model["name"], [self.split]):
            return "in the set already"
        split = splits_of(json.dumps(self.images, sort_keys=True))[self.split]
        model = _loaded(json.dumps(self.model, sort_keys=True))
        self._check(model, split)
        folder, shape = Store(self.store).partial(self.set_name, self.model["name"]), (len(split), model.classes)
        span, dtype = range(*self.rows), getattr(torch, self.dtype)
        found = shards(folder, self.split, self.fingerprint, shape, dtype)
        if any(shard.start <= span.start and span.stop <= shard.stop for shard in found):
            return "there already"
        with current(where):
            costs = card_costs(model, where, self.precision, self.batch_size, self.measured, tell)
            part = dataclasses.replace(split, rows=split.rows[span.start : span.stop])
            runner = Runner(model, where, self.precision, self.batch_size)
            size, skip = self.batch_size, self.skip_unreadable
            rows = rows_of(part, self.split, runner, dtype, size=size, workers=workers, skip_unreadable=skip, tell=tell)
        card = Filling(Store(self.store), self.set_name, {}, (), "", "", "", self.precision).card(model, costs)
        about = {**dataclasses.asdict(card), "computed_on": device_name(where)}
        write_shard(folder, self.split, span, rows, self.fingerprint, about)
        return f"{len(span):,} rows"

    def _check(self, model: LoadedModel, split: Split) -> None:
        if model.weights_sha256 != self.weights_sha256:
            raise InputError(
                f"expected the weights of '{self.model['name']}' with the SHA-256 {self.weights_sha256}, got "
                f"{model.weights_sha256}; bring those that the tasks were written with, or write the tasks again"
            )
        if fingerprint(model, split, self.precision) != self.fingerprint:
            raise InputError(
                f"expected the images of '{self.split}' and the transform that the tasks were written with, got others; "
                "bring those, or write the tasks again"
            )


@functools.lru_cache(maxsize=1)
def splits_of(images: str) -> Mapping[str, Split]:
    """Splits of images, given as JSON of their fields; listed once a process."""
    from duo_core.images import open_source
    from duo_core.images.corruptions import Corruption
    from duo_core.images.splits import splits

    asked = Images(**json.loads(images))
    sources = {split: open_source(text, asked.class_index, asked.class_folder) for split, text in asked.sources.items()}
    corrupt = {split: Corruption.parse(text) for split, text in asked.corrupt.items()}
    return splits(sources, fit=asked.fit, seed=asked.seed, corrupt=corrupt)


def spec_fields(spec: ModelSpec) -> dict[str, Any]:
    """A spec as JSON holds it; InputError where a constructor's argument is no plain value."""
    fields = {part.name: getattr(spec, part.name) for part in dataclasses.fields(spec)}
    fields["checkpoint"] = None if spec.checkpoint is None else str(Path(spec.checkpoint).resolve())
    fields["transform"] = None if spec.transform is None else spec.transform.to_dict()
    try:
        plain: dict[str, Any] = json.loads(json.dumps({**fields, "arguments": dict(spec.arguments)}))
    except TypeError:
        raise InputError(
            f"expected arguments that a file of tasks can hold for '{spec.name}', got others; run it in one process"
        ) from None
    return plain


def spec_of_fields(fields: Mapping[str, Any]) -> ModelSpec:
    """The spec that `spec_fields` was given."""
    own = dict(fields)
    own["checkpoint"] = None if own["checkpoint"] is None else Path(own["checkpoint"])
    own["transform"] = None if own["transform"] is None else Transform.from_dict(own["transform"])
    own["classes"] = None if own["classes"] is None else tuple(own["classes"])
    return ModelSpec(**own)


@functools.lru_cache(maxsize=1)
def _loaded(fields: str) -> LoadedModel:
    """The model of a spec, given as JSON; one at a time stays."""
    from duo_core.models.zoo import load

    return load(spec_of_fields(json.loads(fields)))
