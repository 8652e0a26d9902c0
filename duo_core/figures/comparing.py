"""Several pairs beside each other: their risk-coverage curves on one chart, and every pair of a set on a heat map."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from duo_core.figures.coverages import lines_over_coverage
from duo_core.figures.frame import layout, note
from duo_core.figures.screen import HUES, LIGHT, SCREEN, Colours, metric_title
from duo_core.metrics import METRICS

DASHES = ("solid", "dash", "dot", "dashdot")


def curves_of_pairs(table: pd.DataFrame, *, start: float = 0.0, colours: Colours = LIGHT) -> go.Figure:
    """Draw selective risk against coverage, a line a pair: the columns of a table of `curves.risk_coverage` but `coverage`."""
    names = [name for name in table if name != "coverage"]
    looks = {
        name: (name, {"color": colours[hue], "dash": dash, "width": 2.4})
        for name, hue, dash in zip(names, cycle(("duo", *HUES)), cycle(DASHES), strict=False)
    }
    figure = lines_over_coverage(table, looks)
    seen = table.loc[table["coverage"] >= max(start, 0.1), names].to_numpy()
    figure.update_layout(showlegend=True, legend_traceorder="normal")
    figure.update_xaxes(range=[start * 100, 100.5])
    return figure.update_yaxes(range=[0, 106 * float(seen.max(initial=1e-3))])


def heat_map(table: pd.DataFrame, key: str, models: Sequence[str], *, colours: Colours = LIGHT) -> go.Figure:
    """Draw a metric of the duo of every pair, bases down and sidekicks across, both in the order of `models`; blue is better.

    `table` has one row a (base, sidekick, variant) with the metric. The colour says what share of the pairs has a lower value, so
    that a few pairs far off do not take all of the scale.
    """
    screen, better = SCREEN[key], METRICS[key].higher_is_better
    duos = table[table["variant"] == "duo"].pivot_table(index="base", columns="sidekick", values=key, aggfunc="first")
    bases, sidekicks = ([model for model in models if model in axis] for axis in (duos.index, duos.columns))
    grid = duos.reindex(index=bases[::-1], columns=sidekicks).astype(float)
    ranks = grid.stack().rank(pct=True).unstack().reindex(index=grid.index, columns=grid.columns)
    figure = go.Figure(layout=layout("Sidekick", "Base"))
    figure.add_heatmap(
        x=sidekicks,
        y=bases[::-1],
        z=ranks.to_numpy(),
        zmin=0,
        zmax=1,
        text=[["" if pd.isna(value) else screen.text(value) for value in row] for row in grid.to_numpy()],
        texttemplate="%{text}",
        colorscale=_scale(colours, better),
        colorbar=_bar(grid, key),
        hovertemplate=f"<b>%{{y}} + %{{x}}</b><br>{METRICS[key].label} %{{text}}<extra></extra>",
        hoverongaps=False,
        xgap=2,
        ygap=2,
    )
    if grid.empty:
        note(figure, "It takes two models to draw a pair.", colours)
    figure.update_xaxes(type="category", tickangle=-35, showgrid=False, automargin=True)
    return figure.update_yaxes(type="category", showgrid=False).update_layout(
        height=140 + 30 * max(len(bases), 4), margin={"t": 16}
    )


def _bar(grid: pd.DataFrame, key: str) -> dict[str, object]:
    """The scale of ranks, with the values that lie there."""
    values = grid.stack()
    ticks = np.linspace(0, 1, 5)
    words = [SCREEN[key].text(value) for value in values.quantile(ticks)] if len(values) else []
    title = {"text": metric_title(key), "side": "right"}
    return {"title": title, "thickness": 12, "outlinewidth": 0, "tickvals": ticks[: len(words)], "ticktext": words}


def _scale(colours: Mapping[str, str], higher_is_better: bool) -> list[list[object]]:
    worst, best = (0, 1) if higher_is_better else (1, 0)
    return sorted([[worst, colours["sidekick"]], [0.5, colours["paper"]], [best, colours["base"]]])
