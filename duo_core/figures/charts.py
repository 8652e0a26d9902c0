"""Tables in, plotly figures out; no files, no dashboard, so that notebooks draw the same charts.

Axes show percent where the tables hold fractions, and say in which direction better lies.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from duo_core.common.numbers import percent
from duo_core.figures.coverages import lines_over_coverage
from duo_core.figures.frame import cost_axis, layout, level_parts, note, ratio_axis
from duo_core.figures.screen import COSTS, LABELS, LIGHT, SCREEN, STYLES, Colours, cost_column, metric_title
from duo_core.metrics import METRICS

Trace = dict[str, Any]


def risk_coverage(table: pd.DataFrame, *, coverage: float | None = None, start: float = 0.0, colours: Colours = LIGHT) -> go.Figure:
    """Draw selective risk against coverage, one line a column of `curves.risk_coverage`'s table, the duo last.

    `coverage` is marked by a vertical line; the axis begins at `start`. A click anywhere picks a coverage.
    """
    looks = {
        key: (LABELS[key], {"color": _colour(colours, key), "dash": STYLES[key].dash, "width": STYLES[key].width})
        for key in STYLES
        if key in table
    }
    figure = lines_over_coverage(table, looks)
    figure.layout.xaxis.range = [start * 100, 100.5]
    figure.layout.yaxis.range = [0, _top(table[table["coverage"] >= start]) * 100]
    if coverage is not None:
        at, line = coverage * 100, {"color": colours["neutral"], "width": 1.2}
        figure.add_shape(type="line", x0=at, x1=at, xref="x", y0=0, y1=1, yref="y domain", line=line)
    return figure


def metric_by_cost(
    table: pd.DataFrame, key: str, *, base: float | None, chosen: str | None = None, colours: Colours = LIGHT
) -> go.Figure:
    """Draw a metric of every sidekick of one base against what the sidekick costs.

    Parameters
    ----------
    table
        One row a (sidekick, variant) with columns of `sweep.COLUMNS` and `base_accuracy`, `sidekick_accuracy`; costs come from
        the first column of COSTS that is known.
    key
        Of METRICS.
    base
        The base's own value: a horizontal line.
    chosen
        Sidekick that gets a ring. Points carry their sidekick in customdata, so that a click can choose another.
    """
    column, screen = cost_column(table), SCREEN[key]
    table = table.loc[table["variant"].isin(("unweighted", "uq_only", "duo")), _needed(column, key)]
    drawn = [_points(table[table["variant"] == variant], (column, key), colours) for variant in ("unweighted", "uq_only", "duo")]
    line = None if base is None else level_parts(base * screen.factor, f"Base alone {screen.text(base)}", colours)
    figure = _figure(layout(COSTS[column], metric_title(key)), line, [*drawn, _ring(table, (column, key), chosen, colours)])
    cost_axis(figure, table[column])
    _metric_axis(figure, table, key, base, colours)
    figure.layout.legend.traceorder = "reversed"
    return figure


def ratio_by_cost(table: pd.DataFrame, *, chosen: str | None = None, colours: Colours = LIGHT) -> go.Figure:
    """Draw the temperature ratio of every sidekick of one base against its cost (paper Figure 10), where it is defined."""
    column = cost_column(table)
    duos = table.loc[table["variant"] == "duo", _needed(column, "T_ratio")]
    ratios = duos["T_ratio"].dropna()
    drawn = [_points(duos, (column, "T_ratio"), colours), _ring(duos, (column, "T_ratio"), chosen, colours)]
    line = level_parts(1.0, "Both have an equal say", colours)
    figure = _figure(layout(COSTS[column], "Temperature ratio, base over sidekick"), line, drawn)
    cost_axis(figure, table[column])
    ratio_axis(figure, ratios)
    if ratios.empty:
        note(figure, "No sidekick of this base has a weight above 0, so there is no ratio to draw.", colours)
    return figure


def _needed(column: str, key: str) -> list[str]:
    """Columns that are drawn or named under the pointer, of the many that a table has."""
    return list(dict.fromkeys(["base", "sidekick", "variant", "base_accuracy", "sidekick_accuracy", column, key]))


def _colour(colours: Colours, key: str) -> str:
    return colours["neutral" if key == "oracle" else key]


def _top(table: pd.DataFrame) -> float:
    """Upper end of the error axis: what the pair's own curves need; a much worse sidekick may leave at the top."""
    seen = table[table["coverage"] >= 0.1]
    own = seen[[key for key in ("base", "duo", "uq_only") if key in table]].to_numpy().max(initial=1e-3)
    rest = seen[[key for key in ("sidekick", "unweighted") if key in table]].to_numpy().max(initial=0.0)
    return float(1.06 * max(own, min(rest, 1.7 * own)))


def _factor(key: str) -> float:
    return SCREEN[key].factor if key in SCREEN else 1.0


def _figure(drawn: Trace, line: tuple[Trace, Trace] | None, traces: Sequence[Trace | None]) -> go.Figure:
    """The figure of a layout, a reference line where there is one, and the traces that there are."""
    shapes, named = ([], []) if line is None else ([line[0]], [line[1]])
    return go.Figure([*named, *filter(None, traces)], drawn | {"shapes": shapes})


def _points(table: pd.DataFrame, axes: tuple[str, str], colours: Colours) -> Trace | None:
    """One variant's points, a sidekick each; those with an undefined value are left out."""
    column, key = axes
    rows = table[table[key].notna()]
    if rows.empty:
        return None
    variant = rows["variant"].iloc[0]
    hero = variant == "duo"
    drawn = {"marker": {"opacity": 1.0 if hero else 0.75}}
    line = {"width": 1.5, "color": colours["paper" if hero else variant]}
    return {
        "type": "scatter",
        "x": rows[column].to_numpy() * 100,
        "y": rows[key].to_numpy() * _factor(key),
        "name": LABELS[variant],
        "mode": "markers",
        "marker": {"color": colours[variant], "symbol": STYLES[variant].symbol, "size": 13 if hero else 8, "line": line}
        | drawn["marker"],
        "selected": drawn,  # the ring marks the choice; plotly's own fading of the others would be in its way
        "unselected": drawn,
        "customdata": rows["sidekick"].to_numpy(),
        "text": [_hover(row, column, key) for row in rows.to_dict("records")],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _hover(row: Mapping[str, Any], column: str, key: str) -> str:
    value = f"{METRICS[key].label} {SCREEN[key].text(row[key])}" if key in METRICS else f"Temperature ratio {row[key]:.2f}"
    lines = [
        f"<b>{row['base']} + {row['sidekick']}</b>",
        f"{LABELS[row['variant']]}: {value}",
        f"Accuracy alone: base {percent(row['base_accuracy'])}, sidekick {percent(row['sidekick_accuracy'])}",
    ]
    cost = {"flops_balance": "compute", "parameter_balance": "parameters"}.get(column)
    return "<br>".join([*lines, f"+{percent(row[column])} {cost}"] if cost else lines)


def _ring(table: pd.DataFrame, axes: tuple[str, str], chosen: str | None, colours: Colours) -> Trace | None:
    """A ring around the chosen sidekick's duo, named in the legend, out of the way of the pointer and of other points."""
    column, key = axes
    rows = table[(table["variant"] == "duo") & (table["sidekick"] == chosen) & table[key].notna()]
    if rows.empty:
        return None
    return {
        "type": "scatter",
        "x": rows[column].to_numpy() * 100,
        "y": rows[key].to_numpy() * _factor(key),
        "name": "This pair",
        "mode": "markers",
        "marker": {"symbol": "circle-open", "size": 24, "color": colours["duo"], "line": {"width": 2.5}},
        "hoverinfo": "skip",
    }


def _metric_axis(figure: go.Figure, table: pd.DataFrame, key: str, base: float | None, colours: Colours) -> None:
    """An axis for duo, UQ only and the base; unweighted pairs may be so bad that they lie outside, which a note then says."""
    factor = _factor(key)
    values = table[key].to_numpy(dtype=float)
    every, known = values[~np.isnan(values)], ~np.isnan(values) & (table["variant"] != "unweighted").to_numpy()
    own = values[known].tolist() + ([base] if base is not None else [])
    if not own:
        note(figure, f"{METRICS[key].label} is undefined here: every image is right, or every one is wrong.", colours)
        return
    low, high = min(own), max(own)
    span = (high - low) or abs(high) * 0.02 or 0.01
    low, high = max(low - span, min(low, every.min())), min(high + span, max(high, every.max()))
    margin = 0.1 * (high - low or span)
    figure.layout.yaxis.range = [(low - margin) * factor, (high + margin) * factor]
    outside = int(((every < low - margin) | (every > high + margin)).sum())
    if outside:
        note(
            figure,
            f"{outside} unweighted {'pair lies' if outside == 1 else 'pairs lie'} outside this axis",
            colours,
        )
