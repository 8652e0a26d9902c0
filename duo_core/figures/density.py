"""Many points of a chart as squares: how many lie where."""

import numpy as np
import pandas as pd

from duo_core.common.arrays import Floats, Integers

COLUMNS, ROWS = 44, 36


def binned(rows: pd.DataFrame, window: tuple[float, float]) -> pd.DataFrame:
    """Return one row for each square that points lie in, at its middle: that of least NLL on the fit split, and how many they are.

    Parameters
    ----------
    rows
        With `x` (which stands on a logarithmic axis), `y` and `nll_fit`.
    window
        Ends of y.

    Returns
    -------
    pd.DataFrame
        The columns of `rows`, with `count`, and `shade` in (0, 1] that grows with its logarithm.

    Examples
    --------
    >>> rows = pd.DataFrame({"x": [1.0, 1.0, 10.0], "y": [0.5, 0.5, 1.0], "nll_fit": [0.2, 0.1, 0.3]})
    >>> binned(rows, (0.0, 1.0))[["nll_fit", "count", "shade"]].to_numpy().tolist()
    [[0.1, 2.0, 1.0], [0.3, 1.0, 0.69]]
    """
    across = np.log10(rows["x"].to_numpy(float))
    left, right = across.min(), across.max()
    low, high = window
    column = _places(across, left, right, COLUMNS)
    row = _places(rows["y"].to_numpy(float), low, high, ROWS)
    best = rows.assign(column=column, row=row).sort_values("nll_fit", kind="stable")
    squares = best.groupby(["column", "row"], sort=True)
    found = squares.head(1).set_index(["column", "row"]).sort_index()
    counts = squares.size().sort_index()
    places = found.index.to_frame()
    x = 10 ** (left + (places["column"] + 0.5) * (right - left) / COLUMNS)
    y = low + (places["row"] + 0.5) * (high - low) / ROWS
    shade = 0.15 + 0.85 * np.log1p(counts) / np.log1p(counts.max())
    return found.assign(x=x, y=y, count=counts, shade=shade.round(2)).reset_index(drop=True)


def _places(values: Floats, low: float, high: float, bins: int) -> Integers:
    share = (values - low) / ((high - low) or 1.0)
    return np.clip((share * bins).astype(np.int64), 0, bins - 1)
