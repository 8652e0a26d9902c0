"""The charts of steps 9 and 10 of the course: teams of small experts, and pairs that differ."""

import pandas as pd
import plotly.graph_objects as go

from duo_core.common.numbers import percent
from duo_core.figures.frame import layout, level
from duo_core.figures.screen import LIGHT, STYLES, Colours
from duo_core.figures.teaching_alone import HEIGHT


def teams_by_cost(table: pd.DataFrame, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw the accuracy of teams of `several.teams` against what they cost, beside the large expert."""
    figure = go.Figure(layout=layout("Cost: that of the large one is 1, lower is cheaper", "Accuracy (%), higher is better"))
    level(figure, float(table["large"].iloc[0]) * 100, "The large one", colours)
    style = STYLES["unweighted"]
    figure.add_scatter(
        x=table["cost"],
        y=table["team"] * 100,
        name="Teams of small ones",
        mode="lines+markers+text",
        text=[str(m) for m in table["m"]],
        textposition="top center",
        line={"color": colours["unweighted"], "dash": style.dash, "width": style.width},
        marker={"symbol": "circle", "size": 10, "color": colours["unweighted"]},
        hovertemplate="%{text} small: %{y:.1f} % for %{x:.2f} of the large one's cost<extra></extra>",
    )
    mark = {"symbol": "star", "size": 16, "color": colours["base"]}
    figure.add_scatter(x=[1.0], y=[float(table["large"].iloc[0]) * 100], name="Its cost", mode="markers", marker=mark)
    figure.update_xaxes(range=[0.1, 2.2])
    return figure.update_layout(height=HEIGHT)


def different_pairs(table: pd.DataFrame, gap: float, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw what duos gain over their better member against how much the two differ; pairs of a wider accuracy gap are faint."""
    x, y = "Error inconsistency (%): exactly one is right", "Duo over its better member (pp), higher is better"
    figure = go.Figure(layout=layout(x, y))
    within = table["accuracy_gap"] <= gap
    looks = (("Within the gap", within, "circle", "duo", 0.95), ("Further apart", ~within, "circle-open", "neutral", 0.45))
    for name, rows, symbol, hue, opacity in looks:
        part = table[rows]
        figure.add_scatter(
            x=part["error_inconsistency"] * 100,
            y=part["gain_over_better"] * 100,
            name=name,
            mode="markers",
            marker={"symbol": symbol, "size": 10, "color": colours[hue], "opacity": opacity},
            text=[percent(value) for value in part["accuracy_gap"]],
            hovertemplate="%{x:.1f} % inconsistent, %{y:+.2f} pp, accuracies %{text} apart<extra></extra>",
        )
    low, high = float(table["gain_over_better"].min()) * 100, float(table["gain_over_better"].max()) * 100
    figure.update_yaxes(range=[low - 0.1 * (high - low), high + 0.1 * (high - low)])
    return figure.update_layout(height=HEIGHT)
