"""Every system of an open set: remembered in the store, computed where it is not, with progress where that takes a while."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pandas as pd

from app.state.caches import Key, awaited, kept
from app.state.once import Progress
from app.state.sets import Handle, memory, survey
from duo_core.analysis.candidates import enumerated
from duo_core.analysis.offers import systems_shown, table_of_systems
from duo_core.common.arrays import Predictions, UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.systems.enumeration import Results
from duo_core.systems.judging import fit_system
from duo_core.systems.predicting import predictions
from duo_core.systems.remembered_systems import swept_or_judged
from duo_core.systems.system import System


def systems(handle: Handle, split: str, kind: UncertaintyKind, base: str | None) -> pd.DataFrame:
    """The systems of a page, those that hold a base or all, with the columns of `offers.COLUMNS`."""
    own, there = handle.logit_set, every(handle, split)
    found = awaited(
        Key("systems", handle.stamp, (split, base)),
        lambda progress: _judged(handle, split, base, there, progress),
        f"Putting the models of {own.title} together",
    )
    return kept(Key("table of systems", handle.stamp, (split, base, kind)), lambda: table_of_systems(own, found, split, kind))


def readable(handle: Handle, split: str) -> LogitSet:
    """The set with the models alone that can be judged on a split."""
    cards = handle.logit_set.cards
    return replace(handle.logit_set, cards={model: cards[model] for model in survey(handle, split).accuracy})


def every(handle: Handle, split: str) -> Results:
    """What every choice of models is worth on a split, as far as it does not depend on what it is compared with."""
    own = handle.logit_set

    def compute(progress: Progress) -> Results:
        return _new(handle, enumerated(readable(handle, split), split), split, progress)

    return awaited(Key("every system", handle.stamp, (split,)), compute, f"Putting the models of {own.title} together")


def _judged(handle: Handle, split: str, base: str | None, there: Results, progress: Progress) -> Results:
    own = readable(handle, split)
    asked = systems_shown(own.cards, own.models(), base)
    if new := [system for system in asked if system not in there]:
        there = {**there, **_new(handle, new, split, progress)}
    return there if there.keys() == set(asked) else {system: there[system] for system in asked if system in there}


def _new(handle: Handle, asked: Sequence[System], split: str, progress: Progress) -> Results:
    """What is remembered of systems in the store, or else computed."""
    return swept_or_judged(readable(handle, split), asked, split, handle.store, memory(handle), progress)


def digest_of(handle: Handle, members: Iterable[str], split: str) -> str:
    """Digest of all that systems of some members rest on where they are judged."""
    return handle.digest(*((member, of) for member in dict.fromkeys(members) for of in (FIT_SPLIT, split)))


def predicted(handle: Handle, system: System, split: str, kind: UncertaintyKind) -> Predictions:
    """What a system predicts on a split, the fit split among them."""
    own = handle.logit_set

    def compute() -> Predictions:
        fitted = fit_system(own, system.members, memory(handle), [system.rule])
        logits = {member: own.logits(member, split) for member in system.members}
        return predictions(logits, own.labels[split], [(system, fitted)], kind=kind)[0]

    return kept(Key("predicted", digest_of(handle, system.members, split), (system, kind)), compute)
