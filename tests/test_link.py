"""The session's state against browsers that have not heard yet, and runs that are stopped anywhere."""

from collections.abc import MutableMapping

import pytest
import streamlit as st

from app import link

KEYS = ("set", "split", "base", "sidekick", "metric", "coverage")
MODELS = ("large", "middle", "small", "tiny")


class StoppedError(Exception):
    """As Streamlit stops a run when another click comes: at any use of the session."""


class Session(MutableMapping):
    """st.session_state, of which the use after `left` others stops the run."""

    def __init__(self, **values):
        self.values, self.left = values, None

    def _use(self):
        if self.left == 0:
            raise StoppedError
        self.left = None if self.left is None else self.left - 1

    def __getitem__(self, key):
        self._use()
        return self.values[key]

    def __setitem__(self, key, value):
        self._use()
        self.values[key] = value

    def __delitem__(self, key):
        self._use()
        del self.values[key]

    def __iter__(self):
        return iter(self.values)

    def __len__(self):
        return len(self.values)


class Address:
    """st.query_params."""

    def __init__(self):
        self.said = {}

    def to_dict(self):
        return dict(self.said)

    def from_dict(self, said):
        self.said = dict(said)


@pytest.fixture
def there(monkeypatch):
    """A session that has opened a link, and its address."""
    session, address = Session(), Address()
    monkeypatch.setattr(st, "session_state", session)
    monkeypatch.setattr(st, "query_params", address)
    address.said = {"set": "toy", "split": "test", "base": "large", "sidekick": "small"}
    run()
    return session, address


def run():
    """What a run of a page does to the state; the base and sidekick that it shows."""
    session = st.session_state
    link.keep("explore", KEYS)
    link.follow_link("explore", KEYS)
    link.settle("set", ["toy"], "toy")
    link.settle("split", ["test"], "test")
    link.settle("base", MODELS, "large")
    link.settle("sidekick", [model for model in MODELS if model != session["base"]], "middle")
    link.settle("metric", ["aurc", "nll"], "aurc")
    link.settle("coverage", range(1, 101), 80)
    shown = session["base"], session["sidekick"]
    link.share(whole=True)
    return shown


def says(session, **widgets):
    """A request brings the widgets as the browser has them."""
    session.values.update(widgets)


def test_a_click_before_the_answer_does_not_take_back_the_one_before(there):
    session, address = there
    old = dict(address.said)
    link.swap()
    assert run() == ("small", "large")
    address.said = old  # the browser has drawn nothing of that yet
    says(session, base="large", sidekick="small", metric="nll")
    link.touched()
    assert run() == ("small", "large")
    assert address.said == {"set": "toy", "split": "test", "base": "small", "sidekick": "large", "metric": "nll"}


def test_a_label_that_the_widget_has_no_more_does_not_lose_the_pair(there):
    session, address = there
    old = dict(address.said)
    link.swap()
    run()
    address.said = old
    says(session, base="large", sidekick="small · +10 % · 64.3 %", metric="nll")
    link.touched()
    assert link.held("sidekick") == "large"
    assert run() == ("small", "large")


def test_a_second_click_on_a_point_that_takes_the_selection_back_keeps_the_pair(there):
    session, address = there
    old = dict(address.said)
    session["chart"] = {"selection": {"points": [{"customdata": "tiny"}]}}
    link.choose_sidekick("chart")
    run()
    address.said = old
    says(session, sidekick="small", chart={"selection": {"points": []}})
    link.choose_sidekick("chart")
    assert run() == ("large", "tiny")
    assert address.said["sidekick"] == "tiny"


def test_who_has_heard_may_go_back_to_what_was_before(there):
    session, _ = there
    link.swap()
    run()
    says(session, base="small", sidekick="large")
    link.touched()
    run()
    says(session, base="large", sidekick="small")
    link.touched()
    assert run() == ("large", "small")


def test_two_swaps_in_a_row_are_none(there):
    session, address = there
    old = dict(address.said)
    link.swap()
    run()
    address.said = old
    says(session, base="large", sidekick="small")
    link.swap()
    assert run() == ("large", "small")


def test_another_choice_before_the_answer_stands_beside_the_first(there):
    session, address = there
    old = dict(address.said)
    link.swap()
    run()
    address.said = old
    says(session, base="tiny", sidekick="small")
    link.touched()
    assert run() == ("tiny", "large")


def test_a_preset_that_a_browser_still_shows_is_not_chosen_again(there):
    session, address = there
    link.show("preset", "Cheapest")
    run()
    old = dict(address.said)
    link.choose_pair("large", "middle")
    link.show("preset", None)
    run()
    address.said = old
    says(session, preset="Cheapest", sidekick="small")
    link.take_preset({"Cheapest": "tiny"})
    assert run() == ("large", "middle")


def test_a_row_that_a_browser_still_shows_is_not_chosen_again(there):
    session, address = there
    pairs = [("large", "small"), ("large", "tiny")]
    link.select_row("table", 0)
    run()
    old = dict(address.said)
    link.choose_pair(*pairs[1])
    link.select_row("table", 1)
    run()
    address.said = old
    says(session, sidekick="small", table={"selection": {"rows": [0], "columns": [], "cells": []}})
    link.choose_row("table", pairs)
    assert run() == ("large", "tiny")


@pytest.mark.parametrize("act", [link.swap, lambda: link.choose_pair("small", "large")], ids=["swap", "choose_pair"])
def test_a_run_may_be_stopped_anywhere_and_leaves_the_pair_before_or_after(there, act):
    session, address = there
    before, old = dict(session.values), dict(address.said)
    seen = set()
    for left in range(120):
        session.values, session.left, address.said = dict(before), left, dict(old)
        try:
            act()
            run()
        except StoppedError:
            session.left = None
            says(session, base="large", sidekick="small")
            address.said = old
            link.touched()
        session.left = None
        seen.add(run())
        assert address.said["base"] == session["base"]
    assert seen == {("large", "small"), ("small", "large")}


def test_a_link_is_followed_where_the_run_that_began_to_was_stopped(there):
    session, address = there
    before = dict(session.values)
    new = {"set": "toy", "split": "test", "base": "tiny", "sidekick": "middle", "coverage": "63"}
    for left in range(80):
        session.values, session.left, address.said = dict(before), left, dict(new)
        try:
            run()
        except StoppedError:
            session.left = None
            address.said = dict(new)
        session.left = None
        assert run() == ("tiny", "middle")
        assert session["coverage"] == 63
        assert address.said == new


def test_an_address_that_says_the_default_is_left_as_it_is(there):
    _, address = there
    default = {"set": "toy", "split": "test", "base": "large", "sidekick": "middle"}
    for said in (default, {}):
        address.said = dict(said)
        assert run() == ("large", "middle")
        assert address.said == said
