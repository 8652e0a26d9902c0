"""A value computed once by whoever asks first: others wait and are told, errors are forgotten, what all have left is stopped."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.state.caches import Cache, Key
from app.state.once import Work

SECONDS = 20


class Place:
    """One key of a cache that computes apart."""

    def __init__(self):
        self.cache, self.key = Cache(lambda: 1 << 20), Key("value")

    def value(self, compute, follow=Work.done):
        return self.cache.value(self.key, compute, follow, apart=True)

    def begin(self, compute):
        return self.cache.begin(self.key, compute)

    def under_way(self):
        return self.cache.under_way(self.key)


class LeftError(Exception):
    """As a newer click ends a run that waits."""


def leaves(work):
    raise LeftError


class Slow:
    """A computation in steps that a test lets go on; it counts how often it was begun."""

    def __init__(self, outcome=42):
        self.begun, self.steps, self.outcome, self.stopped = 0, threading.Semaphore(0), outcome, threading.Event()
        self.running = threading.Event()

    def __call__(self, progress):
        self.begun += 1
        self.running.set()
        for done in range(1, 5):
            assert self.steps.acquire(timeout=SECONDS)
            if progress(done, 4):
                self.stopped.set()
                return "given up"
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def go(self, steps=4):
        self.steps.release(steps)


@pytest.fixture
def sessions():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_many_who_ask_at_once_share_one_computation(sessions):
    place, slow = Place(), Slow()
    asked = [sessions.submit(place.value, slow) for _ in range(6)]
    assert slow.running.wait(SECONDS)
    slow.go()
    assert [one.result(SECONDS) for one in asked] == [42] * 6
    assert place.value(slow) == 42
    assert slow.begun == 1


def test_who_waits_is_told_how_far_it_is(sessions):
    place, slow, seen = Place(), Slow(), []
    first = sessions.submit(place.value, slow)
    assert slow.running.wait(SECONDS)

    def follow(work):
        for _ in range(4):
            before = work.share
            slow.go(1)
            while work.share == before and not work.done(0.01):
                pass
            seen.append(work.share)

    assert place.value(slow, follow) == first.result(SECONDS) == 42
    assert seen == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("model"), MemoryError(), SystemExit(1)], ids=repr)
def test_an_error_is_told_to_all_who_wait_and_forgotten(sessions, error):
    place, slow = Place(), Slow(error)
    there = threading.Semaphore(0)
    asked = [sessions.submit(place.value, slow, lambda _: there.release()) for _ in range(3)]
    assert all(there.acquire(timeout=SECONDS) for _ in asked)
    slow.go()
    assert [type(one.exception(SECONDS)) for one in asked] == [type(error)] * 3
    assert not place.under_way()
    assert place.value(lambda _: "right") == place.value(lambda _: "again") == "right"


def test_work_goes_on_for_those_who_stay(sessions):
    place, slow = Place(), Slow()
    stays = sessions.submit(place.value, slow)
    assert slow.running.wait(SECONDS)
    with pytest.raises(LeftError):
        place.value(slow, leaves)
    slow.go()
    assert stays.result(SECONDS) == 42
    assert not slow.stopped.is_set()


def test_work_that_all_have_left_is_stopped_and_what_it_gave_up_is_not_kept():
    place, slow = Place(), Slow()
    with pytest.raises(LeftError):
        place.value(slow, leaves)
    slow.go()
    assert slow.stopped.wait(SECONDS)
    assert place.value(lambda _: 7) == 7


def test_who_comes_before_it_has_stopped_takes_it_over(sessions):
    place, slow = Place(), Slow()
    with pytest.raises(LeftError):
        place.value(slow, leaves)
    asked = threading.Event()

    def follow(work):
        asked.set()

    comes = sessions.submit(place.value, slow, follow)
    assert asked.wait(SECONDS)
    slow.go()
    assert comes.result(SECONDS) == 42
    assert slow.begun == 1


def test_what_nobody_waits_for_yet_is_computed_beside():
    place, slow = Place(), Slow()
    work = place.begin(slow)
    assert place.begin(slow) is work
    assert place.under_way()
    slow.go()
    assert work.result() == place.value(slow) == 42
    assert slow.begun == 1


def test_it_waits_for_nothing_of_the_session_that_began_it(sessions):
    """The first one's thread is gone; the value is not."""
    place, slow = Place(), Slow()
    sessions.submit(place.begin, slow).result(SECONDS)
    slow.go()
    assert place.value(slow) == 42
