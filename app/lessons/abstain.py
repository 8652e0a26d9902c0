"""Step 3: how many images to answer, and how many of the answers are wrong."""

import streamlit as st

from app import controls, link
from app.controls import THEMED
from app.state.lessons import Scene
from duo_core.figures.screen import SCREEN
from duo_core.figures.teaching_alone import abstaining
from duo_core.teaching import alone
from duo_core.wording import words

LINKED = ("keep",)


@st.fragment
def show(scene: Scene) -> None:
    """Draw the step."""
    link.settle("keep", range(1, 101), 100)
    st.slider("Coverage: answer the surest", 1, 100, key="keep", format="%d %%", on_change=link.touched)
    found, coverage = scene.once(alone.abstention, scene.splits), st.session_state["keep"] / 100
    st.markdown(line(found, coverage))
    controls.chart(
        abstaining(found.table, coverage, sac98=found.sac98, colours=THEMED),
        "abstaining",
        f"Risk-coverage curve of the calibrated base, at a coverage of {words.percent(coverage, 0)}",
    )
    controls.numbers(found.table, "abstaining", "The curve as numbers")
    link.share()


def line(found: alone.Abstention, coverage: float) -> str:
    """What is answered, and how well."""
    wrong = words.percent(found.risk(coverage))
    area = f"{words.card_label('aurc')} {SCREEN['aurc'].text(found.aurc)}"
    return f"Answer {words.percent(coverage, 0)}: **{wrong}** of the answers are wrong · {area}"
