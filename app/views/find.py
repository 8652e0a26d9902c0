"""Find a pair: all pairs on a cost axis, and the best under a budget."""

import streamlit as st

from app import controls, link

TITLE = "Find a pair"
LINKED = link.CHOICE


def show() -> None:
    """Draw the page."""
    choice = controls.sidebar()
    if choice is None:
        return
    st.title(TITLE, anchor=False)
    st.markdown("all pairs on a cost axis, and the best under a budget.")
