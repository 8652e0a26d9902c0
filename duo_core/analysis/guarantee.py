"""Thresholds on the uncertainty for a target risk: with a guarantee, and the plain empirical one beside it.

The guarantee is that of a fixed sequence of exact binomial tests: thresholds are tested from few answers upward, each at the full
level, and the first failure ends the search; what passed last is used. The first test is at the fewest answers that could pass
without an error, ceil(ln delta / ln(1 - r)) for a target risk r and a confidence of 1 - delta.

Why no correction is needed for testing many (fixed-sequence testing, Bauer 1991; in Learn then Test, Angelopoulos et al. 2021,
Sec. 3): to end at a threshold whose true risk exceeds the target, the search must have passed the first such threshold t, as
nothing is passed over. However many images lie up to t, their errors are binomial at a rate above the target, and so few of them
as a pass takes occur with a probability of at most delta. Where several images are tied they stand or fall together. The steps
are images of the sample, not thresholds fixed beforehand, nor is the place at which the search begins; that costs nothing, whether
or not the risk rises with the threshold: docs/decisions/0016-guaranteed-thresholds.md.

Selection with guaranteed risk (SGR; Geifman and El-Yaniv 2017, Algorithm 1) is there for comparison: a binary search for the
largest coverage, in which the error probability is shared out evenly among the at most ceil(log2 n) candidates that it looks at
(union bound).
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from duo_core.common.arrays import Floats, InputError, Integers, Predictions
from duo_core.metrics import TieBlocks, tie_blocks

CONFIDENCE = 0.95
ASSUMPTION = (
    "The guarantee asks for three things: the target was fixed beforehand, the fit split did not choose the models, and new images"
    " are exchangeable with those of the fit split, as if both had been drawn from one pool. On images from elsewhere the risk may"
    " lie above the target."
)
GUARANTEED = "sequence"
"""The method in force where a guarantee is asked for."""
METHODS = {GUARANTEED: "Guaranteed", "sgr": "Guaranteed (SGR)", "empirical": "Empirical"}
COLUMNS = ["target_risk", "method", "threshold", "coverage", "risk", "bound"]


def upper_bound(errors: ArrayLike, answered: ArrayLike, confidence: float = CONFIDENCE) -> Floats:
    """Upper bound of an error rate after so many errors in so many answers, exact binomial (Clopper and Pearson 1934).

    The rate at which so few errors would occur with probability 1 - confidence; 1 where all answers are wrong.

    >>> round(float(upper_bound(0, 100, 0.95)), 6) == round(1 - 0.05 ** (1 / 100), 6)
    True
    """
    errors, answered = np.asarray(errors), np.asarray(answered)
    with_right = np.maximum(answered - errors, 1)
    return np.where(errors < answered, betaincinv(errors + 1, with_right, confidence), 1.0)


def thresholds(predictions: Predictions, targets: Sequence[float], confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Largest coverage for each target risk by each of METHODS, chosen on the given predictions.

    What is answered are the images whose uncertainty is at most the threshold, so tied images come together.

    Parameters
    ----------
    predictions
        Of the fit split. The theorem asks for images that the model was not fitted on; a duo's two temperatures were, which moves
        the bound little.
    targets
        Risks in (0, 1).
    confidence
        Probability with which the bound holds, over the choice of the images, in (0, 1).

    Returns
    -------
    pandas.DataFrame
        COLUMNS, a row a target and method. `coverage` and `risk` are those of the given predictions; `bound` is what the risk on
        new images is guaranteed to stay within: the target itself by the fixed sequence, for SGR its own bound. Where no
        threshold reaches the target, the coverage is 0 and `threshold`, `risk` and `bound` are missing.
    """
    check_goals(targets, confidence)
    blocks = tie_blocks(predictions.correct, predictions.uncertainty)
    edges = np.sort(predictions.uncertainty)[blocks.ends - 1]
    goals = np.array(targets, dtype=float)
    sequence = np.array([_sequence(blocks, target, confidence) for target in goals], dtype=np.int64)
    halving, bounds = _halving(blocks, goals, confidence)
    chosen = np.stack([sequence, halving, _empirical(blocks, targets)], axis=1)
    found = chosen >= 0
    coverage = np.where(found, blocks.ends[chosen] / blocks.ends[-1], 0.0)
    risk = np.where(found, blocks.errors[chosen] / blocks.ends[chosen], np.nan)
    threshold = np.where(found, edges[chosen], np.nan)
    bound = np.stack([np.where(sequence >= 0, goals, np.nan), bounds, np.full(len(goals), np.nan)], axis=1)
    m = len(METHODS)
    columns = (np.repeat(targets, m), list(METHODS) * len(targets), *(a.ravel() for a in (threshold, coverage, risk, bound)))
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def applied(table: pd.DataFrame, predictions: Predictions) -> pd.DataFrame:
    """Coverage and risk of other predictions at the thresholds of a table: its rows, `coverage` and `risk` replaced.

    The risk is missing where nothing is answered.
    """
    blocks = tie_blocks(predictions.correct, predictions.uncertainty)
    edges = np.sort(predictions.uncertainty)[blocks.ends - 1]
    answered, errors = np.append(0, blocks.ends), np.append(0, blocks.errors)
    at = np.where(table["threshold"].isna(), 0, np.searchsorted(edges, table["threshold"], side="right"))
    risk = np.where(at > 0, errors[at] / np.maximum(answered[at], 1), np.nan)
    return table.assign(coverage=answered[at] / len(predictions), risk=risk)


def _sequence(blocks: TieBlocks, target: float, confidence: float) -> int:
    """The block up to which the fixed sequence of tests answers, -1 for none."""
    fewest = math.ceil(math.log(1 - confidence) / math.log1p(-target) - 1e-9)  # 1e-9: a whole number, rounded up by a last bit
    first = int(np.searchsorted(blocks.ends, fewest))
    passed = upper_bound(blocks.errors[first:], blocks.ends[first:], confidence) <= target * (1 + 1e-12)
    length = int(np.argmin(passed)) if not passed.all() else len(passed)
    return first + length - 1 if length else -1


def _halving(blocks: TieBlocks, targets: Floats, confidence: float) -> tuple[Integers, Floats]:
    """The block up to which SGR answers for each target, -1 for none, and its bound.

    The paper numbers images from the least sure one on and answers from image z on. It starts between 1 and n; here the search
    starts between 0 and n, so that with as many steps answering everything is a candidate, too. As in the paper, the search goes on
    to fewer answers where the bound exceeds the target, also where more answers would have met it: it may find too little, but what
    it finds is bounded.
    """
    n = int(blocks.ends[-1])
    steps = max(1, math.ceil(math.log2(n)))
    low, high = np.zeros(len(targets), dtype=np.int64), np.full(len(targets), n)
    chosen, bounds = np.full(len(targets), -1), np.full(len(targets), np.nan)
    for _ in range(steps):
        z = (low + high + 1) // 2
        block = np.searchsorted(blocks.ends, n - z + 1)
        bound = upper_bound(blocks.errors[block], blocks.ends[block], 1 - (1 - confidence) / steps)
        bounded = bound <= targets
        low, high = np.where(bounded, low, z), np.where(bounded, z, high)
        chosen, bounds = np.where(bounded, block, chosen), np.where(bounded, bound, bounds)
    return chosen, bounds


def _empirical(blocks: TieBlocks, targets: Sequence[float]) -> Integers:
    """The last block up to which the error rate is at most the target, -1 for none; counts are compared, not floats."""
    last = []
    for target in targets:
        exact = Fraction(str(target)).limit_denominator(10**12)
        within = np.flatnonzero(blocks.errors * exact.denominator <= exact.numerator * blocks.ends)
        last.append(within[-1] if len(within) else -1)
    return np.array(last, dtype=np.int64)


def check_goals(targets: Sequence[float], confidence: float) -> None:
    """Raise InputError for a target risk or a confidence that is not in (0, 1)."""
    for target in targets:
        _check_fraction("a target risk", target, "0.02 is 2 %")
    _check_fraction("a confidence", confidence, "0.95 is 95 %")


def _check_fraction(name: str, value: float, example: str) -> None:
    if not 0 < value < 1:
        raise InputError(f"expected {name} in (0, 1), got {value:g}; {example}")
