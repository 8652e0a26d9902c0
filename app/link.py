"""The state of the session, and its copy in the address bar: who opens a copied link sees the same view.

Streamlit's own `bind="query-params"` would write a selectbox's label (accuracy and all) into the address, so that a link broke
whenever a number changed; here the address holds names.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import streamlit as st

SET = ("set", "split")
PAIR = (*SET, "base", "sidekick")
"""Written together, so that a link keeps its pair when a default changes."""
CHOICE = (*PAIR, "metric", "uncertainty")
"""What the sidebar holds of a pair. A page names in its LINKED which of these it shows, and what is its own beside them."""


def touched() -> None:
    """Note, as a widget's callback, that the session changed: it is newer than the address that came with the request."""
    st.session_state["touched"] = True


def keep(keys: Collection[str]) -> None:
    """Hold on to what the widgets of other pages said; Streamlit forgets a widget that is not drawn."""
    for key in keys:
        if key in st.session_state:
            st.session_state[key] = st.session_state[key]


def follow_link(page: str, keys: Sequence[str]) -> None:
    """Take the page's keys from the address where it changed (a link, back and forward), not a widget or the page.

    The navigation opens pages with an empty address. That keeps everything; `share` then writes it into the address. Whoever
    goes back to the empty address finds what it stood for.
    """
    session = st.session_state
    link = {key: value for key, value in st.query_params.to_dict().items() if key in keys}
    same_page = session.get("page", page) == page
    session["page"], session["linked"] = page, keys
    touched = session.pop("touched", False)
    if not link and not same_page:
        session["link"] = None
        return
    link = link or session.get("arrived", {}).get(page, {})
    if touched or link == session.get("link"):
        return
    session["link"] = link
    for key in keys:
        session.pop(key, None)
    session.update(link)


def settle(key: str, options: Collection[Any], default: Any) -> None:
    """Keep the session's value of a widget where it is one of the options, else put the default there, quietly."""
    st.session_state.setdefault("defaults", {})[key] = default
    value = st.session_state.get(key)
    if value not in options:
        # What comes from the address is text, whatever the options are.
        st.session_state[key] = next((option for option in options if str(option) == value), default)


def settle_many(key: str, options: Collection[str], default: Sequence[str] = ()) -> None:
    """Keep those of the session's values of a widget that are options, in the options' order; the default where none was set."""
    st.session_state.setdefault("defaults", {})[key] = list(default)
    value = st.session_state.get(key, default)
    # What comes from the address is text.
    chosen = value.split(",") if isinstance(value, str) else value
    st.session_state[key] = [option for option in options if option in chosen]


def share() -> None:
    """Write the state of the page into the address; the view everyone sees first has none."""
    session = st.session_state
    session.pop("touched", None)  # a fragment runs without `follow_link`
    keys = session["linked"]
    link = link_of({key: session[key] for key in keys if key in session}, session.get("defaults", {}))
    if session["link"] is None:
        session.setdefault("arrived", {})[session["page"]] = link
    address = st.query_params.to_dict()
    wanted = {key: value for key, value in address.items() if key not in keys} | link
    if session["link"] != link and address != wanted:
        st.query_params.from_dict(wanted)
    session["link"] = link


def link_of(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, str]:
    """Query parameters of a state: the whole pair, and what else is not the default; nothing where all is.

    >>> link_of({"set": "a", "base": "x", "metric": "aurc"}, {"set": "a", "base": "x", "metric": "aurc"})
    {}
    >>> link_of({"set": "a", "base": "y", "bases": ["x", "y"]}, {"set": "a", "base": "x", "bases": []})
    {'set': 'a', 'base': 'y', 'bases': 'x,y'}
    """
    changed = [key for key in values if values[key] != defaults.get(key)]
    return {key: _text(value) for key, value in values.items() if changed and (key in PAIR or key in changed)}


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def swap() -> None:
    """Let base and sidekick change places."""
    session = st.session_state
    session["base"], session["sidekick"] = session["sidekick"], session["base"]
    touched()


def take_preset(sidekicks: Mapping[str, str]) -> None:
    """Take the sidekick of the preset that was chosen."""
    if preset := st.session_state["preset"]:
        st.session_state["sidekick"] = sidekicks[preset]
        touched()


def choose_pair(base: str, sidekick: str) -> None:
    """Take a pair."""
    st.session_state.update(base=base, sidekick=sidekick)
    touched()


def choose_point(chart: str) -> None:
    """Take the pair of the point that was clicked in the chart of that key."""
    if pair := picked_data(st.session_state.get(chart)):
        choose_pair(*pair)


def choose_row(table: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Take the pair of the row that was selected in the table of that key; `pairs` has one for each of its rows."""
    if rows := st.session_state[table]["selection"]["rows"]:
        choose_pair(*pairs[rows[0]])


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
    data = picked_data(event)
    return data[0] if isinstance(data, list) and data else data


def picked_data(event: Mapping[str, Any] | None) -> Any:
    """All customdata of a chart's selected point."""
    points = event["selection"]["points"] if event else []
    return points[0].get("customdata") if points else None


def forget(*keys: str) -> None:
    """Let widgets start anew from their defaults."""
    for key in keys:
        st.session_state.pop(key, None)
