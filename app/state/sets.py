"""Open logit sets and which of their models can be read."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from duo_core.arrays import InputError
from duo_core.logits import FIT_SPLIT, LogitSet, tensor_digest
from duo_core.store import Store, default_store


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
