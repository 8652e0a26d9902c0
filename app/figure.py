"""A chart taken along: the buttons under it, which the browser answers without the server."""

import datetime
import functools
from typing import Any

import streamlit as st

from duo_core.common import places

BUTTONS = """
<div><span>Figure:</span>
<button type="button" data-kind="png">PNG</button>
<button type="button" data-kind="svg">SVG</button>
<button type="button" data-kind="pdf">PDF</button></div>
"""
LOOK = """
div { display: flex; gap: 0.6rem; font-size: 0.8rem; color: var(--st-text-color); }
span { opacity: 0.75; }
button { border: 0; padding: 0; background: none; color: var(--st-link-color); font: inherit; cursor: pointer; }
button:hover, button:focus-visible { text-decoration: underline; }
"""


@functools.cache
def _component() -> Any:
    code = (places.ROOT / "app" / "figure.js").read_text(encoding="utf-8")
    return st.components.v2.component("duo_figure", html=BUTTONS, css=LOOK, js=code)


def buttons(name: str, title: str) -> None:
    """Draw them under the chart of that name."""
    if st.context.is_embedded:
        return
    about = " · ".join([*_shown(), datetime.date.today().isoformat()])
    file = "-".join([name, *_shown()]).replace(" ", "-")
    _component()(key=f"figure_{name}", data={"name": name, "title": title, "about": about, "file": file})


def _shown() -> list[str]:
    """The set and the split that the page shows; of an upload no more than that it is one."""
    session = st.session_state
    values = [str(session[key]) for key in ("set", "split") if key in session.get("linked", ()) and key in session]
    return ["your upload" if value.startswith("upload:") else value for value in values]
