"""Ensembles of smaller models beside larger single ones, at equal cost."""

from itertools import cycle

import pandas as pd
import plotly.graph_objects as go

from duo_core.analysis.sizes import SINGLES
from duo_core.figures.frame import cost_axis, layout, note
from duo_core.figures.screen import HUES, LIGHT, SCREEN, STYLES, SYMBOLS, Colours, metric_title
from duo_core.figures.systems import AXES
from duo_core.figures.window import outside, window
from duo_core.metrics import METRICS


def ensembles_by_cost(
    table: pd.DataFrame, key: str, *, cost: str, crossing: float | None = None, colours: Colours = LIGHT
) -> go.Figure:
    """Draw one line through single models and one a size through its ensembles (Kondratyuk et al. 2020, Figure 2).

    Parameters
    ----------
    table
        Of `sizes.lines`; points carry their members in customdata.
    cost
        A column of `systems.AXES`.
    crossing
        The cost from which ensembles win: a vertical line.
    """
    factor, axis = SCREEN[key].factor, AXES[cost]
    figure = go.Figure(layout=layout(f"{axis.unit}, lower is cheaper", metric_title(key)))
    figure.update_layout(height=560, dragmode="zoom")
    if table.empty:
        note(figure, "Nothing to draw: the metric or the cost is unknown of every model.", colours)
        return figure
    looks = {SINGLES: ("base", STYLES["base"].dash, "circle")}
    sizes = [line for line in dict.fromkeys(table["line"]) if line != SINGLES]
    looks |= {line: (hue, "solid", symbol) for line, hue, symbol in zip(sizes, cycle(HUES), cycle(SYMBOLS[1:]), strict=False)}
    for line, (hue, dash, symbol) in looks.items():
        part = table[table["line"] == line]
        spread = (part["high"] - part["low"]).fillna(0) / 2 * factor
        figure.add_scatter(
            x=part["cost"] * axis.factor,
            y=part["value"] * factor,
            error_y={"array": spread, "thickness": 1.2, "width": 3} if spread.any() else None,
            name=line,
            mode="lines+markers",
            line={"color": colours[hue], "dash": dash, "width": 2},
            marker={"symbol": symbol, "size": 9, "color": colours[hue]},
            unselected={"marker": {"opacity": 1}},
            customdata=[list(members) for members in part["members"]],
            text=[_hover(row, key, cost) for row in part.to_dict("records")],
            hovertemplate="%{text}<extra></extra>",
        )
    if crossing is not None:
        mark, x = {"color": colours["duo"], "width": 1.5, "dash": "dash"}, crossing * axis.factor
        figure.add_shape(type="line", yref="paper", y0=0, y1=1, x0=x, x1=x, line=mark, layer="below")
        figure.add_scatter(x=[None], y=[None], name="From here on ensembles win", mode="lines", line=mark, hoverinfo="skip")
    _axes(figure, table, key, cost, colours)
    return figure


def _axes(figure: go.Figure, table: pd.DataFrame, key: str, cost: str, colours: Colours) -> None:
    values, higher = table["value"] * SCREEN[key].factor, METRICS[key].higher_is_better
    ends = window(values, higher=higher)
    outside(figure, values, ends, "system", higher=higher, colours=colours)
    cost_axis(figure, table.loc[values.between(*ends), "cost"], logarithmic=True, factor=AXES[cost].factor)


def _hover(row: "dict[str, object]", key: str, cost: str) -> str:
    many = row["systems"] != 1
    name = f"{row['line']}: {row['m']} trainings, mean of {row['systems']} choices" if many else str(row["name"])
    value, price = float(str(row["value"])), float(str(row["cost"]))
    return f"<b>{name}</b><br>{row['kind']}: {SCREEN[key].text(value)}<br>{AXES[cost].text(price)}"
