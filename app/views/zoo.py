"""Zoo: every model of a set, what it costs and how good it is."""

import streamlit as st

from app import controls, link

TITLE = "Zoo"
LINKED = link.SET


def show() -> None:
    """Draw the page."""
    place = controls.set_sidebar()
    if place is None:
        return
    st.title(TITLE, anchor=False)
    st.markdown("every model of a set, what it costs and how good it is.")
