"""How alike every two models are, whether that goes with what they gain together, and what each of two is surer of."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from duo_core.common.arrays import Booleans, Floats
from duo_core.common.numbers import number, percent
from duo_core.figures.frame import layout, note
from duo_core.figures.screen import LIGHT, SYMBOLS, Colours

TITLES = {
    "error_inconsistency": "Error inconsistency (%): exactly one is right",
    "kappa": "Kappa: errors in common beyond chance",
    "jensen_shannon": "Jensen-Shannon divergence (nats)",
}
"""Of the measures that are drawn, by column."""
GAINS = {
    "gain_over_mean": "Equal pair over the mean of its members (pp)",
    "gain_over_better": "Duo over its better member (pp)",
}
FACTORS = {"error_inconsistency": 100.0}
CELLS = 40
"""Models up to which each pair of the matrix is a square that can be clicked."""


def alike_matrix(table: pd.DataFrame, measure: str, *, chosen: Sequence[str] = (), colours: Colours = LIGHT) -> go.Figure:
    """Draw a measure of every two models of `diversity.TABLE` as a triangle of squares, most multiply-adds first."""
    names = list(dict.fromkeys([*table["first"], *table["second"]]))
    figure = go.Figure(layout=layout("", ""))
    size = max(6, min(26, round(420 / max(len(names), 1))))
    figure.add_scatter(
        x=table["first"],
        y=table["second"],
        mode="markers",
        showlegend=False,
        marker={"symbol": "square", "size": size, "color": table[measure] * FACTORS.get(measure, 1.0), **_scale(measure, colours)},
        unselected={"marker": {"opacity": 1}},
        customdata=table[["first", "second"]],
        text=[_hover(row) for row in table.to_dict("records")],
        hovertemplate="%{text}<extra></extra>",
    )
    if len(chosen) == 2:
        first, second = sorted(chosen, key=names.index)
        ring = {"symbol": "square-open", "size": size + 6, "color": colours["duo"], "line": {"width": 2.5}}
        figure.add_scatter(x=[first], y=[second], name="This pair", mode="markers", marker=ring, hoverinfo="skip")
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=names, showgrid=False, tickangle=-45)
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=names[::-1], showgrid=False)
    return figure.update_layout(height=560)


def _scale(measure: str, colours: Colours) -> dict[str, Any]:
    bar = {"title": {"text": TITLES[measure].partition(":")[0], "side": "right"}, "thickness": 12}
    return {"colorscale": [[0, colours["base"]], [1, colours["sidekick"]]], "showscale": True, "colorbar": bar}


def _hover(row: Mapping[str, Any]) -> str:
    first, second, inconsistency = (percent(row[key]) for key in ("accuracy_first", "accuracy_second", "error_inconsistency"))
    mean, better = (number(row[key] * 100, 2, sign=True) for key in ("gain_over_mean", "gain_over_better"))
    return (
        f"<b>{row['first']} · {row['second']}</b><br>accuracy {first} and {second}<br>error inconsistency {inconsistency}, "
        f"kappa {number(row['kappa'], 2)}<br>Jensen-Shannon {number(row['jensen_shannon'], 3)}<br>"
        f"equal pair {mean} pp over the mean<br>duo {better} pp over the better"
    )


def gain_by_measure(
    table: pd.DataFrame, measure: str, gain: str, *, chosen: Sequence[str] = (), colours: Colours = LIGHT
) -> go.Figure:
    """Draw what pairs gain against how alike they are; colour is the accuracy gap, and shape the `category` of the pair.

    Uneven models differ more, and gain less over the better one: the colour says which points may be compared.
    """
    figure = go.Figure(layout=layout(TITLES[measure], GAINS[gain]))
    rows = table[table[measure].notna() & table[gain].notna()]
    gaps = rows["accuracy_gap"] * 100
    for (category, part), symbol in zip(rows.groupby("category", sort=False), cycle(SYMBOLS), strict=False):
        figure.add_scatter(
            x=part[measure] * FACTORS.get(measure, 1.0),
            y=part[gain] * 100,
            name=str(category),
            mode="markers",
            marker={"symbol": symbol, "size": 10, "coloraxis": "coloraxis", "color": part["accuracy_gap"] * 100},
            unselected={"marker": {"opacity": 1}},
            customdata=part[["first", "second"]],
            text=[_hover(row) for row in part.to_dict("records")],
            hovertemplate="%{text}<extra></extra>",
        )
    own = rows[[set(chosen) == {row.first, row.second} for row in rows.itertuples()]]
    if len(own):
        ring = {"symbol": "circle-open", "size": 22, "color": colours["duo"], "line": {"width": 2.5}}
        x, y = own[measure] * FACTORS.get(measure, 1.0), own[gain] * 100
        figure.add_scatter(x=x, y=y, name="This pair", mode="markers", marker=ring, hoverinfo="skip")
    if rows.empty:
        note(figure, "Nothing to draw: the measure or the gain is undefined of every pair.", colours)
    bar = {"title": {"text": "Accuracy gap (pp)", "side": "right"}, "thickness": 12}
    scale = [[0, colours["base"]], [1, colours["sidekick"]]]
    axis = {"colorscale": scale, "colorbar": bar, "cmin": 0, "cmax": max(float(gaps.max()) if len(gaps) else 1.0, 1e-3)}
    return figure.update_layout(height=560, coloraxis=axis)


def specialisation_histogram(
    angles: Floats, right: Mapping[str, Booleans], names: tuple[str, str], *, colours: Colours = LIGHT
) -> go.Figure:
    """Draw how much surer one model is than another, of the images that the first alone gets right, and the second alone.

    Parameters
    ----------
    angles
        Of `diversity.specialisation`, (n,).
    right
        Which images `first` and `second` alone get right, (n,).
    """
    title = f"Surer: {names[1]} to the left,<br>{names[0]} to the right (radians)"
    figure = go.Figure(layout=layout(title, "Images"))
    edges = np.linspace(-np.pi / 4, np.pi / 4, 31)
    for key, name, hue in (("first", names[0], "base"), ("second", names[1], "sidekick")):
        counts, _ = np.histogram(angles[right[key]], edges)
        figure.add_bar(
            x=(edges[1:] + edges[:-1]) / 2,
            y=counts,
            name=f"only {name} is right",
            marker={"color": colours[hue], "opacity": 0.75},
            hovertemplate="%{y} images<extra>%{fullData.name}</extra>",
        )
    return figure.update_layout(barmode="overlay", bargap=0.05, height=360, clickmode="event")
