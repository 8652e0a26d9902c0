"""Step 4: two models of one quality that err more or less alike."""

import streamlit as st

from app import link, words
from app.lessons import averages
from app.state.lessons import Real, Scene
from duo_core.teaching import together
from duo_core.teaching.steps import REAL_PEERS

LINKED = ("overlap", "peer")


@st.fragment
def show(scene: Scene) -> None:
    """Draw the step."""
    if scene.real is not None:
        _real(scene, scene.real)
        return
    link.settle("overlap", range(0, 100, 5), 20)
    st.slider("Overlap: how much alike the two err", 0, 95, step=5, key="overlap", format="%d %%", on_change=link.touched)
    here = together.averaged(together.peers(st.session_state["overlap"] / 100, scene.seed))
    averages.draw(scene.once(together.by_overlap, scene.seed), "common", here, price(1.0, here.common))


def _real(scene: Scene, found: Real) -> None:
    table = averages.by_partner(scene, found)
    table = table[table["partner"].isin(REAL_PEERS)]
    row = averages.slider("Second model, by its errors in common with the base", "peer", table, "common", found.sidekick)
    here = together.Averaged(*(row[name] for name in ("common", "base", "sidekick", "pair")))
    averages.draw(table, "common", here, price(found.handle.logit_set.flops_balance(found.base, row["partner"]), here.common))


def price(balance: float | None, common: float) -> str:
    """What the second model costs, and how many of the first one's errors it repeats.

    >>> price(1.0, 0.31)
    ' · errors in common 31 % · computation +100 %'
    """
    cost = "" if balance is None else f" · computation +{words.share(balance)}"
    return f" · errors in common {words.percent(common, 0)}{cost}"
