"""The page by its widgets: every control, every empty or wrong state; what only a browser shows is in test_browser."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from dashboard import go, labelled, open_page, query, step, text_of
from logit_sets import write_set

from app import link, manual, state, together
from app.state.caches import CACHE, Key
from app.views import explore
from duo_core.analysis.advice import AFFORDABLE
from duo_core.analysis.guarantee import ASSUMPTION
from duo_core.cli.thresholds import document
from duo_core.common.plaintext import escaped
from duo_core.figures.screen import SCREEN
from duo_core.logits.store import DEFAULT_STORE, Store
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval, differences
from duo_core.systems.duo import Fit, Temperatures
from duo_core.systems.sweep import evaluate
from duo_core.wording import promising, words

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    path = write_set(tmp_path_factory.mktemp("toy"))
    return write_set(path, "other", models=("large", "middle"), splits=("val", "test"))


@pytest.fixture
def open_app(monkeypatch):
    def opened(store, **query):
        monkeypatch.setenv("DUO_STORE", str(store))
        return open_page(**query)

    return opened


def test_the_first_view_is_the_most_accurate_base_and_its_best_affordable_sidekick(open_app, toy):
    app = open_app(toy, set="toy")
    own = Store(toy).open("toy")
    accuracy = {m: (own.logits(m, "val").argmax(1) == own.labels["val"]).double().mean().item() for m in own.models()}
    base = app.selectbox(key="base").value
    assert base == max(["large", "middle"], key=accuracy.get)
    affordable = [o for o in own.models() if o != base and own.flops_balance(base, o) <= AFFORDABLE]
    best = min(affordable, key=lambda o: evaluate(own, base, o).fit.nll["duo"])
    assert app.selectbox(key="sidekick").value == best


def test_an_untouched_view_has_a_clean_address(open_app, toy):
    assert query(open_app(toy)) == {}


def test_cards_show_the_duo_and_its_difference_to_the_base(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="small")
    found = evaluate(Store(toy).open("toy"), "large", "small").metrics
    for key, label in {"accuracy": "Accuracy", "auroc": "AUROC", "aurc": "AURC × 1000", "sac98": "SAC@98"}.items():
        card = next(m for m in app.metric if m.label == label)
        assert card.value == SCREEN[key].text(found["duo"][key])
    aurc = next(m for m in app.metric if m.label == "AURC × 1000")
    difference = 1000 * (found["duo"]["aurc"] - found["base"]["aurc"])
    assert aurc.delta == f"{difference:+.2f}".replace("-", "−")


def test_every_difference_on_a_card_has_its_interval_and_a_sentence_says_what_stands(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="small")
    found = evaluate(Store(toy).open("toy"), "large", "small").predictions
    keys = {"Accuracy": "accuracy", "AUROC": "auroc", "AURC × 1000": "aurc", "SAC@98": "sac98"}
    gains = differences(found["duo"], found["base"], keys=keys.values())
    for label, key in keys.items():
        card = labelled(app.metric, label)
        assert card.proto.delta_description == words.within(key, gains[key])
    assert words.standing(gains) in text_of(app)
    assert "With other images of this kind, accuracy would be " in text_of(app)
    assert "2,000 times (seed 0)" in text_of(app)
    assert "not which images the temperatures were fitted on" in text_of(app)


def test_the_title_says_what_the_duo_buys_for_how_much(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="small")
    accuracy = {key: m["accuracy"] for key, m in evaluate(Store(toy).open("toy"), "large", "small").metrics.items()}
    before, after = (f"{100 * (1 - accuracy[key]):.1f} %" for key in ("base", "duo"))
    assert app.title[0].value.startswith("10 % more compute, ")
    assert before in app.title[0].value
    assert after in app.title[0].value


SHIPPED_UNCLEAR = {"set": "imagenet-like", "base": "mobilenetv2_100", "sidekick": "mobilenetv1_050"}
"""A shipped pair whose differences are all within chance."""


def test_colour_and_headline_claim_nothing_where_intervals_hold_0(open_app):
    app = open_app(DEFAULT_STORE, **SHIPPED_UNCLEAR)
    assert app.title[0].value == "25 % more compute, no clear difference in errors: 15.3 % and 14.6 %"
    cards = app.metric[:4]
    assert [card.delta for card in cards] == ["+0.71 pp", "−0.006", "−1.02", "+5.29 pp"]
    for card in cards:
        assert (card.proto.color, card.proto.direction) == (card.proto.GRAY, card.proto.NONE)
        assert card.proto.delta_description.endswith(" · no clear difference")
    assert "No clear difference (not significant): accuracy, AUROC, AURC and SAC@98." in text_of(app)


def test_colour_and_headline_follow_the_intervals_of_each_shipped_pair(open_app):
    for address in ({"set": "imagenet-like", "sidekick": "mobilenetv1_075"}, {"set": "cifar10"}):
        app = open_app(DEFAULT_STORE, **address)
        names = {key: app.session_state[key] for key in ("set", "split", "base", "sidekick")}
        found = evaluate(Store(DEFAULT_STORE).open(names["set"]), names["base"], names["sidekick"], names["split"])
        gains = differences(found.predictions["duo"], found.predictions["base"], keys=("accuracy", "auroc", "aurc", "sac98"))
        for card, (key, gain) in zip(app.metric[:4], gains.items(), strict=True):
            better = gain.estimate > 0 if METRICS[key].higher_is_better else gain.estimate < 0
            expected = "GRAY" if gain.low <= 0 <= gain.high else "GREEN" if better else "RED"
            assert card.proto.color == getattr(card.proto, expected), key
        assert ("no clear difference" in app.title[0].value) == (not gains["accuracy"].stands)


def test_labels_hold_accuracy_and_balance(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="small")
    assert any(re.fullmatch(r"small · \+10 % · \d\d\.\d %", option) for option in app.selectbox(key="sidekick").options)


def test_the_fit_line_states_the_temperatures(open_app, toy):
    found = evaluate(Store(toy).open("toy"), "large", "small").fit
    line = text_of(open_app(toy, set="toy", base="large", sidekick="small"))
    assert f"**T_base {found.temperatures.base:.3f}** · **T_sidekick {found.temperatures.sidekick:.3f}**" in line
    assert f"Fitted on 300 images in {found.steps} Newton steps, " in line


def test_changing_the_set_keeps_what_fits_and_resets_what_does_not(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="tiny", split="shift")
    app.selectbox(key="set").set_value("other").run()
    assert not app.exception
    assert (app.selectbox(key="base").value, app.selectbox(key="sidekick").value) == ("large", "middle")
    assert app.selectbox(key="split").value == "test"


def test_a_link_to_a_model_and_itself_finds_another_sidekick(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="large")
    assert (app.selectbox(key="base").value, app.selectbox(key="sidekick").value) == ("large", "middle")
    assert query(app)["sidekick"] == "middle"


def test_changing_the_base_to_the_sidekick_finds_another_sidekick(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="small")
    app.selectbox(key="base").set_value("small").run()
    assert not app.exception
    assert app.selectbox(key="sidekick").value != "small"


def test_every_metric_and_both_uncertainties_draw(open_app, toy):
    app = open_app(toy, set="toy")
    for key in METRICS:
        app.selectbox(key="metric").set_value(key).run()
        assert not app.exception
        assert query(app).get("metric", "aurc") == key
    before = next(m for m in app.metric if m.label == "AUROC").value
    app.button_group(key="uncertainty").set_value("entropy").run()
    assert not app.exception
    assert query(app)["uncertainty"] == "entropy"
    assert next(m for m in app.metric if m.label == "AUROC").value != before


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"set": "gone"}, "the logit set **gone**"),
        ({"set": "toy", "split": "moon"}, "the split **moon**"),
        ({"set": "toy", "base": "huge"}, "the base **huge**"),
        ({"set": "toy", "sidekick": "<b>"}, r"the sidekick **\<b\>**"),
    ],
)
def test_a_link_to_what_is_not_here_says_so_once(open_app, toy, query, said):
    app = open_app(toy, **query)
    assert f"This link names {said}, which is not here." in text_of(app)
    assert "This link names" not in text_of(app.run())


def test_another_set_is_no_link_to_models_that_are_not_there(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="tiny")
    app.selectbox(key="set").set_value("other").run()
    assert "This link names" not in text_of(app)


def test_swap_changes_places_and_the_address(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="small")
    app.button(key="swap").click().run()
    assert not app.exception
    assert (app.selectbox(key="base").value, app.selectbox(key="sidekick").value) == ("small", "large")
    assert query(app) == {"set": "toy", "split": "test", "base": "small", "sidekick": "large"}
    assert app.title[0].value.startswith("1000 % more compute")


def test_presets_take_the_sidekick_they_name(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="middle")
    own = Store(toy).open("toy")
    nll = {other: evaluate(own, "large", other).fit.nll["duo"] for other in ("middle", "small", "tiny")}
    expected = {"Best under +15 %": min(("small", "tiny"), key=nll.get), "Best": min(nll, key=nll.get), "Cheapest": "tiny"}
    for preset, sidekick in expected.items():
        app.button_group(key="preset").set_value(preset).run()
        assert not app.exception
        assert app.selectbox(key="sidekick").value == sidekick


def test_presets_do_not_follow_the_judged_metric_and_show_which_the_pair_is(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="tiny")
    assert app.session_state["preset"] in {"Cheapest", "Best under +15 %"}
    own = Store(toy).open("toy")
    nll = {other: evaluate(own, "large", other).fit.nll["duo"] for other in ("middle", "small", "tiny")}
    app.selectbox(key="metric").set_value("sac98").run()
    app.button_group(key="preset").set_value("Best").run()
    assert nll[app.selectbox(key="sidekick").value] == min(nll.values())


def test_without_costs_only_the_best_is_a_preset(open_app, tmp_path):
    app = open_app(write_set(tmp_path, costs=False))
    assert app.button_group(key="preset").options == ["Best"]


def test_an_address_opens_its_view(open_app, toy):
    there = {"set": "toy", "split": "shift", "base": "middle", "sidekick": "tiny", "metric": "ece", "coverage": "63"}
    app = open_app(toy, **there)
    assert {key: str(app.session_state[key]) for key in there} == there
    assert query(app) == there
    assert app.slider(key="coverage").value == 63


def test_invalid_values_in_the_address_fall_back_quietly(open_app, toy):
    app = open_app(toy, set="none", split="x", base="x", sidekick="x", metric="x", uncertainty="x", coverage="x")
    assert not app.warning
    assert not app.error
    assert query(app) == {}


def test_back_and_forward_move_the_view(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="small")
    app.selectbox(key="sidekick").set_value("tiny").run()
    app.query_params["sidekick"] = "small"
    app.run()
    assert app.selectbox(key="sidekick").value == "small"


def test_coverage_sets_the_sentence(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="small")
    assert "Of the surest 80 %, **" in text_of(app)
    app.slider(key="coverage").set_value(50).run()
    assert "Of the surest 50 %, **" in text_of(app)
    assert query(app)["coverage"] == "50"


@pytest.mark.parametrize("split", ["test", "shift"])
def test_thresholds_for_a_target_are_those_of_the_command(open_app, toy, split):
    app = open_app(toy, set="toy", base="large", sidekick="small", split=split)
    for target, confidence in (("5", "95"), ("10", "90"), ("10", "99"), ("0.1", "99")):
        app.select_slider(key="target").set_value(target).run()
        app.button_group(key="confidence").set_value(confidence).run()
        assert not app.exception
        assert query(app)["target"] == target
        assert query(app).get("confidence", "95") == confidence
        found = document(
            Store(toy).open("toy"), "large", "small", split=split, targets=[float(target) / 100], confidence=float(confidence) / 100
        )
        rows = [e for system in ("duo", "base") for e in found["thresholds"] if e["system"] == system]
        shown = app.table[0].value
        assert shown.index.tolist() == ["Duo", "Duo", "Duo", "Base", "Base", "Base"]
        for line, entry in zip(shown.to_dict("records"), rows, strict=True):
            assert line[f"On {split}"].startswith(f"{entry['judged']['coverage'] * 100:.1f} % answered")
            assert line["On val"].startswith(f"{entry['fit']['coverage'] * 100:.1f} % answered")
            risk = entry["judged"]["risk"]
            assert line["Target"] == (
                "– nothing answered" if np.isnan(risk) else "✓ met" if risk <= float(target) / 100 else "✗ missed"
            )


def test_what_a_promise_rests_on_is_said_and_computed(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="small")
    assert ASSUMPTION in text_of(app)
    assert "Nothing speaks against that here: large is wrong on " in text_of(app)


def test_a_split_of_another_kind_is_promised_nothing(open_app, tmp_path):
    store = Store(write_set(tmp_path, splits=("val", *(f"shift{i}" for i in range(1, 7)))))
    own = store.open("toy")
    wrong = {split: 1 - float((own.logits("large", split).argmax(1) == own.labels[split]).double().mean()) for split in own.labels}
    app = open_app(tmp_path, set="toy", base="large", sidekick="small", split="shift6")
    assert (
        f"Here that fails: large is wrong on {words.percent(wrong['val'])} of val and on {words.percent(wrong['shift6'])} of shift6"
        in (text_of(app))
    )
    assert "**nothing is guaranteed on shift6**" in text_of(app)


def test_words_for_what_a_threshold_gives():
    row = {"threshold": 0.2, "judged_coverage": 0.5, "judged_risk": 0.03, "met": False}
    assert promising.promise_line(row, 0.02, "test").endswith("**target missed** ✗.")
    nothing = float("nan")
    assert "answers nothing" in promising.promise_line(row | {"threshold": nothing}, 0.02, "test")
    assert promising.promise_line(row | {"judged_risk": nothing}, 0.02, "test") == "answers nothing of test."


def test_words_for_significant_gains_and_losses_and_for_unclear_differences():
    up, down, chance = Interval(0.02, 0.01, 0.03), Interval(-0.02, -0.03, -0.01), Interval(0.0, -0.01, 0.01)
    assert words.standing({"accuracy": up, "auroc": chance}).endswith(
        "1.00 to 3.00 percentage points (pp) above the base (95 % interval). **Significantly better: accuracy.** No clear "
        "difference (not significant): AUROC."
    )
    # Lower is better: to lie below is a gain.
    assert "**Significantly better: AURC.** **Significantly worse: accuracy and AUROC.**" in words.standing(
        {"accuracy": down, "auroc": down, "aurc": down}
    )
    assert "accuracy would be 1.00 below to 1.00 percentage points (pp) above the base" in words.standing({"accuracy": chance})
    assert words.would_be("accuracy", Interval(0.0, 0.0, 0.0)) == "the same as the base"
    assert words.would_be("accuracy", Interval(0.01, 0.0, 0.02)) == "0.00 to 2.00 percentage points (pp) above the base"
    assert words.would_be("accuracy", Interval(-0.01, -0.02, 0.0)) == "0.00 to 2.00 percentage points (pp) below the base"
    assert words.standing({"auroc": None, "sac98": None}) == "AUROC and SAC@98 have no interval."


def test_every_chart_has_its_numbers(open_app, toy):
    app = open_app(toy, set="toy", base="large", sidekick="small")
    tables = {e.label: e.dataframe[0].value for e in app.expander if e.dataframe}
    assert list(tables) == ["The curves as numbers", "The sidekicks as numbers", "The ratios as numbers"]
    curves, sidekicks, ratios = tables.values()
    found = evaluate(Store(toy).open("toy"), "large", "small")
    assert curves["duo"].iloc[-1] == pytest.approx(1 - found.metrics["duo"]["accuracy"])
    row = sidekicks.query("sidekick == 'small' and variant == 'duo'").iloc[0]
    assert row["aurc"] == pytest.approx(found.metrics["duo"]["aurc"])
    assert row["parameter_balance"] == pytest.approx(0.1)
    assert list(ratios["sidekick"]) == ["middle", "small", "tiny"]


def test_an_empty_store_says_how_to_fill_it(open_app, tmp_path):
    app = open_app(tmp_path)
    assert "No logit set yet" in text_of(app)
    assert "duo logits" in text_of(app)


def test_one_model_asks_for_another(open_app, tmp_path):
    text = text_of(open_app(write_set(tmp_path, models=("large",))))
    assert "One more model is needed" in text
    assert "only large" in text


@pytest.mark.parametrize(("splits", "missing"), [(("test",), "`val` to fit on"), (("val",), "a split to judge on")])
def test_a_missing_split_is_named(open_app, tmp_path, splits, missing):
    text = text_of(open_app(write_set(tmp_path, splits=splits)))
    assert "A split is missing" in text
    assert missing in text


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_broken_model_is_named_and_the_others_stay(open_app, tmp_path, damage):
    file = write_set(tmp_path) / "toy" / "small.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 255
    file.write_bytes(data[:-40] if damage == "truncated" else data)
    app = open_app(tmp_path)
    assert "1 model is left out" in app.warning[0].value
    assert escaped("small.safetensors") in app.warning[0].value
    assert len(app.selectbox(key="base").options) == 3
    assert app.metric


def test_a_repaired_model_comes_back(open_app, tmp_path):
    file = write_set(tmp_path) / "toy" / "small.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:-40])
    app = open_app(tmp_path)
    file.write_bytes(data)
    app.run()
    assert not app.warning
    assert len(app.selectbox(key="base").options) == 4


def test_a_model_altered_after_its_pairs_were_remembered_is_named_when_its_pair_is_opened(open_app, tmp_path):
    write_set(tmp_path)
    open_app(tmp_path, set="toy", base="large", sidekick="middle")
    file = tmp_path / "toy" / "tiny.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    app = open_app(tmp_path, set="toy", base="large", sidekick="tiny")
    assert "was altered after it was written" in text_of(app)
    assert open_app(tmp_path, set="toy", base="large", sidekick="small").metric


def test_a_broken_set_says_what_is_wrong(open_app, tmp_path):
    (write_set(tmp_path) / "toy" / "set.json").write_text("{}")
    text = text_of(open_app(tmp_path))
    assert "This logit set cannot be read" in text
    assert escaped("set.json") in text


def test_unknown_costs_are_said_and_charts_are_drawn(open_app, tmp_path):
    app = open_app(write_set(tmp_path, costs=False))
    assert app.title[0].value.startswith("Cost unknown, ")
    assert "their own accuracy instead" in app.info[0].value
    assert not any("FLOPs" in option for option in app.selectbox(key="sidekick").options)


def test_other_labels_are_other_results(open_app, tmp_path):
    app = open_app(write_set(tmp_path), base="large", sidekick="small")
    before = app.title[0].value
    shutil.rmtree(tmp_path / "toy")
    write_set(tmp_path, n=200)
    app.run()
    assert app.title[0].value != before


def test_the_key_of_a_pair_knows_labels_as_well_as_logits(toy):
    own = Store(toy).open("toy")
    one = state.Handle(own, "", {"val": "a", "test": "b"})
    other = state.Handle(own, "", {"val": "a", "test": "c"})
    assert one.pair("large", "small", "test") != other.pair("large", "small", "test")
    assert one.pair("large", "small", "test") != one.pair("small", "large", "test")


def test_a_second_click_on_a_point_is_ignored(monkeypatch):
    session = {"sidekick": "small", "chart": {"selection": {"points": []}}}
    monkeypatch.setattr(st, "session_state", session)
    link.choose_sidekick("chart")
    assert session["sidekick"] == "small"
    session["chart"] = {"selection": {"points": [{"customdata": "tiny"}]}}
    link.choose_sidekick("chart")
    assert (session["sidekick"], session["touched"]) == ("tiny", True)


def test_a_click_on_a_curve_sets_a_whole_percent(monkeypatch):
    session = {"chart": {"selection": {"points": [{"customdata": 0.834}]}}}
    monkeypatch.setattr(st, "session_state", session)
    link.choose_coverage("chart")
    assert session["coverage"] == 83


def test_words_warn_of_unusual_fits():
    from duo_core.wording.words import fit_line, fit_warnings

    names = {"base": "large", "sidekick": "small"}
    off = Fit(Temperatures(1.0, 0.0), Temperatures(1.0, 1.0), {}, 0.0, 3)
    assert fit_warnings(off, names) == ["The sidekick is off: adding small does not help large, so its temperature is 0."]
    assert "ratio undefined, " in fit_line(off, 10, 0.001)
    split = Fit(Temperatures(1.0, 1.0), Temperatures(1.0, 1.0), {}, 0.0, 3, ("base", "duo"))
    assert "On the fit split large and the duo can get every image right (perfect separation)" in fit_warnings(split, names)[0]


PAGES = ["explore", "find", "compare", "temperatures", "diagnose", "alike", "zoo", "training", "claims", "method"]


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_on_a_set_and_on_an_empty_store(open_app, toy, tmp_path, name):
    app = open_app(toy)
    assert step(app, name).title[0].value
    assert query(app) == {}
    empty = open_app(tmp_path)
    step(empty, name)
    assert "No logit set yet" in text_of(empty) or name in ("method", "training")


def test_no_two_pages_give_different_things_one_name_in_the_address():
    same = {*link.CHOICE, "members", *together.LINKED, *manual.LINKED}  # of the pages that show one and the same system
    own = [key for name in PAGES for key in importlib.import_module(f"app.views.{name}").LINKED if key not in same]
    assert len(own) == len(set(own))


SET_BY_NOBODY = {"form", "button", "download_button", "file_uploader", "chat_input", "data_editor", "plotly_chart", "dataframe"}
"""Widgets whose state may not be set, as what an address holds is."""


def test_no_widget_that_may_not_be_set_has_the_name_of_what_an_address_holds():
    root = Path(state.__file__).parents[1]
    linked = {key for file in (root / "views").glob("*.py") for key in getattr(_view(file.stem), "LINKED", ())}
    named = set()
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SET_BY_NOBODY:
                given = [word.value for word in node.keywords if word.arg == "key"] + node.args[:1] * (node.func.attr == "form")
                named |= {each.value for each in given if isinstance(each, ast.Constant)}
    assert {"said_of_files", "use_upload"} <= named
    assert not named & linked


def _view(name):
    return importlib.import_module(f"app.views.{name}")


def test_going_from_page_to_page_keeps_the_pair_and_its_address(open_app, toy):
    there = {"set": "toy", "split": "shift", "base": "middle", "sidekick": "tiny", "coverage": "63", "metric": "nll"}
    app = open_app(toy, **there)
    for name in ("find", "zoo", "method", "explore"):
        step(app, name)
        assert query(app) == there
    assert app.selectbox(key="sidekick").value == "tiny"


def test_a_page_that_is_changed_has_an_address_of_its_own_keys(open_app, toy):
    app = step(open_app(toy, set="toy", split="shift", base="middle", sidekick="tiny", coverage="63"), "zoo")
    app.selectbox(key="quality").set_value("nll").run()
    assert query(app) == {"set": "toy", "split": "shift", "quality": "nll"}
    assert query(step(app, "explore"))["coverage"] == "63"


def test_back_to_a_page_that_the_navigation_opened(open_app, toy):
    pair = {"set": "toy", "split": "test", "base": "middle", "sidekick": "tiny"}
    app = step(open_app(toy, **pair), "find")
    app.selectbox(key="sidekick").set_value("small").run()
    app.query_params.update(pair)
    app.run()
    assert app.selectbox(key="sidekick").value == "tiny"
    assert query(app) == pair  # writing it again would be a step forward


def test_a_link_to_another_page_moves_the_view(open_app, toy):
    app = open_app(toy, set="toy", split="test", base="large", sidekick="small")
    app.query_params.update(base="middle", sidekick="tiny")
    go(app, "find")
    assert (app.selectbox(key="base").value, app.selectbox(key="sidekick").value) == ("middle", "tiny")


def test_a_page_leaves_what_it_does_not_know_in_the_address(open_app, toy):
    app = open_app(toy, set="toy", split="test", base="large", sidekick="small", embed_options="dark")
    app.selectbox(key="sidekick").set_value("tiny").run()
    assert query(app)["embed_options"] == "dark"
    assert query(app)["sidekick"] == "tiny"


def test_lists_in_an_address_are_kept_as_far_as_they_are_options(monkeypatch):
    session = {"bases": "c,x,a"}
    monkeypatch.setattr(st, "session_state", session)
    link.settle_many("bases", ["a", "b", "c"])
    assert session["bases"] == ["a", "c"]
    link.settle_many("systems", ["duo", "uq_only"], ["duo"])
    assert session["systems"] == ["duo"]


def test_a_clicked_point_and_a_selected_row_load_their_pair(monkeypatch):
    session = {"chart": {"selection": {"points": [{"customdata": ["large", "tiny"]}]}}, "table": {"selection": {"rows": [1]}}}
    monkeypatch.setattr(st, "session_state", session)
    link.choose_point("chart")
    assert (session["base"], session["sidekick"], session["touched"]) == ("large", "tiny", True)
    link.choose_row("table", [("large", "tiny"), ("middle", "small")])
    assert (session["base"], session["sidekick"]) == ("middle", "small")
    session["table"] = {"selection": {"rows": []}}  # a second click takes a selection back
    session["chart"] = {"selection": {"points": []}}
    link.choose_row("table", [])
    link.choose_point("chart")
    assert (session["base"], session["sidekick"]) == ("middle", "small")


def test_the_set_that_is_shown_first_is_read_before_somebody_comes(toy, monkeypatch):
    monkeypatch.setenv("DUO_STORE", str(toy))
    CACHE.clear()
    state.read_ahead()
    first = state.open_set(min(state.set_names()))
    for computed in ("app.state.sets._accuracies", "app.state.tables._swept", "app.state.pairs.evaluate"):
        monkeypatch.setattr(computed, None)  # nothing is left to be read
    known = state.survey(first, "test")
    assert set(known.accuracy) == set(first.logit_set.models("val", "test"))
    base = state.first_base(known, first)
    found = state.evaluation(first, base, state.suggested(first, base, "test").first, "test", "softmax")
    assert set(state.sidekicks(first, base, "test", "softmax")["sidekick"]) == {*known.accuracy} - {base}
    assert CACHE.under_way(Key("curves", first.pair(found.base, found.sidekick, "test"), ("softmax",)))
    assert set(state.gains(first, found, "softmax", tuple(explore.CARDS), found.better)) == set(explore.CARDS)
    assert tuple(explore.CARDS) == state.ON_CARDS


@pytest.mark.parametrize("content", [None, "{"])
def test_reading_ahead_leaves_what_is_wrong_to_the_page(tmp_path, monkeypatch, content):
    monkeypatch.setenv("DUO_STORE", str(tmp_path))
    if content is not None:
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "set.json").write_text(content)
    state.read_ahead()


def test_what_the_server_loads_is_left_out_of_garbage_collections(toy):
    """In a process of its own, as it changes how the process collects."""
    code = (
        "import gc; from duo_core.cli import serving; serving._load();"
        "print(gc.get_freeze_count() > 9 * len(gc.get_objects()) and gc.isenabled())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "DUO_STORE": str(toy)},
        cwd=ROOT,
        check=True,
    )
    assert ended.stdout.strip() == "True"


def test_nothing_is_collected_after_every_answer():
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert settings["runner"]["postScriptGC"] is False
