"""The charts of steps 1 to 3 of the course: what a slider moves, moves on axes that stand still."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from duo_core.common.numbers import number
from duo_core.figures.charts import risk_coverage
from duo_core.figures.diagnosis import reliability_diagram
from duo_core.figures.frame import layout
from duo_core.figures.screen import LABELS, LIGHT, STYLES, Colours, metric_title

HEIGHT = 380
"""Pixels, so that text, control and chart fit a screen of 1280 x 800."""
BARS = 5
"""Classes of one image that have room for their names."""
FEWEST = 10
"""Images that a bin of the reliability diagram needs here."""


def confidence_dots(
    table: pd.DataFrame, *, low: float, high: float, picked: int | None = None, colours: Colours = LIGHT
) -> go.Figure:
    """Draw images by confidence, the right ones above and the wrong ones below, a band of confidences shaded.

    `table` is that of `alone.dots`. Points carry their row in customdata, so that a click can pick one; `picked` gets a ring.
    """
    figure = go.Figure(layout=layout("Confidence: probability of the predicted class (%)", ""))
    figure.add_vrect(x0=low * 100, x1=high * 100, fillcolor=colours["neutral"], opacity=0.18, line_width=0, layer="below")
    for right, name, symbol, colour in ((True, "Right", "circle", "base"), (False, "Wrong", "x-thin", "sidekick")):
        rows = table[table["right"] == right]
        drawn = {"marker": {"opacity": 0.85}}
        figure.add_scatter(
            x=rows["confidence"] * 100,
            y=_lane(rows),
            name=name,
            mode="markers",
            marker={"symbol": symbol, "size": 7, "color": colours[colour], "line": {"width": 1.6, "color": colours[colour]}}
            | drawn["marker"],
            selected=drawn,
            unselected=drawn,
            customdata=rows["row"],
            hovertemplate=f"{name}, %{{x:.1f}} % sure<extra></extra>",
        )
    ring = table[table["row"] == picked]
    marker = {"symbol": "circle-open", "size": 18, "color": colours["duo"], "line": {"width": 2.5}}
    figure.add_scatter(
        x=ring["confidence"] * 100, y=_lane(ring), name="This image", mode="markers", marker=marker, hoverinfo="skip"
    )
    figure.update_xaxes(range=[30, 101.5])
    figure.update_yaxes(range=[-0.15, 2.15], tickvals=[0.45, 1.55], ticktext=["Wrong", "Right"], ticks="", showgrid=False)
    return figure.update_layout(height=HEIGHT - 190, margin={"t": 8}, showlegend=False)


def _lane(rows: pd.DataFrame) -> pd.Series:
    """Right images lie in the upper lane; where in it means nothing."""
    return rows["right"] * 1.1 + rows["height"] * 0.9


def softmax_bars(
    logits: Sequence[float], probabilities: Sequence[float], names: Sequence[str], *, label: int, colours: Colours = LIGHT
) -> go.Figure:
    """Draw one image's probabilities (k,) as bars with its logits above them; the label's bar is filled.

    Of more than BARS classes the most probable ones and the label are drawn, in the order of the classes.
    """
    surest = sorted(range(len(names)), key=lambda c: (c == label, probabilities[c]), reverse=True)
    shown = sorted(surest[:BARS])
    figure = go.Figure(layout=layout("Class (the true one filled), its logit above the bar", "Probability (%)"))
    figure.add_bar(
        x=[names[c] for c in shown],
        y=[probabilities[c] * 100 for c in shown],
        marker={
            "color": [colours["base"] if c == label else "rgba(0, 0, 0, 0)" for c in shown],
            "line": {"color": colours["base"], "width": 1.5},
        },
        text=[number(logits[c], 1) for c in shown],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{x}: logit %{text}, %{y:.1f} %<extra></extra>",
        showlegend=False,
    )
    figure.update_yaxes(range=[0, 118], tickvals=[0, 50, 100])
    return figure.update_layout(height=HEIGHT - 230, margin={"t": 14})


def reliability_at(before: pd.DataFrame, now: pd.DataFrame, temperature: float, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw the reliability diagram at a temperature beside that at 1; the tables are of `diagnosis.reliability`.

    Bins of fewer than FEWEST images, which may lie anywhere, are left out.
    """
    tables = {"uncalibrated": before, "base": now}
    figure = reliability_diagram({key: table[table["images"] >= FEWEST] for key, table in tables.items()}, colours=colours)
    for trace, name in zip(figure.data[1:], ("Temperature 1", f"Temperature {temperature:.2f}"), strict=True):
        trace.name = name
    figure.data[0].showlegend = False  # the axis says what the diagonal is
    return figure.update_layout(height=HEIGHT - 50, xaxis_title_text="Confidence (%)")


def nll_by_temperature(
    table: pd.DataFrame, temperature: float, *, best: float | None = None, colours: Colours = LIGHT
) -> go.Figure:
    """Draw the NLL over a temperature, from `alone.by_temperature`, with a marker at one and, once fitted, a line at the best."""
    figure = go.Figure(layout=layout("Temperature", metric_title("nll")))
    line = {"color": colours["base"], "dash": STYLES["base"].dash, "width": STYLES["base"].width}
    figure.add_scatter(
        x=table["temperature"], y=table["nll"], name="Base", mode="lines", line=line, hovertemplate="%{y:.3f} nats at %{x:.2f}"
    )
    here = [float(np.interp(temperature, table["temperature"], table["nll"]))]
    marker = {"symbol": "square", "size": 13, "color": colours["base"], "line": {"width": 1.5, "color": colours["paper"]}}
    figure.add_scatter(x=[temperature], y=here, name="Now", mode="markers", marker=marker, hoverinfo="skip")
    if best is not None:
        figure.add_vline(x=best, line={"color": colours["neutral"], "width": 1.2, "dash": "dot"})
        figure.add_scatter(
            x=[None],
            y=[None],
            name=f"Fitted {best:.2f}",
            mode="lines",
            line={"color": colours["neutral"], "dash": "dot"},
            hoverinfo="skip",
        )
    figure.update_xaxes(range=[0, 1.02 * table["temperature"].max()])
    low, high = table["nll"].min(), table["nll"].max()
    figure.update_yaxes(range=[low - 0.08 * (high - low), high + 0.04 * (high - low)])
    return figure.update_layout(height=HEIGHT - 50)


def abstaining(table: pd.DataFrame, coverage: float, *, sac98: float, colours: Colours = LIGHT) -> go.Figure:
    """Draw the risk-coverage curve of `alone.abstention` with its area, a coverage, and how far 2 % of errors reach."""
    figure = risk_coverage(table, coverage=coverage, colours=colours)
    area = next(trace for trace in figure.data if trace.name == LABELS["base"])
    area.update(fill="tozeroy", fillcolor="rgba(128, 128, 128, 0.18)")
    risk = float(np.interp(coverage, table["coverage"], table["base"]))
    for name, x, y, symbol, colour in (
        (f"SAC@98 {sac98 * 100:.1f} %", sac98 * 100, 2.0, "diamond", "sidekick"),
        ("Now", coverage * 100, risk * 100, "square", "base"),
    ):
        marker = {"symbol": symbol, "size": 13, "color": colours[colour], "line": {"width": 1.5, "color": colours["paper"]}}
        figure.add_scatter(x=[x], y=[y], name=name, mode="markers", marker=marker, hoverinfo="skip")
    return figure.update_layout(height=HEIGHT)
