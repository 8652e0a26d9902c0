"""A value that whoever asks first has computed; who asks meanwhile waits and is told how far it is; an error is forgotten."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")
Progress = Callable[[int, int], bool]
"""Told how much is done of how much; the answer is whether to stop, as nobody waits any more."""


class Work(Generic[T]):
    """One computation on a thread of its own, which belongs to no session."""

    def __init__(self, compute: Callable[[Progress], T]) -> None:
        self.share: float | None = None
        """How much of it is done; None where it does not say."""
        self._waiting, self._left, self._stopped = 0, False, False
        self._lock, self._future = threading.Lock(), Future[T]()
        threading.Thread(target=self._run, args=(compute,), name="once", daemon=True).start()

    def _run(self, compute: Callable[[Progress], T]) -> None:
        try:
            self._future.set_result(compute(self._progress))
        except BaseException as error:  # whatever it is, those who wait must not wait for ever
            self._future.set_exception(error)

    def _progress(self, done: int, total: int) -> bool:
        with self._lock:
            self.share, self._stopped = done / total, self._stopped or self._left
            return self._stopped

    @property
    def lost(self) -> bool:
        """Whether nothing will come of it, as it failed or was stopped."""
        return self._stopped or (self._future.done() and self._future.exception() is not None)

    def done(self, seconds: float) -> bool:
        """Wait at most so long; whether it has come to its end."""
        return bool(wait([self._future], seconds).done)

    def result(self) -> T:
        """Wait for what comes of it, or for the error that it ends in."""
        return self._future.result()

    def join(self) -> bool:
        """Wait with the others, unless it is lost."""
        with self._lock:
            joined = not self.lost
            self._waiting, self._left = self._waiting + joined, self._left and not joined
            return joined

    def leave(self) -> None:
        """Wait no longer; where nobody else does, it is told to stop."""
        with self._lock:
            self._waiting -= 1
            self._left = self._waiting == 0


class Once(Generic[T]):
    """Where a value that many ask for comes to lie.

    >>> place = Once[int]()
    >>> place.value(lambda progress: 6 * 7), place.value(lambda progress: 1)
    (42, 42)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._work: Work[T] | None = None

    def under_way(self) -> bool:
        """Whether the value is there or being computed."""
        work = self._work
        return work is not None and not work.lost

    def begin(self, compute: Callable[[Progress], T]) -> Work[T]:
        """Have the value computed beside what else is done, unless it is under way."""
        with self._lock:
            if self._work is None or self._work.lost:
                self._work = Work(compute)
            return self._work

    def value(self, compute: Callable[[Progress], T], follow: Callable[[Work[T]], object] = Work.result) -> T:
        """The value, computed by whoever asks first.

        While it is waited for, `follow` may say how far it is, and raise, which is to leave. What all have left is told to stop,
        and what it made of that is not kept; nor is an error, which is raised for all who wait.
        """
        with self._lock:
            if self._work is None or not self._work.join():
                self._work = Work(compute)
                self._work.join()
            work = self._work
        try:
            follow(work)
            return work.result()
        finally:
            work.leave()
