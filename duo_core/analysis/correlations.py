"""How what makes two models different goes with what they gain together, over all pairs of a set."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from duo_core.analysis.diversity import GAINS, MEASURES, Diversity
from duo_core.common.arrays import Floats
from duo_core.metrics.intervals import Interval, percentiles


@dataclass(frozen=True)
class Correlation:
    """How the order of the pairs by one column follows that by another."""

    measure: str
    gain: str
    rank: float | None
    """Spearman's; None where one column is constant."""
    given_gap: float | None
    """The partial one: of what the accuracy gap does not say of either; None where it says all of one."""
    interval: Interval | None = None
    interval_given_gap: Interval | None = None
    """With other images; the pairs stay the same."""
    pairs: int = 0
    """Of how many: those for which all three columns are defined."""


def correlations(found: Diversity) -> list[Correlation]:
    """Return how each of MEASURES goes with each of GAINS over the pairs, by itself and given the accuracy gap.

    Error inconsistency follows the accuracy gap, so that over uneven models what goes with the gain over the mean may go against
    the gain over the better member.
    """
    return [_correlation(found, measure, gain) for measure in MEASURES for gain in GAINS]


def _correlation(found: Diversity, measure: str, gain: str) -> Correlation:
    keys = (measure, gain, "accuracy_gap")
    columns = [found.table[key].to_numpy() for key in keys]
    kept = ~np.isnan(columns).any(axis=0)
    measured = _ranked(*(column[kept] for column in columns)) if kept.any() else (np.array(np.nan),) * 2
    estimates = {key: None if np.isnan(value) else float(value) for key, value in zip(("rank", "given"), measured, strict=True)}
    intervals: Mapping[str, Interval | None] = dict.fromkeys(estimates)
    if found.draws is not None and kept.any():
        drawn = _ranked(*(found.draws.values[key][:, kept] for key in keys))
        intervals = percentiles(estimates, np.stack(drawn, axis=-1), seed=found.draws.seed)
    return Correlation(measure, gain, estimates["rank"], estimates["given"], intervals["rank"], intervals["given"], int(kept.sum()))


def _ranked(one: Floats, other: Floats, given: Floats) -> tuple[Floats, Floats]:
    """Spearman's correlation of the pairs in the last axis, and the partial one given a third column; NaN where undefined."""
    from scipy.stats import rankdata

    x, y, z = (rankdata(column, axis=-1) for column in (one, other, given))
    plain = pearson(x, y)
    undefined = np.isnan([one, other, given]).any(axis=(0, -1))  # of a draw that leaves a pair undefined
    found = [np.where(undefined, np.nan, value) for value in (plain, partial(plain, pearson(x, z), pearson(y, z)))]
    return found[0], found[1]


def pearson(one: Floats, other: Floats) -> Floats:
    """Correlation along the last axis; NaN where a column is constant.

    >>> pearson(np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]]), np.array([6.0, 4.0, 2.0])).tolist()
    [-1.0, nan]
    """
    one, other = (column - column.mean(axis=-1, keepdims=True) for column in (one, other))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = (one * other).sum(-1) / np.sqrt((one * one).sum(-1) * (other * other).sum(-1))
    return np.clip(found, -1, 1)


def partial(plain: Floats, own: Floats, others: Floats) -> Floats:
    """Correlation of two columns given a third, from the three correlations: of the two, and of either with the third.

    A third one that is constant explains nothing; where it says all of one column, nothing is left to correlate: NaN.

    >>> partial(np.array([0.5, 0.5, 0.5]), np.array([0.6, np.nan, 1.0]), np.array([0.8, np.nan, 0.5])).round(6).tolist()
    [0.041667, 0.5, nan]
    """
    own, others = np.nan_to_num(own), np.nan_to_num(others)
    left = (1 - own**2) * (1 - others**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(left < 1e-12, np.nan, (plain - own * others) / np.sqrt(left))
    return np.clip(found, -1, 1)
