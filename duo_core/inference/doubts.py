"""Models whose answers look as if their classes were numbered in another order than the images' folders are."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch

from duo_core.images.splits import Split

if TYPE_CHECKING:
    from torch import Tensor

    from duo_core.logits import LogitSet

SURE = 3.0
"""Another order is named where it is right on more images by so many standard deviations of chance."""


def doubts(one: "LogitSet", models: Iterable[str], splits: Mapping[str, Split]) -> list[str]:
    """Return a sentence for each model that is right about as often as chance, or more often in another order of the classes.

    Corrupted splits are left out: there, chance may be all that is left.
    """
    plain = [name for name, split in splits.items() if split.corruption is None]
    found = []
    for model in models:
        predicted = [one.logits(model, split).argmax(1) for split in plain if (model, split) in one.arrays]
        labels = [(one.labels[split], splits[split]) for split in plain if (model, split) in one.arrays]
        if predicted:
            found.append(_doubt(model, one.k, torch.cat(predicted), labels))
    return [sentence for sentence in found if sentence]


def _doubt(model: str, k: int, predicted: "Tensor", labels: "list[tuple[Tensor, Split]]") -> str:
    right = predicted == torch.cat([own for own, _ in labels])
    n, accuracy, chance = len(right), right.double().mean().item(), 1 / k
    others = {order: predicted == torch.cat(_relabelled(order, labels)) for order in _shared_orders(labels)}
    better = {order: other.double().mean().item() for order, other in others.items() if _surely_more(other, right)}
    # Two standard deviations of an average over n images.
    if accuracy > chance and accuracy >= chance + 2 * math.sqrt(chance * (1 - chance) / n) and not better:
        return ""
    return f"'{model}' is right on {accuracy:.1%} of the {n:,} images, {chance:.1%} is chance; {_advice(better, labels)}"


def _advice(better: Mapping[str, float], labels: "list[tuple[Tensor, Split]]") -> str:
    """Say in which order the model is right more often, and how to ask for any."""
    sources = [split.source for _, split in labels]
    if any(source.order == "dataset" for source in sources):
        return "check that its classes are in the dataset's order, and its transform"
    used = "|".join(dict.fromkeys(source.order for source in sources))
    options = "|".join([*dict.fromkeys(order for source in sources for order in source.others), "FILE"])
    if better:
        best = max(better, key=lambda order: better[order])
        return (
            f"with the classes in {best} order it is right on {better[best]:.1%}: if it was trained so, compute it into a new set "
            f"with --class-index {best} (here: {used}; --class-index {options})"
        )
    return (
        f"were its classes in another order when it was trained (here: {used}; --class-index {options}), or its images "
        "transformed otherwise?"
    )


def _shared_orders(labels: "list[tuple[Tensor, Split]]") -> list[str]:
    first, *rest = [set(split.source.others) for _, split in labels]
    return sorted(first.intersection(*rest))


def _relabelled(order: str, labels: "list[tuple[Tensor, Split]]") -> "list[Tensor]":
    return [torch.tensor([split.source.others[order][label] for label in own.tolist()]) for own, split in labels]


def _surely_more(other: "Tensor", right: "Tensor") -> bool:
    """Whether an order is right more often, beyond what the images on which the two differ would give by chance."""
    gained, lost = int((other & ~right).sum()), int((right & ~other).sum())
    return gained - lost > SURE * math.sqrt(gained + lost)
