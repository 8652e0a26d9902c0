"""Zoo: every model of a set, what it costs and how good it is."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from app import controls, link, soups, state, tables
from app.controls import THEMED
from duo_core import figures
from duo_core.figures.zoo import SIZES, explained, power_law, slowdowns
from duo_core.logits import Card
from duo_core.metrics import METRICS
from duo_core.wording import training as wording
from duo_core.wording import words
from duo_core.wording.averages import ABOUT, averages_line, averages_table

TITLE = "Zoo"
LINKED = (*link.SET, "size", "quality")

SIZE_LABELS = {"multiply_adds": "Multiply-adds", "parameters": "Parameters"}


def show() -> None:
    """Draw the page."""
    place = controls.set_sidebar()
    if place is None:
        return
    own = place.handle.logit_set
    st.title("What does a good model cost?", anchor=False)
    st.caption(f"{own.title} · {place.split} · {len(own.labels[place.split]):,} images · {len(place.known.accuracy)} single models")
    if not place.known.accuracy:
        st.info(f"No model of **{own.title}** has logits of `{place.split}`.")
        return
    table = state.singles(place.handle, place.split)
    left, right = st.columns(2, gap="large")
    with left:
        _quality(table)
    with right:
        _throughput(table)
    _models(table)
    _averages(place)
    _trained(own.cards)


def _quality(table: pd.DataFrame) -> None:
    st.header("Are larger models better?", anchor=False)
    known = [size for size in SIZES if table[size].notna().any()]
    if not known:
        st.info("This set does not say how large its models are.")
        return
    with st.container(horizontal=True):
        size = controls.switch("Size", "size", {size: SIZE_LABELS[size] for size in known})
        link.settle("quality", METRICS, "accuracy")
        st.selectbox("Metric", list(METRICS), key="quality", format_func=lambda key: METRICS[key].label, on_change=link.touched)
    key = st.session_state["quality"]
    controls.chart(
        figures.quality_by_size(table, key, size, colours=THEMED),
        "quality_by_size",
        f"{METRICS[key].label} of every model alone against its {SIZE_LABELS[size].lower()}",
    )
    controls.numbers(table[["family", size, key]].reset_index(), "quality_by_size", "Size and quality as numbers")


def _throughput(table: pd.DataFrame) -> None:
    st.header("Do multiply-adds predict speed?", anchor=False)
    timed = table[table["images_per_second"].notna() & table["multiply_adds"].notna()]
    if timed.empty:
        st.info("This set does not say both how fast its models are and how many multiply-adds they take.")
        return
    devices = timed["device"].fillna("an unnamed device").value_counts()
    st.markdown(f"On {devices.index[0]}.")
    if len(devices) > 1:
        others = int(devices.iloc[1:].sum())
        st.caption(f"{others} model{', measured elsewhere, is' if others == 1 else 's, measured elsewhere, are'} left out.")
    timed = timed[timed["device"].fillna("an unnamed device") == devices.index[0]]
    fits = timed["multiply_adds"].nunique() > 1
    law = power_law(timed["multiply_adds"].to_numpy(float), timed["images_per_second"].to_numpy(float)) if fits else None
    controls.chart(
        figures.throughput_by_flops(timed, law, colours=THEMED),
        "throughput_by_flops",
        "Images a second of every model against its multiply-adds",
    )
    st.markdown(words.speed_line(law) if law else "To fit a line takes two models of different size.")
    columns = ["family", "multiply_adds", "images_per_second", "device"]
    controls.numbers(timed[columns].reset_index(), "throughput_by_flops", "Speed as numbers")

    _slowdown(timed)


def _slowdown(timed: pd.DataFrame) -> None:
    st.header("How much slower is a duo?", anchor=False)
    pairs = slowdowns(timed)
    controls.chart(
        figures.slowdown_by_flops(pairs, colours=THEMED),
        "slowdown_by_flops",
        "Time of every duo over that of its base, against its FLOPs balance",
    )
    r_squared = explained(pairs["flops_balance"].to_numpy(float), pairs["slowdown"].to_numpy(float))
    st.markdown(words.slowdown_line(r_squared, len(pairs)))
    controls.numbers(pairs, "slowdown_by_flops", "Slowdowns as numbers")


def _models(table: pd.DataFrame) -> None:
    st.header("The models", anchor=False)
    st.markdown(
        "Each model alone, calibrated: one number, its calibration temperature, multiplies its logits and is fitted for the lowest "
        "NLL (cross-entropy) on the fit split. Below 1, the model was too sure of itself."
    )
    order = ["model", *COLUMNS, *SHARES, *ORIGIN]
    tables.frame(table.reset_index()[order], shares=SHARES, columns={"model": "Model", **COLUMNS, **ORIGIN})
    tables.downloads(table.reset_index(), "models")


def _averages(place: controls.Place) -> None:
    """What averaging the trainings of one model buys, where the set has soups of them."""
    lines = state.averaged(place.handle, place.split)
    if not lines:
        return
    st.header("Average weights or logits?", anchor=False)
    st.markdown(averages_line(lines))
    table = averages_table(lines)
    tables.frame(table)
    st.caption(ABOUT)
    tables.downloads(table, "averages")


def _trained(cards: Mapping[str, Card]) -> None:
    """How models that were trained here came about, and what soups are of."""
    rows = wording.recipes(cards)
    if rows.empty:
        return
    st.header("How were they trained?", anchor=False)
    st.markdown(wording.WHAT_A_SOUP_COSTS)
    tables.frame(rows, columns=TRAINED)
    tables.download(rows, "training")
    for name, card in cards.items():
        if card.training and "ingredients" in card.training:
            soups.soup(name, card.training)


COLUMNS: dict[str, Any] = {
    "family": "Family",
    "multiply_adds": st.column_config.NumberColumn("Multiply-adds", format="compact"),
    "parameters": st.column_config.NumberColumn("Parameters", format="compact"),
    "images_per_second": st.column_config.NumberColumn("Images a second", format="%.0f"),
    "macro_f1": st.column_config.NumberColumn("Macro F1", format="%.4f"),
    "temperature": st.column_config.NumberColumn("Calibration temperature", format="%.3f"),
    "nll": st.column_config.NumberColumn("NLL (nats)", format="%.4f"),
    "brier": st.column_config.NumberColumn("Brier score", format="%.4f"),
}
SHARES = {"accuracy": "Accuracy", "ece": "ECE"}
ORIGIN = {
    "architecture": "Architecture",
    "weights": "Weights",
    "weights_sha256": "SHA-256 of the weights",
    "device": "Measured on",
}
TRAINED: dict[str, Any] = {
    "model": "Model",
    "method": "Method",
    "run": "Run",
    "recipe": "Recipe",
    "seed": st.column_config.NumberColumn("Seed", format="%d"),
    "learning_rate": st.column_config.NumberColumn("Learning rate", format="%.3g"),
    "weight_decay": st.column_config.NumberColumn("Weight decay", format="%.2g"),
    "best_epoch": st.column_config.NumberColumn("Best epoch", format="%d"),
    "epochs": st.column_config.NumberColumn("Epochs", format="%d"),
    "cost": st.column_config.NumberColumn("Training, multiply-adds", format="compact"),
    "anchor": "Anchor",
}
