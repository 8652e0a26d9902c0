"""What a set says about the claims of the paper, and what thresholds of a pair promise."""

from collections.abc import Callable, Mapping

import pandas as pd

from app.state.caches import kept
from app.state.once import Once, Progress
from app.state.pairs import fitted
from app.state.sets import Handle, memory
from app.state.tables import all_pairs
from app.state.waiting import told
from duo_core.analysis.judged import Judged, judged_claims
from duo_core.analysis.promise import chance_of_difference, promises
from duo_core.common.arrays import KINDS, Predictions, UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.systems.duo import Fit
from duo_core.systems.pair_predicting import variant_predictions
from duo_core.systems.sweep import Evaluation

PROMISING = ("duo", "base")
"""Systems whose thresholds are shown."""


def claims_of(handle: Handle, split: str, *, reversed_too: bool = False) -> Judged:
    """Every claim, judged on the pairs of a split; on reversed ones, too, if these are asked for."""
    place, judge = claims_work(handle, split, reversed_too=reversed_too)
    return place.value(judge, told(f"Judging the pairs of {handle.logit_set.title} on parts of the images"))


def claims_work(handle: Handle, split: str, *, reversed_too: bool = False) -> tuple[Once[Judged], Callable[[Progress], Judged]]:
    """Where the claims come to lie and what judges them, on any thread; all that belongs to the session is asked for here."""
    own, known = handle.logit_set, memory(handle)
    tables: Mapping[UncertaintyKind, pd.DataFrame] = {kind: all_pairs(handle, split, kind) for kind in KINDS}

    def judge(progress: Progress) -> Judged:
        return judged_claims(own, split, tables, reversed_too=reversed_too, store=handle.store, memory=known, progress=progress)

    return _judged(handle.stamp, split, reversed_too), judge


@kept(max_entries=64)
def _judged(stamp: str, split: str, reversed_too: bool) -> Once[Judged]:  # noqa: ARG001 (a cache's key)
    return Once()


def promised(handle: Handle, found: Evaluation, kind: UncertaintyKind, target: float, confidence: float) -> pd.DataFrame:
    """Thresholds for a target risk, chosen on the fit split, and what they give on the split of the evaluation."""
    own = _on_fit(handle, found, kind)
    return _promised(handle.pair(found.base, found.sidekick, found.split), kind, target, confidence, own, found)


@kept(max_entries=256)
def _promised(
    key: str,  # noqa: ARG001 (the cache's)
    kind: UncertaintyKind,  # noqa: ARG001 (the cache's)
    target: float,
    confidence: float,
    _own: dict[str, Predictions],
    _found: Evaluation,
) -> pd.DataFrame:
    return promises(_own, _found.predictions, target, confidence)


def exchangeable(handle: Handle, found: Evaluation, kind: UncertaintyKind) -> tuple[float, float, float]:
    """Error rates of the base on the fit split and on that of the evaluation, and how often chance parts images so unevenly."""
    one, other = _on_fit(handle, found, kind)["base"], found.predictions["base"]
    return 1 - float(one.correct.mean()), 1 - float(other.correct.mean()), chance_of_difference(one, other)


def _on_fit(handle: Handle, found: Evaluation, kind: UncertaintyKind) -> dict[str, Predictions]:
    key = handle.digest((found.base, FIT_SPLIT), (found.sidekick, FIT_SPLIT))
    return _predicted_on_fit(key, found.base, found.sidekick, kind, found.logit_set, fitted(handle, found.base, found.sidekick).fit)


@kept(max_entries=32)
def _predicted_on_fit(
    key: str,  # noqa: ARG001 (the cache's)
    base: str,
    sidekick: str,
    kind: UncertaintyKind,
    _set: LogitSet,
    _fit: Fit,
) -> dict[str, Predictions]:
    pair = _set.logits(base, FIT_SPLIT), _set.logits(sidekick, FIT_SPLIT)
    return variant_predictions(*pair, _set.labels[FIT_SPLIT], _fit, variants=PROMISING, kind=kind)
