"""Temperatures set by hand: two sliders, what they do, and the way back to the learned ones."""

import math
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
LINKED = ("t_base", "t_sidekick")
"""Temperatures set by hand, in the address."""


def slider_keys(choice: Choice) -> tuple[str, str]:
    """Where the session keeps the sliders of a pair; every pair has its own."""
    pair = f"{choice.handle.logit_set.name}/{choice.base}/{choice.sidekick}"
    return f"temperature_{pair}/base", f"temperature_{pair}/sidekick"


def sliders(choice: Choice, found: Evaluation) -> Temperatures:
    """Draw both sliders, at the learned temperatures unless moved or the address says others; then they stand there."""
    keys, session = slider_keys(choice), st.session_state
    for key, role, name in zip(keys, Temperatures._fields, LINKED, strict=True):
        _take_from_link(key, role, name, found)
    chosen = Temperatures(*(_slider(key, role, found) for key, role in zip(keys, Temperatures._fields, strict=True)))
    texts = {} if chosen == found.fit.temperatures else {name: f"{value:.6g}" for name, value in zip(LINKED, chosen, strict=True)}
    link.forget(*(set(LINKED) - set(texts)))
    session.update({**texts, "by_hand": texts})
    return chosen


def _take_from_link(key: str, role: str, name: str, found: Evaluation) -> None:
    """Move a slider where the address says something else than was written there last; to the learned one where it says no more."""
    told, written = link.held(name), st.session_state.get("by_hand", {}).get(name)
    if told == written:
        return
    try:
        value = float(told)
    except (TypeError, ValueError):  # nothing, or no number
        value = math.nan
    learned: float = getattr(found.fit.temperatures, role)
    st.session_state[key] = min(max(value, 0.0), reach(found.fit, role)) if math.isfinite(value) else learned


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
    st.button("Back to the fit", key="learned", disabled=not by_hand, on_click=link.forget, args=slider_keys(choice))
    st.caption("Temperatures multiply the logits; at 0 a model has no say. Differences are from the fitted temperatures.")
    link.share()


def _card(label: str, key: str, value: float | None, learned: float | None) -> None:
    controls.difference_card(label, key, value, learned, beside=words.beside(key, value, learned, "fit"))


def take_point(event: Mapping[str, Any] | None, keys: tuple[str, str]) -> None:
    """Move the sliders to the point that was clicked; a second click on it, which takes the selection back, changes nothing."""
    points = event["selection"]["points"] if event else []
    if points:
        st.session_state[keys[0]], st.session_state[keys[1]] = float(points[0]["x"]), float(points[0]["y"])
