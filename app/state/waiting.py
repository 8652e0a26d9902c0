"""What a page says while it waits for a value that it, or another session, has begun; and how it is drawn without one at first."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.state.once import Compute, Follow, Progress, Work
from duo_core.common.numbers import percent

T = TypeVar("T")
PATIENCE = 0.5
"""Seconds before anything is said."""
GLANCE = 0.1
"""Seconds between two looks at how far it is; at each, a newer click may end the run."""
SENT = 0.05
"""Seconds in which what a page has drawn is sent to its browser, before what takes longer has the processors."""
PLACE = "under_way"
"""Key of the place in a page where it says what it is drawn without; the wire carries it."""
WAITED = "waited"
"""What a session notes when it has waited for all that a run was drawn without: the next run waits where it asks."""


class NotYetError(Exception):
    """A value that a page can be drawn without is not there; the text says what is done for it."""


@dataclass
class _Run:
    """What one run of a page is drawn without."""

    missing: list[tuple[Callable[[], object], DeltaGenerator]] = field(default_factory=list)
    """What is asked, and the place that says so."""
    works: list[Work[Any]] = field(default_factory=list)
    """Joined until the run is over: what was under way, as a click came, is not told to stop meanwhile."""


_RUN: ContextVar[_Run | None] = ContextVar("run", default=None)
_HURRIED: ContextVar[tuple[_Run, float] | None] = ContextVar("hurried", default=None)
"""The run, while it asks for what it can be drawn without, and for how many seconds it waits for that."""
_SAID: ContextVar[DeltaGenerator | None] = ContextVar("said", default=None)
"""The place that says so, while it waits for it at last."""


def told(text: str) -> Follow:
    """Follow some work, with a bar where it says how far it is; a run that a newer click ends leaves it by raising."""

    def follow(work: Work[object]) -> None:
        if work.done(PATIENCE if in_a_session() else None):
            return
        place = _SAID.get() or st.empty()
        while not work.done(GLANCE):
            if work.share is None or work.share >= 1:  # what follows the steps that are counted takes a while, too
                place.caption(f"{text}…")
            else:
                place.progress(work.share, f"{text}: {percent(work.share, 0)}")
        place.empty()

    return follow


def hurried() -> float | None:
    """Seconds to wait for what the page asks for just now and can be drawn without; None where it waits until it is there."""
    return hurry[1] if (hurry := _HURRIED.get()) else None


def there(work: Work[Any] | None, text: str) -> None:
    """Hold the joined work on a value that the page can be drawn without; NotYetError where it is not done in time or not begun."""
    if (hurry := _HURRIED.get()) is not None:
        run, soon = hurry
        if work is not None:
            run.works.append(work)
        if work is None or not work.done(soon):
            raise NotYetError(text)


def known(ask: Callable[[], T], soon: float = 0) -> T | None:
    """What is asked for; None where it is not there: then the page is drawn without it first, and again when it is there.

    What is hardly ever there `soon`, in so many seconds, is not begun before the rest is drawn, which would have to share the
    processors with it. What the page waits for is said here. Outside `in_two_steps`, as in a fragment that runs by itself, it waits
    here.
    """
    run = _RUN.get()
    if run is None:
        return ask()
    token = _HURRIED.set((run, soon))
    try:
        return ask()
    except NotYetError as error:
        place = st.container(key=f"{PLACE}_{len(run.missing)}").empty()
        place.caption(f"{error}…")
        run.missing.append((ask, place))
        return None
    finally:
        _HURRIED.reset(token)


def patiently(compute: Compute[T]) -> Compute[T]:
    """The same on the asker's thread, where others may wait for what comes of it: what it asks for itself, it waits for."""

    def computed(progress: Progress) -> T:
        token = _HURRIED.set(None)
        try:
            return compute(progress)
        finally:
            _HURRIED.reset(token)

    return computed


@contextmanager
def in_two_steps() -> Iterator[None]:
    """A page that is drawn at once without what takes longer, says how far that is, and is drawn again when it is there.

    The second run waits where it asks, should a value have been let go meanwhile: there is no third.
    """
    run = _Run()
    token = _RUN.set(None if st.session_state.pop(WAITED, False) else run)
    try:
        yield
        if run.missing:
            time.sleep(SENT)
        for ask, place in run.missing:
            _wait(ask, place)
    finally:
        _RUN.reset(token)
        for work in run.works:
            work.leave()
    if run.missing:
        st.session_state[WAITED] = True
        st.rerun()


def _wait(ask: Callable[[], object], place: DeltaGenerator) -> None:
    token = _SAID.set(place)
    try:
        ask()
    finally:
        _SAID.reset(token)


def in_a_session() -> bool:
    """Whether there is a page to say something on: a download is made on a thread that has none."""
    return get_script_run_ctx(suppress_warning=True) is not None
