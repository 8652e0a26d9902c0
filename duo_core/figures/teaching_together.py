"""The charts of steps 4 to 8 of the course: averages, steps into the NLL bowl, ranking alone, and prices."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from duo_core.analysis.bowl import Bowl
from duo_core.common.numbers import percent
from duo_core.figures.bowl import nll_bowl
from duo_core.figures.charts import risk_coverage
from duo_core.figures.frame import cost_axis, layout, level
from duo_core.figures.screen import COSTS, LIGHT, SCREEN, STYLES, Colours
from duo_core.figures.teaching_alone import HEIGHT
from duo_core.systems.duo import Temperatures

AVERAGES = {
    "common": "Errors in common (%), fewer is better",
    "sidekick": "Accuracy of the sidekick alone (%), higher is better",
}
"""What the equal average may be drawn against, and the title of the axis."""


def averages(
    table: pd.DataFrame, x: str, *, here: Mapping[str, Any] | None = None, break_even: float | None = None, colours: Colours = LIGHT
) -> go.Figure:
    """Draw the accuracy of an equal average beside those of its members, over a column of AVERAGES (steps 4 and 5).

    Parameters
    ----------
    table
        Of `together.by_overlap`, `by_quality` (drawn as lines) or `by_partner` (points that carry their partner in customdata).
    here
        The values of Averaged where the slider stands.
    break_even
        A value of x that gets a line: below it the average is worse than the base.
    """
    figure = go.Figure(layout=layout(AVERAGES[x], "Accuracy (%), higher is better"))
    rows = table.sort_values(x)
    level(figure, float(rows["base"].iloc[0]) * 100, "Base alone", colours)
    shown = ("unweighted",) if x == "sidekick" else ("sidekick", "unweighted")
    for key in shown:
        _average(figure, rows, x, key, colours)
    if here is not None:
        _here(figure, here[x] * 100, [here[_COLUMN[key]] * 100 for key in shown], colours)
    if break_even is not None:
        line = {"color": colours["neutral"], "width": 1.2, "dash": "dot"}
        figure.add_vline(x=break_even * 100, line=line)
        figure.add_scatter(x=[None], y=[None], name="Worse than the base to the left", mode="lines", line=line, hoverinfo="skip")
    values = rows[["base", *(_COLUMN[key] for key in shown)]].to_numpy() * 100
    low, high = float(values.min()), float(values.max())
    figure.update_yaxes(range=[low - 0.12 * (high - low), high + 0.12 * (high - low)])
    low, high = float(rows[x].min()) * 100, float(rows[x].max()) * 100
    figure.update_xaxes(range=[low - 0.04 * (high - low), high + 0.04 * (high - low)])
    return figure.update_layout(height=HEIGHT)


_COLUMN = {"sidekick": "sidekick", "unweighted": "pair"}


def _average(figure: go.Figure, rows: pd.DataFrame, x: str, key: str, colours: Colours) -> None:
    style, named = STYLES[key], "partner" in rows
    figure.add_scatter(
        x=rows[x] * 100,
        y=rows[_COLUMN[key]] * 100,
        name={"sidekick": "Second model alone", "unweighted": "Equal average"}[key],
        mode="markers" if named else "lines",
        line={"color": colours[key], "dash": style.dash, "width": style.width + 0.6},
        marker={"symbol": style.symbol, "size": 10, "color": colours[key], "line": {"width": 2, "color": colours[key]}},
        customdata=rows["partner"] if named else None,
        hovertemplate=("<b>%{customdata}</b> " if named else "") + "%{y:.1f} %",
    )


def _here(figure: go.Figure, x: float, y: list[float], colours: Colours) -> None:
    figure.add_vline(x=x, line={"color": colours["neutral"], "width": 1.2})
    marker = {"symbol": "circle", "size": 14, "color": colours["unweighted"], "line": {"width": 2, "color": colours["paper"]}}
    figure.add_scatter(x=[x], y=y[-1:], name="Now", mode="markers", marker=marker, hoverinfo="skip")


def newton_bowl(
    surface: Bowl,
    marks: Mapping[str, tuple[Temperatures, float]],
    path: pd.DataFrame,
    *,
    names: tuple[str, str] = ("base", "sidekick"),
    colours: Colours = LIGHT,
) -> go.Figure:
    """Draw the NLL bowl with the steps walked so far; the last row of `path` (of `together.walk`) is where the sliders stand."""
    shown = {key: mark for key, mark in marks.items() if key != "sidekick"}
    figure = nll_bowl(surface, shown, names=names, colours=colours)
    figure.update_traces(selector={"type": "contour"}, showscale=False)  # its scale would take a third of the height
    shade = {"symbol": "square", "size": 14, "color": colours["neutral"]}
    figure.add_scatter(x=[None], y=[None], name="Shaded: higher NLL", mode="markers", marker=shade, hoverinfo="skip")
    figure.add_scatter(
        x=path["T_base"],
        y=path["T_sidekick"],
        name="Newton steps, now",
        mode="lines+markers",
        line={"color": colours["duo"], "width": 2},
        marker={
            "symbol": ["circle-open"] * (len(path) - 1) + ["cross-thin"],
            "size": [9] * (len(path) - 1) + [20],
            "color": colours["duo"],
            "line": {"width": 2, "color": colours["duo"]},  # of a thin cross the line is all there is
        },
        customdata=path[["step", "nll"]],
        hovertemplate="Step %{customdata[0]}: T_base %{x:.3f}, T_sidekick %{y:.3f}<br>NLL %{customdata[1]:.4f}<extra></extra>",
    )
    return figure.update_layout(height=HEIGHT - 75, margin={"b": 8})


def reranked(table: pd.DataFrame, shown: str, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw the risk-coverage curves of the base and of `uq_only` or `duo`, from `together.ranking`, on axes for both."""
    figure = risk_coverage(table[["coverage", "base", shown]], colours=colours)
    return figure.update_yaxes(range=risk_coverage(table).layout.yaxis.range).update_layout(height=HEIGHT)


def offers(
    table: pd.DataFrame,
    budget: float,
    *,
    best: tuple[str, str] | None,
    picked: tuple[str, str] | None = None,
    colours: Colours = LIGHT,
) -> go.Figure:
    """Draw what pairs of `together.offers` gain against what they cost; those above the budget are faint.

    Points carry base and sidekick in customdata, so that a click can pick a pair. `best` and `picked` are marked.
    """
    figure = go.Figure(layout=layout(COSTS["flops_balance"], "AURC removed (%), higher is better"))
    level(figure, 0.0, "Base alone", colours)
    within = table["flops_balance"] <= budget
    _offers(figure, table[within], "Within the budget", "circle", colours["duo"])
    _offers(figure, table[~within], "More expensive", "circle-open", colours["neutral"])
    _ringed(figure, table, best, "Best within it", {"symbol": "circle-open", "color": colours["duo"]})
    _ringed(figure, table, picked, "This pair", {"symbol": "square-open", "color": colours["neutral"]})
    cost_axis(figure, table["flops_balance"], logarithmic=True)
    line = {"color": colours["duo"], "width": 1.5, "dash": "dash"}
    figure.add_shape(type="line", yref="paper", y0=0, y1=1, x0=budget * 100, x1=budget * 100, line=line, layer="below")
    low, high = float(table["gain"].min()) * 100, float(table["gain"].max()) * 100
    figure.update_yaxes(range=[min(low, 0) - 0.08 * (high - low), high + 0.08 * (high - low)])
    return figure.update_layout(height=HEIGHT)


def _offers(figure: go.Figure, rows: pd.DataFrame, name: str, symbol: str, colour: str) -> None:
    drawn = {"marker": {"opacity": 0.9}}
    figure.add_scatter(
        x=rows["flops_balance"] * 100,
        y=rows["gain"] * 100,
        name=name,
        mode="markers",
        marker={"symbol": symbol, "size": 9, "color": colour} | drawn["marker"],
        selected=drawn,
        unselected=drawn,
        customdata=rows[["base", "sidekick"]],
        text=[_offer(row) for row in rows.to_dict("records")],
        hovertemplate="%{text}<extra></extra>",
    )


def _ringed(figure: go.Figure, table: pd.DataFrame, pair: tuple[str, str] | None, name: str, look: dict[str, Any]) -> None:
    rows = table[(table["base"] == pair[0]) & (table["sidekick"] == pair[1])] if pair else table[:0]
    marker = {**look, "size": 20, "line": {"width": 2.5}}
    figure.add_scatter(
        x=rows["flops_balance"] * 100, y=rows["gain"] * 100, name=name, mode="markers", marker=marker, hoverinfo="skip"
    )


def _offer(row: Mapping[str, Any]) -> str:
    screen = SCREEN["aurc"]
    cost, gain = percent(row["flops_balance"]), percent(-row["gain"], sign=True)
    return (
        f"<b>{row['base']} + {row['sidekick']}</b><br>+{cost} compute, {gain} of the AURC<br>"
        f"AURC × 1000: {screen.text(row['alone'])} alone, {screen.text(row['aurc'])} as a duo"
    )
