"""Each count and rank against a plain second definition, and laws that hold for any two systems."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import f1_score, recall_score

from duo_core.analysis.diagnosis import (
    OUTCOMES,
    RANKING,
    by_split,
    by_uncertainty,
    class_intervals,
    class_tests,
    exchange,
    gain_by_class,
    holm,
    mean_gap,
    outcomes,
    rank_moves,
    reliability,
)
from duo_core.common.arrays import InputError, Predictions
from duo_core.metrics import METRICS, ece, metrics
from duo_core.metrics.intervals import Interval, differences, mcnemar

K = 4


def drawn(random, n, skill, labels):
    """Predictions that are right about as often as `skill`, with a confidence that says so a little, on a coarse grid with ties."""
    right = random.random(n) < skill
    predicted = np.where(right, labels, (labels + random.integers(1, K, n)) % K)
    confidence = np.clip(np.round(random.uniform(0.3, 0.9, n) + 0.1 * right, 2), 0.25, 1.0)
    other = random.random((3, n))
    return Predictions(labels, predicted, confidence, 1 - confidence, other[0], other[1], other[2])


@pytest.fixture
def pair(rng):
    labels = rng.integers(0, K, 600)
    return drawn(rng, 600, 0.7, labels), drawn(rng, 600, 0.8, labels)


@st.composite
def two(draw):
    n, random = draw(st.integers(1, 40)), np.random.default_rng(draw(st.integers(0, 10**6)))
    labels = random.integers(0, K, n)
    return drawn(random, n, 0.6, labels), drawn(random, n, 0.7, labels)


@given(two())
def test_reliability_gaps_add_up_to_the_ece(systems):
    p = systems[0]
    table = reliability(p)
    assert mean_gap(table) == pytest.approx(ece(p.correct, p.confidence), abs=1e-12)
    assert table["images"].sum() == len(p)
    assert (table["right"] + table["wrong"] == table["images"]).all()


def test_bins_are_open_below_and_closed_above():
    confidence = np.array([1 / 15, np.nextafter(1 / 15, 1), 1.0])
    p = Predictions(np.zeros(3, int), np.zeros(3, int), *[confidence] * 5)
    assert reliability(p)["images"].to_numpy().nonzero()[0].tolist() == [0, 1, 14]
    assert reliability(p)["accuracy"].isna().sum() == 12


@given(two())
def test_outcomes_are_what_both_say(systems):
    base, duo = systems
    named = [OUTCOMES[i] for i in outcomes(base, duo)]
    meaning = {(True, True): "both_right", (False, True): "rescued", (True, False): "harmed", (False, False): "both_wrong"}
    assert named == [meaning[bool(b), bool(d)] for b, d in zip(base.correct, duo.correct, strict=True)]
    counted = exchange(base, duo)
    assert sum(counted) == len(base)
    assert counted.rescued - counted.harmed == duo.correct.sum() - base.correct.sum()
    assert exchange(duo, base) == (counted[0], counted[2], counted[1], counted[3])


@given(two())
def test_ranks_are_mean_ranks_and_moves_their_differences(systems):
    base, duo = systems
    table = rank_moves(base, duo)
    assert table["move"].abs().is_monotonic_decreasing
    by_row = table.set_index("row").sort_index()
    np.testing.assert_allclose(by_row["base_rank"], rankdata(base.uncertainty))
    np.testing.assert_allclose(by_row["duo_rank"], rankdata(duo.uncertainty))
    np.testing.assert_allclose(by_row["move"], by_row["duo_rank"] - by_row["base_rank"])
    assert by_row["move"].sum() == pytest.approx(0, abs=1e-9)
    assert list(by_row["duo_class"]) == list(duo.predicted)


def test_equal_moves_stand_in_the_order_of_the_images(pair):
    assert list(rank_moves(pair[0], pair[0])["row"]) == list(range(600))


def test_entropy_ranks_by_entropy(pair):
    base, duo = (p.ranked_by("entropy") for p in pair)
    table = rank_moves(base, duo).set_index("row").sort_index()
    np.testing.assert_allclose(table["base_rank"], rankdata(base.entropy))


@pytest.mark.parametrize(("score", "reference"), [("accuracy", recall_score), ("f1", f1_score)])
def test_classes_are_scored_as_scikit_learn_does(pair, score, reference):
    table = gain_by_class(*pair, K, score)
    for name, p in zip(("base", "duo"), pair, strict=True):
        np.testing.assert_allclose(table[name], reference(p.labels, p.predicted, average=None))
    np.testing.assert_allclose(table["gain"], table["duo"] - table["base"])
    assert table["images"].sum() == 600


def test_the_weighted_mean_of_class_accuracies_is_the_accuracy(pair):
    table = gain_by_class(*pair, K)
    assert (table["duo"] * table["images"]).sum() / 600 == pytest.approx(pair[1].correct.mean())


def test_a_class_that_does_not_occur_has_no_score_and_no_interval(pair):
    assert np.isnan(gain_by_class(*pair, K + 1).loc[K, ["base", "duo", "gain"]].astype(float)).all()
    assert class_intervals(*pair, [K]) == {K: None}
    assert class_intervals(*pair, [K], "f1") == {K: None}


def test_the_interval_of_a_classs_accuracy_is_that_of_its_images(pair):
    base, duo = pair
    rows = base.labels == 2
    found = class_intervals(base, duo, [2])[2]
    reference = differences(duo.take(rows), base.take(rows), keys=["accuracy"])["accuracy"]
    assert found.estimate == pytest.approx(reference.estimate)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.01)


def test_the_interval_of_a_classs_f1_holds_its_gain_and_shrinks_with_images(rng, pair):
    base, duo = pair
    found = class_intervals(base, duo, [1], "f1")[1]
    assert found.estimate == pytest.approx(gain_by_class(base, duo, K, "f1")["gain"][1])
    assert found.low < found.estimate < found.high
    often = np.tile(np.arange(600), 9)
    narrow = class_intervals(base.take(often), duo.take(often), [1], "f1")[1]
    assert narrow.high - narrow.low == pytest.approx((found.high - found.low) / 3, rel=0.15)


def test_an_f1_interval_is_that_of_drawing_all_images(pair):
    """Only images of the class, or taken for it, move its F1: drawing them alone spreads it as drawing all does."""
    base, duo = pair
    random = np.random.default_rng(0)
    gains = []
    for _ in range(1000):
        rows = random.integers(0, 600, 600)
        scores = [f1_score(p.labels[rows] == 1, p.predicted[rows] == 1) for p in (duo, base)]
        gains.append(scores[0] - scores[1])
    found = class_intervals(base, duo, [1], "f1")[1]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(gains, [0.025, 0.975])), abs=0.015)


def test_the_same_seed_is_the_same_interval(pair):
    assert class_intervals(*pair, [0, 1]) == class_intervals(*pair, [0, 1])
    assert class_intervals(*pair, [0], seed=500) != class_intervals(*pair, [0])


def test_both_scores_rank_the_same_predictions(pair):
    table = by_uncertainty({"base": pair[0], "duo": pair[1]})
    assert list(table["metric"]) == [key for key in RANKING for _ in range(2)]
    row = table.query("metric == 'aurc' and variant == 'duo'").iloc[0]
    assert row["softmax"] == metrics(pair[1])["aurc"]
    assert row["entropy"] == metrics(pair[1].ranked_by("entropy"))["aurc"]


def test_an_undefined_metric_is_nan(pair):
    right = pair[0].take(pair[0].correct)
    assert by_uncertainty({"base": right})[["softmax", "entropy"]].iloc[0].isna().all()


def test_splits_stand_beside_each_other_with_their_intervals():
    values = {key: place / 10 for place, key in enumerate(METRICS)}
    found = {"test": {"base": values, "duo": values | {"aurc": 0.1, "auroc": None}}}
    gains = {"test": dict.fromkeys(METRICS, Interval(0.0, -0.1, 0.1)) | {"aurc": Interval(-0.5, -0.6, -0.4), "auroc": None}}
    table = by_split(found, gains).set_index(["metric", "split"])
    assert list(table.index.get_level_values("metric")) == list(METRICS)
    row = table.loc[("aurc", "test")]
    assert row[["base", "duo", "delta", "low", "high", "stands"]].tolist() == [0.6, 0.1, -0.5, -0.6, -0.4, True]
    assert table.loc[("auroc", "test"), ["duo", "delta", "low"]].isna().all()
    assert not table.loc[("nll", "test"), "stands"]


def test_other_images_are_refused(pair):
    with pytest.raises(InputError, match="expected arrays of one length, got base 600, duo 599"):
        exchange(pair[0], pair[1].take(np.arange(599)))
    moved = pair[1].take(np.roll(np.arange(600), 1))
    with pytest.raises(InputError, match="expected the same images twice, got labels that differ for"):
        gain_by_class(pair[0], moved, K)


@pytest.mark.parametrize("score", ["accuracy", "f1"])
@pytest.mark.parametrize("k", [10, 50, 200])
def test_among_equals_a_class_seldom_stands(rng, k, score):
    """Two systems alike: in at most one of 20 sets any class of so many stands, within binomial noise; by plain 95 % intervals in
    most."""
    stood = 0
    for _ in range(100):
        labels = rng.integers(0, k, 30 * k)
        base, duo = (
            Predictions(labels, np.where(rng.random(30 * k) < 0.8, labels, rng.integers(0, k, 30 * k)), *[labels * 0.0] * 5)
            for _ in range(2)
        )
        stood += holm(class_tests(base, duo, range(k), score)).min() <= 0.05
    assert stood <= 13  # the 99.9 % point of Bin(100, 0.05)


def test_a_class_that_gains_much_stands_among_many(rng):
    labels = np.arange(3000) % 100
    wrong = rng.random(3000) < 0.1
    base = Predictions(labels, np.where(wrong | (labels == 7), (labels + 1) % 100, labels), *[labels * 0.0] * 5)
    duo = Predictions(labels, np.where(wrong, (labels + 1) % 100, labels), *[labels * 0.0] * 5)
    found = class_intervals(base, duo, [7, 8], among=range(100))
    assert found[7].stands
    assert not found[8].stands


def test_the_more_classes_are_looked_at_the_more_it_takes():
    labels = np.arange(2000) % 100
    base = Predictions(labels, np.where((labels == 3) & (np.arange(2000) < 700), 4, labels), *[labels * 0.0] * 5)
    duo = Predictions(labels, labels, *[labels * 0.0] * 5)  # 7 rescued of class 3: p = 2 / 2^7
    assert class_intervals(base, duo, [3])[3].stands
    assert not class_intervals(base, duo, [3], among=range(100))[3].stands


@pytest.mark.parametrize("score", ["accuracy", "f1"])
def test_class_tests_are_mcnemars_of_what_is_right_about_a_class(pair, score):
    base, duo = pair
    found = class_tests(base, duo, range(K), score)
    for c in range(K):
        rights = [(p.predicted == c) == (p.labels == c) for p in (base, duo)]
        rows = base.labels == c if score == "accuracy" else np.ones(len(base), bool)
        parts = int((rights[1] & ~rights[0] & rows).sum()), int((rights[0] & ~rights[1] & rows).sum())
        assert found[c] in (pytest.approx(float(mcnemar(*parts))), 1.0)
    assert found.min() < 0.5
