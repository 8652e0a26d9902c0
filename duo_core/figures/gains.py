"""What pairs gain on average in every metric."""

from itertools import cycle

import pandas as pd
import plotly.graph_objects as go

from duo_core.common.numbers import percent
from duo_core.figures.frame import layout, note
from duo_core.figures.screen import HUES, LABELS, LIGHT, STYLES, SYMBOLS, Colours
from duo_core.metrics import METRICS

AXIS = "Mean gain: share of the way to perfect (%), higher is better"
LOWEST = -100


def gains_by_metric(table: pd.DataFrame, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw mean gains with one standard deviation to either side (paper Figure 1), metrics from top to bottom.

    `table` is that of `advice.mean_gains`. The axis ends at -100 %, twice as far from perfect as the better model alone.
    """
    figure = _frame(colours)
    line = figure.layout.shapes[0].line.to_plotly_json()
    figure.add_scatter(x=[None], y=[None], name="Better model alone", mode="lines", line=line, hoverinfo="skip")
    variants = [variant for variant in STYLES if variant in set(table["variant"])]
    for place, variant in enumerate(variants):
        _means(figure, table[table["variant"] == variant], 0.22 * (place - (len(variants) - 1) / 2), colours)
    _ends(figure, table, colours)
    return figure.update_layout(legend_traceorder="reversed")


def gains_by_split(table: pd.DataFrame, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw mean gains with one standard deviation, a symbol and a colour a split, from `advice.gains_within`."""
    figure = _frame(colours)
    splits = list(dict.fromkeys(table["split"]))
    for place, (split, symbol) in enumerate(zip(splits, cycle(SYMBOLS), strict=False)):
        rows = table[table["split"] == split]
        shift = 0.6 * (place - (len(splits) - 1) / 2) / max(len(splits), 2)
        figure.add_scatter(
            x=rows["mean"] * 100,
            y=[list(METRICS).index(key) + shift for key in rows["metric"]],
            error_x={"array": rows["std"] * 100, "thickness": 1.5, "width": 4},
            name=split,
            mode="markers",
            marker={"color": colours[("duo", *HUES)[place % (1 + len(HUES))]], "symbol": symbol, "size": 10},
            text=_texts(rows),
            hovertemplate="%{text}<extra>%{fullData.name}</extra>",
        )
    _ends(figure, table, colours)
    return figure.update_layout(height=560)


def _frame(colours: Colours) -> go.Figure:
    """An empty chart with a place for every metric, the first on top, and a line where nothing is gained."""
    figure = go.Figure(layout=layout(AXIS, "Metric"))
    line = {"color": colours["base"], "dash": STYLES["base"].dash, "width": STYLES["base"].width}
    figure.add_shape(type="line", yref="paper", x0=0, x1=0, y0=0, y1=1, line=line, layer="below")
    labels = [metric.label for metric in METRICS.values()]
    return figure.update_yaxes(tickvals=list(range(len(labels))), ticktext=labels, range=[len(labels) - 0.5, -0.5], showgrid=False)


def _means(figure: go.Figure, rows: pd.DataFrame, shift: float, colours: Colours) -> None:
    """One variant's means, its rows a little above or below the metric's place."""
    variant = rows["variant"].iloc[0]
    figure.add_scatter(
        x=rows["mean"] * 100,
        y=[list(METRICS).index(key) - shift for key in rows["metric"]],
        error_x={"array": rows["std"] * 100, "thickness": 1.5, "width": 4},
        name=LABELS[variant],
        mode="markers",
        marker={"color": colours[variant], "symbol": STYLES[variant].symbol, "size": 10, "line": {"width": 1.5}},
        text=_texts(rows),
        hovertemplate="%{text}<extra></extra>",
    )


def _texts(rows: pd.DataFrame) -> list[str]:
    numbers = zip(rows["metric"], rows["mean"], rows["std"], rows["pairs"], strict=True)
    return [
        f"{METRICS[key].label}: {percent(mean, sign=True)} ± {percent(std)}, {pairs} pairs" for key, mean, std, pairs in numbers
    ]


def _ends(figure: go.Figure, table: pd.DataFrame, colours: Colours) -> None:
    """The ends of the axis, and what lies outside in words."""
    if table.empty:
        note(figure, "No pair has a defined gain.", colours)
        return
    low, high = ((table["mean"] - table["std"]) * 100).min(), ((table["mean"] + table["std"]) * 100).max()
    if low < LOWEST:
        figure.update_xaxes(range=[LOWEST, max(high, 0) + 5])
    outside = table[table["mean"] * 100 < LOWEST]
    if len(outside):
        figure.update_yaxes(range=[len(METRICS) + 0.2, -0.5])  # room for the note under the last metric
        whose = outside["split"] if "split" in outside else outside["variant"].map(LABELS)
        means = zip(outside["metric"], outside["mean"], whose, strict=True)
        said = [f"{METRICS[key].label} of {of} at {percent(mean, 0)}" for key, mean, of in means]
        note(figure, f"Outside: {', '.join(said)}", colours)
