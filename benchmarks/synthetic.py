"""Synthetic logits of many models on the same images, at any size, with accuracies as ImageNet models have them.

A model's logits are noise of unit variance for every image and class, three tenths of that variance common to all models; the
label stands out by the model's strength plus how easy the image is (deviation 2.5, common to all models) plus how easy it is for
this model (deviation 2); one wrong class that all models like and one that this one likes stand out by the size of a normal number
of deviation 3. Strengths run from 7.5 down to 6. With a thousand classes that gives accuracies from 0.83 to 0.70 and AUROC from
0.88 to 0.84; the duo's class is neither model's own for 4 in 100 images.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from duo_core.logits import FIT_SPLIT, Card, LogitSet
from duo_core.logits.store import Store

WEAKEST, STRONGEST = 6.0, 7.5


def labels_of(n: int, k: int, seed: int) -> Tensor:
    return torch.randint(k, (n,), generator=torch.Generator().manual_seed(seed))


def models(m: int, labels: Tensor, k: int, seed: int) -> Iterator[Tensor]:
    """Logits (n, k), float32, of m models, strongest first."""
    n, rows = len(labels), torch.arange(len(labels))
    shared = torch.Generator().manual_seed(seed)
    ease = 2.5 * torch.randn(n, generator=shared)
    common = torch.randn(n, k, generator=shared)
    rivals = _rivals(n, k, shared)
    for i in range(m):
        own = torch.Generator().manual_seed(seed + 1 + i)
        logits = torch.randn(n, k, generator=own).mul_(0.7**0.5).add_(common, alpha=0.3**0.5)
        for classes, liking in (rivals, _rivals(n, k, own)):
            logits[rows, classes] += liking
        logits[rows, labels] += STRONGEST - (STRONGEST - WEAKEST) * i / max(1, m - 1) + ease + 2 * torch.randn(n, generator=own)
        yield logits


def _rivals(n: int, k: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return torch.randint(0, k, (n,), generator=generator), 3 * torch.randn(n, generator=generator).abs()


def names(m: int) -> list[str]:
    return [f"model{i:02d}" for i in range(m)]


def cards(m: int) -> dict[str, Card]:
    """Costs fall by a tenth from model to model."""
    return {
        name: Card(name, f"synthetic/{name}", "synthetic", multiply_adds=int(2e10 * 0.9**i), parameters=int(1e8 * 0.9**i))
        for i, name in enumerate(names(m))
    }


def logit_set(m: int, *, n: int, n_fit: int, k: int, seed: int = 0) -> LogitSet:
    """A set in memory."""
    labels = {FIT_SPLIT: labels_of(n_fit, k, seed), "test": labels_of(n, k, seed + 1)}
    arrays = {
        (name, split): logits
        for split, y in labels.items()
        for name, logits in zip(names(m), models(m, y, k, seed + 1000 * len(y)), strict=True)
    }
    return LogitSet("synthetic", "Synthetic", tuple(map(str, range(k))), labels, cards(m), arrays)


def stored(path: Path, m: int, *, n: int, n_fit: int, k: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> LogitSet:
    """A set on disk, mapped into memory as any other; made where it is not there yet."""
    store, name = Store(path), f"synthetic-{m}x{n}x{k}"
    if name not in store.names():
        labels: Mapping[str, Tensor] = {FIT_SPLIT: labels_of(n_fit, k, seed), "test": labels_of(n, k, seed + 1)}
        store.prepare(name, title="Synthetic", classes=[str(i) for i in range(k)], labels=labels)
        known = cards(m)
        splits = [models(m, y, k, seed + 1000 * len(y)) for y in labels.values()]
        for model, logits in zip(names(m), zip(*splits, strict=True), strict=True):
            store.write_model(name, known[model], {s: x.to(dtype) for s, x in zip(labels, logits, strict=True)})
    return store.open(name)
