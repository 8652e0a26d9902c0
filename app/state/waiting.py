"""What a page says while it waits for a value that it, or another session, has begun."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from app.state.once import Work

PATIENCE = 0.5
"""Seconds before anything is said."""
GLANCE = 0.1
"""Seconds between two looks at how far it is; at each, a newer click may end the run."""


def told(text: str) -> Callable[[Work[Any]], None]:
    """Follow some work, with a bar where it says how far it is; a run that a newer click ends leaves it by raising."""

    def follow(work: Work[Any]) -> None:
        if work.done(PATIENCE):
            return
        place = st.empty()
        while not work.done(GLANCE):
            if work.share is None:
                place.caption(f"{text}…")
            else:
                place.progress(min(1.0, work.share), f"{text}: {work.share:.0%}")
        place.empty()

    return follow
