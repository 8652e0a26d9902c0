"""Temperatures: how much say each model gets, and how well that is known."""

import streamlit as st

from app import controls, link

TITLE = "Temperatures"
LINKED = link.CHOICE


def show() -> None:
    """Draw the page."""
    choice = controls.sidebar()
    if choice is None:
        return
    st.title(TITLE, anchor=False)
    st.markdown("How much say each model gets, and how well that is known.")
