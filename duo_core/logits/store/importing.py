"""Logits from outside into the store: a new set appears whole, an old one gets models that it lacks."""

import contextlib
import datetime
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.common.files import NAME, checked_name, clear_left_behind, locked
from duo_core.logits import Card, LogitSet
from duo_core.logits.store.sets import NOT_MODELS, Store

PREFIX = ".importing-"

"""Names that no model's file may have."""


@dataclass(frozen=True)
class Imported:
    """What was written of a set."""

    written: tuple[str, ...]
    present: tuple[str, ...]
    """Models that were there already with the same logits."""
    renamed: Mapping[str, str]
    """Models and splits whose names a file cannot have, and what they are called instead."""
    rounded: tuple[str, ...]
    """Models of float64, which a set holds as float32."""


def import_set(
    store: Store,
    name: str,
    own: LogitSet,
    *,
    title: str | None = None,
    source: str = "",
    licence: str = "",
    names: Mapping[str, str] | None = None,
    force: bool = False,
) -> Imported:
    """Write a set that was read from files into the store under `name`.

    Parameters
    ----------
    names
        What models are to be called, by the names they have.
    force
        Whether a model's logits take the place of others under its name.

    Raises
    ------
    InputError
        Where the set is there with other images or classes, or a model with other logits; then nothing was written.
    """
    target = store.own_folder(name)
    own, renamed = _safely_named(own, names or {})
    arrays, rounded = _stored(own)
    store.path.mkdir(parents=True, exist_ok=True)
    with _beside(store.path) as folder:
        made = Store(folder)
        _write(made, name, own, arrays, title=title or own.title, source=source, licence=licence)
        if not _placed(folder / name, target):
            return replace(_merged(store, name, made, force), renamed=renamed, rounded=rounded)
    return Imported(tuple(own.cards), (), renamed, rounded)


def _write(
    made: Store, name: str, own: LogitSet, arrays: Mapping[str, Mapping[str, Tensor]], *, title: str, source: str, licence: str
) -> None:
    made.prepare(
        name,
        title=title,
        classes=own.classes,
        labels=own.labels,
        ids=own.ids,
        source=source,
        licence=licence,
        details={"how": own.about.get("how", {})},
    )
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    for model, card in own.cards.items():
        made.write_model(name, replace(card, source="upload", model=f"upload/{model}", created=today), arrays[model])


def _placed(folder: Path, target: Path) -> bool:
    """Move a whole folder to where nothing is; False where something is."""
    (folder / ".lock").unlink(missing_ok=True)
    if target.exists() and not any(target.iterdir()):
        target.rmdir()
    try:
        os.rename(folder, target)
    except OSError:
        if not target.exists():
            raise
        return False
    return True


def _merged(store: Store, name: str, elsewhere: Store, force: bool) -> Imported:
    """Add the models of a set that lies elsewhere to one that is there."""
    there, made = store.open(name), elsewhere.open(name)
    unnamed = made.classes == tuple(f"class {place}" for place in range(made.k))
    classes = there.classes if unnamed and there.k == made.k else made.classes
    if all(torch.equal(made.labels[split], there.labels[split]) for split in made.labels if split in there.labels):
        _check_models(name, there, made, force)  # else the images are refused, which says more
    details = {"how": {split: how for split, how in made.about.get("how", {}).items() if split not in there.labels}}
    store.prepare(name, title=made.title, classes=classes, labels=made.labels, ids=made.ids, details=details)
    present = [model for model in made.cards if _has_all(there, made, model) and not _completes(there, made, model)]
    further = [model for model in made.cards if model in there.cards and model not in present and not _differ(there, made, model)]
    written = [model for model in made.cards if model not in present]
    with locked(store.path / name):
        _check_models(name, store.open(name), made, force)
        for model in written:
            if model not in further:
                os.replace(elsewhere.path / name / f"{model}.safetensors", store.path / name / f"{model}.safetensors")
    for model in further:  # of which the splits and costs stay that are not given
        store.write_model(name, _completed(there, made, model), {split: made.logits(model, split) for split in made.labels})
    return Imported(tuple(written), tuple(present), {}, ())


def _check_models(name: str, there: LogitSet, made: LogitSet, force: bool) -> None:
    other = [model for model in made.cards if model in there.broken or _differ(there, made, model)]
    if other and not force:
        listed = ", ".join(f"'{model}'" for model in other)
        raise InputError(
            f"expected models that the set '{name}' does not have, got {listed}, which it has with other logits; nothing was "
            "written: give them other names (--name logits/NAME=ARRAY), or write over them (--force)"
        )


def _differ(there: LogitSet, made: LogitSet, model: str) -> bool:
    """Whether a set has a model with other logits of a split that both have."""
    return any(there.digests.get((model, split), digest) != digest for split, digest in _digests(made, model).items())


def _has_all(there: LogitSet, made: LogitSet, model: str) -> bool:
    return all(there.digests.get((model, split)) == digest for split, digest in _digests(made, model).items())


def _completes(there: LogitSet, made: LogitSet, model: str) -> bool:
    """Whether costs are given of a model from outside that are not those in the set."""
    return there.cards[model].source == "upload" and _completed(there, made, model) != _completed(there, there, model)


def _completed(there: LogitSet, made: LogitSet, model: str) -> Card:
    """The model's card in the set, with the costs that are given."""
    card, given = there.cards[model], made.cards[model]
    multiply_adds, parameters = given.multiply_adds or card.multiply_adds, given.parameters or card.parameters
    return replace(card, multiply_adds=multiply_adds, parameters=parameters)


def _digests(own: LogitSet, model: str) -> dict[str, str]:
    return {split: digest for (name, split), digest in own.digests.items() if name == model}


def _stored(own: LogitSet) -> tuple[dict[str, dict[str, Tensor]], tuple[str, ...]]:
    """Logits by model and split as a set holds them, and the models that were rounded to float32 for it."""
    arrays: dict[str, dict[str, Tensor]] = {}
    for model in own.cards:
        whole = {split: own.logits(model, split) for split in own.labels}
        arrays[model] = {split: values.float() if values.dtype == torch.float64 else values for split, values in whole.items()}
        if any(bool(values.isinf().any()) != bool(whole[split].isinf().any()) for split, values in arrays[model].items()):
            raise InputError(
                f"expected logits of '{model}' that float32 can hold, as a set does, got larger ones; divide them by a constant"
            )
    return arrays, tuple(model for model in own.cards if own.logits(model, next(iter(own.labels))).dtype == torch.float64)


def _safely_named(own: LogitSet, names: Mapping[str, str]) -> tuple[LogitSet, dict[str, str]]:
    """The set with names that files can have, those that a person gives before those that are made, and which changed."""
    models = {model: names.get(model) or safe_name(model) for model in own.cards}
    splits = {split: safe_name(split) for split in own.labels}
    for what, chosen in (("model", models), ("split", splits)):
        for old, new in chosen.items():
            checked_name(new, what)
            if what == "model" and new.casefold() in NOT_MODELS:
                raise InputError(
                    f"expected another name of a model than '{new}', which is that of the labels' file; choose another"
                )
            if list(chosen.values()).count(new) > 1:
                raise InputError(f"expected a name of its own for each {what}, got '{new}' for '{old}' and another; rename one")
    renamed = {old: new for old, new in [*models.items(), *splits.items()] if old != new}
    return replace(
        own,
        labels={splits[split]: labels for split, labels in own.labels.items()},
        cards={models[model]: replace(card, name=models[model]) for model, card in own.cards.items()},
        arrays={(models[model], splits[split]): own.arrays[model, split] for model, split in own.arrays},
        ids={splits[split]: ids for split, ids in own.ids.items()},
        about={**own.about, "how": {splits.get(split, split): how for split, how in own.about.get("how", {}).items()}},
        digests={},
    ), renamed


def safe_name(name: str) -> str:
    """A name that a file can have, made of one that it may not.

    >>> safe_name("resnet18"), safe_name("run 3/vit (b)"), safe_name("Labels"), safe_name("猫")
    ('resnet18', 'run-3-vit-b', 'Labels-model', 'model')
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100] or "model"
    return f"{safe}-model" if safe.casefold() in NOT_MODELS else safe if NAME.fullmatch(safe) else "model"


@contextlib.contextmanager
def _beside(store: Path) -> Iterator[Path]:
    """A folder of the store that is no set and is gone afterwards; what runs that were killed left goes too."""
    clear_left_behind(store)
    with tempfile.TemporaryDirectory(dir=store, prefix=PREFIX, suffix=f".{os.getpid()}") as folder:
        yield Path(folder)
