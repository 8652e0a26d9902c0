"""Numbers in a report's cells, and what only reports say of them."""

import math
from html import escape

import pandas as pd

from duo_core.common.numbers import share
from duo_core.figures.screen import SCREEN
from duo_core.metrics.intervals import Interval
from duo_core.report.markup import Number
from duo_core.wording.sentences import both_ends, drawn, label, no_interval, points, signed, verdict

MEANINGS = {
    "accuracy": "Share of images classified right.",
    "macro_f1": "Mean F1 over the classes: every class counts the same, however rare.",
    "nll": "Negative log-likelihood of the labels, in nats: punishes being sure and wrong.",
    "brier": "Squared distance of the probabilities to the labels, from 0 to 2.",
    "ece": "Expected calibration error: how far confidence and accuracy lie apart, over 15 bins of confidence.",
    "auroc": "The chance that an image classified right is surer than one classified wrong, ties counting one half.",
    "aurc": "Area under the risk-coverage curve: the mean error of the surest images, over all coverages.",
    "sac98": "The largest share of images that can be answered with 98 % of the answers right.",
}
"""What each metric is, in a sentence."""

NARROW = "\u202f"
"""A space at which no line breaks."""


def cost(balance: float | None) -> str:
    """What a sidekick adds to its base's multiply-adds.

    >>> cost(0.33), cost(0.084), cost(None)
    ('+33 %', '+8.4 %', 'unknown')
    """
    if balance is None or math.isnan(balance):
        return "unknown"
    return f"+{share(balance)}"


def cell(key: str, gain: Interval | None) -> str:
    """A difference with its interval as a table's cell has room for it, and a star where it is significant; nothing without one.

    >>> cell("accuracy", Interval(0.0053, 0.002, 0.0085)).replace(NARROW, " "), cell("accuracy", None)
    ('+0.53 pp [+0.20, +0.85] *', '')
    """
    if gain is None:
        return ""
    between = f"[{', '.join(both_ends(key, gain))}]{' *' * gain.stands}"
    return f"{signed(key, gain.estimate)}{points(key)} {between.replace(' ', NARROW)}"


def stands(key: str, gain: Interval | None, other: str = "") -> str:
    """A metric's difference, to another system where it is not the base, in a sentence.

    >>> stands("auroc", None), stands("aurc", Interval(-0.001, -0.002, 0.0))
    ('AUROC is undefined here.', 'AURC × 1000 −1.00, 95 % interval −2.00 to 0.00: **not significant**.')
    """
    against = f" against {other}" if other else ""
    return no_interval(key) if gain is None else f"{label(key)}{against} {verdict(key, gain)}."


def draws(replicates: int, seed: int) -> str:
    """How the intervals came about, and what a star is."""
    return f"{drawn(replicates, seed)} A star marks those that are significant."


def number(value: float | None, text: str | None = None, *, decimals: int = 4) -> Number:
    """A number for a table; without a text of its own `n/a` where it is undefined.

    >>> number(None).text, number(0.25).text
    ('n/a', '0.2500')
    """
    return Number(value, text if text is not None else "n/a" if _undefined(value) else f"{value:.{decimals}f}")


def measured(key: str, value: float | None, note: str = "") -> Number:
    """A metric's value for a table."""
    return Number(value, SCREEN[key].text(value), note)


def whole(value: float | None) -> Number:
    """A count for a table."""
    return number(value, None if _undefined(value) else f"{value:,.0f}")


def undrawn(table: pd.DataFrame) -> pd.DataFrame:
    """The table with names as a chart must be given them: what charts take for markup is escaped."""
    names = {"base", "sidekick", "family"} & set(table)
    return table.assign(**{column: table[column].map(plain) for column in names})


def plain(name: str) -> str:
    """A name as a chart must be given it.

    >>> plain("<b>a</b>")
    '&lt;b&gt;a&lt;/b&gt;'
    """
    return escape(name, quote=False)


def _undefined(value: float | None) -> bool:
    return value is None or math.isnan(value)
