"""What steps 4 and 5 share: a real partner to choose, and an equal average beside its members."""

from typing import Any

import pandas as pd
import streamlit as st

from app import controls, link
from app.controls import THEMED
from app.state.lessons import Real, Scene, partners
from duo_core.figures.teaching_together import averages
from duo_core.teaching import together
from duo_core.teaching.together import Averaged
from duo_core.wording import words


def by_partner(scene: Scene, found: Real) -> pd.DataFrame:
    """The equal average of the base with each other model of its set."""
    return scene.once(together.by_partner, found.handle.logit_set, found.base, partners(found), found.split)


def slider(label: str, key: str, table: pd.DataFrame, order: str, first: str) -> dict[str, Any]:
    """Draw a slider over the partners of a table in the order of a column; the row of the one chosen."""
    rows = table.sort_values(order, kind="stable").set_index("partner", drop=False)
    link.settle(key, list(rows.index), first)
    st.select_slider(label, list(rows.index), key=key, on_change=link.touched)
    return {str(column): value for column, value in rows.loc[st.session_state[key]].items()}


def draw(table: pd.DataFrame, x: str, here: Averaged, said: str, even: float | None = None) -> None:
    """Draw what stands below the control."""
    st.markdown(said)
    controls.chart(
        averages(table, x, here=vars(here), break_even=even, colours=THEMED),
        "averages",
        f"Accuracy of the equal average of two models and of its members; the average is now at {words.percent(here.pair)}",
    )
    controls.numbers(table, "averages", "The averages as numbers")
    link.share()


def line(here: Averaged, second: str) -> str:
    """How often each is right, given what the second model is called.

    >>> line(Averaged(common=0.3, base=0.87, sidekick=0.7, pair=0.85), "sidekick")
    'Right: base **87.0 %**, sidekick **70.0 %**, average **85.0 %**'
    """
    base, other, pair = (words.percent(value) for value in (here.base, here.sidekick, here.pair))
    return f"Right: base **{base}**, {second} **{other}**, average **{pair}**"
