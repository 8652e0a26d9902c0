"""Ensembles of smaller models against larger single ones, at equal cost (Kondratyuk et al. 2020)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from duo_core.analysis.advice import pareto
from duo_core.systems.groups import Group

LINES = ["line", "kind", "m", "systems", "cost", "value", "low", "high", "name", "members"]
"""Columns of the table of lines, one row a point."""
SINGLES = "Single models"


def lines(table: pd.DataFrame, key: str, cost: str, groups: Sequence[Group]) -> pd.DataFrame:
    """Return what is drawn, one row a point, with the columns LINES: the single models, and the ensembles of each size.

    Where a set has `groups` of trainings, a size is one of them: at each m the mean of its deep ensembles, and one standard
    deviation over them to either side; they overlap, so it is no standard error. Else the ensembles are of different models, whose
    weights are fitted, and a line is those of m members. A line of single systems is those that
    none beats on the fit split.
    """
    rows = table[table[key].notna() & table[cost].notna()]
    found = [_chosen(rows[rows["m"] == 1], SINGLES, key, cost)]
    for group in groups:
        found.append(_by_members(rows[[set(members) <= set(group.members) for members in rows["members"]]], group, key, cost))
    if not groups:
        together = rows[(rows["m"] > 1) & (rows["rule"] == "fitted")]
        found += [_chosen(part, f"{m} models together", key, cost) for m, part in together.groupby("m")]
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
