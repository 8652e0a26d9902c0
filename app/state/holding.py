"""What a set says about the claims of the paper, and what thresholds of a pair promise."""

from collections.abc import Mapping

import pandas as pd

from app.state.caches import Key, awaited, kept
from app.state.members import Together, of, on_fit
from app.state.once import Progress
from app.state.sets import Handle, memory
from app.state.tables import all_pairs
from duo_core.analysis.judged import Judged, judged_claims
from duo_core.analysis.promise import chance_of_difference, promises
from duo_core.common.arrays import KINDS, Predictions, UncertaintyKind
from duo_core.logits import FIT_SPLIT
from duo_core.systems.sweep import Evaluation

PROMISING = ("duo", "base")
"""Systems whose thresholds are shown."""


def claims_of(handle: Handle, split: str, *, reversed_too: bool = False) -> Judged:
    """Every claim, judged on the pairs of a split; on reversed ones, too, if these are asked for."""
    tables: Mapping[UncertaintyKind, pd.DataFrame] = {kind: all_pairs(handle, split, kind) for kind in KINDS}

    def compute(progress: Progress) -> Judged:
        return judged_claims(
            handle.logit_set,
            split,
            tables,
            reversed_too=reversed_too,
            store=handle.store,
            memory=memory(handle),
            progress=progress,
        )

    text = f"Judging the pairs of {handle.logit_set.title} on parts of the images"
    return awaited(Key("claims", handle.stamp, (split, reversed_too)), compute, text)


def promised(handle: Handle, found: Evaluation, kind: UncertaintyKind, target: float, confidence: float) -> pd.DataFrame:
    """Thresholds for a target risk, chosen on the fit split, and what they give on the split of the evaluation."""
    return kept(
        Key("promised", of(handle, found), (kind, target, confidence)),
        lambda: promises(_on_fit(handle, found, kind), found.predictions, [target], confidence),
    )


def exchangeable(handle: Handle, found: Evaluation, kind: UncertaintyKind) -> tuple[float, float, float]:
    """Error rates of the base on the fit split and on that of the evaluation, and how often chance parts images so unevenly."""
    one, other = _on_fit(handle, found, kind)["base"], found.predictions["base"]
    return 1 - float(one.correct.mean()), 1 - float(other.correct.mean()), chance_of_difference(one, other)


def _on_fit(handle: Handle, found: Evaluation, kind: UncertaintyKind) -> dict[str, Predictions]:
    if isinstance(found, Together):
        return on_fit(handle, found, kind)
    return kept(
        Key("on the fit split", handle.digest((found.base, FIT_SPLIT), (found.sidekick, FIT_SPLIT)), (kind,)),
        lambda: found.on_fit(PROMISING, kind),
    )
