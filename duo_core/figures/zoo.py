"""Single models: how good they are for their size, and whether multiply-adds tell their speed."""

from dataclasses import dataclass
from itertools import combinations, cycle

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from duo_core.common.arrays import Floats, InputError, same_length
from duo_core.figures.frame import layout, note, ticks
from duo_core.figures.screen import COSTS, HUES, LIGHT, SCREEN, STYLES, SYMBOLS, Colours, metric_title
from duo_core.metrics import METRICS

SIZES = {
    "multiply_adds": "Multiply-adds an image, lower is cheaper",
    "parameters": "Parameters, lower is smaller",
}
"""Columns that a model's size may be read from, and the titles of their axes."""


@dataclass(frozen=True)
class PowerLaw:
    """y = y0 * (x / x0) ** exponent, a straight line where both axes are logarithmic."""

    middle: tuple[float, float]
    """(x0, y0), the geometric means of the points: at x = 1, far from them all, a steep line can leave the range of floats."""
    exponent: float
    r_squared: float
    """Share of the variance of log y that the line explains, in [0, 1]."""

    def __call__(self, x: Floats) -> Floats:
        """The line's values."""
        middle_x, middle_y = self.middle
        return np.asarray(middle_y * (x / middle_x) ** self.exponent)


def power_law(x: Floats, y: Floats) -> PowerLaw:
    """Fit a power law by least squares on logarithms; x and y are (n,), positive, and x takes at least two values.

    Two points lie on their line, and values of y that are all the same on a flat one: an R^2 of 1.

    >>> law = power_law(np.array([1.0, 10.0, 100.0]), np.array([8.0, 0.8, 0.08]))
    >>> law(np.array([1.0, 1000.0])).round(6).tolist(), round(law.exponent, 6), round(law.r_squared, 6)
    ([8.0, 0.008], -1.0, 1.0)
    """
    same_length(x=len(x), y=len(y))
    if len(np.unique(x)) < 2 or min(x.min(), y.min()) <= 0:
        raise InputError(f"expected positive values with at least two different x, got x {x.tolist()} and y {y.tolist()}")
    log_x, log_y = np.log(x), np.log(y)
    middle = float(np.exp(log_x.mean())), float(np.exp(log_y.mean()))
    if np.ptp(y) == 0:
        return PowerLaw(middle, 0.0, 1.0)
    centred = log_x - log_x.mean()
    exponent = float(centred @ log_y / (centred @ centred))
    residual = log_y - log_y.mean() - exponent * centred
    r_squared = 1 - float(residual.var() / log_y.var())
    return PowerLaw(middle, exponent, r_squared)


def quality_by_size(table: pd.DataFrame, key: str, size: str, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw a metric of every model alone against its size (paper Figure 2).

    `table` has one row a model, its name as the index, with `family`, the metric, and `size`, one of SIZES. Models of unknown size
    are left out.
    """
    figure = go.Figure(layout=layout(SIZES[size], metric_title(key)))
    rows = table[table[size].notna() & table[key].notna()].sort_values(size)
    screen = SCREEN[key]
    hover = [f"{METRICS[key].label} {screen.text(value)}" for value in rows[key]]
    _families(figure, rows, (rows[size], rows[key] * screen.factor), hover, colours)
    _size_axis(figure, rows[size])
    if rows.empty:
        note(figure, "This set says the size of no model.", colours)
    return figure


def throughput_by_flops(table: pd.DataFrame, law: PowerLaw | None = None, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw images a second against multiply-adds (paper Figure 8), with the line that fits them.

    `table` has one row a model, its name as the index, with `family`, `multiply_adds` and `images_per_second`, all measured on one
    device. Models of which either is unknown are left out.
    """
    figure = go.Figure(layout=layout(SIZES["multiply_adds"], "Images a second, higher is faster"))
    rows = table[table["multiply_adds"].notna() & table["images_per_second"].notna()].sort_values("multiply_adds")
    speed = rows["images_per_second"]
    if law is not None:
        ends = np.array([rows["multiply_adds"].min(), rows["multiply_adds"].max()], dtype=float)
        line = {"color": colours["neutral"], "width": 1.5}
        figure.add_scatter(x=ends, y=law(ends), name=f"Fit, R² {law.r_squared:.3f}", mode="lines", line=line, hoverinfo="skip")
    _families(figure, rows, (rows["multiply_adds"], speed), [f"{value:,.0f} images a second" for value in speed], colours)
    _size_axis(figure, rows["multiply_adds"])
    if rows.empty:
        note(figure, "This set says the throughput of no model.", colours)
    else:
        figure.update_yaxes(type="log", tickvals=ticks(speed.min(), speed.max()), tickformat="~s")
    return figure


def slowdowns(models: pd.DataFrame) -> pd.DataFrame:
    """Return every pair of models by what its sidekick adds to the base's multiply-adds and to its time.

    Parameters
    ----------
    models
        One row a model, its name as the index, with `multiply_adds` and `images_per_second`, measured on one device.

    Returns
    -------
    DataFrame
        One row a pair whose base has at least the sidekick's multiply-adds: `base`, `sidekick`, `flops_balance`, and `slowdown`,
        the time of an image through both, one after the other, over that through the base.

    Examples
    --------
    >>> models = pd.DataFrame({"multiply_adds": [4e9, 1e9], "images_per_second": [100.0, 200.0]}, ["large", "small"])
    >>> slowdowns(models).values.tolist()
    [['large', 'small', 0.25, 1.5]]
    """
    cost, speed = models["multiply_adds"].astype(float), models["images_per_second"].astype(float)
    dearest_first = list(cost.sort_values(ascending=False, kind="stable").index)
    rows = [
        (base, other, cost[other] / cost[base], 1 + speed[base] / speed[other]) for base, other in combinations(dearest_first, 2)
    ]
    return pd.DataFrame(rows, columns=["base", "sidekick", "flops_balance", "slowdown"])


def explained(x: Floats, y: Floats) -> float | None:
    """Share of the variance of y that a straight line in x explains (R^2); None where either takes one value only.

    >>> round(explained(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0])), 6), explained(np.ones(2), np.ones(2))
    (1.0, None)
    """
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def slowdown_by_flops(pairs: pd.DataFrame, *, colours: Colours = LIGHT) -> go.Figure:
    """Draw how much slower a duo is than its base against its FLOPs balance (paper Figure 8, right), from `slowdowns`."""
    figure = go.Figure(layout=layout(COSTS["flops_balance"], "Time of the duo over that of the base, lower is faster"))
    x, y = pairs["flops_balance"].to_numpy(float), pairs["slowdown"].to_numpy(float)
    r_squared = explained(x, y)
    if r_squared is not None:
        slope, start = np.polyfit(x, y, 1)
        ends = np.array([x.min(), x.max()])
        line = {"color": colours["neutral"], "width": 1.5}
        name = f"Fit, R² {r_squared:.3f}"
        figure.add_scatter(x=ends * 100, y=start + slope * ends, name=name, mode="lines", line=line, hoverinfo="skip")
    figure.add_scatter(
        x=x * 100,
        y=y,
        name="Duos",
        mode="markers",
        marker={"symbol": STYLES["duo"].symbol, "size": 9, "color": colours["duo"]},
        customdata=pairs[["base", "sidekick"]],
        hovertemplate="<b>%{customdata[0]} + %{customdata[1]}</b><br>+%{x:.1f} % compute, %{y:.2f} times the time<extra></extra>",
    )
    if pairs.empty:
        note(figure, "It takes two models of known throughput to draw a duo.", colours)
    return figure


def _families(figure: go.Figure, rows: pd.DataFrame, axes: tuple[pd.Series, pd.Series], hover: list[str], colours: Colours) -> None:
    """One trace a family, told apart by symbol and, for the first six, by colour."""
    texts = pd.Series(
        [
            f"<b>{row.Index}</b><br>{row.family}<br>{text}<br>{_counted(row.multiply_adds)} multiply-adds, "
            f"{_counted(row.parameters)} parameters"
            for row, text in zip(rows.itertuples(), hover, strict=True)
        ],
        index=rows.index,
        dtype=object,
    )
    hues = [*HUES, *["neutral"] * len(rows)]
    for family, symbol, hue in zip(sorted(rows["family"].unique()), cycle(SYMBOLS), hues, strict=False):
        own = rows["family"] == family
        figure.add_scatter(
            x=axes[0][own],
            y=axes[1][own],
            name=family,
            mode="markers",
            marker={"symbol": symbol, "color": colours[hue], "size": 12},
            text=texts[own],
            hovertemplate="%{text}<extra></extra>",
        )


def _counted(number: float | None) -> str:
    """A count with its unit of a thousand, million or billion.

    >>> _counted(40551040), _counted(269722), _counted(None)
    ('40.6 million', '270 thousand', 'unknown')
    """
    if number is None or np.isnan(number):
        return "unknown"
    factor, unit = next(((f, u) for f, u in ((1e9, " billion"), (1e6, " million"), (1e3, " thousand")) if number >= f), (1, ""))
    return f"{number / factor:.3g}{unit}"


def _size_axis(figure: go.Figure, sizes: pd.Series) -> None:
    if len(sizes):
        low, high = np.log10(sizes.min()), np.log10(sizes.max())
        margin = 0.06 * (high - low) or 0.1
        shown = ticks(sizes.min(), sizes.max())
        figure.update_xaxes(type="log", range=[low - margin, high + margin], tickvals=shown, tickformat="~s")
