"""Run the duo of a folder on the logits of its two models: `python combine.py BASE.npy SIDEKICK.npy`; see README.md beside it."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


class Answer(NamedTuple):
    """What the duo says of n images."""

    logits: Array
    """(n, k), float64."""
    predicted: Array
    """Class by its number (n,)."""
    uncertainty: Array
    """(n,); larger is less sure."""
    abstain: Array | None
    """bool (n,): whether the uncertainty lies above the threshold; None where there is no threshold."""


class Duo:
    """The duo of a folder; `threshold` may be set to another uncertainty at any time, None for none."""

    def __init__(self, folder: Path | str = Path(__file__).parent) -> None:
        self.record = json.loads((Path(folder) / "duo.json").read_text(encoding="utf-8"))
        self.classes: list[str] = self.record["classes"]
        self.threshold: float | None = self.record["threshold"]

    def __call__(self, base: ArrayLike, sidekick: ArrayLike) -> Answer:
        """Answer from both models' logits (n, k), their columns in the order of `classes`."""
        base, sidekick = self._checked("base", base), self._checked("sidekick", sidekick)
        if len(base) != len(sidekick):
            raise ValueError(
                f"expected logits of the same images, got {len(base)} rows of the base and {len(sidekick)} of the sidekick"
            )
        logits = combined(base, sidekick, **self.record["temperatures"])
        predicted = (base if self.record["variant"] == "uq_only" else logits).argmax(1)
        uncertainty = doubt(logits, predicted) if self.record["uncertainty"] == "softmax" else entropy(logits)
        # Written so that an uncertainty that is no number abstains.
        abstain = None if self.threshold is None else ~(uncertainty <= self.threshold)
        return Answer(logits, predicted, uncertainty, abstain)

    def around(self, base: Callable[[Any], ArrayLike], sidekick: Callable[[Any], ArrayLike]) -> Callable[..., Answer]:
        """The duo of two models, given as functions from a batch to its logits: it takes a batch, or one for each of them."""

        def answer(batch: Any, of_sidekick: Any = None) -> Answer:
            return self(base(batch), sidekick(batch if of_sidekick is None else of_sidekick))

        return answer

    def _checked(self, role: str, logits: ArrayLike) -> Array:
        found, k = np.asarray(logits, np.float64), len(self.classes)
        if found.ndim != 2 or found.shape[1] != k:
            raise ValueError(f"expected the {role}'s logits as (n, {k}), a column for each class, got the shape {found.shape}")
        if not (found < np.inf).all():
            raise ValueError(f"expected the {role}'s logits as numbers, got NaN or infinity in row {_first(~(found < np.inf))}")
        return found


def _first(wrong: Array) -> int:
    return int(wrong.any(1).argmax())


def combined(base_logits: Array, sidekick_logits: Array, base: float, sidekick: float) -> Array:
    """Each model's logits times its temperature, added; a class that either masks with minus infinity stays masked."""
    masked = np.isneginf(base_logits) | np.isneginf(sidekick_logits)
    first, second = (np.where(masked, 0.0, logits) for logits in (base_logits, sidekick_logits))
    return np.where(masked, -np.inf, first * base + second * sidekick)


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
    """Print what the duo says of the images whose logits are in two files, one JSON object a line."""
    parser = argparse.ArgumentParser(
        description="Print what the duo says of images, given both models' logits, a JSON object a line."
    )
    parser.add_argument("base", type=Path, metavar="BASE.npy", help="the base's logits (n, k)")
    parser.add_argument("sidekick", type=Path, metavar="SIDEKICK.npy", help="the sidekick's logits of the same images")
    parser.add_argument("--threshold", type=float, metavar="U", help="abstain above this uncertainty; duo.json lists some")
    options = parser.parse_args()
    duo = Duo()
    if options.threshold is not None:
        duo.threshold = options.threshold
    for row in rows(duo, duo(*(np.load(file, allow_pickle=False) for file in (options.base, options.sidekick)))):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
