"""Systems of more than two members: their address, what Explore and Diagnose show of them, and what is taken away."""

import functools
import io
import json
import zipfile

import numpy as np
import pytest
import torch
from dashboard import PAIR, labelled, query, step, text_of

from app import members, state, taking
from app.state.caches import CACHE
from app.taking import Above
from duo_core.deploy import combine
from duo_core.figures import members as figures
from duo_core.figures.screen import SCREEN
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.systems.judging import judge_members
from duo_core.systems.system import System

TRIO = ("large", "middle", "tiny")


@pytest.fixture
def open_explore(open_view):
    return functools.partial(open_view, "explore")


@pytest.fixture
def handle(toy_store, monkeypatch):
    monkeypatch.setenv("DUO_STORE", str(toy_store))
    CACHE.clear()
    return state.open_set("toy")


def test_the_address_names_the_members_and_an_address_opens_them(open_explore):
    app = open_explore(set="toy", members="small,large,tiny")
    expected = PAIR | {"base": "small", "sidekick": "large", "members": "small,large,tiny"}
    assert query(app) == expected
    assert app.selectbox(key="base").value == "small"
    assert "gains to large, the most accurate member" in text_of(app)


@pytest.mark.parametrize("members", ["large,small", "large"])
def test_two_members_or_one_are_the_pair_of_the_sidebar(open_explore, members):
    app = open_explore(set="toy", members=members)
    assert app.selectbox(key="base").value == "large"
    assert "members" not in query(app)
    assert "Which sidekick?" in text_of(app)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [("large,other,tiny", "got 'other'"), ("large,tiny,large", "got 'large' twice"), (",,", "Expected members of this set")],
)
def test_members_that_are_no_system_of_the_set_are_said_and_let_go(open_explore, wrong, why):
    app = open_explore(set="toy", members=wrong)
    assert why in app.info[0].value
    assert "members" not in query(app)
    assert not app.exception


def test_at_most_eight_members_are_shown():
    many = [f"m{number}" for number in range(9)]
    assert members.problem(many, many) == "Expected at most 8 members, got 9."
    assert members.problem(many[:8], many) == ""


def test_a_model_is_added_and_taken_away_and_base_and_sidekick_are_changed(open_explore):
    app = open_explore(**PAIR)
    assert "members" not in query(app)
    app.selectbox(key="add_member").set_value("tiny").run()
    assert query(app)["members"] == "large,small,tiny"
    app.selectbox(key="sidekick").set_value("middle").run()
    assert query(app)["members"] == "large,middle,tiny"
    app.button(key="swap").click().run()
    assert query(app)["members"] == "middle,large,tiny"
    app.selectbox(key="sidekick").set_value("tiny").run()  # which is a member already
    assert "members" not in query(app)
    app.selectbox(key="add_member").set_value("small").run()
    app.button(key="away_small").click().run()
    assert not app.exception
    assert "members" not in query(app)


def test_pages_about_pairs_show_the_first_two_and_the_others_come_back(open_explore):
    app = open_explore(set="toy", members=",".join(TRIO))
    step(app, "temperatures")
    assert not [box for box in app.selectbox if box.key == "add_member"]
    step(app, "diagnose")
    assert query(app)["members"] == ",".join(TRIO)


def test_cards_weights_and_rules_are_those_of_the_system(open_explore, toy_store):
    app = open_explore(set="toy", members=",".join(TRIO))
    found = judge_members(Store(toy_store).open("toy"), TRIO)
    assert app.metric[0].value == f"{100 * found.metrics['fitted']['accuracy']:.1f} %"
    weights = labelled(app.expander, "The weights as numbers").dataframe[0].value.set_index("member")["weight"]
    assert weights.to_dict() == pytest.approx(dict(zip(TRIO, found.fitted.weights, strict=True)))
    rules = next(table.value for table in app.dataframe if {"system", METRICS["nll"].label} <= set(table.value)).set_index("system")
    assert rules.loc["Ensemble", METRICS["nll"].label] == SCREEN["nll"].text(found.metrics["ensemble"]["nll"])
    assert [name for name in TRIO if name in rules.index] == list(TRIO)


def test_another_rule_is_in_the_address_and_changes_the_answer(open_explore, toy_store):
    app = open_explore(set="toy", members=",".join(TRIO))
    app.button_group(key="rule").set_value("ensemble").run()
    assert query(app)["rule"] == "ensemble"
    found = judge_members(Store(toy_store).open("toy"), TRIO)
    assert app.metric[0].value == f"{100 * found.metrics['ensemble']['accuracy']:.1f} %"


def test_a_member_without_a_say_is_said_so(open_explore):
    app = open_explore(set="toy", members="large,small,tiny")
    assert any("it adds nothing that the others do not know" in warning.value for warning in app.warning)


@pytest.mark.parametrize("part", ["calibration", "images", "classes", "splits", "scores"])
def test_diagnose_is_about_the_whole_system(open_view, handle, part):
    app = open_view("diagnose", set="toy", members=",".join(TRIO), part=part)
    found = state.together(handle, TRIO, "test", "softmax")
    rescued = int((found.predictions["duo"].correct & ~found.predictions["base"].correct).sum())
    assert f"rescues {rescued} image" in app.title[0].value
    assert "is the whole system" in text_of(app)


def test_a_system_is_never_answered_with_a_pairs_numbers(handle):
    """Its most accurate member and another are a pair that may have been evaluated before."""
    pair = state.together(handle, TRIO[:2], "test", "softmax")
    trio = state.together(handle, TRIO, "test", "softmax")
    equal = state.together(handle, TRIO, "test", "softmax", "equal")
    for ask in (
        lambda found: state.gains(handle, found, "softmax", ("nll",)),
        lambda found: state.promised(handle, found, "softmax", 0.1, 0.9),
        lambda found: state.moves(handle, found, "softmax"),
    ):
        CACHE.clear()
        alone = str(ask(trio))
        CACHE.clear()
        ask(pair), ask(equal)
        assert str(ask(trio)) == alone


def test_the_weights_give_the_systems_predictions(handle, toy_store):
    own = Store(toy_store).open("toy")
    for rule in ("fitted", "equal", "ensemble"):
        found = state.together(handle, TRIO, "test", "softmax", rule)
        total = sum(weight * own.logits(name, "test").double() for name, weight in found.weights.items())
        nll = torch.nn.functional.cross_entropy(total, own.labels["test"]).item()
        assert nll == pytest.approx(found.metrics["duo"]["nll"])


def test_the_lines_to_copy_decide_as_the_system_does(handle, toy_store):
    own = Store(toy_store).open("toy")
    found = state.together(handle, TRIO, "test", "softmax")
    lines, numbers = taking.system_lines(found.weights, Above(0.2, "why", True), "softmax")
    space = {"members": {name: own.logits(name, "test").numpy() for name in TRIO}}
    exec(lines, space)
    assert np.array_equal(space["sure"], found.predictions["duo"].uncertainty <= 0.2)
    assert json.loads(numbers)["weights"] == found.weights


def test_the_zip_runs_the_fitted_system(handle, tmp_path):
    found = state.together(handle, TRIO, "test", "softmax", "ensemble")
    packed = state.exported(handle, state.system_of(found), "softmax")()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        name = next(name for name in archive.namelist() if name.endswith("duo.json"))
        record = json.loads(archive.read(name))
    assert [member["name"] for member in record["members"]] == list(TRIO)
    assert record["rule"] == "ensemble"
    assert combine.__doc__


def test_the_weights_are_drawn_as_bars_and_a_zero_in_words():
    bars = figures.say({"a": 0.5, "b": 0.0}, {"a": 1.0, "b": 2.0}).data[0]
    assert list(bars.x) == [0.5, 0.0]
    assert bars.text[1] == figures.NOTHING


def test_curves_are_one_a_member_and_one_for_the_system(handle):
    found = state.together(handle, TRIO, "test", "softmax")
    drawn = state.member_curves(handle, found, "softmax").table
    figure = figures.members_risk_coverage(drawn, TRIO, coverage=0.8)
    assert [trace.name for trace in figure.data if trace.mode == "lines"] == [*TRIO, "System"]
    last = drawn.iloc[-1]
    assert last["duo"] == pytest.approx(1 - found.metrics["duo"]["accuracy"])


def test_systems_are_what_the_state_says(handle):
    assert state.system_of(state.together(handle, ("large", "tiny"), "test", "softmax")) == System(("large", "tiny"))
    assert state.system_of(state.together(handle, TRIO, "test", "softmax", "equal")) == System(TRIO, "equal")
