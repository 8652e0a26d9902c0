"""How values and meanings stand on screen: colours, dashes, symbols, labels, units and directions.

A meaning has one colour, one dash and one symbol everywhere, so that it is told without colour too. Fractions stand in percent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from duo_core.common.numbers import UNDEFINED, number
from duo_core.metrics import METRICS
from duo_core.systems.duo import VARIANTS

LIGHT = {
    "base": "#124a7c",
    "sidekick": "#a24d00",
    "duo": "#7d1434",
    "unweighted": "#1a7975",
    "uq_only": "#8755c4",
    "neutral": "#5b6770",
    "olive": "#6b6b00",
    "green": "#3d6b1f",
    "pink": "#b02a6b",
    "paper": "#ffffff",
}
DARK = {
    "base": "#648fdd",
    "sidekick": "#eea251",
    "duo": "#e25d6f",
    "unweighted": "#74ecbd",
    "uq_only": "#d0affc",
    "neutral": "#a9b4bf",
    "olive": "#d6cf5a",
    "green": "#a5d46a",
    "pink": "#f28fc0",
    "paper": "#0f141a",
}
HUES = ("sidekick", "uq_only", "unweighted", "pink", "olive", "green")
"""Colours for what has none by meaning, most different first; the base's and the duo's stay theirs."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "pentagon", "triangle-down", "hexagon")
"""Symbols for what has none by meaning."""

Colours = Mapping[str, str]


@dataclass(frozen=True)
class Style:
    """How a meaning is drawn beside its colour."""

    dash: str
    symbol: str
    width: float


STYLES = {
    "oracle": Style("2px,4px", "line-ew", 1.2),
    "sidekick": Style("dashdot", "triangle-up", 1.6),
    "unweighted": Style("dot", "square-open", 2.0),
    "base": Style("dash", "line-ew", 2.2),
    "uq_only": Style("8px,3px", "diamond-open", 1.8),
    "duo": Style("solid", "circle", 3.6),
}
"""In the order of drawing: the duo is the hero and comes last, over all others."""

LABELS = {key: variant.label for key, variant in VARIANTS.items()} | {"oracle": "Oracle"}


@dataclass(frozen=True)
class Screen:
    """How a metric's value stands on screen: times a factor, with a unit and some decimals."""

    factor: float = 1.0
    unit: str = ""
    decimals: int = 3

    def text(self, value: float | None) -> str:
        """The value in words, `n/a` where it is undefined.

        >>> Screen(100, " %", 1).text(0.9167), Screen().text(None)
        ('91.7 %', 'n/a')
        """
        text = number(value if value is None else value * self.factor, self.decimals)
        return text if text == UNDEFINED else f"{text}{self.unit}"


SCREEN = {key: Screen() for key in METRICS} | {key: Screen(100, " %", 1) for key in ("accuracy", "macro_f1", "ece", "sac98")}
SCREEN |= {"aurc": Screen(1000, "", 2)}

COSTS = {
    "flops_balance": "FLOPs balance (%), lower is cheaper",
    "parameter_balance": "Parameters added (%), lower is smaller",
    "sidekick_accuracy": "Accuracy of the sidekick alone (%), higher is better",
}
"""Columns that a sidekick's cost may be read from, best first, and the titles of their axes."""


def metric_title(key: str) -> str:
    """Label, unit and direction of a metric for an axis.

    >>> metric_title("aurc")
    'AURC × 1000, lower is better'
    """
    screen, metric = SCREEN[key], METRICS[key]
    unit = {"%": " (%)", "": " × 1000" if screen.factor == 1000 else ""}[screen.unit.strip()]
    nats = " (nats)" if metric.unit == "nats" else ""
    return f"{metric.label}{unit}{nats}, {'higher' if metric.higher_is_better else 'lower'} is better"


def on_screen(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its metrics as they stand on screen: times their factors.

    >>> on_screen(pd.DataFrame({"base": ["large"], "aurc": [0.25]})).to_dict("records")
    [{'base': 'large', 'aurc': 250.0}]
    """
    return table.assign(**{key: table[key] * screen.factor for key, screen in SCREEN.items() if key in table})


def cost_column(table: pd.DataFrame) -> str:
    """The best column of COSTS that is known for every row."""
    return next((column for column in COSTS if column in table and table[column].notna().all()), "sidekick_accuracy")
