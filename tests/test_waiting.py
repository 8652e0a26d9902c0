"""What several sessions share of one computation: nobody waits without a word, and nobody is shown an old error."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from dashboard import PAIR, text_of
from logit_sets import write_set
from streamlit.util import calc_hash

from app import state
from app.state import diagnosis, holding, tables, waiting
from app.state.caches import CACHE
from app.state.once import Work
from duo_core.analysis.judged import judged_claims
from duo_core.metrics.intervals import drawn
from duo_core.systems.remembered import swept

SECONDS = 60


@pytest.fixture
def handle(tmp_path, monkeypatch):
    monkeypatch.setenv("DUO_STORE", str(write_set(tmp_path)))
    CACHE.clear()
    return state.open_set("toy")


@pytest.fixture
def told(monkeypatch):
    """What waiting sessions are told: the thread of each, and the words."""
    said = []

    def say(*words):
        said.append((threading.get_ident(), words[-1]))

    place = SimpleNamespace(caption=say, progress=say, empty=lambda: None)
    monkeypatch.setattr(waiting, "st", SimpleNamespace(empty=lambda: place))
    monkeypatch.setattr(waiting, "in_a_session", lambda: True)
    monkeypatch.setattr(waiting, "PATIENCE", 0.01)
    monkeypatch.setattr(waiting, "GLANCE", 0.01)
    return said


class Held:
    """A computation that is held up until so many sessions have been told so; it fails as often as it is to."""

    def __init__(self, compute, said, words, sessions, failures=0):
        self.compute, self.said, self.words, self.sessions, self.failures = compute, said, words, sessions, failures
        self.calls = 0
        self.begun = threading.Event()

    def __call__(self, *args, **options):
        self.calls += 1
        self.begun.set()
        if progress := options.get("progress"):
            progress(1, 4)
        wait = threading.Event()
        while len({session for session, words in self.said if words == self.words}) < self.sessions:
            assert not wait.wait(0.01)
        if self.calls <= self.failures:
            raise RuntimeError("out of luck")
        return self.compute(*args, **options)


def draws(handle):
    found = state.evaluation(handle, "large", "small", "test", "softmax")
    return lambda: state.gains(handle, found, "softmax", ("aurc",))["aurc"]


SHARED = {
    "draws": (diagnosis, "drawn", drawn, draws, "Drawing other images of this kind…"),
    "pairs": (
        tables.remembered, "swept", swept, lambda handle: lambda: len(state.all_pairs(handle, "test", "softmax")),
        "Pairing the models of The toy set: 25 %",
    ),
    "claims": (
        holding, "judged_claims", judged_claims, lambda handle: lambda: len(state.claims_of(handle, "test").claims),
        "Judging the pairs of The toy set on parts of the images: 25 %",
    ),
}  # fmt: skip


@pytest.fixture(params=SHARED)
def shared(request, handle, told, monkeypatch):
    """What sessions ask for, what computes it, held up, and what is said meanwhile."""
    module, name, compute, ask, words = SHARED[request.param]
    asked = ask(handle)
    if request.param == "claims":
        state.all_pairs(handle, "test", "softmax")
        told.clear()

    def held(sessions, failures=0):
        computing = Held(compute, told, words, sessions, failures)
        monkeypatch.setattr(module, name, computing)
        return computing

    return asked, held, words


def test_a_second_session_is_told_that_the_first_computes(shared, told):
    ask, held, words = shared
    computing = held(sessions=2)
    with ThreadPoolExecutor(2) as sessions:
        first = sessions.submit(ask)
        assert computing.begun.wait(SECONDS)
        second = sessions.submit(ask)
        assert first.result(SECONDS) == second.result(SECONDS)
    assert computing.calls == 1
    assert len({session for session, said in told if said == words}) == 2


def test_what_follows_the_last_step_is_not_shown_as_done(told):
    heard = []

    def compute(progress):
        for done, words in ((3, "Pairing: 75 %"), (4, "Pairing…")):
            progress(done, 4)
            while words not in {said for _, said in told}:
                time.sleep(0.01)
            heard.append(words)

    work = Work()
    work.start(compute)
    waiting.told("Pairing")(work)
    assert heard == ["Pairing: 75 %", "Pairing…"]
    assert "Pairing: 100 %" not in {said for _, said in told}


def test_a_second_session_between_the_first_ones_two_beginnings_draws_nothing_again(handle, told, monkeypatch):
    computing = Held(drawn, told, SHARED["draws"][-1], sessions=2)
    monkeypatch.setattr(diagnosis, "drawn", computing)
    begin, begun, ask = CACHE.begin, threading.Event(), draws(handle)

    def slowly(*args):
        work = begin(*args)
        if not begun.is_set():
            begun.set()
            threading.Event().wait(0.2)
        return work

    monkeypatch.setattr(CACHE, "begin", slowly)
    with ThreadPoolExecutor(2) as sessions:
        first = sessions.submit(ask)
        assert begun.wait(SECONDS)
        assert sessions.submit(ask).result(SECONDS) == first.result(SECONDS)
    assert computing.calls == 1


def test_an_error_is_shown_to_who_waits_for_it_and_not_to_who_comes_later(shared):
    ask, held, _ = shared
    computing = held(sessions=1, failures=1)
    with pytest.raises(RuntimeError, match="out of luck"):
        ask()
    assert ask() == ask()
    assert computing.calls == 2


@pytest.mark.parametrize("error", [RuntimeError("no thread"), MemoryError(), OSError("a file has gone")], ids=repr)
def test_diagnose_shows_an_error_once(open_view, monkeypatch, error):
    def failing(*_, **__):
        raise error

    CACHE.clear()  # what other tests have drawn
    app = open_view("explore", **PAIR)
    monkeypatch.setattr(diagnosis, "drawn", failing)
    app.query_params.clear()
    app._page_hash = calc_hash("diagnose")
    app.run()
    assert app.exception
    monkeypatch.setattr(diagnosis, "drawn", drawn)
    assert not app.run().exception
    assert "95 % interval" in text_of(app)
