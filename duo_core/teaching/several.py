"""Steps 9 and 10 of the course: several small experts against one large, and pairs of experts that differ."""

import numpy as np
import pandas as pd

from duo_core.common.arrays import Booleans, Floats, Integers
from duo_core.teaching.experts import BASE, CLASSES, SEED, Expert, best_temperatures

SMALL = Expert(quality=1.4, boldness=1.4)
"""An honest expert who knows less than the large one."""
PRICE = 1 / 3
"""Of what the large one costs: three small ones cost as much."""
MOST = 6
"""Small experts in a team."""
PAIRS = 60
"""Made-up pairs of step 10."""
IMAGES = 4000


def _drawn(seed: int, experts: int) -> tuple[Integers, Floats, Floats]:
    """Labels (n,), noise that all experts share (n, classes), and their own (experts, n, classes)."""
    random = np.random.default_rng(seed)
    labels = random.integers(CLASSES, size=IMAGES)
    common, *own = random.standard_normal((experts + 1, IMAGES, CLASSES))
    return labels, common, np.array(own)


def teams(overlap: float, seed: int = SEED) -> pd.DataFrame:
    """Return what teams of small experts are worth beside a large one of the same overlap with them (step 9).

    Any two of them have noises of the correlation `overlap`. Honest experts of one quality count as much as each other.

    Returns
    -------
    DataFrame
        `m`, 1 to MOST; `cost`, in units of the large one's; `team` and `large`, accuracies.
    """
    labels, common, own = _drawn(seed, MOST + 1)
    noises = np.sqrt(overlap) * common + np.sqrt(1 - overlap) * own
    truth = np.eye(CLASSES)[labels]
    large = _right(BASE.quality * truth + noises[-1], labels)
    evidence = np.cumsum(SMALL.quality * truth + noises[:-1], axis=0)
    rows = [(m, m * PRICE, _right(evidence[m - 1], labels).mean(), large.mean()) for m in range(1, MOST + 1)]
    return pd.DataFrame(rows, columns=["m", "cost", "team", "large"])


def _right(logits: Floats, labels: Integers) -> Booleans:
    right: Booleans = logits.argmax(1) == labels
    return right


def pairs(seed: int = SEED) -> pd.DataFrame:
    """Return PAIRS pairs of the large expert with one of any quality and overlap (step 10).

    Returns
    -------
    DataFrame
        `error_inconsistency`, the share of images that exactly one gets right; `accuracy_gap`; `gain_over_mean` of the equal
        average of both, made honest, over the mean of their accuracies; and `gain_over_better`, of the duo at its best weights
        over its better member.
    """
    random = np.random.default_rng([seed, PAIRS])
    labels, base, others = _drawn(seed, PAIRS)
    truth = np.eye(CLASSES)[labels]
    evidence = BASE.quality * truth + base
    own = _right(evidence, labels)
    rows = []
    for noise in others:
        quality, overlap = BASE.quality * random.uniform(0.4, 1.0), random.uniform(0.0, 0.9)
        theirs = quality * truth + overlap * base + np.sqrt(1 - overlap**2) * noise
        weights = best_temperatures(Expert(BASE.quality, 1.0), Expert(quality, 1.0), overlap)
        other, equal = _right(theirs, labels), _right(BASE.quality * evidence + quality * theirs, labels)
        duo = _right(weights.base * evidence + weights.sidekick * theirs, labels)
        one, two = own.mean(), other.mean()
        rows.append(((own != other).mean(), abs(one - two), equal.mean() - (one + two) / 2, duo.mean() - max(one, two)))
    return pd.DataFrame(rows, columns=["error_inconsistency", "accuracy_gap", "gain_over_mean", "gain_over_better"])


def goes_with(table: pd.DataFrame, gap: float) -> tuple[float, int]:
    """Return how error inconsistency goes with the gain over the better member (Spearman) in pairs of at most that accuracy gap.

    With how many there are; NaN of fewer than three.
    """
    kept = table[table["accuracy_gap"] <= gap]
    rank = kept[["error_inconsistency", "gain_over_better"]].corr("spearman").iloc[0, 1] if len(kept) > 2 else np.nan
    return float(rank), len(kept)
