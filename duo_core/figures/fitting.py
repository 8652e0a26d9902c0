"""Fits in pictures: temperature ratios of all pairs, and refits on fewer images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from duo_core.common.numbers import number, percent
from duo_core.figures.frame import cost_axis, layout, level, note, ratio_axis
from duo_core.figures.screen import COSTS, LABELS, LIGHT, SCREEN, STYLES, Colours, cost_column, metric_title

RATIO_TITLE = "Temperature ratio, base over sidekick"


def all_ratios(table: pd.DataFrame, *, base: str, sidekick: str, colours: Colours = LIGHT) -> go.Figure:
    """Draw the temperature ratio of every pair against the sidekick's cost (paper Figure 10), those with `base` filled.

    Points carry base and sidekick in customdata, so that a click can load the pair.
    """
    duos = table[(table["variant"] == "duo") & table["T_ratio"].notna()]
    column = cost_column(table)
    figure = go.Figure(layout=layout(COSTS[column], RATIO_TITLE))
    level(figure, 1.0, "Both have an equal say", colours)
    own = duos["base"] == base
    for name, rows, opened in (("Other bases", duos[~own], True), (f"With {base}", duos[own], False)):
        drawn = {"marker": {"opacity": 0.8 if opened else 1.0}}
        figure.add_scatter(
            x=rows[column] * 100,
            y=rows["T_ratio"],
            name=name,
            mode="markers",
            marker={
                "symbol": "circle-open" if opened else STYLES["duo"].symbol,
                "size": 7 if opened else 11,
                "color": colours["neutral" if opened else "duo"],
                "line": {"width": 1.4, "color": colours["neutral" if opened else "paper"]},
            }
            | drawn["marker"],
            selected=drawn,
            unselected=drawn,
            customdata=rows[["base", "sidekick"]],
            text=[_pair_hover(row, column) for row in rows.to_dict("records")],
            hovertemplate="%{text}<extra></extra>",
        )
    _pair_ring(figure, duos[own & (duos["sidekick"] == sidekick)], column, colours)
    cost_axis(figure, duos[column])
    ratio_axis(figure, duos["T_ratio"])
    if duos.empty:
        note(figure, "No sidekick of this set has a weight above 0, so there is no ratio to draw.", colours)
    return figure


def ratios_by_gain(table: pd.DataFrame, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw the temperature ratio of every pair against the sidekick's cost, coloured by the accuracy gained over the base.

    That is the right of paper Figure 10; pairs whose sidekick is the more accurate model are left out, as what they gain is its.
    Points carry base and sidekick in customdata; the loss is told by a square, too. The scale ends where nine in ten gains do, so
    that one pair does not take all of it.
    """
    duos = paired(table)
    column = cost_column(table)
    gains = 100 * (duos["accuracy"] - duos["base_accuracy"]).astype(float)
    figure = go.Figure(layout=layout(COSTS[column], RATIO_TITLE))
    level(figure, 1.0, "Both have an equal say", colours)
    end = float(gains.abs().quantile(0.9)) if len(gains) else 1.0
    figure.update_layout(
        coloraxis={
            "colorscale": [[0, colours["sidekick"]], [0.5, colours["neutral"]], [1, colours["base"]]],
            "cmin": -(end or 1.0),
            "cmax": end or 1.0,
            "colorbar": {"title": {"text": "Accuracy<br>gained (pp)"}, "thickness": 12},
        }
    )
    for name, rows, symbol in (("Gains", gains >= 0, "circle"), ("Loses", gains < 0, "square")):
        # A point's colour is a number here, which a legend cannot show.
        figure.add_scatter(x=[None], y=[None], name=name, mode="markers", marker={"symbol": symbol, "color": colours["neutral"]})
        figure.add_scatter(
            x=duos.loc[rows, column] * 100,
            y=duos.loc[rows, "T_ratio"],
            name=name,
            showlegend=False,
            mode="markers",
            marker={"symbol": symbol, "size": 10, "color": gains[rows], "coloraxis": "coloraxis"},
            customdata=duos.loc[rows, ["base", "sidekick"]],
            text=[
                f"{_pair_hover(row, column)}<br>Accuracy {number(gain, 2, sign=True)} pp"
                for row, gain in zip(duos[rows].to_dict("records"), gains[rows], strict=True)
            ],
            hovertemplate="%{text}<extra></extra>",
        )
    cost_axis(figure, duos[column])
    ratio_axis(figure, duos["T_ratio"])
    if duos.empty:
        note(figure, "No sidekick of this set has a weight above 0, so there is no ratio to draw.", colours)
    return figure


def paired(table: pd.DataFrame) -> pd.DataFrame:
    """The duos of a table that have a temperature ratio and are not reversed, as `sweep.on_fit` says."""
    return table[(table["variant"] == "duo") & table["T_ratio"].notna() & ~table["reversed"]]


def _pair_hover(row: Mapping[str, Any], column: str) -> str:
    cost = {"flops_balance": "compute", "parameter_balance": "parameters"}.get(column)
    lines = [f"<b>{row['base']} + {row['sidekick']}</b>", f"Temperature ratio {row['T_ratio']:.2f}"]
    return "<br>".join([*lines, f"+{percent(row[column])} {cost}"] if cost else lines)


def _pair_ring(figure: go.Figure, row: pd.DataFrame, column: str, colours: Colours) -> None:
    if len(row):
        marker = {"symbol": "circle-open", "size": 22, "color": colours["duo"], "line": {"width": 2.5}}
        figure.add_scatter(x=row[column] * 100, y=row["T_ratio"], name="This pair", mode="markers", marker=marker, hoverinfo="skip")


def temperatures_by_size(table: pd.DataFrame, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw the temperatures of every refit of `stability.stability` against the images it had, and those of the whole split."""
    figure = go.Figure(layout=layout("Images to fit on", "Temperature, larger has more say"))
    refits, whole = table.iloc[:-1], table.iloc[-1]
    for side, role in ((0.96, "base"), (1.04, "sidekick")):
        _refits(figure, refits, f"T_{role}", side, role, colours)
        _whole(figure, table, whole[f"T_{role}"], role, colours)
    values = pd.concat([refits["T_base"], refits["T_sidekick"]])
    _reachable(figure, values, [0.0, whole["T_base"], whole["T_sidekick"]], "temperatures", colours)
    return _sizes(figure, table)


def metric_by_size(table: pd.DataFrame, key: str, *, base: float | None, colours: Colours = LIGHT) -> go.Figure:
    """Draw a metric of every refit against the images it had; the base alone is the reference."""
    screen = SCREEN[key]
    figure = go.Figure(layout=layout("Images to fit on", metric_title(key)))
    refits, whole = table.iloc[:-1], table.iloc[-1]
    if base is not None:
        level(figure, base * screen.factor, f"Base alone {screen.text(base)}", colours)
    scaled = refits.assign(**{key: refits[key] * screen.factor})
    _refits(figure, scaled, key, 1.0, "duo", colours)
    _whole(figure, table, whole[key] * screen.factor, "duo", colours)
    _reachable(figure, scaled[key], [v * screen.factor for v in (whole[key], base) if v is not None], "duos", colours)
    return _sizes(figure, table)


def _refits(figure: go.Figure, refits: pd.DataFrame, column: str, side: float, role: str, colours: Colours) -> None:
    """Every refit a faint point, the median of each size on a line."""
    medians = refits.groupby("size")[column].median()
    symbol = _symbol(role)
    figure.add_scatter(
        x=refits["size"] * side,
        y=refits[column],
        mode="markers",
        marker={"symbol": f"{symbol}-open", "size": 7, "color": colours[role], "opacity": 0.55},
        showlegend=False,
        hovertemplate="One refit %{y:.3f}<extra></extra>",
    )
    figure.add_scatter(
        x=medians.index * side,
        y=medians,
        mode="lines+markers",
        line={"color": colours[role], "dash": STYLES[role].dash, "width": 2},
        marker={"symbol": symbol, "size": 9},
        name=LABELS[role] if role == "duo" else f"T_{role}",
        hovertemplate="Median %{y:.3f}<extra></extra>",
    )


def _whole(figure: go.Figure, table: pd.DataFrame, value: float, role: str, colours: Colours) -> None:
    """The fit on every image, at the right end."""
    line = {"width": 1.5, "color": colours["paper"]}
    figure.add_scatter(
        x=[table["size"].iloc[-1]],
        y=[value],
        mode="markers",
        marker={"symbol": _symbol(role), "size": 15, "color": colours[role], "line": line},
        showlegend=False,
        hovertemplate="All images %{y:.3f}<extra></extra>",
    )


def _symbol(role: str) -> str:
    """A role's symbol where it is a point of a curve: a dash would be lost there."""
    return "square" if role == "base" else STYLES[role].symbol


def _reachable(figure: go.Figure, refits: pd.Series, others: list[float], what: str, colours: Colours) -> None:
    """An axis that a few wild refits on few images do not stretch (Tukey's far-out ones); a note counts what lies outside."""
    lower, upper = refits.quantile([0.25, 0.75])
    reach = 3 * (upper - lower)
    low, high = min(max(lower - reach, refits.min()), *others), max(min(upper + reach, refits.max()), *others)
    margin = 0.08 * (high - low) or abs(high) * 0.02 or 0.01
    figure.update_yaxes(range=[low - 1.5 * margin, high + margin])
    if outside := int(((refits < low - margin) | (refits > high + margin)).sum()):
        note(figure, f"{outside} of {len(refits)} {what} lie outside this axis", colours)


def _sizes(figure: go.Figure, table: pd.DataFrame) -> go.Figure:
    sizes = table["size"].unique()
    ends = np.log10([sizes[0] / 1.2, sizes[-1] * 1.2]).tolist()
    return figure.update_xaxes(type="log", tickvals=sizes, ticktext=[f"{size:,}" for size in sizes], range=ends)
