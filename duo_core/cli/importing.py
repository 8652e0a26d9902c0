"""`duo import`: logits from files become a set of the store, read as an upload is and written as `duo logits` writes."""

import argparse
from dataclasses import replace
from pathlib import Path

from duo_core.arrays import InputError
from duo_core.cli.uploading import file_options, read_files
from duo_core.files import checked_name
from duo_core.formats import Cost
from duo_core.formats.costs import costs_of
from duo_core.logits import LogitSet
from duo_core.store import Store


def import_files(options: argparse.Namespace) -> None:
    """Write the files' models into a set, a new one or one of the same images."""
    reading = read_files(options.files, options)
    options.warnings = reading.warnings
    own = _with_costs(reading.opened(), options.costs)
    names = save(own, Store(options.store), options.set, title=options.title, source=options.source, force=options.force)
    splits = ", ".join(f"{split} {len(labels):,}" for split, labels in own.labels.items())
    print(f"{', '.join(names) or 'nothing new'} in the set '{options.set}' ({splits}); look at it with duo sets {options.set}")


def save(
    own: LogitSet, store: Store, name: str, *, title: str | None = None, source: str = "", licence: str = "", force: bool = False
) -> list[str]:
    """Write a set that was read from files into the store; the names of the models that were written.

    Models that are there already with the same logits stay as they are.

    Raises
    ------
    InputError
        Where a model's name is none that a file may have, the set there is of other images, or it has other logits under the name
        of a model, unless forced.
    """
    for model in own.cards:
        try:
            checked_name(model, "model")
        except InputError as error:
            raise InputError(f"{error}; say another with --name logits/NEW=ARRAY") from None
    there = store.open(name) if name in store.names() else None
    new = [model for model in own.cards if not _same(own, there, model)]
    taken = [model for model in new if there and model in there.cards]
    if taken and not force:
        raise InputError(
            f"the set '{name}' has other logits of '{taken[0]}'; say another name with --name logits/NEW=ARRAY, "
            "or replace them with --force"
        )
    store.prepare(
        name,
        title=title or name,
        classes=own.classes,
        labels=own.labels,
        ids=own.ids,
        source=source,
        licence=licence,
        details={"how": dict(own.about.get("how", {}))},
    )
    for model in new:
        if model in taken:
            (store.path / name / f"{model}.safetensors").unlink()
        store.write_model(name, own.cards[model], {split: own.logits(model, split) for split in own.labels})
    return new


def _same(own: LogitSet, there: LogitSet | None, model: str) -> bool:
    """Whether a set has the same logits of a model already."""
    splits = [(model, split) for split in own.labels]
    return there is not None and all(there.digests.get(key) == own.digests[key] for key in splits)


def _with_costs(own: LogitSet, file: Path | None) -> LogitSet:
    """The set with costs from a table, which must be of its models."""
    if file is None:
        return own
    costs = costs_of(file.read_text(encoding="utf-8"))
    if unknown := sorted(set(costs) - set(own.cards)):
        raise InputError(f"expected costs of the files' models ({', '.join(own.cards)}), got '{unknown[0]}' in '{file}'")
    known = {name: {key: value for key, value in costs.get(name, Cost())._asdict().items() if value} for name in own.cards}
    return replace(own, cards={name: replace(card, **known[name]) for name, card in own.cards.items()})


def import_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `duo import`."""
    command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="logit files, as duo check reads them")
    command.add_argument("--set", required=True, metavar="NAME", help="logit set to make, or to add models to")
    command.add_argument("--title", help="name of a new set that people read")
    command.add_argument("--source", default="", help="where the logits are from, kept in set.json")
    command.add_argument("--costs", type=Path, metavar="TABLE", help="a table of model, multiply_adds, parameters (4.09G, 25.6M)")
    command.add_argument("--force", action="store_true", help="replace other logits of a model")
    file_options(command)
