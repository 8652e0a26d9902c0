"""Lines of ensembles by size, and how far apart two trainings lie by their cards."""

import numpy as np
import pandas as pd
import pytest

from duo_core.analysis.categories import CATEGORIES, category
from duo_core.analysis.sizes import LINES, SINGLES, lines
from duo_core.logits import Card
from duo_core.systems.groups import Group


def row(members, cost, nll_fit, value, rule="fitted", kind="duo"):
    names = tuple(members.split())
    return {
        "name": " + ".join(names), "kind": kind, "rule": rule, "m": len(names), "members": names, "cost": cost, "nll_fit": nll_fit,
        "accuracy": value,
    }  # fmt: skip


TABLE = pd.DataFrame(
    [
        row("large", 100.0, 0.5, 0.80, kind="single"), row("small", 10.0, 0.7, 0.70, kind="single"),
        row("slow", 50.0, 0.8, 0.90, kind="single"), row("small slow", 60.0, 0.60, 0.78), row("large small", 110.0, 0.45, 0.84),
        row("large slow", 150.0, 0.46, 0.83), row("large small slow", 160.0, 0.44, 0.85, kind="trio"),
        row("large small", 110.0, 0.40, 0.99, rule="ensemble"), row("lost", np.nan, 0.1, 0.99, kind="single"),
    ]
)  # fmt: skip
SEEDS = Group("scratch", "net", ("a", "b", "c"))
TRAININGS = pd.DataFrame(
    [
        *(row(name, 10.0, *of, kind="single") for name, of in {"a": (0.7, 0.70), "b": (0.6, 0.74), "c": (0.8, 0.66)}.items()),
        *(row(pair, 20.0, 0.5, value, "ensemble", "deep ensemble") for pair, value in (("a b", 0.8), ("a c", 0.7), ("b c", 0.9))),
        row("a b c", 30.0, 0.4, 0.88, "ensemble", "deep ensemble"),
        row("other", 25.0, 0.55, 0.75, kind="single"),
        row("a other", 35.0, 0.3, 0.95),
    ]
)  # fmt: skip


def test_lines_of_different_models_are_those_that_none_beats_on_the_fit_split():
    found = lines(TABLE, "accuracy", "cost", [])
    by_line = {line: list(part["name"]) for line, part in found.groupby("line", sort=False)}
    assert by_line == {
        SINGLES: ["small", "large"],
        "2 models together": ["small + slow", "large + small"],
        "3 models together": ["large + small + slow"],
    }
    assert list(found.columns) == LINES
    assert found["low"].isna().all()
    assert list(found["cost"]) == [10, 100, 60, 110, 160]
    assert list(found["value"]) == [0.70, 0.80, 0.78, 0.84, 0.85]


def test_lines_of_trainings_are_means_over_their_subsets_with_one_standard_deviation():
    found = lines(TRAININGS, "accuracy", "cost", [SEEDS])
    assert list(dict.fromkeys(found["line"])) == [SINGLES, "net"]
    deep = found[found["line"] == "net"].set_index("m")
    assert list(deep.index) == [1, 2, 3]
    assert list(deep["systems"]) == [3, 3, 1]
    assert list(deep["cost"]) == [10, 20, 30]
    assert list(deep["value"]) == pytest.approx([0.70, 0.80, 0.88])
    for m, values in ((1, [0.70, 0.74, 0.66]), (2, [0.8, 0.7, 0.9]), (3, [0.88])):
        assert deep.loc[m, "high"] - deep.loc[m, "value"] == pytest.approx(np.std(values))
        assert deep.loc[m, "value"] - deep.loc[m, "low"] == pytest.approx(np.std(values))
    singles = found[found["line"] == SINGLES]
    assert list(singles["name"]) == ["b", "other"]


def test_where_no_ensemble_is_there_the_single_models_stand_alone():
    found = lines(TABLE[TABLE["m"] == 1], "accuracy", "cost", [])
    assert set(found["line"]) == {SINGLES}


def card(**facts):
    return Card("m", facts.pop("model", "net"), "python", **facts)


@pytest.mark.parametrize(
    ("one", "other", "place"),
    [
        ({"recipe": "r", "weights_sha256": "1"}, {"recipe": "r", "weights_sha256": "2"}, 0),
        ({"recipe": "r", "weights_sha256": "1"}, {"recipe": "r", "weights_sha256": "1"}, 1),  # copies are no trainings
        ({"recipe": "r"}, {"recipe": "s"}, 1),
        ({}, {}, 1),
        ({}, {"model": "other"}, 2),
        ({"methodology": "supervised"}, {"model": "other"}, 2),  # one of them does not say
        ({"methodology": "supervised"}, {"methodology": "zero-shot"}, 3),
        ({"data": "ImageNet"}, {"data": "LAION"}, 3),
        ({"data": "ImageNet", "methodology": "supervised"}, {"data": "ImageNet", "methodology": "supervised"}, 1),
    ],
)
def test_a_pair_is_of_the_farthest_category_that_its_cards_say(one, other, place):
    assert category(card(**one), card(**other)) == CATEGORIES[place]
    assert category(card(**other), card(**one)) == CATEGORIES[place]
