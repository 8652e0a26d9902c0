"""Step 4: two models of one quality that err more or less alike."""

import streamlit as st

from app import link
from app.lessons import averages
from app.state.lessons import Real, Scene
from duo_core.teaching import together
from duo_core.teaching.steps import REAL_PEERS
from duo_core.wording import words

LINKED = ("overlap", "peer")


@st.fragment
def show(scene: Scene) -> None:
    """Draw the step."""
    if scene.real is not None:
        _real(scene, scene.real)
        return
    link.settle("overlap", range(0, 100, 5), 20)
    st.slider("Overlap: how alike the two err", 0, 95, step=5, key="overlap", format="%d %%", on_change=link.touched)
    here = together.averaged(together.peers(st.session_state["overlap"] / 100, scene.seed))
    averages.draw(scene.once(together.by_overlap, scene.seed), "common", here, line(here, 1.0))


def _real(scene: Scene, found: Real) -> None:
    table = averages.by_partner(scene, found)
    table = table[table["partner"].isin(REAL_PEERS)]
    row = averages.slider("Second model, by its errors in common with the base", "peer", table, "common", found.sidekick)
    here = together.Averaged(*(row[name] for name in ("common", "base", "sidekick", "pair")))
    averages.draw(table, "common", here, line(here, found.handle.logit_set.flops_balance(found.base, row["partner"])))


def line(here: together.Averaged, balance: float | None) -> str:
    """How often each is right, and what the second model costs.

    >>> line(together.Averaged(0.2, 0.87, 0.87, 0.93), 1.0)
    'Right: base **87.0 %**, second **87.0 %**, average **93.0 %** · compute +100 %'
    """
    return averages.line(here, "second") + ("" if balance is None else f" · compute +{words.share(balance)}")
