"""Temperatures set by hand: two sliders, what they do, and the way back to the learned ones."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import controls, link, state
from app.controls import Choice
from duo_core.analysis.bowl import reach
from duo_core.systems.duo import Temperatures
from duo_core.systems.sweep import Evaluation
from duo_core.wording import words

STEPS = 200


def slider_keys(choice: Choice) -> tuple[str, str]:
    """Where the session keeps the sliders of a pair; every pair has its own."""
    pair = f"{choice.handle.logit_set.name}/{choice.base}/{choice.sidekick}"
    return f"temperature_{pair}/base", f"temperature_{pair}/sidekick"


def sliders(choice: Choice, found: Evaluation) -> Temperatures:
    """Draw both sliders, at the learned temperatures unless moved."""
    return Temperatures(*(_slider(key, role, found) for key, role in zip(slider_keys(choice), Temperatures._fields, strict=True)))


def _slider(key: str, role: str, found: Evaluation) -> float:
    top = reach(found.fit, role)
    link.start(key, min(st.session_state.get(key, getattr(found.fit.temperatures, role)), top))
    value: float = st.slider(f"T_{role} · {getattr(found, role)}", 0.0, top, step=top / STEPS, format="%.3f", key=key)
    return value


def consequences(choice: Choice, found: Evaluation, chosen: Temperatures) -> None:
    """Draw what the duo does at the chosen temperatures, beside the learned ones, and the way back."""
    learned = found.fit.temperatures
    at_best = {**found.metrics["duo"], "nll_fit": found.fit.nll["duo"]}
    by_hand = chosen != learned
    pair = choice.handle, choice.base, choice.sidekick, choice.split, choice.kind
    values = state.by_hand(*pair, chosen) if by_hand else at_best
    labels = {"nll_fit": "NLL, fit split", "nll": f"NLL, {choice.split}"}
    for keys in (("nll_fit", "nll"), ("accuracy", "aurc")):
        with st.container(horizontal=True):
            for key in keys:
                metric = "nll" if key in labels else key
                _card(labels.get(key, words.card_label(metric)), metric, values[key], at_best[key])
    st.button("Back to learned", key="learned", disabled=not by_hand, on_click=link.forget, args=slider_keys(choice))
    st.caption("Temperatures multiply the logits; at 0 a model has no say. Differences are to the learned temperatures.")


def _card(label: str, key: str, value: float | None, learned: float | None) -> None:
    controls.difference_card(label, key, value, learned, beside=words.beside(key, value, learned, "learned"))


def take_point(event: Mapping[str, Any] | None, keys: tuple[str, str]) -> None:
    """Move the sliders to the point that was clicked; a second click on it, which takes the selection back, changes nothing."""
    points = event["selection"]["points"] if event else []
    if points:
        st.session_state[keys[0]], st.session_state[keys[1]] = float(points[0]["x"]), float(points[0]["y"])
