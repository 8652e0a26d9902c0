"""One computation that many wait for: they are told how far it is, and all get what comes of it, be it an error."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Generic, TypeVar

from duo_core.common.parallel import step_back

T = TypeVar("T")
Progress = Callable[[int, int], bool]
"""Told how much is done of how much; the answer is whether to stop, as nobody waits any more."""
Compute = Callable[[Progress], T]


class Work(Generic[T]):
    """One computation, begun once: on a thread of its own, which belongs to no session, or where it was asked for.

    >>> work = Work[int]()
    >>> work.run(lambda progress: 6 * 7)
    >>> work.result()
    42
    """

    def __init__(
        self,
        keep: Callable[["Work[T]", T], object] | None = None,
        drop: Callable[["Work[T]"], object] | None = None,
    ) -> None:
        """`keep` is given what came of it before those who wait are, `drop` is called where nothing came of it."""
        self.share: float | None = None
        """How much of it is done; None where it does not say."""
        self._keep, self._drop = keep, drop
        self._waiting, self._left, self._stopped, self._apart = 0, False, False, False
        self._lock, self._future = threading.Lock(), Future[T]()

    def start(self, compute: Compute[T]) -> None:
        """Compute on a thread of its own; here, where there is none to be had."""
        self._apart = True

        def aside() -> None:
            step_back()
            self.run(compute)

        try:
            threading.Thread(target=aside, name="once", daemon=True).start()
        except RuntimeError:  # those who wait must not wait for ever
            self.run(compute)

    def run(self, compute: Compute[T]) -> None:
        """Compute here and now."""
        try:
            value = compute(self._progress)
            if self._keep and not self._stopped:
                self._keep(self, value)
            self._future.set_result(value)
        except BaseException as error:  # whatever it is, those who wait must not wait for ever
            self._future.set_exception(error)
        if self._drop and self.lost:
            self._drop(self)

    def _progress(self, done: int, total: int) -> bool:
        with self._lock:
            self.share, self._stopped = done / total, self._stopped or self._left
            return self._stopped

    @property
    def lost(self) -> bool:
        """Whether nothing will come of it, as it failed or was stopped."""
        return self._stopped or self._error() is not None

    @property
    def abandoned(self) -> bool:
        """Whether the session that computed it where it was asked for was ended meanwhile, which is no error of the work."""
        return not self._apart and not isinstance(self._error(), Exception | None)

    def _error(self) -> BaseException | None:
        return self._future.exception() if self._future.done() else None

    def done(self, seconds: float | None = None) -> bool:
        """Wait at most so long; whether it has come to its end."""
        return self._future.done() or bool(wait([self._future], seconds).done)

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


Follow = Callable[[Work[Any]], object]
"""Waits for work, or raises, which is to leave it."""
