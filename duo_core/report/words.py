"""Numbers in words, as a report says them."""

import math
from collections.abc import Mapping
from html import escape

import pandas as pd

from duo_core.analysis.diagnosis import Exchange
from duo_core.duo import Fit
from duo_core.figures.screen import SCREEN
from duo_core.intervals import LEVEL, Interval
from duo_core.metrics import METRICS
from duo_core.report.markup import Number

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


def percent(value: float | None, decimals: int = 1) -> str:
    """A fraction in percent.

    >>> percent(0.0667), percent(None)
    ('6.7 %', 'n/a')
    """
    return "n/a" if _undefined(value) else f"{value * 100:.{decimals}f} %"  # type: ignore[operator]


def cost(balance: float | None) -> str:
    """What a sidekick adds to its base's multiply-adds.

    >>> cost(0.33), cost(0.084), cost(None)
    ('+33 %', '+8.4 %', 'unknown')
    """
    if balance is None or math.isnan(balance):
        return "unknown"
    return f"+{percent(balance, 0 if balance >= 0.0995 else 1)}"


def label(key: str) -> str:
    """A metric's name with the factor that it is shown in.

    >>> label("aurc"), label("accuracy")
    ('AURC × 1000', 'Accuracy')
    """
    return METRICS[key].label + (" × 1000" if SCREEN[key].factor == 1000 else "")


def headline(balance: float | None, base: float, duo: float) -> str:
    """What a duo buys in accuracy, and for how much.

    >>> headline(0.33, 0.933, 0.939)
    '33 % more compute, errors down from 6.7 % to 6.1 %.'
    """
    price = "Cost unknown" if balance is None else f"{cost(balance)[1:]} more compute"
    before, after = percent(1 - base), percent(1 - duo)
    if before == after:
        return f"{price}, errors stay at {before}."
    return f"{price}, errors {'down' if duo > base else 'up'} from {before} to {after}."


def signed(key: str, value: float) -> str:
    """A difference of a metric, in percentage points where it is shown in percent.

    >>> signed("aurc", -0.0004), signed("accuracy", 0.01)
    ('−0.40', '+1.00')
    """
    screen = SCREEN[key]
    decimals = 2 if screen.unit.strip() == "%" else screen.decimals
    return f"{value * screen.factor:+.{decimals}f}".replace("-", "−")


def spread(key: str, gain: Interval) -> str:
    """A difference with its interval, and a star where it stands.

    >>> spread("accuracy", Interval(0.0053, 0.002, 0.0085)).replace(NARROW, " ")
    '+0.53 pp [+0.20, +0.85] *'
    """
    unit = " pp" if SCREEN[key].unit.strip() == "%" else ""
    between = f"[{signed(key, gain.low)}, {signed(key, gain.high)}]{' *' * gain.stands}"
    return f"{signed(key, gain.estimate)}{unit} {between.replace(' ', NARROW)}"


def verdict(key: str, gain: Interval | None) -> str:
    """Whether a difference would stand on other images.

    >>> verdict("aurc", Interval(-0.001, -0.002, -0.0005))
    'AURC × 1000 −1.00, 95 % interval −2.00 to −0.50: **the gain stands**.'
    """
    if gain is None:
        return f"{label(key)} is undefined here."
    better = (gain.estimate > 0) == METRICS[key].higher_is_better
    said = f"the {'gain' if better else 'loss'} stands" if gain.stands else "it may be chance"
    unit = " pp" if SCREEN[key].unit.strip() == "%" else ""
    between = f"{signed(key, gain.low)} to {signed(key, gain.high)}"
    return f"{label(key)} {signed(key, gain.estimate)}{unit}, {percent(gain.level, 0)} interval {between}: **{said}**."


def draws(replicates: int, seed: int) -> str:
    """How the intervals came about."""
    return (
        f"Intervals of {percent(LEVEL, 0)}: paired bootstrap over the images, {replicates:,} draws, seed {seed}. "
        "A star marks a difference whose interval leaves out 0."
    )


def exchanged(counted: Exchange, base: str) -> str:
    """What a duo does to single images.

    >>> exchanged(Exchange(90, 6, 1, 3), "large")
    'The duo is right on **6** images that large gets wrong, and wrong on **1** that large gets right: 5 more right of 100.'
    """
    net = counted.rescued - counted.harmed
    return (
        f"The duo is right on **{counted.rescued:,}** images that {base} gets wrong, and wrong on **{counted.harmed:,}** that "
        f"{base} gets right: {abs(net):,} {'more' if net >= 0 else 'fewer'} right of {sum(counted):,}."
    )


def fit_warnings(fit: Fit, names: Mapping[str, str]) -> list[str]:
    """What is unusual about a fit; `names` of base and sidekick."""
    said = [
        f"{name} says nothing that helps the other model, so its temperature is 0."
        for role, name in names.items()
        if fit.temperatures._asdict()[role] == 0
    ]
    if fit.separated:
        which = " and ".join(names.get(name, "the duo") for name in fit.separated)
        said.append(
            f"The fit split is separated perfectly by {which}: no finite temperature is best, so the fit stopped at its bound."
        )
    return said


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
