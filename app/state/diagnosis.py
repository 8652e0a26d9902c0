"""What the diagnosis page computes."""

import threading
from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd

from app.budget import budget
from app.state.caches import CACHE, Cache, Key, kept
from app.state.members import of, together
from app.state.once import Compute, Work
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
_BEGINNING = threading.Lock()
"""Who asks for the same two systems a moment later finds the draws of both under way, not of one."""


def begin_gains(
    handle: Handle, found: Evaluation, kind: UncertaintyKind, keys: tuple[str, ...] = tuple(METRICS), over: Single = "base"
) -> tuple[Work[Drawn], Work[Drawn]]:
    """Begin the draws of duo and one member beside what else is done; those of a member serve all its pairs."""
    member = {"base": found.base, "sidekick": found.sidekick}[over]
    alone = handle.digest((member, FIT_SPLIT), (member, found.split))
    places = {"duo": of(handle, found), over: alone}
    draws = {variant: Key("draws", place, (kind, keys)) for variant, place in places.items()}
    both_at_once = Cache(budget)
    new: list[str] = []

    def draws_of(variant: str) -> Compute[Drawn]:
        if variant not in new:  # under way a moment ago, and failed since
            return lambda _: _drawn([found.predictions[variant]], keys)[0]
        both = [found.predictions[each] for each in new]
        return lambda _: both_at_once.value(Key("draws"), lambda _: _drawn(both, keys))[new.index(variant)]

    with _BEGINNING:
        new += [variant for variant, key in draws.items() if not CACHE.under_way(key)]
        duo, member_alone = (CACHE.begin(key, draws_of(variant)) for variant, key in draws.items())
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


def entropy_gains(handle: Handle, found: Evaluation) -> Mapping[str, Interval | None]:
    """Intervals of what ranking the duo by entropy instead of softmax changes."""
    duo = found.predictions["duo"]
    return kept(
        Key("entropy gains", of(handle, found)),
        lambda: differences(duo.ranked_by("entropy"), duo.ranked_by("softmax"), keys=RANKING),
    )


def calibration(handle: Handle, found: Evaluation) -> dict[str, pd.DataFrame]:
    """Reliability of the base as it came, of the calibrated base and of the duo."""

    def compute() -> dict[str, pd.DataFrame]:
        own = found.logit_set
        base, sidekick = (own.logits(model, found.split) for model in (found.base, found.sidekick))
        raw = pair_predictions(base, sidekick, own.labels[found.split], Temperatures(1.0, 0.0), classes="base")
        systems: dict[str, Predictions] = {"uncalibrated": raw, **{key: found.predictions[key] for key in ("base", "duo")}}
        return {name: reliability(predictions) for name, predictions in systems.items()}

    return kept(Key("calibration", of(handle, found)), compute)


def moves(handle: Handle, found: Evaluation, kind: UncertaintyKind) -> pd.DataFrame:
    """Every image by how far its rank moves from base to duo."""
    base, duo = found.predictions["base"], found.predictions["duo"]
    return kept(Key("moves", of(handle, found), (kind,)), lambda: rank_moves(base, duo))


Classes = tuple[pd.DataFrame, pd.DataFrame, Mapping[int, Interval | None]]


def classes(handle: Handle, found: Evaluation, score: ClassScore, least: int, ends: int) -> Classes:
    """Gain of every class; of these the `ends` that gain most and least among those of `least` images; their intervals."""
    names = found.logit_set.classes
    base, duo = found.predictions["base"], found.predictions["duo"]

    def compute() -> Classes:
        table = gain_by_class(base, duo, len(names), score)
        table.insert(1, "name", list(names))
        ranked = table[table["images"] >= least].sort_values("gain", ascending=False, kind="stable")
        shown = ranked if len(ranked) <= 2 * ends else pd.concat([ranked.head(ends), ranked.tail(ends)])
        return table, shown, class_intervals(base, duo, shown["class"].tolist(), score, among=ranked["class"].tolist())

    return kept(Key("classes", of(handle, found), (names, score, least, ends)), compute)


def every_split(handle: Handle, members: Sequence[str], kind: UncertaintyKind, rule: str = "fitted") -> dict[str, Evaluation]:
    """The system on every evaluation split that has all its members."""
    own = handle.logit_set
    splits = [split for split in own.evaluation_splits if set(members) <= set(own.models(split))]
    return {split: together(handle, members, split, kind, rule) for split in splits}
