"""Many pairs of an open set: remembered in the store, computed where they are not, with progress where that takes a while."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from app import presets
from app.state.caches import Key, awaited
from app.state.once import Progress
from app.state.sets import Handle, memory, survey
from duo_core.analysis.pairs import facts_of
from duo_core.common.arrays import UncertaintyKind
from duo_core.logits import LogitSet
from duo_core.systems import remembered
from duo_core.systems.pair_judging import Memory
from duo_core.systems.sweep import on_fit, sweeps

Tables = dict[UncertaintyKind, pd.DataFrame]


def sidekicks(handle: Handle, base: str, split: str, kind: UncertaintyKind) -> pd.DataFrame:
    """All variants with every sidekick of one base: a sweep's rows, with costs and accuracies of the models."""
    return _table(handle, split, kind, base)


def all_pairs(handle: Handle, split: str, kind: UncertaintyKind) -> pd.DataFrame:
    """The same for every pair whose base costs at least what its sidekick does."""
    return _table(handle, split, kind, None)


def suggested(handle: Handle, base: str, split: str) -> presets.Suggested:
    """Sidekicks of one base to begin with; the fit split alone decides, so that nothing is judged for it."""
    return _suggested(handle, base, tuple(sorted(other for other in survey(handle, split).accuracy if other != base)))


def _suggested(handle: Handle, base: str, others: tuple[str, ...]) -> presets.Suggested:
    def compute(progress: Progress) -> presets.Suggested:
        own, pairs = handle.logit_set, [(base, other) for other in others]
        balance = pd.Series([own.flops_balance(*pair) for pair in pairs], dtype=float)
        return presets.suggested(on_fit(own, pairs, memory(handle), progress).assign(variant="duo", flops_balance=balance))

    return awaited(Key("suggested", handle.stamp, (base, others)), compute, _pairing(handle))


def _table(handle: Handle, split: str, kind: UncertaintyKind, base: str | None) -> pd.DataFrame:
    key = Key("pairs", handle.stamp, (split, base))
    return awaited(key, lambda progress: _swept(handle, split, base, progress), _pairing(handle))[kind]


def _pairing(handle: Handle) -> str:
    return f"Pairing the models of {handle.logit_set.title}"


def _swept(handle: Handle, split: str, base: str | None, progress: Progress) -> Tables:
    models = list(survey(handle, split).accuracy)
    own = replace(handle.logit_set, cards={m: handle.logit_set.cards[m] for m in models})
    only = None if base is None else [(base, other) for other in models if other != base]
    known = memory(handle)
    if handle.store is None:
        found = sweeps(own, [split], only=only, memory=known, progress=progress)
    else:
        found = remembered.swept(own, handle.store, [split], only=only, memory=known, progress=progress)
    return _with_models(found, own, known)


def _with_models(tables: Mapping[UncertaintyKind, pd.DataFrame], own: LogitSet, known: Memory) -> Tables:
    """The tables, whose rows are the same, with what each pair's models are by themselves, and what the fit split says."""
    facts = facts_of(tables["softmax"], own, known)
    return {kind: found.assign(**facts) for kind, found in tables.items()}
