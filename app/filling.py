"""What is said of a run that fills the set on the screen, and how the models that it adds get there."""

import streamlit as st

from app import state
from duo_core.wording.words import filling

SECONDS = 5.0
"""Between two looks at the files; only while a run is under way."""


def watch(name: str) -> None:
    """Say how far a run is that fills a set; the page is drawn again as soon as the set has another model."""
    if state.under_way(name) is not None:
        _watched(name, state.stamp_of(name))


@st.fragment(run_every=SECONDS)
def _watched(name: str, stamp: str) -> None:
    now = state.under_way(name)
    if state.stamp_of(name) != stamp:
        st.rerun()
    if now is not None:
        st.caption(filling(now))
