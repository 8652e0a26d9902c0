"""Temperatures: how much say each model gets, and how well that is known."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from app import controls, link, manual, state
from app.controls import THEMED, Choice
from duo_core import figures
from duo_core.analysis.bowl import SEED
from duo_core.analysis.stability import JUDGED, REPEATS, enough, largest_apart, sizes
from duo_core.figures import fitting
from duo_core.figures.bowl import nll_bowl
from duo_core.figures.screen import cost_column
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import METRICS
from duo_core.systems.duo import Fit, Temperatures
from duo_core.systems.sweep import Evaluation
from duo_core.wording import words

TITLE = "Temperatures"
LINKED = (*link.CHOICE, "question", "judged", "fit_seed", *manual.LINKED)
QUESTIONS = {
    "bowl": "Where is the best weighting?",
    "ratios": "Do the weights follow the cost?",
    "images": "How many images does the fit need?",
}
SEEDS = range(1000)
MARKED = {"duo": "Duo, fitted", "base": "Base alone", "sidekick": "Sidekick alone", "unweighted": "Unweighted"}
RATIO_COLUMNS = ["base", "sidekick", "T_base", "T_sidekick", "T_ratio", "flops_balance"]


def show() -> None:
    """Draw the page."""
    choice = controls.sidebar()
    if choice is None:
        return
    found = state.evaluation(choice.handle, choice.base, choice.sidekick, choice.split, choice.kind)
    timed = state.fitted(choice.handle, choice.base, choice.sidekick)
    st.markdown(f":blue-background[{choice.base}] + :orange-background[{choice.sidekick}]")
    st.title(headline(timed.fit, choice.base, choice.sidekick), anchor=False)
    st.markdown(words.weights_line(timed.fit))
    with st.expander("How it was fitted"):
        st.markdown(words.fit_line(timed.fit, len(choice.handle.logit_set.labels[FIT_SPLIT]), timed.seconds))
    for warning in words.fit_warnings(timed.fit, {"base": choice.base, "sidekick": choice.sidekick}):
        st.warning(warning)
    part = controls.switch("Question", "question", QUESTIONS)
    {"bowl": _bowl, "ratios": _ratios, "images": _stability}[part](choice, found)


def _ratios(choice: Choice, _: Evaluation) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        _ratios_of_base(choice)
    with right:
        _ratios_of_all(choice)


def headline(fit: Fit, base: str, sidekick: str) -> str:
    """Who says how much, each relative to what its own calibration would give it.

    >>> calibration = Temperatures(1.0, 2.0)
    >>> headline(Fit(Temperatures(0.9, 0.6), calibration, {}, 0.0, 3), "large", "small")
    'large has 3.0 times as much say as small'
    >>> headline(Fit(Temperatures(0.5, 1.0), calibration, {}, 0.0, 3), "large", "small")
    'large and small have an equal say'
    >>> headline(Fit(Temperatures(1.0, 0.0), calibration, {}, 0.0, 3), "large", "small")
    'large decides alone'
    """
    if fit.ratio is None or fit.ratio == 0:
        return f"{base if fit.temperatures.sidekick == 0 else sidekick} decides alone"
    more, less, times = (base, sidekick, fit.ratio) if fit.ratio > 1 else (sidekick, base, 1 / fit.ratio)
    if times < 1.05:
        return f"{base} and {sidekick} have an equal say"
    return f"{more} has {times:.1f} times as much say as {less}"


@st.fragment
def _bowl(choice: Choice, found: Evaluation) -> None:
    left, right = st.columns([3, 2], gap="large")
    with right:
        chosen = manual.sliders(choice, found)
        manual.consequences(choice, found, chosen)
    with left:
        surface = state.bowl_of(choice.handle, choice.base, choice.sidekick)
        marks = state.marks_of(choice.handle, choice.base, choice.sidekick)
        st.markdown(price(marks))
        controls.chart(
            nll_bowl(surface, marks, sliders=chosen, names=(choice.base, choice.sidekick), colours=THEMED),
            "bowl",
            f"A bowl: NLL of the fit split over the temperatures of {choice.base} and {choice.sidekick}, lowest at "
            f"{found.fit.temperatures.base:.3f} and {found.fit.temperatures.sidekick:.3f}",
            on_select=lambda: manual.take_point(st.session_state.get("chart_bowl"), manual.slider_keys(choice)),
            selection_mode="points",
        )
        st.caption(coverage(surface.images, len(choice.handle.logit_set.labels[FIT_SPLIT])))
        controls.numbers(_marked(marks), "bowl_marks", "The marks as numbers")
        controls.numbers(surface.table(), "bowl", "The bowl as numbers")


def price(marks: Mapping[str, tuple[Temperatures, float]]) -> str:
    """What other weightings cost on the fit split, in one line.

    >>> at = Temperatures(0.0, 0.0)
    >>> price({"duo": (at, 0.19), "base": (at, 0.22), "unweighted": (at, 0.2)})
    'Lowest NLL (cross-entropy) on the fit split **0.1900**, the duo · Base alone +0.0300 · Unweighted +0.0100. Click the chart to \
set the sliders.'
    """
    best = marks["duo"][1]
    others = [f"{MARKED[key]} +{marks[key][1] - best:.4f}" for key in MARKED if key in marks and key != "duo"]
    said = " · ".join([f"Lowest NLL (cross-entropy) on the fit split **{best:.4f}**, the duo", *others])
    return f"{said}. Click the chart to set the sliders."


def coverage(used: int, images: int) -> str:
    """Which images the bowl is of.

    >>> coverage(2000, 2000)
    'NLL over all 2,000 images of the fit split: along a ring it is the same, and where rings are closer it rises faster.'
    """
    which = f"all {images:,} images" if used == images else f"{used:,} of the {images:,} images, drawn by class with seed {SEED},"
    return f"NLL over {which} of the fit split: along a ring it is the same, and where rings are closer it rises faster."


def _marked(marks: Mapping[str, tuple[Temperatures, float]]) -> pd.DataFrame:
    rows = [{"mark": MARKED[key], "T_base": at.base, "T_sidekick": at.sidekick, "nll": nll} for key, (at, nll) in marks.items()]
    return pd.DataFrame(rows)


def _ratios_of_base(choice: Choice) -> None:
    st.header(f"Every sidekick of {choice.base}", anchor=False)
    table = state.sidekicks(choice.handle, choice.base, choice.split, choice.kind)
    if words.no_costs(cost_column(table)):
        st.info(words.no_costs(cost_column(table)))
    controls.chart(
        figures.ratio_by_cost(table, chosen=choice.sidekick, colours=THEMED),
        "ratios",
        f"Temperature ratio of {choice.base} with every sidekick, against the cost of the sidekick",
        on_select=lambda: link.choose_sidekick("chart_ratios"),
        selection_mode="points",
    )
    st.caption(words.RATIO)
    controls.numbers(table.loc[table["variant"] == "duo", RATIO_COLUMNS], "ratios", "The ratios as numbers")


def _ratios_of_all(choice: Choice) -> None:
    st.header("Every pair of the set", anchor=False)
    table = state.all_pairs(choice.handle, choice.split, choice.kind)
    controls.chart(
        fitting.all_ratios(table, base=choice.base, sidekick=choice.sidekick, colours=THEMED),
        "all_ratios",
        f"Temperature ratio of every pair of {choice.handle.logit_set.title} against the cost of its sidekick",
        on_select=lambda: link.choose_point("chart_all_ratios"),
        selection_mode="points",
    )
    st.caption(f"{trend(table)} Click a point to load its pair.")
    controls.numbers(table.loc[table["variant"] == "duo", RATIO_COLUMNS], "all_ratios", "All ratios as numbers")
    st.header("Do pairs with an equal say gain more?", anchor=False)
    controls.chart(
        fitting.ratios_by_gain(table, colours=THEMED),
        "ratios_by_gain",
        "Temperature ratio of every pair against the cost of its sidekick, coloured by the accuracy gained over the base",
        on_select=lambda: link.choose_point("chart_ratios_by_gain"),
        selection_mode="points",
    )
    st.caption(even_say(table))


def even_say(table: pd.DataFrame) -> str:
    """Whether pairs of even say gain more, as in the paper's Figure 10, and how many are left out.

    >>> rows = {"variant": "duo", "T_ratio": [8.0, 4.0, 2.0, 0.1], "accuracy": [0.8, 0.81, 0.82, 0.9]}
    >>> even_say(pd.DataFrame({**rows, "base_accuracy": 0.8, "reversed": [False, False, False, True]}))
    'In the paper (Figure 10, right) duos gain more the nearer their ratio is to 1. Here, the rank correlation of the gain in \
accuracy with the distance of the ratio from 1 is −1.00 over 3 pairs. 1 pair is left out: its sidekick is the more accurate model.'
    """
    paper = "In the paper (Figure 10, right) duos gain more the nearer their ratio is to 1."
    duos = fitting.paired(table)
    left = int(((table["variant"] == "duo") & table["T_ratio"].notna()).sum()) - len(duos)
    which = "pair is left out: its" if left == 1 else "pairs are left out: their"
    out = f" {left} {which} sidekick is the more accurate model." if left else ""
    far = np.log(duos["T_ratio"].astype(float)).abs()
    gain = (duos["accuracy"] - duos["base_accuracy"]).astype(float)
    if min(far.nunique(), gain.nunique()) < 3:
        return f"{paper}{out}"
    correlation = f"{far.rank().corr(gain.rank()):.2f}".replace("-", "−")
    here = "Here, the rank correlation of the gain in accuracy with the distance of the ratio from 1 is"
    return f"{paper} {here} {correlation} over {len(duos)} pairs.{out}"


def trend(table: pd.DataFrame) -> str:
    """Whether the ratio falls with the cost of the sidekick, as in the paper's Figure 10.

    >>> rows = {"variant": "duo", "flops_balance": [0.1, 0.2, 0.5], "T_ratio": [7.0, 3.0, 2.0], "sidekick_accuracy": 0.8}
    >>> trend(pd.DataFrame(rows))
    'In the paper (Figure 10) the ratio falls as sidekicks get more expensive. Here, the rank correlation of ratio and cost is \
−1.00 over 3 pairs (−1: it always falls, 0: no trend).'
    """
    duos = table[(table["variant"] == "duo") & table["T_ratio"].notna()]
    column, paper = cost_column(table), "In the paper (Figure 10) the ratio falls as sidekicks get more expensive."
    if column == "sidekick_accuracy" or duos[column].nunique() < 3:
        return paper
    correlation = duos[column].astype(float).rank().corr(duos["T_ratio"].rank())
    said = f"{correlation:.2f}".replace("-", "−")
    trends = "(−1: it always falls, 0: no trend)"
    return f"{paper} Here, the rank correlation of ratio and cost is {said} over {len(duos)} pairs {trends}."


@st.fragment
def _stability(choice: Choice, found: Evaluation) -> None:
    images = len(choice.handle.logit_set.labels[FIT_SPLIT])
    if not sizes(images):
        st.info(f"The fit split has {images} images; there is no smaller size to try.")
        return
    link.settle("fit_seed", SEEDS, 0)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        key = controls.switch(f"Judged on {choice.split} by", "judged", {key: METRICS[key].label for key in JUDGED})
        st.number_input("Seed of the samples", SEEDS[0], SEEDS[-1], key="fit_seed", on_change=link.touched, width=160)
    link.share()
    pair = f"refit_{choice.handle.stamp}/{choice.base}/{choice.sidekick}"
    if state.refit_work(choice.handle, choice.split) > state.LIVE and not st.session_state.get(pair):
        st.markdown(f"{REPEATS} fits on each of {len(sizes(images))} sizes take some seconds on a set this large.")
        st.button("Fit on fewer images", key="refit", on_click=st.session_state.update, args=({pair: True},))
        return
    _refits(choice, found, key)


def _refits(choice: Choice, found: Evaluation, key: str) -> None:
    table = state.refits(choice.handle, choice.base, choice.sidekick, choice.split, choice.kind, st.session_state["fit_seed"])
    base = found.metrics["base"][key] or 0.0  # defined for all of JUDGED
    st.markdown(verdict(table, key, base, choice.split))
    left, right = st.columns(2, gap="large")
    with left:
        controls.chart(
            fitting.temperatures_by_size(table, colours=THEMED),
            "refit_temperatures",
            "Temperatures fitted on fewer images, against how many",
        )
    with right:
        controls.chart(
            fitting.metric_by_size(table, key, base=base, colours=THEMED),
            "refit_metric",
            f"{METRICS[key].label} on {choice.split} of duos fitted on fewer images, against how many",
        )
    first, images = st.session_state["fit_seed"] * REPEATS, int(table["size"].iloc[-1])
    st.caption(
        "Faint points are single refits, lines their medians, large points the fit on all images. Of each size, "
        f"{REPEATS} samples are drawn with every class in proportion (seeds {first} to {first + REPEATS - 1}). " + overlap(images)
    )
    controls.numbers(table, "refits", "The refits as numbers")


def overlap(images: int) -> str:
    """Up to which size samples share no image, and what sharing does.

    >>> overlap(2000)
    'Samples of up to 100 images have none in common; larger ones overlap, so they vary less than samples of new images would.'
    """
    apart = largest_apart(images)
    if apart is None:
        return "The samples overlap, so they vary less than samples of new images would."
    if apart == sizes(images)[-1]:
        return "The samples of a size share no image."
    return (
        f"Samples of up to {apart:,} images have none in common; larger ones overlap, so they vary less than samples of new images "
        "would."
    )


def verdict(table: pd.DataFrame, key: str, base: float, split: str) -> str:
    """From how many images on the duo is better than the base, and what few images do to the temperatures."""
    needed, whole = enough(table, key, base), int(table["size"].iloc[-1])
    beats = f"the base alone in {METRICS[key].label} on {split}"
    if needed is None:
        text = f"Even fitted on all {whole:,} images the duo does not beat {beats}."
    else:
        text = f"**{needed:,} images are enough**: from there on at least nine in ten refits beat {beats}."
    separated = table.loc[table["separated"], "size"]
    if separated.empty:
        return text
    few = int(separated.max())
    of = f"{len(separated)} of {(table['size'] <= few).sum()} samples of up to {few:,} images"
    return f"{text} In {of}, some weighting gets every image right, so no finite temperature is best."
