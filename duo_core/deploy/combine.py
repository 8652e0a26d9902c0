"""Run the duo of a folder on the logits of its models: `python combine.py LOGITS.npy ...`; see README.md beside it."""

import argparse
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


class Answer(NamedTuple):
    """What the duo says of n images."""

    logits: Array
    """What the models say together (n, k), float64; logarithms of probabilities where those are averaged."""
    predicted: Array
    """Class by its number (n,)."""
    uncertainty: Array
    """(n,); larger is less sure."""
    abstain: Array | None
    """bool (n,): whether the uncertainty lies above the threshold; None where there is no threshold."""


class Duo:
    """The models of a folder as one; `threshold` may be set to another uncertainty at any time, None for none."""

    def __init__(self, folder: Path | str = Path(__file__).parent) -> None:
        self.record = json.loads((Path(folder) / "duo.json").read_text(encoding="utf-8"))
        self.classes: list[str] = self.record["classes"]
        self.threshold: float | None = self.record["threshold"]
        self.names: list[str] = [model["name"] for model in self.record["members"]]

    def __call__(self, *logits: ArrayLike) -> Answer:
        """Answer from the logits (n, k) of each model of `names`, their columns in the order of `classes`."""
        names, says = self.names, self.record["says"]
        if len(logits) != len(names):
            raise ValueError(f"expected the logits of {len(names)} models ({', '.join(names)}), got {len(logits)} arrays")
        found = [self._checked(name, own) for name, own in zip(names, logits, strict=True)]
        for name, own in zip(names, found, strict=True):
            if len(own) != len(found[0]):
                raise ValueError(
                    f"expected logits of the same images, got {len(found[0])} rows of '{names[0]}' and {len(own)} of '{name}'"
                )
        together = self._together(found)
        says = 0 if len(names) == 1 else says
        predicted = (together if says is None else found[says]).argmax(1)
        if self.record["temperature"] is not None:
            together = _times(together, self.record["temperature"])
        uncertainty = doubt(together, predicted) if self.record["uncertainty"] == "softmax" else entropy(together)
        # Written so that an uncertainty that is no number abstains.
        abstain = None if self.threshold is None else ~(uncertainty <= self.threshold)
        return Answer(together, predicted, uncertainty, abstain)

    def around(self, *models: Callable[[Any], ArrayLike]) -> Callable[..., Answer]:
        """The same of models, given as functions from a batch to its logits: it takes a batch, or one for each of them."""

        def answer(*batches: Any) -> Answer:
            given = batches * len(models) if len(batches) == 1 else batches
            return self(*(model(batch) for model, batch in zip(models, given, strict=True)))

        return answer

    def _together(self, logits: Sequence[Array]) -> Array:
        """Sums are taken in the order of the names, so that the models' order changes no bit."""
        order = sorted(range(len(logits)), key=lambda place: self.names[place])
        weights = [self.record["members"][place]["weight"] for place in order]
        pooled = self.record["rule"] == "probabilities" and len(logits) > 1
        return (mean_of_softmaxes if pooled else weighted_sum)([logits[place] for place in order], weights)

    def _checked(self, name: str, logits: ArrayLike) -> Array:
        found, k = np.asarray(logits, np.float64), len(self.classes)
        if found.ndim != 2 or found.shape[1] != k:
            raise ValueError(f"expected the logits of '{name}' as (n, {k}), a column for each class, got the shape {found.shape}")
        if not (found < np.inf).all():
            raise ValueError(f"expected the logits of '{name}' as numbers, got NaN or infinity in row {_first(~(found < np.inf))}")
        return found


def _first(wrong: Array) -> int:
    return int(wrong.any(1).argmax())


def weighted_sum(logits: Sequence[Array], weights: Sequence[float]) -> Array:
    """Each model's logits times its weight, added; a class that one masks with minus infinity stays masked."""
    masked = _masked(logits)
    parts = [np.where(masked, 0.0, own) * weight for own, weight in zip(logits, weights, strict=True)]
    return np.where(masked, -np.inf, functools.reduce(np.add, parts))


def mean_of_softmaxes(logits: Sequence[Array], weights: Sequence[float]) -> Array:
    """The logarithm of the mean of the softmaxes of weighted logits; a class that one masks is left out of all."""
    masked = _masked(logits)
    parts = [weighted_sum([np.where(masked, -np.inf, own)], [weight]) for own, weight in zip(logits, weights, strict=True)]
    alone = [part - part.max(1, keepdims=True) - np.log(_exponentials(part).sum(1, keepdims=True)) for part in parts]
    return np.asarray(functools.reduce(np.logaddexp, alone) - np.log(len(alone)))


def _masked(logits: Sequence[Array]) -> Array:
    return np.asarray(functools.reduce(np.logical_or, (np.isneginf(own) for own in logits)))


def _times(logits: Array, temperature: float) -> Array:
    return np.where(np.isneginf(logits), -np.inf, np.where(np.isneginf(logits), 0.0, logits) * temperature)


def doubt(logits: Array, classes: Array) -> Array:
    """1 - softmax at the given classes (n,), summed from the other classes so that it does not saturate at 0."""
    exponentials = _exponentials(logits)
    return np.asarray(_others(exponentials, classes) / exponentials.sum(1))


def entropy(logits: Array) -> Array:
    """Entropy of the softmax (n,), in nats."""
    exponentials = _exponentials(logits)
    rest = _others(exponentials, logits.argmax(1))
    with np.errstate(divide="ignore", invalid="ignore"):
        weighted = np.where(exponentials > 0, exponentials * np.log(exponentials), 0.0)
    return np.asarray(np.log1p(rest) - weighted.sum(1) / (1 + rest))


def _exponentials(logits: Array) -> Array:
    return np.asarray(np.exp(logits - logits.max(1, keepdims=True)))


def _others(values: Array, classes: Array) -> Array:
    return np.asarray(np.where(np.arange(values.shape[1]) == classes[:, None], 0.0, values).sum(1))


def rows(duo: Duo, answer: Answer) -> Iterator[dict[str, Any]]:
    """What the duo says of each image, by its row."""
    for row, predicted in enumerate(answer.predicted):
        yield {
            "row": row,
            "class": duo.classes[int(predicted)],
            "uncertainty": float(answer.uncertainty[row]),
            "abstain": None if answer.abstain is None else bool(answer.abstain[row]),
        }


def main() -> None:
    """Print what the duo says of the images whose logits are in files, one JSON object a line."""
    parser = argparse.ArgumentParser(
        description="Print what the duo says of images whose logits are given, one JSON object a line."
    )
    parser.add_argument("logits", nargs="+", type=Path, metavar="LOGITS.npy", help="(n, k) of each model, as duo.json lists them")
    parser.add_argument("--threshold", type=float, metavar="U", help="abstain above this uncertainty; duo.json lists some")
    options = parser.parse_args()
    try:
        duo = Duo()
        if options.threshold is not None:
            duo.threshold = options.threshold
        answer = duo(*(np.load(file, allow_pickle=False) for file in options.logits))
    except (ValueError, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    for row in rows(duo, answer):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
