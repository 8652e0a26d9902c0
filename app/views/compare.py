"""Compare: up to four pairs side by side, and every pair on a heat map."""

from typing import Any

import pandas as pd
import streamlit as st

from app import controls, link, state, tables
from app.controls import THEMED, Place
from duo_core.figures.comparing import curves_of_pairs, heat_map
from duo_core.figures.curves import parting, risk_coverage
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import METRICS
from duo_core.systems.sweep import Evaluation
from duo_core.wording import telling

TITLE = "Compare"
LINKED = (*link.SET, "pins", "compared")
MOST = 4
BETWEEN = " + "


def show() -> None:
    """Draw the page."""
    place = controls.set_sidebar()
    if place is None:
        return
    own = place.handle.logit_set
    st.title("How do these pairs compare?", anchor=False)
    st.caption(f"{own.title} · {place.split} · {len(own.labels[place.split]):,} images")
    if len(place.known.accuracy) < 2:
        st.info(f"A duo takes two models; on `{place.split}` **{own.title}** has fewer.")
        return
    table = state.all_pairs(place.handle, place.split, "softmax")
    pairs = _pinned(table)
    if pairs:
        _side_by_side(place, pairs)
    else:
        st.info("Pin a pair above to see it here.")
    _every_pair(place, table)


def _pinned(table: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Draw the choice; base and sidekick of each pair by what it is called."""
    duos = table[table["variant"] == "duo"].sort_values("nll_fit", kind="stable")
    every = {f"{base}{BETWEEN}{other}": (base, other) for base, other in zip(duos["base"], duos["sidekick"], strict=True)}
    here = f"{link.held('base')}{BETWEEN}{link.held('sidekick')}"
    first = [name for name in (here, *every) if name in every][:1]
    link.settle_many("pins", list(every), first)
    st.multiselect(
        "Pairs, four at most",
        list(every),
        key="pins",
        max_selections=MOST,
        on_change=link.touched,
        help=f"Best first, by the NLL (cross-entropy) of the duo on {FIT_SPLIT}. At first the pair of the other pages is pinned.",
    )
    return {name: every[name] for name in st.session_state["pins"]}


def _side_by_side(place: Place, pairs: dict[str, tuple[str, str]]) -> None:
    found = {name: state.evaluation(place.handle, *pair, place.split, "softmax") for name, pair in pairs.items()}
    left, right = st.columns(2, gap="large")
    with left:
        _curves(found)
    with right:
        st.header("Which is better at what?", anchor=False)
        gains = {name: state.gains(place.handle, each, "softmax", over=each.better) for name, each in found.items()}
        table = telling.side_by_side({name: (each.metrics["duo"], each.flops_balance) for name, each in found.items()}, gains)
        tables.frame(table)
        st.caption(
            "The duo's value, in brackets its difference from the better of its two models alone; * marks significant ones. "
            f"{telling.draws_line(next(iter(gains.values()))['accuracy'])}"
        )
        tables.downloads(table, "compared")


def _curves(found: dict[str, Evaluation]) -> None:
    st.header("How many of the images kept are wrong?", anchor=False)
    drawn = risk_coverage({name: each.predictions["duo"] for name, each in found.items()})
    controls.chart(
        curves_of_pairs(drawn.table, start=parting(drawn.table, of=next(iter(found))), colours=THEMED),
        "compared_curves",
        f"Risk-coverage curves of {', '.join(found)}",
    )
    controls.numbers(drawn.table, "compared_curves", "The curves as numbers")


def _every_pair(place: Place, table: pd.DataFrame) -> None:
    st.header("How does every pair do?", anchor=False)
    link.settle("compared", METRICS, "aurc")
    options: dict[str, Any] = {"format_func": lambda key: METRICS[key].label, "on_change": link.touched, "width": 240}
    st.selectbox("Metric of the heat map", list(METRICS), key="compared", **options)
    key = st.session_state["compared"]
    controls.chart(
        heat_map(table, key, list(place.known.accuracy), colours=THEMED),
        "heat_map",
        f"{METRICS[key].label} of the duo of every base and sidekick",
    )
    duos = table[table["variant"] == "duo"]
    controls.numbers(duos[["base", "sidekick", key, "flops_balance"]], "heat_map", "The heat map as numbers")
