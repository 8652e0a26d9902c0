"""What the temperatures page computes: the NLL bowl of a pair, and refits on fewer images."""

import pandas as pd
from torch import Tensor

from app.state.caches import Key, awaited, kept
from app.state.once import Progress
from app.state.pairs import fitted
from app.state.sets import Handle
from duo_core.analysis import bowl
from duo_core.analysis.stability import REPEATS, stability, work
from duo_core.common.arrays import UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.systems.duo import Temperatures

LIVE = 40_000_000
"""Logits that refits may read (`stability.work`) without being asked for: about a second."""


def bowl_of(handle: Handle, base: str, sidekick: str) -> bowl.Bowl:
    """The NLL of the fit split around the learned temperatures."""

    def compute() -> bowl.Bowl:
        return bowl.bowl(*_pair(handle.logit_set, base, sidekick, FIT_SPLIT), fitted(handle, base, sidekick).fit)

    return kept(Key("bowl", _on_fit(handle, base, sidekick)), compute)


def marks_of(handle: Handle, base: str, sidekick: str) -> dict[str, tuple[Temperatures, float]]:
    """Temperatures and NLL on the fit split of each variant that has its own."""

    def compute() -> dict[str, tuple[Temperatures, float]]:
        return bowl.marks_of(*_pair(handle.logit_set, base, sidekick, FIT_SPLIT), fitted(handle, base, sidekick).fit)

    return kept(Key("marks", _on_fit(handle, base, sidekick)), compute)


def _on_fit(handle: Handle, base: str, sidekick: str) -> str:
    return handle.digest((base, FIT_SPLIT), (sidekick, FIT_SPLIT))


def _pair(own: LogitSet, base: str, sidekick: str, split: str) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of both on a split, and its labels."""
    return own.logits(base, split), own.logits(sidekick, split), own.labels[split]


def refit_work(handle: Handle, split: str) -> int:
    """Logits of each model that `refits` reads."""
    labels = handle.logit_set.labels
    return work(len(labels[FIT_SPLIT]), len(labels[split]), handle.logit_set.k)


def refits(handle: Handle, base: str, sidekick: str, split: str, kind: UncertaintyKind, seed: int) -> pd.DataFrame:
    """Temperatures learned on fewer images, and how they do on a split."""

    def compute(_: Progress) -> pd.DataFrame:
        fit_split, judged = (_pair(handle.logit_set, base, sidekick, of) for of in (FIT_SPLIT, split))
        return stability(fit_split, judged, fitted(handle, base, sidekick).fit, repeats=REPEATS, seed=seed, kind=kind)

    return awaited(Key("refits", handle.pair(base, sidekick, split), (kind, seed)), compute, "Fitting on fewer images")
