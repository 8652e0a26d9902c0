"""How good weights are on validation images: counted, so that equal is equal, with the NLL to break ties."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from torch import Tensor
from torch.nn import functional

from duo_core.metrics.definitions import macro_f1

Metric = Literal["accuracy", "macro_f1"]
METRICS: tuple[Metric, ...] = get_args(Metric)


@dataclass(frozen=True)
class Score:
    """What is known of a model on the validation images; the higher `value`, or of equal ones the lower NLL, is better."""

    metric: Metric
    right: int
    """Images whose predicted class is the label."""
    n: int
    nll: float
    """Mean negative log-likelihood of the labels, nats."""
    macro_f1: float
    """Mean F1 of the classes that are among labels or predictions."""

    @property
    def value(self) -> float:
        """The metric that models are chosen by, in [0, 1]."""
        return self.right / self.n if self.metric == "accuracy" else self.macro_f1

    @property
    def loss(self) -> tuple[float, float]:
        """What is lower for a better model: images that are wrong (counts, not fractions) or 1 - F1, then the NLL.

        >>> Score("accuracy", right=9, n=10, nll=0.5, macro_f1=0.9).loss
        (1, 0.5)
        """
        return (self.n - self.right if self.metric == "accuracy" else -self.macro_f1), self.nll

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON holds it."""
        return asdict(self)


def score(logits: Tensor, labels: Tensor, metric: Metric) -> Score:
    """Score logits (n, k) against labels (n,); of tied logits the lowest class is predicted. NaN has an infinite NLL.

    >>> score(Tensor([[2.0, 0.0], [0.0, 2.0]]), Tensor([0, 0]).long(), "accuracy").right
    1
    """
    values = logits.double()
    nll = functional.cross_entropy(values, labels).item()
    predicted = values.argmax(1)
    return Score(
        metric=metric,
        right=int((predicted == labels).sum()),
        n=len(labels),
        nll=nll if math.isfinite(nll) else math.inf,
        macro_f1=macro_f1(labels.numpy(), predicted.numpy()),
    )
