"""Everything that is cached; what the widgets hold is in `link`.

Caches are keyed on digests of the logits and labels, which are passed as `_arguments` and so are never hashed.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st
import torch

from duo_core.arrays import InputError, UncertaintyKind
from duo_core.duo import Fit, Temperatures
from duo_core.figures.curves import Curves, risk_coverage
from duo_core.logits import FIT_SPLIT, LogitSet, tensor_digest
from duo_core.metrics import metrics
from duo_core.predictions import pair_predictions
from duo_core.store import Store, default_store
from duo_core.sweep import COLUMNS, Evaluation, evaluate, fit_pair

# A pair's arrays are small: with more threads they wait for each other, and for those of other sessions.
torch.set_num_threads(1)

AFFORDABLE = 0.35
"""FLOPs balance up to which a sidekick may be the one shown first."""


@dataclass(frozen=True)
class Handle:
    """An open logit set, with what its caches are keyed on."""

    logit_set: LogitSet
    stamp: str
    """Of the files as they are now: a repaired file is read again."""
    labels: Mapping[str, str]
    """Digest of each split's labels."""

    def digest(self, *keys: tuple[str, str]) -> str:
        """Digest of the named (model, split) logits and of their splits' labels."""
        splits = sorted({split for _, split in keys})
        parts = [self.logit_set.digest(*keys), *(self.labels[split] for split in splits)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def pair(self, base: str, sidekick: str, split: str) -> str:
        """Digest of all that the evaluation of a pair rests on."""
        return self.digest(*((model, of) for model in (base, sidekick) for of in (FIT_SPLIT, split)))


@dataclass(frozen=True)
class Survey:
    """Models that can be paired on a split: their accuracies, most multiply-adds first; and why others cannot."""

    accuracy: Mapping[str, float]
    broken: Mapping[str, str]


@dataclass(frozen=True)
class TimedFit:
    """A fit and how long it took."""

    fit: Fit
    seconds: float


def store_path() -> Path:
    """The folder of the logit sets."""
    return default_store()


def set_names() -> list[str]:
    """Names of the logit sets in the store."""
    return Store().names()


def open_set(name: str) -> Handle:
    """Open a set, or the one opened before if none of its files has changed."""
    folder = store_path() / name
    files = sorted((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in folder.iterdir() if file.is_file())
    return _opened(str(store_path()), name, hashlib.sha256(repr(files).encode()).hexdigest())


@st.cache_resource(max_entries=16, show_spinner=False)
def _opened(store: str, name: str, stamp: str) -> Handle:
    logit_set = Store(Path(store)).open(name)
    return Handle(logit_set, f"{store}/{name}/{stamp}", {split: tensor_digest(y) for split, y in logit_set.labels.items()})


def survey(handle: Handle, split: str) -> Survey:
    """Read every model of a split and of the fit split; one that cannot be read costs only itself."""
    return _survey(handle.stamp, split, handle.logit_set)


@st.cache_resource(max_entries=64, show_spinner="Reading the models")
def _survey(stamp: str, split: str, _set: LogitSet) -> Survey:  # noqa: ARG001 (a cache's key)
    accuracy: dict[str, float] = {}
    broken = dict(_set.broken)
    for model in _set.models(FIT_SPLIT, split):
        try:
            _set.logits(model, FIT_SPLIT)
            right = _set.logits(model, split).argmax(1) == _set.labels[split]
        except InputError as error:
            broken[model] = str(error)
        else:
            accuracy[model] = right.double().mean().item()
    return Survey(accuracy, broken)


def fitted(handle: Handle, base: str, sidekick: str) -> TimedFit:
    """The learned temperatures of a pair, and the time they took when they were learned."""
    return _fitted(handle.pair(base, sidekick, FIT_SPLIT), base, sidekick, handle.logit_set)


@st.cache_resource(max_entries=4096, show_spinner=False)
def _fitted(key: str, base: str, sidekick: str, _set: LogitSet) -> TimedFit:  # noqa: ARG001 (a cache's key)
    start = time.perf_counter()
    found = fit_pair(_set, base, sidekick)
    return TimedFit(found, time.perf_counter() - start)


def evaluation(handle: Handle, base: str, sidekick: str, split: str, kind: UncertaintyKind) -> Evaluation:
    """Every variant of one pair on one split."""
    found = fitted(handle, base, sidekick).fit
    return _evaluation(handle.pair(base, sidekick, split), base, sidekick, split, kind, handle.logit_set, found)


@st.cache_resource(max_entries=32, show_spinner=False)
def _evaluation(
    key: str,  # noqa: ARG001 (the cache's)
    base: str,
    sidekick: str,
    split: str,
    kind: UncertaintyKind,
    _set: LogitSet,
    _fit: Fit,
) -> Evaluation:
    return evaluate(_set, base, sidekick, split, kind=kind, fitted=_fit)


def curves(handle: Handle, found: Evaluation, kind: UncertaintyKind) -> Curves:
    """The risk-coverage curves of a pair."""
    return _curves(handle.pair(found.base, found.sidekick, found.split), kind, found)


@st.cache_resource(max_entries=128, show_spinner=False)
def _curves(key: str, kind: UncertaintyKind, _found: Evaluation) -> Curves:  # noqa: ARG001 (a cache's key)
    return risk_coverage(_found.predictions, oracle_of="duo")


def sidekicks(handle: Handle, base: str, split: str, kind: UncertaintyKind) -> pd.DataFrame:
    """Duo, unweighted and UQ only with every sidekick of one base: a sweep's rows, with costs and accuracies of the models."""
    known = survey(handle, split)
    rows = [row for other in known.accuracy if other != base for row in _rows_of(handle, base, other, split, kind, known)]
    return pd.DataFrame(rows, columns=[*COLUMNS, "parameter_balance", "base_accuracy", "sidekick_accuracy"])


def _rows_of(handle: Handle, base: str, sidekick: str, split: str, kind: UncertaintyKind, known: Survey) -> list[dict[str, object]]:
    found = fitted(handle, base, sidekick).fit
    values = _metrics_of(handle.pair(base, sidekick, split), base, sidekick, split, kind, handle.logit_set, found)
    own, other = (handle.logit_set.cards[model].parameters for model in (base, sidekick))
    shared = {
        "set": handle.logit_set.name,
        "split": split,
        "base": base,
        "sidekick": sidekick,
        "T_base": found.temperatures.base,
        "T_sidekick": found.temperatures.sidekick,
        "T_ratio": float("nan") if found.ratio is None else found.ratio,
        "flops_balance": handle.logit_set.flops_balance(base, sidekick),
        "parameter_balance": other / own if own and other is not None else None,
        "base_accuracy": known.accuracy[base],
        "sidekick_accuracy": known.accuracy[sidekick],
    }
    return [{**shared, "variant": variant, **numbers} for variant, numbers in values.items()]


@st.cache_resource(max_entries=4096, show_spinner="Pairing the base with every sidekick")
def _metrics_of(
    key: str,  # noqa: ARG001 (the cache's)
    base: str,
    sidekick: str,
    split: str,
    kind: UncertaintyKind,
    _set: LogitSet,
    _fit: Fit,
) -> dict[str, dict[str, float | None]]:
    """Metrics of the three pairings, without the images' arrays that an Evaluation keeps."""
    return evaluate(_set, base, sidekick, split, kind=kind, fitted=_fit, variants=("duo", "unweighted", "uq_only")).metrics


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


def first_base(accuracy: Mapping[str, float], handle: Handle) -> str:
    """The most accurate model that has an affordable sidekick; the most accurate where none has."""
    own = handle.logit_set
    affordable = [b for b in accuracy if any(o != b and (own.flops_balance(b, o) or 1.0) <= AFFORDABLE for o in accuracy)]
    return max(affordable or accuracy, key=lambda model: accuracy[model])


def first_sidekick(table: pd.DataFrame) -> str:
    """The affordable sidekick whose duo has the lowest AURC; the lowest of all where none is affordable or costs are unknown."""
    duos = table[table["variant"] == "duo"]
    affordable = duos[duos["flops_balance"].astype(float) <= AFFORDABLE]
    chosen = affordable if len(affordable) else duos
    return str(chosen.loc[chosen["aurc"].astype(float).idxmin(), "sidekick"])
