"""Soups as they are shown: on the Zoo page by their cards, on Method by two examples that are computed."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from dashboard import open_page, text_of
from hypothesis import given
from hypothesis import strategies as st

from duo_core.figures.soups import accuracy_between, stock_angle
from duo_core.logits import Card
from duo_core.logits.store import Store
from duo_core.teaching import soups
from duo_core.wording import training as wording

ANCHOR = "a1b2c3d4e5f60718"


def ingredient(trial, right, *, kept, drop=None):
    score = {"metric": "accuracy", "right": right, "n": 200, "nll": 0.5, "macro_f1": 0.9}
    return {
        "name": f"trial {trial}",
        "weights_sha256": f"{trial}" * 64,
        "trial": trial,
        "learning_rate": 1e-4,
        "weight_decay": 1e-8,
        "score": score,
        "kept": kept,
        "drop": drop,
        "copy": False,
    }


TRIAL = {
    "methodology": "LP-FT",
    "run": "net",
    "recipe": {"name": "paper", "epochs": 16},
    "seed": 7,
    "trial": 3,
    "learning_rate": 2e-4,
    "weight_decay": 1e-7,
    "best_epoch": 12,
    "anchor": ANCHOR,
    "training_multiply_adds": 3_000_000_000_000,
}
SOUP = {
    **{key: TRIAL[key] for key in ("run", "recipe", "seed", "anchor")},
    "methodology": "greedy soup",
    "training_multiply_adds": 9_000_000_000_000,
    "score": {"metric": "accuracy", "right": 182, "n": 200, "nll": 0.4, "macro_f1": 0.91},
    "ingredients": [
        ingredient(3, 180, kept=True),
        ingredient(1, 178, kept=False, drop=0.0125),
        ingredient(0, 175, kept=True, drop=-0.01),
    ],
}


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """Opens the page on a set of one trial, one soup and one model that says nothing of its training; cards can be changed."""
    monkeypatch.setenv("DUO_STORE", str(tmp_path))

    def opened(trained=None):
        random = torch.Generator().manual_seed(0)
        labels = {split: torch.randint(0, 3, (60,), generator=random) for split in ("val", "test")}
        Store(tmp_path).prepare("s", title="Set", classes=["a", "b", "c"], labels=labels)
        for name, training in ({"net-003": TRIAL, "net-greedy": SOUP, "other": None} if trained is None else trained).items():
            logits = {split: torch.randn(60, 3, generator=random) for split in labels}
            card = Card(name, f"own/{name}", "checkpoint", multiply_adds=10, training=training)
            Store(tmp_path).write_model("s", card, logits)
        return open_page("zoo")

    return opened


def trained_table(app):
    return next(frame.value for frame in app.dataframe if "cost" in frame.value)


def test_a_trained_model_shows_recipe_seed_rate_and_cost(zoo):
    app = zoo()
    rows = trained_table(app).set_index("model")
    assert sorted(rows.index) == ["net-003", "net-greedy"]
    assert rows.loc["net-003", ["recipe", "seed", "learning_rate", "cost"]].tolist() == ["paper", 7, 2e-4, 3e12]
    assert rows.loc["net-greedy", "method"] == "greedy soup"
    assert rows.loc["net-greedy", "cost"] == 9e12
    assert wording.WHAT_A_SOUP_COSTS in text_of(app)


def test_a_soups_card_shows_ingredients_anchor_and_method(zoo):
    app = zoo()
    assert [heading.value for heading in app.subheader] == ["net-greedy"]
    text = text_of(app)
    assert "Greedy soup of 2 of 3 trials. 182 of 200 validation images right, its best ingredient 180." in text
    assert "All start from the anchor `a1b2c3d4e5f6`." in text
    table = next(frame.value for frame in app.dataframe if "drop" in frame.value)
    assert table["kept"].tolist() == ["yes", "no", "yes"]
    assert table["weights_sha256"].tolist() == ["3" * 12, "1" * 12, "0" * 12]
    assert table["drop"][1:].tolist() == pytest.approx([1.25, -1.0])
    assert math.isnan(table["drop"][0])


def test_sets_of_other_models_say_nothing_of_training(zoo):
    assert "How were they trained?" not in text_of(zoo({"large": None, "small": None}))


def test_what_others_wrote_into_a_card_is_text_and_stops_nothing(zoo):
    odd = {"methodology": "<b>![x](y)</b>", "recipe": [1], "ingredients": [{"name": "[a](b)", "score": 3}, "x"], "anchor": "`x`"}
    app = zoo({"one": odd, "two": {"ingredients": None, "seed": "s"}})
    assert "<b>" not in text_of(app)
    assert "anchor `" not in text_of(app)
    assert len(trained_table(app)) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"ingredients": SOUP["ingredients"][:2]},
            "Greedy soup of 1 of 2 trials: the best single trial, as adding any other did not help.",
        ),
        ({"methodology": "Model Stock", "clamped": ["a", "b"]}, "2 tensors were left at the anchor"),
        ({"score": None, "anchor": None}, "Greedy soup of 2 of 3 trials."),
    ],
)
def test_a_soup_in_a_line(change, said):
    assert said in wording.soup_line({**SOUP, **change})


@given(st.floats(1.0, 179.0))
def test_stocks_point_is_that_of_its_definition(degrees):
    found = soups.angle(degrees)
    cosine = math.cos(math.radians(degrees))
    ratio = max(0.0, 2 * cosine / (1 + cosine))
    assert found.cosine == pytest.approx(cosine, abs=1e-12)
    assert found.ratio == pytest.approx(ratio, abs=1e-12)
    assert found.stock == pytest.approx((ratio * found.mean[0], 0.0), abs=1e-12)
    if cosine > 0:  # orthogonal to what the trials differ by, and to what is left to the first of them
        rest = np.subtract(found.trials[0], found.stock)
        assert np.dot(found.stock, np.subtract(*found.trials)) == pytest.approx(0, abs=1e-12)
        assert np.dot(found.stock, rest) == pytest.approx(found.stock[0] * (found.mean[0] - found.stock[0]), abs=1e-12)


def test_between_trials_of_one_anchor_nothing_is_lost_and_between_others_much():
    table = soups.between()
    lines = {pair: own["accuracy"].to_numpy() for pair, own in table.groupby("pair", sort=False)}
    assert list(lines) == [soups.SAME, soups.APART]
    assert lines[soups.SAME].min() > 0.95
    assert lines[soups.SAME][10] >= min(lines[soups.SAME][[0, -1]])
    assert lines[soups.APART][[0, -1]].min() > 0.95
    assert lines[soups.APART][10] < 0.7
    pd.testing.assert_frame_equal(table, soups.between.__wrapped__())


def test_the_pictures_show_what_was_computed():
    table = soups.between()
    figure = accuracy_between(table)
    assert [trace.name for trace in figure.data] == [soups.SAME, soups.APART]
    assert list(figure.data[0].y) == pytest.approx(list(table["accuracy"][: soups.PLACES] * 100))
    found = soups.angle(60.0)
    traces = {trace.name: trace for trace in stock_angle(found.trials, found.mean, found.stock).data}
    assert (traces["Model Stock"].x[0], traces["Model Stock"].y[0]) == found.stock
    assert stock_angle(found.trials, found.mean, found.stock).layout.yaxis.scaleanchor == "x", "an angle looks as large as it is"
    assert (traces["First trial"].x[1], traces["First trial"].y[1]) == found.trials[0]


def test_method_says_what_a_soup_is(tmp_path, monkeypatch):
    monkeypatch.setenv("DUO_STORE", str(tmp_path))
    app = open_page("method")
    text = text_of(app)
    assert "A **soup** is the average of the weights" in text
    assert "Their cosine is c = 0.50, so **Model Stock** goes t = 0.67 of the way" in text
    assert len(app.get("plotly_chart")) == 2
