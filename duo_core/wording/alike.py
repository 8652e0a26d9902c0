"""What is said of how different models are, and of whether that pays."""

from collections.abc import Iterable

from duo_core.analysis.correlations import Correlation
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
        f"over {better.pairs} pairs (Spearman) {label} goes with the equal pair's gain over the mean of its members at "
        f"{_number(mean.rank, mean.interval)}, with the duo's gain over its better member at "
        f"{_number(better.rank, better.interval)}",
        f"of equally large accuracy gaps (partial): at {_number(mean.given_gap, mean.interval_given_gap)} and at "
        f"{_number(better.given_gap, better.interval_given_gap)}; {_verdict(better)}",
    ]


def _number(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "undefined"
    return f"{value:+.2f}" + (f" ({interval.low:+.2f} to {interval.high:+.2f})" if interval else "")


def _verdict(better: Correlation) -> str:
    gap = "where the accuracy gap is the same"
    if better.interval_given_gap is None or not better.interval_given_gap.stands:
        return f"{gap}, other images might have it that models that differ more gain more over the better one, or less"
    return f"{gap}, models that differ more gain {'more' if better.interval_given_gap.low > 0 else 'less'} over the better one"
