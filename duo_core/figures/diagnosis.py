"""Where a duo is right and wrong, in pictures: calibration, confidences, classes, splits, uncertainty scores."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from duo_core.figures.frame import layout, note, ticks
from duo_core.figures.screen import LABELS, LIGHT, SCREEN, STYLES, Colours, metric_title
from duo_core.metrics.intervals import Interval

SYSTEMS = {"uncalibrated": "Base, uncalibrated", "base": "Base", "duo": "Duo"}
"""What is compared, before and after."""


class _Drawn(NamedTuple):
    colour: str
    dash: str
    symbol: str
    width: float


_DRAWN = {
    "uncalibrated": _Drawn("base", "dot", "square-open", 1.4),
    "base": _Drawn("base", STYLES["base"].dash, "square", 2.0),
    "duo": _Drawn("duo", "solid", "circle", 3.0),
}
_ROW = 34
"""Pixels a row of a chart with names on its axis."""


def reliability_diagram(tables: Mapping[str, pd.DataFrame], *, colours: Colours = LIGHT) -> go.Figure:
    """Draw accuracy against mean confidence by bin; `tables` are of `diagnosis.reliability` by key of SYSTEMS.

    A point's area grows with its images, so that a bin of three images does not look like one of three thousand.
    """
    figure = go.Figure(layout=layout("Confidence: probability of the predicted class (%)", "Accuracy (%), best on the diagonal"))
    line = {"color": colours["neutral"], "width": 1.2}
    figure.add_scatter(x=[0, 100], y=[0, 100], mode="lines", name="Accuracy = confidence", line=line, hoverinfo="skip")
    for key in (key for key in SYSTEMS if key in tables):
        rows, style = tables[key].dropna(), _DRAWN[key]
        colour = colours[style.colour]
        figure.add_scatter(
            x=rows["confidence"] * 100,
            y=rows["accuracy"] * 100,
            name=SYSTEMS[key],
            mode="lines+markers",
            line={"color": colour, "dash": style.dash, "width": style.width},
            marker={"symbol": style.symbol, "size": 6 + 12 * np.sqrt(rows["images"] / rows["images"].max()), "color": colour},
            customdata=rows[["images", "right"]],
            hovertemplate="%{x:.1f} % sure, %{y:.1f} % right<br>%{customdata[1]:,} of %{customdata[0]:,} images",
        )
    figure.update_xaxes(range=[-3, 103])
    return figure.update_yaxes(range=[-3, 103])


def confidence_histogram(tables: Mapping[str, pd.DataFrame], which: str, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw how sure the images are that come out `right` or `wrong`, on a logarithmic axis: most are very sure."""
    better = {"right": "further right is better", "wrong": "further left is better"}[which]
    figure = go.Figure(layout=layout(f"Confidence (%), {better}", f"Images that are {which}, a bin (logarithmic)"))
    for key in (key for key in SYSTEMS if key in tables):
        rows, style = tables[key], _DRAWN[key]
        colour = colours[style.colour]
        figure.add_scatter(
            x=(rows["lower"] + rows["upper"]) * 50,
            y=rows[which].where(rows[which] > 0),  # there is no 0 on a logarithmic axis: a gap
            name=SYSTEMS[key],
            mode="lines+markers",
            line={"color": colour, "dash": style.dash, "width": style.width},
            marker={"symbol": style.symbol, "size": 9, "color": colour},
            customdata=rows[["lower", "upper"]] * 100,
            hovertemplate="%{y:,} images, %{customdata[0]:.0f} to %{customdata[1]:.0f} % sure",
        )
    figure.update_xaxes(range=[-3, 103])
    top = max((table[which].max() for table in tables.values()), default=0)
    if not top:
        note(figure, f"No image is {which}.", colours)
    return figure.update_yaxes(type="log", range=[-0.15, np.log10(max(top, 10)) + 0.15], tickvals=ticks(1, max(top, 10)))


def class_gains(
    table: pd.DataFrame, intervals: Mapping[int, Interval | None], score: str, *, colours: Colours = LIGHT
) -> go.Figure:
    """Draw the duo's gain in each class of a table of `diagnosis.gain_by_class` with a column `name`, the first row on top.

    Filled where the difference is significant.
    """
    unit = {"accuracy": "Accuracy", "f1": "F1"}[score]
    figure = go.Figure(layout=layout(f"{unit} gained (pp), right is better", "Class"))
    figure.add_vline(x=0, line={"color": colours["base"], "dash": STYLES["base"].dash, "width": STYLES["base"].width})
    line = {"color": colours["base"], "dash": STYLES["base"].dash, "width": STYLES["base"].width}
    figure.add_scatter(x=[None], y=[None], name="Base", mode="lines", line=line, hoverinfo="skip")
    found = [intervals.get(int(c)) for c in table["class"]]
    stands = np.array([bool(gain and gain.stands) for gain in found], dtype=bool)
    for name, rows, symbol in (("Significant", stands, "circle"), ("Not significant", ~stands, "circle-open")):
        kept = [gain for gain, row in zip(found, rows, strict=True) if row]
        figure.add_scatter(
            x=table.loc[rows, "gain"] * 100,
            y=table.loc[rows, "name"],
            error_x={
                "type": "data",
                "array": [0 if gain is None else 100 * (gain.high - gain.estimate) for gain in kept],
                "arrayminus": [0 if gain is None else 100 * (gain.estimate - gain.low) for gain in kept],
                "thickness": 1.4,
                "width": 4,
            },
            mode="markers",
            name=name,
            marker={"symbol": symbol, "size": 10, "color": colours["duo"]},
            customdata=table.loc[rows, ["base", "duo", "images"]] * [100, 100, 1],
            hovertemplate="<b>%{y}</b> · %{customdata[2]:,} images<br>Base %{customdata[0]:.1f}, duo %{customdata[1]:.1f} %<br>"
            "%{x:+.1f} pp<extra></extra>",
        )
    return _named(figure, list(table["name"]))


def split_comparison(table: pd.DataFrame, key: str, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw base and duo on every split for one metric, from `diagnosis.by_split`."""
    rows, factor = table[table["metric"] == key].dropna(subset=["base", "duo"]), SCREEN[key].factor
    figure = go.Figure(layout=layout(metric_title(key), "Split"))
    _bars_between(figure, rows["base"] * factor, rows["duo"] * factor, rows["split"], colours)
    for system in ("base", "duo"):
        figure.add_scatter(
            x=rows[system] * factor,
            y=rows["split"],
            mode="markers",
            name=SYSTEMS[system],
            marker={"symbol": _DRAWN[system].symbol, "size": 13, "color": colours[system]},
            text=[SCREEN[key].text(value) for value in rows[system]],
            hovertemplate=f"<b>%{{y}}</b><br>{SYSTEMS[system]} %{{text}}<extra></extra>",
        )
    values = rows[["base", "duo"]].to_numpy() * factor
    if len(rows) and values.max() > 10 * values.min() > 0:
        figure.update_xaxes(type="log", tickvals=ticks(values.min(), values.max()))
    if rows.empty:
        note(figure, "Undefined on every split: every image is right, or every one is wrong.", colours)
    return _named(figure, list(rows["split"]))


def score_comparison(table: pd.DataFrame, key: str, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw one metric of every variant ranked by softmax (filled) and by entropy (open), from `diagnosis.by_uncertainty`."""
    rows, factor = table[table["metric"] == key].dropna(), SCREEN[key].factor
    names = rows["variant"].map(LABELS)
    figure = go.Figure(layout=layout(metric_title(key), "System"))
    _bars_between(figure, rows["softmax"] * factor, rows["entropy"] * factor, names, colours)
    for score, name, symbol in (("softmax", "1 − max softmax", "circle"), ("entropy", "Entropy", "diamond-open")):
        figure.add_scatter(
            x=rows[score] * factor,
            y=names,
            mode="markers",
            name=name,
            marker={"symbol": symbol, "size": 12, "color": colours["neutral"], "line": {"width": 2}},
            text=[SCREEN[key].text(value) for value in rows[score]],
            hovertemplate=f"<b>%{{y}}</b><br>{name} %{{text}}<extra></extra>",
        )
    if rows.empty:
        note(figure, "Undefined: every image is right, or every one is wrong.", colours)
    return _named(figure, list(names))


def _bars_between(figure: go.Figure, low: pd.Series, high: pd.Series, names: pd.Series, colours: Colours) -> None:
    """A line from one value to the other of every row, in one trace."""
    x = [value for a, b in zip(low, high, strict=True) for value in (a, b, None)]
    y = [value for name in names for value in (name, name, None)]
    figure.add_scatter(x=x, y=y, mode="lines", line={"color": colours["neutral"], "width": 2}, showlegend=False, hoverinfo="skip")


def _named(figure: go.Figure, names: list[str]) -> go.Figure:
    """Names down the axis, the first on top, and a height that gives each its row."""
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=names[::-1], range=[-0.6, max(len(names), 1) - 0.4], ticks=""
    )
    return figure.update_layout(height=_ROW * max(len(names), 3) + 140)
