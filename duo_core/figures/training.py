"""Trials of a run: scores against learning rates, and curves by epoch."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from duo_core.figures.frame import layout, level, note, ticks
from duo_core.figures.screen import LIGHT, SCREEN, STYLES, Colours, metric_title

CURVES = {
    "nll": "NLL on the validation images (nats), lower is better",
    "train_loss": "Training loss (nats), lower is better",
    "score": "",
}
"""What is drawn by epoch, and the titles of the axis; `score` is what trials are chosen by."""


def score_by_rate(trials: pd.DataFrame, metric: str, *, probe: float | None = None, colours: Colours = LIGHT) -> go.Figure:
    """Draw what every finished trial scored against its learning rate, the best ringed.

    Parameters
    ----------
    trials
        Finished trials, best first: `trial`, `learning_rate`, `best_epoch`, `nll` and the metric.
    metric
        `accuracy` or `macro_f1`.
    probe
        The linear probe's score, which all of them start from: a horizontal line.
    """
    figure = go.Figure(layout=layout("Learning rate, logarithmic", metric_title(metric)))
    screen = SCREEN[metric]
    if probe is not None:
        level(figure, probe * screen.factor, f"Linear probe {screen.text(probe)}", colours)
    rows = trials[trials["learning_rate"].gt(0) & trials[metric].notna()]
    figure.add_scatter(
        x=rows["learning_rate"],
        y=rows[metric] * screen.factor,
        name="Trials",
        mode="markers",
        marker={"symbol": "circle", "size": 11, "color": colours["sidekick"]},
        text=[_hover(row, metric) for row in rows.to_dict("records")],
        hovertemplate="%{text}<extra></extra>",
    )
    if rows.empty:
        note(figure, "No trial has finished yet.", colours)
        figure.update_layout(showlegend=True)
        return figure.update_xaxes(showticklabels=False)
    best = rows.iloc[0]
    figure.add_scatter(
        x=[best["learning_rate"]],
        y=[best[metric] * screen.factor],
        name=f"Best: trial {best['trial']}",
        mode="markers",
        marker={"symbol": "circle-open", "size": 20, "color": colours["duo"], "line": {"width": 2.5}},
        hoverinfo="skip",
    )
    _rates(figure, rows["learning_rate"])
    return figure


def curves_by_epoch(
    epochs: pd.DataFrame, what: str, metric: str, *, best: int | None = None, running: int | None = None, colours: Colours = LIGHT
) -> go.Figure:
    """Draw one line a trial through its epochs.

    Parameters
    ----------
    epochs
        One row an epoch of a trial: `trial`, `epoch` and what is drawn.
    what
        A key of CURVES.
    metric
        What `score` is.
    best, running
        Trials that are drawn apart: the best one thick, the one under way dashed.
    """
    key, screen = (metric, SCREEN[metric]) if what == "score" else (what, SCREEN["nll"])
    figure = go.Figure(layout=layout("Epoch", metric_title(metric) if what == "score" else CURVES[what]))
    rows = epochs[epochs[key].notna()]
    looks = {best: ("duo", STYLES["duo"].width, "solid"), running: ("sidekick", 2.4, "dash")}
    trials = sorted(set(rows["trial"]), key=lambda trial: (trial == best, trial == running, trial))
    named = set[str]()
    for trial in trials:
        own = rows[rows["trial"] == trial].sort_values("epoch")
        hue, width, dash = looks.get(trial, ("neutral", 1.2, "solid"))
        name = f"Best: trial {trial}" if trial == best else f"Trial {trial}, under way" if trial == running else "Other trials"
        figure.add_scatter(
            x=own["epoch"],
            y=own[key] * screen.factor,
            name=name,
            legendgroup=name,
            showlegend=name not in named,
            mode="lines+markers",
            line={"color": colours[hue], "width": width, "dash": dash},
            marker={"size": 5, "color": colours[hue]},
            hovertemplate=f"<b>Trial {trial}</b>, epoch %{{x}}<br>%{{y:.{max(screen.decimals, 1)}f}}{screen.unit}<extra></extra>",
        )
        named.add(name)
    if rows.empty:
        note(figure, "No epoch has ended yet.", colours)
    else:
        last = int(rows["epoch"].max())
        figure.update_xaxes(tickvals=_whole(last), range=[0.9, max(last, 2) + 0.1])
    return figure


def _whole(last: int) -> list[int]:
    """At most about eight epochs that are named.

    >>> _whole(4), _whole(20)
    ([1, 2, 3, 4], [3, 6, 9, 12, 15, 18])
    """
    step = -(-last // 8)
    return list(range(step, last + 1, step))


def _rates(figure: go.Figure, rates: pd.Series) -> None:
    low, high = np.log10(rates.min()), np.log10(rates.max())
    margin = 0.08 * (high - low) or 0.3
    wide = high - low > 1
    shown = ticks(rates.min(), rates.max())
    figure.update_xaxes(
        type="log",
        range=[low - margin, high + margin],
        tickvals=[value for value in shown if not wide or f"{value:e}"[0] == "1"] or shown,
        exponentformat="power",
    )


def _hover(row: "dict[str, object]", metric: str) -> str:
    value, rate, nll = (float(str(row[key])) for key in (metric, "learning_rate", "nll"))
    return (
        f"<b>Trial {row['trial']}</b><br>{SCREEN[metric].text(value)}, NLL {SCREEN['nll'].text(nll)}<br>"
        f"learning rate {rate:.3g}, best at epoch {row['best_epoch']}"
    )
