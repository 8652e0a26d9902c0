"""Sidekicks to begin with: the best under a budget, the best at any cost, the cheapest."""

import math

import pandas as pd

from duo_core.analysis.advice import best_under, reversed_pairs
from duo_core.metrics import METRICS

BUDGET = 0.15


def presets(table: pd.DataFrame, metric: str) -> dict[str, str]:
    """Sidekicks of one base by what they are best at, given the rows of all; a preset that has none is left out."""
    duos = table[(table["variant"] == "duo") & ~reversed_pairs(table)]
    higher = METRICS[metric].higher_is_better
    advice = {
        f"Best under +{BUDGET * 100:.0f} %": best_under(duos, metric, "flops_balance", BUDGET, higher_is_better=higher),
        "Best": best_under(duos, metric, "flops_balance", math.inf, higher_is_better=higher),
        "Cheapest": best_under(duos, "flops_balance", "flops_balance", math.inf, higher_is_better=False),
    }
    return {label: found.best["sidekick"] for label, found in advice.items() if found}
