"""Temperatures, by its widgets: the bowl and its sliders, ratios, and refits on fewer images."""

import doctest

import numpy as np
import pytest
import torch
from dashboard import PAIR, labelled, query, table, text_of
from logit_sets import write_set

from app import manual, state
from app.views import temperatures
from duo_core.analysis.bowl import reach
from duo_core.analysis.stability import stability
from duo_core.logits import Card
from duo_core.logits.store import Store
from duo_core.systems.sweep import sweep


@pytest.fixture
def open_temperatures(open_view):
    def opened(question=None, *store, **query):
        return open_view("temperatures", *store, **query | ({"question": question} if question else {}))

    return opened


def test_the_title_says_who_has_more_say(open_temperatures, found):
    app = open_temperatures(**PAIR)
    assert app.title[0].value == temperatures.headline(found.fit, "large", "small")
    assert f"{found.fit.ratio:.1f} times" in app.title[0].value


def test_the_marks_are_the_variants_with_their_nll_on_the_fit_split(open_temperatures, found):
    marks = table(open_temperatures(**PAIR), "The marks as numbers").set_index("mark")
    assert marks.loc["Duo, fitted"].to_list() == pytest.approx([*found.fit.temperatures, found.fit.nll["duo"]])
    assert marks.loc["Base alone"].to_list() == pytest.approx([found.fit.calibration.base, 0, found.fit.nll["base"]])
    assert marks.loc["Sidekick alone"].to_list() == pytest.approx([0, found.fit.calibration.sidekick, found.fit.nll["sidekick"]])
    assert marks.loc["Unweighted", "T_base"] == pytest.approx(found.fit.calibration.base / 2)
    assert (marks["nll"] >= found.fit.nll["duo"]).all()


def test_the_bowl_reaches_from_nothing_to_twice_what_is_learned(open_temperatures, found):
    bowl = table(open_temperatures(**PAIR), "The bowl as numbers")
    assert len(bowl) == 41 * 41
    assert (bowl["T_base"].min(), bowl["T_base"].max()) == (0, pytest.approx(reach(found.fit, "base")))
    assert bowl["nll"].min() == pytest.approx(found.fit.nll["duo"], abs=1e-3)


@pytest.mark.parametrize("name", ["temperatures", "explore"])
def test_temperatures_by_hand_stand_in_the_address_which_opens_them(open_view, name, found):
    app = open_view(name, **PAIR)
    assert "t_base" not in query(app)
    labelled(app.slider, "T_sidekick · small").set_value(0.0).run()
    address = query(app)
    assert float(address["t_sidekick"]) == 0
    assert float(address["t_base"]) == pytest.approx(found.fit.temperatures.base, rel=1e-5)
    elsewhere = open_view(name, **address)
    assert labelled(elsewhere.slider, "T_sidekick · small").value == 0
    assert labelled(elsewhere.metric, "NLL, fit split").value == labelled(app.metric, "NLL, fit split").value
    app.button(key="learned").click().run()
    assert "t_base" not in query(app)
    assert labelled(app.slider, "T_sidekick · small").value == pytest.approx(found.fit.temperatures.sidekick)


@pytest.mark.parametrize("told", ["", "nan", "x", "1e9", "-3"])
def test_a_temperature_that_is_none_in_an_address_does_no_harm(open_view, told, found):
    app = open_view("temperatures", **PAIR, t_sidekick=told)
    value = labelled(app.slider, "T_sidekick · small").value
    assert 0 <= value <= reach(found.fit, "sidekick")


def test_another_pair_begins_at_its_own_temperatures(open_view):
    app = open_view("temperatures", **PAIR)
    labelled(app.slider, "T_sidekick · small").set_value(0.0).run()
    app.button(key="swap").click().run()
    assert "t_base" not in query(app)


@pytest.mark.parametrize("name", ["temperatures", "explore"])
def test_sliders_are_judged_live_and_go_back(open_view, name):
    app = open_view(name, **PAIR)
    learned = labelled(app.metric, "NLL, fit split").value
    assert app.button(key="learned").disabled
    labelled(app.slider, "T_sidekick · small").set_value(0.0).run()
    assert not app.exception
    moved = labelled(app.metric, "NLL, fit split")
    assert float(moved.value) > float(learned)  # the learned ones are the best there are
    assert moved.proto.color == moved.proto.GRAY  # it has no interval
    assert not app.button(key="learned").disabled
    app.button(key="learned").click().run()
    assert labelled(app.metric, "NLL, fit split").value == learned


def test_with_the_sidekick_off_the_cards_are_the_bases(open_temperatures, found):
    app = open_temperatures(**PAIR)
    labelled(app.slider, "T_sidekick · small").set_value(0.0).run()
    assert labelled(app.metric, "Accuracy").value == f"{found.metrics['base']['accuracy']:.1%}".replace("%", " %")


def test_a_click_on_the_bowl_moves_the_sliders_and_a_second_one_does_not(monkeypatch):
    session = {}
    monkeypatch.setattr(manual.st, "session_state", session)
    manual.take_point({"selection": {"points": [{"x": 0.25, "y": 0.5, "customdata": 0.19}]}}, ("b", "s"))
    assert session == {"b": 0.25, "s": 0.5}
    manual.take_point({"selection": {"points": []}}, ("b", "s"))
    manual.take_point(None, ("b", "s"))
    assert session == {"b": 0.25, "s": 0.5}


def test_every_pair_has_its_sliders(open_temperatures):
    app = open_temperatures(**PAIR)
    labelled(app.slider, "T_base · large").set_value(0.0).run()
    app.selectbox(key="sidekick").set_value("tiny").run()
    assert not app.exception
    assert labelled(app.slider, "T_base · large").value > 0
    assert app.button(key="learned").disabled


def test_ratios_are_those_of_the_sweep(open_temperatures, toy_store):
    app = open_temperatures("ratios", **PAIR)
    expected = sweep(Store(toy_store).open("toy"), ["test"]).query("variant == 'duo'").set_index(["base", "sidekick"])["T_ratio"]
    every = table(app, "All ratios as numbers").set_index(["base", "sidekick"])["T_ratio"]
    assert every.to_dict() == pytest.approx(expected.to_dict(), nan_ok=True)
    of_base = table(app, "The ratios as numbers").set_index("sidekick")["T_ratio"]
    assert of_base.to_dict() == pytest.approx(expected["large"].to_dict(), nan_ok=True)
    assert "rank correlation" in text_of(app)


def test_refits_are_those_of_the_fit_split_judged_on_the_chosen_one(open_temperatures, toy_store, found):
    own = Store(toy_store).open("toy")
    splits = [(own.logits("large", s), own.logits("small", s), own.labels[s]) for s in ("val", "shift")]
    expected = stability(*splits, found.fit)
    shown = table(open_temperatures("images", **PAIR | {"split": "shift"}), "The refits as numbers")
    assert shown["size"].to_list() == expected["size"].to_list()
    assert shown["aurc"].to_list() == pytest.approx(expected["aurc"].to_list())


@pytest.mark.parametrize("key", ["nll", "aurc", "accuracy"])
def test_refits_are_judged_by_what_is_chosen(open_temperatures, key):
    app = open_temperatures("images", **PAIR)
    app.button_group(key="judged").set_value(key).run()
    assert not app.exception
    assert query(app).get("judged", "nll") == key
    label = {"nll": "NLL", "aurc": "AURC", "accuracy": "Accuracy"}[key]
    assert f"beat the base alone in {label} on test" in text_of(app)


def test_the_seed_draws_other_samples_and_stands_in_the_address(open_temperatures):
    app = open_temperatures("images", **PAIR)
    assert "seeds 0 to 19" in text_of(app)
    before = table(app, "The refits as numbers")["nll"]
    app.number_input(key="fit_seed").set_value(3).run()
    assert not app.exception
    assert "seeds 60 to 79" in text_of(app)
    assert query(app)["fit_seed"] == "3"
    after = table(app, "The refits as numbers")["nll"]
    assert not set(before[:-1]) & set(after[:-1])
    assert after.iloc[-1] == before.iloc[-1]
    there = open_temperatures(**query(app))
    assert there.number_input(key="fit_seed").value == 3


def test_a_large_set_is_refitted_when_asked(open_temperatures, monkeypatch):
    monkeypatch.setattr(state, "LIVE", 1000)
    app = open_temperatures("images", **PAIR)
    assert "take some seconds" in text_of(app)
    assert not any(e.label == "The refits as numbers" for e in app.expander)
    app.button(key="refit").click().run()
    assert not app.exception
    assert any(e.label == "The refits as numbers" for e in app.expander)


def test_a_tiny_fit_split_says_why_there_are_no_refits(open_temperatures, tmp_path):
    text = text_of(open_temperatures("images", write_set(tmp_path, n=20)))
    assert "The fit split has 20 images; there is no smaller size to try." in text


def test_unknown_costs_are_said(open_temperatures, tmp_path):
    app = open_temperatures("ratios", write_set(tmp_path, costs=False))
    assert "their own accuracy instead" in app.info[0].value


def test_every_metric_and_both_uncertainties_draw(open_temperatures):
    app = open_temperatures(**PAIR)
    app.button_group(key="uncertainty").set_value("entropy").run()
    assert not app.exception
    app.button(key="swap").click().run()
    assert not app.exception
    assert "small" in app.title[0].value


def test_a_sampled_bowl_says_of_how_many_images():
    assert "5,000 of the 20,000 images, drawn by class with seed 0, of the fit split" in temperatures.coverage(5000, 20000)


def test_every_question_opens_its_part_and_stands_in_the_address(open_temperatures):
    app = open_temperatures(**PAIR)
    seen = {}
    for question in temperatures.QUESTIONS:
        app.button_group(key="question").set_value(question).run()
        assert not app.exception
        assert query(app).get("question", "bowl") == question
        seen[question] = {e.label for e in app.expander if e.dataframe}
    assert seen["bowl"] == {"The marks as numbers", "The bowl as numbers"}
    assert seen["ratios"] == {"The ratios as numbers", "All ratios as numbers"}
    assert seen["images"] == {"The refits as numbers"}


def test_a_fit_split_that_is_separated_draws_and_says_so(open_temperatures, tmp_path):
    labels = {split: torch.arange(60) % 3 for split in ("val", "test")}
    store = Store(tmp_path)
    store.prepare("sure", title="Sure", classes=["a", "b", "c"], labels=labels)
    for place, model in enumerate(("one", "two")):
        logits = {split: torch.nn.functional.one_hot(y, 3).float() * (3 + place) for split, y in labels.items()}
        store.write_model("sure", Card(name=model, model=model, source="python", multiply_adds=10 - place), logits)
    app = open_temperatures(store=tmp_path)
    assert "perfect separation" in app.warning[0].value
    assert np.isfinite(table(app, "The bowl as numbers")["nll"]).all()
    app.button_group(key="question").set_value("images").run()
    assert not app.exception
    assert (
        "In 41 of 41 samples of up to 60 images, some weighting gets every image right, so no finite temperature is best."
        in text_of(app)
    )


def test_sentences_are_as_their_examples_say():
    found = doctest.testmod(temperatures)
    assert found.attempted > 5
    assert found.failed == 0
