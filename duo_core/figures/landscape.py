"""All pairs of a set on one cost axis: colour is the base, symbol the sidekick's family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from duo_core.analysis.advice import pareto
from duo_core.common.numbers import percent
from duo_core.figures.frame import cost_axis, layout, level, note, ticks
from duo_core.figures.screen import COSTS, HUES, LABELS, LIGHT, SCREEN, SYMBOLS, Colours, metric_title
from duo_core.metrics import METRICS

AXES = {
    "flops_balance": COSTS["flops_balance"],
    "throughput_balance": "Throughput balance: time added (%), lower is faster",
    "parameter_balance": COSTS["parameter_balance"],
}
"""Costs that pairs of one base may stand on, shares of the base's own, and the titles of their axes."""

UNITS = {"flops_balance": "compute", "throughput_balance": "time", "parameter_balance": "parameters"}
"""What a cost is a share of, in a word."""


@dataclass(frozen=True)
class Total:
    """A cost of both models together, on which pairs of several bases may stand."""

    column: str
    title: str
    factor: float
    unit: str

    def text(self, value: float) -> str:
        """The cost in words.

        >>> TOTALS["flops_balance"].text(1.2548e9)
        '1.25 G multiply-adds'
        """
        return f"{value * self.factor:,.3g} {self.unit}"


TOTALS = {
    "flops_balance": Total("total_multiply_adds", "Multiply-adds of both models (G), lower is cheaper", 1e-9, "G multiply-adds"),
    "throughput_balance": Total("total_seconds", "Time of both models for an image (ms), lower is faster", 1e3, "ms an image"),
    "parameter_balance": Total("total_parameters", "Parameters of both models (M), lower is smaller", 1e-6, "M parameters"),
}
"""By the share that it stands for where pairs have one base."""

BY_COLUMN = {total.column: total for total in TOTALS.values()}
"""The same by their columns."""


def comparable_cost(table: pd.DataFrame, cost: str) -> str:
    """Return the column in which the costs of a table's pairs compare: shares of one base's own, totals where there are several."""
    return TOTALS[cost].column if cost in TOTALS and table["base"].nunique() > 1 else cost


FILLS = {"duo": "", "uq_only": "-open", "unweighted": "-open-dot"}
"""How a variant fills its family's symbol."""


@dataclass(frozen=True)
class Marks:
    """What is marked in the chart."""

    base: tuple[str, float] | None = None
    """A base's name and its value alone, NaN where undefined: a horizontal line. For gains it lies at 0 whatever the base."""
    chosen: tuple[str, str] | None = None
    """Base and sidekick that get a ring."""
    advised: tuple[str, str, str] | None = None
    """Base, sidekick and variant that get a square."""
    budget: float | None = None
    """Largest cost, in the unit of its column: a vertical line."""
    limit: str = ""
    """What it is called."""


@dataclass(frozen=True)
class Look:
    """How pairs are told apart."""

    hues: Mapping[str, str]
    """A key of the colours for each base that has one of its own; the others are neutral."""
    symbols: Mapping[str, str]
    """By family of sidekicks."""


def look_of(bases: Sequence[str], families: Sequence[str], chosen: Sequence[str] = ()) -> Look:
    """Return a look for a whole set that choosing some of its bases does not change, unless one of these has no colour yet.

    >>> look_of(["a", "b"], ["Net"]).hues == look_of(["a", "b"], ["Net"], chosen=["b"]).hues | {"a": "sidekick"}
    True
    """
    hues = dict(zip(bases, HUES, strict=False))
    if chosen:
        hues = {base: hue for base, hue in hues.items() if base in chosen}
        free = [hue for hue in HUES if hue not in hues.values()]
        hues |= dict(zip([base for base in chosen if base not in hues], free, strict=False))
    return Look(hues, dict(zip(families, cycle(SYMBOLS), strict=False)))


def pairs_by_cost(
    table: pd.DataFrame,
    key: str,
    *,
    cost: str,
    gain: bool = False,
    look: Look | None = None,
    marks: Marks = Marks(),
    logarithmic: bool = True,
    colours: Colours = LIGHT,
) -> go.Figure:
    """Draw a metric of all pairs, or their gain in it, against what the sidekick costs (paper Figures 1 and 3).

    Parameters
    ----------
    table
        One row a (base, sidekick, variant) with the metric, `gain`, the cost, and `family`, the sidekick's. Points carry base
        and sidekick in customdata, so that a click can choose the pair.
    key
        Of METRICS.
    cost
        A column of AXES or of TOTALS, or of COSTS where none of those is known; shares compare pairs of one base only, so that
        those of several get no Pareto front on them.
    gain
        Whether the column `gain`, the relative gain in the metric, stands on the axis instead of the metric.
    look
        How bases and families are told apart; by default that of the table's own.
    logarithmic
        Whether the cost axis is.
    """
    value, factor = ("gain", 100.0) if gain else (key, SCREEN[key].factor)
    rows = table[table[value].notna() & table[cost].notna()]
    total = BY_COLUMN.get(cost)
    drawn = rows.assign(x=rows[cost] * (total.factor if total else 100.0), y=rows[value] * factor)
    look = look or look_of(list(dict.fromkeys(table["base"])), sorted(set(table["family"])))
    title = total.title if total else {**COSTS, **AXES}[cost]
    figure = go.Figure(layout=layout(title, gain_title(key) if gain else metric_title(key)))
    if gain:
        level(figure, 0.0, "Better member alone", colours)
    elif marks.base is not None and not pd.isna(marks.base[1]):
        level(figure, marks.base[1] * factor, f"{marks.base[0]} alone {SCREEN[key].text(marks.base[1])}", colours)
    if total or cost not in AXES or drawn["base"].nunique() <= 1:
        _front(figure, drawn, gain or METRICS[key].higher_is_better, colours)
    drawn["hue"] = [look.hues.get(base, "neutral") for base in drawn["base"]]
    for (variant, hue), part in drawn.groupby(["variant", "hue"]):
        _points(figure, part, (key, cost), (str(variant), colours[hue]), look.symbols)
    _mark(figure, drawn, marks.advised, ("Best under the budget", "square-open", colours["neutral"]))
    _mark(figure, drawn, marks.chosen, ("This pair", "circle-open", colours["duo"]))
    _legends(figure, drawn, look, colours)
    _axes(figure, drawn[cost], marks, logarithmic, colours)
    if gain:
        _gain_axis(figure, drawn["y"], colours)
    elif not METRICS[key].higher_is_better:
        _loss_axis(figure, drawn["y"])
    return figure.update_layout(height=700)  # a third of it is the legends on a narrow screen


def gain_title(key: str) -> str:
    """Return what an axis of relative gains says.

    >>> gain_title("aurc")
    'Gain in AURC: share of the way to perfect (%), higher is better'
    """
    return f"Gain in {METRICS[key].label}: share of the way to perfect (%), higher is better"


def _points(
    figure: go.Figure, part: pd.DataFrame, axes: tuple[str, str], look: tuple[str, str], symbols: Mapping[str, str]
) -> None:
    """The points of one variant in one colour."""
    variant, colour = look
    drawn = {"marker": {"opacity": 0.9}}
    figure.add_scatter(
        x=part["x"],
        y=part["y"],
        name=LABELS[variant],
        mode="markers",
        showlegend=False,
        marker={
            "symbol": [symbols[family] + FILLS[variant] for family in part["family"]],
            "color": colour,
            "size": 11 if variant == "duo" else 9,
            "line": {"width": 1.5 if FILLS[variant] else 0},
        }
        | drawn["marker"],
        selected=drawn,  # the ring marks the choice; plotly's own fading of the others would be in its way
        unselected=drawn,
        customdata=part[["base", "sidekick"]],
        text=[_hover(row, *axes) for row in part.to_dict("records")],
        hovertemplate="%{text}<extra></extra>",
    )


def _hover(row: Mapping[str, Any], key: str, cost: str) -> str:
    gain = "" if pd.isna(row["gain"]) else f", {percent(row['gain'], sign=True)} of the way to perfect"
    price = f"+{percent(row[cost])} {UNITS[cost]} · " if cost in UNITS else ""
    price = f"{BY_COLUMN[cost].text(row[cost])} in all · " if cost in BY_COLUMN else price
    return (
        f"<b>{row['base']} + {row['sidekick']}</b><br>{LABELS[row['variant']]}: {METRICS[key].label} {SCREEN[key].text(row[key])}"
        f"{gain}<br>{price}sidekick of the family {row['family']}"
    )


def _front(figure: go.Figure, drawn: pd.DataFrame, higher_is_better: bool, colours: Colours) -> None:
    """Steps along the pairs that no other beats in cost and value at once."""
    on = drawn[pareto(drawn["x"].to_numpy(float), drawn["y"].to_numpy(float), higher_is_better=higher_is_better)]
    steps = on.sort_values("x")
    if len(steps):
        figure.add_scatter(
            x=steps["x"],
            y=steps["y"],
            name="Pareto front",
            mode="lines",
            line={"shape": "hv", "color": colours["neutral"], "width": 1.5},
            hoverinfo="skip",
        )


def _mark(figure: go.Figure, drawn: pd.DataFrame, which: tuple[str, ...] | None, look: tuple[str, str, str]) -> None:
    """A shape around the points of a pair, or of one of its variants, named in the legend, out of the way of the pointer."""
    name, symbol, colour = look
    rows = drawn[(drawn[["base", "sidekick", "variant"][: len(which)]] == list(which)).all(axis=1)] if which else drawn[:0]
    if len(rows):
        figure.add_scatter(
            x=rows["x"],
            y=rows["y"],
            name=name,
            mode="markers",
            marker={"symbol": symbol, "size": 24, "color": colour, "line": {"width": 2.5}},
            hoverinfo="skip",
        )


def _gain_axis(figure: go.Figure, gains: pd.Series, colours: Colours) -> None:
    """An axis that ends where a pair is twice as far from perfect as its base; a note says how many are farther."""
    below = int((gains < -100).sum())
    if below:
        figure.update_yaxes(range=[-105, max(gains.max(), 0) + 10])
        points = "point lies" if below == 1 else "points lie"
        note(figure, f"{below} {points} below −100 %: more than twice as far from perfect as the base", colours)


def _loss_axis(figure: go.Figure, losses: pd.Series) -> None:
    """A logarithmic axis where the worst pairs would press the good ones together."""
    if len(losses) and losses.min() > 0 and losses.max() > 5 * losses.min():
        figure.update_yaxes(type="log", tickvals=ticks(losses.min(), losses.max()))


def _legends(figure: go.Figure, drawn: pd.DataFrame, look: Look, colours: Colours) -> None:
    """Under the chart, a column each: which colour is which base, which symbol which family, which fill which system."""
    there = set(drawn["base"])
    bases = {name: colours[hue] for name, hue in look.hues.items() if name in there}
    if there - set(bases):
        bases["Other bases" if bases else "All bases"] = colours["neutral"]
    for name, colour in bases.items():
        _entry(figure, name, {"color": colour, "symbol": "circle"}, "Base")
    for family in (family for family in look.symbols if family in set(drawn["family"])):
        _entry(figure, family, {"color": colours["neutral"], "symbol": look.symbols[family]}, "Sidekick")
    for key in (key for key in FILLS if key in set(drawn["variant"])):
        _entry(figure, LABELS[key], {"color": colours["neutral"], "symbol": f"circle{FILLS[key]}"}, "System")
    below = {"orientation": "h", "xanchor": "left", "x": 0, "yanchor": "top", "y": -0.16}
    still = {"itemclick": False, "itemdoubleclick": False}
    figure.update_layout(legend=still, legend2=below | still)


def _entry(figure: go.Figure, name: str, marker: Mapping[str, Any], group: str) -> None:
    figure.add_scatter(
        x=[None],
        y=[None],
        name=name,
        mode="markers",
        marker={**marker, "size": 10},
        legend="legend2",
        legendgroup=group,
        legendgrouptitle={"text": group},
        hoverinfo="skip",
    )


def _axes(figure: go.Figure, costs: pd.Series, marks: Marks, logarithmic: bool, colours: Colours) -> None:
    """The cost axis, with the budget as a vertical line; what that means stands in the legend, as for a level."""
    total = BY_COLUMN.get(str(costs.name))
    factor = total.factor if total else 100.0
    budgets = [] if marks.budget is None else [marks.budget]
    cost_axis(figure, pd.Series([*costs, *budgets], dtype=float), logarithmic=logarithmic, factor=factor)
    for most in budgets:
        line = {"color": colours["duo"], "width": 1.5, "dash": "dash"}
        figure.add_shape(type="line", yref="paper", y0=0, y1=1, x0=most * factor, x1=most * factor, line=line, layer="below")
        name = marks.limit or f"Budget +{most * factor:.0f} %"
        figure.add_scatter(x=[None], y=[None], name=name, mode="lines", line=line, hoverinfo="skip")
    if costs.empty:
        note(figure, "No pair is left to draw: its value or its cost is unknown, or the filters leave none.", colours)
