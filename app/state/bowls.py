"""What the temperatures page computes: the NLL bowl of a pair, and refits on fewer images."""

import pandas as pd

from app.state.caches import kept
from app.state.pairs import fitted
from app.state.sets import Handle
from duo_core.analysis.bowl import Bowl, bowl
from duo_core.analysis.stability import REPEATS, stability, work
from duo_core.common.arrays import UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.systems.duo import VARIANTS, Fit, Temperatures
from duo_core.systems.pair_predicting import pair_predictions

LIVE = 40_000_000
"""Logits that refits may read (`stability.work`) without being asked for: about a second."""


def bowl_of(handle: Handle, base: str, sidekick: str) -> Bowl:
    """The NLL of the fit split around the learned temperatures."""
    key = handle.digest((base, FIT_SPLIT), (sidekick, FIT_SPLIT))
    return _bowl(key, base, sidekick, handle.logit_set, fitted(handle, base, sidekick).fit)


@kept(max_entries=64)
def _bowl(key: str, base: str, sidekick: str, _set: LogitSet, _fit: Fit) -> Bowl:  # noqa: ARG001 (a cache's key)
    return bowl(_set.logits(base, FIT_SPLIT), _set.logits(sidekick, FIT_SPLIT), _set.labels[FIT_SPLIT], _fit)


def marks_of(handle: Handle, base: str, sidekick: str) -> dict[str, tuple[Temperatures, float]]:
    """Temperatures and NLL on the fit split of each variant that has its own."""
    key = handle.digest((base, FIT_SPLIT), (sidekick, FIT_SPLIT))
    return _marks(key, base, sidekick, handle.logit_set, fitted(handle, base, sidekick).fit)


@kept(max_entries=64)
def _marks(
    key: str,  # noqa: ARG001 (the cache's)
    base: str,
    sidekick: str,
    _set: LogitSet,
    _fit: Fit,
) -> dict[str, tuple[Temperatures, float]]:
    own = {name: VARIANTS[name].weights(_fit) for name in ("duo", "base", "sidekick", "unweighted")}
    return {name: (at, _fit.nll[name] if name in _fit.nll else _nll(_set, base, sidekick, at)) for name, at in own.items()}


def _nll(own: LogitSet, base: str, sidekick: str, at: Temperatures) -> float:
    pair = own.logits(base, FIT_SPLIT), own.logits(sidekick, FIT_SPLIT)
    return float(pair_predictions(*pair, own.labels[FIT_SPLIT], at).nll.mean())


def refit_work(handle: Handle, split: str) -> int:
    """Logits of each model that `refits` reads."""
    labels = handle.logit_set.labels
    return work(len(labels[FIT_SPLIT]), len(labels[split]), handle.logit_set.k)


def refits(handle: Handle, base: str, sidekick: str, split: str, kind: UncertaintyKind, seed: int) -> pd.DataFrame:
    """Temperatures learned on fewer images, and how they do on a split."""
    found = fitted(handle, base, sidekick).fit
    return _refits(handle.pair(base, sidekick, split), base, sidekick, split, kind, seed, handle.logit_set, found)


@kept(max_entries=64, show_spinner="Fitting on fewer images")
def _refits(
    key: str,  # noqa: ARG001 (the cache's)
    base: str,
    sidekick: str,
    split: str,
    kind: UncertaintyKind,
    seed: int,
    _set: LogitSet,
    _fit: Fit,
) -> pd.DataFrame:
    fit_split, judged = ((_set.logits(base, s), _set.logits(sidekick, s), _set.labels[s]) for s in (FIT_SPLIT, split))
    return stability(fit_split, judged, _fit, repeats=REPEATS, seed=seed, kind=kind)
