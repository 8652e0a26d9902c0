"""Step 6: two temperatures on the NLL bowl, and the fit one Newton step at a time."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from app import controls, link
from app.controls import THEMED
from app.state.lessons import Scene
from duo_core.figures.teaching_together import newton_bowl
from duo_core.systems.duo import Temperatures
from duo_core.teaching import together
from duo_core.teaching.together import PARTS, Learned

FROM = ("from_base", "from_sidekick")
LINKED = ("second", *FROM, "newton")

NOTCHES = 200
"""Of a slider; a start is kept in the address as two numbers of notches."""
MOST_STEPS = 100
FLAT = "A copy adds nothing: only the sum of the two temperatures matters, so the bowl is a valley with a flat floor."


@st.fragment
def show(scene: Scene) -> None:
    """Draw the step."""
    link.settle("second", PARTS, "useful")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox("The second model", list(PARTS), key="second", format_func=lambda part: PARTS[part], on_change=_begin)
        part = st.session_state["second"]
        scene = replace(scene, key=f"{scene.key}/{part}", splits=together.playing(scene.splits, part, scene.seed))
        found = scene.once(together.learned, scene.splits)
        walked = together.walk(scene.splits, _start(found))
        trail = walked[: _step(len(walked) - 1) + 1]
    tops = Temperatures(float(found.surface.base[-1]), float(found.surface.sidekick[-1]))
    with st.container(horizontal=True):
        for role, top in zip(Temperatures._fields, tops, strict=True):
            link.show(f"slide_{role}", min(float(trail[f"T_{role}"].iloc[-1]), top))
            st.slider(f"T_{role}", 0.0, top, step=top / NOTCHES, format="%.3f", key=f"slide_{role}", on_change=_slid, args=(tops,))
    st.markdown(line(found, trail))
    controls.chart(
        newton_bowl(found.surface, found.marks, trail, colours=THEMED),
        "newton",
        f"NLL of the fit split over both temperatures, after {len(trail) - 1} Newton steps",
        on_select=lambda: _take_point(tops),
        selection_mode="points",
    )
    if part == "copy":
        st.caption(FLAT)
    controls.numbers(walked, "newton", "The steps as numbers")
    link.share()


def _begin() -> None:
    """Begin anew with another second model."""
    link.touched()
    link.forget(*LINKED[1:])


def _start(found: Learned) -> Temperatures:
    """Where the walk starts, as the address has it in notches."""
    ends = (found.surface.base[-1], found.surface.sidekick[-1])
    for key, value, end in zip(FROM, found.start, ends, strict=True):
        link.settle(key, range(NOTCHES + 1), round(value / end * NOTCHES))
    return Temperatures(*(st.session_state[key] / NOTCHES * float(end) for key, end in zip(FROM, ends, strict=True)))


def _set_out(at: Temperatures, tops: Temperatures) -> None:
    """Start from where a hand has put the sliders."""
    notches = (min(NOTCHES, max(0, round(value / top * NOTCHES))) for value, top in zip(at, tops, strict=True))
    link.touched()
    link.take({**dict(zip(FROM, notches, strict=True)), "newton": 0})


def _slid(tops: Temperatures) -> None:
    _set_out(Temperatures(*(st.session_state[f"slide_{role}"] for role in Temperatures._fields)), tops)


def _take_point(tops: Temperatures) -> None:
    event = st.session_state.get("chart_newton")
    link.touched()
    if event and (points := event["selection"]["points"]):
        _set_out(Temperatures(float(points[0]["x"]), float(points[0]["y"])), tops)


def _step(last: int) -> int:
    """Draw the buttons of the fit; how many steps it has taken."""
    link.settle("newton", range(MOST_STEPS), 0)
    step: int = min(st.session_state["newton"], last)
    st.button("Fit: one step", key="newton_step", disabled=step == last, on_click=_go, args=(step + 1,))
    st.button("Start over", key="newton_back", disabled=step == 0, on_click=_go, args=(0,))
    return step


def _go(step: int) -> None:
    link.touched()
    link.take({"newton": step})


def line(found: Learned, trail: pd.DataFrame) -> str:
    """How far the walk has come."""
    nll, bottom = trail["nll"].iloc[-1], found.marks["duo"][1]
    return f"Step {len(trail) - 1}: NLL **{nll:.4f}** nats, {max(0.0, nll - bottom):.4f} above the bottom."
