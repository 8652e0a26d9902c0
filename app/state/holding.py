"""What a set says about the claims of the paper, and what thresholds of a pair promise."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from app.state.caches import remembered
from app.state.pairs import fitted
from app.state.sets import Handle, memory
from app.state.tables import Progress, all_pairs, with_bar
from duo_core.analysis.judged import Judged, judged_claims
from duo_core.analysis.promise import chance_of_difference, promises
from duo_core.arrays import KINDS, Predictions, UncertaintyKind
from duo_core.duo import Fit
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.predictions import variant_predictions
from duo_core.sweep import Evaluation

PROMISING = ("duo", "base")
"""Systems whose thresholds are shown."""


@dataclass
class _Judged:
    """Where the claims of a split lie; one session judges them while the others wait."""

    found: Judged | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def claims_of(handle: Handle, split: str, *, reversed_too: bool = False) -> Judged:
    """Every claim, judged on the pairs of a split; on reversed ones, too, if these are asked for."""
    place = _place(handle.stamp, split, reversed_too)
    if place.found is None:
        tables = {kind: all_pairs(handle, split, kind) for kind in KINDS}
        with place.lock:
            place.found = _found(handle, split, tables, reversed_too) if place.found is None else place.found
    return place.found


def _found(handle: Handle, split: str, tables: Mapping[UncertaintyKind, pd.DataFrame], reversed_too: bool) -> Judged:
    own, known = handle.logit_set, memory(handle)  # here, as the thread of the work belongs to no session

    def work(progress: Progress) -> Judged:
        options = {"store": handle.store, "memory": known, "progress": progress}
        return judged_claims(own, split, tables, reversed_too=reversed_too, **options)  # type: ignore[arg-type]

    return with_bar(work, f"Judging the pairs of {own.title} on parts of the images")


@remembered(max_entries=64)
def _place(stamp: str, split: str, reversed_too: bool) -> _Judged:  # noqa: ARG001 (a cache's key)
    return _Judged()


def promised(handle: Handle, found: Evaluation, kind: UncertaintyKind, target: float, confidence: float) -> pd.DataFrame:
    """Thresholds for a target risk, chosen on the fit split, and what they give on the split of the evaluation."""
    own = _on_fit(handle, found, kind)
    return _promised(handle.pair(found.base, found.sidekick, found.split), kind, target, confidence, own, found)


@remembered(max_entries=256)
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


@remembered(max_entries=32)
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
