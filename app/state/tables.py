"""Many pairs of an open set: remembered in the store, computed where they are not, with progress where that takes a while."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TypeVar

import pandas as pd
import streamlit as st

from app.state.caches import remembered
from app.state.sets import Handle, memory, survey
from duo_core import results
from duo_core.analysis.advice import total_costs
from duo_core.analysis.roles import named
from duo_core.arrays import UncertaintyKind
from duo_core.logits import LogitSet
from duo_core.pairing import SINGLE, Memory
from duo_core.sweep import ON_FIT, on_fit, sweeps

Item = TypeVar("Item")
Progress = Callable[[int, int], bool]

PATIENCE = 0.5
"""Seconds before a bar says how far the work is."""


@dataclass
class _Place:
    """Where finished tables lie; one session computes them while the others wait."""

    tables: dict[UncertaintyKind, pd.DataFrame] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def sidekicks(handle: Handle, base: str, split: str, kind: UncertaintyKind) -> pd.DataFrame:
    """All variants with every sidekick of one base: a sweep's rows, with costs and accuracies of the models."""
    return _table(handle, split, kind, base)


def all_pairs(handle: Handle, split: str, kind: UncertaintyKind) -> pd.DataFrame:
    """The same for every pair whose base costs at least what its sidekick does."""
    return _table(handle, split, kind, None)


def _table(handle: Handle, split: str, kind: UncertaintyKind, base: str | None) -> pd.DataFrame:
    place = _place(handle.stamp, split, base)
    if place.tables is None:
        with place.lock:
            place.tables = _computed(handle, split, base) if place.tables is None else place.tables
    return place.tables[kind]


def _computed(handle: Handle, split: str, base: str | None) -> dict[UncertaintyKind, pd.DataFrame]:
    models = list(survey(handle, split).accuracy)
    own = replace(handle.logit_set, cards={m: handle.logit_set.cards[m] for m in models})
    only = None if base is None else [(base, other) for other in models if other != base]
    known = memory(handle)  # here, as the thread of the work belongs to no session

    def work(progress: Progress) -> dict[UncertaintyKind, pd.DataFrame]:
        if handle.store is None:
            return sweeps(own, [split], only=only, memory=known, progress=progress)
        return results.swept(own, handle.store, [split], only=only, memory=known, progress=progress)

    return _with_models(with_bar(work, f"Pairing the models of {own.title}"), own, known)


@remembered(max_entries=512)
def _place(stamp: str, split: str, base: str | None) -> _Place:  # noqa: ARG001 (a cache's key)
    return _Place()


def _with_models(
    tables: Mapping[UncertaintyKind, pd.DataFrame], own: LogitSet, known: Memory
) -> dict[UncertaintyKind, pd.DataFrame]:
    """The tables, whose rows are the same, with what each pair's models are by themselves, and what the fit split says."""
    table = tables["softmax"]
    alone = {role: table[table["variant"] == role].drop_duplicates(role).set_index(role)["accuracy"] for role in SINGLE}
    size = pd.Series({name: card.parameters for name, card in own.cards.items()}, dtype=float)
    of_models = {
        "parameter_balance": table["sidekick"].map(size) / table["base"].map(size),
        **{f"{role}_accuracy": table[role].map(alone[role]) for role in SINGLE},
        **total_costs(table, own.cards),
        **table[["base", "sidekick"]].merge(on_fit(own, list(dict.fromkeys(named(table))), known), how="left")[ON_FIT],
    }
    return {kind: found.assign(**of_models) for kind, found in tables.items()}


def with_bar(work: Callable[[Progress], Item], text: str) -> Item:
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


def _follow(future: "Future[Item]", share: list[float], text: str) -> None:
    bar = st.progress(0.0, text)
    while not wait([future], 0.1).done:
        bar.progress(min(1.0, share[0]), f"{text}: {share[0]:.0%}")
    bar.empty()
