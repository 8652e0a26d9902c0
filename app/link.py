"""The state of the session, and its copy in the address bar: who opens a copied link sees the same view.

Streamlit's own `bind="query-params"` would write a selectbox's label (accuracy and all) into the address, so that a link broke
whenever a number changed; here the address holds names.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

SET = ("set", "split")
PAIR = (*SET, "base", "sidekick")
"""Written together, so that a link keeps its pair when a default changes."""
CHOICE = (*PAIR, "metric", "uncertainty")
"""What the sidebar holds of a pair. A page names in its LINKED which of these it shows, and what is its own beside them."""

NOTHING: tuple[dict[str, str] | None, dict[str, tuple[Any, Any]]] = (None, {})
"""What `take` notes: the address by which the browser will have heard, and what each key held before and holds since."""


def touched() -> None:
    """Note, as a widget's callback, that the session changed: it is newer than the address that came with the request."""
    session = st.session_state
    written, _ = session.get("taken", NOTHING)
    if written is not None and written == _own(session.get("linked", ())):
        session["taken"] = NOTHING  # the browser has heard
    session["touched"] = True


def take(values: Mapping[str, Any]) -> None:
    """Set keys that widgets hold, against all that a browser says of them until it has heard.

    A click that comes before the browser has drawn the answer to the one before brings the widgets as they were: without a note
    of it, it would take back what the first click did. The note comes first, as a run can be stopped at any use of the session.
    """
    session = st.session_state
    _, earlier = session.get("taken", NOTHING)
    session["taken"] = (None, earlier | {key: (session.get(key), value) for key, value in values.items()})
    session.update({key: value for key, value in values.items() if value is not None})


def held(key: str) -> Any:
    """What the session holds under a key; what was taken where a browser has not heard of it.

    Such a browser says what was before, or a label that the widget has no more.
    """
    session = st.session_state
    value = session.get(key)
    before, after = session.get("taken", NOTHING)[1].get(key, (None, value))
    late = value == before or value not in session.get("offered", {}).get(key, (value,))
    return after if late and before is not None else value


def unknown(key: str, options: Collection[Any]) -> str | None:
    """What the address that has just been opened says of a key, where that is none of the options."""
    told: str | None = st.session_state.get("told", {}).get(key)
    return None if told is None or told in options else told


def keep(page: str, keys: Collection[str]) -> None:
    """Hold on to what the widgets that a page does not draw said; Streamlit forgets them.

    A widget that the browser has on its screen is told nothing that it has said itself: on its way to the browser this would
    take back what is clicked meanwhile.
    """
    session = st.session_state
    if session.get("page") != page:
        session["drawn"] = set()
    session["known"], session["settled"] = keys, set()
    kept, drawn = session.get("kept", {}), session.get("drawn", ())
    for key in keys:
        if key in session and key not in drawn:
            session[key] = session[key]
        elif key not in session and key in kept:
            session[key] = kept[key]
    _note()


def _note() -> None:
    """Note what the widgets say: Streamlit lets go of it at the end of the first run that does not draw them."""
    session = st.session_state
    session["kept"] = session.get("kept", {}) | {key: session[key] for key in session["known"] if key in session}


def start(key: str, value: Any) -> None:
    """Have a widget that is drawn next show a value, which the browser is told only where it does not say so itself."""
    session = st.session_state
    if key not in session.get("drawn", ()) or session.get(key) != value:
        session[key] = value
    session.setdefault("settled", set()).add(key)


def carry(pages: Mapping[str, tuple[Any, Sequence[str]]]) -> bool:
    """Give a page that the navigation opens the session's address, which it leaves empty; whether it did.

    `pages` has the page and its keys by name. Done before `st.navigation` tells the browser of the page, it makes one step in the
    browser's history, where an address written later makes a second, empty one that looks the same. What the page before had
    besides stays in the address until it is next written: the browser notes it for that page.
    """
    session, run = st.session_state, get_script_run_ctx()
    target = next((name for name, (page, _) in pages.items() if run and page._script_hash == run.page_script_hash), None)
    if run is None or run.is_history_navigation or st.query_params or session.get("page", target) == target or target is None:
        return False
    if address := session.get("address", {}) | state_of(pages[target][1]):
        st.query_params.from_dict(address)
    return True


def follow_link(page: str, keys: Sequence[str], *, carried: bool = False) -> None:
    """Take the page's keys from the address where it changed (a link, back and forward), not a widget or the page."""
    session = st.session_state
    link, same_page = _own(keys), session.get("page") == page
    session["page"], session["linked"] = page, keys
    touched = session.pop("touched", False)
    session["told"] = {}
    if carried or (same_page and (touched or link == session.get("link"))):
        return
    session["told"] = link
    take({key: link.get(key) for key in keys})
    _drop(set(keys) - set(link))
    session["link"] = link


def _own(keys: Collection[str]) -> dict[str, str]:
    """The address as the request brought it, of the page's keys alone."""
    return {key: value for key, value in st.query_params.to_dict().items() if key in keys}


def settle(key: str, options: Collection[Any], default: Any, *, renamed: bool = False) -> None:
    """Keep the session's value of a widget where it is one of the options, else put the default there, quietly.

    Where options may be `renamed`, as they are called by their numbers, the browser is told in any case: it keeps the old words.
    """
    session = st.session_state
    session.setdefault("defaults", {})[key] = default
    session.setdefault("offered", {})[key] = options
    value = held(key)
    # What comes from the address is text, whatever the options are.
    chosen = value if value in options else next((option for option in options if str(option) == value), default)
    if renamed:
        session[key] = chosen
    start(key, chosen)


def settle_many(key: str, options: Collection[str], default: Sequence[str] = ()) -> None:
    """Keep those of the session's values of a widget that are options, in the options' order; the default where none was set."""
    st.session_state.setdefault("defaults", {})[key] = list(default)
    value = default if held(key) is None else held(key)
    # What comes from the address is text.
    chosen = value.split(",") if isinstance(value, str) else value
    start(key, [option for option in options if option in chosen])


def share(*, whole: bool = False) -> None:
    """Write the state of the page into the address, unless it says so already; the view everyone sees first needs none.

    At the end of a `whole` page the browser has all of its widgets.
    """
    session = st.session_state
    if whole:
        session["drawn"] = session["settled"]
    keys = session["linked"]
    link, own, address = state_of(keys), _own(keys), st.query_params.to_dict()
    if link.keys() - own.keys() or own != {key: _text(held(key)) for key in own}:
        own, address = link, {key: value for key, value in address.items() if key not in session["known"]} | link
        st.query_params.from_dict(address)
    session["link"], session["address"] = own, address
    session["taken"] = (own, session.get("taken", NOTHING)[1])
    session.pop("touched", None)  # a fragment runs without `follow_link`
    _note()


def state_of(keys: Collection[str]) -> dict[str, str]:
    """What the address of a page with these keys says of the session."""
    values = {key: value for key in keys if (value := held(key)) is not None}
    return link_of(values, st.session_state.get("defaults", {}))


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
    touched()
    take({"base": held("sidekick"), "sidekick": held("base")})


def take_preset(sidekicks: Mapping[str, str]) -> None:
    """Take the sidekick of the preset that was chosen."""
    touched()
    if preset := held("preset"):
        take({"sidekick": sidekicks[preset]})


def choose_pair(base: str, sidekick: str) -> None:
    """Take a pair."""
    touched()
    take({"base": base, "sidekick": sidekick, "members": []})


def choose_point(chart: str) -> None:
    """Take the pair of the point that was clicked in the chart of that key."""
    touched()
    if pair := picked_data(st.session_state.get(chart)):
        choose_pair(*pair)


def show(key: str, value: Any) -> None:
    """Have the widget of that key show what follows from the rest of the session."""
    if st.session_state.get(key) != value:
        take({key: value})
    st.session_state[key] = value  # of a widget drawn anew nothing is known yet


def select_row(table: str, row: int | None) -> None:
    """Have the table of that key show a row as selected."""
    show(table, {"selection": {"rows": [] if row is None else [row], "columns": [], "cells": []}})


def chosen_row(table: str) -> int | None:
    """The row that is selected in the table of that key, as a callback asks for it."""
    touched()
    rows = held(table)["selection"]["rows"]
    return rows[0] if rows else None


def choose_row(table: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Take the pair of the row that was selected in the table of that key; `pairs` has one for each of its rows."""
    if (row := chosen_row(table)) is not None:
        choose_pair(*pairs[row])


def choose_sidekick(chart: str) -> None:
    """Take the sidekick of the point that was clicked in the chart of that key."""
    touched()
    if picked := picked_point(st.session_state.get(chart)):
        take({"sidekick": picked})


def choose_coverage(chart: str) -> None:
    """Take the coverage of the point that was clicked."""
    touched()
    if (picked := picked_point(st.session_state.get(chart))) is not None:
        take({"coverage": min(100, max(1, round(float(picked) * 100)))})


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
    session = st.session_state
    written, taken = session.get("taken", NOTHING)
    session["taken"] = (written, {key: note for key, note in taken.items() if key not in keys})
    _drop(keys)


def _drop(keys: Collection[str]) -> None:
    session = st.session_state
    session["kept"] = {key: value for key, value in session.get("kept", {}).items() if key not in keys}
    for key in keys:
        session.pop(key, None)
