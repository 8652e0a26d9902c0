"""What the diagnosis page computes."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import pandas as pd

from app.state.caches import kept
from app.state.once import Once, Progress, Work
from app.state.pairs import evaluation
from app.state.sets import Handle
from app.state.waiting import told
from duo_core.analysis.diagnosis import RANKING, ClassScore, class_intervals, gain_by_class, rank_moves, reliability
from duo_core.common.arrays import Predictions, UncertaintyKind
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Drawn, Interval, between, differences, drawn
from duo_core.systems.duo import Temperatures
from duo_core.systems.pair_predicting import pair_predictions
from duo_core.systems.sweep import Evaluation

Single = Literal["base", "sidekick"]
"""A member alone."""

_DRAWING = threading.Lock()
"""One at a time, as the draws of one call keep all cores busy."""


def begin_gains(
    handle: Handle, found: Evaluation, kind: UncertaintyKind, keys: tuple[str, ...] = tuple(METRICS), over: Single = "base"
) -> tuple[Work[Drawn], Work[Drawn]]:
    """Begin the draws of duo and one member beside what else is done; those of a member serve all its pairs."""
    member = {"base": found.base, "sidekick": found.sidekick}[over]
    alone = handle.digest((member, FIT_SPLIT), (member, found.split))
    places = {
        "duo": _draws(handle.pair(found.base, found.sidekick, found.split), "duo", kind, keys),
        over: _draws(alone, "alone", kind, keys),
    }
    new = [variant for variant, place in places.items() if not place.under_way()]
    together: Once[list[Drawn]] = Once()

    def draws_of(variant: str) -> Callable[[Progress], Drawn]:
        if variant not in new:  # under way a moment ago, and failed since
            return lambda _: _drawn([found.predictions[variant]], keys)[0]
        return lambda _: together.value(lambda _: _drawn([found.predictions[each] for each in new], keys))[new.index(variant)]

    duo, member_alone = (place.begin(draws_of(variant)) for variant, place in places.items())
    return duo, member_alone


def _drawn(systems: list[Predictions], keys: tuple[str, ...]) -> list[Drawn]:
    with _DRAWING:
        return drawn(systems, keys=keys)


def gains(
    handle: Handle, found: Evaluation, kind: UncertaintyKind, keys: tuple[str, ...] = tuple(METRICS), over: Single = "base"
) -> Mapping[str, Interval | None]:
    """Intervals of duo minus base, or minus the other member."""
    both = begin_gains(handle, found, kind, keys, over)
    for work in both:
        told("Drawing other images of this kind")(work)
    duo, alone = (work.result() for work in both)
    return between(duo, alone)


@kept(max_entries=128)
def _draws(key: str, variant: str, kind: UncertaintyKind, keys: tuple[str, ...]) -> Once[Drawn]:  # noqa: ARG001 (a cache's key)
    return Once()


def entropy_gains(handle: Handle, found: Evaluation) -> Mapping[str, Interval | None]:
    """Intervals of what ranking the duo by entropy instead of softmax changes."""
    return _entropy_gains(handle.pair(found.base, found.sidekick, found.split), found)


@kept(max_entries=128)
def _entropy_gains(key: str, _found: Evaluation) -> Mapping[str, Interval | None]:  # noqa: ARG001 (a cache's key)
    duo = _found.predictions["duo"]
    return differences(duo.ranked_by("entropy"), duo.ranked_by("softmax"), keys=RANKING)


def calibration(handle: Handle, found: Evaluation) -> dict[str, pd.DataFrame]:
    """Reliability of the base as it came, of the calibrated base and of the duo."""
    return _calibration(handle.pair(found.base, found.sidekick, found.split), found)


@kept(max_entries=64)
def _calibration(key: str, _found: Evaluation) -> dict[str, pd.DataFrame]:  # noqa: ARG001 (a cache's key)
    own = _found.logit_set
    base, sidekick = (own.logits(model, _found.split) for model in (_found.base, _found.sidekick))
    raw = pair_predictions(base, sidekick, own.labels[_found.split], Temperatures(1.0, 0.0), classes="base")
    systems: dict[str, Predictions] = {"uncalibrated": raw, **{key: _found.predictions[key] for key in ("base", "duo")}}
    return {name: reliability(predictions) for name, predictions in systems.items()}


def moves(handle: Handle, found: Evaluation, kind: UncertaintyKind) -> pd.DataFrame:
    """Every image by how far its rank moves from base to duo."""
    return _moves(handle.pair(found.base, found.sidekick, found.split), kind, found)


@kept(max_entries=32)
def _moves(key: str, kind: UncertaintyKind, _found: Evaluation) -> pd.DataFrame:  # noqa: ARG001 (a cache's key)
    return rank_moves(_found.predictions["base"], _found.predictions["duo"])


def classes(
    handle: Handle, found: Evaluation, score: ClassScore, least: int, ends: int
) -> tuple[pd.DataFrame, pd.DataFrame, Mapping[int, Interval | None]]:
    """Gain of every class; of these the `ends` that gain most and least among those of `least` images; their intervals."""
    names = found.logit_set.classes
    return _classes(handle.pair(found.base, found.sidekick, found.split), names, score, least, ends, found)


@kept(max_entries=64)
def _classes(
    key: str,  # noqa: ARG001 (the cache's)
    names: Sequence[str],
    score: ClassScore,
    least: int,
    ends: int,
    _found: Evaluation,
) -> tuple[pd.DataFrame, pd.DataFrame, Mapping[int, Interval | None]]:
    base, duo = _found.predictions["base"], _found.predictions["duo"]
    table = gain_by_class(base, duo, len(names), score)
    table.insert(1, "name", list(names))
    ranked = table[table["images"] >= least].sort_values("gain", ascending=False, kind="stable")
    shown = ranked if len(ranked) <= 2 * ends else pd.concat([ranked.head(ends), ranked.tail(ends)])
    return table, shown, class_intervals(base, duo, shown["class"].tolist(), score, among=ranked["class"].tolist())


def every_split(handle: Handle, base: str, sidekick: str, kind: UncertaintyKind) -> dict[str, Evaluation]:
    """The pair on every evaluation split that has both models."""
    own = handle.logit_set
    splits = [split for split in own.evaluation_splits if {base, sidekick} <= set(own.models(split))]
    return {split: evaluation(handle, base, sidekick, split, kind) for split in splits}
