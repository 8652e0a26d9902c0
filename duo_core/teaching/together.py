"""Steps 4 to 8 of the course: two models with an equal say, with learned weights, for ranking alone, and for a price."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np
import pandas as pd
import torch

from duo_core.analysis.advice import best_under, gains
from duo_core.analysis.bowl import Bowl, bowl
from duo_core.figures.curves import risk_coverage
from duo_core.logits import LogitSet
from duo_core.metrics import metrics
from duo_core.systems.duo import VARIANTS, Fit, Temperatures
from duo_core.systems.fitting import calibrate, fit, fit_calibrated, newton_path
from duo_core.systems.pair_predicting import pair_predictions, variant_predictions
from duo_core.teaching.experts import BASE, SEED, SIDEKICK, Classroom, Drawn, Expert, Splits, classroom, real

GRID = 21
"""Points of a curve along a slider."""
FEWEST, MOST = 0.3, 1.0
"""Of the base's quality: where the slider of step 5 begins and ends."""
TRAP_OVERLAP = 0.6
"""The sidekick of step 5 errs much as the base does."""
SEEN = 1e-6
"""Nats; less than this is not seen on any chart."""


# Steps 4 and 5: an equal say


@dataclass(frozen=True)
class Averaged:
    """Two calibrated models, and the two averaged with an equal say (the variant `unweighted`)."""

    common: float
    """Of the images that the base gets wrong, the fraction that the sidekick gets wrong too."""
    base: float
    """Accuracy, as are the next two."""
    sidekick: float
    pair: float


def averaged(splits: Splits) -> Averaged:
    """Judge the equal average on the test images."""
    found = variant_predictions(
        splits.test.base, splits.test.sidekick, splits.test.labels, fitted(splits), variants=("base", "sidekick", "unweighted")
    )
    base, sidekick, pair = (found[key].correct for key in ("base", "sidekick", "unweighted"))
    return Averaged(float((~sidekick[~base]).mean()), float(base.mean()), float(sidekick.mean()), float(pair.mean()))


def fitted(splits: Splits) -> Fit:
    """Return what the fit split says of both models."""
    return fit(splits.fit.base, splits.fit.sidekick, splits.fit.labels)


def peers(overlap: float, seed: int = SEED) -> Classroom:
    """Return two experts of the base's quality (step 4)."""
    return classroom(BASE, BASE, overlap=overlap, seed=seed)


def by_overlap(seed: int = SEED) -> pd.DataFrame:
    """Return `overlap` and the columns of Averaged for two experts of the base's quality (step 4)."""
    overlaps = np.linspace(0, 0.95, GRID)
    return _averages("overlap", {float(overlap): peers(float(overlap), seed) for overlap in overlaps})


def trapped(quality: float, seed: int = SEED) -> Classroom:
    """Return the base with a sidekick of a given quality that errs much as the base does (step 5)."""
    return classroom(BASE, Expert(quality, SIDEKICK.boldness), overlap=TRAP_OVERLAP, seed=seed)


def by_quality(seed: int = SEED) -> pd.DataFrame:
    """Return `quality` and the columns of Averaged for sidekicks of `trapped` (step 5)."""
    qualities = np.linspace(FEWEST, MOST, GRID) * BASE.quality
    return _averages("quality", {float(quality): trapped(float(quality), seed) for quality in qualities})


def by_partner(logit_set: LogitSet, base: str, partners: Sequence[str], split: str = "test") -> pd.DataFrame:
    """Return `partner` and the columns of Averaged for a real base with each of several models (steps 4 and 5)."""
    return _averages("partner", {partner: real(logit_set, base, partner, split) for partner in partners})


def _averages(name: str, many: Mapping[float, Splits] | Mapping[str, Splits]) -> pd.DataFrame:
    return pd.DataFrame([{name: key, **vars(averaged(splits))} for key, splits in many.items()])


def break_even(table: pd.DataFrame) -> float | None:
    """Return the accuracy of the sidekick alone below which the equal average falls below the base; None where it never does.

    Of a table of `by_quality` or `by_partner`: the line between the last row at which the pair is worse and the next one is
    followed to where it crosses the base's.
    """
    rows = table.sort_values("sidekick", ignore_index=True)
    gain = rows["pair"] - rows["base"]
    worse = np.flatnonzero(gain < 0)
    if not len(worse):
        return None
    last = int(worse[-1])
    if last + 1 == len(rows):
        return float(rows["sidekick"].iloc[last])
    return float(np.interp(0.0, gain.iloc[last : last + 2], rows["sidekick"].iloc[last : last + 2]))


# Step 6: learned weights


PARTS = {
    "useful": "A useful sidekick",
    "noise": "A sidekick that says nothing",
    "copy": "A copy of the base",
    "better": "A sidekick better than the base",
}
"""What the second model of step 6 may be."""


def playing(splits: Splits, part: str, seed: int = SEED) -> Splits:
    """Return the pair with its second model in one of PARTS.

    `noise` hands each image the logits of another one, drawn by the seed; `copy` is the base itself; `better` lets the two change
    places.
    """
    return Splits(*(_cast(split, part, seed) for split in (splits.fit, splits.test)))


def _cast(split: Drawn, part: str, seed: int) -> Drawn:
    if part == "noise":
        order = np.random.default_rng(seed).permutation(len(split.labels))
        return replace(split, sidekick=split.sidekick[torch.from_numpy(order)])
    if part == "copy":
        return replace(split, sidekick=split.base)
    return replace(split, base=split.sidekick, sidekick=split.base) if part == "better" else split


@dataclass(frozen=True)
class Learned:
    """The two temperatures learned on the fit split, and the NLL around them."""

    fit: Fit
    surface: Bowl
    """Its last temperatures are the ends of the sliders."""
    marks: dict[str, tuple[Temperatures, float]]
    """Temperatures and NLL of `base`, `sidekick`, `unweighted`, `duo` and `start`, for `newton_bowl`."""

    @property
    def start(self) -> Temperatures:
        """Where the sliders begin, away from every other mark."""
        return self.marks["start"][0]


def learned(splits: Splits, points: int = 31) -> Learned:
    """Fit the pair on the fit split."""
    split = splits.fit
    singles = calibrate(split.base, split.labels, "base"), calibrate(split.sidekick, split.labels, "sidekick")
    found = fit_calibrated(*singles)
    # A model that says nothing has a temperature near 0; its axis shows what one of its spread that knows something might take.
    wide = replace(found, calibration=Temperatures(*(max(single.temperature, 1 / single.scale) for single in singles)))
    surface = bowl(split.base, split.sidekick, split.labels, wide, points=points)
    weights = {key: VARIANTS[key].weights(found) for key in ("base", "sidekick", "unweighted", "duo")}
    weights["start"] = Temperatures(float(surface.base[-1]) * 0.15, float(surface.sidekick[-1]) * 0.7)
    return Learned(found, surface, {key: (at, nll_at(split, at)) for key, at in weights.items()})


def walk(splits: Splits, start: Temperatures) -> pd.DataFrame:
    """Return what the fit passes through from a start: `step` 0, 1, ..., `T_base`, `T_sidekick`, `nll`, a row a Newton step.

    A step depends on nothing but where it begins. Where one would make a weight negative, the fit takes the best point of the edge
    instead, which is the last row. Steps that lower the NLL by less than SEEN are left out.
    """
    split = splits.fit
    singles = calibrate(split.base, split.labels, "base"), calibrate(split.sidekick, split.labels, "sidekick")
    path = newton_path(*singles, start)
    inside = list(takewhile(lambda at: min(at) >= 0, path))
    if len(inside) < len(path):
        inside.append(fit_calibrated(*singles).temperatures)
    table = pd.DataFrame(inside, columns=["T_base", "T_sidekick"]).assign(nll=[nll_at(split, at) for at in inside])
    seen = (table["nll"] - table["nll"].iloc[-1] >= SEEN).shift(fill_value=True)
    return table[seen].rename_axis("step").reset_index()


def nll_at(split: Drawn, temperatures: Temperatures) -> float:
    """Return the mean NLL, nats, of a split at given temperatures, 0 included."""
    return float(pair_predictions(split.base, split.sidekick, split.labels, temperatures).nll.mean())


# Step 7: what it fixes


@dataclass(frozen=True)
class Ranking:
    """The base, the duo, and the duo that may only rank."""

    table: pd.DataFrame
    """`coverage` and selective risks of `base`, `uq_only` and `duo`, for `figures.risk_coverage`."""
    metrics: dict[str, dict[str, float | None]]
    """By variant."""


def ranking(splits: Splits) -> Ranking:
    """Judge base, UQ only and duo on the test images."""
    test = splits.test
    found = variant_predictions(test.base, test.sidekick, test.labels, fitted(splits), variants=("base", "uq_only", "duo"))
    return Ranking(risk_coverage(found).table, {key: metrics(p) for key, p in found.items()})


# Step 8: a budget


def offers(table: pd.DataFrame, key: str = "aurc") -> pd.DataFrame:
    """Return what the duos of a sweep's table of one split cost and gain, where the sidekick alone is less accurate than the base.

    Returns
    -------
    DataFrame
        `base`, `sidekick`, `flops_balance`, `behind` (accuracy of the base less the sidekick's), the metric under its key, `alone`
        (the base's own) and `gain`, the relative improvement; pairs of unknown cost or gain are left out.
    """
    pairs = table.set_index(["base", "sidekick", "variant"])[["flops_balance", "accuracy", key]].unstack()
    behind = pairs["accuracy", "base"] - pairs["accuracy", "sidekick"]
    columns = {
        "flops_balance": pairs["flops_balance", "duo"],
        "behind": behind,
        key: pairs[key, "duo"],
        "alone": pairs[key, "base"],
    }
    found = pd.DataFrame(columns)[behind > 0]
    return found.assign(gain=gains(key, found[key], found["alone"])).dropna().reset_index()


def best_offer(table: pd.DataFrame, budget: float) -> pd.Series | None:
    """Return the row of `offers` that gains most at a cost of at most the budget, a fraction; None where none is so cheap."""
    found = best_under(table, "gain", "flops_balance", budget, higher_is_better=True)
    return None if found is None else pd.Series(found.best)
