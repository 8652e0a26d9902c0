"""What is computed is remembered: for all sessions, or in the one session that an upload belongs to."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import streamlit as st

OWN = "upload:"
"""What the stamp of an uploaded set begins with, and so every key of what is computed from it."""

P = ParamSpec("P")
R = TypeVar("R")
Keyed = Callable[Concatenate[str, P], R]

_forget: list[Callable[[], None]] = []


def kept(*, max_entries: int, show_spinner: bool | str = False) -> Callable[[Keyed[P, R]], Keyed[P, R]]:
    """Like st.cache_resource, for a function whose first argument is a Handle's stamp or digest.

    What belongs to an upload is kept in its session, which lets go of it when it ends; another session that uploads the same
    bytes computes for itself.
    """

    def decorated(function: Keyed[P, R]) -> Keyed[P, R]:
        shared = st.cache_resource(max_entries=max_entries, show_spinner=show_spinner)(function)
        own = st.cache_resource(max_entries=max_entries, show_spinner=show_spinner, scope="session")(function)
        _forget.append(own.clear)

        @functools.wraps(function)
        def called(key: str, /, *args: P.args, **kwargs: P.kwargs) -> R:
            return (own if key.startswith(OWN) else shared)(key, *args, **kwargs)

        return called

    return decorated


def forget_own() -> None:
    """Drop what this session's upload was asked for; nothing that is shared."""
    for clear in _forget:
        clear()
