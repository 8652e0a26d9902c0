"""Calibration, classes, splits and scores as drawn: the tables' numbers, on axes that explain themselves."""

import numpy as np
import pandas as pd
import pytest

from duo_core.analysis.diagnosis import RANKING, by_split, by_uncertainty, reliability
from duo_core.common.arrays import Predictions
from duo_core.figures import diagnosis as figures
from duo_core.figures.screen import SCREEN, metric_title
from duo_core.metrics import METRICS, metrics
from duo_core.metrics.intervals import Interval


@pytest.fixture
def systems(rng):
    labels = rng.integers(0, 3, 400)
    found = {}
    for key, skill in (("uncalibrated", 0.7), ("base", 0.7), ("duo", 0.8), ("uq_only", 0.75)):
        predicted = np.where(rng.random(400) < skill, labels, (labels + 1) % 3)
        confidence = rng.uniform(0.4, 1.0, 400)
        found[key] = Predictions(labels, predicted, confidence, 1 - confidence, *rng.random((3, 400)))
    return found


@pytest.fixture
def tables(systems):
    return {key: reliability(systems[key]) for key in figures.SYSTEMS}


def named(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def notes(figure):
    return [note.text for note in figure.layout.annotations]


def test_reliability_shows_bins_in_percent_beside_the_diagonal(tables):
    figure = figures.reliability_diagram(tables)
    rows = tables["duo"].dropna()
    assert list(named(figure, "Duo").x) == pytest.approx(list(rows["confidence"] * 100))
    assert list(named(figure, "Duo").y) == pytest.approx(list(rows["accuracy"] * 100))
    assert list(named(figure, "Accuracy = confidence").x) == list(named(figure, "Accuracy = confidence").y) == [0, 100]
    assert "best on the diagonal" in figure.layout.yaxis.title.text


def test_a_bins_point_grows_with_its_images(tables):
    sizes, images = named(figures.reliability_diagram(tables), "Duo").marker.size, tables["duo"].dropna()["images"]
    assert np.argmax(sizes) == np.argmax(images)
    assert (np.argsort(sizes) == np.argsort(np.sqrt(images))).all()


def test_before_and_after_are_told_apart_without_colour(tables):
    for figure in (figures.reliability_diagram(tables), figures.confidence_histogram(tables, "wrong")):
        drawn = [named(figure, name) for name in figures.SYSTEMS.values()]
        assert len({trace.line.dash for trace in drawn}) == 3
        assert len({trace.marker.symbol for trace in drawn}) == 3


@pytest.mark.parametrize(("which", "better"), [("wrong", "left"), ("right", "right")])
def test_histograms_count_and_say_where_better_lies(tables, which, better):
    figure = figures.confidence_histogram(tables, which)
    assert np.nansum(named(figure, "Base").y) == tables["base"][which].sum()
    assert figure.layout.xaxis.title.text.endswith(f"further {better} is better")
    assert figure.layout.yaxis.type == "log"


def test_no_wrong_image_says_so(tables):
    perfect = {key: table.assign(wrong=0) for key, table in tables.items()}
    assert notes(figures.confidence_histogram(perfect, "wrong")) == ["No image is wrong."]


@pytest.fixture
def classes():
    rows = {"class": [4, 0, 2], "name": ["e", "a", "c"], "images": [9, 20, 30], "base": [0.5, 0.6, 0.7]}
    return pd.DataFrame(rows).assign(duo=[0.6, 0.6, 0.65], gain=[0.1, 0.0, -0.05])


def test_classes_have_their_intervals_and_stand_in_order(classes):
    found = {4: Interval(0.1, 0.02, 0.2), 0: Interval(0.0, -0.1, 0.1), 2: None}
    figure = figures.class_gains(classes, found, "accuracy")
    sure, unsure = named(figure, "Significant"), named(figure, "Not significant")
    assert (list(sure.y), list(sure.x)) == (["e"], [10])
    assert (list(sure.error_x.array), list(sure.error_x.arrayminus)) == ([pytest.approx(10)], [pytest.approx(8)])
    assert list(unsure.y) == ["a", "c"]
    assert sure.marker.symbol != unsure.marker.symbol
    assert list(figure.layout.yaxis.categoryarray) == ["c", "a", "e"]  # from the bottom up
    assert figure.layout.xaxis.title.text == "Accuracy gained (pp), right is better"
    assert named(figure, "Base").line.dash == figure.layout.shapes[0].line.dash
    assert figures.class_gains(classes, found, "f1").layout.xaxis.title.text.startswith("F1 gained")


@pytest.mark.parametrize("key", METRICS)
def test_splits_show_base_and_duo_with_unit_and_direction(systems, key):
    values = {name: metrics(systems[name]) for name in ("base", "duo")}
    table = by_split({"test": values, "shift": values}, {split: dict.fromkeys(METRICS) for split in ("test", "shift")})
    figure = figures.split_comparison(table, key)
    assert list(named(figure, "Duo").y) == ["test", "shift"]
    assert list(named(figure, "Duo").x) == pytest.approx([values["duo"][key] * SCREEN[key].factor] * 2)
    assert named(figure, "Duo").marker.symbol != named(figure, "Base").marker.symbol
    assert figure.layout.xaxis.title.text == metric_title(key)


def test_splits_far_apart_stand_on_a_logarithmic_axis():
    rows = {"metric": "aurc", "split": ["test", "noise"], "base": [0.007, 0.5], "duo": [0.006, 0.49]}
    table = pd.DataFrame(rows)
    assert figures.split_comparison(table, "aurc").layout.xaxis.type == "log"
    assert figures.split_comparison(table.iloc[:1], "aurc").layout.xaxis.type is None
    assert figures.split_comparison(table.assign(duo=0.0), "aurc").layout.xaxis.type is None


def test_a_metric_undefined_on_every_split_says_so():
    table = pd.DataFrame({"metric": ["auroc"], "split": ["test"], "base": [np.nan], "duo": [np.nan]})
    assert notes(figures.split_comparison(table, "auroc"))[0].startswith("Undefined on every split")


@pytest.mark.parametrize("key", RANKING)
def test_both_scores_stand_on_one_line_a_variant(systems, key):
    table = by_uncertainty({name: systems[name] for name in ("base", "uq_only", "duo")})
    figure = figures.score_comparison(table, key)
    rows = table[table["metric"] == key]
    assert list(named(figure, "Entropy").y) == ["Base", "UQ only", "Duo"]
    assert list(named(figure, "Entropy").x) == pytest.approx(list(rows["entropy"] * SCREEN[key].factor))
    assert named(figure, "Entropy").marker.symbol != named(figure, "1 − max softmax").marker.symbol
    assert figure.layout.xaxis.title.text == metric_title(key)
    undefined = figures.score_comparison(table.assign(softmax=np.nan), key)
    assert notes(undefined) == ["Undefined: every image is right, or every one is wrong."]
