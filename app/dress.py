"""The pages' own style, on them before there is anything to see."""

import time

import streamlit as st

from duo_core.common import places

BEFORE = 0.15
"""Seconds between the style and what it dresses, when a visit begins: a browser lays out what comes with it once without it."""


def put_on() -> None:
    """Send the style; to be called before anything else is drawn.

    As Markdown, whose code a browser has from the first. For `st.html` it fetches code, and then waits a third of a second.
    """
    names = ("style.css", "embedded.css") if st.context.is_embedded else ("style.css",)
    style = "".join((places.ROOT / "app" / name).read_text(encoding="utf-8") for name in names)
    st.container(key="style").markdown(f"<style>{style}</style>", unsafe_allow_html=True)
    if "dressed" not in st.session_state:
        time.sleep(BEFORE)
    st.session_state["dressed"] = True
