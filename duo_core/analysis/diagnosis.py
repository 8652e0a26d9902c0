"""Where a duo is right and wrong: calibration by bin, images rescued and harmed, ranks, classes, splits, uncertainty scores."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from duo_core.common.arrays import Floats, InputError, Integers, Predictions, same_length
from duo_core.metrics import ECE_BINS, METRICS, metrics
from duo_core.metrics.bootstrap import counts
from duo_core.metrics.intervals import LEVEL, REPLICATES, Interval, mcnemar

RANKING = ("auroc", "aurc", "sac98")
"""Metrics that depend on which score ranks the images."""
OUTCOMES = ("both_right", "rescued", "harmed", "both_wrong")
"""Of an image: rescued where the base alone is wrong, harmed where the duo alone is."""
ClassScore = Literal["accuracy", "f1"]

_AT_ONCE = 100
"""Draws whose counts are in memory together."""


def reliability(predictions: Predictions, bins: int = ECE_BINS) -> pd.DataFrame:
    """Return accuracy and mean confidence by bin of confidence: the bins of `metrics.ece`, whose value is their mean gap.

    Returns
    -------
    DataFrame
        One row a bin (lower, upper]: `lower`, `upper`, `images`, `right`, `wrong`, `confidence`, `accuracy`; the last two are NaN
        in empty bins.

    Examples
    --------
    >>> column = np.array([0.9, 0.95])
    >>> p = Predictions(np.array([0, 1]), np.array([0, 0]), column, 1 - column, column, column, column)
    >>> reliability(p).iloc[-2:, 2:].round(3).to_dict("split")["data"]
    [[1, 1, 0, 0.9, 1.0], [1, 0, 1, 0.95, 0.0]]
    """
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, predictions.confidence, side="left") - 1, 0, bins - 1)
    images, right, confidence = (
        np.bincount(place, weights=weights, minlength=bins) for weights in (None, predictions.correct, predictions.confidence)
    )
    with np.errstate(invalid="ignore"):
        mean, accuracy = confidence / images, right / images
    right = right.astype(np.int64)
    return pd.DataFrame(
        {
            "lower": edges[:-1],
            "upper": edges[1:],
            "images": images,
            "right": right,
            "wrong": images - right,
            "confidence": mean,
            "accuracy": accuracy,
        }
    )


def mean_gap(table: pd.DataFrame) -> float:
    """Return the ECE of a table of `reliability`: the gap between accuracy and confidence, averaged over images."""
    gaps = (table["accuracy"] - table["confidence"]).abs() * table["images"]
    return float(gaps.sum() / table["images"].sum())


class Exchange(NamedTuple):
    """Images by who is right, counts in the order of OUTCOMES."""

    both_right: int
    rescued: int
    harmed: int
    both_wrong: int


def outcomes(base: Predictions, duo: Predictions) -> Integers:
    """Return the place in OUTCOMES of each image, (n,)."""
    _same_images(base, duo)
    return np.asarray(2 * (~duo.correct).astype(np.int64) + ~base.correct)


def exchange(base: Predictions, duo: Predictions) -> Exchange:
    """Count the images of each outcome.

    >>> labels, column = np.zeros(4, int), np.zeros(4)
    >>> base, duo = (Predictions(labels, np.array(c), *[column] * 5) for c in ([0, 1, 0, 1], [0, 0, 1, 1]))
    >>> exchange(base, duo)
    Exchange(both_right=1, rescued=1, harmed=1, both_wrong=1)
    """
    return Exchange(*np.bincount(outcomes(base, duo), minlength=len(OUTCOMES)).tolist())


def rank_moves(base: Predictions, duo: Predictions) -> pd.DataFrame:
    """Return every image with its rank by uncertainty (1 is surest, ties share their mean) under both, largest move first.

    Returns
    -------
    DataFrame
        `row` in the split, `label`, `outcome`, `base_class`, `duo_class`, `base_confidence`, `duo_confidence`, `base_rank`,
        `duo_rank`, and `move` = duo_rank - base_rank: negative where the duo is surer. Equal moves stand in the images' order.
    """
    ranks = [pd.Series(p.uncertainty).rank(method="average").to_numpy() for p in (base, duo)]
    table = pd.DataFrame(
        {
            "row": np.arange(len(base)),
            "label": base.labels,
            "outcome": np.array(OUTCOMES)[outcomes(base, duo)],
            "base_class": base.predicted,
            "duo_class": duo.predicted,
            "base_confidence": base.confidence,
            "duo_confidence": duo.confidence,
            "base_rank": ranks[0],
            "duo_rank": ranks[1],
            "move": ranks[1] - ranks[0],
        }
    )
    return table.sort_values("move", key=np.abs, ascending=False, kind="stable", ignore_index=True)


def gain_by_class(base: Predictions, duo: Predictions, k: int, score: ClassScore = "accuracy") -> pd.DataFrame:
    """Return accuracy (recall) or F1 of each class under base and duo, and the duo's gain.

    Returns
    -------
    DataFrame
        One row a class: `class`, `images` with that label, `base`, `duo`, `gain`; NaN where the class does not occur.
    """
    _same_images(base, duo)
    columns = {"class": np.arange(k), "images": np.bincount(base.labels, minlength=k)}
    for name, p in (("base", base), ("duo", duo)):
        hits = np.bincount(p.labels[p.correct], minlength=k)
        with np.errstate(invalid="ignore"):
            if score == "accuracy":
                columns[name] = hits / columns["images"]
            else:
                columns[name] = 2 * hits / (columns["images"] + np.bincount(p.predicted, minlength=k))
    return pd.DataFrame(columns).assign(gain=columns["duo"] - columns["base"])


def class_intervals(
    base: Predictions,
    duo: Predictions,
    classes: Iterable[int],
    score: ClassScore = "accuracy",
    *,
    among: Iterable[int] | None = None,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[int, Interval | None]:
    """Return paired bootstrap intervals of the gain of some classes; None for a class that does not occur.

    A class is judged on the images that are labelled as it or, for F1, taken for it by either; these are drawn with replacement,
    as many as there are, both systems on the same draw. Whether a gain stands is decided by `class_tests`, corrected for all
    classes that were looked at: `among`, those given unless more are named.
    """
    _same_images(base, duo)
    classes = list(classes)
    looked_at = sorted({*classes, *(among if among is not None else ())})
    chances = dict(zip(looked_at, holm(class_tests(base, duo, looked_at, score)).tolist(), strict=True))
    found = {c: _class_interval(base, duo, c, score, replicates, level, seed) for c in classes}
    return {c: gain and replace(gain, p_value=chances[c]) for c, gain in found.items()}


def class_tests(base: Predictions, duo: Predictions, classes: Sequence[int], score: ClassScore = "accuracy") -> Floats:
    """Return how often chance would part base and duo on a class as unevenly as here, or more: exact McNemar tests, (classes,).

    For accuracy over the images labelled as the class; for F1 over all images, an image being right where it is rightly taken for
    the class or rightly not. 1 where what is tested and the F1 point to different sides.
    """
    _same_images(base, duo)
    k = 1 + max(*classes, int(base.labels.max()), *(int(p.predicted.max()) for p in (base, duo)), 0)
    rescued, harmed = (_parted(own, other, k, score) for own, other in ((base, duo), (duo, base)))
    chances = mcnemar(rescued, harmed)
    if score == "f1":
        gain = gain_by_class(base, duo, k, score)["gain"].to_numpy()
        chances = np.where(np.sign(gain) == np.sign(rescued - harmed), chances, 1.0)
    return np.asarray(chances[list(classes)])


def _parted(wrong: Predictions, other: Predictions, k: int, score: ClassScore) -> Integers:
    """Images by class, (k,), on which one is wrong about the class and the other is not."""
    found = np.bincount(wrong.labels[~wrong.correct & other.correct], minlength=k)
    if score == "f1":
        found = found + np.bincount(wrong.predicted[~wrong.correct & (wrong.predicted != other.predicted)], minlength=k)
    return found


def holm(chances: Floats) -> Floats:
    """Return p-values of many tests corrected for how many there are (Holm 1979): at 5 % one false alarm in 20 families of tests.

    >>> holm(np.array([0.01, 0.5, 0.02])).tolist()
    [0.03, 0.5, 0.04]
    """
    order = np.argsort(chances)
    steps = np.maximum.accumulate(chances[order] * np.arange(len(chances), 0, -1))
    corrected = np.empty(len(chances))
    corrected[order] = np.minimum(1.0, steps)
    return corrected


def _class_interval(
    base: Predictions, duo: Predictions, c: int, score: ClassScore, replicates: int, level: float, seed: int
) -> Interval | None:
    """Both scores are a sum over images divided by another sum: columns are duo's two and base's two."""
    labelled = duo.labels == c
    columns = []
    for p in (duo, base):
        hit, taken = labelled & p.correct, p.predicted == c
        columns += [hit, labelled] if score == "accuracy" else [2 * hit, labelled.astype(int) + taken]
    table = np.stack(columns, 1).astype(np.float64)
    table = table[(table != 0).any(1)]
    if not table[:, [1, 3]].any(0).all():
        return None
    blocks = range(0, replicates, _AT_ONCE)
    drawn = [counts(len(table), min(_AT_ONCE, replicates - at), seed + place) @ table for place, at in enumerate(blocks)]
    gains = _gain(np.concatenate(drawn))
    low, high = np.nanquantile(gains, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(_gain(table.sum(0, keepdims=True))[0]), float(low), float(high), level, replicates, seed)


def _gain(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3])


def by_uncertainty(predictions: Mapping[str, Predictions]) -> pd.DataFrame:
    """Return the metrics of RANKING under both scores (paper Appendix C).

    Returns
    -------
    DataFrame
        One row a (metric, variant): `metric`, `variant`, `softmax`, `entropy`; NaN where undefined.
    """
    rows = []
    for variant, p in predictions.items():
        softmax, entropy = (metrics(p.ranked_by(kind)) for kind in ("softmax", "entropy"))
        rows += [{"metric": key, "variant": variant, "softmax": softmax[key], "entropy": entropy[key]} for key in RANKING]
    table = pd.DataFrame(rows, columns=["metric", "variant", "softmax", "entropy"]).astype({"softmax": float, "entropy": float})
    return table.sort_values("metric", key=lambda keys: keys.map(RANKING.index), kind="stable", ignore_index=True)


def by_split(
    found: Mapping[str, Mapping[str, Mapping[str, float | None]]], gains: Mapping[str, Mapping[str, Interval | None]]
) -> pd.DataFrame:
    """Return base and duo on every split and metric, with the intervals of their differences.

    Parameters
    ----------
    found
        By split and variant, the metrics.
    gains
        By split, the intervals of duo minus base; a difference without one never stands.

    Returns
    -------
    DataFrame
        One row a (metric, split): `metric`, `split`, `base`, `duo`, `delta`, `low`, `high`, `stands`.
    """
    rows = []
    for key in METRICS:
        for split, variants in found.items():
            own, other, gain = variants["base"][key], variants["duo"][key], gains[split][key]
            row = {"metric": key, "split": split, "base": own, "duo": other, "stands": False}
            if own is not None and other is not None:
                row["delta"] = other - own
            if gain is not None:
                row |= {"delta": gain.estimate, "low": gain.low, "high": gain.high, "stands": gain.stands}
            rows.append(row)
    columns = ["metric", "split", "base", "duo", "delta", "low", "high", "stands"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:7], float))


def _same_images(base: Predictions, duo: Predictions) -> None:
    same_length(base=len(base), duo=len(duo))
    if (base.labels != duo.labels).any():
        raise InputError(f"expected the same images twice, got labels that differ for {(base.labels != duo.labels).sum()} of them")
