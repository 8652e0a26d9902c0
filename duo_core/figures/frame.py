"""What charts have in common: layout, reference lines, notes and cost axes."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from duo_core.figures.screen import STYLES, Colours


def layout(x: str, y: str) -> dict[str, Any]:
    """Return a layout with the titles of both axes, the legend above, and clicks that select.

    It is plain, as are the traces of figures that are drawn often: Plotly checks what a figure is made of once, where each later
    change to it is looked up and checked by itself, which takes many times as long.
    """
    return {
        "xaxis": {"title": {"text": x, "standoff": 12}, "zeroline": False},
        "yaxis": {"title": {"text": y, "standoff": 12}, "zeroline": False, "automargin": True},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0, "title": {"text": ""}},
        "margin": {"l": 8, "r": 12, "t": 48, "b": 8},
        "height": 440,
        "hoverlabel": {"align": "left"},
        "clickmode": "event+select",
        "dragmode": False,
    }


def level(figure: go.Figure, y: float, text: str, colours: Colours) -> None:
    """Draw a horizontal reference line; what it means stands in the legend, where no point can lie under the words."""
    shape, named = level_parts(y, text, colours)
    figure.add_shape(shape)
    figure.add_trace(named)


def level_parts(y: float, text: str, colours: Colours) -> tuple[dict[str, Any], dict[str, Any]]:
    """The shape of a horizontal reference line, and the trace that names it."""
    line = {"color": colours["base"], "dash": STYLES["base"].dash, "width": STYLES["base"].width}
    shape = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line, "layer": "below"}
    return shape, {"type": "scatter", "x": [None], "y": [None], "name": text, "mode": "lines", "line": line, "hoverinfo": "skip"}


def note(figure: go.Figure, text: str, colours: Colours) -> None:
    """Write at the foot of the chart why it is empty or what lies outside."""
    figure.add_annotation(
        text=text, xref="paper", yref="paper", x=0.5, y=0, yanchor="bottom", showarrow=False, font={"color": colours["neutral"]}
    )


def cost_axis(figure: go.Figure, costs: pd.Series, *, logarithmic: bool | None = None, factor: float = 100.0) -> None:
    """Show costs times a factor; unless told, on a logarithmic axis where they range over more than a factor of ten."""
    known = costs[costs > 0] * factor
    wide = not known.empty and known.max() > 10 * known.min()
    if known.empty or not (wide if logarithmic is None else logarithmic):
        low, high = (known.min(), known.max()) if len(known) else (0.0, 100.0)
        margin = 0.08 * (high - low) or 1.0
        figure.layout.xaxis.range = [low - margin, high + margin]
    else:
        low, high = np.log10(known.min()), np.log10(known.max())
        margin = 0.08 * (high - low) or 0.1
        axis = figure.layout.xaxis
        axis.type, axis.range, axis.tickvals = "log", [low - margin, high + margin], ticks(known.min(), known.max())


def ratio_axis(figure: go.Figure, ratios: pd.Series) -> None:
    """Show ratios logarithmically where they range over more than a factor of ten, unless one is 0; 1 is in sight.

    A ratio and its reciprocal say the same.
    """
    if len(ratios) and max(ratios.max(), 1.0) > 10 * min(ratios.min(), 1.0) > 0:
        low, high = min(ratios.min(), 0.8), max(ratios.max(), 1.25)
        figure.update_yaxes(type="log", range=np.log10([low / 1.15, high * 1.15]).tolist(), tickvals=ticks(low, high))
    else:
        figure.update_yaxes(rangemode="tozero")


def ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 of every decade in reach.

    >>> ticks(3.0, 60.0)
    [2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
    """
    decades = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    steps = [float(f"{step}e{decade}") for decade in decades for step in (1, 2, 5)]
    return [t for t, after in zip(steps, [*steps[1:], np.inf], strict=True) if after > low and t < 2.5 * high]
