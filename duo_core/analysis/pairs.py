"""What stands beside a sweep's rows: what the models of each pair are by themselves, cost together, and say on the fit split."""

import pandas as pd

from duo_core.analysis.advice import PAIR, total_costs
from duo_core.analysis.roles import alone, named
from duo_core.logits import LogitSet
from duo_core.systems.pair_judging import Memory
from duo_core.systems.sweep import ON_FIT, on_fit

UNKNOWN_FAMILY = "unknown"


def facts_of(rows: pd.DataFrame, own: LogitSet, memory: Memory | None = None) -> pd.DataFrame:
    """Return what is known of each row's pair, on the same index; the rows are of one split and hold every variant.

    Columns: the sidekick's `family`; `parameter_balance` and `throughput_balance`, its share of the base's parameters and time;
    `base_accuracy` and `sidekick_accuracy` of the models alone; those of `advice.total_costs`; and ON_FIT of `sweep.on_fit`. NaN
    where a cost is unknown.
    """
    accuracy, cards = alone(rows)["accuracy"], own.cards
    size = pd.Series({name: card.parameters for name, card in cards.items()}, dtype=float)
    found = pd.DataFrame(
        {
            "family": [cards[name].family or UNKNOWN_FAMILY for name in rows["sidekick"]],
            "parameter_balance": rows["sidekick"].map(size) / rows["base"].map(size),
            "throughput_balance": [_throughput_balance(own, *pair) for pair in named(rows)],
            **{f"{role}_accuracy": rows[role].map(accuracy) for role in PAIR},
            **total_costs(rows, cards),
        },
        index=rows.index,
    )
    fit = on_fit(own, list(dict.fromkeys(named(rows))), memory)
    found[ON_FIT] = rows[PAIR].merge(fit, how="left")[ON_FIT].to_numpy()
    return found.astype({**dict.fromkeys(ON_FIT, float), "reversed": bool})


def _throughput_balance(own: LogitSet, base: str, sidekick: str) -> float:
    """Time that the sidekick adds to the base's; NaN where they were not measured on one device."""
    large, small = own.cards[base], own.cards[sidekick]
    if large.device != small.device or not large.images_per_second or not small.images_per_second:
        return float("nan")
    return large.images_per_second / small.images_per_second
