"""Step 10: pairs that differ, and what being different is worth among models of one quality."""

import math

import streamlit as st

from app import controls, link, state, tables
from app.controls import THEMED
from app.state.lessons import Scene
from duo_core.common.numbers import number
from duo_core.figures.teaching_several import different_pairs
from duo_core.teaching import several

LINKED = ("gap",)
WIDEST = 40


@st.fragment
def show(scene: Scene) -> None:
    """Draw the step."""
    real = scene.real
    table = scene.once(several.pairs, scene.seed) if real is None else state.alike(real.handle, real.split).table
    link.settle("gap", range(1, WIDEST + 1), WIDEST)
    st.slider("Only pairs whose accuracies differ by at most", 1, WIDEST, key="gap", format="%d pp", on_change=link.touched)
    gap = st.session_state["gap"] / 100
    st.markdown(line(*several.goes_with(table, gap)))
    controls.chart(
        different_pairs(table, gap, colours=THEMED),
        "different",
        f"What {len(table)} pairs gain over their better member against how much they differ",
    )
    tables.numbers(table, "different", "The pairs as numbers")
    link.share()


def line(rank: float, pairs: int) -> str:
    """How being different goes with the gain, in the pairs that are left.

    >>> line(0.914, 9), line(float("nan"), 2)
    ('Rank correlation of being different with the gain: **+0.91** (9 pairs)', '2 pairs are too few to correlate')
    """
    if math.isnan(rank):
        return f"{pairs} pairs are too few to correlate"
    return f"Rank correlation of being different with the gain: **{number(rank, 2, sign=True)}** ({pairs} pairs)"
