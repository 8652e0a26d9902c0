"""Step 1: a band of confidences to move, images to click, and what one image's logits come to."""

import pandas as pd
import streamlit as st

from app import controls, link
from app.controls import THEMED
from app.state.lessons import Scene
from duo_core.figures.teaching_alone import confidence_dots, softmax_bars
from duo_core.teaching import alone
from duo_core.wording import words

LINKED = ("sure", "image")

LEAST, FIRST = 35, 60


@st.fragment
def show(scene: Scene) -> None:
    """Draw the step."""
    predictions = scene.once(alone.base_alone, scene.splits.test)
    table = scene.once(alone.dots, predictions)
    link.settle("sure", range(LEAST, 101), FIRST)
    link.settle("image", table["row"].tolist(), alone.nearest(table, FIRST / 100))
    st.slider("Band of confidences around", LEAST, 100, key="sure", format="%d %%", on_change=_to_nearest, args=(table,))
    found = alone.band(predictions, st.session_state["sure"] / 100)
    st.markdown(band_line(found))
    picked = alone.image(scene.splits.test, st.session_state["image"])
    controls.chart(
        confidence_dots(table, low=found.low, high=found.high, picked=picked.row, colours=THEMED),
        "dots",
        f"{len(table)} images by the confidence of the base, right ones above wrong ones; the band is shaded",
        on_select=_take_dot,
        selection_mode="points",
    )
    st.markdown(image_line(picked, scene.classes))
    controls.chart(
        softmax_bars(picked.logits.tolist(), picked.probabilities.tolist(), scene.classes, label=picked.label, colours=THEMED),
        "softmax",
        f"Logits and probabilities of image {picked.row}",
    )
    controls.numbers(table, "dots", "The dots as numbers")
    link.share()


def _to_nearest(table: pd.DataFrame) -> None:
    """Take the image nearest to the slider, so that the keyboard reaches every image too."""
    link.touched()
    link.take({"image": alone.nearest(table, link.held("sure") / 100)})


def _take_dot() -> None:
    """Take the image that was clicked; a second click changes nothing."""
    link.touched()
    if (row := link.picked_point(st.session_state.get("chart_dots"))) is not None:
        link.take({"image": int(row)})


def band_line(found: alone.Band) -> str:
    """How many of a band are right.

    >>> band_line(alone.Band(0.85, 0.95, 400, 300, 0.9)), band_line(alone.Band(0.3, 0.4, 0, 0, float("nan")))
    ('Of 400 images that are 85 to 95 % sure **75.0 %** are right.', 'No image is 30 to 40 % sure.')
    """
    between = f"{found.low * 100:.0f} to {found.high * 100:.0f} % sure"
    if found.share is None:
        return f"No image is {between}."
    return f"Of {found.images:,} images that are {between} **{words.percent(found.share)}** are right."


def image_line(picked: alone.Image, classes: tuple[str, ...]) -> str:
    """What the ringed image is taken for, and how surely."""
    said = f"Ringed: **{classes[picked.predicted]}**, {words.percent(picked.confidence)} sure, uncertainty"
    truth = "right" if picked.right else f"wrong, it is {classes[picked.label]}"
    return f"{said} 1 − {picked.confidence:.3f} = {1 - picked.confidence:.3f}; {truth}."
