"""What a page says while it waits for a value that it, or another session, has begun."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from app.state.once import Follow, Work
from duo_core.common.numbers import percent

PATIENCE = 0.5
"""Seconds before anything is said."""
GLANCE = 0.1
"""Seconds between two looks at how far it is; at each, a newer click may end the run."""


def told(text: str) -> Follow:
    """Follow some work, with a bar where it says how far it is; a run that a newer click ends leaves it by raising."""

    def follow(work: Work[object]) -> None:
        if work.done(PATIENCE if in_a_session() else None):
            return
        place = st.empty()
        while not work.done(GLANCE):
            if work.share is None:
                place.caption(f"{text}…")
            else:
                place.progress(min(1.0, work.share), f"{text}: {percent(work.share, 0)}")
        place.empty()

    return follow


def in_a_session() -> bool:
    """Whether there is a page to say something on: a download is made on a thread that has none."""
    return get_script_run_ctx(suppress_warning=True) is not None
