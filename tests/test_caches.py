"""What was computed is kept within a budget of bytes: the least recently used goes first, uploads end with their session."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from logit_sets import write_set

from app import budget, state
from app.state import sizes
from app.state.caches import CACHE, ENTRY, SPARE, Cache, Key
from app.state.once import Work
from duo_core.__main__ import main
from duo_core.common.arrays import InputError
from duo_core.systems.pair_judging import Memory

SECONDS = 20
KIB = 1 << 10
UPLOAD = "upload:0123"


def key(name, of="", *by):
    return Key(str(name), of, by)


def array(kib):
    return np.ones(kib * KIB // 8)


def size_of(value):
    return sum(sizes.pieces(value).values())


def put(cache, name, value, of="", **how):
    return cache.value(key(name, of), lambda _: value, **how)


def names(cache):
    return [one.what for one in cache.keys()]  # noqa: SIM118 (no dictionary)


@pytest.fixture
def cache():
    return Cache(lambda: 100 * KIB)


@pytest.fixture
def sessions():
    with ThreadPoolExecutor(8) as pool:
        yield pool


class StoppedError(BaseException):
    """As Streamlit ends a run that a newer click takes the place of."""


def test_what_was_used_least_recently_goes_first(cache):
    for name in "abc":
        put(cache, name, array(28))
    put(cache, "a", None)  # used again
    put(cache, "d", array(28))
    assert names(cache) == ["c", "a", "d"]
    assert put(cache, "b", 7) == 7, "computed anew"


@pytest.mark.parametrize("apart", [False, True])
def test_the_budget_holds_whatever_many_sessions_ask_for(cache, sessions, rng, apart):
    most = []

    def ask(name):
        found = put(cache, name, array(3 + name % 40), apart=apart)
        most.append(cache.bytes)
        return len(found)

    asked = rng.integers(0, 60, 600).tolist()
    assert list(sessions.map(ask, asked)) == [len(array(3 + name % 40)) for name in asked]
    assert max(most) <= 100 * KIB
    assert cache.bytes == sum(len(cache._works[one].result()) * 8 + ENTRY + size_of(np.ones(0)) for one in cache.keys())  # noqa: SIM118
    assert cache.bytes > 50 * KIB


def test_what_exceeds_the_budget_by_itself_is_handed_over_and_not_kept(cache):
    put(cache, "small", array(1))
    assert len(put(cache, "large", array(200))) == 200 * KIB // 8
    assert "large" not in names(cache)
    assert cache.bytes <= 100 * KIB


def test_many_small_values_are_bounded_too(cache):
    for number in range(200):
        put(cache, number, number)
    assert len(names(cache)) <= 100 * KIB // ENTRY


def test_the_budget_is_that_of_the_environment(monkeypatch):
    monkeypatch.delenv("DUO_CACHE_MIB", raising=False)
    assert budget.budget() == budget.DEFAULT
    monkeypatch.setenv("DUO_CACHE_MIB", " 3 ")
    assert budget.budget() == 3 << 20
    CACHE.clear()
    for number in range(20):
        put(CACHE, f"array {number}", array(500))
    assert 2 << 20 < CACHE.bytes <= 3 << 20
    CACHE.clear()


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "1_000", "٣x"])
def test_another_budget_than_a_whole_number_is_refused_when_the_dashboard_starts(monkeypatch, capsys, text):
    monkeypatch.setenv("DUO_CACHE_MIB", text)
    with pytest.raises(InputError, match="expected a whole number of MiB above 0 in the environment as DUO_CACHE_MIB, got '"):
        budget.budget()
    assert main(["app"]) == 2
    assert "DUO_CACHE_MIB" in capsys.readouterr().err


def test_what_two_values_share_is_counted_once(cache):
    whole = array(40)
    put(cache, "first", whole[:100])
    before = cache.bytes
    put(cache, "second", {"half": whole[100:], "whole": torch.from_numpy(whole)})
    assert cache.bytes - before < 2 * ENTRY
    put(cache, "third", array(55))  # the first one's going frees nothing that the second still holds
    assert names(cache) == ["second", "third"]
    assert cache.bytes > 90 * KIB


def test_what_grows_is_measured_again_once_it_was_used(cache):
    memory = put(cache, "memory", Memory(), grows=True)
    put(cache, "other", array(30))
    before = cache.bytes
    memory.classes["large", "test"] = np.zeros(20 * KIB // 4, dtype=np.int32)
    put(cache, "memory", None, grows=True)
    put(cache, "third", array(1))
    assert cache.bytes - before > 20 * KIB
    memory.classes["small", "test"] = np.zeros(80 * KIB // 4, dtype=np.int32)
    put(cache, "memory", None, grows=True)
    put(cache, "fourth", array(1))
    assert cache.bytes <= 100 * KIB
    assert "memory" not in names(cache) or "other" not in names(cache)


@pytest.mark.parametrize(
    "value",
    [
        array(64),
        array(64)[::2],
        array(64).reshape(2, -1)[:, :3],
        torch.ones(64 * KIB // 4),
        torch.ones(64 * KIB // 4)[5:7],
        torch.ones(64 * KIB // 4).numpy()[3:],
        torch.ones(64 * KIB // 4)[5:7].numpy(),
        bytes(64 * KIB),
        memoryview(bytes(64 * KIB))[3:],
        np.frombuffer(bytes(64 * KIB), dtype=np.int8)[7:],
        pd.DataFrame({"a": array(32)}, index=pd.Index(array(32).cumsum())),
        pd.DataFrame({"a": array(20)}, index=pd.MultiIndex.from_arrays([np.arange(2560), np.arange(2560)])),
        pd.DataFrame({"a": array(32), "b": array(32)}),
        pd.Series(array(64)),
        pd.DataFrame({"name": ["x" * 8 * KIB for _ in range(8)]}).astype(object),
        pd.DataFrame({"name": ["x" * 8 * KIB for _ in range(8)]}, dtype="str"),
        ["x" * KIB + str(number) for number in range(64)],
        ["x" * 64 + str(number) for number in range(560)],
        {number: array(8) for number in range(8)},
        (frozenset({bytes(32 * KIB)}), {"b": {"c": [array(32)]}}),
        Memory(classes={("large", "test"): np.zeros(16 * KIB, dtype=np.int32)}),
        np.array([bytes(32 * KIB), bytes(32 * KIB + 1)], dtype=object),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sizes_are_those_of_what_is_held(value):
    assert 63 * KIB < size_of(value) < 85 * KIB


def test_nothing_is_read_to_measure_it(tmp_path):
    own = state.sets.Store(write_set(tmp_path)).open("toy")
    assert size_of(own) < 100 * KIB
    assert not own.arrays._read
    before = size_of(own)
    own.logits("large", "test")
    assert size_of(own) == before, "nor is what is mapped"
    mapped = np.memmap(tmp_path / "large", dtype=np.float64, mode="w+", shape=(KIB * KIB,))
    assert size_of([mapped, mapped[5:]]) < KIB, "the system takes pages of files back by itself"


def test_a_cycle_ends(cache):
    ring = [array(1)]
    ring.append(ring)
    put(cache, "ring", ring)
    assert cache.bytes < 4 * KIB + ENTRY


@pytest.mark.parametrize("apart", [False, True])
def test_an_error_is_raised_for_all_who_wait_and_forgotten(cache, sessions, apart):
    begun, go = threading.Event(), threading.Event()

    def fail(_):
        begun.set()
        assert go.wait(SECONDS)
        raise ValueError("no")

    first = sessions.submit(cache.value, key("value"), fail, apart=apart)
    assert begun.wait(SECONDS)
    joined = threading.Event()
    second = sessions.submit(cache.value, key("value"), fail, lambda _: joined.set(), apart=apart)
    assert joined.wait(SECONDS)
    go.set()
    assert [str(one.exception(SECONDS)) for one in (first, second)] == ["no", "no"]
    assert names(cache) == []
    assert cache.bytes == 0
    assert put(cache, "value", "right") == put(cache, "value", "again") == "right"


@pytest.mark.parametrize("sort", [StoppedError, KeyboardInterrupt])
def test_a_session_that_ends_while_it_computes_here_leaves_the_work_to_who_waits(cache, sessions, sort):
    begun, go = threading.Event(), threading.Event()

    def stopped(_):
        begun.set()
        assert go.wait(SECONDS)
        raise sort

    first = sessions.submit(cache.value, key("value"), stopped)
    assert begun.wait(SECONDS)
    joined = threading.Event()
    second = sessions.submit(cache.value, key("value"), lambda _: 42, lambda _: joined.set())
    assert joined.wait(SECONDS)
    go.set()
    assert type(first.exception(SECONDS)) is sort
    assert second.result(SECONDS) == 42


def test_short_work_is_done_once_for_all_who_ask_at_once(cache, sessions):
    begun, go, calls = threading.Event(), threading.Event(), []

    def compute(_):
        calls.append(threading.get_ident())
        begun.set()
        assert go.wait(SECONDS)
        return array(1)

    asked = [sessions.submit(cache.value, key("value"), compute) for _ in range(6)]
    assert begun.wait(SECONDS)
    go.set()
    assert len({id(one.result(SECONDS)) for one in asked}) == len(calls) == 1


def test_where_no_thread_is_to_be_had_it_is_computed_here(cache, monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert put(cache, "value", 42, apart=True) == 42


def test_what_belongs_to_an_upload_goes_with_it(cache):
    put(cache, "shared", array(8))
    cache.admit(UPLOAD, array(8))
    put(cache, "own", array(8), f"{UPLOAD}/digest")
    put(cache, "stamped", array(8), UPLOAD)
    put(cache, "another", array(8), f"{UPLOAD}4")  # which nobody has admitted
    assert names(cache) == ["shared", "own", "stamped"]
    cache.forget(UPLOAD)
    assert names(cache) == ["shared"]
    assert cache.bytes < 8 * KIB + 2 * ENTRY
    put(cache, "own", array(8), f"{UPLOAD}/digest")
    assert names(cache) == ["shared"], "whoever still computes from it keeps nothing"


@pytest.mark.parametrize("apart", [False, True])
def test_what_is_still_computed_when_its_upload_ends_is_handed_over_and_not_kept(cache, sessions, apart):
    begun, go = threading.Event(), threading.Event()

    def compute(_):
        begun.set()
        assert go.wait(SECONDS)
        return array(8)

    cache.admit(UPLOAD, None)
    asked = sessions.submit(cache.value, key("own", UPLOAD), compute, apart=apart)
    assert begun.wait(SECONDS)
    cache.forget(UPLOAD)
    go.set()
    assert len(asked.result(SECONDS)) == KIB
    assert names(cache) == []
    assert cache.bytes == 0


def test_an_upload_takes_its_part_of_the_budget_and_stays(cache):
    for name in "ab":
        put(cache, name, array(40))
    uploaded = array(50)
    cache.admit(UPLOAD, uploaded)
    assert names(cache) == ["b"]
    put(cache, "own", {"of": uploaded, "more": array(4)}, UPLOAD)
    assert cache.bytes < 100 * KIB
    for number in range(5):
        put(cache, number, array(30))
    assert cache.bytes <= 100 * KIB
    assert cache.bytes > 50 * KIB, "the upload is still counted"


def test_uploads_beyond_the_budget_leave_a_part_to_the_rest(cache):
    cache.admit(UPLOAD, array(300))
    for number in range(20):
        put(cache, number, array(5))
    assert names(cache)
    assert 300 * KIB < cache.bytes <= 300 * KIB + 100 * KIB // SPARE + ENTRY
    cache.admit(UPLOAD, array(10))  # another in its place
    for number in range(20):
        put(cache, number, array(5))
    assert 50 * KIB < cache.bytes <= 100 * KIB
    cache.admit(UPLOAD, array(300))
    cache.forget(UPLOAD)
    for number in range(30):
        put(cache, number, array(5))
    assert 50 * KIB < cache.bytes <= 100 * KIB


def test_a_set_of_the_store_cannot_pass_for_an_upload():
    assert Key("pairs", "/a/store/upload:0123/stamp").upload == ""


def test_what_a_work_without_a_cache_finds_is_its_result():
    work = Work()
    work.start(lambda progress: progress(1, 2))
    assert work.result() is False
    assert work.share == 0.5
