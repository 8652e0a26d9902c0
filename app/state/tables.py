"""Many pairs of an open set: remembered in the store, computed where they are not, with progress where that takes a while."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

import pandas as pd
import streamlit as st

from app.state.caches import remembered
from app.state.sets import Handle, memory, survey
from duo_core import results
from duo_core.arrays import UncertaintyKind
from duo_core.logits import LogitSet
from duo_core.pairing import SINGLE, Memory, Pair
from duo_core.sweep import sweep

Progress = Callable[[int, int], bool]

PATIENCE = 0.5
"""Seconds before a bar says how far the work is."""


@dataclass
class _Place:
    """Where a finished table lies; one session computes it while the others wait."""

    table: pd.DataFrame | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def sidekicks(handle: Handle, base: str, split: str, kind: UncertaintyKind) -> pd.DataFrame:
    """All variants with every sidekick of one base: a sweep's rows, with costs and accuracies of the models."""
    return _table(handle, split, kind, base)


def all_pairs(handle: Handle, split: str, kind: UncertaintyKind) -> pd.DataFrame:
    """The same for every pair whose base costs at least what its sidekick does."""
    return _table(handle, split, kind, None)


def _table(handle: Handle, split: str, kind: UncertaintyKind, base: str | None) -> pd.DataFrame:
    place = _place(handle.stamp, split, kind, base)
    if place.table is None:
        with place.lock:
            place.table = _computed(handle, split, kind, base) if place.table is None else place.table
    return place.table


def _computed(handle: Handle, split: str, kind: UncertaintyKind, base: str | None) -> pd.DataFrame:
    models = list(survey(handle, split).accuracy)
    own = replace(handle.logit_set, cards={m: handle.logit_set.cards[m] for m in models})
    only = None if base is None else [(base, other) for other in models if other != base]
    known = memory(handle)  # here, as the thread of the work belongs to no session
    found = _with_bar(
        lambda progress: _swept(handle, own, split, kind, only, known, progress), f"Pairing the models of {own.title}"
    )
    return _with_models(found, own)


@remembered(max_entries=512)
def _place(stamp: str, split: str, kind: UncertaintyKind, base: str | None) -> _Place:  # noqa: ARG001 (a cache's key)
    return _Place()


def _swept(
    handle: Handle,
    own: LogitSet,
    split: str,
    kind: UncertaintyKind,
    only: list[Pair] | None,
    known: Memory,
    progress: Progress,
) -> pd.DataFrame:
    if handle.store is None:
        return sweep(own, [split], kind=kind, only=only, memory=known, progress=progress)
    return results.swept(own, handle.store, [split], kind=kind, only=only, memory=known, progress=progress)


def _with_models(table: pd.DataFrame, own: LogitSet) -> pd.DataFrame:
    """The table with what each pair's models are by themselves."""
    alone = {role: table[table["variant"] == role].drop_duplicates(role).set_index(role)["accuracy"] for role in SINGLE}
    size = pd.Series({name: card.parameters for name, card in own.cards.items()}, dtype=float)
    return table.assign(
        parameter_balance=table["sidekick"].map(size) / table["base"].map(size),
        **{f"{role}_accuracy": table[role].map(alone[role]) for role in SINGLE},
    )


def _with_bar(work: Callable[[Progress], pd.DataFrame], text: str) -> pd.DataFrame:
    """Run the work on a thread of its own; a bar follows it, and leaving the page cancels it."""
    share, left = [0.0], threading.Event()

    def progress(done: int, total: int) -> bool:
        share[0] = done / total
        return left.is_set()

    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(work, progress)
        if not wait([future], PATIENCE).done:
            try:
                _follow(future, share, text)
            except BaseException:  # Streamlit leaves a run that is no longer wanted by raising
                left.set()
                raise
        return future.result()


def _follow(future: "Future[pd.DataFrame]", share: list[float], text: str) -> None:
    bar = st.progress(0.0, text)
    while not wait([future], 0.1).done:
        bar.progress(min(1.0, share[0]), f"{text}: {share[0]:.0%}")
    bar.empty()
