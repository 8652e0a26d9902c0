"""Open logit sets and which of their models can be read."""

import hashlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.shown import shown_set
from app.state.caches import OWN, Key, awaited, kept
from duo_core.common.arrays import InputError
from duo_core.common.parallel import in_parallel
from duo_core.logits import FIT_SPLIT, LogitSet, tensor_digest
from duo_core.logits.store import Store, default_store
from duo_core.logits.store.journal import UnderWay
from duo_core.systems import remembered
from duo_core.systems.pair_judging import Memory


@dataclass(frozen=True)
class Handle:
    """An open logit set, with what its caches are keyed on."""

    logit_set: LogitSet
    """With names that can be shown anywhere."""
    stamp: str
    """Of the files as they are now: a repaired file is read again. An upload's begins with OWN."""
    labels: Mapping[str, str]
    """Digest of each split's labels."""
    store: Path | None = None
    """Where finished sweeps are remembered; None where nothing may be written."""
    original: LogitSet | None = None
    """With names as its files have them; None where they are the same."""

    def as_written(self, *models: str) -> tuple[LogitSet, list[str]]:
        """The set and some of its models as its files call them: what is taken away is called so."""
        own = self.original or self.logit_set
        names = dict(zip(self.logit_set.cards, own.cards, strict=True))
        return own, [names[model] for model in models]

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
    on_fit: Mapping[str, float]
    """Accuracies on the fit split, by which the base is chosen that is shown first."""
    broken: Mapping[str, str]


def memory(handle: Handle) -> Memory:
    """What was found of the set so far; an upload's goes with what else was computed from it."""
    return kept(Key("memory", handle.stamp), Memory, grows=True)


def store_path() -> Path:
    """The folder of the logit sets."""
    return default_store()


def set_names() -> list[str]:
    """Names of the logit sets in the store."""
    return Store().names()


def under_way(name: str) -> UnderWay | None:
    """How far a run is that fills a set of the store just now; None where there is none, and for uploads."""
    return Store().under_way(name) if name in set_names() else None


def stamp_of(name: str) -> str:
    """What changes when a file of a set does."""
    folder = Store().folder(name)
    files = sorted(filter(None, map(_stamp_of, folder.iterdir()))) if folder.is_dir() else []
    return f"{folder}/{hashlib.sha256(repr(files).encode()).hexdigest()}"


def open_set(name: str) -> Handle:
    """Open a set, or the one opened before if none of its files has changed."""
    store, stamp = Store(), stamp_of(name)
    return kept(Key("set", stamp, (str(store.path),)), lambda: handle_of(store.open(name), stamp, store.path))


def _stamp_of(file: Path) -> tuple[str, int, int] | None:
    """What tells that a file has changed; nothing for what a writer has only begun, or has just put elsewhere."""
    try:
        facts = file.stat()
    except FileNotFoundError:
        return None
    return None if file.name.startswith(".") or not stat.S_ISREG(facts.st_mode) else (file.name, facts.st_mtime_ns, facts.st_size)


def handle_of(own: LogitSet, stamp: str, store: Path | None = None) -> Handle:
    """A handle of a set that is as others wrote it."""
    shown = shown_set(own)
    return Handle(shown, stamp, {split: tensor_digest(y) for split, y in shown.labels.items()}, store, own)


def survey(handle: Handle, split: str) -> Survey:
    """Say which models can be paired on a split; one that cannot be read costs only itself."""
    return awaited(Key("survey", handle.stamp, (split,)), lambda _: _surveyed(handle, split), "Reading the models")


def _surveyed(handle: Handle, split: str) -> Survey:
    """Of models whose pairs are remembered nothing is read; they are compared with their digests when a pair is opened."""
    own, known = handle.logit_set, memory(handle)
    models = own.models(FIT_SPLIT, split)
    if handle.store is not None:
        remembered.recall(own, handle.store, known, [split])
    found = {
        m: (known.judged[m, split]["softmax"]["accuracy"] or 0.0, known.on_fit[m].accuracy)
        for m in models
        if (m, split) in known.judged and m in known.on_fit
    }
    unknown = [model for model in models if model not in found]
    read = dict(zip(unknown, in_parallel(lambda model: _accuracies(own, model, split), unknown), strict=True))
    broken = {model: str(error) for model, error in read.items() if isinstance(error, InputError)}
    both = {model: values for model in models if not isinstance(values := (found | read)[model], InputError)}
    accuracy, on_fit = ({model: values[at] for model, values in both.items()} for at in (0, 1))
    return Survey(accuracy, on_fit, {**own.broken, **broken})


def _accuracies(own: LogitSet, model: str, split: str) -> tuple[float, float] | InputError:
    """The model's accuracy on a split and on the fit split, or why it cannot be read."""
    try:
        judged, fit = ((own.logits(model, s).argmax(1) == own.labels[s]).double().mean().item() for s in (split, FIT_SPLIT))
    except InputError as error:
        return error
    return judged, fit
