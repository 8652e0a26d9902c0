"""A value axis that ends where outliers begin: the weak do not press the good together, and what lies outside is counted."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from duo_core.figures.screen import Colours

WHISKER = 1.5
"""Interquartile ranges below the first quartile where outliers begin (Tukey 1977)."""

Window = tuple[float, float]
"""Both ends of the axis, the lower first."""


def window(values: pd.Series, *, higher: bool, kept: Sequence[float] = (), worst: float | None = None) -> Window:
    """Return the ends of an axis: the best value, and the worst that is no outlier, nor worse than `worst`; `kept` are in sight.

    >>> window(pd.Series([0.5, 0.9, 0.91, 0.92, 0.93]), higher=True)
    (0.8982, 0.9318)
    """
    good = values if higher else -values
    low, high = good.quantile([0.25, 0.75])
    sign = 1 if higher else -1
    inside = good[good >= low - WHISKER * (high - low)]
    bottom = inside.min() if worst is None else max(inside.min(), sign * worst)
    bottom = min([bottom, *(sign * value for value in kept)])
    margin = 0.06 * (good.max() - bottom) or 0.01 * abs(bottom) or 1.0
    ends = round(float(bottom - margin), 6), round(float(good.max() + margin), 6)
    return ends if higher else (-ends[1], -ends[0])


def outside(figure: go.Figure, values: pd.Series, ends: Window, what: str, *, higher: bool, colours: Colours) -> None:
    """Show the window alone, with a note at its worse end of how many lie beyond it."""
    figure.update_yaxes(range=list(ends))
    if count := int((~values.between(*ends)).sum()):
        said = f"{what} lies" if count == 1 else f"{what}s lie"
        place = {"y": 0, "yanchor": "bottom"} if higher else {"y": 1, "yanchor": "top"}
        figure.add_annotation(
            text=f"{count:,} {said} {'below' if higher else 'above'} this axis, worse than what it shows",
            xref="paper",
            yref="paper",
            x=0.5,
            showarrow=False,
            font={"color": colours["neutral"]},
            **place,
        )
