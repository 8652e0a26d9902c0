"""Claims: the share of pairs that agree as a small picture, and the pairs behind a claim."""

from urllib.parse import quote

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from duo_core.analysis.claims import CALIBRATED, KEPT, Claim
from duo_core.common.numbers import significant
from duo_core.figures.frame import cost_axis, layout, level, note, ticks
from duo_core.figures.screen import COSTS, LIGHT, SCREEN, Colours
from duo_core.metrics import METRICS

INK = "#7b8794"
"""Of small pictures, which know no theme: a contrast of 3 to a white page and to a dark one."""
RATIO = "Temperature ratio"
UNKNOWN = "Pairs by base: their cost is unknown"


def range_picture(claim: Claim) -> str:
    """Return the share that agrees (dot), its interval (bar) and the share asked for (tick) from 0 to 100 %, as an address."""
    marks = f'<path d="M5 33H155" stroke-width="1"/><path d="M{_place(claim.asked)} 21V45" stroke-width="2"/>'
    if claim.interval is not None:
        marks += f'<path d="M{_place(claim.interval.low)} 33H{_place(claim.interval.high)}" stroke-width="6" opacity="0.75"/>'
    if claim.share is not None:
        marks += f'<circle cx="{_place(claim.share)}" cy="33" r="5" fill="{INK}" stroke="none"/>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="160" height="66" viewBox="0 0 160 66" stroke="{INK}">{marks}</svg>'
    return f"data:image/svg+xml;utf8,{quote(svg)}"


def _place(share: float) -> str:
    return f"{5 + 150 * share:.1f}"


def measured_metric(claim: Claim) -> str | None:
    """Key of the metric in which a claim compares two variants; None where it measures something else."""
    label, _, systems = claim.measured.partition(": ")
    return next((key for key, metric in METRICS.items() if metric.label == label), None) if " - " in systems else None


def on_screen(claim: Claim) -> tuple[float, str]:
    """The factor that `delta` is shown with, and its unit."""
    screen = SCREEN.get(measured_metric(claim) or "")
    if screen is None:
        return 1.0, ""
    return screen.factor, {100: "percentage points", 1000: "× 1000"}.get(int(screen.factor), "")


def borders(claim: Claim) -> tuple[list[float], str, str]:
    """Values of `delta` between pairs that agree and pairs that do not, what they mean, and where pairs agree."""
    key = measured_metric(claim)
    if claim.key == "calibration":
        return [-CALIBRATED, CALIBRATED], "One point of ECE", "agrees between the lines"
    if key is not None:
        return [0.0], "No difference", f"agrees {'above' if METRICS[key].higher_is_better else 'below'} the line"
    if claim.measured == RATIO:
        return [1.0], "Both have an equal say", "agrees above the line"
    named = "Half of the gain" if "gain" in claim.measured else "Half of them"
    return [KEPT], named, "agrees above the line"


def pairs_behind(claim: Claim, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw what a claim measures of every pair against the cost of its sidekick; points carry base and sidekick in customdata."""
    factor, unit = on_screen(claim)
    values, named, where = borders(claim)
    known = bool(claim.pairs["flops_balance"].notna().any())
    title = f"{claim.measured.replace(' - ', ' − ')}{f' ({unit})' if unit else ''},<br>{where}"
    figure = go.Figure(layout=layout(COSTS["flops_balance"] if known else UNKNOWN, title))
    rows = claim.pairs.assign(
        x=claim.pairs["flops_balance"] * 100 if known else np.arange(1, len(claim.pairs) + 1), y=claim.pairs["delta"] * factor
    )
    for name, symbol, colour, agrees in (("Agrees", "circle", "duo", True), ("Does not agree", "x", "neutral", False)):
        _points(figure, rows[rows["agrees"] == agrees], name, {"symbol": symbol, "color": colours[colour], "size": 10})
    for place, value in enumerate(values):
        level(figure, value * factor, named, colours)
        figure.data[-1].showlegend = place == 0
    if known:
        cost_axis(figure, claim.pairs["flops_balance"])
    drawn = rows["y"][np.isfinite(rows["y"])]
    if claim.measured == RATIO and len(drawn) and drawn.min() > 0:
        figure.update_yaxes(type="log", tickvals=ticks(drawn.min(), drawn.max()))
    if rows.empty:
        note(figure, "This claim is about none of the pairs.", colours)
    elif np.isinf(rows["y"]).any():
        note(figure, f"Not drawn: {int(np.isinf(rows['y']).sum())} pairs whose sidekick has no weight", colours)
    return figure


def _points(figure: go.Figure, rows: pd.DataFrame, name: str, marker: dict[str, object]) -> None:
    figure.add_scatter(
        x=rows["x"],
        y=rows["y"].where(np.isfinite(rows["y"])),
        name=name,
        mode="markers",
        marker=marker,
        customdata=rows[["base", "sidekick"]],
        text=[
            f"<b>{row.base} + {row.sidekick}</b><br>{significant(row.y, 3, sign=True)}<br>{name.lower()}"
            for row in rows.itertuples()
        ],
        hovertemplate="%{text}<extra></extra>",
        unselected={"marker": {"opacity": 1}},
    )
