"""A system of several members: how wrong what is kept is, beside each member alone, and how much say each has."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import pandas as pd
import plotly.graph_objects as go

from duo_core.figures.frame import layout
from duo_core.figures.screen import HUES, LIGHT, STYLES, Colours

DASHES = ("dash", "dot", "dashdot", "8px,3px", "2px,4px")
NOTHING = "adds nothing that the others do not know"


def members_risk_coverage(
    table: pd.DataFrame, members: Sequence[str], *, coverage: float | None = None, colours: Colours = LIGHT
) -> go.Figure:
    """Draw selective error against coverage, one line a member and one, `duo` in the table, for the system, last.

    Points carry their coverage in customdata, so that a click can set it.
    """
    figure = go.Figure(layout=layout("Coverage: share of images kept (%)", "Selective error (%), lower is better"))
    hues, dashes = cycle(("base", *HUES)), cycle(DASHES)
    looks = {name: (name, hue, dash, 1.8) for name, hue, dash in zip(members, hues, dashes, strict=False)}
    looks["duo"] = ("System", "duo", "solid", STYLES["duo"].width)
    for column, (name, hue, dash, width) in looks.items():
        figure.add_scatter(
            x=table["coverage"] * 100,
            y=table[column] * 100,
            name=name,
            mode="lines+markers",  # a line without markers cannot be clicked
            line={"color": colours[hue], "dash": dash, "width": width},
            marker={"color": "rgba(0, 0, 0, 0)", "size": 10, "line": {"width": 0}},
            unselected={"marker": {"opacity": 1}},
            customdata=table["coverage"],
            hovertemplate="%{y:.2f} %",
        )
    seen = table[table["coverage"] >= 0.1]
    best = min(float(seen[name].max()) for name in members)
    figure.update_layout(hovermode="x unified", hoverdistance=-1, legend_traceorder="reversed")
    figure.update_xaxes(range=[0, 100.5], hoverformat=".1f", unifiedhovertitle_text="Keep %{x} %")
    figure.update_yaxes(range=[0, 106 * max(float(seen["duo"].max()), 1.5 * best, 1e-3)])
    if coverage is not None:
        figure.add_vline(x=coverage * 100, line={"color": colours["neutral"], "width": 1.2})
    return figure


def say(weights: Mapping[str, float], alone: Mapping[str, float], *, colours: Colours = LIGHT) -> go.Figure:
    """Draw how much say each member has: its weight over what its logits are multiplied by when it is alone, a bar each.

    A bar of nothing says why in words.
    """
    shares = {name: weight / alone[name] if alone[name] else weight for name, weight in weights.items()}
    figure = go.Figure(layout=layout("Weight, relative to the member's own temperature", ""))
    names = list(shares)
    figure.add_bar(
        x=list(shares.values()),
        y=names,
        orientation="h",
        marker={"color": colours["duo"]},
        text=[f"{value:.2f}" if value else NOTHING for value in shares.values()],
        textposition="auto",
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(range=[0, max([1.0, *(1.15 * value for value in shares.values())])])
    return figure.update_layout(height=110 + 46 * len(names), clickmode="event")
