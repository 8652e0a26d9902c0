"""Every system of a set on one cost axis: a shape and a colour a kind, what is never chosen faded, the front named."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from duo_core.common.numbers import percent
from duo_core.figures.density import binned
from duo_core.figures.frame import cost_axis, layout, note, ticks
from duo_core.figures.labels import Place, placed
from duo_core.figures.landscape import gain_title
from duo_core.figures.screen import LIGHT, SCREEN, Colours, metric_title
from duo_core.figures.window import Window, outside, window
from duo_core.metrics import METRICS


@dataclass(frozen=True)
class Axis:
    """A cost on which systems may stand."""

    label: str
    unit: str
    factor: float
    short: str

    def text(self, value: float) -> str:
        """The cost in words; `unknown` where it is.

        >>> AXES["total_multiply_adds"].text(1.2548e9), AXES["total_seconds"].text(float("nan"))
        ('1.25 G multiply-adds', 'unknown time')
        """
        return f"unknown {self.label.lower()}" if np.isnan(value) else f"{value * self.factor:,.3g} {self.short}"


AXES = {
    "total_multiply_adds": Axis("Compute", "Multiply-adds of all members (G)", 1e-9, "G multiply-adds"),
    "total_seconds": Axis("Time", "Time of all members for an image (ms)", 1e3, "ms an image"),
    "total_parameters": Axis("Parameters", "Parameters of all members (M)", 1e-6, "M parameters"),
    "m": Axis("Models", "Models that run", 1.0, "models"),
}
"""By column of the table of systems; how many models run is known of every one."""


@dataclass(frozen=True)
class Look:
    """How a kind of system is drawn."""

    symbol: str
    hue: str
    size: int = 10


LOOKS = {
    "single": Look("circle", "base"),
    "soup": Look("square", "green"),
    "duo": Look("diamond", "duo", 11),
    "trio": Look("triangle-up", "uq_only", 11),
    "deep ensemble": Look("hexagon", "unweighted", 11),
    "heterogeneous ensemble": Look("cross", "sidekick"),
    "cascade": Look("triangle-down", "pink", 11),
}
"""By kind; of those of `kinds.KINDS`."""

MOST = 500
"""Points up to which each is drawn; of more, how many lie where."""
FADED = 0.3
REACH = 1.2
"""What is worse than the base by so many times what the best is better lies outside the axis, unless it is advised."""


@dataclass(frozen=True)
class Marks:
    """What is marked in the chart."""

    base: str = ""
    """The model that costs are relative to."""
    budget: float | None = None
    """Share of its cost that may be added: a vertical line."""
    advised: tuple[str, str] | None = None
    """Name and rule of the system that gets a square."""
    chosen: str | None = None
    """Name of the system that gets a ring."""


def systems_by_cost(
    table: pd.DataFrame,
    key: str,
    *,
    cost: str,
    relative: bool = True,
    gain: bool = False,
    marks: Marks = Marks(),
    colours: Colours = LIGHT,
) -> go.Figure:
    """Draw a metric of systems of any kind, or their gain in it over a base, against what all their members cost.

    Parameters
    ----------
    table
        Of `offers.beside`: points on its `front` are drawn full and named, the others faded. Points carry their members in
        customdata, so that a click can open the system.
    key
        Of METRICS.
    cost
        A column of AXES.
    relative
        Whether costs stand as multiples of the base's, where that is known.
    gain
        Whether the column `gain` stands on the axis instead of the metric.
    """
    value, factor = ("gain", 100.0) if gain else (key, SCREEN[key].factor)
    relative = relative and bool(table["ratio"].notna().any())
    x = table["ratio"] if relative else table[cost] * AXES[cost].factor
    drawn = table.assign(x=x, y=table[value] * factor)
    drawn = drawn[drawn["x"].notna() & drawn["y"].notna()]
    figure = go.Figure(layout=layout(_title(cost, relative, marks.base), gain_title(key) if gain else metric_title(key)))
    figure.update_layout(height=560, dragmode="zoom")
    if drawn.empty:
        note(figure, f"Nothing to draw: {METRICS[key].label} or the cost is unknown of every system.", colours)
        return figure
    higher = gain or METRICS[key].higher_is_better
    ends = _ends(drawn, higher, marks)
    seen = drawn[drawn["y"].between(*ends)]
    _others(figure, seen[~seen["front"]], (key, cost), ends, colours)
    _front(figure, seen[seen["front"]], (key, cost), colours)
    _legend(figure, drawn, colours)
    _marked(figure, seen, marks, colours)
    _axes(figure, seen["x"], marks, relative, colours)
    outside(figure, drawn["y"], ends, "system", higher=higher, colours=colours)
    _names(figure, seen[seen["front"]], marks, colours)
    return figure


def _ends(drawn: pd.DataFrame, higher: bool, marks: Marks) -> Window:
    """The ends of the value axis: the base and what is advised are in sight, what is far worse than the base is not."""
    own, advised = (drawn.loc[rows, "y"] for rows in (_is_base(drawn, marks), _is_advised(drawn, marks)))
    best = drawn["y"].max() if higher else drawn["y"].min()
    worst = own.iloc[0] - REACH * (best - own.iloc[0]) if len(own) and best != own.iloc[0] else None
    return window(drawn["y"], higher=higher, kept=[*own, *advised], worst=worst)


def _is_base(drawn: pd.DataFrame, marks: Marks) -> "pd.Series[bool]":
    return (drawn["m"] == 1) & (drawn["name"] == marks.base)


def _title(cost: str, relative: bool, base: str) -> str:
    axis = AXES[cost]
    return f"{axis.label} of all members, times that of {base}" if relative else f"{axis.unit}, lower is cheaper"


def _is_advised(drawn: pd.DataFrame, marks: Marks) -> "pd.Series[bool]":
    name, rule = marks.advised or ("", "")
    return (drawn["name"] == name) & (drawn["rule"] == rule)


def _others(figure: go.Figure, rows: pd.DataFrame, axes: tuple[str, str], ends: Window, colours: Colours) -> None:
    """What is chosen under no budget: points, or how many lie where."""
    if len(rows) > MOST:
        counted = binned(rows, ends)
        text = [f"{_hover(row, *axes)}<br>the first of {row['count']:,} here, by NLL" for row in counted.to_dict("records")]
        marker = {"symbol": "square", "size": 9, "color": colours["neutral"]}
        _points(figure, counted, marker, counted["shade"].to_list(), text, name="How many lie here", legend=True)
        return
    for kind, part in rows.groupby("kind", sort=False):
        look = LOOKS[str(kind)]
        marker = {"symbol": look.symbol, "size": look.size - 2, "color": colours[look.hue]}
        _points(figure, part, marker, FADED, [_hover(row, *axes) for row in part.to_dict("records")], name=str(kind))


def _front(figure: go.Figure, rows: pd.DataFrame, axes: tuple[str, str], colours: Colours) -> None:
    """What none beats on the fit split, in steps from cheap to dear, as it is where it is judged."""
    steps = rows.sort_values(["x", "nll_fit"], kind="stable")
    line = {"shape": "hv", "color": colours["neutral"], "width": 1.5}
    figure.add_scatter(x=steps["x"], y=steps["y"], name="Front", mode="lines", line=line, hoverinfo="skip")
    for kind, part in rows.groupby("kind", sort=False):
        look = LOOKS[str(kind)]
        edge = {"width": 1.5, "color": colours["paper"]}
        marker = {"symbol": look.symbol, "size": look.size + 2, "color": colours[look.hue], "line": edge}
        _points(figure, part, marker, 1.0, [_hover(row, *axes) for row in part.to_dict("records")], name=str(kind))


def _points(
    figure: go.Figure,
    rows: pd.DataFrame,
    marker: Mapping[str, Any],
    opacity: float | list[float],
    text: list[str],
    *,
    name: str,
    legend: bool = False,
) -> None:
    drawn = {"marker": {"opacity": 1.0 if isinstance(opacity, list) else opacity}}
    figure.add_scatter(
        x=rows["x"],
        y=rows["y"],
        name=name,
        legendgroup=name,
        showlegend=legend,
        mode="markers",
        marker={**marker, "opacity": opacity},
        selected=drawn,  # a click opens the system; plotly's own fading of the others would be in its way
        unselected=drawn,
        customdata=[list(members) for members in rows["members"]],
        text=text,
        hovertemplate="%{text}<extra></extra>",
    )


def _hover(row: Mapping[str, Any], key: str, cost: str) -> str:
    times = "" if pd.isna(row["ratio"]) else f", {row['ratio']:.3g} times the base's"
    gain = "" if pd.isna(row["gain"]) else f", {percent(row['gain'], sign=True)} of the way from the base to perfect"
    return (
        f"<b>{row['name']}</b><br>{row['kind']}: {METRICS[key].label} {SCREEN[key].text(row[key])}{gain}<br>"
        f"{AXES[cost].text(row[cost])}{times}"
    )


def _legend(figure: go.Figure, drawn: pd.DataFrame, colours: Colours) -> None:
    """An entry a kind that is there; a click on it hides the kind."""
    for kind in (kind for kind in LOOKS if kind in set(drawn["kind"])):
        look = LOOKS[kind]
        marker = {"symbol": look.symbol, "size": 10, "color": colours[look.hue]}
        figure.add_scatter(x=[None], y=[None], name=kind, legendgroup=kind, mode="markers", marker=marker, hoverinfo="skip")


def _marked(figure: go.Figure, seen: pd.DataFrame, marks: Marks, colours: Colours) -> None:
    """Shapes around the base, what is advised and what is chosen, out of the way of the pointer."""
    shapes = (
        (f"Base: {marks.base}", seen[_is_base(seen, marks)], "circle-open", "base"),
        ("Recommended within the budget", seen[_is_advised(seen, marks)], "square-open", "neutral"),
        ("This system", seen[(seen["name"] == marks.chosen) & (seen["m"] > 1)].head(1), "diamond-open", "duo"),
    )
    for name, rows, symbol, hue in shapes:
        if len(rows):
            marker = {"symbol": symbol, "size": 22, "color": colours[hue], "line": {"width": 2.5}}
            figure.add_scatter(x=rows["x"], y=rows["y"], name=name, mode="markers", marker=marker, hoverinfo="skip")


def _axes(figure: go.Figure, costs: pd.Series, marks: Marks, relative: bool, colours: Colours) -> None:
    """The cost axis, with a line at the base's own cost and one at the budget."""
    lines = [(1.0, "base", "dot")] if relative else []
    if relative and marks.budget is not None:
        lines.append((1 + marks.budget, "duo", "dash"))
    every = pd.Series([*costs, *(x for x, _, _ in lines)], dtype=float)
    cost_axis(figure, every, logarithmic=True, factor=1.0)
    if relative:
        steps = ticks(every.min(), every.max())
        figure.update_xaxes(tickvals=steps, ticktext=[f"{step:g}×" for step in steps])
    for x, hue, dash in lines:
        line = {"color": colours[hue], "width": 1.5, "dash": dash}
        figure.add_shape(type="line", yref="paper", y0=0, y1=1, x0=x, x1=x, line=line, layer="below")
    if len(lines) > 1:
        line = {"color": colours["duo"], "width": 1.5, "dash": "dash"}
        name = f"Budget: {marks.base} +{(marks.budget or 0) * 100:.0f} %"
        figure.add_scatter(x=[None], y=[None], name=name, mode="lines", line=line, hoverinfo="skip")


def _names(figure: go.Figure, front: pd.DataFrame, marks: Marks, colours: Colours) -> None:
    """The names of what stands on the front, as far as there is room for them; what is advised first, then the best."""
    first = front.assign(first=_is_advised(front, marks)).sort_values(["first", "nll_fit"], ascending=[False, True], kind="stable")
    places = [Place(np.log10(row.x), row.y, row.members) for row in first.itertuples()]
    ends = figure.layout.xaxis.range, figure.layout.yaxis.range
    for label in placed(places, *ends):
        figure.add_annotation(**label, showarrow=False, font={"size": 11, "color": colours["neutral"]}, align="left")
