"""What is taken home of a pair: lines to copy, the duo as a zip, the report."""

import json
import math
import urllib.parse
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from app import controls, link, state
from app.citation import CITATION
from app.controls import Choice
from duo_core.analysis.guarantee import GUARANTEED
from duo_core.common.arrays import UncertaintyKind
from duo_core.common.numbers import percent
from duo_core.systems.duo import Temperatures
from duo_core.systems.sweep import Evaluation
from duo_core.wording import promising

DOUBTS = {
    "softmax": ("import numpy as np, scipy.special", "np.sort(scipy.special.softmax(logits, axis=1), axis=1)[:, :-1].sum(axis=1)"),
    "entropy": ("import scipy.special", "scipy.special.entr(scipy.special.softmax(logits, axis=1)).sum(axis=1)"),
}
"""What is imported and how the uncertainty is computed; 1 - max softmax as the sum of the others, which does not saturate at 0."""


class Above(NamedTuple):
    """Where a duo abstains, and why there."""

    threshold: float | None
    """Uncertainty above which it does; None where no threshold keeps the target."""
    why: str
    guaranteed: bool


def above(table: pd.DataFrame, target: float, confidence: float) -> Above:
    """The duo's guaranteed threshold, else its empirical one, of a table of `promises`.

    >>> table = pd.DataFrame({"system": "duo", "method": [GUARANTEED, "empirical"], "threshold": [math.nan, 0.2]})
    >>> above(table, 0.02, 0.95).why
    'at most 2 % wrong on the fit split; no threshold guarantees it with 95 % confidence'
    """
    found = table[table["system"] == "duo"].set_index("method")["threshold"]
    wrong, sure = promising.risk(target), percent(confidence, 0)
    if not math.isnan(found[GUARANTEED]):
        return Above(float(found[GUARANTEED]), f"at most {wrong} wrong, with {sure} confidence", True)
    if not math.isnan(found["empirical"]):
        why = f"at most {wrong} wrong on the fit split; no threshold guarantees it with {sure} confidence"
        return Above(float(found["empirical"]), why, False)
    return Above(None, f"no threshold keeps the target of {wrong}", False)


def python_lines(weights: Temperatures, at: Above, kind: UncertaintyKind) -> str:
    """The duo as three lines of Python: two arrays of logits (n, k) in, and which answers it is sure of.

    >>> print(python_lines(Temperatures(0.5, 0.25), Above(0.1, "at most 2 % wrong", True), "entropy"))
    import scipy.special
    logits = 0.5 * base_logits + 0.25 * sidekick_logits
    sure = scipy.special.entr(scipy.special.softmax(logits, axis=1)).sum(axis=1) <= 0.1  # at most 2 % wrong
    """
    imported, doubt = DOUBTS[kind]
    total = f"logits = {weights.base!r} * base_logits + {weights.sidekick!r} * sidekick_logits"
    last = f"uncertainty = {doubt}" if at.threshold is None else f"sure = {doubt} <= {at.threshold!r}"
    return "\n".join([imported, total, f"{last}  # {at.why}"])


def json_line(names: tuple[str, str], weights: Temperatures, at: Above, kind: UncertaintyKind) -> str:
    """The same numbers as JSON, with the models' names.

    >>> json_line(("large", "small"), Temperatures(0.5, 0.25), Above(None, "", False), "softmax").splitlines()[0]
    '{"weights": {"base": 0.5, "sidekick": 0.25}, "models": {"base": "large", "sidekick": "small"},'
    """
    said: dict[str, Any] = {"weights": weights._asdict(), "models": dict(zip(Temperatures._fields, names, strict=True))}
    rest = {"uncertainty": kind, "threshold": at.threshold, "chosen_for": at.why}
    return f"{json.dumps(said, ensure_ascii=False)[:-1]},\n {json.dumps(rest)[1:]}"


def pair_link(choice: Choice) -> str:
    """The address that opens this pair with all that the page shows of it, whatever the defaults are."""
    pair = {"set": st.session_state["set"], "split": choice.split, "base": choice.base, "sidekick": choice.sidekick}
    held = link.state_of(st.session_state.get("linked", ()))
    return f"{st.context.url or ''}?{urllib.parse.urlencode({**pair, **held})}"


def system_lines(weights: Mapping[str, float], at: Above, kind: UncertaintyKind) -> tuple[str, str]:
    """The same for any number of members: their logits stand in a dictionary by name. The lines, and the numbers as JSON.

    >>> lines, numbers = system_lines({"a": 0.5, "b": 0.25, "c": 0.1}, Above(0.1, "at most 2 % wrong", True), "entropy")
    >>> print(lines)
    weights = {'a': 0.5, 'b': 0.25, 'c': 0.1}
    import scipy.special
    logits = sum(weight * members[name] for name, weight in weights.items())
    sure = scipy.special.entr(scipy.special.softmax(logits, axis=1)).sum(axis=1) <= 0.1  # at most 2 % wrong
    """
    imported, doubt = DOUBTS[kind]
    last = f"uncertainty = {doubt}" if at.threshold is None else f"sure = {doubt} <= {at.threshold!r}"
    total = "logits = sum(weight * members[name] for name, weight in weights.items())"
    lines = "\n".join([f"weights = {dict(weights)!r}", imported, total, f"{last}  # {at.why}"])
    said = {"weights": dict(weights), "uncertainty": kind, "threshold": at.threshold, "chosen_for": at.why}
    return lines, json.dumps(said, ensure_ascii=False)


def goal() -> tuple[float, float]:
    """Draw what is promised: the target risk and its confidence, as shares."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        link.settle("target", promising.TARGETS, "2")
        st.select_slider(
            "Target: at most this share of the answers may be wrong",
            promising.TARGETS,
            key="target",
            format_func=lambda target: f"{target} %",
            on_change=link.touched,
        )
        link.settle("confidence", promising.CONFIDENCES, "95")
        st.segmented_control(
            "Confidence of the guarantee",
            promising.CONFIDENCES,
            key="confidence",
            format_func=lambda confidence: f"{confidence} %",
            on_change=link.touched,
            required=True,
            help=promising.MEANING,
        )
    target, confidence = (float(st.session_state[key]) / 100 for key in ("target", "confidence"))
    return target, confidence


def take_home(choice: Choice, found: Evaluation, table: pd.DataFrame, target: float, confidence: float) -> None:
    """Draw what is taken home, with the threshold that was chosen on the page."""
    st.header("Take it home", anchor=False)
    at = above(table, target, confidence)
    temperatures, names = found.fit.temperatures, (choice.base, choice.sidekick)
    more = isinstance(found, state.Together)
    if isinstance(found, state.Together):
        lines, numbers = system_lines(found.weights, at, choice.kind)
    else:
        lines, numbers = python_lines(temperatures, at, choice.kind), json_line(names, temperatures, at, choice.kind)
    st.markdown(
        f"Weights and threshold ({at.why}). In arrays of logits, rows are images and columns the classes of the set, in order."
    )
    copies = {
        "Python": (lines, "python"),
        "JSON": (numbers, "json"),
        "Link": (pair_link(choice), None),
        "Citation": (CITATION, "bibtex"),
    }
    for tab, (text, language) in zip(st.tabs(list(copies)), copies.values(), strict=True):
        tab.code(text, language=language, wrap_lines=True)
    with st.container(horizontal=True):
        if not more:
            controls.report(
                f"{choice.base}-{choice.sidekick}-{choice.split}",
                state.report_of_pair(choice.handle, found, choice.metric, choice.kind),
            )
        promise = (target, confidence) if at.guaranteed else None
        st.download_button(
            f"Download this {'system' if more else 'duo'} (zip)",
            state.exported(choice.handle, state.system_of(found), choice.kind, promise),
            file_name=f"{'+'.join(choice.members)[:200]}.zip",
            mime="application/zip",
            on_click="ignore",
            key="export",
            help="Temperatures, thresholds, code that runs on logits, and the models' own weights where they are on this machine. "
            "The zip's README names the one command that adds the rest: missing weights, and graphs that run on images.",
        )
