"""`duo sets`: the logit sets of the store, or the models of one of them."""

import argparse
import sys
from typing import Any

from duo_core.cli.options import Commands, json_option, new_command, store_option
from duo_core.cli.printing import say, show
from duo_core.common.arrays import InputError
from duo_core.logits import LogitSet
from duo_core.logits.store import Store


def add_sets(commands: Commands) -> None:
    """Add `duo sets`."""
    command = new_command(commands, "sets", sets, "the logit sets in the store, or the models of one")
    command.add_argument("name", nargs="?", metavar="NAME", help="one set: its models with accuracy by split and cost")
    command.add_argument("--seal", action="store_true", help="record digests that the set lacks, and its set.json as it is now")
    store_option(command)
    json_option(command)


def sets(options: argparse.Namespace) -> None:
    """List the sets of the store, or the models of one of them."""
    store = Store(options.store)
    if options.seal:
        store.seal(_one(options.name))
    if options.name:
        show(rows_of(store.open(options.name)), options.json)
        return
    opened: list[LogitSet] = []
    for name in store.names():
        try:
            opened.append(store.open(name))
        except InputError as error:
            say(f"duo sets: {error}", file=sys.stderr)
    for one in opened:
        for message in (*one.broken.values(), *_unsealed(one)):
            say(f"duo sets: {message}", file=sys.stderr)
    if not opened and not options.json:
        say(f"no logit set in '{store.path}'; make one with duo logits, or name another folder with --store")
        return
    show([_summary(one, options.json) for one in opened], options.json)


def _one(name: str | None) -> str:
    if name is None:
        raise InputError("expected the name of one set to seal, got none; say duo sets NAME --seal")
    return name


def _unsealed(one: LogitSet) -> list[str]:
    """The sentence that a set of an earlier version deserves."""
    if not one.unsealed:
        return []
    files = ", ".join(one.unsealed[:3]) + (f" and {len(one.unsealed) - 3} more" if len(one.unsealed) > 3 else "")
    return [
        f"the set '{one.name}' is of an earlier version without digests of {files}, so a change to them would not be "
        f"noticed; duo sets {one.name} --seal records them"
    ]


def _summary(one: LogitSet, whole: bool) -> dict[str, Any]:
    splits = {split: len(labels) for split, labels in one.labels.items()}
    facts = {"name": one.name, "title": one.title, "classes": one.k}
    if whole:
        return {**facts, "splits": splits, "models": one.models(), "broken": dict(one.broken)}
    return {**facts, "models": len(one.cards), "splits": ", ".join(f"{split} {n:,}" for split, n in splits.items())}


def rows_of(one: LogitSet) -> list[dict[str, Any]]:
    """Return one row a model: identity, cost, what its logits were computed in and on, and accuracy on every split."""
    return [
        {
            "name": name,
            "model": one.cards[name].model,
            "family": one.cards[name].family,
            "multiply_adds": one.cards[name].multiply_adds,
            "parameters": one.cards[name].parameters,
            "images_per_second": one.cards[name].images_per_second,
            "precision": one.cards[name].precision,
            "computed_on": one.cards[name].computed_on,
            **{f"accuracy_{split}": _accuracy(one, name, split) for split in one.labels},
        }
        for name in one.models()
    ]


def _accuracy(one: LogitSet, name: str, split: str) -> float | None:
    if (name, split) not in one.arrays:
        return None
    return (one.logits(name, split).argmax(1) == one.labels[split]).double().mean().item()
