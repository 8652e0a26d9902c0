"""Metrics against definitions written a second time, plainly, and against scikit-learn; ties, one class, all right, n = 1."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from duo_core.common.arrays import InputError
from duo_core.metrics import definitions as m


def reference_aurc(correct: list[bool], uncertainty: list[float]) -> Fraction:
    """Every image of a tie block carries the block's mean error, so that any order gives the same cumulative sums."""
    total, errors = Fraction(0), Fraction(0)
    share = {
        u: Fraction(sum(not c for c, v in zip(correct, uncertainty, strict=True) if v == u), uncertainty.count(u))
        for u in uncertainty
    }
    for j, u in enumerate(sorted(uncertainty), 1):
        errors += share[u]
        total += errors / j
    return total / len(correct)


def reference_auroc(correct: list[bool], uncertainty: list[float]) -> Fraction | None:
    pairs = [
        (a, b) for a, c in zip(uncertainty, correct, strict=True) if c for b, d in zip(uncertainty, correct, strict=True) if not d
    ]
    return (
        sum((Fraction(1) if a < b else Fraction(1, 2) if a == b else Fraction(0) for a, b in pairs), Fraction(0)) / len(pairs)
        if pairs
        else None
    )


def reference_sac(correct: list[bool], uncertainty: list[float], target: Fraction) -> Fraction:
    best = Fraction(0)
    for threshold in uncertainty:
        kept = [c for c, u in zip(correct, uncertainty, strict=True) if u <= threshold]
        if Fraction(sum(kept), len(kept)) >= target:
            best = max(best, Fraction(len(kept), len(correct)))
    return best


def reference_ece(correct: list[bool], confidence: list[float]) -> float:
    total = 0.0
    for b in range(15):
        lower, upper = np.linspace(0, 1, 16)[b : b + 2]
        rows = [i for i, c in enumerate(confidence) if lower < c <= upper or (b == 0 and c == 0)]
        if rows:
            total += len(rows) * abs(np.mean([correct[i] for i in rows]) - np.mean([confidence[i] for i in rows]))
    return total / len(correct)


tied = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 1e-300, 1.0])), min_size=1, max_size=40)
free = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=40)


@given(tied | free)
def test_ranking_metrics_are_their_definitions(images: list[tuple[bool, float]]) -> None:
    correct, uncertainty = [c for c, _ in images], [u for _, u in images]
    arrays = np.array(correct), np.array(uncertainty)
    assert m.aurc(*arrays) == pytest.approx(float(reference_aurc(correct, uncertainty)), abs=1e-12)
    auroc = reference_auroc(correct, uncertainty)
    assert m.correctness_auroc(*arrays) == (None if auroc is None else pytest.approx(float(auroc), abs=1e-12))
    for target in ("0.98", "0.5", "0.3333", "1"):
        assert m.coverage_at_accuracy(*arrays, float(target)) == float(reference_sac(correct, uncertainty, Fraction(target)))


@given(tied | free)
def test_ece_is_its_definition(images: list[tuple[bool, float]]) -> None:
    correct, confidence = [c for c, _ in images], [u for _, u in images]
    assert m.ece(np.array(correct), np.array(confidence)) == pytest.approx(reference_ece(correct, confidence), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_f1_is_scikit_learns(images: list[tuple[int, int]]) -> None:
    labels, predicted = (np.array(column) for column in zip(*images, strict=True))
    assert m.macro_f1(labels, predicted) == pytest.approx(sk.f1_score(labels, predicted, average="macro", zero_division=0))
    wilds = sk.f1_score(labels, predicted, average="macro", labels=np.unique(labels), zero_division=0)
    assert m.macro_f1_wilds(labels, predicted) == pytest.approx(wilds)


def test_auroc_is_scikit_learns(rng: np.random.Generator) -> None:
    correct, uncertainty = rng.random(5000) < 0.8, rng.random(5000).round(2)
    assert m.correctness_auroc(correct, uncertainty) == pytest.approx(sk.roc_auc_score(correct, -uncertainty))


@pytest.mark.parametrize("correct", [[True], [False], [True] * 3, [False] * 3])
def test_one_kind_of_outcome(correct: list[bool]) -> None:
    arrays = np.array(correct), np.arange(float(len(correct)))
    assert m.correctness_auroc(*arrays) is None
    assert m.aurc(*arrays) == 1 - correct[0]
    assert m.coverage_at_accuracy(*arrays) == float(correct[0])


def test_sac_compares_counts() -> None:
    """49 of 50 is 0.98, though 1 - 0.98 < 0.02 in floating point."""
    correct = np.array([False] + [True] * 49)
    assert m.coverage_at_accuracy(correct, np.zeros(50)) == 1.0
    assert m.coverage_at_accuracy(correct, np.arange(50.0)) == 1.0
    assert m.coverage_at_accuracy(np.append(correct, False), np.arange(51.0)) == 50 / 51
    assert m.coverage_at_accuracy(np.append(correct, False), np.append(np.zeros(50), 0)) == 0


def test_sac_takes_targets_of_many_digits() -> None:
    correct = np.ones(200_000, bool)
    assert m.coverage_at_accuracy(correct, np.zeros(200_000), 0.9799999999999999) == 1.0


@pytest.mark.parametrize("target", [0, 98, -0.1, float("nan")])
def test_sac_refuses_targets_that_are_no_accuracy(target: float) -> None:
    with pytest.raises(InputError, match=rf"target must be an accuracy in \(0, 1\], but got {target}"):
        m.coverage_at_accuracy(np.array([True]), np.array([0.0]), target)


def test_confidence_of_one_is_in_the_last_bin() -> None:
    assert m.ece(np.array([True, True]), np.array([1.0, 1.0])) == 0
    assert m.ece(np.array([False, True]), np.array([1.0, 14.5 / 15])) == pytest.approx(abs(1 - (1 + 14.5 / 15)) / 2)


def test_bins_are_open_below_and_closed_above() -> None:
    """0.2 is the upper end of the third bin: 0.2 and 0.21 lie in different bins."""
    assert m.ece(np.array([True, False]), np.array([0.2, 0.21])) == pytest.approx((0.8 + 0.21) / 2)


@pytest.mark.parametrize("function", [m.aurc, m.correctness_auroc, m.coverage_at_accuracy])
def test_what_cannot_be_ranked_is_refused(function: object) -> None:
    assert callable(function)
    with pytest.raises(InputError, match="at least one image"):
        function(np.array([], bool), np.array([]))
    with pytest.raises(InputError, match="got NaN for 1 images"):
        function(np.array([True, False]), np.array([0.1, np.nan]))
    with pytest.raises(InputError, match="one length, got correct 2, uncertainty 1"):
        function(np.array([True, False]), np.array([0.1]))


def test_relative_gain_goes_to_the_perfect_score() -> None:
    for key, metric in m.METRICS.items():
        base = 0.7
        assert m.relative_gain(key, metric.perfect, base) == 1
        assert m.relative_gain(key, base, base) == 0
        assert m.relative_gain(key, metric.perfect, metric.perfect) is None
