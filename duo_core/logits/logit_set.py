"""LogitSet: labels, logits by model and split, costs, class names and ids, in memory; no I/O."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from duo_core.common.arrays import InputError

FIT_SPLIT = "val"
"""The split that temperatures are fitted on; every other split is judged on."""


@dataclass(frozen=True)
class Card:
    """All that is known of a model in a logit set beside its logits; None where unknown."""

    name: str
    """Its name in the set."""
    model: str
    """The full identity, `torchvision/resnet18` for instance."""
    source: str
    """timm, torchvision, cifar, python, checkpoint or upload."""
    weights: str | None = None
    weights_sha256: str | None = None
    weights_key: str | None = None
    """Where in the checkpoint the weights stood, `state_dict_ema` for instance; None where it holds nothing else."""
    input_size: tuple[int, int, int] | None = None
    transform: Mapping[str, Any] | None = None
    arguments: Mapping[str, Any] | None = None
    """Constructor arguments that it was given; empty where there were none."""
    multiply_adds: int | None = None
    parameters: int | None = None
    images_per_second: float | None = None
    device: str | None = None
    family: str | None = None
    created: str | None = None
    versions: Mapping[str, str] | None = None
    precision: str | None = None
    """What it computed in: float32, tf32, float16 or bfloat16; None in sets of earlier versions."""
    computed_on: str | None = None
    """The processor, or those, that its logits are from."""
    tf32: bool | None = None
    """Whether products of float32 numbers were rounded to TF32."""
    training: Mapping[str, Any] | None = None
    """How it was trained here, or of which trials it is the average: method, recipe, seed, anchor, ingredients."""
    recipe: str | None = None
    """Name of its group of trainings: equal among models of one architecture that differ in their seed alone."""
    methodology: str | None = None
    """How it learned: supervised, distilled, contrastive, LP-FT, greedy soup, ..."""
    data: str | None = None
    """What it learned from."""


@dataclass(frozen=True)
class LogitSet:
    """Logits of several models on the same images.

    Parameters
    ----------
    name, title
        Short name, and the one people read.
    classes
        K class names, in the order of the logits' columns.
    labels
        One int64 tensor (n,) a split, values 0..K-1.
    cards
        What is known of each model; the keys are the models of the set.
    arrays
        Float tensors (n, K) by (model, split); may read them when asked, as the store's does.
    ids
        Names of the images of a split, in the order of the rows; may be empty.
    about
        Source, licence, how splits were made: shown, never computed with.
    broken
        Models that cannot be read, and the sentence that says why.
    unsealed
        What was written by an earlier version, without a digest, so that a change to it would not be noticed.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    labels: Mapping[str, Tensor]
    cards: Mapping[str, Card]
    arrays: Mapping[tuple[str, str], Tensor]
    ids: Mapping[str, Sequence[str]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[tuple[str, str], str] = field(default_factory=dict)
    unsealed: Sequence[str] = ()

    @property
    def k(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def evaluation_splits(self) -> list[str]:
        """Every split but the one that temperatures are fitted on, `test` first."""
        return sorted((s for s in self.labels if s != FIT_SPLIT), key=lambda split: (split != "test", split))

    def models(self, *splits: str) -> list[str]:
        """Models that have logits of all the given splits, most multiply-adds first."""
        whole = [name for name in self.cards if all((name, split) in self.arrays for split in splits)]
        return sorted(whole, key=lambda name: (-(self.cards[name].multiply_adds or 0), name))

    def logits(self, model: str, split: str) -> Tensor:
        """Logits (n, K) of one model on one split; InputError where there are none."""
        if model in self.broken:
            raise InputError(self.broken[model])
        if model not in self.cards:
            raise InputError(
                f"expected a model of the set '{self.name}', got '{model}'; it has {', '.join(sorted(self.cards)) or 'none'}"
            )
        if split not in self.labels:
            raise InputError(f"expected a split of the set '{self.name}', got '{split}'; it has {', '.join(self.labels)}")
        if (model, split) not in self.arrays:
            raise InputError(
                f"the model '{model}' of the set '{self.name}' has no logits of the split '{split}'; compute them with duo logits"
            )
        array = self.arrays[model, split]
        expected = (len(self.labels[split]), self.k)
        if tuple(array.shape) != expected:
            raise InputError(
                f"expected logits of shape {expected} for '{model}' on '{split}' of the set '{self.name}', got {tuple(array.shape)}"
            )
        return array

    def flops_balance(self, base: str, sidekick: str) -> float | None:
        """Multiply-adds of the sidekick over those of the base (paper Sec. 3.2); None where either is unknown."""
        own, other = self.cards[base].multiply_adds, self.cards[sidekick].multiply_adds
        return other / own if own and other is not None else None

    def digest(self, *keys: tuple[str, str]) -> str:
        """A digest of the named (model, split) logits, in that order: what a cache is keyed on."""
        parts = [
            f"{model}/{split}:{self.digests.get((model, split)) or tensor_digest(self.arrays[model, split])}"
            for model, split in keys
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def same_precision(known: str | None, asked: str | None) -> bool:
    """Whether logits in a set are in the precision that is asked for; what earlier versions wrote is taken for float32.

    >>> same_precision("float32", "bfloat16"), same_precision(None, "float32")
    (False, True)
    """
    return (known or "float32") == (asked or "float32")


def join_devices(names: Iterable[str | None]) -> str | None:
    """Names of processors as one text, each once; None where there is none.

    >>> join_devices(["H200", None, "A100; H200"])
    'A100; H200'
    """
    return "; ".join(sorted({part for name in names if name for part in name.split("; ")})) or None


def check_pair(base: str, sidekick: str) -> None:
    """Raise InputError for a model that is to be base and sidekick: it would pair with its copy."""
    if base == sidekick:
        raise InputError(f"expected two models, got '{base}' as base and as sidekick; name another")


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 of the tensor's bytes in memory order, dtype and shape included.

    >>> two, three = torch.zeros(2), torch.zeros(3)
    >>> tensor_digest(two) == tensor_digest(two.clone()), tensor_digest(two) == tensor_digest(three)
    (True, False)
    """
    digest = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
    digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()
