"""Paired bootstrap: how far a metric, or the difference of two systems in it, would move with other images.

Images are drawn with replacement, as many as there are, and every system is judged on the same draw (Efron and Tibshirani 1993,
Ch. 13: percentile intervals). The intervals cover which images were collected; the fitted temperatures and the trained models
stay as they are.

Two differences are not left to the bootstrap. Accuracy and macro F1 change with the images on which one is right and the other
wrong; where these are fewer than FEW, so that draws of them say little, the exact McNemar test decides. And a difference of ECEs
has no interval: sampling raises an ECE, the more the better calibrated a system is, so that percentiles miss the truth far too
often.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr

from duo_core.common.arrays import Booleans, Floats, InputError, Predictions, same_length
from duo_core.metrics import METRICS, metrics
from duo_core.metrics.bootstrap import metrics_on_draws

REPLICATES = 2000
LEVEL = 0.95
FEW = 10
"""Images on which one is right and the other wrong below which the exact test decides."""
EXACT = ("accuracy", "macro_f1")
"""Metrics that it decides on."""
UNBIASED = tuple(key for key in METRICS if key != "ece")
"""Metrics whose differences have an interval."""
UNDEFINED = 0.05
"""Share of draws in which a metric may be undefined (AUROC: no wrong image drawn) before its interval is undefined too."""


@dataclass(frozen=True)
class Interval:
    """A percentile interval of the bootstrap around what was measured."""

    estimate: float
    low: float
    high: float
    level: float = LEVEL
    """Share of the draws inside; the others lie half on either side."""
    replicates: int = REPLICATES
    seed: int = 0
    p_value: float | None = None
    """Of an exact test, where one decides instead of the draws."""

    @property
    def stands(self) -> bool:
        """Whether other images of the same kind would hardly turn the difference round: by the exact test, else 0 lies outside."""
        return not self.low <= 0 <= self.high if self.p_value is None else self.p_value <= 1 - self.level


def mcnemar(rescued: ArrayLike, harmed: ArrayLike) -> Floats:
    """How often two systems that are equally often right would part so unevenly on the images that one alone gets right, or more.

    Exact and two-sided (McNemar 1947): each of these images falls to either system like a coin.

    >>> mcnemar([4, 6, 0, 3], [0, 0, 0, 2]).tolist()
    [0.125, 0.03125, 1.0, 1.0]
    """
    rescued, harmed = np.asarray(rescued), np.asarray(harmed)
    chances: Floats = np.minimum(1.0, 2 * bdtr(np.minimum(rescued, harmed), rescued + harmed, 0.5))
    return chances


def differences(
    own: Predictions,
    other: Predictions,
    *,
    keys: Iterable[str] = tuple(METRICS),
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """Intervals of metric(own) - metric(other) on the same images by key; None where one is undefined, and for the ECE.

    Exchanging the two changes the signs and nothing else. The number of cores changes nothing.

    Parameters
    ----------
    own, other
        What two systems predict for the same images in the same order.
    keys
        Those of METRICS.
    replicates
        How many times the images are drawn.
    level
        Share of the draws inside, in (0, 1).
    seed
        Of the draws, in 0..2^64 - 1.

    Examples
    --------
    >>> labels, column = np.ones(100, int), np.zeros(100)
    >>> right = Predictions(labels, labels, column, column, column, column, column)
    >>> wrong = Predictions(labels, 0 * labels, column, column, column, column, column)
    >>> found = differences(right, wrong, keys=["accuracy"])["accuracy"]
    >>> found.low, found.high, found.stands
    (1.0, 1.0, True)
    """
    same_length(own=len(own), other=len(other))
    if (own.labels != other.labels).any():
        raise InputError(f"expected the same images twice, got labels that differ for {(own.labels != other.labels).sum()} of them")
    of_own, of_other = drawn([own, other], keys=keys, replicates=replicates, seed=seed)
    return between(of_own, of_other, level)


@dataclass(frozen=True)
class Drawn:
    """One system's metrics on every draw: half of what a difference takes, for whoever compares one system with many."""

    measured: Mapping[str, float | None]
    """By key, on all images."""
    values: Floats
    """(replicates, keys)."""
    seed: int
    correct: Booleans
    """(n,)."""


def drawn(systems: Sequence[Predictions], *, keys: Iterable[str], replicates: int = REPLICATES, seed: int = 0) -> list[Drawn]:
    """Judge systems of the same images on every draw; with the same keys and seed, others see the same draws another time."""
    keys = tuple(keys)
    values = metrics_on_draws(systems, keys, replicates, seed)
    return [Drawn(_measured(own, keys), of_own, seed, own.correct) for own, of_own in zip(systems, values, strict=True)]


def between(own: Drawn, other: Drawn, level: float = LEVEL) -> dict[str, Interval | None]:
    """What `differences` returns, from two systems drawn before with the same keys and seed."""
    estimates = {key: _difference(value, other.measured[key]) if key in UNBIASED else None for key, value in own.measured.items()}
    found = percentiles(estimates, own.values - other.values, level, own.seed)
    rescued, harmed = int((own.correct & ~other.correct).sum()), int((other.correct & ~own.correct).sum())
    exact = {key: gain for key in EXACT if (gain := found.get(key)) and rescued + harmed < FEW}
    return found | {key: replace(gain, p_value=float(mcnemar(rescued, harmed))) for key, gain in exact.items()}


def _measured(predictions: Predictions, keys: Iterable[str]) -> dict[str, float | None]:
    found = metrics(predictions)
    return {key: found[key] for key in keys}


def values(
    predictions: Predictions,
    *,
    keys: Iterable[str] = tuple(METRICS),
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """Intervals of one system's metrics by key; None where one is undefined. Parameters as for `differences`.

    There is none for the ECE: sampling alone raises it, in a draw of a sample once more, so that the percentiles would lie above
    the truth.
    """
    keys = tuple(keys)
    measured = {**metrics(predictions), "ece": None}
    of_own = metrics_on_draws([predictions], keys, replicates, seed)[0]
    return percentiles({key: measured[key] for key in keys}, of_own, level, seed)


def _difference(own: float | None, other: float | None) -> float | None:
    return None if own is None or other is None else own - other


def percentiles(
    estimates: Mapping[str, float | None], drawn: Floats, level: float = LEVEL, seed: int = 0
) -> dict[str, Interval | None]:
    """Intervals of numbers by key from their values on draws (replicates, keys); None where one is undefined.

    A draw in which a number is undefined, NaN, is left out; where these are more than UNDEFINED of all, so is the interval.
    """
    if not 0 < level < 1:
        raise InputError(f"level must be a share of the draws in (0, 1), but got {level}")
    found: dict[str, Interval | None] = dict.fromkeys(estimates)
    for (key, estimate), column in zip(estimates.items(), drawn.T, strict=True):
        defined = column[~np.isnan(column)]
        if estimate is not None and len(defined) >= (1 - UNDEFINED) * len(column):
            low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
            found[key] = Interval(estimate, float(low), float(high), level, len(column), seed)
    return found
