"""What a first visitor sees above the first page: what a duo is, and three ways in. It goes once anything was used."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

SENTENCE = (
    "**A duo is two models and two weights:** a large classifier (*base*) and a small one (*sidekick*) look at the same image, "
    "and their logits are weighted and added. For 10 to 20 % more compute this often means fewer errors, and a better sense of "
    "which answers to trust."
)
ALT = "Logits of the base times T_base plus logits of the sidekick times T_sidekick; softmax makes the answer of it"
PICTURE = """
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 470 84" width="470" height="84">
  <g fill="none" stroke="currentColor" stroke-width="1.4">
    <rect x="1" y="2" width="112" height="46" rx="5" fill="#3a78bf" fill-opacity="0.2"/>
    <rect x="1" y="58" width="112" height="24" rx="5" fill="#c9731d" fill-opacity="0.25"/>
    <path d="M113 25H150M113 70H150M228 25L268 40M228 70L268 52M296 46H336"/>
    <circle cx="282" cy="46" r="14"/><rect x="336" y="28" width="132" height="36" rx="5"/>
  </g>
  <g fill="currentColor" font-family="sans-serif" font-size="14" text-anchor="middle">
    <text x="57" y="30">base</text><text x="57" y="75">sidekick</text>
    <text x="189" y="30">× T_base</text><text x="189" y="75">× T_sidekick</text>
    <text x="282" y="51" font-size="17">+</text><text x="402" y="51">softmax: answer</text>
  </g>
</svg>
"""


def note(address: Mapping[str, Any], *, first_page: bool) -> None:
    """Note, before the page is drawn, whether this visit has used nothing: no link with state, no click, no other page."""
    session = st.session_state
    new = "welcome" not in session
    session["welcome"] = first_page and not st.context.is_embedded and (not address if new else session["welcome"])
    if not new and session.get("touched"):
        session["welcome"] = False


def show() -> None:
    """Draw it where nothing was used yet."""
    if not st.session_state["welcome"]:
        return
    pages = st.session_state["pages"]
    with st.container(border=True, key="welcome"):
        left, right = st.columns([3, 2], gap="medium", vertical_alignment="center")
        left.markdown(SENTENCE)
        ink = "#e6eaef" if st.context.theme.type == "dark" else "#101820"  # the theme's text
        right.image(PICTURE.strip().replace("currentColor", ink), width="stretch", alt=ALT)
        with st.container(horizontal=True, vertical_alignment="center", key="welcome_doors"):
            st.button("See it on real models ↓", key="welcome_see", on_click=_close)
            st.page_link(pages["data"], label="Try it on your own logits →", width="content")
            st.page_link(pages["learn"], label="Learn it in ten minutes →", width="content")


def _close() -> None:
    st.session_state["welcome"] = False
