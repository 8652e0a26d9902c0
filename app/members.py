"""Systems of more than two members: how the address names them, and the sidebar's way to add one."""

from collections.abc import Collection, Sequence

import streamlit as st

from app import link
from duo_core.common.plaintext import escaped

MOST = 8
"""Members of a system that a page shows."""


def follow(models: Collection[str]) -> None:
    """Take base and sidekick from the members that came with the address.

    What names no system of the set is let go, and said.
    """
    st.session_state.setdefault("defaults", {})["members"] = []
    said = link.held("members")
    if not isinstance(said, str):
        return
    names = said.split(",") if said else []
    if names and (wrong := problem(names, models)):
        st.info(f"{escaped(wrong)} Shown instead: the pair of the sidebar.")
        link.take({"members": []})
    elif names:
        link.take(system(names))


def problem(names: Sequence[str], models: Collection[str]) -> str:
    """What is wrong with members that an address names; nothing where they are a system of the set.

    >>> problem(["a", "x"], ["a", "b"])
    "Expected members of this set, got 'x'."
    >>> problem(["a", "a"], ["a", "b"]), problem(["b", "a"], ["a", "b"])
    ("Expected different members, got 'a' twice.", '')
    """
    unknown = next((name for name in names if name not in models), None)
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if unknown is not None:
        return f"Expected members of this set, got '{unknown}'."
    if twice is not None:
        return f"Expected different members, got '{twice}' twice."
    return f"Expected at most {MOST} members, got {len(names)}." if len(names) > MOST else ""


def system(names: Sequence[str]) -> dict[str, object]:
    """The session's keys of a system: two members are base and sidekick, and one is a base, with whatever sidekick is shown.

    >>> system(["a", "b"]), system(["a"])
    ({'base': 'a', 'sidekick': 'b', 'members': []}, {'base': 'a', 'members': []})
    """
    both = dict(zip(("base", "sidekick"), names, strict=False))
    return {**both, "members": list(names) if len(names) > 2 else []}


def settled(base: str, sidekick: str, models: Collection[str]) -> tuple[str, ...]:
    """The members with base and sidekick as the sidebar says them now, the others as they were."""
    held = link.held("members")
    rest = held[2:] if isinstance(held, list) else []
    names = [base, sidekick, *(name for name in rest if name in models and name not in (base, sidekick))]
    link.start("members", names if len(names) > 2 else [])
    return tuple(names)


def controls(names: Sequence[str], models: Collection[str]) -> None:
    """Draw the way to add a model, and to take away each that was added."""
    others = [model for model in models if model not in names]
    if others and len(names) < MOST:
        st.selectbox(
            "Add a model",
            others,
            index=None,
            key="add_member",
            placeholder="A third, or a further one",
            on_change=_add,
            args=(tuple(names),),
            help="Its weight is fitted together with the others'. The page's address names all members.",
        )
    for name in names[2:]:
        st.button(f"Take {name} away", key=f"away_{name}", on_click=_take_away, args=(tuple(names), name), width="stretch")


def _add(names: tuple[str, ...]) -> None:
    if (name := st.session_state["add_member"]) is not None:
        st.session_state["add_member"] = None
        choose([*names, name])


def _take_away(names: tuple[str, ...], name: str) -> None:
    choose([other for other in names if other != name])


def choose(names: Sequence[str]) -> None:
    """Take a system."""
    link.touched()
    link.take(system(names))


def open_system(names: Sequence[str]) -> None:
    """Take a system, and have the page open it in Explore."""
    choose(names)
    st.session_state["opening"] = True


def open_point(chart: str) -> None:
    """Open the system of the point that was clicked in the chart of that key."""
    if names := link.picked_data(st.session_state.get(chart)):
        open_system(names)


def open_row(table: str, systems: Sequence[Sequence[str]]) -> None:
    """Open the system of the row that was selected in the table of that key; `systems` has the members of each."""
    if (row := link.chosen_row(table)) is not None:
        open_system(systems[row])


def go() -> None:
    """Go to Explore where a click asked for it."""
    if st.session_state.pop("opening", False):
        st.switch_page(st.session_state["pages"]["explore"])
