"""One pair of an open set: its fit, its evaluation, and how it compares with other sidekicks."""

import time
from dataclasses import dataclass, replace

from app.state.caches import Key, kept
from app.state.sets import Handle, Survey, memory
from duo_core.analysis.advice import AFFORDABLE
from duo_core.common.arrays import UncertaintyKind
from duo_core.common.parallel import in_parallel
from duo_core.figures.curves import Curves, risk_coverage
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import metrics
from duo_core.systems.duo import Fit, Temperatures
from duo_core.systems.pair_predicting import pair_predictions
from duo_core.systems.sweep import Evaluation, evaluate, fit_pair
from duo_core.warmup import load


@dataclass(frozen=True)
class TimedFit:
    """A fit and how long it took."""

    fit: Fit
    seconds: float


def fitted(handle: Handle, base: str, sidekick: str) -> TimedFit:
    """The learned temperatures of a pair, and the time they took when they were learned."""

    def compute() -> TimedFit:
        load()  # what is measured is the fit, not what a new process loads first
        start = time.perf_counter()
        found = fit_pair(handle.logit_set, base, sidekick, memory(handle))
        return TimedFit(found, time.perf_counter() - start)

    return kept(Key("fit", handle.digest((base, FIT_SPLIT), (sidekick, FIT_SPLIT))), compute)


def evaluation(handle: Handle, base: str, sidekick: str, split: str, kind: UncertaintyKind) -> Evaluation:
    """Every variant of one pair on one split."""
    needed = [(model, of) for of in (split, FIT_SPLIT) for model in (base, sidekick)]
    in_parallel(lambda key: handle.logit_set.logits(*key), needed)  # what is read for the first time is checked: a file a core

    def compute() -> Evaluation:
        fit = fitted(handle, base, sidekick).fit
        return evaluate(handle.logit_set, base, sidekick, split, kind=kind, fitted=fit, memory=memory(handle))

    found = kept(Key("evaluation", handle.pair(base, sidekick, split), (kind,)), compute)
    # Another set may have the same logits, but names, costs and an origin of its own.
    return found if found.logit_set is handle.logit_set else replace(found, logit_set=handle.logit_set)


def curves(handle: Handle, found: Evaluation, kind: UncertaintyKind) -> Curves:
    """The risk-coverage curves of a pair."""
    of = handle.pair(found.base, found.sidekick, found.split)
    return kept(Key("curves", of, (kind,)), lambda: risk_coverage(found.predictions, oracle_of="duo"))


def by_hand(
    handle: Handle, base: str, sidekick: str, split: str, kind: UncertaintyKind, temperatures: Temperatures
) -> dict[str, float | None]:
    """Metrics of the duo at any temperatures, and its NLL on the fit split as `nll_fit`."""
    own = handle.logit_set
    judged, fit_split = (
        pair_predictions(own.logits(base, s), own.logits(sidekick, s), own.labels[s], temperatures, kind=kind)
        for s in (split, FIT_SPLIT)
    )
    return {**metrics(judged), "nll_fit": float(fit_split.nll.mean())}


def first_base(known: Survey, handle: Handle) -> str:
    """The most accurate model on the fit split that has an affordable sidekick; the most accurate where none has."""
    own, names = handle.logit_set, known.on_fit
    affordable = [b for b in names if any(o != b and (own.flops_balance(b, o) or 1.0) <= AFFORDABLE for o in names)]
    return max(affordable or names, key=lambda model: names[model])
