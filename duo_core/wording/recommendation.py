"""The recommended pair in words: why this one, and what it would lose."""

import math

import pandas as pd

from duo_core.analysis.advice import PAIR, Advice, Row, losses, worth_it
from duo_core.common.numbers import percent, share
from duo_core.figures.landscape import BY_COLUMN, UNITS
from duo_core.figures.screen import SCREEN
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval
from duo_core.systems.duo import VARIANTS
from duo_core.wording.sentences import label, no_interval, verdict


def none_within(table: pd.DataFrame, cost: str, budget: float) -> str:
    """Why nothing is recommended."""
    if table.empty:
        return "The filters leave no pair: choose another system, base or family."
    least = table[cost].min()
    if math.isnan(least) or least <= budget:
        return "No pair within the budget has a defined value: every image is right, or every one is wrong."
    cheapest = table.loc[table[cost].idxmin()]
    return f"No pair costs that little: the cheapest is {system(cheapest)} at {extra(cheapest, cost)}."


def counted_pairs(table: pd.DataFrame) -> str:
    """How many pairs stand in a table, whatever the variants.

    >>> counted_pairs(pd.DataFrame({"base": ["a", "a"], "sidekick": ["b", "b"], "variant": ["duo", "uq_only"]}))
    '1 pair'
    """
    count = len(table.drop_duplicates(PAIR))
    return f"{count} pair{'s' * (count != 1)}"


def variant_of(row: Row) -> str:
    """A row's variant in brackets; nothing for the duo."""
    return "" if row["variant"] == "duo" else f" ({VARIANTS[row['variant']].label})"


def system(row: Row) -> str:
    """A row of the table of pairs by name, its variant only where it is not the duo.

    >>> system({"base": "a", "sidekick": "b", "variant": "duo"}), system({"base": "a", "sidekick": "b", "variant": "uq_only"})
    ('a + b', 'a + b (UQ only)')
    """
    return f"{row['base']} + {row['sidekick']}{variant_of(row)}"


def signed_share(value: float) -> str:
    """A gain in percent, with its sign.

    >>> signed_share(0.124), signed_share(-0.031)
    ('+12.4 %', '−3.1 %')
    """
    return percent(value, sign=True)


def extra(row: Row, cost: str) -> str:
    """What a pair costs: beside its base alone, or both models together where pairs of several bases are compared by that.

    >>> extra({"flops_balance": 0.131}, "flops_balance"), extra({"flops_balance": float("nan")}, "flops_balance")
    ('+13 % compute', 'an unknown cost')
    >>> extra({"total_multiply_adds": 1.42e9}, "total_multiply_adds")
    '1.42 G multiply-adds in all'
    """
    total = BY_COLUMN.get(cost)
    if (cost not in UNITS and total is None) or math.isnan(row[cost]):
        return "an unknown cost"
    return f"{total.text(row[cost])} in all" if total else f"+{share(row[cost])} {UNITS[cost]}"


def why(found: Advice, key: str, cost: str, alone: float, fit_split: str) -> str:
    """Why a pair is recommended; `alone` is the value of its better member."""
    best, second = found.best, found.runner_up
    gain = "" if math.isnan(best["gain"]) else f", {signed_share(best['gain'])} of the way to perfect,"
    values = f"from {SCREEN[key].text(alone)} to **{SCREEN[key].text(best[key])}**{gain}"
    lowest = f"the lowest NLL on {fit_split} ({best['nll_fit']:.4f})"
    rank = "It is the only pair" if found.within == 1 else f"It has {lowest} of the {found.within} pairs"
    next_one = f"; next comes {system(second)} ({second['nll_fit']:.4f})" if second else ""
    return f"{rank} within the budget{next_one}. It takes {label(key)} {values} for {extra(best, cost)}."


def given_up(found: Advice, key: str, cost: str, fit_split: str) -> str:
    """What the recommended pair gives up against the one that would be chosen at any cost."""
    best, overall = found.best, found.overall
    if not found.binds:
        return f"Nothing against more expensive pairs: on {fit_split} it is the best of all {found.pairs}."
    comparable = overall["base"] == best["base"] and overall["gain"] > 0 and best["gain"] > 0
    kept = f"; this pair keeps {percent(best['gain'] / overall['gain'], 0)} of its gain" if comparable else ""
    return (
        f"Against {system(overall)}, on {fit_split} the best of all {found.pairs}, with {SCREEN[key].text(overall[key])} for "
        f"{extra(overall, cost)}{kept}."
    )


def lost_to(better: str, row: Row, alone: Row) -> str:
    """What a pair loses against the better of its members alone, given the metrics of that.

    >>> lost_to("a", {"accuracy": 0.8, "ece": 0.01}, {"accuracy": 0.7, "ece": 0.005})
    'Against a alone: ECE (0.5 % → 1.0 %).'
    """
    worse = [f"{METRICS[key].label} ({SCREEN[key].text(alone[key])} → {SCREEN[key].text(row[key])})" for key in losses(row, alone)]
    return f"Against {better} alone: {', '.join(worse) if worse else 'nothing, no metric is worse'}."


def warning(row: Row, better: str, images: int, fit_split: str, split: str) -> str:
    """Why to leave the sidekick out, given the better member and the images of the fit split; nothing where there is no reason."""
    if not worth_it(row, images):
        return (
            f"On {fit_split} the duo's NLL is not lower than a model's alone by more than 1 / {images:,}, which chance gives a "
            "second weight: leave the sidekick out."
        )
    return "" if row["gain"] > 0 else f"On {split} {better} alone is as good or better: leave the sidekick out."


def stands(key: str, difference: Interval | None, other: str) -> str:
    """Whether a difference to another system is significant.

    >>> stands("aurc", Interval(-0.001, -0.002, -0.0005), "a alone")
    'AURC against a alone: −1.00, 95 % interval −2.00 to −0.50: **significantly better**.'
    """
    if difference is None:
        return no_interval(key)
    return f"{METRICS[key].label} against {other}: {verdict(key, difference)}."
