"""Numbers in words: labels, sentences and cards; no widgets, no arithmetic on images."""

import math
from collections.abc import Collection, Mapping, Sequence

from duo_core.duo import Fit
from duo_core.figures.screen import SCREEN
from duo_core.figures.zoo import PowerLaw
from duo_core.intervals import Interval
from duo_core.metrics import METRICS


def percent(value: float, decimals: int = 1) -> str:
    """A fraction in percent.

    >>> percent(0.0667), percent(0.33, 0)
    ('6.7 %', '33 %')
    """
    return f"{value * 100:.{decimals}f} %"


def share(value: float) -> str:
    """A cost's share in percent, with as many decimals as it needs.

    >>> share(0.33), share(0.084), share(13.9)
    ('33 %', '8.4 %', '1390 %')
    """
    return percent(value, 0 if value >= 0.0995 else 1)


def model_label(name: str, accuracy: float, balance: float | None = None) -> str:
    """A model in a list: its name, accuracy and, for a sidekick, FLOPs balance.

    >>> model_label("resnet20", 0.917, 0.33), model_label("resnet56", 0.933)
    ('resnet20 · 91.7 % · +33 % FLOPs', 'resnet56 · 93.3 %')
    """
    return f"{name} · {percent(accuracy)}" + ("" if balance is None else f" · +{share(balance)} FLOPs")


def headline(balance: float | None, base_accuracy: float, duo_accuracy: float) -> str:
    """What a duo buys, for how much.

    >>> headline(0.33, 0.933, 0.939)
    '33 % more compute, errors down from 6.7 % to 6.1 %'
    >>> headline(None, 0.933, 0.933)
    'Cost unknown, errors stay at 6.7 %'
    """
    cost = "Cost unknown" if balance is None else f"{share(balance)} more compute"
    before, after = percent(1 - base_accuracy), percent(1 - duo_accuracy)
    if before == after:
        return f"{cost}, errors stay at {before}"
    return f"{cost}, errors {'down' if duo_accuracy > base_accuracy else 'up'} from {before} to {after}"


def operating_point(coverage: float, duo: float, base: float) -> str:
    """What is wrong among the images kept, by the duo instead of the base.

    >>> operating_point(0.83, 0.019, 0.031)
    'Keep 83 %: **1.9 %** wrong instead of 3.1 %'
    """
    own, other = (percent(risk, 1 if base >= 0.01 else 2) for risk in (duo, base))
    return f"Keep {percent(coverage, 0)}: **{own}** wrong " + ("as with the base alone" if own == other else f"instead of {other}")


def delta(key: str, value: float | None, base: float | None) -> str | None:
    """Difference of a metric to the base's as a card shows it; percent become percentage points.

    >>> delta("accuracy", 0.939, 0.933), delta("aurc", 0.004, 0.005), delta("auroc", 0.9, 0.9)
    ('+0.60 pp', '-1.00', None)
    """
    if value is None or base is None:
        return None
    screen = SCREEN[key]
    decimals = 2 if screen.unit.strip() == "%" else screen.decimals
    text = f"{(value - base) * screen.factor:+.{decimals}f}"
    return None if float(text) == 0 else text + (" pp" if screen.unit.strip() == "%" else "")


def beside(key: str, value: float | None, other: float | None, name: str) -> str | None:
    """What stands beside the difference, as shown, to a value of that name.

    >>> [beside("auroc", value, 0.9, "base") for value in (0.8, 0.9, 0.90001, None)]
    ['to base', 'same as base', 'same as base', None]
    """
    if value is None or other is None:
        return None
    return f"to {name}" if delta(key, value, other) else f"same as {name}"


def card_label(key: str) -> str:
    """A metric's name on a card, with the factor it is shown in.

    >>> card_label("aurc"), card_label("accuracy")
    ('AURC × 1000', 'Accuracy')
    """
    return METRICS[key].label + (" × 1000" if SCREEN[key].factor == 1000 else "")


def fit_line(fit: Fit, images: int, seconds: float) -> str:
    """How the temperatures came about, in one line."""
    base, sidekick = fit.temperatures
    ratio = "undefined" if fit.ratio is None else f"{fit.ratio:.2f}"
    raw = f" (raw {base / sidekick:.2f})" if sidekick else ""
    return (
        f"**T_base {base:.3f}** · **T_sidekick {sidekick:.3f}** · ratio {ratio}{raw} — learned from {images:,} images in "
        f"{fit.steps} Newton steps, {seconds * 1000:.0f} ms, gradient {fit.gradient:.0e}"
    )


def fit_warnings(fit: Fit, names: Mapping[str, str]) -> list[str]:
    """What a reader should know about an unusual fit; `names` of base and sidekick."""
    words = []
    if fit.temperatures.sidekick == 0:
        words.append(f"The sidekick is off: {names['sidekick']} says nothing that helps {names['base']}, so its temperature is 0.")
    if fit.temperatures.base == 0:
        words.append(
            f"The base is off: beside {names['sidekick']}, {names['base']} says nothing that helps, so its temperature is 0."
        )
    if fit.separated:
        which = " and ".join(names.get(name, name) for name in fit.separated)
        words.append(
            f"The fit split is separated perfectly by {which}: no finite temperature is best, so the fit stopped at its bound; "
            "more images to fit on would settle it."
        )
    return words


def points(error: float) -> str:
    """A difference of fractions in percentage points, rounded up so that it stays a bound.

    >>> points(0.00109), points(0.0)
    ('0.11 percentage points', '0.00 percentage points')
    """
    return f"{math.ceil(error * 1e4 - 1e-9) / 100:.2f} percentage points"


def no_costs(column: str) -> str:
    """Why a chart does not stand on FLOPs balance, given the column it stands on; nothing where it does."""
    reason = "This set does not say how many multiply-adds every model takes, so the sidekicks stand by "
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

    >>> speed_line(PowerLaw(1.0, -0.9, 0.938))
    'Twice the multiply-adds make a model 1.9 times as slow; they explain 94 % of the differences in speed (R² 0.938, logarithmic).'
    """
    slower = 2**-law.exponent
    return (
        f"Twice the multiply-adds make a model {slower:.1f} times as slow; they explain {percent(law.r_squared, 0)} of the "
        f"differences in speed (R² {law.r_squared:.3f}, logarithmic)."
    )


def listed(names: Sequence[str]) -> str:
    """Names in a row.

    >>> listed(["AUROC"]), listed(["accuracy", "AUROC", "AURC"])
    ('AUROC', 'accuracy, AUROC and AURC')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def within(key: str, gain: Interval | None) -> str | None:
    """The interval of a difference as it stands beside it on a card.

    >>> within("accuracy", Interval(0.0053, -0.002, 0.0085)), within("aurc", None)
    ('−0.20 to +0.85', None)
    """
    if gain is None:
        return None
    screen = SCREEN[key]
    decimals = 2 if screen.unit.strip() == "%" else screen.decimals
    return " to ".join(f"{end * screen.factor:+.{decimals}f}" for end in (gain.low, gain.high)).replace("-", "−")


def would_be(key: str, gain: Interval) -> str:
    """Where a metric would lie beside the base's with other images.

    >>> would_be("accuracy", Interval(0.0053, 0.002, 0.0085)), would_be("aurc", Interval(0.0, -0.001, 0.0005))
    ('0.20 to 0.85 points above the base', '1.00 below to 0.50 above the base')
    """
    screen = SCREEN[key]
    unit = " points" if screen.unit.strip() == "%" else ""
    low, high = (f"{abs(end) * screen.factor:.{2 if unit else screen.decimals}f}" for end in (gain.low, gain.high))
    if gain.low == gain.high == 0:
        return "the same as the base"
    if gain.low < 0 < gain.high:
        return f"{low}{unit} below to {high}{unit} above the base"
    ends = (low, high) if gain.low >= 0 else (high, low)
    return f"{ends[0]} to {ends[1]}{unit} {'above' if gain.high > 0 else 'below'} the base"


def standing(gains: Mapping[str, Interval | None]) -> str:
    """Whether differences to the base would stand with other images, by metric.

    >>> standing({"accuracy": Interval(0.0053, 0.002, 0.0085), "aurc": Interval(-0.001, -0.002, -0.0005), "auroc": None})
    'With other images of this kind, accuracy would be 0.20 to 0.85 points above the base (95 %). **The gains in accuracy and AURC \
stand.** AUROC has no interval.'
    """
    known = {key: gain for key, gain in gains.items() if gain is not None}
    better = {key: (gain.estimate > 0) == METRICS[key].higher_is_better for key, gain in known.items()}
    up, down, chance, undefined = (
        [_in_sentence(key) for key in keys]
        for keys in (
            [key for key, gain in known.items() if gain.stands and better[key]],
            [key for key, gain in known.items() if gain.stands and not better[key]],
            [key for key, gain in known.items() if not gain.stands],
            [key for key in gains if key not in known],
        )
    )
    said = [f"{_stand('gain', up)}{' ' if up and down else ''}{_stand('loss', down)}"] if up or down else []
    said += [f"In {listed(chance)} the difference may be chance."] if chance else []
    said += [f"{listed(undefined)} {'have' if len(undefined) > 1 else 'has'} no interval."] if undefined else []
    first = next(iter(known), None)
    if first is not None:
        level = percent(known[first].level, 0)
        said.insert(0, f"With other images of this kind, {_in_sentence(first)} would be {would_be(first, known[first])} ({level}).")
    return " ".join(said)


def _stand(what: str, names: Sequence[str]) -> str:
    many = len(names) > 1
    plural = {"gain": "gains", "loss": "losses"}[what] if many else what
    return f"**The {plural} in {listed(names)} stand{'' if many else 's'}.**" if names else ""


def _in_sentence(key: str) -> str:
    return "accuracy" if key == "accuracy" else METRICS[key].label
