"""Open logit sets and which of their models can be read."""

import contextlib
import hashlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from app.state.caches import OWN, remembered
from duo_core import results
from duo_core.arrays import InputError
from duo_core.blocks import in_parallel
from duo_core.logits import FIT_SPLIT, LogitSet, tensor_digest
from duo_core.pairing import Memory
from duo_core.store import Store, default_store


@dataclass(frozen=True)
class Handle:
    """An open logit set, with what its caches are keyed on."""

    logit_set: LogitSet
    stamp: str
    """Of the files as they are now: a repaired file is read again. An upload's begins with OWN."""
    labels: Mapping[str, str]
    """Digest of each split's labels."""
    store: Path | None = None
    """Where finished sweeps are remembered; None where nothing may be written."""

    def digest(self, *keys: tuple[str, str]) -> str:
        """Digest of the named (model, split) logits and of their splits' labels; an upload's is its session's own."""
        splits = sorted({split for _, split in keys})
        parts = [self.logit_set.digest(*keys), *(self.labels[split] for split in splits)]
        own = f"{self.stamp}/" if self.stamp.startswith(OWN) else ""
        return own + hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def pair(self, base: str, sidekick: str, split: str) -> str:
        """Digest of all that the evaluation of a pair rests on."""
        return self.digest(*((model, of) for model in (base, sidekick) for of in (FIT_SPLIT, split)))


@dataclass(frozen=True)
class Survey:
    """Models that can be paired on a split: their accuracies, most multiply-adds first; and why others cannot."""

    accuracy: Mapping[str, float]
    broken: Mapping[str, str]


def memory(handle: Handle) -> Memory:
    """What was found of the set so far; an upload's goes with what else was computed from it."""
    return _memory(handle.stamp)


@remembered(max_entries=16)
def _memory(stamp: str) -> Memory:  # noqa: ARG001 (a cache's key)
    return Memory()


def store_path() -> Path:
    """The folder of the logit sets."""
    return default_store()


def set_names() -> list[str]:
    """Names of the logit sets in the store."""
    return Store().names()


def open_set(name: str) -> Handle:
    """Open a set, or the one opened before if none of its files has changed."""
    store = Store()
    folder = store.folder(name)
    files = sorted(filter(None, map(_stamp_of, folder.iterdir()))) if folder.is_dir() else []
    return _opened(str(folder), str(store.path), hashlib.sha256(repr(files).encode()).hexdigest())


def _stamp_of(file: Path) -> tuple[str, int, int] | None:
    """What tells that a file has changed; nothing for what a writer has only begun, or has just put elsewhere."""
    try:
        facts = file.stat()
    except FileNotFoundError:
        return None
    return None if file.name.startswith(".") or not stat.S_ISREG(facts.st_mode) else (file.name, facts.st_mtime_ns, facts.st_size)


@st.cache_resource(max_entries=16, show_spinner=False)
def _opened(folder: str, results: str, stamp: str) -> Handle:
    logit_set = Store(Path(folder).parent).open(Path(folder).name)
    labels = {split: tensor_digest(y) for split, y in logit_set.labels.items()}
    return Handle(logit_set, f"{folder}/{stamp}", labels, Path(results))


def read_ahead() -> None:
    """Survey the set that is shown first before somebody waits for it; what is wrong with it is for the page to say."""
    with contextlib.suppress(InputError, OSError):
        for name in set_names()[:1]:
            handle = open_set(name)
            for split in handle.logit_set.evaluation_splits[:1]:
                _survey(handle.stamp, split, handle.logit_set, handle.store)


def survey(handle: Handle, split: str) -> Survey:
    """Say which models can be paired on a split; one that cannot be read costs only itself."""
    return _awaited(handle.stamp, split, handle.logit_set, handle.store)


@remembered(max_entries=64, show_spinner="Reading the models")
def _awaited(stamp: str, split: str, _set: LogitSet, _store: Path | None) -> Survey:
    return _survey(stamp, split, _set, _store)


@remembered(max_entries=64)
def _survey(stamp: str, split: str, _set: LogitSet, _store: Path | None) -> Survey:
    """Of models whose pairs are remembered nothing is read; they are compared with their digests when a pair is opened."""
    models, known = _set.models(FIT_SPLIT, split), _memory(stamp)
    if _store is not None:
        results.recall(_set, _store, known, [split])
    found = {m: known.judged[m, split]["softmax"]["accuracy"] for m in models if (m, split) in known.judged}
    unknown = [model for model in models if model not in found]
    read = dict(zip(unknown, in_parallel(lambda model: _accuracy(_set, model, split), unknown), strict=True))
    broken = {model: str(error) for model, error in read.items() if isinstance(error, InputError)}
    accuracy = {model: value for model in models if isinstance(value := (found | read)[model], float)}
    return Survey(accuracy, {**_set.broken, **broken})


def _accuracy(own: LogitSet, model: str, split: str) -> float | InputError:
    """The model's accuracy, or why it cannot be read."""
    try:
        own.logits(model, FIT_SPLIT)
        logits = own.logits(model, split)
    except InputError as error:
        return error
    return (logits.argmax(1) == own.labels[split]).double().mean().item()
