"""Find a system, by its widgets: every control moves what is shown, what is advised and the address."""

import dataclasses
import functools
import io

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch
from dashboard import PAIR, labelled, query, step, text_of
from logit_sets import write_set

from app import members, state, tables
from app.state import advice
from app.state.caches import CACHE
from app.views import find
from duo_core.analysis import advisor
from duo_core.analysis.advisor import LEVEL, advise
from duo_core.logits.store import DEFAULT_STORE, Store
from duo_core.metrics import METRICS, relative_gain
from duo_core.systems import enumeration
from duo_core.systems.judging import judge_members
from duo_core.systems.sweep import evaluate
from duo_core.wording.advising import sentences_of
from duo_core.wording.finding import offered

ALL = PAIR | {"scope": "all"}
"""The address with the systems of every base."""
COST = {"large": 800, "middle": 200, "small": 80, "tiny": 40}


@pytest.fixture
def open_find(open_view):
    return functools.partial(open_view, "find")


def shown(app):
    """The table of systems."""
    return next(table.value for table in app.dataframe if "name" in table.value)


def names(app):
    return set(zip(shown(app)["name"], shown(app)["kind"], strict=True))


def card(app):
    """The answer."""
    return next(text.value for text in app.markdown if text.value.startswith("## "))


def test_the_systems_of_a_base_and_of_all_stand_in_the_table_best_first(open_find):
    app = open_find(**PAIR)
    assert {("large + middle", "duo"), ("large + small", "heterogeneous ensemble"), ("tiny", "single")} <= names(app)
    assert ("large + small + tiny", "heterogeneous ensemble") in names(app)
    assert ("middle + small", "duo") not in names(app)
    assert shown(app)["aurc"].is_monotonic_increasing
    app.button_group(key="scope").set_value("all").run()
    assert not app.exception
    assert query(app)["scope"] == "all"
    assert ("middle + small", "duo") in names(app)


@pytest.mark.parametrize("key", METRICS)
def test_every_metric_is_compared_in_its_own_direction(open_find, key):
    table = shown(open_find(**PAIR, metric=key))
    assert table[key].is_monotonic_decreasing if METRICS[key].higher_is_better else table[key].is_monotonic_increasing


def test_values_and_costs_are_those_of_the_system(open_find, toy_store):
    rows = shown(open_find(**ALL)).set_index(["name", "kind"])
    found = judge_members(Store(toy_store).open("toy"), ("large", "small", "tiny"))
    assert 0 in found.fitted.weights
    assert ("large + small + tiny", "trio") not in rows.index  # with a member that has no say it is a smaller system again
    pooled = rows.loc["large + small + tiny", "heterogeneous ensemble"]
    assert pooled["nll"] == pytest.approx(found.metrics["ensemble"]["nll"])
    assert pooled["accuracy"] == pytest.approx(100 * found.metrics["ensemble"]["accuracy"])
    assert pooled["ratio"] == pytest.approx((COST["large"] + COST["small"] + COST["tiny"]) / COST["large"])


def test_gains_are_those_over_the_base(open_find, toy_store):
    app = open_find(**ALL, show="gain")
    found = evaluate(Store(toy_store).open("toy"), "large", "middle").metrics
    row = shown(app).set_index(["name", "kind"]).loc["large + middle", "duo"]
    assert row["gain"] == pytest.approx(100 * relative_gain("aurc", found["duo"]["aurc"], found["base"]["aurc"]))
    assert shown(app)["gain"].is_monotonic_decreasing


def test_the_front_is_what_none_beats_on_the_fit_split(open_find):
    rows = shown(open_find(**ALL))
    for row in rows.to_dict("records"):
        beaten = rows[(rows["ratio"] <= row["ratio"]) & (rows["nll_fit"] <= row["nll_fit"])]
        strictly = beaten[(beaten["ratio"] < row["ratio"]) | (beaten["nll_fit"] < row["nll_fit"])]
        assert row["front"] == strictly.empty, row["name"]


@pytest.mark.parametrize(("budget", "cascades"), [("10", "yes"), ("100", "no"), ("0", "yes")])
def test_the_card_says_what_the_command_does(open_find, toy_store, budget, cascades):
    app = open_find(**PAIR, budget=budget, cascades=cascades)
    share = int(budget) / 100
    found = advise(Store(toy_store).open("toy"), "large", [share], metric="aurc", cascades=cascades == "yes")[0]
    first, *rest = sentences_of(found)
    assert card(app) == f"## {first}"
    assert all(line in text_of(app) for line in rest)


@pytest.mark.parametrize(("metric", "share", "falls_back"), [("accuracy", 0.15, True), ("auroc", 2.0, True), ("nll", 2.0, False)])
def test_the_page_falls_back_by_the_metric_that_it_shows_as_the_command_does(metric, share, falls_back):
    """Of a shipped set: what is significant in one metric need not be in another."""
    base, split = "lite0-stock-of-2", "test"
    handle = dataclasses.replace(state.open_set("cifar100"), store=None)
    found = state.advised(handle, base, split, "softmax", metric, cascades=False, budgets=[share])[share]
    assert (found.fallback is not None) == falls_back
    expected = advise(handle.logit_set, base, [share], split=split, metric=metric, cascades=False)[0]
    assert sentences_of(found) == sentences_of(expected)
    assert offered(found)["Open the answer"] is (found.fallback or found.chosen)
    assert ("Open the cheaper one" in offered(found)) == any("The cheapest system" in line for line in sentences_of(found))


def test_the_budget_moves_the_answer_and_the_address(open_find):
    app = open_find(**PAIR)
    assert "With up to 15 % more compute" in card(app)
    app.select_slider(key="budget").set_value(0).run()
    assert not app.exception
    assert query(app)["budget"] == "0"
    assert "With no more compute: keep large" in card(app)


def unfolded(app):
    """The page with the answers under other budgets, which are weighed when somebody looks."""
    app.session_state["ladder"] = True
    return app.run()


def test_only_the_budget_asked_for_is_weighed_until_the_ladder_is_unfolded(open_find, monkeypatch):
    asked, plain = [], advisor.Adviser.answers
    monkeypatch.setattr(
        advisor.Adviser, "answers", lambda self, budgets, *of: asked.append(list(budgets)) or plain(self, budgets, *of)
    )
    CACHE.clear()
    app = open_find(**PAIR)
    assert asked == [[0.15]]
    assert not labelled(app.expander, "The answer under other budgets").dataframe
    unfolded(app)
    assert asked == [[0.15], list(advice.BUDGETS)]
    app.select_slider(key="budget").set_value(50).run()
    assert asked[2:] == [[0.5]]


def test_the_ladder_has_every_budget_and_kinds_that_are_missing_have_a_command(open_find):
    app = unfolded(open_find(**PAIR))
    ladder = labelled(app.expander, "The answer under other budgets").dataframe[0].value
    assert ladder["Budget"].str.extract(r"(\d+)")[0].to_list() == ["0", "5", "10", "15", "20", "30", "50", "100", "200"]
    assert ladder["Budget"].str.contains("←").sum() == 1
    missing = next(expander for expander in app.expander if expander.label.startswith("Not offered by this set"))
    assert "soup" in missing.label
    assert any("duo soup" in code.value for code in missing.code)


@pytest.mark.parametrize(
    ("base", "metric", "seen"), [("large", "aurc", "not significant"), ("small", "nll", "significantly better")]
)
def test_the_ladder_says_what_is_significant(open_find, toy_store, base, metric, seen):
    app = unfolded(open_find(**PAIR | {"base": base, "sidekick": "tiny"}, metric=metric, cascades="no"))
    ladder = labelled(app.expander, "The answer under other budgets").dataframe[0].value
    shares = (ladder["Budget"].str.extract(r"(\d+)")[0].astype(int) / 100).to_list()
    for row, one in zip(
        ladder.to_dict("records"), advise(Store(toy_store).open("toy"), base, shares, metric=metric, cascades=False), strict=True
    ):
        keeps = row["Answer"] == "keep the base"
        assert row["Verdict"] == ("" if keeps else "significantly better" if one.stands else "not significant")
    assert seen in set(ladder["Verdict"])
    assert "Stands" not in ladder


@pytest.mark.parametrize("budget", ["0", "100"])
def test_the_caption_names_the_level_that_the_intervals_have(open_find, toy_store, budget):
    """Where the base is kept and there is no interval, too."""
    app = open_find(**PAIR, budget=budget)
    found = advise(Store(toy_store).open("toy"), "large", [1.0], metric="aurc")[0]
    assert found.interval.level == LEVEL
    assert f"{LEVEL * 100:.0f} % intervals by the paired bootstrap" in text_of(app)
    assert "95 % intervals" not in text_of(app)


def test_a_second_base_costs_only_what_depends_on_it(open_find, tmp_path, monkeypatch):
    """Every choice of few models is judged once, and not for each base; what its own ensembles are comes later."""
    judged, plain = [], enumeration.judge_systems
    monkeypatch.setattr(enumeration, "judge_systems", lambda *of: judged.extend(system for system, _ in of[2]) or plain(*of))
    app = open_find(write_set(tmp_path), **PAIR)
    assert {system.m for system in judged} == {1, 2, 3}
    first = list(judged)
    judged.clear()
    app.selectbox(key="base").set_value(next(o for o in app.selectbox(key="base").options if o.startswith("middle"))).run()
    assert not app.exception
    assert not set(judged) & set(first)
    assert {system.rule for system in judged} == {"ensemble"}
    assert all("middle" in system.members for system in judged)


def test_what_is_advised_is_marked_and_the_base_where_it_is_kept(open_find, tmp_path, monkeypatch):
    """Of a shipped set, where the choice under the budget is not significantly better in accuracy."""
    (tmp_path / "cifar100").symlink_to(DEFAULT_STORE / "cifar100", target_is_directory=True)
    marked = []
    monkeypatch.setattr(find.figures, "systems_by_cost", lambda *_, marks, **__: marked.append(marks.advised) or go.Figure())
    for metric, cascades in (("accuracy", "no"), ("accuracy", "yes"), ("nll", "no")):
        open_find(tmp_path, set="cifar100", base="lite0-stock-of-2", metric=metric, cascades=cascades)
    names = [mark[0] for mark in marked if mark is not None]
    assert list(dict.fromkeys(names)) == ["lite0-greedy-soup", "lite0-stock-of-2", "lite0-greedy-soup + mobilenetv1_025"]


def test_the_answer_opens_in_explore(open_find):
    app = open_find(**PAIR, budget="200")
    found = [button for button in app.button if str(button.key).startswith("open_")]
    found[0].click().run()
    assert not app.exception
    assert app.session_state["page"] == "explore"
    assert app.session_state["base"] in COST


def test_unknown_costs_leave_a_chart_and_no_budget(open_find, tmp_path):
    app = open_find(write_set(tmp_path, costs=False))
    assert "The set does not say how many multiply-adds" in app.info[0].value
    assert "Not offered, as the set does not state it for large: compute" in text_of(app)
    assert len(shown(app)) > 4


def test_only_the_chosen_models_are_combined(open_find):
    app = open_find(**ALL)
    app.multiselect(key="only").set_value(["large", "tiny"]).run()
    assert not app.exception
    assert query(app)["only"] == "large,tiny"
    assert set(shown(app)["name"]) <= {"large", "tiny", "large + tiny", *shown(app).query("kind == 'cascade'")["name"]}


def test_an_address_opens_its_view(open_find):
    own = {"show": "gain", "cost": "parameters", "scale": "absolute", "scope": "all", "budget": "30", "only": "large,small"}
    app = open_find(**PAIR, metric="nll", **own)
    assert query(app) == PAIR | {"metric": "nll"} | own
    assert app.select_slider(key="budget").value == 30


def test_invalid_values_in_the_address_fall_back_quietly(open_find):
    bad = dict.fromkeys(("chart", "show", "cost", "scale", "budget", "scope", "only", "cascades"), "x")
    app = open_find(**bad)
    assert not app.warning
    assert app.select_slider(key="budget").value == 15


def test_small_ones_or_one_large_is_a_chart_of_its_own(open_find):
    app = open_find(**PAIR, chart="sizes")
    assert "ensembles are heterogeneous" in text_of(app)
    assert query(app)["chart"] == "sizes"


def reversed_set(path):
    """`small` knows more than `middle`, on every split; `middle` costs more."""
    store = Store(write_set(path))
    own = store.open("toy")
    better = {split: own.logits("small", split).clone() for split in own.labels}
    for split, logits in better.items():
        logits[torch.arange(len(logits)), own.labels[split]] += 3
    (path / "toy" / "small.safetensors").unlink()
    store.write_model("toy", own.cards["small"], better)
    return path


def test_reversed_pairs_are_left_out_of_means_counted_and_added_on_demand(open_find, tmp_path):
    app = open_find(reversed_set(tmp_path), **PAIR, chart="gains", scope="all", budget="200")
    said = "2 of 6 pairs are left out: on val their sidekick is more accurate than their base."
    assert said in text_of(app)
    before = app.expander[-1].dataframe[0].value
    app.button_group(key="reversed").set_value("yes").run()
    assert not app.exception
    assert query(app)["reversed"] == "yes"
    assert said not in text_of(app)
    assert app.expander[-1].dataframe[0].value["pairs"].max() == before["pairs"].max() + 2


def test_mean_gains_are_those_of_the_pairs_within_the_budget(open_find):
    app = open_find(**PAIR, chart="gains", scope="all", budget="10")
    assert "What do pairs of all bases under +10 % gain on average?" in text_of(app)
    assert list(app.expander[-1].dataframe[0].value["metric"].unique()) == list(METRICS)


def test_mean_gains_are_of_the_base_alone_unless_all_bases_are_asked_for(open_find, toy_store):
    own = Store(toy_store).open("toy")
    cheaper = [name for name in own.cards if name != "middle" and COST[name] <= COST["middle"]]
    app = open_find(**PAIR | {"base": "middle", "sidekick": "small"}, chart="gains", budget="0", reversed="yes")
    assert "What do all pairs of middle gain on average?" in text_of(app)
    shown = app.expander[-1].dataframe[0].value.set_index(["metric", "variant"])
    gains = [gain_of(evaluate(own, "middle", name), "brier") for name in cheaper]
    assert shown.loc[("brier", "duo"), "pairs"] == len(cheaper)
    assert shown.loc[("brier", "duo"), "mean"] == pytest.approx(np.mean(gains))
    app.button_group(key="scope").set_value("all").run()
    assert not app.exception
    assert query(app)["scope"] == "all"
    assert "What do all pairs of all bases gain on average?" in text_of(app)


def gain_of(found, key):
    """Of the duo, over its more accurate member."""
    return relative_gain(key, found.metrics["duo"][key], found.metrics[found.better][key])


def test_where_no_pair_is_within_the_budget_that_is_said(open_find):
    app = open_find(**PAIR | {"base": "tiny", "sidekick": "large"}, chart="gains", budget="5")
    assert "There are no pairs of tiny. Choose a larger budget, another base, or all bases." in app.info[-1].value


def test_a_clicked_point_and_a_selected_row_open_their_system(monkeypatch):
    session = {"chart_systems": {"selection": {"points": [{"customdata": ["a", "b", "c"]}]}}}
    monkeypatch.setattr(members.st, "session_state", session)
    members.open_point("chart_systems")
    assert (session["base"], session["sidekick"], session["members"]) == ("a", "b", ["a", "b", "c"])
    assert session.pop("opening")
    session["chart_systems"] = {"selection": {"points": []}}  # a second click takes the selection back
    members.open_point("chart_systems")
    assert "opening" not in session
    session["table_systems"] = {"selection": {"rows": [1]}}
    members.open_row("table_systems", [("a",), ("b", "c")])
    assert (session["base"], session["sidekick"], session["members"]) == ("b", "c", [])


def test_the_session_keeps_the_page_as_it_was(open_find):
    app = open_find(**ALL, chart="sizes")
    step(app, "explore")
    step(app, "find")
    assert app.button_group(key="chart").value == "sizes"


def test_the_whole_table_can_be_saved_as_csv_and_parquet(open_find):
    labels = [button.label for button in open_find(**PAIR).get("download_button")]
    assert {"Download CSV", "Download Parquet", "Download report (HTML)"} <= set(labels)
    table = pd.DataFrame({"base": ["a"], "gain": [0.25]})
    csv, parquet = (tables.FORMATS[kind][1](table) for kind in ("csv", "parquet"))
    pd.testing.assert_frame_equal(pd.read_csv(io.StringIO(csv)), table)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(parquet)), table, check_dtype=False)
