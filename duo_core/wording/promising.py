"""What thresholds give beside what was asked of them, in words and as a table."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from duo_core.analysis.guarantee import GUARANTEED, METHODS
from duo_core.common.numbers import percent
from duo_core.figures.screen import LABELS

SELDOM = 0.01
"""Chance below which splits are said to differ in kind."""

TARGETS = ("0.1", "0.2", "0.5", "1", "1.5", "2", "3", "4", "5", "7.5", "10", "15", "20", "30")
"""Risks that may be promised, in percent."""
CONFIDENCES = ("90", "95", "99")
"""Of the guarantee, in percent."""
SAID = (GUARANTEED, "empirical")
"""Methods that are told of in sentences."""
MEANING = (
    "How often the guarantee is kept: if the threshold were chosen again and again, each time on other images of the same kind, in "
    "this share of cases its risk (the share of wrong answers) on new images would be at most the target. SGR guarantees the same "
    "by an older search, which on few images often finds no threshold; the empirical threshold guarantees nothing."
)


def promise_lines(table: pd.DataFrame, target: float, split: str) -> list[str]:
    """What the duo's thresholds give on a split, and the base's where it answers more: one sentence each; SGR is for the table."""
    rows = {system: part.set_index("method").to_dict("index") for system, part in table.groupby("system")}
    return [
        f"**{METHODS[method]}:** the duo {promise_line(rows['duo'][method], target, split)}"
        + base_line(rows["base"][method], rows["duo"][method])
        for method in SAID
    ]


def base_line(base: Mapping[str, Any], duo: Mapping[str, Any]) -> str:
    """The base's coverage and risk, where it answers more than the duo; nothing elsewhere.

    >>> base_line({"judged_coverage": 0.85, "judged_risk": 0.019}, {"judged_coverage": 0.83})
    ' **The base alone answers more: 85.0 %**, of which 1.90 % are wrong.'
    """
    if not base["judged_coverage"] > duo["judged_coverage"]:
        return ""
    coverage, wrong = percent(base["judged_coverage"]), percent(base["judged_risk"], 2)
    return f" **The base alone answers more: {coverage}**, of which {wrong} are wrong."


def promise_line(row: Mapping[str, Any], target: float, split: str) -> str:
    """What one threshold gives on a split.

    >>> row = {"threshold": 0.2, "judged_coverage": 0.83, "judged_risk": 0.0185, "met": True}
    >>> promise_line(row, 0.02, "test")
    'answers **83.0 %** of test, of which **1.85 %** are wrong: **target met** ✓.'
    """
    if pd.isna(row["threshold"]):
        return f"finds no threshold at which at most {risk(target)} are wrong, so it answers nothing."
    if pd.isna(row["judged_risk"]):
        return f"answers nothing of {split}."
    met = "**target met** ✓" if row["met"] else "**target missed** ✗"
    return (
        f"answers **{percent(row['judged_coverage'])}** of {split}, of which **{percent(row['judged_risk'], 2)}** are wrong: {met}."
    )


def risk(value: float) -> str:
    """A target risk in percent, with the decimals it has.

    >>> risk(0.02), risk(0.075)
    ('2 %', '7.5 %')
    """
    return f"{value * 100:.10g} %"


def exchangeable_line(rates: tuple[float, float, float], base: str, fit_split: str, split: str) -> str:
    """Whether a split's images look like those that the threshold was chosen on.

    >>> exchangeable_line((0.08, 0.21, 1e-9), "large", "val", "test-blur")
    'Here that fails: large is wrong on 8.0 % of val and on 21.0 % of test-blur. Dividing one pool of images at random into the \
two would give so large a gap less than once in a million times, so **nothing is guaranteed on test-blur**.'
    >>> exchangeable_line((0.08, 0.082, 0.44), "large", "val", "test")
    'Nothing speaks against that here: large is wrong on 8.0 % of val and on 8.2 % of test. Dividing one pool of images at \
random into the two would give a gap at least as large in 44 % of cases.'
    """
    own, other, chance = rates
    seen = f"{base} is wrong on {percent(own)} of {fit_split} and on {percent(other)} of {split}"
    divided = "Dividing one pool of images at random into the two would give"
    if chance < SELDOM:
        return f"Here that fails: {seen}. {divided} so large a gap {seldom(chance)}, so **nothing is guaranteed on {split}**."
    return f"Nothing speaks against that here: {seen}. {divided} a gap at least as large in {percent(chance, 0)} of cases."


def seldom(chance: float) -> str:
    """A small probability in words.

    >>> seldom(1e-9), seldom(0.004)
    ('less than once in a million times', 'less than once in 200 times')
    """
    if chance < 1e-6:
        return "less than once in a million times"
    times = next(step for step in (100_000, 10_000, 1000, 500, 200, 100, 50, 20, 10, 5, 2, 1) if chance * step < 1)
    return f"less than once in {times:,} times"


def promise_table(table: pd.DataFrame, fit_split: str, split: str, names: Mapping[str, str] = LABELS) -> pd.DataFrame:
    """The thresholds as a table of words; whether the target was met in words and a sign. `names` are the systems'."""
    return pd.DataFrame(
        {
            "System": table["system"].map(names),
            "Threshold": table["method"].map(METHODS),
            "Uncertainty up to": [_number(value) for value in table["threshold"]],
            f"On {fit_split}": _answers(table, "fit"),
            "Bound": [_wrong(value) for value in table["bound"]],
            f"On {split}": _answers(table, "judged"),
            "Target": ["– nothing answered" if pd.isna(met) else "✓ met" if met else "✗ missed" for met in table["met"]],
        }
    ).set_index("System")


def _answers(table: pd.DataFrame, where: str) -> list[str]:
    pairs = zip(table[f"{where}_coverage"], table[f"{where}_risk"], strict=True)
    return [f"{percent(coverage)} answered" + ("" if pd.isna(wrong) else f", {_wrong(wrong)} wrong") for coverage, wrong in pairs]


def _number(value: float) -> str:
    return "none" if pd.isna(value) else f"{value:.4g}"


def _wrong(value: float) -> str:
    return "–" if pd.isna(value) else percent(value, 2)
