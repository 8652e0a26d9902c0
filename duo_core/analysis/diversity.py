"""How alike every two models of a set are: which images they get right, and how far their distributions lie apart.

Of accuracies a and b; n11, n10, n01 and n00 are the shares of images that both, the first alone, the second alone, and neither of
two models gets right. Definitions: Geirhos et al. 2020 (error consistency), Gontijo-Lopes et al. 2022 (error inconsistency,
conversion, specialisation).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from duo_core.common.arrays import Booleans, Floats, InputError, Predictions, same_length
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics.bootstrap import sums_on_draws
from duo_core.metrics.intervals import LEVEL, Interval, percentiles
from duo_core.systems.alike import jensen_shannon
from duo_core.systems.judging import fit_system
from duo_core.systems.pair_judging import Memory, Pair
from duo_core.systems.predicting import BYTES_AN_IMAGE, predictions
from duo_core.systems.sweep import calibrate_models, check_judged
from duo_core.systems.system import Fitted, System

MEASURES = ("error_inconsistency", "kappa", "disagreement", "phi", "jensen_shannon")
"""How different, or alike, two models are."""
COLUMNS = ["first", "second", "accuracy_first", "accuracy_second", *MEASURES, "conversion"]
"""What `duo diversity` says of two models; undefined values are NaN in tables."""
GAINS = ("gain_over_mean", "gain_over_better")
"""Accuracy of the calibrated equal pair less the mean of its members', and of the duo less the better member's."""
TABLE = [*COLUMNS, "accuracy_gap", "accuracy_equal", "accuracy_duo", *GAINS]
"""Columns of the table of all pairs."""

BYTES = 256 << 20
"""What predictions and columns of numbers an image may take at once."""

TALLIES = ("both", "first", "second", "differ", "converted", "equal", "duo", "jensen_shannon")
"""What is added up over the images: whether both, the first alone, the second alone is right; whether their classes differ; whether
exactly one is right and the equal pair, too; whether the equal pair is right, and the duo; how far the distributions lie apart."""

FEWEST = 10
"""Images of a class below which nothing is said of it."""


class Draws(NamedTuple):
    """What the pairs are on draws of the images with replacement."""

    values: Mapping[str, Floats]
    """By column of TABLE that is a number, (replicates, pairs); NaN where undefined."""
    seed: int


@dataclass(frozen=True, eq=False)
class Diversity:
    """Every two models of a set on one split."""

    table: pd.DataFrame
    """TABLE, one row a pair."""
    draws: Draws | None = None

    def intervals(self, key: str, level: float = LEVEL) -> list[Interval | None]:
        """By pair, how far a column would move with other images; None where it is undefined, and without draws."""
        if self.draws is None:
            return [None] * len(self.table)
        estimates = {str(at): None if np.isnan(value) else float(value) for at, value in enumerate(self.table[key])}
        return list(percentiles(estimates, self.draws.values[key], level, self.draws.seed).values())


def measures(tallies: Floats, n: int) -> dict[str, Floats]:
    """Return every number of TABLE from sums over n images, (..., len(TALLIES)), each (...,); NaN where undefined.

    `error_inconsistency` is n10 + n01. `kappa` is 1 less that over what it would be if the two erred independently; 1 where no
    image is told apart. `phi` is the correlation of right and wrong, undefined where one is always right or always wrong;
    `conversion` the share that the equal pair gets right of the images that exactly one does, undefined where there are none.
    """
    both, first, second, differ, converted, equal, duo, js = np.moveaxis(tallies, -1, 0)
    own, other, apart = both + first, both + second, first + second
    neither = n - both - apart
    expected = own * (n - other) + other * (n - own)
    spread = own * (n - own) * other * (n - other)
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = np.where(apart == 0, 1.0, 1 - apart * n / expected)
        phi = np.where(spread == 0, np.nan, (both * neither - first * second) / np.sqrt(spread))
        conversion = np.where(apart == 0, np.nan, converted / apart)
    found = {
        "accuracy_first": own, "accuracy_second": other, "error_inconsistency": apart, "disagreement": differ,
        "jensen_shannon": js, "accuracy_gap": np.abs(own - other), "accuracy_equal": equal, "accuracy_duo": duo,
        "gain_over_mean": equal - (own + other) / 2, "gain_over_better": duo - np.maximum(own, other),
    }  # fmt: skip
    return {key: value / n for key, value in found.items()} | {"kappa": kappa, "phi": phi, "conversion": conversion}


def diversity(
    logit_set: LogitSet,
    split: str = "test",
    *,
    memory: Memory | None = None,
    replicates: int = 0,
    seed: int = 0,
    progress: Callable[[int, int], object] | None = None,
) -> Diversity:
    """Compare every two models of a set on one split; the first of two has at least the other's multiply-adds.

    Parameters
    ----------
    memory
        What was found of the set's models before; what is found now is added.
    replicates
        How many times the images are drawn for intervals, the same draws for all pairs; 0 for none.
    progress
        Called with pairs done and pairs in all.

    Raises
    ------
    InputError
        For a split that the set does not have or that is fitted on, and for a set of fewer than two models.
    """
    check_judged(logit_set, split)
    models = logit_set.models(FIT_SPLIT, split)
    if len(models) < 2:
        raise InputError(
            f"expected at least two models with logits of '{FIT_SPLIT}' and '{split}' in the set '{logit_set.name}', "
            f"got {len(models)}; add others with duo logits"
        )
    pairs, n = list(combinations(models, 2)), len(logit_set.labels[split])
    rows, drawn = [], []
    for group in _tallied(logit_set, split, models, memory or Memory()):
        rows.append(group.sum(2))
        if replicates:
            sums = sums_on_draws(group.reshape(-1, n), replicates, seed)
            drawn.append(sums.reshape(replicates, len(group), len(TALLIES)))
        if progress:
            progress(sum(map(len, rows)), len(pairs))
    found = measures(np.concatenate(rows), n)
    table = pd.DataFrame(pairs, columns=["first", "second"]).assign(**found)[TABLE]
    return Diversity(table, Draws(measures(np.concatenate(drawn, axis=1), n), seed) if drawn else None)


def _tallied(logit_set: LogitSet, split: str, models: Sequence[str], memory: Memory) -> Iterator[Floats]:
    """TALLIES of every image for groups of pairs, (pairs, tallies, n), as many at once as memory allows."""
    calibrate_models(logit_set, models, memory)
    labels = logit_set.labels[split]
    logits = {model: logit_set.logits(model, split) for model in models}
    singles = {model: (System((model,)), _calibrated((model,), memory)) for model in models}
    by_themselves = dict(zip(models, predictions(logits, labels, list(singles.values())), strict=True))
    pairs, size = list(combinations(models, 2)), max(1, BYTES // (len(labels) * (2 * BYTES_AN_IMAGE + 8 * len(TALLIES))))
    for start in range(0, len(pairs), size):
        group = pairs[start : start + size]
        asked = [(System(pair, "equal"), _calibrated(pair, memory)) for pair in group]
        asked += [(System(pair), fit_system(logit_set, pair, memory, ["fitted"])) for pair in group]
        together = predictions({m: logits[m] for m in dict.fromkeys(sum(group, ()))}, labels, asked)
        apart = jensen_shannon(
            list(logits.values()), [memory.calibrated[m].temperature for m in logits], [_places(pair, models) for pair in group]
        )
        members = [(by_themselves[one], by_themselves[other]) for one, other in group]
        rest = zip(together[: len(group)], together[len(group) :], apart, strict=True)
        yield np.array([tallies(*two, equal.correct, duo.correct, js) for two, (equal, duo, js) in zip(members, rest, strict=True)])


def _places(pair: Pair, models: Sequence[str]) -> tuple[int, int]:
    return models.index(pair[0]), models.index(pair[1])


def _calibrated(members: tuple[str, ...], memory: Memory) -> Fitted:
    """What is known of members without a fit of them together, which no rule of calibrated members needs."""
    known = [memory.calibrated[member] for member in members]
    t = tuple(single.temperature for single in known)
    return Fitted(members, t, t, tuple(single.nll for single in known))


def tallies(first: Predictions, second: Predictions, equal: Booleans, duo: Booleans, js: Floats) -> Floats:
    """TALLIES of every image, (tallies, n), of two models, given whether their equal pair and their duo are right."""
    same_length(first=len(first), second=len(second))
    one, other = first.correct, second.correct
    only = one != other
    columns = (one & other, one & ~other, other & ~one, first.predicted != second.predicted, only & equal, equal, duo, js)
    return np.array(columns, dtype=np.float64)


def specialisation(first: Predictions, second: Predictions) -> Floats:
    """How much surer of an image the first of two calibrated models is than the second, (n,): atan2(conf1, conf2) - pi/4.

    0 where both are as sure; within pi/4 on either side.
    """
    same_length(first=len(first), second=len(second))
    angles: Floats = np.arctan2(first.confidence, second.confidence) - np.pi / 4
    return angles


def by_class(first: Predictions, second: Predictions) -> pd.DataFrame:
    """Return what each of two models is good at, one row a class of at least FEWEST images, the first one's best at the top.

    Columns: `class`, `images`, `first_alone` and `second_alone` (n10 and n01 of its images), and `specialisation`, n10 - n01.
    """
    same_length(first=len(first), second=len(second))
    images = np.bincount(first.labels)
    alone = (first.correct & ~second.correct, second.correct & ~first.correct)
    own, others = (np.bincount(first.labels[right], minlength=len(images)) for right in alone)
    table = pd.DataFrame({"class": np.arange(len(images)), "images": images})
    with np.errstate(divide="ignore", invalid="ignore"):
        table = table.assign(first_alone=own / images, second_alone=others / images)
    table["specialisation"] = table["first_alone"] - table["second_alone"]
    kept = table[table["images"] >= FEWEST]
    return kept.sort_values(["specialisation", "class"], ascending=[False, True], kind="stable", ignore_index=True)
