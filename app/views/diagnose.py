"""Diagnose: where the duo is right and wrong, image by image and class by class."""

from collections.abc import Mapping
from typing import Any, cast

import pandas as pd
import streamlit as st

from app import controls, link, state, tables, together
from app.controls import THEMED, Choice
from app.state.pictures import ATTRIBUTION, VARIABLE
from duo_core.analysis.advice import BAND, gains_within
from duo_core.analysis.diagnosis import OUTCOMES, RANKING, ClassScore, by_split, by_uncertainty, exchange
from duo_core.common.plaintext import escaped
from duo_core.common.settings import is_public
from duo_core.figures import diagnosis as figures
from duo_core.figures.gains import gains_by_split
from duo_core.metrics import METRICS
from duo_core.systems.sweep import Evaluation
from duo_core.wording import telling
from duo_core.wording import together as wording

TITLE = "Diagnose"
LINKED = (*link.CHOICE, "members", *together.LINKED, "part", "histogram", "outcome", "class_score")
PARTS = {
    "calibration": "Does confidence match accuracy?",
    "images": "Which images change rank?",
    "classes": "Which classes gain?",
    "splits": "Does the gain carry over?",
    "band": "What do 10 to 20 % more compute buy?",
    "scores": "Softmax or entropy?",
}
HISTOGRAMS = {"wrong": "Wrong images", "right": "Right images"}
SCORES = {"accuracy": "Accuracy", "f1": "F1"}
MOVED = {"any": "All", **dict(zip(OUTCOMES, ("Both right", "Rescued", "Harmed", "Both wrong"), strict=True))}
IMAGES = "images_folder"
"""Key of the field for a folder of images."""
ROWS = 20
LEAST = 10
"""Images that a class must have to be drawn."""
ENDS = 12
"""Classes drawn from either end where there are many."""
SHIFT = "duo logits ... --corrupt test-noise=gaussian_noise:3"
SURE = {"Base sure": "Base sure", "Duo sure": "Duo sure"}
COMPARED = ("base", "unweighted", "uq_only", "duo")


def show() -> None:
    """Draw the page."""
    choice = controls.sidebar(more=True)
    if choice is None:
        return
    more = len(choice.members) > 2
    found: Evaluation = together.evaluated(choice) if more else _evaluated(choice)
    _exchange(choice, found)
    if more:
        st.caption(wording.called_duo(found.base))
    part = controls.switch("Question", "part", PARTS)
    parts = {
        "calibration": _calibration,
        "images": _moves,
        "classes": _classes,
        "splits": _splits,
        "band": _band,
        "scores": _scores,
    }
    parts[part](choice, found)


def _evaluated(choice: Choice) -> Evaluation:
    """The pair of the sidebar."""
    return state.evaluation(choice.handle, choice.base, choice.sidekick, choice.split, choice.kind)


def _calibration(choice: Choice, found: Evaluation) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        _reliability(choice, found)
    with right:
        _histogram(choice, found)


def _exchange(choice: Choice, found: Evaluation) -> None:
    own, gain = choice.handle.logit_set, state.gains(choice.handle, found, choice.kind, ("accuracy",))["accuracy"]
    counted = exchange(found.predictions["base"], found.predictions["duo"])
    st.markdown(wording.names(choice.members))
    st.title(telling.exchanged(counted), anchor=False)
    st.caption(f"{own.title} · {choice.split} · {sum(counted):,} images · {own.k:,} classes")
    st.markdown(telling.exchange_line(counted, gain, found.base))
    st.table(telling.exchange_table(counted), width="content")
    st.caption(telling.draws_line(gain))


def _reliability(choice: Choice, found: Evaluation) -> None:
    st.header("Does confidence match accuracy?", anchor=False)
    tables = state.calibration(choice.handle, found)
    st.markdown(telling.calibration_line(tables))
    controls.chart(
        figures.reliability_diagram(tables, colours=THEMED),
        "reliability",
        f"Accuracy against confidence of {found.base}, before and after calibration, and of the duo, by bin",
    )
    st.caption(
        "Images stand in 15 bins by confidence; the more a bin holds, the larger its point. Below the diagonal a system is too "
        "sure: right less often than its confidence says. ECE is the mean distance from the diagonal, weighted by images."
    )
    controls.numbers(_stacked(tables), "reliability", "The bins as numbers")


def _stacked(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([table.assign(system=figures.SYSTEMS[key]) for key, table in tables.items()], ignore_index=True)


@st.fragment
def _histogram(choice: Choice, found: Evaluation) -> None:
    st.header("How sure are right and wrong predictions?", anchor=False)
    tables = state.calibration(choice.handle, found)
    which = controls.switch("Count", "histogram", HISTOGRAMS)
    controls.chart(
        figures.confidence_histogram(tables, which, colours=THEMED),
        "histogram",
        f"How many {which} images of {found.base} and of the duo fall into each bin of confidence",
    )
    columns = ["system", "lower", "upper", "images", "right", "wrong"]
    controls.numbers(_stacked(tables)[columns], "histogram", "The counts as numbers")
    link.share()


@st.fragment
def _moves(choice: Choice, found: Evaluation) -> None:
    own = choice.handle.logit_set
    table = state.moves(choice.handle, found, choice.kind)
    outcome = controls.switch("Images", "outcome", MOVED, "Rescued: only the base is wrong. Harmed: only the duo is.")
    kept = table if outcome == "any" else table[table["outcome"] == outcome]
    if kept.empty:
        st.info(f"No image of {choice.split} is of this kind.")
        return
    shown = kept.head(ROWS)
    folder = str(st.session_state.get(IMAGES, "")).strip()
    pictures = state.thumbnails(choice.handle, choice.split, shown["row"].tolist(), folder)
    readable = telling.moves_table(shown, own.classes, own.ids.get(choice.split))
    if pictures:
        readable.insert(0, "Picture", pictures)
    tables.frame(readable, shares=SURE, columns=_columns(), height=480, row_height=64 if pictures else None)
    st.caption(
        f"The {len(shown)} of {len(kept):,} images whose rank by uncertainty changes most. Rank 1 is the surest of all "
        f"{len(table):,}; a negative move means that the duo ranks the image as surer than the base does."
    )
    seen = [own.ids[choice.split][row] for row, picture in zip(shown["row"], pictures or [], strict=False) if picture]
    _ask_for_pictures(choice, folder, seen)
    tables.downloads(telling.moves_table(kept, own.classes, own.ids.get(choice.split)), "rank_moves")
    link.share()


def _ask_for_pictures(choice: Choice, folder: str, names: list[str]) -> None:
    """Who made the pictures that are shown, and a field for a folder of the others; no folder is read on a stranger's word."""
    own = choice.handle.logit_set
    authors = state.credits_of(choice.handle, names)
    if authors:
        st.caption(f"Photographs by {escaped(', '.join(authors))}; {ATTRIBUTION} beside the set names licences and pages.")
    if not is_public() and own.ids.get(choice.split):
        label = f"Folder or tar of the images of {choice.split}"
        st.text_input(label, key=IMAGES, help=f"Or set the environment variable {VARIABLE}.")
        if folder and (complaint := state.trouble(choice.handle, choice.split, folder)):
            st.warning(escaped(complaint))
    elif not names:
        st.caption(f"No pictures of {choice.split} are at hand.")


def _columns() -> dict[str, Any]:
    numbers = dict.fromkeys(("Base rank", "Duo rank", "Move"), st.column_config.NumberColumn(format="localized"))
    names = dict.fromkeys(("Label", "Base says", "Duo says"), st.column_config.TextColumn(width=110))
    return {"Picture": st.column_config.ImageColumn(), **names, **numbers}


@st.fragment
def _classes(choice: Choice, found: Evaluation) -> None:
    score = cast(
        ClassScore,
        controls.switch("Score", "class_score", SCORES, "Accuracy: the share of a class's images that are predicted right."),
    )
    every, shown, gains = state.classes(choice.handle, found, score, LEAST, ENDS)
    if shown.empty:
        st.info(f"Every class has fewer than {LEAST} images of {choice.split}, too few for a chart; the table has them all.")
    else:
        st.markdown(telling.classes_line(shown, gains))
        controls.chart(
            figures.class_gains(shown, gains, score, colours=THEMED),
            "classes",
            f"{SCORES[score]} that the duo gains over {found.base} in each class, with 95 % intervals",
        )
        left_out = len(every) - len(shown)
        most = f"The {ENDS} that gain most and least; " if len(shown) == 2 * ENDS else ""
        which = f"{most}{left_out:,} of {len(every):,} classes are not drawn." if left_out else "Every class, best gain first."
        st.caption(f"{which} {telling.holm_line(int((every['images'] >= LEAST).sum()))}")
    controls.numbers(every, "classes", "The classes as numbers")
    link.share()


def _splits(choice: Choice, found: Evaluation) -> None:
    every = state.every_split(choice.handle, choice.members, choice.kind, state.system_of(found).rule)
    gains = {split: state.gains(choice.handle, found, choice.kind) for split, found in every.items()}
    table = by_split({split: found.metrics for split, found in every.items()}, gains)
    if len(every) == 1:
        st.info(f"This set has only one split to judge on. To add one, of corrupted images for instance: `{SHIFT}`.")
    controls.chart(
        figures.split_comparison(table, choice.metric, colours=THEMED),
        "splits",
        f"{METRICS[choice.metric].label} of {choice.base} and of the duo on every split",
    )
    st.caption("The metric is chosen in the sidebar. On every split the temperatures are those fitted on the fit split.")
    tables.frame(telling.matrix(table))
    st.caption(f"Base → duo (difference); * where it is significant. {telling.draws_line(gains[choice.split]['accuracy'])}")
    controls.numbers(table, "splits", "The splits as numbers")


def _band(choice: Choice, _: Evaluation) -> None:
    splits = choice.handle.logit_set.evaluation_splits
    tables = {split: state.all_pairs(choice.handle, split, choice.kind) for split in splits}
    table = gains_within(tables, {split: state.singles(choice.handle, split, choice.kind) for split in splits}, BAND)
    if table.empty:
        st.info(
            "No sidekick of this set adds 10 to 20 % of its base's compute, or the set does not say how many multiply-adds its "
            "models take."
        )
        return
    controls.chart(
        gains_by_split(table, colours=THEMED),
        "band",
        "Mean relative gain of the duos of 10 to 20 % more compute in every metric, on every split",
    )
    st.caption(
        "As in the paper's Figure 1: mean gain of the duos whose sidekick adds 10 to 20 % of the base's multiply-adds, each "
        "compared with the better of its two models, with one standard deviation over pairs. Pairs whose sidekick is the more "
        "accurate model are left out. On every split the temperatures are those fitted on the fit split."
    )
    controls.numbers(table, "band", "The gains as numbers")


def _scores(choice: Choice, found: Evaluation) -> None:
    table = by_uncertainty({key: found.predictions[key] for key in COMPARED})
    st.markdown(telling.entropy_line(state.entropy_gains(choice.handle, found)))
    for column, key in zip(st.columns(len(RANKING), gap="medium"), RANKING, strict=True):
        with column:
            controls.chart(
                figures.score_comparison(table, key, colours=THEMED),
                f"scores_{key}",
                f"{METRICS[key].label} of base, duo, UQ only and unweighted, ranked by softmax and by entropy",
            )
    st.caption(
        "Entropy counts how the probability is spread over all classes, 1 − max softmax only how much the predicted class lacks. "
        "Accuracy, NLL, Brier score and ECE do not depend on how images are ranked (paper, Appendix C)."
    )
    controls.numbers(table, "scores", "The scores as numbers")
