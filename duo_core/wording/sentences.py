"""What is said of numbers in one and the same way on the pages and in reports: labels, differences, verdicts, fits."""

from collections.abc import Mapping, Sequence
from typing import Literal

from duo_core.analysis.claims import RULE, Claim, Verdict, by_chance
from duo_core.analysis.diagnosis import Exchange
from duo_core.common.numbers import decimals_from_zero, number, percent, share
from duo_core.figures.screen import SCREEN
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import FEW, LEVEL, UNBIASED, Interval
from duo_core.systems.duo import Fit

SIGNS: dict[Verdict, str] = {"holds": "✓", "contradicted": "✗", "inconclusive": "?", "too few models": "–"}
"""Of a claim's verdict."""

UNCLEAR = "no clear difference"
"""What is said of a difference whose interval holds 0."""
Effect = Literal["better", "worse", "unclear"]
"""What a difference to another system comes to."""


def label(key: str) -> str:
    """A metric's name with the factor that it is shown in.

    >>> label("aurc"), label("accuracy")
    ('AURC × 1000', 'Accuracy')
    """
    return METRICS[key].label + (" × 1000" if SCREEN[key].factor == 1000 else "")


def effect(key: str, gain: Interval | None) -> Effect:
    """What a difference in a metric comes to; unclear where its interval holds 0, or where it has none.

    >>> effect("aurc", Interval(-0.001, -0.002, -0.0005)), effect("aurc", Interval(-0.001, -0.002, 0.0005)), effect("ece", None)
    ('better', 'unclear', 'unclear')
    """
    if gain is None or not gain.stands:
        return "unclear"
    return "better" if (gain.estimate > 0) == METRICS[key].higher_is_better else "worse"


def headline(balance: float | None, base: float, duo: float, gain: Interval | None = None) -> str:
    """What a duo buys, for how much, given both accuracies and the interval of their difference, without which nothing is claimed.

    >>> headline(0.33, 0.933, 0.939, Interval(0.006, 0.002, 0.009))
    '33 % more compute, errors down from 6.7 % to 6.1 %'
    >>> headline(0.25, 0.847, 0.854, Interval(0.007, -0.009, 0.023))
    '25 % more compute, no clear difference in errors: 15.3 % and 14.6 %'
    >>> headline(None, 0.933, 0.939)
    'Cost unknown, errors 6.7 % and 6.1 %'
    """
    cost = "Cost unknown" if balance is None else f"{share(balance)} more compute"
    before, after = percent(1 - base), percent(1 - duo)
    if gain is None:
        return f"{cost}, errors {before} and {after}"
    found = effect("accuracy", gain)
    if found == "unclear":
        return f"{cost}, {UNCLEAR} in errors: {before} and {after}"
    return f"{cost}, errors {'down' if found == 'better' else 'up'} from {before} to {after}"


def reversed_line(base: str, sidekick: str, splits: Sequence[str], better: str) -> str:
    """That the sidekick is the better member, on which splits, and over which member gains are.

    >>> reversed_line("large", "small", ["val", "test"], "sidekick")
    'On val and test small alone is more accurate than large: this is no asymmetric duo. Gains are over small, the better member.'
    """
    name, there = (base, " where it is judged") if better == "base" else (sidekick, "")
    return (
        f"On {' and '.join(splits)} {sidekick} alone is more accurate than {base}: this is no asymmetric duo. Gains are over "
        f"{name}, the better member{there}."
    )


def decimals(key: str) -> int:
    """Of a metric's difference; percent become percentage points with two."""
    return 2 if points(key) else SCREEN[key].decimals


def points(key: str) -> str:
    """The unit of a metric's difference: percentage points where it is shown in percent, else nothing.

    >>> points("accuracy"), points("aurc")
    (' pp', '')
    """
    return " pp" if SCREEN[key].unit.strip() == "%" else ""


def signed(key: str, value: float) -> str:
    """A difference of a metric as a signed number.

    >>> signed("aurc", -0.0004), signed("accuracy", 0.01), signed("accuracy", -1e-6)
    ('−0.40', '+1.00', '0.00')
    """
    return number(value * SCREEN[key].factor, decimals(key), sign=True)


def both_ends(key: str, gain: Interval) -> tuple[str, str]:
    """Both ends of the interval of a difference; that of one that leaves 0 out does not look like 0.

    >>> both_ends("accuracy", Interval(0.0053, 0.00002, 0.0085)), both_ends("accuracy", Interval(0.0053, -0.00002, 0.0085))
    (('+0.002', '+0.85'), ('0.00', '+0.85'))
    """
    low, high = (end * SCREEN[key].factor for end in (gain.low, gain.high))
    shown = [decimals_from_zero(end, decimals(key)) if gain.stands else decimals(key) for end in (low, high)]
    return number(low, shown[0], sign=True), number(high, shown[1], sign=True)


def ends(key: str, gain: Interval) -> str:
    """The interval of a difference.

    >>> ends("accuracy", Interval(0.0053, -0.002, 0.0085))
    '−0.20 to +0.85'
    """
    return " to ".join(both_ends(key, gain))


def verdict(key: str, gain: Interval) -> str:
    """A difference of a metric with its interval, and whether it is significant.

    >>> verdict("aurc", Interval(-0.001, -0.002, 0.0005)), verdict("aurc", Interval(-0.001, -0.002, -0.0005))
    ('−1.00, 95 % interval −2.00 to +0.50: **not significant**', '−1.00, 95 % interval −2.00 to −0.50: **significantly better**')
    """
    said = SIGNIFICANT[effect(key, gain)]
    exact = "" if gain.p_value is None else f" ({exactly(gain.p_value)})"
    return f"{signed(key, gain.estimate)}{points(key)}, {percent(gain.level, 0)} interval {ends(key, gain)}: **{said}**{exact}"


SIGNIFICANT: dict[Effect, str] = {"better": "significantly better", "worse": "significantly worse", "unclear": "not significant"}


def difference(key: str, gain: Interval) -> str:
    """A difference with its interval, and the test that decided where one did.

    >>> difference("accuracy", Interval(0.0053, -0.002, 0.0085))
    '+0.53 pp, 95 % interval −0.20 to +0.85'
    """
    exact = "" if gain.p_value is None else f"; {exactly(gain.p_value)}"
    return f"{signed(key, gain.estimate)}{points(key)}, {percent(gain.level, 0)} interval {ends(key, gain)}{exact}"


def exactly(p_value: float) -> str:
    """Which test decided where few images differ.

    >>> exactly(0.125)
    'exact McNemar test, as the two differ on fewer than 10 images: p = 0.125'
    """
    return f"exact McNemar test, as the two differ on fewer than {FEW} images: p = {p_value:.3g}"


def no_interval(key: str) -> str:
    """Why a difference of a metric has no interval and no verdict.

    >>> no_interval("auroc")
    'AUROC is undefined here.'
    """
    if key in UNBIASED:
        return f"{label(key)} is undefined here."
    return f"{label(key)} has no interval: drawing images anew raises it by itself, most of all for a well calibrated system."


def drawn(replicates: int, seed: int, level: float = LEVEL) -> str:
    """How intervals of differences came about."""
    return (
        f"{percent(level, 0)} intervals by the paired bootstrap: the images are drawn anew with replacement {replicates:,} times "
        f"(seed {seed}), and both systems are judged on each draw. A difference is significant where its interval excludes 0. "
        f"Where one is right and the other wrong on fewer than {FEW} images, an exact McNemar test decides accuracy and macro F1. "
        "Differences in ECE have no interval: drawing images anew raises an ECE by itself."
    )


def exchanged(counted: Exchange, base: str) -> str:
    """What a duo does to single images.

    >>> exchanged(Exchange(90, 6, 1, 3), "large")
    'The duo is right on **6** images that large gets wrong, and wrong on **1** that large gets right: 5 more right of 100.'
    """
    net = counted.rescued - counted.harmed
    return (
        f"The duo is right on **{counted.rescued:,}** image{'s' * (counted.rescued != 1)} that {base} gets wrong, and wrong on "
        f"**{counted.harmed:,}** that {base} gets right: {abs(net):,} {'more' if net >= 0 else 'fewer'} right of {sum(counted):,}."
    )


def fit_warnings(fit: Fit, names: Mapping[str, str]) -> list[str]:
    """What a reader should know about an unusual fit; `names` of base and sidekick."""
    said = []
    if fit.temperatures.sidekick == 0:
        said.append(f"The sidekick is off: adding {names['sidekick']} does not help {names['base']}, so its temperature is 0.")
    if fit.temperatures.base == 0:
        said.append(f"The base is off: adding {names['base']} does not help {names['sidekick']}, so its temperature is 0.")
    if fit.separated:
        which = " and ".join(names.get(name, f"the {name}") for name in fit.separated)
        said.append(
            f"On the fit split {which} can get every image right (perfect separation): larger temperatures then always fit "
            "better, so the fit stopped at its bound. More images to fit on would settle it."
        )
    return said


def chosen_and_judged(fit_split: str, split: str) -> str:
    """Which split chose, and which one judges.

    >>> chosen_and_judged("val", "test")
    'Chosen by the lowest NLL (cross-entropy) of the duo on val, then judged on test.'
    """
    return f"Chosen by the lowest NLL (cross-entropy) of the duo on {fit_split}, then judged on {split}."


def said(verdict: Verdict) -> str:
    """A claim's verdict with its sign.

    >>> said("contradicted")
    '✗ contradicted'
    """
    return f"{SIGNS[verdict]} {verdict}"


def claims_rule(found: Sequence[Claim]) -> str:
    """How claims are judged, and how their intervals came about."""
    own = next((claim.interval for claim in found if claim.interval), None)
    if own is None:
        return RULE
    images = any(claim.images for claim in found)
    others = "of parts of the images" if images else "none of the images, which stay as they are"
    return (
        f"{RULE} Intervals: {percent(own.level, 0)}, from {own.replicates:,} draws of the models (seed {own.seed}) and {others}. "
        "Pairs are not drawn one by one, since they share models and images."
    )


def claims_that_hold(found: Sequence[Claim]) -> str:
    """How many claims hold, as the beginning of a sentence.

    >>> claims_that_hold([])
    'Too few models to judge a claim'
    """
    if all(claim.verdict == "too few models" for claim in found):
        return "Too few models to judge a claim"
    holds = sum(claim.verdict == "holds" for claim in found)
    return f"{holds} of {len(found)} claims hold{'s' * (len(found) == 1)}"


def claims_by_chance(found: Sequence[Claim]) -> str:
    """How many claims chance alone would have hold; nothing where none was judged."""
    expected, judged = by_chance(found), sum(claim.verdict != "too few models" for claim in found)
    if not judged:
        return ""
    return (
        f"By chance alone, up to {expected:.1f} of the {judged} claims that were judged would hold and as many be contradicted "
        "(each once in 40 times), often several together, as they are about the same pairs."
    )


def reversed_pairs(count: int, of: int, where: str) -> str:
    """Pairs that are left out because their sidekick is the better member; nothing where none is.

    >>> reversed_pairs(17, 78, "val")
    '17 of 78 pairs are left out: on val their sidekick is more accurate than their base.'
    """
    if not count:
        return ""
    return f"{count} of {of} pairs are left out: on {where} their sidekick is more accurate than their base."
