"""Work shared by cores: results in order, the first error, nobody waits for the work of others."""

import os
import sys
import threading
import time

import pytest

from duo_core.common import parallel


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: 2)


def test_results_come_in_order_from_several_threads() -> None:
    together = threading.Barrier(2, timeout=60)
    names: set[str] = set()

    def square(item: int) -> int:
        if item < 2:
            together.wait()  # passes where two are at work at once
        names.add(threading.current_thread().name)
        return item * item

    assert parallel.in_parallel(square, range(50)) == [item * item for item in range(50)]
    assert threading.current_thread().name in names
    assert len(names) == 2


def test_work_within_work_stays_on_its_thread() -> None:
    def names(_: int) -> list[str]:
        return [threading.current_thread().name, *parallel.in_parallel(lambda _: threading.current_thread().name, range(5))]

    assert all(len(set(found)) == 1 for found in parallel.in_parallel(names, range(8)))


def test_of_several_errors_the_first_is_raised_and_the_rest_left() -> None:
    together, done = threading.Barrier(2, timeout=60), list[int]()

    def refuse(item: int) -> None:
        done.append(item)
        if item in {3, 4}:
            together.wait()
            raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 3"):
        parallel.in_parallel(refuse, range(1000))
    assert sorted(done) == list(range(5))


def test_an_interrupt_ends_the_work_of_all() -> None:
    done: list[int] = []
    caller = threading.current_thread()

    def interrupted(item: int) -> None:
        done.append(item)
        if threading.current_thread() is caller:
            raise KeyboardInterrupt
        time.sleep(0.001)

    with pytest.raises(KeyboardInterrupt):
        parallel.in_parallel(interrupted, range(100_000))
    assert len(done) < 100_000


def test_a_busy_pool_holds_nobody_up() -> None:
    release = threading.Event()
    try:
        for _ in range(4):
            parallel._pool(False).submit(release.wait, 60)
        assert parallel.in_parallel(lambda item: -item, range(5)) == [0, -1, -2, -3, -4]
        assert not release.is_set()
    finally:
        release.set()


def priorities(patience: float, monkeypatch: pytest.MonkeyPatch) -> tuple[set[int], list[int]]:
    """What the system says of the threads that did a work which steps back after so long; and the results."""
    monkeypatch.setattr(parallel, "PATIENCE", patience)
    monkeypatch.setattr(parallel, "AT_ONCE", 2)
    seen, found, together = set[int](), list[int](), threading.Barrier(2, timeout=60)

    def square(item: int) -> int:
        if item % 4 < 2:
            together.wait()  # both threads take part
        seen.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return item * item

    def work() -> None:
        parallel.step_back()
        time.sleep(0.01)
        found.extend(parallel.in_parallel(square, range(8)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return seen, found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_long_work_lets_others_go_first_and_short_work_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = os.getpriority(os.PRIO_PROCESS, os.getpid())
    squares = [item * item for item in range(8)]
    assert priorities(0.0, monkeypatch) == ({min(19, usual + parallel.NICE)}, squares)
    assert priorities(60.0, monkeypatch) == ({usual}, squares)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == usual
