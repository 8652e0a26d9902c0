"""`duo sets`: the logit sets of the store, or the models of one of them; pushed elsewhere and pulled from there."""

import argparse
import sys
from typing import Any

from duo_core.cli.options import Commands, force_option, json_option, new_command, store_option
from duo_core.cli.printing import print_json, say, show
from duo_core.common.arrays import InputError
from duo_core.logits import LogitSet
from duo_core.logits.store import Store
from duo_core.logits.store.sharing import Moved, pull, push, shown_url

MOVES = {"push", "pull"}


def add_sets(commands: Commands) -> None:
    """Add `duo sets`."""
    command = new_command(commands, "sets", sets, "the logit sets in the store, or the models of one")
    command.add_argument("name", nargs="?", metavar="NAME|push|pull", help="one set: its models with accuracy by split and cost")
    command.add_argument(
        "url", nargs="?", metavar="URL", help="with push or pull: a folder, hf://datasets/..., s3://..., https://..."
    )
    command.add_argument("--set", metavar="NAME", help="with push, the set to copy; with pull, what it is to be called here")
    command.add_argument("--digest", metavar="SHA256", help="with pull: of the files, as push printed it; others are refused")
    force_option(command, "with pull: replace a set of that name that is there")
    command.add_argument("--seal", action="store_true", help="record digests that the set lacks, and its set.json as it is now")
    store_option(command)
    json_option(command)


def sets(options: argparse.Namespace) -> None:
    """List the sets of the store, or the models of one of them."""
    store = Store(options.store)
    if options.url is not None:
        _move(store, options)
        return
    _check_alone(options)
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


def _check_alone(options: argparse.Namespace) -> None:
    """Raise InputError where something is said that only push and pull understand."""
    named = next((f"--{name}" for name in ("set", "digest", "force") if getattr(options, name)), None)
    if named or (options.name in MOVES and options.name not in Store(options.store).names()):
        raise InputError(f"expected a URL after push or pull, got {named or options.name} without one; say duo sets pull URL")


def _move(store: Store, options: argparse.Namespace) -> None:
    if options.name not in MOVES:
        raise InputError(f"expected push or pull before a URL, got '{options.name}'; say duo sets pull URL, or leave the URL out")
    if options.name == "push" and (options.digest or options.force):
        raise InputError("expected --digest and --force with pull, got one with push; leave it out")
    moved = _pushed(store, options) if options.name == "push" else _pulled(store, options)
    if options.json:
        files = {"files": sorted(moved.files.files), "moved": list(moved.moved), "bytes": moved.files.bytes}
        print_json({"set": moved.files.name, "at": moved.folder, "digest": moved.files.digest, **files})
        return
    said = f"{len(moved.moved)} of {len(moved.files.files)} files moved, {moved.files.bytes:,} bytes in all"
    say(f"'{moved.folder}' has the set ({said})")
    say(f"digest {moved.files.digest}; who pulls can ask for it with --digest")


def _pushed(store: Store, options: argparse.Namespace) -> Moved:
    if options.set is None:
        raise InputError(
            f"expected the set to push as --set NAME, got none; the store has {', '.join(store.names()) or 'none yet'}"
        )
    own = store.open(options.set)
    known = {(name, split): _accuracy(own, name, split) for name in own.cards for split in own.labels}
    from duo_core.report.datacard import datacard  # brings plotly, which no other command needs

    card = datacard(own, {key: value for key, value in known.items() if value is not None}, shown_url(options.url))
    return push(store, options.set, options.url, card, _told)


def _pulled(store: Store, options: argparse.Namespace) -> Moved:
    return pull(store, options.url, name=options.set, digest=options.digest, force=options.force, told=_told)


def _told(what: str) -> None:
    say(what, sys.stderr)


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
