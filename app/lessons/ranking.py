"""Step 7: the duo that may only rank, and the duo that may also decide."""

import streamlit as st

from app import controls, link
from app.controls import THEMED
from app.state.lessons import Scene
from duo_core.figures.screen import SCREEN
from duo_core.figures.teaching_together import reranked
from duo_core.systems.duo import VARIANTS
from duo_core.teaching import together
from duo_core.wording import words

LINKED = ("ranks",)

SHOWN = {key: VARIANTS[key].label for key in ("uq_only", "duo")}


@st.fragment
def show(scene: Scene) -> None:
    """Draw the step."""
    chosen = controls.switch("The sidekick joins as", "ranks", SHOWN)
    found = scene.once(together.ranking, scene.splits)
    st.markdown(line(found, chosen))
    controls.chart(
        reranked(found.table, chosen, colours=THEMED),
        "reranked",
        f"Risk-coverage curves of the base and of {SHOWN[chosen]}",
    )
    controls.numbers(found.table, "reranked", "The curves as numbers")
    link.share()


def line(found: together.Ranking, chosen: str) -> str:
    """What changes and what does not."""
    said = []
    for key in ("accuracy", "aurc"):
        own, base = (found.metrics[variant][key] for variant in (chosen, "base"))
        said.append(f"{words.card_label(key)} **{SCREEN[key].text(own)}**, base {SCREEN[key].text(base)}")
    return f"{SHOWN[chosen]}: " + " · ".join(said)
