"""Step 9: a team of small models against one large that costs as much."""

import pandas as pd
import streamlit as st

from app import controls, link, state, tables
from app.controls import THEMED
from app.state.lessons import Real, Scene
from duo_core import figures
from duo_core.analysis.sizes import lines
from duo_core.figures.teaching_several import teams_by_cost
from duo_core.systems.groups import groups_of
from duo_core.teaching import several
from duo_core.wording import words
from duo_core.wording.ensembles import contest_lines

LINKED = ("resemblance", "seen")
METRICS = {"accuracy": "Accuracy", "nll": "NLL"}


@st.fragment
def show(scene: Scene) -> None:
    """Draw the step."""
    if scene.real is not None:
        _real(scene.real)
        return
    link.settle("resemblance", range(0, 100, 5), 20)
    st.slider("Overlap: how alike they err", 0, 95, step=5, key="resemblance", format="%d %%", on_change=link.touched)
    table = scene.once(several.teams, st.session_state["resemblance"] / 100, scene.seed)
    st.markdown(line(table))
    controls.chart(teams_by_cost(table, colours=THEMED), "teams", "Accuracy of teams of small experts against their cost")
    tables.numbers(table, "teams", "The teams as numbers")
    link.share()


def line(table: pd.DataFrame) -> str:
    """What three small ones reach at the price of the large one.

    >>> line(pd.DataFrame({"m": [1, 2, 3], "team": [0.75, 0.8, 0.88], "large": [0.87] * 3}))
    'Right: large **87.0 %**, three small ones **88.0 %**, one of them 75.0 %'
    """
    of = table.set_index("m")["team"]
    large, three, one = (words.percent(float(value)) for value in (table["large"].iloc[0], of[3], of[1]))
    return f"Right: large **{large}**, three small ones **{three}**, one of them {one}"


def _real(found: Real) -> None:
    metric = controls.switch("Metric", "seen", METRICS)
    table, own = state.systems(found.handle, found.split, "softmax", None), found.handle.logit_set
    judged = state.contest_of(found.handle, found.split, "softmax", metric)
    st.markdown(contest_lines(judged)[0])
    groups = groups_of(own.cards, list(table.loc[table["m"] == 1, "name"]))
    drawn = lines(table, metric, "total_multiply_adds", groups)
    crossing = judged.crossing.cost if judged.crossing else None
    figure = figures.ensembles_by_cost(drawn, metric, cost="total_multiply_adds", crossing=crossing, colours=THEMED)
    controls.chart(figure.update_layout(height=380), "teams", "Single models and ensembles of smaller ones, against their cost")
    tables.numbers(drawn.drop(columns="members"), "teams", "The lines as numbers")
    link.share()
