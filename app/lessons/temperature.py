"""Step 2: one temperature, what it does to reliability and NLL, and what it leaves alone."""

import pandas as pd
import streamlit as st

from app import controls, link
from app.controls import THEMED
from app.state.lessons import Scene
from duo_core.figures.teaching_alone import nll_by_temperature, reliability_at
from duo_core.teaching import alone
from duo_core.wording import words

LINKED = ("temperature", "fitted")

HUNDREDTHS = range(10, 151)
"""Temperatures of the slider, times 100."""


@st.fragment
def show(scene: Scene) -> None:
    """Draw the step."""
    best = scene.once(alone.own_temperature, scene.splits)
    link.settle("temperature", [hundredth / 100 for hundredth in HUNDREDTHS], 1.0)
    link.settle("fitted", ("no", "yes"), "no")
    fitted = st.session_state["fitted"] == "yes"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        low, high = HUNDREDTHS[0] / 100, HUNDREDTHS[-1] / 100
        st.slider("Temperature of the base", low, high, step=0.01, key="temperature", on_change=link.touched)
        st.button("Fit", key="fit_base", on_click=_fit, args=(best,))
    chosen = best if fitted and round(best, 2) == st.session_state["temperature"] else st.session_state["temperature"]
    before, now = scene.once(alone.tempered, scene.splits, 1.0), alone.tempered(scene.splits, chosen)
    st.markdown(line(before, now))
    left, right = st.columns(2)
    with left:
        controls.chart(
            reliability_at(before.reliability, now.reliability, chosen, colours=THEMED),
            "reliability",
            f"Reliability diagram of the base at temperature {chosen:.2f} beside that at 1",
        )
    with right:
        curve = scene.once(_curve, scene)
        controls.chart(
            nll_by_temperature(curve, chosen, best=best if fitted else None, colours=THEMED),
            "nll",
            f"NLL of the base over its temperature, now {chosen:.2f}",
        )
    controls.numbers(now.reliability, "reliability", "The bins as numbers")
    link.share()


def _curve(scene: Scene) -> pd.DataFrame:
    return alone.by_temperature(scene.splits, [hundredth / 100 for hundredth in HUNDREDTHS[::4]])


def _fit(best: float) -> None:
    link.touched()
    link.take({"temperature": round(best, 2), "fitted": "yes"})


def line(before: alone.Tempered, now: alone.Tempered) -> str:
    """What moved and what did not."""
    return (
        f"NLL **{now.nll:.3f}** nats ({before.nll:.3f} at 1) · ECE **{words.percent(now.ece)}** ({words.percent(before.ece)}) · "
        f"accuracy **{words.percent(now.accuracy)}** ({words.percent(before.accuracy)})"
    )
