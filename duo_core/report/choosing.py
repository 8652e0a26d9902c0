"""Which pair of a set to take: all pairs on one cost axis, and the best under each budget."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from duo_core.analysis.advice import AFFORDABLE, PAIR, Advice, chosen_under, gains_over_better, losses
from duo_core.analysis.pairs import facts_of
from duo_core.analysis.roles import alone, better_members
from duo_core.common.arrays import InputError, UncertaintyKind
from duo_core.figures.landscape import Marks, comparable_cost, look_of, pairs_by_cost
from duo_core.figures.screen import cost_column
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval, differences
from duo_core.report import words
from duo_core.report.markup import Content, Section, paragraph, table
from duo_core.report.page import Charts
from duo_core.systems.pair_judging import Memory
from duo_core.systems.sweep import evaluate
from duo_core.wording import sentences

BUDGETS = (0.05, 0.1, 0.2, 0.5, np.inf)
"""Shares of the base's multiply-adds that a sidekick may add; the last leaves all of its sidekicks."""


@dataclass(frozen=True)
class Whole:
    """A set's pairs on one split."""

    own: LogitSet
    split: str
    table: pd.DataFrame
    """A sweep's rows with the `gain` over the better member and the columns of `facts_of`; those of reversed pairs are left out."""
    every: pd.DataFrame
    """The same with reversed pairs."""
    alone: pd.DataFrame
    """Metrics of every model alone, its name as the index, dearest first."""
    metric: str
    kind: UncertaintyKind

    @property
    def duos(self) -> pd.DataFrame:
        """The rows of the full duos."""
        return self.table[self.table["variant"] == "duo"]

    @property
    def cost(self) -> str:
        """The column that pairs stand on."""
        cost = comparable_cost(self.duos, cost_column(self.duos))
        return cost if cost in self.duos else cost_column(self.duos)

    @property
    def left_out(self) -> str:
        """What of reversed pairs is left out, in words."""
        count, every = (len(rows.drop_duplicates(PAIR)) for rows in (self.every[self.every["reversed"]], self.every))
        return sentences.reversed_pairs(count, every, FIT_SPLIT)

    @property
    def base(self) -> str | None:
        """The base that is advised on: the most accurate on the fit split that has an affordable sidekick, or any."""
        affordable = self.duos[self.duos["flops_balance"] <= AFFORDABLE]
        rows = affordable if len(affordable) else self.duos
        return None if rows.empty else str(rows.loc[rows["base_accuracy_fit"].idxmax(), "base"])

    def better(self, base: str, sidekick: str) -> str:
        """The better member of a pair on the judged split."""
        return str(better_members(pd.DataFrame([{"base": base, "sidekick": sidekick}]), self.alone["accuracy"]).iloc[0])


def whole_of(own: LogitSet, rows: pd.DataFrame, metric: str, kind: UncertaintyKind, memory: Memory | None = None) -> Whole:
    """Gather what a report says of all pairs; InputError unless the rows are of one split."""
    splits = list(rows["split"].unique())
    if len(splits) != 1:
        raise InputError(f"expected the pairs of one split, got {'no pairs' if rows.empty else ', '.join(splits)}")
    singles = alone(rows)[list(METRICS)]
    order = [name for name in own.models() if name in singles.index]
    table = rows.assign(gain=gains_over_better(metric, rows, singles), **facts_of(rows, own, memory))
    return Whole(own, splits[0], table[~table["reversed"]], table, singles.loc[order], metric, kind)


@dataclass(frozen=True)
class Advised:
    """The pair chosen under a budget."""

    budget: float
    found: Advice
    difference: Interval | None
    """Of the metric to its better member alone."""

    @property
    def pair(self) -> tuple[str, str]:
        """Base and sidekick."""
        return self.found.best["base"], self.found.best["sidekick"]


def advised_pairs(whole: Whole, replicates: int, seed: int) -> list[Advised]:
    """What to take beside the base under every budget; each pair once, under the smallest budget that allows it."""
    advised: list[Advised] = []
    duos = whole.duos[(whole.duos["base"] == whole.base) & whole.duos[whole.metric].notna()]
    for budget in BUDGETS:
        found = chosen_under(duos, "flops_balance", budget)
        pair = found and (found.best["base"], found.best["sidekick"])
        if found and pair and pair not in [other.pair for other in advised]:
            member = "base" if whole.better(*pair) == pair[0] else "sidekick"
            judged = evaluate(whole.own, *pair, whole.split, kind=whole.kind, variants=(member, "duo")).predictions
            gain = differences(judged["duo"], judged[member], keys=[whole.metric], replicates=replicates, seed=seed)
            advised.append(Advised(budget, found, gain[whole.metric]))
    return advised


def landscape(whole: Whole, advised: Sequence[Advised], charts: Charts) -> Section:
    """All pairs in one chart."""
    drawn = words.undrawn(whole.duos)
    best_first = whole.alone["accuracy"].sort_values(ascending=False, kind="stable").index
    bases = [name for name in map(words.plain, best_first) if name in set(drawn["base"])]
    figure = pairs_by_cost(
        drawn,
        whole.metric,
        cost=whole.cost,
        look=look_of(bases, sorted(set(drawn["family"]))),
        marks=Marks(chosen=(words.plain(advised[-1].pair[0]), words.plain(advised[-1].pair[1])) if advised else None),
    )
    figure.for_each_trace(lambda trace: trace.update(name="Recommended at any cost"), {"name": "This pair"})
    front = "along the Pareto front no pair is both cheaper and better" if "Pareto front" in {t.name for t in figure.data} else ""
    what = "what both models cost" if whole.cost.startswith("total") else "what the sidekick costs"
    said = f"{sentences.label(whole.metric)} of every pair against {what}{'; ' * bool(front)}{front}. {whole.left_out}".strip()
    return Section("pairs", "All pairs", [charts.add("landscape", figure, said)])


def recommendation(whole: Whole, advised: Sequence[Advised], draws: str) -> Section:
    """The pair chosen under each budget, what it gains for sure and what it loses."""
    title = "Which pair to take"
    if not advised:
        return Section("advice", title, [paragraph(f"No pair has a defined {METRICS[whole.metric].label}.")])
    columns = ["Pair", "Budget", "Extra compute", sentences.label(whole.metric), "Better member alone", "Worse than that in"]
    rows = [_advice_row(whole, one) for one in advised]
    caption = f"Sidekicks of {whole.base}, the most accurate base on {FIT_SPLIT}, under a budget"
    how = sentences.chosen_and_judged(FIT_SPLIT, whole.split)
    return Section("advice", title, [table("advice", caption, columns, rows), paragraph(f"{how} {draws}", class_="aside")])


def _advice_row(whole: Whole, one: Advised) -> list[Content]:
    best, alone = one.found.best, whole.alone.loc[whole.better(*one.pair)]
    worse = [METRICS[key].label for key in losses(best, alone)]
    return [
        " + ".join(one.pair),
        words.number(None if np.isinf(one.budget) else one.budget, "any" if np.isinf(one.budget) else words.cost(one.budget)),
        words.number(best["flops_balance"], words.cost(best["flops_balance"])),
        words.measured(whole.metric, best[whole.metric], words.cell(whole.metric, one.difference)),
        words.measured(whole.metric, alone[whole.metric]),
        ", ".join(worse) or "nothing",
    ]
