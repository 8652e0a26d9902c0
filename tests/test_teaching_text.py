"""The course's text: its length, its links, its questions, its numbers, and the sheet of paper made from it."""

import re
from pathlib import Path

import pytest

from app.glossary import terms
from duo_core.logits.store import Store
from duo_core.systems.sweep import sweep
from duo_core.teaching import together
from duo_core.teaching.facts import facts
from duo_core.teaching.handout import handout
from duo_core.teaching.steps import MODEL, ON_PAPER, REAL_PEERS, REAL_SET, STEPS

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = {term.anchor: term.name for term in terms()}
KEYS = [step.key for step in STEPS]
LINK = re.compile(r"\[([^\]]+)\]\(#([^)]+)\)")
JARGON = {
    "temperature": ["NLL", "fit split", "reliability diagram"],
    "abstain": ["coverage", "AURC", "SAC@98", "oracle"],
    "trap": ["sidekick", "base"],
    "weights": ["duo"],
    "ranking": ["UQ only"],
    "budget": ["FLOPs balance"],
}
"""Words that are explained where they first stand; steps before may not use them."""


@pytest.fixture(scope="module")
def offers():
    return together.offers(sweep(Store().open(REAL_SET), ["test"]))


def words(markdown):
    return LINK.sub(r"\1", markdown).split()


def test_there_are_ten_steps_in_their_order():
    first = ["confidence", "temperature", "abstain", "ensemble", "trap", "weights", "ranking", "budget"]
    assert [*first, "several", "different"] == KEYS
    assert [step.key for step in ON_PAPER] == first


@pytest.mark.parametrize("step", STEPS, ids=KEYS)
def test_an_idea_takes_60_to_90_words(step):
    assert 60 <= len(words(step.idea)) <= 90
    assert len(words(step.try_it)) <= 25
    assert len(words(step.question.text)) <= 25
    assert len(words(step.question.because)) <= 60


@pytest.mark.parametrize("step", STEPS, ids=KEYS)
def test_links_and_terms_lead_to_the_glossary(step):
    linked = [anchor for _, anchor in LINK.findall(step.idea + step.question.because)]
    assert {*linked} <= {*GLOSSARY}
    assert {*step.terms} <= {*GLOSSARY.values()}
    assert {GLOSSARY[anchor] for anchor in linked} <= {*step.terms}
    assert len(set(step.terms)) == len(step.terms)


@pytest.mark.parametrize("step", STEPS, ids=KEYS)
def test_a_question_has_one_right_option_of_three_that_differ(step):
    options = step.question.options
    assert len(set(options)) == len(options) == 3
    assert 0 <= step.question.right < 3
    lengths = [len(option) for option in options]
    assert lengths[step.question.right] <= 1.7 * sum(lengths) / 3  # the longest need not be the right one


def test_the_right_option_is_not_always_at_one_place():
    places = [step.question.right for step in STEPS]
    assert max(places.count(place) for place in set(places)) <= 5


@pytest.mark.parametrize("step", STEPS, ids=KEYS)
def test_no_word_is_used_before_its_step(step):
    before = STEPS[: KEYS.index(step.key)]
    for word in JARGON.get(step.key, []):
        assert not [early.key for early in before if re.search(rf"\b{word}\b", early.idea)], word
        assert re.search(rf"\b{word}\b", LINK.sub(r"\1", step.idea)), word


@pytest.mark.parametrize("seed", [0, 12, 99])
@pytest.mark.parametrize("step", STEPS, ids=KEYS)
def test_an_answer_takes_its_numbers_from_the_computation(step, seed, offers):
    numbers = facts(step.key, seed=seed, offers=offers)
    assert {*re.findall(r"\{(\w+)\}", step.question.because)} == {*numbers}
    assert "{" not in step.question.because.format(**numbers)
    assert "nan" not in numbers.values()


def test_the_numbers_of_the_last_answer_need_the_real_pairs():
    assert facts("budget") == {}


@pytest.mark.parametrize("step", STEPS, ids=KEYS)
def test_explore_opens_a_page_with_models_of_the_shipped_set(step):
    shipped = Store().open(REAL_SET)
    assert (ROOT / "app" / "views" / f"{step.explore['page']}.py").exists()
    assert step.explore["set"] == REAL_SET
    assert step.explore["split"] in shipped.evaluation_splits
    assert {step.explore["base"], step.explore["sidekick"], *REAL_PEERS} <= set(shipped.cards)


def test_the_model_of_the_made_up_data_is_told_with_its_three_numbers():
    assert {"quality", "boldness", "overlap"} == set(re.findall(r"\*\*(\w+)\*\*", MODEL))


@pytest.mark.parametrize("answers", [False, True])
def test_the_sheet_holds_every_step_and_its_answers_on_demand(answers, offers):
    page = handout(answers=answers, seed=3, offers=offers)
    for step in ON_PAPER:
        assert step.title.replace("'", "&#x27;") in page
        assert all(option.replace("'", "&#x27;") in page for option in step.question.options)
    assert page.count('class="answer"') == 8 * answers
    assert "seed 3" in page
    assert "](#" not in page
    assert (facts("trap", seed=3)["pair"] in page) == answers


def test_the_sheet_needs_nothing_else():
    page = handout(answers=True)
    assert "default-src 'none'" in page
    assert not re.findall(r"https?:|<script|src=|@import|url\(", page)
    assert "@page { size: A4" in page


@pytest.mark.browser
@pytest.mark.parametrize("answers", [False, True])
def test_the_sheet_is_one_page_of_a4(answers, offers, browser, tmp_path):
    file = tmp_path / "sheet.html"
    file.write_text(handout(answers=answers, offers=offers), encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True))) == 1
    page.close()
