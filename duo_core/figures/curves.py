"""Risk-coverage curves of several predictions at common coverages, thinned to what a screen can show."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from duo_core.common.arrays import Floats, InputError, Predictions, same_length
from duo_core.metrics import loops, selective_risks, tie_blocks

POINTS = 400
TOLERANCE = 1e-5
FIRST_COVERAGE = 0.01
"""Curves begin here: at smaller coverages a handful of images decide and the curve only jumps."""


@dataclass(frozen=True)
class Curves:
    """Risk-coverage curves and how far the lines between their points may lie from the truth."""

    table: pd.DataFrame
    """`coverage` and a column of selective risk for each prediction, both fractions; every value is exact."""
    error: float
    """Largest distance of a straight line between neighbouring points from the risk of any coverage between, any curve."""


def risk_coverage(predictions: Mapping[str, Predictions], *, oracle_of: str | None = None, points: int = POINTS) -> Curves:
    """Return the selective risks of all predictions at the same, at most `points`, coverages.

    Every point is one of the n values that `metrics.selective_risks` returns, so ends of tie blocks are exact; the points are
    those that a straight line misses most. A curve of which no image is wrong or unsure needs two.

    Parameters
    ----------
    predictions
        By name, all of the same n images.
    oracle_of
        Adds a column `oracle`: the risk if that prediction's wrong images were all ranked last.
    points
        At least 2.
    """
    if points < 2:
        raise InputError(f"expected at least 2 points a curve, got {points}")
    same_length(**{name: len(p) for name, p in predictions.items()})
    risks = {name: selective_risks(tie_blocks(p.correct, p.uncertainty)) for name, p in predictions.items()}
    if oracle_of is not None:
        risks["oracle"] = oracle_risks(predictions[oracle_of])
    n = len(next(iter(risks.values())))
    start = min(n, int(np.ceil(n * FIRST_COVERAGE))) - 1
    kept, error = loops.thinned(np.stack(list(risks.values()))[:, start:], points, TOLERANCE)
    kept = kept + start
    return Curves(pd.DataFrame({"coverage": (kept + 1) / n, **{name: risk[kept] for name, risk in risks.items()}}), error)


def parting(table: pd.DataFrame, *, of: str = "base", share: float = 0.05, latest: float = 0.8) -> float:
    """Return the coverage at which curves part enough to be told apart, rounded down to a twentieth.

    That is where `of` has a twentieth of its error at full coverage: before, all lie on the axis.

    >>> parting(pd.DataFrame({"coverage": [0.2, 0.4, 0.6, 1.0], "base": [0.0, 0.0, 0.01, 0.1]}))
    0.4
    """
    risk = table[of].to_numpy()
    small = table["coverage"].to_numpy()[risk <= share * risk[-1]]
    return float(np.floor(20 * min(small.max(initial=0.0), latest) + 1e-9) / 20)


def oracle_risks(predictions: Predictions) -> Floats:
    """Selective risks, (n,), if every right image were ranked before every wrong one: no ranking does better."""
    covered = np.arange(1, len(predictions) + 1)
    return np.asarray(np.maximum(covered - predictions.correct.sum(), 0) / covered)


def risk_at(predictions: Predictions, coverage: float) -> float:
    """Selective risk of the share `coverage` of the images (at least one image) that are surest; ties share their errors evenly."""
    if not 0 <= coverage <= 1:
        raise InputError(f"coverage must be a fraction in [0, 1], but got {coverage}")
    n = len(predictions)
    kept = min(n, max(1, round(coverage * n)))
    return float(selective_risks(tie_blocks(predictions.correct, predictions.uncertainty))[kept - 1])
