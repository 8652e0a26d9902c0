"""How alike: which images every two models get right, and whether being different pays."""

import numpy as np
import pandas as pd
import streamlit as st

from app import controls, link, members, state, tables
from app.controls import THEMED, Choice
from duo_core.figures import alike as figures
from duo_core.wording import alike as wording

TITLE = "How alike?"
LINKED = (*link.CHOICE, "measure", "gained", "pairs")
MEASURES = {"error_inconsistency": "Error inconsistency", "kappa": "Kappa", "jensen_shannon": "Jensen-Shannon"}
GAINED = {"gain_over_better": "Over the better member", "gain_over_mean": "Over the mean"}
ALL = "all"
ROWS = 6
"""Images shown of either model."""


def show() -> None:
    """Draw the page."""
    members.go()
    choice = controls.sidebar()
    if choice is None:
        return
    own = choice.handle.logit_set
    found = state.alike(choice.handle, choice.split)
    st.title("How alike are they?", anchor=False)
    st.caption(f"{own.title} · {choice.split} · {len(own.labels[choice.split]):,} images · {len(found.table):,} pairs of models")
    measure = controls.switch("Measure", "measure", MEASURES, wording.MEANING)
    for line in wording.of_difference(found.correlations, measure):
        st.markdown(f"{line[0].upper()}{line[1:]}.")
    table = _of_category(found.table)
    left, right = st.columns(2, gap="large")
    with left:
        _matrix(choice, table, measure)
    with right:
        _gains(choice, table, measure)
    _correlations(found)
    tables.numbers(found.table, "alike", "The pairs as numbers")
    _two(choice)


def _of_category(table: pd.DataFrame) -> pd.DataFrame:
    """Draw the choice of a category of pairs, where there are several."""
    there = list(dict.fromkeys(table["category"]))
    options = {ALL: "All pairs", **{category: category.capitalize() for category in there}}
    if len(there) < 2:
        st.caption(wording.one_category(there))
        return table
    chosen = controls.switch("Pairs", "pairs", options, wording.CATEGORIES_MEAN)
    return table if chosen == ALL else table[table["category"] == chosen]


def _matrix(choice: Choice, table: pd.DataFrame, measure: str) -> None:
    st.header("Every two models", anchor=False)
    controls.chart(
        figures.alike_matrix(table, measure, chosen=(choice.base, choice.sidekick), colours=THEMED),
        "alike",
        f"{MEASURES[measure]} of every two models",
        on_select=lambda: members.open_point("chart_alike"),
        selection_mode="points",
    )
    st.caption("Models with the most multiply-adds come first. Click a square to open its pair in Explore.")


def _gains(choice: Choice, table: pd.DataFrame, measure: str) -> None:
    st.header("Does being different pay?", anchor=False)
    gain = controls.switch("Gain in accuracy", "gained", GAINED, wording.GAINED_MEAN)
    controls.chart(
        figures.gain_by_measure(table, measure, gain, chosen=(choice.base, choice.sidekick), colours=THEMED),
        "alike_gains",
        f"Gain in accuracy of every pair against {MEASURES[measure].lower()}, coloured by the gap in accuracy",
        on_select=lambda: members.open_point("chart_alike_gains"),
        selection_mode="points",
    )
    st.caption(wording.GAP)


def _correlations(found: state.Alike) -> None:
    st.header("What is correlated with what?", anchor=False)
    tables.frame(wording.correlation_table(found.correlations))
    st.caption(wording.correlations_caption(found.found.draws is not None, len(found.table)))


def _two(choice: Choice) -> None:
    """What each of the sidebar's two models is good at."""
    one, other = choice.base, choice.sidekick
    found = state.two(choice.handle, one, other, choice.split)
    st.header("What is each of the two good at?", anchor=False)
    st.markdown(wording.alone(one, other, int(found.first.sum()), int(found.second.sum()), len(found.first)))
    left, right = st.columns(2, gap="large")
    with left:
        right_alone = {"first": found.first, "second": found.second}
        controls.chart(
            figures.specialisation_histogram(found.angles, right_alone, (one, other), colours=THEMED),
            "specialisation",
            f"How much surer {one} is than {other}, of images that only one of them gets right",
        )
    with right:
        names = choice.handle.logit_set.classes
        classes = found.classes.assign(name=[names[k] for k in found.classes["class"]])
        tables.frame(wording.class_table(classes, one, other), height=360)
    for name, alone in ((one, found.first), (other, found.second)):
        _images(choice, found, name, np.flatnonzero(alone))


def _images(choice: Choice, found: state.Two, name: str, rows: np.ndarray) -> None:
    """Images that one alone gets right, those first of which it is surest beside the other."""
    if not len(rows):
        return
    own = choice.handle.logit_set
    sign = 1 if name == choice.base else -1
    shown = rows[np.argsort(-sign * found.angles[rows], kind="stable")][:ROWS].tolist()
    pictures, ids = state.thumbnails(choice.handle, choice.split, shown), own.ids.get(choice.split)
    labels = own.labels[choice.split].tolist()
    said_by = dict(zip((choice.base, choice.sidekick), found.said, strict=True))
    table = pd.DataFrame(
        {
            "Image": [ids[row] if ids else row for row in shown],
            "Label": [own.classes[labels[row]] for row in shown],
            **{f"{who} says": [own.classes[said[row]] for row in shown] for who, said in said_by.items()},
        }
    )
    if pictures:
        table.insert(0, "Picture", pictures)
    st.markdown(f"**Only {name} is right**; first the images where it is surest compared with the other:")
    tables.frame(table, row_height=64 if pictures else None, columns={"Picture": st.column_config.ImageColumn()})
