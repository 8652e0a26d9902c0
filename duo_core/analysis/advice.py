"""Which pair to take: gains over the better member, the Pareto front of cost and value, the best pair under a budget."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from duo_core.analysis.roles import better_members
from duo_core.common.arrays import Booleans, Floats, same_length
from duo_core.logits import Card
from duo_core.metrics import METRICS

PAIR = ["base", "sidekick"]

AFFORDABLE = 0.35
"""FLOPs balance up to which a sidekick may be the one that is shown or advised on first."""

Row = Mapping[str, Any]
"""One row of a table of pairs, by column."""


def gains(key: str, values: pd.Series, alone: pd.Series) -> pd.Series:
    """Return each row's relative gain in a metric over one model alone (paper Figure 1); NaN where one is undefined.

    >>> gains("accuracy", pd.Series([0.75, 0.8]), pd.Series([0.5, 1.0])).tolist()
    [0.5, nan]
    """
    same_length(values=len(values), alone=len(alone))
    own, other = values.to_numpy(float), alone.to_numpy(float)
    distance = METRICS[key].perfect - other
    found = np.full(len(own), np.nan)
    np.divide(own - other, distance, out=found, where=distance != 0)
    return pd.Series(found, index=values.index)


def gains_over_better(key: str, table: pd.DataFrame, alone: pd.DataFrame) -> pd.Series:
    """Return each row's relative gain in a metric over the better member of its pair, the more accurate one, alone.

    Of an asymmetric duo that is the base. `alone` has the metrics of single models, their names as the index.
    """
    return gains(key, table[key].astype(float), better_members(table, alone["accuracy"]).map(alone[key]).astype(float))


def total_costs(table: pd.DataFrame, cards: Mapping[str, Card]) -> pd.DataFrame:
    """Return what both models of each row's pair cost together, which compares pairs of different bases.

    Columns: `total_multiply_adds`, `total_parameters`, and `total_seconds` an image; NaN where one of the models' is unknown, or
    their speeds are of two devices.
    """
    pairs = [(cards[base], cards[sidekick]) for base, sidekick in zip(table["base"], table["sidekick"], strict=True)]
    columns = {
        "total_multiply_adds": [_sum(base.multiply_adds, other.multiply_adds) for base, other in pairs],
        "total_parameters": [_sum(base.parameters, other.parameters) for base, other in pairs],
        "total_seconds": [_sum(seconds(base), seconds(other)) if base.device == other.device else np.nan for base, other in pairs],
    }
    return pd.DataFrame(columns, index=table.index, dtype=float)


def seconds(card: Card) -> float | None:
    """Return how long a model takes for an image; None where that was not measured."""
    return 1 / card.images_per_second if card.images_per_second else None


def _sum(one: float | None, other: float | None) -> float:
    return np.nan if one is None or other is None else float(one + other)


def mean_gains(table: pd.DataFrame, alone: pd.DataFrame) -> pd.DataFrame:
    """Return what pairs gain on average in each metric (paper Figure 1), one row a (metric, variant) that has any defined gain.

    A gain is over the better member, be it the sidekick.

    Parameters
    ----------
    table
        One row a (base, sidekick, variant) with the columns of METRICS.
    alone
        Metrics of every model alone, its name as the index: a gain is over the more accurate of both.

    Returns
    -------
    pd.DataFrame
        `metric`, `variant`, `mean` and `std` of the gains over pairs, `pairs`. The deviation is that of the pairs at hand
        (divided by their number), 0 for one.
    """
    rows = []
    for key in METRICS:
        found = gains_over_better(key, table, alone).dropna()
        for variant, part in found.groupby(table["variant"], sort=False):
            rows.append({"metric": key, "variant": variant, "mean": part.mean(), "std": part.std(ddof=0), "pairs": len(part)})
    return pd.DataFrame(rows, columns=["metric", "variant", "mean", "std", "pairs"])


BAND = (0.1, 0.2)
"""FLOPs balances of the paper's claim: 10 to 20 % more compute."""


def gains_within(
    tables: Mapping[str, pd.DataFrame], alone: Mapping[str, pd.DataFrame], band: tuple[float, float] = BAND
) -> pd.DataFrame:
    """Return the mean gains of the duos whose FLOPs balance lies in a band, ends included, on every split.

    Parameters
    ----------
    tables
        By split, one row a (base, sidekick, variant), with `reversed` of `sweep.on_fit`: such pairs are left out.
    alone
        By split, metrics of every model alone, its name as the index.

    Returns
    -------
    pd.DataFrame
        As of `mean_gains`, with `split` first.
    """
    parts = [pd.DataFrame(columns=["split", "metric", "variant", "mean", "std", "pairs"])]
    for split, table in tables.items():
        kept = (table["variant"] == "duo") & table["flops_balance"].astype(float).between(*band)
        duos = table[kept & ~table["reversed"]]
        parts.append(mean_gains(duos, alone[split]).assign(split=split))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)[list(parts[0])]


def pareto(costs: Floats, values: Floats, *, higher_is_better: bool) -> Booleans:
    """Return which rows no other row beats, (n,): cheaper and as good, or as cheap and better.

    Rows that say the same stand on the front together; one with an unknown cost or value never does.

    >>> pareto(np.array([0.1, 0.2, 0.3]), np.array([0.8, 0.7, 0.9]), higher_is_better=True).tolist()
    [True, False, True]
    """
    same_length(costs=len(costs), values=len(values))
    known = np.flatnonzero(~(np.isnan(costs) | np.isnan(values)))
    cost, loss = costs[known], (-values if higher_is_better else values)[known]
    order = np.lexsort((loss, cost))
    before = np.minimum.accumulate(np.append(np.inf, loss[order]))[:-1]
    front = {(cost[i], loss[i]) for i in order[loss[order] < before]}
    on = np.zeros(len(costs), dtype=bool)
    on[known] = [pair in front for pair in zip(cost, loss, strict=True)]
    return on


@dataclass(frozen=True)
class Advice:
    """The best row under a budget, and what it stands beside."""

    best: Row
    runner_up: Row | None
    """The best row of another pair under the budget."""
    overall: Row
    """The best row at any cost; the same as `best` unless the budget binds."""
    within: int
    """Pairs under the budget."""
    pairs: int
    """Pairs in all."""

    @property
    def binds(self) -> bool:
        """Whether something dearer is better."""
        return any(self.best[column] != self.overall[column] for column in [*PAIR, "variant"])


def chosen_under(table: pd.DataFrame, cost: str, budget: float) -> Advice | None:
    """Return the duo of lowest NLL on the fit split whose cost is at most the budget; None where there is none.

    What is chosen by the fit split may be judged on another, which had no say in it. Reversed pairs do not take part. `table` has
    the columns `variant`, and `nll_fit` and `reversed` of `sweep.on_fit`.
    """
    duos = table[(table["variant"] == "duo") & ~table["reversed"]]
    return best_under(duos, "nll_fit", cost, budget, higher_is_better=False)


def worth_it(row: Row, images: int) -> bool:
    """Whether a duo's NLL on the fit split is lower than that of either model alone by more than one more weight costs on average.

    A weight that is fitted to n images costs about 1 / n nats on others.

    >>> worth_it({"nll_fit": 0.4, "base_nll_fit": 0.5, "sidekick_nll_fit": 0.6}, 100)
    True
    >>> worth_it({"nll_fit": 0.495, "base_nll_fit": 0.5, "sidekick_nll_fit": 0.6}, 100)
    False
    """
    return bool(min(row["base_nll_fit"], row["sidekick_nll_fit"]) - row["nll_fit"] > 1 / images)


def best_under(table: pd.DataFrame, value: str, cost: str, budget: float, *, higher_is_better: bool) -> Advice | None:
    """Return the row with the best value whose cost is at most the budget; None where no row is.

    Of equal values the cheapest wins, then the first. Rows whose value is undefined do not take part, and neither do rows of
    unknown cost, unless the budget is infinite.

    Parameters
    ----------
    table
        Rows of pairs with columns `base`, `sidekick`, and the two that are named.
    value, cost
        Columns: what is compared, and the cost as a fraction of the base's.
    budget
        Largest cost, a fraction.
    """
    ranked = table[table[value].notna()].sort_values([value, cost], ascending=[not higher_is_better, True], kind="stable")
    within = ranked if budget == np.inf else ranked[ranked[cost] <= budget]
    if within.empty:
        return None
    rows = within.drop_duplicates(PAIR)
    best, *others = rows.head(2).to_dict("records")
    return Advice(
        best=best,
        runner_up=others[0] if others else None,
        overall=ranked.iloc[0].to_dict(),
        within=len(rows),
        pairs=len(ranked.drop_duplicates(PAIR)),
    )


def losses(row: Row, alone: Row) -> list[str]:
    """Return the keys of the metrics in which a row is worse than its base alone.

    >>> losses({"accuracy": 0.8, "nll": 0.5}, {"accuracy": 0.9, "nll": 0.6})
    ['accuracy']
    """
    return [
        key
        for key, metric in METRICS.items()
        if key in row and (row[key] < alone[key] if metric.higher_is_better else row[key] > alone[key])
    ]
