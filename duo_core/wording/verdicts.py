"""Claims in words: verdicts, what they rest on, and tables."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from duo_core.analysis.claims import MODELS, Claim, Verdict
from duo_core.common.numbers import percent
from duo_core.figures.claims import on_screen, range_picture
from duo_core.metrics.intervals import Interval
from duo_core.wording.sentences import SIGNS, claims_that_hold, said


def headline(found: Sequence[Claim], title: str) -> str:
    """How many claims hold on a set."""
    return f"{claims_that_hold(found)} on {title}"


def counted(found: Sequence[Claim]) -> str:
    """How many claims have which verdict."""
    count = Counter(claim.verdict for claim in found)
    plural: dict[Verdict, str] = {
        "holds": "hold",
        "contradicted": "are contradicted",
        "inconclusive": "are inconclusive",
        "too few models": "have too few models",
    }
    return " · ".join(f"{sign} **{count[verdict]}** {plural[verdict]}" for verdict, sign in SIGNS.items())


def agreement(claim: Claim) -> str:
    """The share of pairs that agree, with its interval."""
    if claim.share is None:
        return "n/a"
    return f"{percent(claim.share, 0)} ({'no interval' if claim.interval is None else _ends(claim.interval)})"


def _ends(interval: Interval) -> str:
    return f"{interval.low * 100:.0f} to {interval.high * 100:.0f}"


def claims_table(found: Sequence[Claim]) -> pd.DataFrame:
    """One line a claim."""
    return pd.DataFrame(
        {
            "Verdict": [said(claim.verdict) for claim in found],
            "Claim": [claim.text for claim in found],
            "0 to 100 %": [range_picture(claim) for claim in found],
            "Pairs that agree": [agreement(claim) for claim in found],
            "Pairs": [len(claim.pairs) for claim in found],
            "Paper": [claim.source for claim in found],
        }
    )


def claims_numbers(found: Sequence[Claim]) -> pd.DataFrame:
    """The same as numbers, for a file."""
    return pd.DataFrame(
        {
            "claim": claim.text,
            "source": claim.source,
            "share": claim.share,
            "low": claim.interval and claim.interval.low,
            "high": claim.interval and claim.interval.high,
            "asked": claim.asked,
            "verdict": claim.verdict,
            "pairs": len(claim.pairs),
        }
        for claim in found
    )


def why(claim: Claim) -> str:
    """What a verdict rests on."""
    if claim.share is None:
        return f"**{said(claim.verdict)}**: this set has no pair of the kind that it is about."
    of = "comparisons between two sidekicks of one base" if claim.key == "ratio_falls" else "pairs"
    numbers = f"{percent(claim.share, 0)} of the {of} agree"
    if claim.interval is not None:
        numbers += f", {percent(claim.interval.level, 0)} interval {_ends(claim.interval)} %"
    return f"**{said(claim.verdict)}**: {numbers}; {_reason(claim)}."


def _reason(claim: Claim) -> str:
    asked = percent(claim.asked, 0)
    decided = {
        "holds": f"the whole interval lies above the {asked} that it asks for",
        "contradicted": f"the whole interval lies below the {asked} that it asks for",
        "inconclusive": f"the interval contains the {asked} that it asks for, so other models and images could decide either way",
    }
    return claim.note or decided.get(claim.verdict) or _too_few(claim)


def _too_few(claim: Claim) -> str:
    models, pairs = len({*claim.pairs["base"], *claim.pairs["sidekick"]}), len(claim.pairs)
    if claim.interval is None:
        return f"other models than these {models} might give no such pair at all, so there is no interval"
    if models < MODELS:
        return f"its pairs are made of {models} models, fewer than {MODELS}"
    return f"so few pairs ({pairs}) would all agree by chance more than once in 40 times"


def measured(claim: Claim) -> str:
    """What stands in the column `Measured`, and in which unit."""
    _, unit = on_screen(claim)
    return claim.measured.replace(": ", ", ").replace(" - ", " − ") + (f" ({unit})" if unit else "")


def pairs_table(claim: Claim) -> pd.DataFrame:
    """The pairs behind a claim; those that do not agree first."""
    factor, _ = on_screen(claim)
    return pd.DataFrame(
        {
            "Agrees": ["✓ yes" if agrees else "✗ no" for agrees in claim.pairs["agrees"]],
            "Measured": claim.pairs["delta"] * factor,
            "Base": claim.pairs["base"],
            "Sidekick": claim.pairs["sidekick"],
            "Balance": claim.pairs["flops_balance"],
        }
    )
