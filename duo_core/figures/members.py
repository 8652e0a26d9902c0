"""A system of several members: how wrong what is kept is, beside each member alone, and how much say each has."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import pandas as pd
import plotly.graph_objects as go

from duo_core.figures.coverages import lines_over_coverage
from duo_core.figures.frame import layout
from duo_core.figures.screen import HUES, LIGHT, STYLES, Colours

DASHES = ("dash", "dot", "dashdot", "8px,3px", "2px,4px")
NOTHING = "adds nothing that the others do not know"


def members_risk_coverage(
    table: pd.DataFrame, members: Sequence[str], *, coverage: float | None = None, colours: Colours = LIGHT
) -> go.Figure:
    """Draw selective risk against coverage, one line a member and one, `duo` in the table, for the system, last.

    A click anywhere picks a coverage.
    """
    hues, dashes = cycle(("base", *HUES)), cycle(DASHES)
    looks = {
        name: (name, {"color": colours[hue], "dash": dash, "width": 1.8})
        for name, hue, dash in zip(members, hues, dashes, strict=False)
    }
    looks["duo"] = ("System", {"color": colours["duo"], "dash": "solid", "width": STYLES["duo"].width})
    figure = lines_over_coverage(table, looks)
    seen = table[table["coverage"] >= 0.1]
    best = min(float(seen[name].max()) for name in members)
    figure.update_xaxes(range=[0, 100.5])
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
