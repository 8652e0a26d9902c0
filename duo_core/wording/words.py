"""Numbers in words: labels, sentences and cards; no widgets, no arithmetic on images."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from duo_core.common.numbers import MINUS, number, percent, share
from duo_core.figures.screen import SCREEN
from duo_core.figures.zoo import PowerLaw
from duo_core.logits.store.journal import UnderWay
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval
from duo_core.systems.duo import Fit
from duo_core.wording.sentences import UNCLEAR, both_ends, decimals, effect, ends, exactly, fit_warnings, headline, reversed_line
from duo_core.wording.sentences import label as card_label
from duo_core.wording.sentences import points as unit

__all__ = [
    "RATIO",
    "beside",
    "card_label",
    "delta",
    "filling",
    "fit_line",
    "fit_warnings",
    "headline",
    "hidden_costs",
    "listed",
    "model_label",
    "no_costs",
    "operating_point",
    "percent",
    "points",
    "reversed_line",
    "share",
    "short_names",
    "slowdown_line",
    "speed_line",
    "standing",
    "weights_line",
    "within",
    "would_be",
]
"""What pages say; some of it is said by reports too."""


def model_label(name: str, accuracy: float, balance: float | None = None) -> str:
    """A model in a list: its name, what it adds as a sidekick, and its accuracy, which a narrow list may cut off.

    >>> model_label("resnet20", 0.917, 0.33), model_label("resnet56", 0.933)
    ('resnet20 · +33 % · 91.7 %', 'resnet56 · 93.3 %')
    """
    return " · ".join([name, *([] if balance is None else [f"+{share(balance)}"]), percent(accuracy)])


def short_names(names: Sequence[str], longest: int = 22) -> dict[str, str]:
    """Names that are shortened in the middle, where that leaves them apart.

    >>> short_names(["resnet20", "vit_base_patch16_224.augreg_in21k"])
    {'resnet20': 'resnet20', 'vit_base_patch16_224.augreg_in21k': 'vit_base_pa…greg_in21k'}
    """
    head, tail = longest // 2, longest - longest // 2 - 1
    short = {name: name if len(name) <= longest else f"{name[:head]}…{name[-tail:]}" for name in names}
    count = Counter(short.values())
    return {name: shown if count[shown] == 1 else name for name, shown in short.items()}


def operating_point(coverage: float, duo: float, alone: float, better: str = "base", own: str = "duo") -> str:
    """What is wrong among the images kept, with the duo (its `own` name) and with its better member alone.

    >>> operating_point(0.83, 0.019, 0.031)
    'Of the surest 83 %, **1.9 %** are wrong with the duo; with the base alone 3.1 %'
    """
    wrong, other = (percent(risk, 1 if alone >= 0.01 else 2) for risk in (duo, alone))
    return f"Of the surest {percent(coverage, 0)}, **{wrong}** are wrong with the {own}" + (
        f", as with the {better} alone" if wrong == other else f"; with the {better} alone {other}"
    )


def delta(key: str, value: float | None, base: float | None) -> str | None:
    """Difference of a metric to the base's as a card shows it; percent become percentage points.

    >>> delta("accuracy", 0.939, 0.933), delta("aurc", 0.004, 0.005), delta("auroc", 0.9, 0.9)
    ('+0.60 pp', '−1.00', None)
    """
    if value is None or base is None:
        return None
    text = number((value - base) * SCREEN[key].factor, decimals(key), sign=True)
    return text + unit(key) if text[0] in "+−" else None


def beside(key: str, value: float | None, other: float | None, name: str) -> str | None:
    """What stands beside the difference, as shown, to a value of that name.

    >>> [beside("auroc", value, 0.9, "base") for value in (0.8, 0.9, 0.90001, None)]
    ['vs base', 'same as base', 'same as base', None]
    """
    if value is None or other is None:
        return None
    return f"vs {name}" if delta(key, value, other) else f"same as {name}"


RATIO = (
    "Ratio of the two temperatures, base over sidekick, each relative to the one that calibrates its model alone. Above 1 the base "
    "has more say, below 1 the sidekick."
)


def weights_line(fit: Fit) -> str:
    """The duo as a formula, and that its temperatures multiply.

    >>> from duo_core.systems.duo import Temperatures
    >>> weights_line(Fit(Temperatures(0.402, 0.144), Temperatures(1.0, 1.0), {}, 0.0, 3))
    'Duo logits = **0.402** × base logits + **0.144** × sidekick logits. The two weights are its temperatures, T_base and \
T_sidekick; they multiply the logits.'
    """
    base, sidekick = fit.temperatures
    return (
        f"Duo logits = **{base:.3f}** × base logits + **{sidekick:.3f}** × sidekick logits. The two weights are its temperatures, "
        "T_base and T_sidekick; they multiply the logits."
    )


def fit_line(fit: Fit, images: int, seconds: float) -> str:
    """How the temperatures came about, in one line."""
    base, sidekick = fit.temperatures
    ratio = "undefined" if fit.ratio is None else f"{fit.ratio:.2f}"
    raw = f" (without that {base / sidekick:.2f})" if sidekick else ""
    return (
        f"**T_base {base:.3f}** · **T_sidekick {sidekick:.3f}** · ratio {ratio}, each relative to its model's own calibration{raw}"
        f". Fitted on {images:,} images in {fit.steps} Newton steps, {seconds * 1000:.0f} ms, gradient {fit.gradient:.0e}"
    )


def points(error: float) -> str:
    """A difference of fractions in percentage points, rounded up so that it stays a bound.

    >>> points(0.00109), points(0.0)
    ('0.11 percentage points', '0.00 percentage points')
    """
    return f"{math.ceil(error * 1e4 - 1e-9) / 100:.2f} percentage points"


def no_costs(column: str) -> str:
    """Why a chart does not stand on FLOPs balance, given the column it stands on; nothing where it does."""
    reason = "This set does not say how many multiply-adds every model takes, so sidekicks are placed by "
    return {
        "parameter_balance": reason + "their parameters instead.",
        "sidekick_accuracy": reason + "their own accuracy instead.",
    }.get(column, "")


def hidden_costs(hidden: Collection[str]) -> str:
    """Why costs are not offered; nothing where all are.

    >>> hidden_costs(["throughput_balance"])
    'Not offered, as the set does not say enough: time (throughput of both models on one device).'
    """
    needs = {
        "flops_balance": "compute (multiply-adds of both models)",
        "throughput_balance": "time (throughput of both models on one device)",
        "parameter_balance": "parameters of both models",
    }
    return f"Not offered, as the set does not say enough: {'; '.join(needs[cost] for cost in hidden)}." if hidden else ""


def speed_line(law: PowerLaw) -> str:
    """How well multiply-adds tell the speed.

    >>> speed_line(PowerLaw((1.0, 1.0), -0.9, 0.938))
    'With twice the multiply-adds a model is 1.9 times as slow, by the fitted line. Multiply-adds explain 94 % of the variance in \
speed (R² 0.938, both on logarithmic scales).'
    """
    slower = 2**-law.exponent
    return (
        f"With twice the multiply-adds a model is {slower:.1f} times as slow, by the fitted line. Multiply-adds explain "
        f"{percent(law.r_squared, 0)} of the variance in speed (R² {law.r_squared:.3f}, both on logarithmic scales)."
    )


def slowdown_line(r_squared: float | None, pairs: int) -> str:
    """How well the FLOPs balance tells what a duo adds to the time.

    >>> slowdown_line(0.795, 12), slowdown_line(None, 0)
    ("Base and sidekick run one after the other. The sidekick's share of the base's multiply-adds (FLOPs balance) explains 80 % of \
the variance in slowdown over 12 pairs (R² 0.795; in the paper 0.795).", 'To fit a line takes pairs of different cost.')
    """
    if r_squared is None:
        return "To fit a line takes pairs of different cost."
    return (
        "Base and sidekick run one after the other. The sidekick's share of the base's multiply-adds (FLOPs balance) explains "
        f"{percent(r_squared, 0)} of the variance in slowdown over {pairs:,} pairs (R² {r_squared:.3f}; in the paper 0.795)."
    )


def listed(names: Sequence[str]) -> str:
    """Names in a row.

    >>> listed(["AUROC"]), listed(["accuracy", "AUROC", "AURC"])
    ('AUROC', 'accuracy, AUROC and AURC')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def within(key: str, gain: Interval | None) -> str | None:
    """The interval of a difference as it stands beside it on a card, and that it says nothing where it holds 0.

    >>> within("aurc", Interval(-0.001, -0.002, 0.0005)), within("aurc", Interval(-0.001, -0.002, -0.0005))
    ('−2.00 to +0.50 · no clear difference', '−2.00 to −0.50')
    """
    if gain is None:
        return None
    return ends(key, gain) + (f" · {UNCLEAR}" if effect(key, gain) == "unclear" else "")


def would_be(key: str, gain: Interval, other: str = "base") -> str:
    """Where a metric would lie beside the base's, or the sidekick's, with other images.

    >>> would_be("accuracy", Interval(0.0053, 0.002, 0.0085)), would_be("aurc", Interval(0.0, -0.001, 0.0005))
    ('0.20 to 0.85 percentage points (pp) above the base', '1.00 below to 0.50 above the base')
    """
    said = " percentage points (pp)" if unit(key) else ""
    low, high = (end.strip(f"+{MINUS}") for end in both_ends(key, gain))
    if gain.low == gain.high == 0:
        return f"the same as the {other}"
    if gain.low < 0 < gain.high:
        return f"{low} below to {high}{said} above the {other}"
    ends = (low, high) if gain.low >= 0 else (high, low)
    return f"{ends[0]} to {ends[1]}{said} {'above' if gain.high > 0 else 'below'} the {other}"


def standing(gains: Mapping[str, Interval | None], other: str = "base") -> str:
    """Whether differences to the base, or to the sidekick, are significant, by metric.

    >>> standing({"accuracy": Interval(0.0053, 0.002, 0.0085), "aurc": Interval(-0.001, -0.002, -0.0005), "auroc": None})
    'With other images of this kind, accuracy would be 0.20 to 0.85 percentage points (pp) above the base (95 % interval). \
**Significantly better: accuracy and AURC.** AUROC has no interval.'
    """
    known = {key: gain for key, gain in gains.items() if gain is not None}
    up, down, chance = (
        [_in_sentence(key) for key, gain in known.items() if effect(key, gain) == found] for found in ("better", "worse", "unclear")
    )
    undefined = [_in_sentence(key) for key in gains if key not in known]
    said = [f"**Significantly {what}: {listed(names)}.**" for what, names in (("better", up), ("worse", down)) if names]
    said += [f"{UNCLEAR.capitalize()} (not significant): {listed(chance)}."] if chance else []
    said += [f"{listed(undefined)} {'have' if len(undefined) > 1 else 'has'} no interval."] if undefined else []
    first = next(iter(known), None)
    if first is not None:
        level = percent(known[first].level, 0)
        between = would_be(first, known[first], other)
        said.insert(0, f"With other images of this kind, {_in_sentence(first)} would be {between} ({level} interval).")
        if (p_value := known[first].p_value) is not None:
            said.insert(1, f"Whether it is significant is decided by the {exactly(p_value)}.")
    return " ".join(said)


def _in_sentence(key: str) -> str:
    return "accuracy" if key == "accuracy" else METRICS[key].label


def filling(now: UnderWay) -> str:
    """Say how far a run is that fills a set.

    >>> filling(UnderWay(models=2, done=3_000, total=12_000))
    'A run is computing 2 models for this set: 25 % of 12,000 predictions. They appear here when they are whole.'
    """
    models = "1 model" if now.models == 1 else f"{now.models:,} models"
    share = math.floor(100 * now.done / now.total) if now.total else 0
    them = "It appears here when it is" if now.models == 1 else "They appear here when they are"
    return f"A run is computing {models} for this set: {share} % of {now.total:,} predictions. {them} whole."
