"""The numbers that the answers of the course name, computed from the made-up experts of a seed or from a real set's pairs."""

from collections.abc import Callable

import pandas as pd

from duo_core.common.numbers import number
from duo_core.figures.screen import SCREEN, Screen
from duo_core.teaching import alone, several, together
from duo_core.teaching.experts import SEED, Classroom, classroom

Facts = dict[str, str]


def facts(key: str, *, seed: int = SEED, offers: pd.DataFrame | None = None) -> Facts:
    """Return the numbers, as text, of the answer to the step `key`.

    Parameters
    ----------
    seed
        Draws the made-up experts.
    offers
        Of `together.offers`; the last step alone asks for it.
    """
    if key == "budget":
        return _budget(offers) if offers is not None else {}
    return _OF[key](classroom(seed=seed), seed)


def _percent(value: float, decimals: int = 1) -> str:
    """In percent, without the sign of what rounds to 0.

    >>> _percent(0.8667), _percent(-0.001, 0)
    ('86.7 %', '0 %')
    """
    text = Screen(100, " %", decimals).text(value)
    return text.removeprefix("-") if not text.strip("-0. %") else text


def _confidence(room: Classroom, _seed: int) -> Facts:
    found = alone.band(alone.base_alone(room.test), 0.9)
    return {
        "images": f"{found.images:,}",
        "low": _percent(found.low, 0),
        "high": _percent(found.high, 0),
        "share": _percent(found.share or 0.0),
        "confidence": _percent(found.confidence),
    }


def _temperature(room: Classroom, _seed: int) -> Facts:
    fitted = alone.own_temperature(room)
    before, after = alone.tempered(room, 1.0), alone.tempered(room, fitted)
    return {
        "temperature": f"{fitted:.2f}",
        "accuracy": _percent(after.accuracy),
        "nll_before": f"{before.nll:.3f}",
        "nll_after": f"{after.nll:.3f}",
    }


def _abstain(room: Classroom, _seed: int) -> Facts:
    found = alone.abstention(room)
    return {"all": _percent(found.risk(1.0)), "half": _percent(found.risk(0.5)), "sac98": _percent(found.sac98)}


def _ensemble(_room: Classroom, seed: int) -> Facts:
    apart, alike = (together.averaged(together.peers(overlap, seed)) for overlap in (0.0, 0.95))
    return {
        "base": _percent(apart.base),
        "apart": _percent(apart.pair),
        "alike": _percent(alike.pair),
        "common": _percent(alike.common),
    }


def _trap(_room: Classroom, seed: int) -> Facts:
    table = together.by_quality(seed)
    row = table.loc[(table["sidekick"] - 0.7).abs().idxmin()]
    even = together.break_even(table)
    return {
        **{name: _percent(row[name]) for name in ("base", "sidekick", "pair")},
        "break_even": "n/a" if even is None else _percent(even),
    }


def _weights(room: Classroom, seed: int) -> Facts:
    useful = together.fitted(room)
    noise = together.fitted(together.playing(room, "noise", seed))
    return {
        "noise": f"{noise.temperatures.sidekick:.2f}",
        "base": f"{noise.temperatures.base:.2f}",
        "alone": f"{noise.calibration.base:.2f}",
        "useful": f"{useful.temperatures.sidekick:.2f}",
    }


def _ranking(room: Classroom, _seed: int) -> Facts:
    found = together.ranking(room).metrics
    aurc = {key: float(found[key]["aurc"] or 0.0) for key in found}
    return {
        "accuracy": _percent(found["uq_only"]["accuracy"] or 0.0),
        "accuracy_duo": _percent(found["duo"]["accuracy"] or 0.0),
        **{f"aurc_{name}": SCREEN["aurc"].text(aurc[key]) for name, key in (("base", "base"), ("uq", "uq_only"), ("duo", "duo"))},
        "share": _percent((aurc["base"] - aurc["uq_only"]) / (aurc["base"] - aurc["duo"]), 0),
    }


def _budget(offers: pd.DataFrame) -> Facts:
    low, between, high = (offers[offers["flops_balance"].between(*ends)]["gain"] for ends in ((0.0, 0.1), (0.1, 0.2), (0.2, 0.4)))
    follows = offers[["gain", "behind", "flops_balance"]].corr("spearman")["gain"]
    return {
        **{f"low_{end}": _percent(getattr(low, end)(), 0) for end in ("min", "max")},
        **{f"high_{end}": _percent(getattr(high, end)(), 0) for end in ("min", "max")},
        "gaining": str(int((between > 0).sum())),
        "between": str(len(between)),
        "close": f"{-follows['behind']:.2f}",
        "price": f"{follows['flops_balance']:.2f}",
    }


def _several(_room: Classroom, seed: int) -> Facts:
    apart, alike = several.teams(0.1, seed), several.teams(0.6, seed)
    three = apart["m"] == 3
    return {
        "apart": _percent(float(apart.loc[three, "team"].iloc[0])),
        "large_apart": _percent(float(apart["large"].iloc[0])),
        "alike": _percent(float(alike.loc[three, "team"].iloc[0])),
        "large_alike": _percent(float(alike["large"].iloc[0])),
        "one": _percent(float(alike["team"].iloc[0])),
    }


def _different(_room: Classroom, seed: int) -> Facts:
    table = several.pairs(seed)
    every, close = several.goes_with(table, 1.0), several.goes_with(table, 0.05)
    mean = table[["error_inconsistency", "gain_over_mean"]].corr("spearman").iloc[0, 1]
    return {
        "pairs": str(every[1]),
        "all": number(every[0], 2, sign=True),
        "few": str(close[1]),
        "close": number(close[0], 2, sign=True),
        "mean": number(mean, 2, sign=True),
    }


_OF: dict[str, Callable[[Classroom, int], Facts]] = {
    "confidence": _confidence,
    "temperature": _temperature,
    "abstain": _abstain,
    "ensemble": _ensemble,
    "trap": _trap,
    "weights": _weights,
    "ranking": _ranking,
    "several": _several,
    "different": _different,
}
