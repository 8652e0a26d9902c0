"""Averages of weights drawn: what lies between two trials, and the angle of Model Stock."""

import pandas as pd
import plotly.graph_objects as go

from duo_core.figures.frame import layout
from duo_core.figures.screen import LIGHT, Colours

Point = tuple[float, float]


def accuracy_between(table: pd.DataFrame, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw the accuracy of mixtures of two models' weights, one line a pair; `table` has `pair`, `share` and `accuracy`."""
    figure = go.Figure(layout=layout("Share of the second trial's weights (%)", "Accuracy (%), higher is better"))
    for pair, hue, dash in zip(dict.fromkeys(table["pair"]), ("duo", "base"), ("solid", "dash"), strict=False):
        own = table[table["pair"] == pair]
        figure.add_scatter(
            x=own["share"] * 100,
            y=own["accuracy"] * 100,
            name=pair,
            mode="lines",
            line={"color": colours[hue], "dash": dash, "width": 2.6},
            hovertemplate="%{x:.0f} %: accuracy %{y:.1f} %<extra></extra>",
        )
    figure.update_layout(height=360, hovermode="closest")
    return figure


def stock_angle(trials: tuple[Point, Point], mean: Point, stock: Point, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw two trials as arrows from the anchor, their mean, and Model Stock on the way to it."""
    figure = go.Figure(layout=layout("Away from the anchor", "Apart from each other"))
    looks = (("First trial", trials[0], "sidekick", "solid"), ("Second trial", trials[1], "uq_only", "dashdot"))
    for name, end, hue, dash in looks:
        _line(figure, name, end, colours[hue], dash)
    _line(figure, "Uniform soup: the mean", mean, colours["base"], "dot")
    figure.add_scatter(
        x=[stock[0]],
        y=[stock[1]],
        name="Model Stock",
        mode="markers",
        marker={"symbol": "star", "size": 15, "color": colours["duo"]},
        hovertemplate="Model Stock<extra></extra>",
    )
    anchor = {"symbol": "square", "size": 11, "color": colours["neutral"]}
    figure.add_scatter(x=[0], y=[0], name="Anchor", mode="markers", marker=anchor, hovertemplate="Anchor<extra></extra>")
    figure.update_layout(height=360)
    figure.update_xaxes(range=[-0.12, 1.12], showticklabels=False)
    figure.update_yaxes(range=[-0.7, 0.7], showticklabels=False, scaleanchor="x")  # else no angle is seen as what it is
    return figure


def _line(figure: go.Figure, name: str, end: Point, colour: str, dash: str) -> None:
    figure.add_scatter(
        x=[0, end[0]],
        y=[0, end[1]],
        name=name,
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 2},
        marker={"size": [0, 10], "color": colour},
        hovertemplate=f"{name}<extra></extra>",
    )
