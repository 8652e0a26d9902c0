"""Guaranteed thresholds against the paper's algorithm written plainly, against closed forms, and against the truth, many times."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from effort import tried
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binom

from duo_core.analysis import guarantee
from duo_core.analysis.guarantee import COLUMNS, applied, thresholds, upper_bound
from duo_core.cli.thresholds import document
from duo_core.common.arrays import InputError, Predictions
from duo_core.logits.store import Store

TARGETS = (0.01, 0.05, 0.1, 0.3, 0.6, 0.9)


def images(correct: list[bool], uncertainty: list[float]) -> Predictions:
    zeros, doubt = np.zeros(len(correct)), np.array(uncertainty, dtype=float)
    return Predictions(zeros.astype(int), (~np.array(correct, bool)).astype(int), 1 - doubt, doubt, zeros, zeros, zeros)


def sampled(rng: np.random.Generator, n: int) -> Predictions:
    """Uncertainty uniform in [0, 1] and a chance of error of its square: below a threshold t the risk is t^2 / 3."""
    uncertainty = rng.random(n)
    return images((rng.random(n) >= uncertainty**2).tolist(), uncertainty.tolist())


def by_method(table: pd.DataFrame, method: str) -> pd.DataFrame:
    return table[table["method"] == method].reset_index(drop=True)


def reference_bound(errors: int, answered: int, delta: float) -> float:
    """The rate b with P(at most so many errors | b) = delta, found as a root."""
    if errors == answered:
        return 1.0
    return float(brentq(lambda b: binom.cdf(errors, answered, b) - delta, 0, 1, xtol=1e-14))


def reference_sgr(correct: list[bool], uncertainty: list[float], target: float, delta: float) -> tuple[float, float, float] | None:
    """Algorithm 1 of the paper on confidences kappa, image by image: threshold, coverage, bound; the search begins at 0."""
    kappa = sorted(-u for u in uncertainty)
    m, found = len(kappa), None
    k = max(1, math.ceil(math.log2(m)))
    z_min, z_max = 0, m
    for _ in range(k):
        z = math.ceil((z_min + z_max) / 2)
        theta = kappa[z - 1]
        kept = [c for c, u in zip(correct, uncertainty, strict=True) if -u >= theta]
        bound = reference_bound(kept.count(False), len(kept), delta / k)
        if bound <= target:
            z_max, found = z, (-theta, len(kept) / m, bound)
        else:
            z_min = z
    return found


tied = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 1.0])), min_size=1, max_size=60)
mostly_right = st.lists(st.tuples(st.sampled_from([True] * 9 + [False]), st.floats(0, 1)), min_size=1, max_size=60)


@given(tied | mostly_right, st.sampled_from([0.5, 0.9, 0.99]))
def test_sgr_is_the_papers_algorithm(rows: list[tuple[bool, float]], confidence: float) -> None:
    correct, uncertainty = [c for c, _ in rows], [u for _, u in rows]
    found = by_method(thresholds(images(correct, uncertainty), TARGETS, confidence), "sgr")
    for row, target in zip(found.itertuples(), TARGETS, strict=True):
        expected = reference_sgr(correct, uncertainty, target, 1 - confidence)
        if expected is None:
            assert row.coverage == 0
            assert np.isnan([row.threshold, row.risk, row.bound]).all()
        else:
            assert (row.threshold, row.coverage, row.bound) == pytest.approx(expected, abs=1e-9)


@given(tied | mostly_right)
def test_the_empirical_threshold_is_the_largest_coverage_within_the_target(rows: list[tuple[bool, float]]) -> None:
    correct, uncertainty = [c for c, _ in rows], [u for _, u in rows]
    found = by_method(thresholds(images(correct, uncertainty), TARGETS), "empirical")
    for row, target in zip(found.itertuples(), TARGETS, strict=True):
        kept = {t: [c for c, u in zip(correct, uncertainty, strict=True) if u <= t] for t in uncertainty}
        allowed = {t: len(right) for t, right in kept.items() if right.count(False) <= round(target * 100) * len(right) / 100}
        assert row.coverage == max(allowed.values(), default=0) / len(rows)
        if allowed:
            assert allowed[row.threshold] == max(allowed.values())
            assert row.risk == kept[row.threshold].count(False) / len(kept[row.threshold])


def test_the_empirical_threshold_compares_counts() -> None:
    """2 wrong of 100 is 2 %, though in floating point 1 - 0.98 is more."""
    found = thresholds(images([True] * 98 + [False] * 2, np.arange(100.0).tolist()), [0.02])
    assert by_method(found, "empirical")["coverage"].tolist() == [1.0]


@pytest.mark.parametrize(("errors", "answered", "delta"), [(0, 1, 0.05), (0, 700, 0.01), (3, 40, 0.1), (39, 40, 0.1), (7, 7, 0.05)])
def test_the_bound_is_exactly_binomial(errors: int, answered: int, delta: float) -> None:
    assert float(upper_bound(errors, answered, 1 - delta)) == pytest.approx(reference_bound(errors, answered, delta), rel=1e-9)


def test_without_errors_the_bound_is_a_root_of_delta() -> None:
    """1,024 right images, 10 steps, 90 %. The search looks at 513 answers first: 1 - 0.01^(1/513) = 0.894 %.

    From that target on all images are answered. Below it the search goes on to fewer answers, which bound the risk less well, and
    finds none, although all 1,024 would be bounded by 0.449 %: so it stands in the paper.
    """
    perfect = images([True] * 1024, np.linspace(0, 1, 1024).tolist())
    at, below = (by_method(thresholds(perfect, [target], 0.9), "sgr").iloc[0] for target in (0.00894, 0.00893))
    assert at["bound"] == pytest.approx(1 - 0.01 ** (1 / 1024))
    assert (at["coverage"], at["risk"], at["threshold"]) == (1, 0, 1)
    assert below["coverage"] == 0


def test_a_perfect_ranking_is_cut_at_its_errors() -> None:
    """700 right images before 324 wrong ones: the bound is least at 700, and the search finds where it crosses the target."""
    ranked = images([True] * 700 + [False] * 324, np.arange(1024.0).tolist())
    row = by_method(thresholds(ranked, [0.05], 0.9), "sgr").iloc[0]
    answered = round(row["coverage"] * 1024)
    assert reference_bound(answered - 700, answered, 0.01) <= 0.05 < reference_bound(answered + 1 - 700, answered + 1, 0.01)
    assert row["threshold"] == answered - 1


def reference_sequence(correct: list[bool], uncertainty: list[float], target: float, delta: float) -> tuple[float, float] | None:
    """Thresholds from the surest image on, each tested by the binomial distribution itself: the last before the first failure."""
    found, fewest = None, next(m for m in range(1, 10**4) if binom.cdf(0, m, target) <= delta * (1 + 1e-9))
    for theta in sorted(set(uncertainty)):
        kept = [c for c, u in zip(correct, uncertainty, strict=True) if u <= theta]
        if len(kept) < fewest:
            continue
        if binom.cdf(kept.count(False), len(kept), target) > delta * (1 + 1e-9):
            break
        found = (theta, len(kept) / len(correct))
    return found


@given(tied | mostly_right, st.sampled_from([0.5, 0.9, 0.99]))
def test_the_sequence_of_tests_is_the_one_written_plainly(rows: list[tuple[bool, float]], confidence: float) -> None:
    correct, uncertainty = [c for c, _ in rows], [u for _, u in rows]
    found = by_method(thresholds(images(correct, uncertainty), TARGETS, confidence), "sequence")
    for row, target in zip(found.itertuples(), TARGETS, strict=True):
        expected = reference_sequence(correct, uncertainty, target, 1 - confidence)
        if expected is None:
            assert row.coverage == 0
            assert np.isnan([row.threshold, row.risk, row.bound]).all()
        else:
            assert (row.threshold, row.coverage, row.bound) == (expected[0], pytest.approx(expected[1]), target)


@pytest.mark.parametrize(
    ("wrong", "n", "target", "coverage"),
    [
        (0, 400, 0.02, 1),
        (0, 149, 0.02, 1),  # ln 0.05 / ln 0.98 = 148.3
        (0, 148, 0.02, 0),
        (0, 59, 0.05, 1),
        (0, 58, 0.05, 0),
        (0, 29, 0.1, 1),
        (4, 1000, 0.02, 1),
    ],
)
def test_where_so_few_errors_are_unlikely_all_are_answered(wrong: int, n: int, target: float, coverage: float) -> None:
    """The wrong images are the least sure ones."""
    found = thresholds(images([True] * (n - wrong) + [False] * wrong, np.arange(float(n)).tolist()), [target])
    assert by_method(found, "sequence")["coverage"].tolist() == [coverage]


def test_the_search_ends_at_the_first_failure() -> None:
    """Three errors right after 100 right answers fail at 5 %, although all 2,000 answers would pass."""
    correct = [True] * 100 + [False] * 3 + [True] * 1897
    row = by_method(thresholds(images(correct, np.arange(2000.0).tolist()), [0.05]), "sequence").iloc[0]
    assert binom.cdf(3, 2000, 0.05) < 0.05 < binom.cdf(2, 102, 0.05)
    assert row["coverage"] * 2000 == 101  # one error in 101 is still unlikely enough
    at_once = images(correct, [0.0] * 2000)  # where all are tied there is one test
    assert by_method(thresholds(at_once, [0.05]), "sequence")["coverage"].tolist() == [1]


SAMPLES = tried(400, 1000)
RISKS = {
    "rising": lambda u: u**2,
    "flat above the target": lambda u: np.full_like(u, 0.101),
    "sure and wrong": lambda u: np.where(u < 0.2, 0.25, np.where(u < 0.7, 0.02, 0.4)),
    "up and down": lambda u: 0.1 + 0.1 * np.sin(12 * u),
}
TIES = {"none": lambda u: u, "ten values": lambda u: np.ceil(u * 10) / 10, "two values": lambda u: np.ceil(u * 2) / 2}


@pytest.mark.parametrize("tie", TIES)
@pytest.mark.parametrize("risk", RISKS)
def test_the_risk_is_bounded_as_often_as_stated(rng: np.random.Generator, risk: str, tie: str) -> None:
    """Many samples of 400 at 80 %: the true risk below the threshold exceeds 10 % in at most 20 % of them, within binomial noise,
    by both guaranteed methods."""
    fine = np.linspace(0, 1, 100_001)
    truth = RISKS[risk](fine)
    below = np.cumsum(truth) / np.arange(1, len(fine) + 1)
    violations = dict.fromkeys(guarantee.METHODS, 0)
    for _ in range(SAMPLES):
        doubt = rng.random(400)
        found = thresholds(images((rng.random(400) >= RISKS[risk](doubt)).tolist(), TIES[tie](doubt).tolist()), [0.1], 0.8)
        for row in found.itertuples():
            violations[row.method] += row.coverage > 0 and below[round(row.threshold * 100_000)] > 0.1 + 1e-4
    assert max(violations["sequence"], violations["sgr"]) <= binom.ppf(0.999, SAMPLES, 0.2)
    if (risk, tie) == ("rising", "none"):
        assert violations["sequence"] > violations["sgr"]  # it makes more use of what it may
        assert 0.35 < violations["empirical"] / SAMPLES < 0.75


@pytest.mark.parametrize("target", [0.02, 0.05, 0.1])
def test_the_sequence_answers_more_than_sgr(rng: np.random.Generator, target: float) -> None:
    coverage = {method: [] for method in guarantee.METHODS}
    for _ in range(200):
        for row in thresholds(sampled(rng, 600), [target]).itertuples():
            coverage[row.method].append(row.coverage)
    assert np.mean(coverage["sequence"]) > np.mean(coverage["sgr"])


@pytest.mark.parametrize(("target", "duo", "base"), [(0.05, 0.72, 0.59)])
def test_a_small_fit_split_has_thresholds_that_halving_misses(target: float, duo: float, base: float) -> None:
    """The set of 300 images that comes with the project."""
    found = document(
        Store(Path(__file__).parents[1] / "data").open("imagenet-like"), "mobilenetv2_100", "mobilenetv1_050", targets=[target]
    )
    fitted = {(e["system"], e["method"]): e["fit"]["coverage"] for e in found["thresholds"]}
    assert fitted["duo", "sequence"] == pytest.approx(duo, abs=0.005)
    assert fitted["base", "sequence"] == pytest.approx(base, abs=0.005)
    assert fitted["duo", "sgr"] == 0


def test_the_bound_of_a_fixed_threshold_is_tight(rng: np.random.Generator) -> None:
    """With 5,000 draws of 200 answers at a rate of 5 % the bound fails nearly as often as it may, and not more."""
    failed = int((upper_bound(rng.binomial(200, 0.05, size=5000), 200, 0.9) < 0.05).sum())
    exact = binom.cdf([e for e in range(200) if reference_bound(e, 200, 0.1) < 0.05][-1], 200, 0.05)
    assert 0.05 < exact <= 0.1
    assert failed == pytest.approx(5000 * exact, abs=4 * np.sqrt(5000 * exact * (1 - exact)))


def test_coverage_grows_with_the_target_and_falls_with_the_confidence(rng: np.random.Generator) -> None:
    predictions = sampled(rng, 1000)
    coverages = np.array(
        [by_method(thresholds(predictions, TARGETS, confidence), "sgr")["coverage"] for confidence in (0.5, 0.9, 0.99, 0.9999)]
    )
    assert (np.diff(coverages, axis=1) >= 0).all()
    assert (np.diff(coverages, axis=0) <= 0).all()
    assert len(np.unique(coverages)) > 8
    table = thresholds(predictions, TARGETS, 0.9)
    empirical = by_method(table, "empirical")
    for guaranteed in (by_method(table, "sgr"), by_method(table, "sequence")):
        assert (guaranteed["coverage"] <= empirical["coverage"]).all()
        assert (guaranteed["bound"].dropna() <= np.array(TARGETS)[guaranteed["bound"].notna()]).all()
    assert (empirical["risk"].dropna() <= np.array(TARGETS)[empirical["risk"].notna()]).all()


def test_neither_the_order_of_the_images_nor_the_scale_matters(rng: np.random.Generator) -> None:
    predictions = images((rng.random(300) < 0.9).tolist(), rng.random(300).round(2).tolist())
    table = thresholds(predictions, TARGETS)
    pd.testing.assert_frame_equal(thresholds(predictions.take(rng.permutation(300)), TARGETS), table)
    scaled = images(predictions.correct.tolist(), (np.exp(predictions.uncertainty) * 3).tolist())
    pd.testing.assert_frame_equal(thresholds(scaled, TARGETS).drop(columns="threshold"), table.drop(columns="threshold"))


def test_the_threshold_is_one_of_the_score_that_ranks() -> None:
    """The entropy of the right images is below 1, their softmax uncertainty says nothing."""
    right, entropy = np.arange(400) < 300, np.linspace(0, 4 / 3, 400)
    predictions = replace(images(right.tolist(), [0.5] * 400), entropy=entropy)
    assert by_method(thresholds(predictions, [0.1]), "empirical")["coverage"].tolist() == [0]
    by_entropy = by_method(thresholds(predictions.ranked_by("entropy"), [0.1]), "empirical").iloc[0]
    assert (by_entropy["threshold"], by_entropy["coverage"]) == (entropy[332], 333 / 400)


def test_applied_says_what_the_thresholds_do_elsewhere() -> None:
    """Answered is what lies at or below a threshold, the threshold itself included."""
    table = pd.DataFrame(
        [(0.1, "sgr", 0.3, 0.5, 0.0, 0.1), (0.1, "empirical", 0.1, 0.9, 0.0, None), (0.01, "sgr", None, 0.0, None, None)],
        columns=COLUMNS,
    )
    found = applied(table, images([True, False, True, True], [0.3, 0.2, 0.3, 0.31]))
    assert found["coverage"].tolist() == [0.75, 0, 0]
    assert found["risk"].fillna(-1).tolist() == [1 / 3, -1, -1]
    pd.testing.assert_frame_equal(found.drop(columns=["coverage", "risk"]), table.drop(columns=["coverage", "risk"]))


def test_applied_where_it_was_chosen_changes_nothing(rng: np.random.Generator) -> None:
    predictions = images((rng.random(500) < 0.9).tolist(), rng.random(500).round(2).tolist())
    table = thresholds(predictions, TARGETS)
    pd.testing.assert_frame_equal(applied(table, predictions), table)


def test_targets_are_fractions() -> None:
    predictions = images([True, False], [0.1, 0.2])
    for target in (0, 1, 2, -0.1, float("nan")):
        with pytest.raises(InputError, match=rf"expected a target risk in \(0, 1\), got {target:g}; 0.02 is 2 %"):
            thresholds(predictions, [0.1, target])
    with pytest.raises(InputError, match=r"expected a confidence in \(0, 1\), got 95; 0.95 is 95 %"):
        thresholds(predictions, [0.1], 95)
    with pytest.raises(InputError, match="at least one image"):
        thresholds(predictions.take(np.arange(0)), [0.1])


def test_what_the_guarantee_rests_on_is_stated() -> None:
    for said in ("exchangeable", "fixed beforehand", "did not choose the models"):
        assert said in guarantee.ASSUMPTION
