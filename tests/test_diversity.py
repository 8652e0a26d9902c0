"""How alike models are: every key against a plain computation of its own, identities, edges, intervals, and what is said of it."""

import json
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score, matthews_corrcoef

from duo_core.__main__ import main
from duo_core.analysis.correlations import Correlation, correlations, partial, pearson
from duo_core.analysis.diversity import COLUMNS, MEASURES, Diversity, by_class, diversity, measures, specialisation, tallies
from duo_core.common.arrays import InputError, Predictions
from duo_core.logits import Card, LogitSet
from duo_core.logits.store import Store
from duo_core.metrics.bootstrap import counts, sums_on_draws
from duo_core.metrics.intervals import Interval
from duo_core.systems.alike import jensen_shannon
from duo_core.systems.sweep import evaluate
from duo_core.wording.alike import of_difference

N = 40


def predicting(labels, predicted, confidence=None):
    confidence = np.full(len(labels), 0.5) if confidence is None else confidence
    column = np.zeros(len(labels))
    return Predictions(np.asarray(labels), np.asarray(predicted), confidence, 1 - confidence, column, column, column)


def measured(one, other, equal, duo):
    found = measures(tallies(one, other, equal, duo, np.zeros(len(one))).sum(1), len(one))
    return {key: float(value) for key, value in found.items()}


classes = arrays(np.int64, N, elements=st.integers(0, 3))
right = arrays(np.bool_, N)


@given(labels=classes, first=classes, second=classes, equal=right, duo=right)
@settings(max_examples=200)
def test_every_key_is_its_definition(labels, first, second, equal, duo):
    """Image by image in plain Python, kappa and phi by scikit-learn; and what holds between them."""
    a, b = first == labels, second == labels
    found = measured(predicting(labels, first), predicting(labels, second), equal, duo)
    own, other = float(a.mean()), float(b.mean())
    apart = sum(x != y for x, y in zip(a, b, strict=True)) / N
    assert found["error_inconsistency"] == pytest.approx(apart, abs=1e-12)
    assert abs(own - other) - 1e-12 <= apart <= min(own + other, 2 - own - other) + 1e-12
    assert found["disagreement"] == pytest.approx(sum(x != y for x, y in zip(first, second, strict=True)) / N)
    assert found["disagreement"] >= found["error_inconsistency"] - 1e-12
    expected = own * (1 - other) + (1 - own) * other
    if apart:
        assert found["kappa"] == pytest.approx(1 - apart / expected)
        assert found["kappa"] == pytest.approx(cohen_kappa_score(a, b, labels=[False, True]))
        assert found["conversion"] == pytest.approx(sum(e for e, x, y in zip(equal, a, b, strict=True) if x != y) / apart / N)
    else:
        assert found["kappa"] == 1
        assert math.isnan(found["conversion"])
    if 0 < a.sum() < N and 0 < b.sum() < N:
        assert found["phi"] == pytest.approx(matthews_corrcoef(a, b), abs=1e-12)
        assert abs(found["kappa"]) <= abs(found["phi"]) + 1e-12
    else:
        assert math.isnan(found["phi"])
    assert found["gain_over_mean"] == pytest.approx(equal.mean() - (own + other) / 2)
    assert found["gain_over_better"] == pytest.approx(duo.mean() - max(own, other))
    assert found["accuracy_gap"] == pytest.approx(abs(own - other))


@given(first=classes, second=classes, labels=classes, equal=right)
def test_exchanging_two_models_exchanges_their_names_alone(labels, first, second, equal):
    one, other = predicting(labels, first), predicting(labels, second)
    here, there = measured(one, other, equal, equal), measured(other, one, equal, equal)
    for key in (*MEASURES, "conversion", "accuracy_gap", "gain_over_mean"):
        np.testing.assert_equal(here[key], there[key])
    assert (here["accuracy_first"], here["accuracy_second"]) == (there["accuracy_second"], there["accuracy_first"])


def plain_js(p, q):
    def divergence(x, y):
        return sum(a * math.log(a / b) for a, b in zip(x, y, strict=True) if a > 0)

    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (divergence(p, middle) + divergence(q, middle)) / 2


@given(
    logits=arrays(np.float64, (2, 3, 4), elements=st.floats(-60, 60)),
    masked=arrays(np.bool_, (2, 3, 4)),
    temperatures=st.tuples(st.floats(0, 5), st.floats(0, 5)),
)
def test_jensen_shannon_is_the_mean_divergence_from_the_middle(logits, masked, temperatures):
    masked[:, :, 0] = False
    own = [torch.from_numpy(np.where(out, -np.inf, x)) for x, out in zip(logits, masked, strict=True)]
    found = jensen_shannon(own, temperatures, [(0, 1), (1, 0), (0, 0)])
    for i in range(3):
        p, q = (
            torch.softmax(torch.where(x[i].isneginf(), x[i], x[i] * t), 0).tolist() for x, t in zip(own, temperatures, strict=True)
        )
        assert found[0, i] == pytest.approx(plain_js(p, q), abs=1e-12)
        assert 0 <= found[0, i] <= math.log(2)
    assert (found[0] == found[1]).all()
    assert (found[2] == 0).all()


def test_jensen_shannon_reads_every_row_of_many_blocks(monkeypatch, rng):
    own = [torch.from_numpy(rng.normal(size=(100, 7))).float() for _ in range(3)]
    whole = jensen_shannon(own, [1.0, 0.5, 2.0], [(0, 1), (1, 2)])
    monkeypatch.setattr("duo_core.systems.alike._ELEMENTS", 7 * 3 * 9)
    assert (jensen_shannon(own, [1.0, 0.5, 2.0], [(0, 1), (1, 2)]) == whole).all()


@pytest.fixture(scope="module")
def toys(toy_store: Path) -> LogitSet:
    return Store(toy_store).open("toy")


@pytest.fixture(scope="module")
def found(toys: LogitSet) -> Diversity:
    return diversity(toys, replicates=300)


def test_a_table_is_what_pairs_are_by_themselves(toys, found):
    assert list(zip(found.table["first"], found.table["second"], strict=True)) == list(combinations(toys.models(), 2))
    for row in found.table.to_dict("records"):
        pair = evaluate(toys, row["first"], row["second"])
        base, sidekick, duo, equal = (pair.predictions[key] for key in ("base", "sidekick", "duo", "unweighted"))
        one, other = base.correct, sidekick.correct
        assert row["accuracy_first"] == one.mean()
        assert row["accuracy_second"] == other.mean()
        assert row["accuracy_equal"] == equal.correct.mean()
        assert row["gain_over_better"] == pytest.approx(duo.correct.mean() - max(one.mean(), other.mean()))
        logits = [(toys.logits(row[role], "test"), t) for role, t in zip(("first", "second"), pair.fit.calibration, strict=True)]
        p, q = ((x.double() * t).softmax(1).tolist() for x, t in logits)
        assert row["jensen_shannon"] == pytest.approx(np.mean([plain_js(*two) for two in zip(p, q, strict=True)]))
        together = (~one & ~other & equal.correct).mean()
        identity = (one & other).mean() + row["conversion"] * row["error_inconsistency"] + together
        assert row["accuracy_equal"] == pytest.approx(identity)


def test_groups_do_not_show(toys, found, monkeypatch):
    told = []
    monkeypatch.setattr("duo_core.analysis.diversity.BYTES", 1)
    again = diversity(toys, replicates=300, progress=lambda *done: told.append(done))
    assert told == [(done, 6) for done in range(1, 7)]
    assert again.table.equals(found.table)
    assert again.intervals("kappa") == found.intervals("kappa")


def test_intervals_are_percentiles_of_the_same_draws(toys, found):
    """By the counts that the paired bootstrap draws, one pair and key at a time."""
    taken = counts(300, 300)
    pair = evaluate(toys, *found.table[["first", "second"]].iloc[2])
    one, other, equal = (pair.predictions[key].correct for key in ("base", "sidekick", "unweighted"))
    drawn = {
        "error_inconsistency": taken @ (one != other) / 300,
        "conversion": taken @ ((one != other) & equal) / (taken @ (one != other)),
    }
    for key, values in drawn.items():
        interval = found.intervals(key)[2]
        assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
        assert interval.estimate == found.table[key][2]
    assert diversity(toys).intervals("kappa") == [None] * 6


def test_sums_on_draws_are_those_of_the_counts(rng):
    columns = rng.integers(0, 9, size=(3, 1000)).astype(float)
    assert (sums_on_draws(columns, 600, 5) == counts(1000, 600, 5) @ columns.T).all()
    with pytest.raises(InputError, match="at least one replicate, got 0"):
        sums_on_draws(columns, 0, 0)


def set_of(logits, labels):
    cards = {name: Card(name, name, "python", multiply_adds=9 - at) for at, name in enumerate(logits)}
    of = dict.fromkeys(("val", "test"), labels)
    return LogitSet("made", "", ("a", "b"), of, cards, {(name, split): x for name, x in logits.items() for split in of})


def test_what_is_undefined_is_nan_not_0():
    labels = torch.tensor([0, 1] * 10)
    right, wrong = (2.0 * torch.nn.functional.one_hot(y, 2) for y in (labels, 1 - labels))
    table = diversity(set_of({"right": right, "also": right * 2, "wrong": wrong}, labels)).table
    same, opposite = table.iloc[0], table.iloc[1]
    assert (same["kappa"], same["error_inconsistency"], opposite["error_inconsistency"]) == (1, 0, 1)
    assert table["phi"].isna().all()
    assert math.isnan(same["conversion"])
    assert opposite["kappa"] == 0
    assert [one.rank for one in correlations(diversity(set_of({"right": right, "also": right}, labels)))] == [None] * 10


def test_one_model_has_nobody_to_be_like():
    labels = torch.tensor([0, 1])
    with pytest.raises(InputError, match="expected at least two models with logits of 'val' and 'test' in the set 'made', got 1"):
        diversity(set_of({"one": torch.eye(2)}, labels))


@given(
    columns=arrays(np.float64, (3, 12), elements=st.integers(0, 6).map(float)),
)
def test_rank_correlations_are_scipys_and_the_partial_one_that_of_what_the_gap_leaves(columns):
    """The partial correlation is the plain one of residuals of a regression on the third column."""
    x, y, z = (np.unique(column, return_inverse=True)[1] * 1.0 for column in columns)
    found = float(pearson(x, y))
    if np.ptp(x) and np.ptp(y) and np.ptp(z):
        assert found == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)
        design = np.stack([np.ones_like(z), z], axis=1)
        left = [column - design @ np.linalg.lstsq(design, column, rcond=None)[0] for column in (x, y)]
        if all(residual.std() > 1e-6 for residual in left):
            value = float(partial(pearson(x, y), pearson(x, z), pearson(y, z)))
            assert value == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-6)
    elif not np.ptp(x) or not np.ptp(y):
        assert math.isnan(found)


def test_correlations_are_over_the_pairs(found):
    table = found.table
    for one in correlations(found):
        assert one.rank == pytest.approx(spearmanr(table[one.measure], table[one.gain]).statistic)
        assert one.interval.low <= one.rank <= one.interval.high
        assert one.pairs == 6
    assert [(one.measure, one.gain) for one in correlations(found)][:2] == [
        ("error_inconsistency", "gain_over_mean"),
        ("error_inconsistency", "gain_over_better"),
    ]


@pytest.mark.parametrize(
    ("given_gap", "said"),
    [
        ((0.2, 0.4), "models that differ more gain more over the better one"),
        ((-0.4, -0.2), "models that differ more gain less over the better one"),
        ((-0.1, 0.3), "it is not clear whether models that differ more gain more over the better one"),
        (None, "it is not clear whether models that differ more gain more over the better one"),
    ],
)
def test_more_different_is_better_is_said_of_equal_gaps_alone(given_gap, said):
    """Whatever the plain correlations say."""
    interval = given_gap and Interval(sum(given_gap) / 2, *given_gap)
    plain = Interval(0.9, 0.8, 1.0)
    asked = [
        Correlation("error_inconsistency", gain, 0.9, 0.1, plain, interval, 78) for gain in ("gain_over_mean", "gain_over_better")
    ]
    first, second = of_difference(asked)
    assert "gain more" not in first
    assert second.endswith(f": {said}")


def test_few_pairs_say_nothing(found):
    (only,) = of_difference(correlations(found))
    assert only == "6 pairs are too few, or too much alike, to say what error inconsistency goes with"


def test_specialisation_is_an_angle_about_equal_confidence():
    labels = np.zeros(3, int)
    one, other = (predicting(labels, labels, np.array(c)) for c in ([0.9, 0.5, 1.0], [0.9, 1.0, 0.5]))
    found = specialisation(one, other)
    assert found[0] == 0
    assert found[1:] == pytest.approx([math.atan2(0.5, 1) - math.pi / 4, math.atan2(1, 0.5) - math.pi / 4])


def test_classes_say_who_is_good_at_what():
    labels = np.repeat([0, 1, 2], [10, 20, 9])
    one, other = labels.copy(), labels.copy()
    one[:2], other[10:25] = 9, 9
    table = by_class(predicting(labels, one), predicting(labels, other))
    assert table.to_dict("list") == {
        "class": [1, 0],
        "images": [20, 10],
        "first_alone": [0.75, 0.0],
        "second_alone": [0.0, 0.2],
        "specialisation": [0.75, -0.2],
    }


def test_the_command_prints_the_document(toy_store, monkeypatch, capsys, found):
    monkeypatch.setenv("DUO_STORE", str(toy_store))
    assert main(["diversity", "--set", "toy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found.table[COLUMNS].to_dict("records")
    assert main(["diversity", "--set", "toy", "--split", "shift"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("toy/shift: 6 pairs of models\n")
    assert "too few" in said


def test_wrong_input_is_one_sentence(toy_store, monkeypatch, capsys):
    monkeypatch.setenv("DUO_STORE", str(toy_store))
    assert main(["diversity", "--set", "toy", "--split", "val"]) == 2
    assert capsys.readouterr().err.startswith("duo diversity: expected a split to judge on, got 'val', which temperatures are")


def test_undefined_is_null(tmp_path, monkeypatch, capsys):
    labels = torch.tensor([0, 1] * 10)
    made = Store(tmp_path)
    made.prepare("sure", title="", classes=["a", "b"], labels={"val": labels, "test": labels.clone()})
    for name in ("one", "two"):
        logits = {split: torch.nn.functional.one_hot(labels, 2) * 2.0 for split in ("val", "test")}
        made.write_model("sure", Card(name, name, "python"), {split: own.clone() for split, own in logits.items()})
    assert main(["diversity", "--set", "sure", "--store", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["phi"], row["conversion"], row["kappa"], row["error_inconsistency"]) == (None, None, 1.0, 0.0)


def test_the_shipped_set_shows_the_trap():
    """Over uneven models, what goes with the gain over the mean goes against the gain over the better member."""
    table = diversity(Store(Path(__file__).parents[1] / "data").open("cifar10")).table
    assert len(table) == 78
    by_gain = {
        gain: spearmanr(table["error_inconsistency"], table[gain]).statistic for gain in ("gain_over_mean", "gain_over_better")
    }
    assert by_gain == pytest.approx({"gain_over_mean": 0.90, "gain_over_better": -0.56}, abs=0.005)
