"""Method: formulas, conventions, provenance, citation."""

import streamlit as st

TITLE = "Method"
LINKED: tuple[str, ...] = ()


def show() -> None:
    """Draw the page."""
    st.title(TITLE, anchor=False)
    st.markdown("formulas, conventions, provenance, citation.")
