"""A page that can be drawn without a value is drawn at once, says what is under way, and is drawn again when it is there."""

import functools
import threading

import pytest
from dashboard import PAIR, query, text_of

from app import finding
from app.state import advice, caches, tables, waiting
from app.state.caches import CACHE, Cache, Key, awaited, kept
from app.views import find
from duo_core.common.arrays import InputError

SECONDS = 60


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Nothing was found before, and what is under way is said soon."""
    monkeypatch.setattr(waiting, "PATIENCE", 0.01)
    monkeypatch.setattr(waiting, "GLANCE", 0.01)
    monkeypatch.setattr(finding, "SOON", 0)
    CACHE.clear()


@pytest.fixture
def steps(monkeypatch):
    """What happens in turn: `drawn` at a page's end, and what tests add."""
    found, report = [], find.controls.report

    def drawn(*of):
        report(*of)
        found.append("drawn")

    monkeypatch.setattr(find.controls, "report", drawn)
    return found


@pytest.fixture
def held(monkeypatch, steps):
    """Have a function wait until the page that asks for it is drawn, and note when it is through."""

    def hold(module, name, error=None):
        compute = getattr(module, name)

        @functools.wraps(compute)
        def slow(*of, **options):
            for _ in range(100 * SECONDS):
                if "drawn" in steps:
                    break
                threading.Event().wait(0.01)
            steps.append(name)
            if error:
                raise error
            return compute(*of, **options)

        monkeypatch.setattr(module, name, slow)

    return hold


def test_find_is_drawn_without_the_advice_and_then_with_it(open_view, steps, held):
    held(advice, "systems_beside")
    app = open_view("find", **PAIR)
    assert steps == ["drawn", "systems_beside", "drawn"]
    assert "With up to 15 % more compute" in text_of(app)
    assert "Weighing" not in text_of(app)
    steps.clear()
    app.run()
    assert steps == ["drawn"], "what is there is not waited for"
    app.select_slider(key="budget").set_value(50).run()
    steps.clear()
    app.selectbox(key="base").set_value(app.selectbox(key="base").options[1]).run()
    assert steps == ["drawn", "systems_beside", "drawn"]
    assert query(app)["base"] == "middle"
    assert query(app)["budget"] == "50"


def test_pairs_on_average_are_swept_when_the_page_is_drawn(open_view, steps, held):
    app = open_view("find", **PAIR)
    steps.clear()
    held(tables.remembered, "swept")
    app.button_group(key="chart").set_value("gains").run()
    assert not app.exception
    assert steps == ["drawn", "swept", "drawn"]
    assert "Mean and standard deviation over" in text_of(app)


def test_a_base_never_seen_before_is_shown_without_a_sweep(open_view, monkeypatch):
    app = open_view("find", **PAIR)
    monkeypatch.setattr(tables.remembered, "swept", lambda *_, **__: pytest.fail("a sweep"))
    app.selectbox(key="base").set_value(app.selectbox(key="base").options[1]).run()
    assert not app.exception


def test_what_goes_wrong_is_said_once(open_view, steps, held):
    held(advice, "systems_beside", InputError("expected a kettle, got a pot"))
    app = open_view("find", **PAIR)
    assert "expected a kettle, got a pot" in text_of(app)
    assert steps == ["drawn", "systems_beside"]


class Again(Exception):  # noqa: N818 (no error)
    """The page is drawn again."""


class Screen:
    """As much of Streamlit as a page needs to wait."""

    def __init__(self):
        self.said, self.session_state = [], {}

    def container(self, **_):
        return self

    def empty(self):
        return self

    def caption(self, words):
        self.said.append(words)

    def progress(self, _, words):
        self.said.append(words)

    def rerun(self):
        raise Again


class Click(Exception):  # noqa: N818 (no error)
    """A newer click ends the run."""


@pytest.fixture
def screen(monkeypatch):
    found = Screen()
    monkeypatch.setattr(waiting, "st", found)
    monkeypatch.setattr(waiting, "in_a_session", lambda: True)
    return found


class Slow:
    """A value that takes a while; how often it was computed, and whether it was told to stop."""

    def __init__(self, looks=5):
        self.looks, self.begun, self.stopped, self.gate = looks, 0, threading.Event(), threading.Event()
        self.gate.set()

    def __call__(self, progress):
        self.begun += 1
        for look in range(self.looks):
            threading.Event().wait(0.02)
            self.gate.wait(SECONDS)
            if progress(look, self.looks):
                self.stopped.set()
                break
        return 42

    def ask(self):
        return awaited(Key("of a test"), self, "Looking for it")


def drawn(value):
    """One run of a page that asks for a value and draws for a while; what it had of it."""
    with waiting.in_two_steps():
        found = waiting.known(value.ask)
        threading.Event().wait(0.05)
    return found


def test_the_second_run_has_what_the_first_went_without(screen):
    value = Slow()
    with pytest.raises(Again):
        drawn(value)
    assert screen.said[0] == "Looking for it…"
    assert any(words.startswith("Looking for it: ") for words in screen.said)
    assert drawn(value) == 42
    assert (value.begun, value.stopped.is_set()) == (1, False), "it is not stopped while the page is drawn"
    assert drawn(value) == 42


def test_what_is_there_soon_is_waited_for(screen):
    value = Slow(looks=2)
    with waiting.in_two_steps():
        assert waiting.known(value.ask, SECONDS) == 42
    slower = Slow()
    with pytest.raises(Again), waiting.in_two_steps():
        assert waiting.known(lambda: awaited(Key("another"), slower, "Looking on"), 0.01) is None
        assert slower.begun == 1, "it is begun at once"
    assert slower.begun == 1


def test_what_cannot_be_kept_is_waited_for_the_second_time(screen, monkeypatch):
    monkeypatch.setattr(caches, "CACHE", Cache(lambda: 1))
    value = Slow()
    for _ in range(2):
        with pytest.raises(Again):
            drawn(value)
        assert drawn(value) == 42


@pytest.fixture
def clicked(screen, monkeypatch):
    """A run that a newer click ends while it says how far it is; what it waits for is held up from then on."""

    def ends(value):
        def click(*_):
            value.gate.clear()
            threading.Event().wait(0.1)
            raise Click

        with monkeypatch.context() as patch, pytest.raises(Click):
            patch.setattr(screen, "progress", click)
            drawn(value)

    return ends


def test_a_newer_click_leaves_what_nobody_else_waits_for(clicked):
    value = Slow(looks=10_000)
    clicked(value)
    value.gate.set()
    assert value.stopped.wait(SECONDS)


def test_what_is_under_way_goes_on_while_the_page_is_drawn_again(clicked):
    value = Slow(looks=20)
    clicked(value)
    with pytest.raises(Again), waiting.in_two_steps():
        assert waiting.known(value.ask) is None
        value.gate.set()
        threading.Event().wait(0.1)
    assert (value.begun, value.stopped.is_set()) == (1, False)


def test_what_others_wait_for_is_computed_with_patience(screen):
    with waiting.in_two_steps():
        assert waiting.known(lambda: kept(Key("around it"), Slow().ask)) == 42


def test_without_two_steps_it_is_waited_for(screen):
    assert waiting.known(Slow().ask) == 42


def test_an_error_ends_the_wait_and_the_run(screen):
    def broken():
        return awaited(Key("broken"), lambda _: 1 // 0, "Dividing")

    with pytest.raises(ZeroDivisionError), waiting.in_two_steps():
        assert waiting.known(broken) is None
