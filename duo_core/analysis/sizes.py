"""Ensembles of smaller models against larger single ones, at equal cost (Kondratyuk et al. 2020)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from duo_core.analysis.advice import pareto
from duo_core.metrics import METRICS
from duo_core.systems.groups import Group

LINES = ["line", "kind", "m", "systems", "cost", "value", "low", "high", "name", "members"]
"""Columns of the table of lines, one row a point."""
SINGLES = "Single models"


@dataclass(frozen=True)
class Crossing:
    """From which cost on ensembles win, and where by most."""

    cost: float | None
    """The best ensemble that costs at most so much beats the best single model that does, and so at every higher cost; None where a
    single model wins at the highest."""
    widest: float
    """By how much the ensemble is better, on the split judged on, where that is most; negative where it never is."""
    single: Any
    ensemble: Any
    """The rows that are compared there."""


def lines(table: pd.DataFrame, key: str, cost: str, groups: Sequence[Group]) -> pd.DataFrame:
    """Return what is drawn, one row a point, with the columns LINES: the single models, and the ensembles of each size.

    Where a set has `groups` of trainings, a size is one of them: at each m the mean of its deep ensembles, and one standard
    deviation over them to either side; they overlap, so it is no standard error. Else the ensembles are heterogeneous, and a line
    is those of m members. A line of systems that were chosen is those that none beats on the fit split.
    """
    rows = table[table[key].notna() & table[cost].notna()]
    found = [_chosen(rows[rows["m"] == 1], SINGLES, key, cost)]
    for group in groups:
        found.append(_by_members(rows[[set(members) <= set(group.members) for members in rows["members"]]], group, key, cost))
    if not groups:
        pooled = rows[rows["kind"] == "heterogeneous ensemble"]
        found += [_chosen(part, f"{m} different models", key, cost) for m, part in pooled.groupby("m") if m in (2, 3)]
    return pd.concat(found, ignore_index=True)[LINES]


def _chosen(rows: pd.DataFrame, line: str, key: str, cost: str) -> pd.DataFrame:
    """Those that none beats on the fit split, from cheap to dear."""
    front = rows[pareto(rows[cost].to_numpy(float), rows["nll_fit"].to_numpy(float), higher_is_better=False)]
    part = front.sort_values(cost, kind="stable")
    return part.assign(line=line, systems=1, cost=part[cost], value=part[key], low=np.nan, high=np.nan)


def _by_members(rows: pd.DataFrame, group: Group, key: str, cost: str) -> pd.DataFrame:
    """The mean over subsets at each m."""
    by = rows.groupby("m")
    mean, spread = by[key].mean(), by[key].std(ddof=0)
    return pd.DataFrame(
        {
            "line": group.model, "kind": by["kind"].first(), "systems": by.size(), "cost": by[cost].mean(), "value": mean,
            "low": mean - spread, "high": mean + spread, "name": by["name"].first(), "members": by["members"].first(),
        }
    ).rename_axis("m").reset_index()  # fmt: skip


def crossing(table: pd.DataFrame, key: str, cost: str) -> Crossing | None:
    """Compare, at every cost, the best ensemble that costs at most so much with the best such single model; None without either.

    Ensembles are those whose members count as much as each other. Both are chosen on the fit split by NLL; the metric is that of
    the split judged on.
    """
    rows = table[table[key].notna() & table[cost].notna()]
    one, many = _best_by_cost(rows[rows["m"] == 1], cost), _best_by_cost(rows[rows["rule"] == "ensemble"], cost)
    if one.empty or many.empty:
        return None
    levels = np.unique([*one[cost], *many[cost]])
    levels = levels[levels >= max(one[cost].min(), many[cost].min())]
    single, ensemble = (of.iloc[np.searchsorted(of[cost], levels, side="right") - 1].reset_index(drop=True) for of in (one, many))
    better = (ensemble[key] - single[key]).to_numpy(float) * (1 if METRICS[key].higher_is_better else -1)
    lost = np.flatnonzero(better <= 0)
    after = int(lost[-1]) + 1 if len(lost) else 0
    widest = int(better.argmax())
    at = float(levels[after]) if after < len(levels) else None
    return Crossing(at, float(better[widest]), single.iloc[widest].to_dict(), ensemble.iloc[widest].to_dict())


def _best_by_cost(rows: pd.DataFrame, cost: str) -> pd.DataFrame:
    """The rows that are the best on the fit split of all that cost no more, from cheap to dear."""
    ranked = rows.sort_values([cost, "nll_fit"], kind="stable")
    return ranked[ranked["nll_fit"] < ranked["nll_fit"].cummin().shift(fill_value=np.inf)]
