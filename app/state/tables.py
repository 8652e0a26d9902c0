"""Many pairs of an open set: remembered in the store, computed where they are not, with progress where that takes a while."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pandas as pd

from app.state.caches import kept
from app.state.once import Once, Progress
from app.state.sets import Handle, memory, survey
from app.state.waiting import told
from duo_core.analysis.pairs import facts_of
from duo_core.common.arrays import UncertaintyKind
from duo_core.logits import LogitSet
from duo_core.systems import remembered
from duo_core.systems.pair_judging import Memory
from duo_core.systems.sweep import sweeps

Tables = dict[UncertaintyKind, pd.DataFrame]


def sidekicks(handle: Handle, base: str, split: str, kind: UncertaintyKind) -> pd.DataFrame:
    """All variants with every sidekick of one base: a sweep's rows, with costs and accuracies of the models."""
    return _table(handle, split, kind, base)


def all_pairs(handle: Handle, split: str, kind: UncertaintyKind) -> pd.DataFrame:
    """The same for every pair whose base costs at least what its sidekick does."""
    return _table(handle, split, kind, None)


def _table(handle: Handle, split: str, kind: UncertaintyKind, base: str | None) -> pd.DataFrame:
    place, text = _place(handle.stamp, split, base), f"Pairing the models of {handle.logit_set.title}"
    return place.value(_sweep(handle, split, base), told(text))[kind]


def _sweep(handle: Handle, split: str, base: str | None) -> Callable[[Progress], Tables]:
    """What computes the tables; all that belongs to the session is asked for here, as the work has none."""
    models = list(survey(handle, split).accuracy)
    own = replace(handle.logit_set, cards={m: handle.logit_set.cards[m] for m in models})
    only = None if base is None else [(base, other) for other in models if other != base]
    known = memory(handle)

    def compute(progress: Progress) -> Tables:
        if handle.store is None:
            found = sweeps(own, [split], only=only, memory=known, progress=progress)
        else:
            found = remembered.swept(own, handle.store, [split], only=only, memory=known, progress=progress)
        return _with_models(found, own, known)

    return compute


@kept(max_entries=512)
def _place(stamp: str, split: str, base: str | None) -> Once[Tables]:  # noqa: ARG001 (a cache's key)
    return Once()


def _with_models(tables: Mapping[UncertaintyKind, pd.DataFrame], own: LogitSet, known: Memory) -> Tables:
    """The tables, whose rows are the same, with what each pair's models are by themselves, and what the fit split says."""
    facts = facts_of(tables["softmax"], own, known)
    return {kind: found.assign(**facts) for kind, found in tables.items()}
