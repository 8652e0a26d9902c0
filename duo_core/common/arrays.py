"""Array types, the letters n k m, Predictions, and the checks that lengths agree.

n counts images, k classes, m models. Left of ``predictions`` data are torch tensors (n, k); right of it they are
numpy arrays (n,).
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
UncertaintyKind = Literal["softmax", "entropy"]
KINDS: tuple[UncertaintyKind, ...] = get_args(UncertaintyKind)


class InputError(ValueError):
    """Input that the user can mend; the message is one sentence: expected, got, where, what to do."""


@dataclass(frozen=True)
class Predictions:
    """What is kept of a logit array (n, k) once it has been read: a few numbers an image.

    Every array has shape (n,). Probabilities are those of the softmax of the combined logits.
    """

    labels: Integers
    """True class, 0..k-1."""
    predicted: Integers
    """Predicted class, 0..k-1; of tied logits the lowest."""
    confidence: Floats
    """Probability of the predicted class."""
    doubt: Floats
    """1 - confidence, summed from the other classes so that it does not saturate at 0."""
    entropy: Floats
    """Entropy of the distribution, nats."""
    nll: Floats
    """Negative log-likelihood of the label, nats."""
    brier: Floats
    """Sum over classes of (p - onehot)^2, in [0, 2]."""
    kind: UncertaintyKind = "softmax"
    """Which of `doubt` and `entropy` ranks the images."""

    def __post_init__(self) -> None:
        lengths = {
            name: len(getattr(self, name)) for name in ("labels", "predicted", "confidence", "doubt", "entropy", "nll", "brier")
        }
        same_length(**lengths)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def correct(self) -> Booleans:
        """Whether the predicted class is the label, (n,)."""
        return np.asarray(self.predicted == self.labels)

    @property
    def uncertainty(self) -> Floats:
        """The score that ranks the images, larger is less sure, (n,)."""
        return self.doubt if self.kind == "softmax" else self.entropy

    def ranked_by(self, kind: UncertaintyKind) -> "Predictions":
        """Return the same predictions with `uncertainty` read from the given score."""
        return replace(self, kind=kind)

    def take(self, rows: NDArray[Any]) -> "Predictions":
        """Return the predictions of the given rows (indices or a mask), in their order."""
        arrays = {
            name: getattr(self, name)[rows] for name in ("labels", "predicted", "confidence", "doubt", "entropy", "nll", "brier")
        }
        return Predictions(**arrays, kind=self.kind)


def same_length(**lengths: int) -> None:
    """Raise InputError unless all given lengths are equal.

    >>> same_length(labels=3, logits=3)
    >>> same_length(labels=3, logits=4)
    Traceback (most recent call last):
    duo_core.common.arrays.InputError: expected arrays of one length, got labels 3, logits 4
    """
    if len(set(lengths.values())) > 1:
        raise InputError("expected arrays of one length, got " + ", ".join(f"{k} {v}" for k, v in lengths.items()))
