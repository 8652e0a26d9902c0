"""How much one session may have under way at once: what goes beyond waits for its turn, and ends where nobody waits any more."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.state.once import Compute, Progress
from duo_core.common.arrays import InputError
from duo_core.common.settings import number

T = TypeVar("T")
GLANCE = 0.1
"""Seconds between two looks whether anybody still waits."""


class Turns:
    """Computations under way by session.

    >>> turns = Turns(lambda: 1)
    >>> turns.take("a", wait=lambda: False), turns.take("a", wait=lambda: False), turns.take("b", wait=lambda: False)
    (True, False, True)
    >>> turns.give_back("a"); turns.take("a", wait=lambda: False)
    True
    """

    def __init__(self, most: Callable[[], int | None]) -> None:
        self._most, self._changed, self._busy = most, threading.Condition(), Counter[str]()

    def take(self, session: str, wait: Callable[[], bool]) -> bool:
        """Take a turn of the session; False where there is none and it is not waited for any longer."""
        most = self._most()
        with self._changed:
            while most is not None and self._busy[session] >= most:
                if not wait():
                    return False
                self._changed.wait(GLANCE)
            self._busy[session] += 1
        return True

    def give_back(self, session: str) -> None:
        """Let the session's next computation begin."""
        with self._changed:
            self._busy[session] -= 1
            self._busy += Counter()  # what is 0 is forgotten
            self._changed.notify_all()


TURNS = Turns(lambda: number("DUO_MAX_WORKS"))
"""Of all sessions."""


def in_turn(compute: Compute[T]) -> Compute[T]:
    """The same, begun when the session that asks for it has a turn left; what belongs to no session begins at once."""
    session = session_of()
    if session is None:
        return compute

    def computed(progress: Progress) -> T:
        if not TURNS.take(session, lambda: not progress(0, 1)):
            raise InputError("nobody waits for this any more")  # who would be told has left
        try:
            return compute(progress)
        finally:
            TURNS.give_back(session)

    return computed


def at_once(write: Callable[[], T]) -> Callable[[], T]:
    """What makes a file of the session's; refused where as much as may be is under way, since a download cannot wait here."""
    session = session_of()

    def written() -> T:
        if session is None:
            return write()
        if not TURNS.take(session, lambda: False):
            raise InputError("expected at most so many computations of one session at once; try again when the others are done")
        try:
            return write()
        finally:
            TURNS.give_back(session)

    return written


def session_of() -> str | None:
    """The session that this thread works for, if any."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.session_id if context else None
