"""Every system that a set can offer, in one table: its kind, what it costs, and what it is worth; and which none beats."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from duo_core.analysis.advice import gains, pareto, seconds
from duo_core.analysis.options import Option
from duo_core.common.arrays import UncertaintyKind
from duo_core.logits import Card, LogitSet
from duo_core.metrics import METRICS
from duo_core.systems.cascades import Cascade
from duo_core.systems.enumeration import Results, subsets
from duo_core.systems.groups import groups_of
from duo_core.systems.growing import MOST, WHOLE, choices
from duo_core.systems.kinds import kind_of, one_group
from duo_core.systems.system import System

NAMES = ["name", "kind", "rule", "m", "members"]
COSTS = ["total_multiply_adds", "total_seconds", "total_parameters"]
COLUMNS = [*NAMES, *COSTS, "nll_fit", *METRICS]
"""Columns of the table of systems; costs of all members together are NaN where one is unknown."""

FEW = 1000
"""Choices up to which the systems of one base have three members; of all models MOST."""


def systems_shown(cards: Mapping[str, Card], models: Sequence[str], base: str | None = None, seed: int = 0) -> list[System]:
    """Return the systems that a page shows of some models, most multiply-adds first: of all, or of those that hold a base.

    Every model alone; every choice of two, and of three where that is quick, weighed by the fit, and then with members that count
    as much as each other, too; and deep ensembles of every group of trainings, whichever base is asked for.
    """
    trios = choices(len(models) - (base is not None), WHOLE - (base is not None)) <= (MOST if base is None else FEW)
    found = dict.fromkeys(System((model,)) for model in models)
    for members in subsets(models, WHOLE if trios else 2):
        if len(members) == 1 or base not in (None, *members) or one_group([cards[member] for member in members]):
            continue
        found[System(members)] = None
        if trios:
            found[System(members, "ensemble")] = None
    for group in groups_of(cards, models):
        for m in range(2, len(group.members) + 1):
            for members in group.subsets(m, seed):
                found[System(tuple(model for model in models if model in members), "ensemble")] = None
    return list(found)


def table_of_systems(own: LogitSet, found: Results, split: str, kind: UncertaintyKind = "softmax") -> pd.DataFrame:
    """Return judged systems as a table of COLUMNS, in their order.

    Those with a member of weight 0 are left out: they are smaller ones again, at a higher price.
    """
    kept = {s: result for s, result in found.items() if split in result.judged and (s.m == 1 or all(result.weights))}
    cards = own.cards
    costs = {name: _costs(card) for name, card in cards.items()}
    rows = [
        (*_names(cards, system), *_total(system.members, cards, costs), result.nll_fit, *result.judged[split][kind].values())
        for system, result in kept.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys([*COSTS, "nll_fit", *METRICS], float))


def _names(cards: Mapping[str, Card], system: System) -> tuple[str, str, str, int, tuple[str, ...]]:
    return name_of(system), kind_of(cards, system), system.rule, system.m, system.members


def _costs(card: Card) -> tuple[float, ...]:
    known = (card.multiply_adds, seconds(card), card.parameters)
    return tuple(np.nan if cost is None else float(cost) for cost in known)


def _total(members: Sequence[str], cards: Mapping[str, Card], costs: Mapping[str, tuple[float, ...]]) -> tuple[float, ...]:
    """In the order of COSTS; times of two devices do not add up."""
    compute, time, parameters = (sum(costs[member][at] for member in members) for at in range(len(COSTS)))
    return compute, time if len({cards[member].device for member in members}) == 1 else np.nan, parameters


def beside(table: pd.DataFrame, base: str, cost: str, key: str) -> pd.DataFrame:
    """Return the table with what each system is to a base alone.

    Columns added: `ratio`, its cost over the base's, NaN where either is unknown; `gain`, the relative gain in the metric (paper
    Figure 1); and `front`, whether no other costs as little and has as low an NLL on the fit split: only such a system is ever
    chosen under a budget.
    """
    own = table[(table["m"] == 1) & (table["name"] == base)].iloc[0]
    alone = pd.Series(float(own[key]), index=table.index)
    front = pareto(table[cost].to_numpy(float), table["nll_fit"].to_numpy(float), higher_is_better=False)
    return table.assign(ratio=table[cost] / own[cost], gain=gains(key, table[key], alone), front=front)


def with_options(table: pd.DataFrame, own: LogitSet, base: str, options: Iterable[Option]) -> pd.DataFrame:
    """Return the table with options of an advice to a base that it lacks: cascades, and systems that were not among those shown.

    A cascade costs what it does on average where it is judged; how long it takes nobody has measured.
    """
    there = set(zip(table["name"], table["rule"], strict=True))
    found = {(name, option.candidate.rule): option for option in options if (name := name_of(option.candidate.system))}
    rows = [_option_row(own, base, *key, option) for key, option in found.items() if key not in there]
    if not rows:
        return table
    new = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys([*COSTS, "nll_fit", *METRICS], float))
    return pd.concat([table, new], ignore_index=True)


def name_of(system: System | Cascade) -> str:
    """A system by its members; of a cascade, which stage hands on to which.

    >>> one, both = System(("small",)), System(("large", "small"))
    >>> name_of(both), name_of(Cascade((one, both), (0.1,)))
    ('large + small', 'small then large + small')
    """
    stages = system.stages if isinstance(system, Cascade) else (system,)
    return " then ".join(" + ".join(stage.members) for stage in stages)


def _option_row(own: LogitSet, base: str, name: str, rule: str, option: Option) -> tuple[object, ...]:
    of = option.candidate
    total = list(_total(of.members, own.cards, {member: _costs(own.cards[member]) for member in of.members}))
    if isinstance(of.system, Cascade):
        total[:2] = [option.cost_ratio * (own.cards[base].multiply_adds or 0), np.nan]
    return name, of.kind, rule, len(of.members), of.members, *total, of.val_nll, *(option.metrics[key] for key in METRICS)
