"""Learn, by its widgets: every step and its control, the address, hidden answers, real models and their absence."""

import base64
import doctest
import json
import re
import urllib.parse
from html import escape

import numpy as np
import pytest
from dashboard import go, open_page, query, text_of
from logit_sets import write_set

from app import glossary, lessons
from app.lessons import MODULES, averages
from app.state import lessons as scenes
from app.views import claims, data, diagnose, explore, find, learn, temperatures, zoo
from duo_core.logits.store import DEFAULT_STORE, Store
from duo_core.teaching import alone, together
from duo_core.teaching.experts import BASE, SEED, classroom
from duo_core.teaching.facts import facts
from duo_core.teaching.steps import ON_PAPER, REAL_SET, STEPS

KEYS = [step.key for step in STEPS]


@pytest.fixture
def shipped(monkeypatch):
    monkeypatch.delenv("DUO_STORE", raising=False)
    if REAL_SET not in Store(DEFAULT_STORE).names():
        pytest.skip(f"no set {REAL_SET} in {DEFAULT_STORE}")


@pytest.fixture(scope="module")
def toy_store(tmp_path_factory):
    """A store that lacks the set which the course is replayed on."""
    return write_set(tmp_path_factory.mktemp("store"))


@pytest.fixture
def elsewhere(monkeypatch, toy_store):
    monkeypatch.setenv("DUO_STORE", str(toy_store))


def open_step(key, **given):
    return open_page("learn", step=str(KEYS.index(key) + 1), **given)


def chart(app, name):
    """The traces of a chart by name."""
    spec = next(element.proto.spec for element in app.get("plotly_chart") if f"chart_{name}" in element.proto.id)
    traces = json.loads(spec)["data"]
    for trace in traces:
        for axis in ("x", "y"):
            if isinstance(packed := trace.get(axis), dict):
                trace[axis] = np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"]).tolist()
    return {trace.get("name", str(i)): trace for i, trace in enumerate(traces)}


def said(app, beginning):
    return next(element.value for element in app.markdown if element.value.startswith(beginning))


def test_the_doctests_of_the_page_hold():
    modules = [learn, averages, *MODULES.values()]
    results = [doctest.testmod(module) for module in modules]
    assert sum(result.attempted for result in results) >= 4
    assert all(result.failed == 0 for result in results)


def test_every_step_has_its_module_and_no_two_share_a_key_of_the_address():
    assert list(MODULES) == KEYS
    assert len(set(learn.LINKED)) == len(learn.LINKED)
    assert set(lessons.REAL_ONLY) <= set(KEYS)
    assert not {key for view in (claims, data, diagnose, explore, find, temperatures, zoo) for key in view.LINKED} & set(
        learn.LINKED
    )


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("data", ["toy", "real"])
def test_every_step_shows_its_text_question_terms_and_chart(shipped, key, data):
    step = STEPS[KEYS.index(key)]
    app = open_step(key, data=data)
    assert app.title[0].value == step.title
    text = text_of(app)
    assert step.idea in text
    assert step.try_it in text
    place = KEYS.index(key) + 1
    assert app.selectbox(key="step").value == place
    assert app.selectbox(key="step").options[place - 1] == f"{place} of 10 · {step.title}"
    assert app.radio[0].label == f"**{step.question.text}**"
    assert app.radio[0].options == list(step.question.options)
    assert [e.label for e in app.expander][-len(step.terms) :] == list(step.terms)
    assert app.get("plotly_chart")
    assert not app.info


def test_links_of_the_text_lead_to_a_term_beside_it():
    anchors = {term.name: term.anchor for term in glossary.terms()}
    for step in STEPS:
        linked = re.findall(r"\]\(#([\w-]+)\)", step.idea)
        assert linked
        assert set(linked) <= {anchors[name] for name in step.terms}


@pytest.mark.parametrize("wrong", ["0", "11", "-1", "two", "", "1.5"])
def test_a_wrong_step_in_the_address_is_the_first(shipped, wrong):
    assert open_page("learn", step=wrong).title[0].value == STEPS[0].title


@pytest.mark.parametrize("wrong", [{"data": "fake"}, {"seed": "-3"}, {"seed": "x"}, {"answers": "maybe"}, {"sure": "200"}])
def test_other_wrong_words_in_the_address_are_the_default(shipped, wrong):
    app = open_page("learn", **wrong)
    assert app.session_state["data"] == "toy"
    assert app.session_state["seed"] == SEED
    assert app.radio


def test_next_and_back_walk_through_the_steps_and_stop_at_the_ends(shipped):
    app = open_page("learn")
    assert app.button(key="back").disabled
    for place in range(2, len(STEPS) + 1):
        app.button(key="next").click().run()
        assert not app.exception
        assert app.title[0].value == STEPS[place - 1].title
        assert query(app)["step"] == str(place)
    assert app.button(key="next").disabled
    app.button(key="back").click().run()
    assert query(app)["step"] == str(len(STEPS) - 1)
    app.selectbox(key="step").set_value(3).run()
    assert app.title[0].value == STEPS[2].title


@pytest.mark.parametrize("key", KEYS)
def test_the_answer_comes_after_a_guess_and_says_whether_it_was_right(shipped, key):
    asked = STEPS[KEYS.index(key)].question
    app = open_step(key)
    assert not app.success
    assert not app.warning
    app.radio[0].set_value((asked.right + 1) % len(asked.options)).run()
    assert not app.exception
    assert app.warning[0].value.startswith(f"**Not quite.** *{asked.options[asked.right]}.*")
    app.radio[0].set_value(asked.right).run()
    assert app.success[0].value.startswith("**Right.**")
    assert not app.warning
    assert "{" not in app.success[0].value
    assert "guess" not in str(query(app))


def test_a_guess_stays_while_one_looks_at_another_step(shipped):
    app = open_step("abstain")
    app.radio[0].set_value(2).run()
    app.button(key="next").click().run()
    assert not app.success
    app.button(key="back").click().run()
    assert app.success


def test_the_numbers_of_an_answer_are_those_of_the_seed(shipped):
    app = open_step("confidence", seed="7")
    app.radio[0].set_value(1).run()
    assert app.success[0].value == "**Right.** " + STEPS[0].question.because.format(**facts("confidence", seed=7))
    assert facts("confidence", seed=7) != facts("confidence")


def test_beside_real_models_an_answer_says_whose_numbers_it_has(shipped):
    app = open_step("confidence", data="real", seed="7")
    app.radio[0].set_value(1).run()
    assert "The numbers are those of the made-up experts, seed 7." in text_of(app)


def test_hidden_answers_show_the_question_alone(shipped):
    app = open_step("temperature", answers="hidden")
    assert not app.radio
    text = text_of(app)
    for option in STEPS[1].question.options:
        assert f"- {option}" in text
    assert not app.success


def test_a_class_gets_a_link_that_fixes_step_data_seed_and_answers(shipped):
    app = open_step("trap", seed="5")
    app.button_group(key="answers").set_value("hidden").run()
    own, slides = (code.value for code in app.code)
    for link in (own, slides):
        assert "step=5&data=toy&seed=5&answers=hidden" in link
    assert slides == f"{own}&embed=true"


@pytest.mark.parametrize("key", KEYS)
def test_every_step_leads_to_the_same_situation_among_the_pages(shipped, key):
    wanted = STEPS[KEYS.index(key)].explore
    links = [element.proto for element in open_step(key).get("page_link")]
    (way,) = (link for link in links if link.label.startswith("The same with real models"))
    there = open_page(wanted["page"], **dict(urllib.parse.parse_qsl(way.query_string)))
    assert way.page_script_hash == there._page_hash
    assert [there.selectbox(key=name).value for name in ("base", "sidekick")] == [wanted["base"], wanted["sidekick"]]


def test_confidence_moves_its_band(shipped):
    app = open_step("confidence")
    predictions = alone.base_alone(classroom().test)
    for sure in (90, 70):
        app.slider(key="sure").set_value(sure).run()
        found = alone.band(predictions, sure / 100)
        assert said(app, f"Of {found.images:,} images") == MODULES["confidence"].band_line(found)
        ringed = chart(app, "dots")["This image"]["x"]
        assert ringed[0] == pytest.approx(sure, abs=2)
        assert query(app)["sure"] == str(sure)


def test_a_temperature_moves_nll_and_points_but_not_the_accuracy(shipped):
    app = open_step("temperature")
    before = said(app, "NLL")
    app.slider(key="temperature").set_value(0.3).run()
    after = said(app, "NLL")
    accuracy = [line.rpartition("accuracy ")[2].split(" (")[0] for line in (before, after)]
    assert accuracy[0] == accuracy[1]
    assert before != after
    assert query(app)["temperature"] == "0.3"
    app.button(key="fit_base").click().run()
    assert app.slider(key="temperature").value == pytest.approx(alone.own_temperature(classroom()), abs=0.005)
    assert f"Fitted {alone.own_temperature(classroom()):.2f}" in chart(app, "nll")


def test_a_lower_coverage_leaves_fewer_wrong(shipped):
    app = open_step("abstain")
    risks = []
    for keep in (100, 50):
        app.slider(key="keep").set_value(keep).run()
        now = chart(app, "abstaining")["Now"]
        assert now["x"] == [keep]
        risks.append(now["y"][0])
    assert risks[1] < risks[0] / 4


def test_an_overlap_takes_away_what_the_average_gains(shipped):
    app = open_step("ensemble")
    pairs = []
    for overlap in (0, 95):
        app.slider(key="overlap").set_value(overlap).run()
        here = together.averaged(together.peers(overlap / 100))
        assert chart(app, "averages")["Now"]["y"] == [pytest.approx(here.pair * 100)]
        pairs.append(here.pair)
    assert pairs[1] < pairs[0]


def test_a_bad_sidekick_with_an_equal_say_drags_the_pair_below_the_base(shipped):
    app = open_step("trap")
    below = []
    for skill in (100, 30):
        app.slider(key="skill").set_value(skill).run()
        here = together.averaged(together.trapped(skill / 100 * BASE.quality))
        assert said(app, "Right") == averages.line(here, "sidekick")
        below.append(here.pair < here.base)
    assert below == [False, True]


@pytest.mark.parametrize("part", together.PARTS)
@pytest.mark.parametrize("data", ["toy", "real"])
def test_the_fit_walks_to_the_bottom_with_every_second_model(shipped, part, data):
    app = open_step("weights", data=data)
    app.selectbox(key="second").set_value(part).run()
    for _ in range(20):
        if app.button(key="newton_step").disabled:
            break
        app.button(key="newton_step").click().run()
        assert not app.exception
    assert re.search(r"0\.0000 above", said(app, "Step"))
    learned = {role: app.slider(key=f"slide_{role}").value for role in ("base", "sidekick")}
    if part == "noise":
        assert learned["sidekick"] < 0.1 * app.slider(key="slide_sidekick").max
    app.button(key="newton_back").click().run()
    assert said(app, "Step 0")


def test_a_slider_of_the_bowl_starts_a_new_walk_from_there(shipped):
    app = open_step("weights")
    app.button(key="newton_step").click().run()
    assert said(app, "Step 1")
    app.slider(key="slide_base").set_value(app.slider(key="slide_base").max / 2).run()
    assert said(app, "Step 0")
    steps = chart(app, "newton")["Newton steps, now"]
    assert steps["x"] == [pytest.approx(app.slider(key="slide_base").max / 2)]
    there = query(app)
    again = open_page("learn", **there)
    assert chart(again, "newton")["Newton steps, now"]["x"] == steps["x"]


def test_the_switch_of_the_ranking_freezes_the_accuracy(shipped):
    app = open_step("ranking", data="real")
    first = said(app, "UQ only:")
    accuracy = re.search(r"Accuracy \*\*([\d.]+ %)\*\*, base ([\d.]+ %)", first)
    assert accuracy[1] == accuracy[2]
    aurc = re.search(r"AURC × 1000 \*\*([\d.]+)\*\*, base ([\d.]+)", first)
    assert float(aurc[1]) < float(aurc[2])
    app.button_group(key="ranks").set_value("duo").run()
    assert said(app, "Duo:")
    assert "Duo" in chart(app, "reranked")


def test_a_budget_limits_the_best_pair(shipped):
    app = open_step("budget")
    for spend in (5, 50):
        app.slider(key="spend").set_value(spend).run()
        drawn = chart(app, "offers")
        assert max(drawn["Within the budget"]["x"]) <= spend < min(drawn["More expensive"]["x"])
        assert drawn["Best within it"]["x"][0] <= spend
    assert f"Best within +{spend} %" in said(app, "Best")


def test_a_pair_of_the_address_is_marked(shipped):
    app = open_step("budget", pair="resnet56+resnet20")
    assert chart(app, "offers")["This pair"]["x"]


@pytest.mark.parametrize(("key", "slider"), [("ensemble", "peer"), ("trap", "partner")])
def test_a_real_partner_is_chosen_by_name(shipped, key, slider):
    app = open_step(key, data="real")
    options = app.select_slider(key=slider).options
    for partner in (options[0], options[-1]):
        app.select_slider(key=slider).set_value(partner).run()
        assert not app.exception
        assert query(app)[slider] == partner or partner == STEPS[KEYS.index(key)].explore["sidekick"]


def test_the_address_is_about_one_step_and_the_session_about_all(shipped):
    app = open_step("abstain")
    app.slider(key="keep").set_value(40).run()
    there = query(app)
    app.button(key="next").click().run()
    assert query(app) == {"step": "4"}
    app.button(key="back").click().run()
    assert query(app) == there == {"step": "3", "keep": "40"}


def test_the_handout_has_the_numbers_of_the_seed_and_answers_on_demand(shipped):
    with_answers, without = (scenes.handout_of(ON_PAPER[-1], 5, answers=answers).decode() for answers in (True, False))
    number = facts("confidence", seed=5)["share"]
    assert number in with_answers
    assert number not in without
    assert all(escape(step.question.text) in without for step in ON_PAPER)


def test_without_the_set_the_switch_says_so_and_the_experts_stay(elsewhere):
    app = open_step("abstain", data="real")
    assert app.info[0].value == f"The store has no set `{REAL_SET}`, so these are the made-up experts."
    assert chart(app, "abstaining")


def test_without_the_set_the_last_step_says_what_it_needs_and_its_question_still_stands(elsewhere):
    app = open_step("budget")
    assert "This step needs real models" in text_of(app)
    app.radio[0].set_value(ON_PAPER[-1].question.right).run()
    assert not app.exception
    assert app.success


def test_an_empty_store_leaves_the_made_up_experts(monkeypatch, tmp_path):
    monkeypatch.setenv("DUO_STORE", str(tmp_path))
    app = open_step("ranking", data="real")
    assert app.info
    assert chart(app, "reranked")


def test_the_step_and_the_control_stay_while_one_visits_another_page(shipped):
    app = open_step("abstain")
    app.slider(key="keep").set_value(40).run()
    there = query(app)
    go(app, "method")
    app.query_params.clear()
    go(app, "learn")
    assert app.slider(key="keep").value == 40
    assert app.title[0].value == STEPS[2].title
    assert query(app) == there


def test_embedded_there_is_no_way_out_of_the_lesson(shipped, monkeypatch):
    monkeypatch.setattr("streamlit.runtime.context.ContextProxy.is_embedded", True)
    app = open_step("abstain", embed="true")
    assert not app.code
    assert not app.sidebar.markdown
    assert chart(app, "abstaining")
