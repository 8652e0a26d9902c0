"""Diagnose: where the duo is right and wrong, image by image and class by class."""

import streamlit as st

from app import controls, link

TITLE = "Diagnose"
LINKED = link.CHOICE


def show() -> None:
    """Draw the page."""
    choice = controls.sidebar()
    if choice is None:
        return
    st.title(TITLE, anchor=False)
    st.markdown("Where the duo is right and wrong, image by image and class by class.")
