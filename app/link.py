"""The state of the session, and its copy in the address bar: who opens a copied link sees the same view.

Streamlit's own `bind="query-params"` would write a selectbox's label (accuracy and all) into the address, so that a link broke
whenever a number changed; here the address holds names.
"""

from collections.abc import Collection, Mapping
from typing import Any

import streamlit as st

LINKED = ("set", "split", "base", "sidekick", "metric", "uncertainty", "coverage")
VIEW = LINKED[:4]
"""Written together, so that a link keeps its pair when a default changes."""


def touched() -> None:
    """Note, as a widget's callback, that the session changed: it is newer than the address that came with the request."""
    st.session_state["touched"] = True


def follow_link(page: str) -> None:
    """Take the state from the address where the address changed (a link, back and forward), not a widget or the page."""
    session = st.session_state
    link = {key: value for key, value in st.query_params.to_dict().items() if key in LINKED}
    same_page = session.get("page", page) == page
    session["page"] = page
    if session.pop("touched", False) or link == session.get("link") or not same_page:
        return
    session["link"] = link
    for key in LINKED:
        session.pop(key, None)
    session.update(link)


def settle(key: str, options: Collection[Any], default: Any) -> None:
    """Keep the session's value of a widget where it is one of the options, else put the default there, quietly."""
    st.session_state.setdefault("defaults", {})[key] = default
    value = st.session_state.get(key)
    if value not in options:
        # What comes from the address is text, whatever the options are.
        st.session_state[key] = next((option for option in options if str(option) == value), default)


def share() -> None:
    """Write the state into the address; the view everyone sees first has none."""
    session = st.session_state
    link = link_of({key: session[key] for key in LINKED if key in session}, session["defaults"])
    others = {key: value for key, value in st.query_params.to_dict().items() if key not in LINKED}
    if session.get("link") != link or st.query_params.to_dict() != others | link:
        st.query_params.from_dict(others | link)
    session["link"] = link


def link_of(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, str]:
    """Query parameters of a state: the whole pair, and what else is not the default; nothing where all is.

    >>> link_of({"set": "a", "base": "x", "metric": "aurc"}, {"set": "a", "base": "x", "metric": "aurc"})
    {}
    >>> link_of({"set": "a", "base": "y", "metric": "aurc"}, {"set": "a", "base": "x", "metric": "aurc"})
    {'set': 'a', 'base': 'y'}
    """
    changed = [key for key in values if values[key] != defaults.get(key)]
    return {key: str(values[key]) for key in LINKED if changed and key in values and (key in VIEW or key in changed)}


def swap() -> None:
    """Let base and sidekick change places."""
    session = st.session_state
    session["base"], session["sidekick"] = session["sidekick"], session["base"]
    touched()


def choose_sidekick(chart: str) -> None:
    """Take the sidekick of the point that was clicked in the chart of that key."""
    if picked := picked_point(st.session_state.get(chart)):
        st.session_state["sidekick"] = picked
        touched()


def choose_coverage(chart: str) -> None:
    """Take the coverage of the point that was clicked."""
    if (picked := picked_point(st.session_state.get(chart))) is not None:
        st.session_state["coverage"] = min(100, max(1, round(float(picked) * 100)))
        touched()


def picked_point(event: Mapping[str, Any] | None) -> Any:
    """The customdata of a chart's selected point; None where a second click took the selection back.

    >>> picked_point({"selection": {"points": [{"customdata": ["resnet20"]}]}}), picked_point({"selection": {"points": []}})
    ('resnet20', None)
    """
    points = event["selection"]["points"] if event else []
    data = points[0].get("customdata") if points else None
    return data[0] if isinstance(data, list) and data else data


def forget(*keys: str) -> None:
    """Let widgets start anew from their defaults."""
    for key in keys:
        st.session_state.pop(key, None)
