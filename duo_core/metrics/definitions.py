"""Metrics on 1-D arrays, and METRICS: the one table of key, label, direction and function.

Accuracy, errors and coverage are fractions in [0, 1]. Ranking metrics see images only through blocks of equal uncertainty, so
the order of the images never matters.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duo_core.common.arrays import Booleans, Floats, InputError, Integers, Predictions, UncertaintyKind, same_length
from duo_core.metrics import loops

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
    return TieBlocks(*loops.tie_ends(as_bits(uncertainty), correct))


def as_bits(uncertainty: Floats) -> NDArray[np.unsignedinteger[Any]]:
    """Unsigned integers (n,) that order and tie as the uncertainties do, with the highest bit free.

    The bits of floats that are not negative are such integers.

    >>> as_bits(np.array([-1.0, 0.5, -0.0, 0.0])).tolist()
    [0, 2, 1, 1]
    """
    least = uncertainty.min()
    if np.isnan(least):
        raise InputError(f"expected uncertainties that are numbers, got NaN for {np.isnan(uncertainty).sum()} images")
    if least < 0:
        return np.unique(uncertainty, return_inverse=True)[1].astype(np.uint64)
    floats = np.ascontiguousarray(uncertainty) + np.zeros((), uncertainty.dtype)  # -0 becomes 0
    return floats.view(f"u{floats.itemsize}")


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
    hits, true, said = _f1_counts(labels, predicted)
    there = true + said > 0
    return float(np.mean(2 * hits[there] / (true + said)[there]))


def macro_f1_wilds(labels: Integers, predicted: Integers) -> float:
    """Mean F1 over the classes that occur among the labels alone, as WILDS reports it for iWildCam.

    >>> macro_f1_wilds(np.array([0, 0, 0]), np.array([0, 0, 1]))
    0.8
    """
    hits, true, said = _f1_counts(labels, predicted)
    there = true > 0
    return float(np.mean(2 * hits[there] / (true + said)[there]))


def _f1_counts(labels: Integers, predicted: Integers) -> tuple[Integers, Integers, Integers]:
    """By class: true positives, labels, predictions."""
    same_length(labels=len(labels), predicted=len(predicted))
    counts: tuple[Integers, Integers, Integers] = loops.class_counts(labels, predicted, int(max(labels.max(), predicted.max())) + 1)
    return counts


def ece(correct: Booleans, confidence: Floats, bins: int = ECE_BINS) -> float:
    """Expected calibration error: over equal-width bins (lower, upper] of confidence, n_b / n * |accuracy_b - mean confidence_b|.

    >>> round(ece(np.array([True, False]), np.array([0.9, 0.8])), 12)
    0.45
    """
    same_length(correct=len(correct), confidence=len(confidence))
    gaps = loops.bin_gaps(np.asarray(correct), np.asarray(confidence, dtype=np.float64), _edges(bins))
    return float(np.abs(gaps).sum() / len(correct))


@cache
def _edges(bins: int) -> Floats:
    return np.linspace(0, 1, bins + 1)


def correctness_auroc(correct: Booleans, uncertainty: Floats) -> float | None:
    """Chance that a right image is surer than a wrong one, ties counting one half; None where all are right or all wrong.

    >>> correctness_auroc(np.array([True, False, True]), np.array([0.1, 0.2, 0.2]))
    0.75
    """
    return _auroc(tie_blocks(correct, uncertainty))


def _auroc(blocks: TieBlocks) -> float | None:
    all_wrong, all_right = int(blocks.errors[-1]), int(blocks.ends[-1] - blocks.errors[-1])
    if not all_wrong or not all_right:
        return None
    return float(loops.surer_right(blocks.ends, blocks.errors) / all_wrong / all_right)


def selective_risks(blocks: TieBlocks) -> Floats:
    """Error rate of the j surest images for j = 1..n, (n,); tied images share their errors evenly.

    >>> selective_risks(TieBlocks(np.array([1, 3]), np.array([0, 1]))).tolist()
    [0.0, 0.25, 0.3333333333333333]
    """
    risks: Floats = loops.running_risks(blocks.ends, blocks.errors)
    return risks


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
    return _coverage(tie_blocks(correct, uncertainty), target)


def _coverage(blocks: TieBlocks, target: float) -> float:
    if not 0 < target <= 1:
        raise InputError(f"target must be an accuracy in (0, 1], but got {target}")
    return float(loops.most_covered(blocks.ends, blocks.errors, *_as_fraction(target)) / blocks.ends[-1])


@cache
def _as_fraction(target: float) -> tuple[int, int]:
    """Numerator and denominator, so small that their products with counts of images fit 64 bits."""
    exact = Fraction(str(target)).limit_denominator(10**12)
    return exact.numerator, exact.denominator


@dataclass(frozen=True)
class Judged:
    """What metrics are read from: one system's predictions on n images, with the images sorted once for all of them."""

    labels: Integers
    predicted: Integers
    confidence: Floats
    uncertainty: Floats
    nll: float
    """Mean, nats."""
    brier: float
    """Mean."""

    @cached_property
    def correct(self) -> Booleans:
        """Whether the predicted class is the label, (n,)."""
        return np.asarray(self.predicted == self.labels)

    @cached_property
    def blocks(self) -> TieBlocks:
        """The images by uncertainty."""
        return tie_blocks(self.correct, self.uncertainty)


def judged(predictions: Predictions) -> Judged:
    """Return what metrics are read from; InputError where there is no image."""
    p = predictions
    if not len(p):
        raise InputError("expected at least one image, got none")
    return Judged(p.labels, p.predicted, p.confidence, p.uncertainty, float(p.nll.mean()), float(p.brier.mean()))


@dataclass(frozen=True)
class Metric:
    """A metric as tables and charts need it."""

    key: str
    label: str
    higher_is_better: bool
    perfect: float
    unit: str
    """`fraction` in [0, 1], shown in percent; `area` in [0, 1]; `nats`; `score` otherwise."""
    of: Callable[[Judged], float | None]
    ranks: bool = False
    """Whether the order of the images by uncertainty enters."""

    def value(self, predictions: Predictions) -> float | None:
        """The metric of some predictions; None where it is undefined."""
        return self.of(judged(predictions))


METRICS = {
    metric.key: metric
    for metric in (
        Metric("accuracy", "Accuracy", True, 1.0, "fraction", lambda j: accuracy(j.correct)),
        Metric("macro_f1", "Macro F1", True, 1.0, "score", lambda j: macro_f1(j.labels, j.predicted)),
        Metric("nll", "NLL", False, 0.0, "nats", lambda j: j.nll),
        Metric("brier", "Brier score", False, 0.0, "score", lambda j: j.brier),
        Metric("ece", "ECE", False, 0.0, "fraction", lambda j: ece(j.correct, j.confidence)),
        Metric("auroc", "AUROC", True, 1.0, "area", lambda j: _auroc(j.blocks), ranks=True),
        Metric("aurc", "AURC", False, 0.0, "area", lambda j: float(selective_risks(j.blocks).mean()), ranks=True),
        Metric("sac98", "SAC@98", True, 1.0, "fraction", lambda j: _coverage(j.blocks, SAC_TARGET), ranks=True),
    )
}
"""Every metric by key, in the order in which tables show them."""


def metrics(predictions: Predictions) -> dict[str, float | None]:
    """Return every metric of METRICS; None where one is undefined."""
    return metrics_of(judged(predictions))


def metrics_of(found: Judged) -> dict[str, float | None]:
    """Return every metric of METRICS of what was judged already."""
    return {key: metric.of(found) for key, metric in METRICS.items()}


def metrics_by_kind(softmax: Judged, entropy: Floats) -> dict[UncertaintyKind, dict[str, float | None]]:
    """Return every metric with either uncertainty: that of what was judged, and the entropy (n,)."""
    values, other = metrics_of(softmax), replace(softmax, uncertainty=entropy)
    return {"softmax": values, "entropy": values | {key: metric.of(other) for key, metric in METRICS.items() if metric.ranks}}


def relative_gain(key: str, value: float, base: float) -> float | None:
    """Share of the way from the base's value to the perfect one (paper Figure 1); None where the base is perfect.

    >>> round(relative_gain("accuracy", 0.95, 0.9), 9), round(relative_gain("aurc", 0.015, 0.02), 9)
    (0.5, 0.25)
    """
    distance = METRICS[key].perfect - base
    return (value - base) / distance if distance else None
