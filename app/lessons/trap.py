"""Step 5: a sidekick that knows less and has an equal say."""

import streamlit as st

from app import link
from app.lessons import averages
from app.state.lessons import Real, Scene
from duo_core.teaching import together
from duo_core.teaching.experts import BASE
from duo_core.teaching.together import FEWEST, MOST

LINKED = ("skill", "partner")

LEAST, FULL = round(FEWEST * 100), round(MOST * 100)


@st.fragment
def show(scene: Scene) -> None:
    """Draw the step."""
    if scene.real is not None:
        _real(scene, scene.real)
        return
    link.settle("skill", range(LEAST, FULL + 1), FULL)
    st.slider("Quality of the sidekick, relative to the base's", LEAST, FULL, key="skill", format="%d %%", on_change=link.touched)
    here = together.averaged(together.trapped(st.session_state["skill"] / 100 * BASE.quality, scene.seed))
    table = scene.once(together.by_quality, scene.seed)
    averages.draw(table, "sidekick", here, averages.line(here, "sidekick"), even=together.break_even(table))


def _real(scene: Scene, found: Real) -> None:
    table = averages.by_partner(scene, found)
    row = averages.slider("Sidekick, by its accuracy alone", "partner", table, "sidekick", found.sidekick)
    here = together.Averaged(*(row[name] for name in ("common", "base", "sidekick", "pair")))
    averages.draw(table, "sidekick", here, averages.line(here, "sidekick"), even=together.break_even(table))
