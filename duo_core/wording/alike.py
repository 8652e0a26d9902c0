"""What is said of how different models are, and of whether that pays."""

from collections.abc import Iterable, Sequence

import pandas as pd

from duo_core.analysis.correlations import Correlation
from duo_core.common.numbers import number, percent
from duo_core.metrics.intervals import Interval

LABELS = {
    "first": "first",
    "second": "second",
    "accuracy_first": "accuracy",
    "accuracy_second": "of second",
    "error_inconsistency": "error inconsistency",
    "kappa": "kappa",
    "disagreement": "disagreement",
    "phi": "phi",
    "jensen_shannon": "Jensen-Shannon",
    "conversion": "conversion",
}
"""Headings by column."""

ALIKE = ("kappa", "phi")
"""Measures that are high where two models err alike; the others are high where they differ."""
FEW_PAIRS = 10
"""Fewer say nothing of what goes with what."""


def of_difference(found: Iterable[Correlation], measure: str = "error_inconsistency") -> list[str]:
    """Return what the pairs say of a measure and their gains, in sentences; of gains over the better member given the gap alone.

    Models that differ more are often further apart in accuracy, so that over uneven ones the plain correlation misleads.
    """
    by_gain = {one.gain: one for one in found if one.measure == measure}
    mean, better, label = by_gain["gain_over_mean"], by_gain["gain_over_better"], LABELS[measure]
    if better.pairs < FEW_PAIRS or mean.rank is None or better.rank is None:
        return [f"{better.pairs} pairs are too few, or too much alike, to say what {label} goes with"]
    return [
        f"over {better.pairs} pairs, the rank correlation of {label} with the equal pair's gain over the mean of its members is "
        f"{_number(mean.rank, mean.interval)}, and with the duo's gain over its better member "
        f"{_number(better.rank, better.interval)}",
        f"among pairs of the same accuracy gap (partial correlation) these are {_number(mean.given_gap, mean.interval_given_gap)} "
        f"and {_number(better.given_gap, better.interval_given_gap)}: {_verdict(better)}",
    ]


def _number(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "undefined"
    text, *ends = (number(each, 2, sign=True) for each in (value, *((interval.low, interval.high) if interval else ())))
    return f"{text} ({' to '.join(ends)})" if ends else text


def _verdict(better: Correlation) -> str:
    if better.interval_given_gap is None or not better.interval_given_gap.stands:
        return "it is not clear whether models that differ more gain more over the better one"
    more = (better.interval_given_gap.low > 0) != (better.measure in ALIKE)
    return f"models that differ more gain {'more' if more else 'less'} over the better one"


MEANING = (
    "Error inconsistency: the share of images that exactly one of the two models gets right. Kappa: how much more often "
    "both are right or both wrong than by chance; 1 where they always agree, 0 as by chance. Jensen-Shannon: the mean distance "
    "between their calibrated probabilities."
)
GAINED_MEAN = (
    "Over the better member: accuracy of the duo, whose weights are fitted, less that of the more accurate model. Over the mean: "
    "accuracy of the pair with equal weights less the mean of both accuracies."
)
GAP = (
    "Colour: the gap in accuracy between the two models. Models of unequal accuracy always differ, yet the weaker one adds little "
    "to the better: so compare points of one colour."
)
CATEGORIES_MEAN = (
    "What differs between the trainings of two models, as far as the set says: seed, settings, architecture, method or data."
)


def one_category(there: Sequence[str]) -> str:
    """What the cards say where all pairs are of one category."""
    return f"As far as the set says, all pairs differ in the same way: {there[0] if there else 'there are none'}."


def correlation_table(found: Iterable[Correlation]) -> pd.DataFrame:
    """Every correlation in words, a row a measure and gain."""
    return pd.DataFrame(
        {
            "Measure": LABELS[one.measure],
            "Gain": GAIN_NAMES[one.gain],
            "Spearman": _number(one.rank, one.interval),
            "Given the accuracy gap": _number(one.given_gap, one.interval_given_gap),
            "Pairs": one.pairs,
        }
        for one in found
    )


GAIN_NAMES = {"gain_over_mean": "equal pair over the mean", "gain_over_better": "duo over the better"}


def correlations_caption(drawn: bool, pairs: int) -> str:
    """How the correlations came about."""
    said = "Rank correlations (Spearman) over pairs. The second is partial: what the accuracy gap explains is taken out of both. "
    if not drawn:
        return f"{said}With {pairs:,} pairs, intervals are not computed."
    return f"{said}In brackets: 95 % intervals for other images of this kind; they do not cover other models."


def alone(one: str, other: str, first: int, second: int, images: int) -> str:
    """How many images each of two models alone gets right.

    >>> alone("a", "b", 12, 5, 100)
    'Of 100 images, **12** are right with a only and **5** with b only. Always choosing the right one of the two would gain those \
**5** over a alone.'
    """
    better, gained = (one, second) if first >= second else (other, first)
    return (
        f"Of {images:,} images, **{first:,}** are right with {one} only and **{second:,}** with {other} only. Always choosing the "
        f"right one of the two would gain those **{gained:,}** over {better} alone."
    )


def class_table(classes: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """What each is good at by class."""
    shares = {f"Only {name}": classes[f"{place}_alone"].map(percent) for name, place in ((one, "first"), (other, "second"))}
    balance = [percent(value, sign=True) for value in classes["specialisation"]]
    return pd.DataFrame({"Class": classes["name"], "Images": classes["images"], **shares, "Difference": balance})
