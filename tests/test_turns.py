"""What a session may have under way: the rest waits, ends where nobody waits for it, and holds no other session up."""

import threading

import pytest

from app.state import turns
from app.state.once import Work
from app.state.turns import Turns
from duo_core.common.arrays import InputError


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> Turns:
    """One computation a session."""
    own = Turns(lambda: 1)
    monkeypatch.setattr(turns, "TURNS", own)
    return own


def begun(monkeypatch: pytest.MonkeyPatch, session: str, compute) -> Work[int]:
    monkeypatch.setattr(turns, "session_of", lambda: session)
    work = Work[int]()
    work.join()
    work.start(turns.in_turn(compute))
    return work


def test_a_session_computes_one_thing_after_the_other_and_others_go_on(bounded, monkeypatch):
    release = threading.Event()

    def slow(_) -> int:
        release.wait(60)
        return 1

    first = begun(monkeypatch, "a", slow)
    second = begun(monkeypatch, "a", lambda _: 2)
    other = begun(monkeypatch, "b", lambda _: 3)
    assert other.result() == 3
    assert not second.done(3 * turns.GLANCE)
    release.set()
    assert (first.result(), second.result()) == (1, 2)


def test_what_nobody_waits_for_is_not_begun(bounded, monkeypatch):
    release, ran = threading.Event(), list[int]()
    first = begun(monkeypatch, "a", lambda _: release.wait(60))
    second = begun(monkeypatch, "a", lambda _: ran.append(1))
    second.leave()
    assert second.done(60)
    assert second.lost
    release.set()
    assert first.result()
    assert ran == []
    assert not bounded._busy


def test_a_download_beside_too_much_is_refused_and_an_error_gives_its_turn_back(bounded, monkeypatch):
    monkeypatch.setattr(turns, "session_of", lambda: "a")

    def fail() -> int:
        raise ValueError("broken")

    assert bounded.take("a", lambda: False)
    with pytest.raises(InputError, match="expected at most so many computations of one session"):
        turns.at_once(lambda: 1)()
    bounded.give_back("a")
    with pytest.raises(ValueError, match="broken"):
        turns.at_once(fail)()
    assert turns.at_once(lambda: 1)() == 1


def test_what_belongs_to_no_session_is_not_bounded(bounded, monkeypatch):
    monkeypatch.setattr(turns, "session_of", lambda: None)
    both = [turns.at_once(turns.at_once(lambda: 1))() for _ in range(2)]
    assert both == [1, 1]
