"""Sidekicks to begin with: the best under a budget, the best at any cost, the cheapest."""

import math

import pandas as pd

from duo_core.analysis.advice import best_under, chosen_under

BUDGET = 0.15


def presets(table: pd.DataFrame) -> dict[str, str]:
    """Sidekicks of one base by what they are best at on the fit split, given the rows of all; a preset that has none is left out.

    Those that are more accurate than the base are none.
    """
    duos = table[(table["variant"] == "duo") & ~table["reversed"]]
    advice = {
        f"Best under +{BUDGET * 100:.0f} %": chosen_under(duos, "flops_balance", BUDGET),
        "Best": chosen_under(duos, "flops_balance", math.inf),
        "Cheapest": best_under(duos, "flops_balance", "flops_balance", math.inf, higher_is_better=False),
    }
    return {label: found.best["sidekick"] for label, found in advice.items() if found}
