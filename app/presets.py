"""Sidekicks of one base to begin with: the one shown first, and the best under a budget, the best at any cost, the cheapest."""

import math
from typing import NamedTuple

import pandas as pd

from duo_core.analysis.advice import AFFORDABLE, best_under, chosen_under

BUDGET = 0.15
READ = ["base", "sidekick", "variant", "reversed", "nll_fit", "flops_balance"]
"""Columns that decide."""


class Suggested(NamedTuple):
    """What a page offers to begin with."""

    first: str
    """The affordable sidekick whose duo has the lowest NLL on the fit split; the lowest of all where none is affordable. A sidekick
    that is more accurate than the base comes last."""
    presets: dict[str, str]
    """Sidekicks by what they are best at on the fit split; a preset that has none is left out. Those that are more accurate than
    the base are none."""


def suggested(table: pd.DataFrame) -> Suggested:
    """Return the sidekicks to begin with, given the rows of all sidekicks of one base."""
    duos = table.loc[table["variant"] == "duo", READ]
    best = chosen_under(duos, "flops_balance", math.inf)
    found = {
        f"Best under +{BUDGET * 100:.0f} %": chosen_under(duos, "flops_balance", BUDGET),
        "Best": best,
        "Cheapest": best_under(duos[~duos["reversed"]], "flops_balance", "flops_balance", math.inf, higher_is_better=False),
    }
    first = chosen_under(duos, "flops_balance", AFFORDABLE) or best
    shown = first.best["sidekick"] if first else duos.loc[duos["nll_fit"].idxmin(), "sidekick"]
    return Suggested(str(shown), {label: advice.best["sidekick"] for label, advice in found.items() if advice})
