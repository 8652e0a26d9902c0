"""Which pair of a set to take: all pairs on one cost axis, and the best under each budget."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from duo_core import sentences
from duo_core.analysis.advice import Advice, best_under, better_member, gains, losses, reversed_pairs
from duo_core.arrays import InputError, UncertaintyKind
from duo_core.figures.landscape import Marks, look_of, pairs_by_cost
from duo_core.figures.screen import cost_column
from duo_core.intervals import Interval, differences
from duo_core.logits import LogitSet
from duo_core.metrics import METRICS
from duo_core.report import words
from duo_core.report.markup import Content, Section, paragraph, table
from duo_core.report.page import Charts
from duo_core.sweep import evaluate

BUDGETS = (0.05, 0.1, 0.2, 0.5, np.inf)
"""Shares of the base's multiply-adds that a sidekick may add; the last leaves all pairs."""


@dataclass(frozen=True)
class Whole:
    """A set's pairs on one split."""

    own: LogitSet
    split: str
    table: pd.DataFrame
    """A sweep's rows with the sidekick's `family`, `gain`, `parameter_balance`, `base_accuracy`, `sidekick_accuracy`."""
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
        return cost_column(self.duos)


def whole_of(own: LogitSet, rows: pd.DataFrame, metric: str, kind: UncertaintyKind) -> Whole:
    """Gather what a report says of all pairs; InputError unless the rows are of one split."""
    splits = list(rows["split"].unique())
    if len(splits) != 1:
        raise InputError(f"expected the pairs of one split, got {'no pairs' if rows.empty else ', '.join(splits)}")
    sides = [rows[rows["variant"] == role].set_index(role)[list(METRICS)] for role in ("base", "sidekick")]
    every = pd.concat(sides)
    singles = every[~every.index.duplicated()]
    order = [name for name in own.models() if name in singles.index]
    cards = own.cards
    size = pd.Series({name: card.parameters for name, card in cards.items()}, dtype=float)
    table = rows.assign(
        family=[cards[name].family or "unknown" for name in rows["sidekick"]],
        gain=gains(
            metric,
            rows[metric].astype(float),
            better_member(metric, rows["base"].map(singles[metric]), rows["sidekick"].map(singles[metric])),
        ),
        reversed=reversed_pairs(rows),
        parameter_balance=rows["sidekick"].map(size) / rows["base"].map(size),
        base_accuracy=rows["base"].map(singles["accuracy"]),
        sidekick_accuracy=rows["sidekick"].map(singles["accuracy"]),
    )
    return Whole(own, splits[0], table, singles.loc[order], metric, kind)


@dataclass(frozen=True)
class Advised:
    """The best pair under a budget."""

    budget: float
    found: Advice
    difference: Interval | None
    """Of the metric to its base alone."""

    @property
    def pair(self) -> tuple[str, str]:
        """Base and sidekick."""
        return self.found.best["base"], self.found.best["sidekick"]


def advised_pairs(whole: Whole, replicates: int, seed: int) -> list[Advised]:
    """What to take under every budget; each pair once, under the smallest budget that allows it."""
    advised: list[Advised] = []
    higher = METRICS[whole.metric].higher_is_better
    for budget in BUDGETS:
        duos = whole.duos[~whole.duos["reversed"]]
        found = best_under(duos, whole.metric, "flops_balance", budget, higher_is_better=higher)
        pair = found and (found.best["base"], found.best["sidekick"])
        if found and pair and pair not in [other.pair for other in advised]:
            judged = evaluate(whole.own, *pair, whole.split, kind=whole.kind, variants=("base", "duo")).predictions
            gain = differences(judged["duo"], judged["base"], keys=[whole.metric], replicates=replicates, seed=seed)
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
    figure.for_each_trace(lambda trace: trace.update(name="Best of all"), {"name": "This pair"})
    front = "along the Pareto front no pair is both cheaper and better"
    said = f"{sentences.label(whole.metric)} of every pair against what the sidekick costs; {front}."
    return Section("pairs", "All pairs", [charts.add("landscape", figure, said)])


def recommendation(whole: Whole, advised: Sequence[Advised], draws: str) -> Section:
    """The best pair under each budget, what it gains for sure and what it loses."""
    title = "Which pair to take"
    if not advised:
        return Section("advice", title, [paragraph(f"No pair has a defined {METRICS[whole.metric].label}.")])
    columns = ["Pair", "Budget", "Extra compute", sentences.label(whole.metric), "Base alone", "Worse than its base in"]
    rows = [_advice_row(whole, one) for one in advised]
    best = advised[-1]
    caption = f"Best {METRICS[whole.metric].label} under a budget"
    return Section(
        "advice",
        title,
        [table("advice", caption, columns, rows), paragraph(f"{draws} {sentences.flattered(best.found)}", class_="aside")],
    )


def _advice_row(whole: Whole, one: Advised) -> list[Content]:
    best, alone = one.found.best, whole.alone.loc[one.pair[0]]
    worse = [METRICS[key].label for key in losses(best, alone)]
    return [
        " + ".join(one.pair),
        words.number(None if np.isinf(one.budget) else one.budget, "any" if np.isinf(one.budget) else words.cost(one.budget)),
        words.number(best["flops_balance"], words.cost(best["flops_balance"])),
        words.measured(whole.metric, best[whole.metric], words.cell(whole.metric, one.difference)),
        words.measured(whole.metric, alone[whole.metric]),
        ", ".join(worse) or "nothing",
    ]
