"""Metrics on 1-D arrays, and METRICS: the one table of key, label, direction and function.

Accuracy, errors and coverage are fractions in [0, 1]. Ranking metrics see images only through blocks of equal uncertainty, so
the order of the images never matters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from duo_core.arrays import Booleans, Floats, InputError, Integers, Predictions, same_length

ECE_BINS = 15
SAC_TARGET = 0.98


@dataclass(frozen=True)
class TieBlocks:
    """Blocks of equal uncertainty, surest first: images, and wrong ones among them, up to each block's end."""

    ends: Integers
    """Images up to the end of each block, (b,), the last one n."""
    errors: Integers
    """Wrong ones among them, (b,)."""


def tie_blocks(correct: Booleans, uncertainty: Floats) -> TieBlocks:
    """Sort by uncertainty and gather ties.

    >>> tie_blocks(np.array([True, False, True]), np.array([0.2, 0.2, 0.1]))
    TieBlocks(ends=array([1, 3]), errors=array([0, 1]))
    """
    same_length(correct=len(correct), uncertainty=len(uncertainty))
    if not len(correct):
        raise InputError("expected at least one image, got none")
    if np.isnan(uncertainty).any():
        raise InputError(f"expected uncertainties that are numbers, got NaN for {np.isnan(uncertainty).sum()} images")
    order = np.argsort(uncertainty)
    ranked = uncertainty[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1) + 1
    return TieBlocks(ends, np.cumsum(~correct[order])[ends - 1])


def accuracy(correct: Booleans) -> float:
    """Fraction of images whose predicted class is the label.

    >>> accuracy(np.array([True, True, False, True]))
    0.75
    """
    return float(np.mean(correct))


def macro_f1(labels: Integers, predicted: Integers) -> float:
    """Mean F1 over the classes that occur among labels or predictions (scikit-learn's `f1_score(average="macro")`).

    >>> macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]))
    0.6666666666666666
    """
    hits, sums = _f1_counts(labels, predicted)
    return float(np.mean(2 * hits[sums > 0] / sums[sums > 0]))


def macro_f1_wilds(labels: Integers, predicted: Integers) -> float:
    """Mean F1 over the classes that occur among the labels alone, as WILDS reports it for iWildCam.

    >>> macro_f1_wilds(np.array([0, 0, 0]), np.array([0, 0, 1]))
    0.8
    """
    hits, sums = _f1_counts(labels, predicted)
    true = np.bincount(labels, minlength=len(sums)) > 0
    return float(np.mean(2 * hits[true] / sums[true]))


def _f1_counts(labels: Integers, predicted: Integers) -> tuple[Integers, Integers]:
    """By class: true positives, and labels plus predictions; F1 is twice the one over the other."""
    same_length(labels=len(labels), predicted=len(predicted))
    k = int(max(labels.max(), predicted.max())) + 1
    hits = np.bincount(labels[labels == predicted], minlength=k)
    return hits, np.bincount(labels, minlength=k) + np.bincount(predicted, minlength=k)


def ece(correct: Booleans, confidence: Floats, bins: int = ECE_BINS) -> float:
    """Expected calibration error: over equal-width bins (lower, upper] of confidence, n_b / n * |accuracy_b - mean confidence_b|.

    >>> round(ece(np.array([True, False]), np.array([0.9, 0.8])), 12)
    0.45
    """
    same_length(correct=len(correct), confidence=len(confidence))
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    gap = np.bincount(index, weights=correct, minlength=bins) - np.bincount(index, weights=confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(correct))


def correctness_auroc(correct: Booleans, uncertainty: Floats) -> float | None:
    """Chance that a right image is surer than a wrong one, ties counting one half; None where all are right or all wrong.

    >>> correctness_auroc(np.array([True, False, True]), np.array([0.1, 0.2, 0.2]))
    0.75
    """
    blocks = tie_blocks(correct, uncertainty)
    wrong = np.diff(blocks.errors, prepend=0)
    right_before = np.concatenate([[0], (blocks.ends - blocks.errors)[:-1]])
    right = np.diff(blocks.ends, prepend=0) - wrong
    all_wrong, all_right = int(blocks.errors[-1]), int(blocks.ends[-1] - blocks.errors[-1])
    if not all_wrong or not all_right:
        return None
    return float(((right_before + right / 2) * wrong).sum() / all_wrong / all_right)


def selective_risks(blocks: TieBlocks) -> Floats:
    """Error rate of the j surest images for j = 1..n, (n,); tied images share their errors evenly.

    >>> selective_risks(TieBlocks(np.array([1, 3]), np.array([0, 1]))).tolist()
    [0.0, 0.25, 0.3333333333333333]
    """
    kept = np.arange(1, blocks.ends[-1] + 1)
    errors: Floats = np.interp(kept, np.append(0, blocks.ends), np.append(0, blocks.errors))
    return errors / kept


def aurc(correct: Booleans, uncertainty: Floats) -> float:
    """Area under the risk-coverage curve: the mean of the selective risks of the j surest images over j = 1..n.

    Ties share their errors evenly (paper Sec. 5.3; Geifman et al. 2019).

    >>> aurc(np.array([True, False]), np.array([0.1, 0.2]))
    0.25
    """
    return float(selective_risks(tie_blocks(correct, uncertainty)).mean())


def coverage_at_accuracy(correct: Booleans, uncertainty: Floats, target: float = SAC_TARGET) -> float:
    """Largest coverage that a threshold can reach at which the accuracy of the covered is at least the target (paper Sec. 5.4).

    Thresholds lie between different uncertainties, so tied images come together. 0 where none reaches the target. Counts are
    compared, not floats: 49 right of 50 reaches 0.98.

    >>> coverage_at_accuracy(np.array([True] * 49 + [False]), np.arange(50.0))
    1.0
    """
    if not 0 < target <= 1:
        raise InputError(f"target must be an accuracy in (0, 1], but got {target}")
    blocks = tie_blocks(correct, uncertainty)
    exact = Fraction(str(target)).limit_denominator(10**12)  # so that the products below fit 64 bits
    reached = (blocks.ends - blocks.errors) * exact.denominator >= exact.numerator * blocks.ends
    return float(blocks.ends[reached].max(initial=0) / blocks.ends[-1])


@dataclass(frozen=True)
class Metric:
    """A metric as tables and charts need it."""

    key: str
    label: str
    higher_is_better: bool
    perfect: float
    unit: str
    """`fraction` in [0, 1], shown in percent; `area` in [0, 1]; `nats`; `score` otherwise."""
    value: Callable[[Predictions], float | None]


METRICS = {
    metric.key: metric
    for metric in (
        Metric("accuracy", "Accuracy", True, 1.0, "fraction", lambda p: accuracy(p.correct)),
        Metric("macro_f1", "Macro F1", True, 1.0, "score", lambda p: macro_f1(p.labels, p.predicted)),
        Metric("nll", "NLL", False, 0.0, "nats", lambda p: float(p.nll.mean())),
        Metric("brier", "Brier score", False, 0.0, "score", lambda p: float(p.brier.mean())),
        Metric("ece", "ECE", False, 0.0, "fraction", lambda p: ece(p.correct, p.confidence)),
        Metric("auroc", "AUROC", True, 1.0, "area", lambda p: correctness_auroc(p.correct, p.uncertainty)),
        Metric("aurc", "AURC", False, 0.0, "area", lambda p: aurc(p.correct, p.uncertainty)),
        Metric("sac98", "SAC@98", True, 1.0, "fraction", lambda p: coverage_at_accuracy(p.correct, p.uncertainty)),
    )
}
"""Every metric by key, in the order in which tables show them."""


def metrics(predictions: Predictions) -> dict[str, float | None]:
    """Return every metric of METRICS; None where one is undefined."""
    if not len(predictions):
        raise InputError("expected at least one image, got none")
    return {key: metric.value(predictions) for key, metric in METRICS.items()}


def relative_gain(key: str, value: float, base: float) -> float | None:
    """Share of the way from the base's value to the perfect one (paper Figure 1); None where the base is perfect.

    >>> round(relative_gain("accuracy", 0.95, 0.9), 9), round(relative_gain("aurc", 0.015, 0.02), 9)
    (0.5, 0.25)
    """
    distance = METRICS[key].perfect - base
    return (value - base) / distance if distance else None
