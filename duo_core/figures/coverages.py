"""Lines over coverage, named all at once under the pointer and picked by a click anywhere, without a node a value."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from duo_core.common.numbers import percent
from duo_core.figures.frame import layout

HUNDREDTHS = np.arange(1, 101) / 100


def lines_over_coverage(table: pd.DataFrame, looks: Mapping[str, tuple[str, dict[str, Any]]]) -> go.Figure:
    """Draw selective risk against coverage, a line a column.

    `looks` has the name and the line (`color`, `dash`, `width`) of each column of `table` that is drawn, in their order. The trace
    "Coverage", not to be seen, has a point a percent on the last line; it alone answers to the pointer: it names the values of all
    lines there, and carries its coverage in customdata. Lines without a node for each of their points are drawn many times as fast.
    """
    x = table["coverage"].to_numpy() * 100
    lines = [
        {"x": x, "y": table[column].to_numpy() * 100, "name": name, "mode": "lines", "line": line, "hoverinfo": "skip"}
        for column, (name, line) in looks.items()
    ]
    drawn = layout("Coverage: share of images kept (%)", "Selective risk (%), lower is better")
    drawn |= {"hovermode": "x", "hoverdistance": -1}
    drawn["legend"]["traceorder"] = "reversed"
    return go.Figure([*lines, _points(table, looks)] if looks else [], drawn)


def _points(table: pd.DataFrame, looks: Mapping[str, tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    values = {column: np.interp(HUNDREDTHS, table["coverage"], table[column]) for column in looks}
    rows = [(name, values[column]) for column, (name, _) in reversed(list(looks.items()))]
    texts = ["<br>".join(f"{name} {percent(value[i], 2)}" for name, value in rows) for i in range(len(HUNDREDTHS))]
    unseen = {"marker": {"opacity": 0}}
    return {
        "x": HUNDREDTHS * 100,
        "y": values[list(looks)[-1]] * 100,
        "name": "Coverage",
        "mode": "markers",
        "marker": {"size": 10, "opacity": 0},
        "selected": unseen,
        "unselected": unseen,
        "customdata": HUNDREDTHS,
        "text": texts,
        "hovertemplate": "Keep %{x:.0f} %<br>%{text}<extra></extra>",
        "showlegend": False,
    }
