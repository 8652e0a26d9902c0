"""Does it hold: the claims of the paper, computed on the chosen set."""

import streamlit as st

from app import controls, link

TITLE = "Does it hold?"
LINKED = (*link.SET, "uncertainty")


def show() -> None:
    """Draw the page."""
    place = controls.set_sidebar()
    if place is None:
        return
    with st.sidebar:
        controls.uncertainty()
    st.title(TITLE, anchor=False)
    st.markdown("The claims of the paper, computed on the chosen set.")
