"""What each command does: plain options in, text or one JSON document out, progress on standard error."""

import argparse
import importlib
import os
import socket
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from duo_core.cli.arguments import unique
from duo_core.cli.printing import print_json, say, show
from duo_core.cli.uploading import logit_set_of, tables_of
from duo_core.common import places
from duo_core.common.arrays import InputError
from duo_core.common.files import check_output, csv_text, replaced
from duo_core.formats import Limits
from duo_core.logits import LogitSet
from duo_core.logits.store import Store
from duo_core.systems.sweep import COLUMNS

if TYPE_CHECKING:
    from duo_core.models.zoo import LoadedModel, ModelSpec


def zoo(options: argparse.Namespace) -> None:
    """List the models of the zoo."""
    from duo_core.models.zoo import facts, table

    show([facts(spec) for spec in table()], options.json)


def cost(options: argparse.Namespace) -> None:
    """Profile models, built with random weights, at the input size and number of classes in use."""
    from duo_core.inference import compute_device

    compute_device(options.device)  # before anything is counted
    show([_profile(spec, options) for spec in _specs(options, distinct=False)], options.json)


def _profile(spec: "ModelSpec", options: argparse.Namespace) -> dict[str, Any]:
    from duo_core.models.cost import cost as profile
    from duo_core.models.zoo import load, outline

    model = outline(spec, options.input_size)
    counted = profile(model.module, model.transform.input_size)
    whole = None if options.no_throughput else load(replace(spec, transform=model.transform), random_weights=True)
    return {
        "model": spec.reference,
        "input_size": list(model.transform.input_size),
        "classes": model.classes,
        "multiply_adds": counted.multiply_adds,
        "parameters": counted.parameters,
        **_speed(whole, options),
        **(_second_count(model) if options.check else {}),
    }


def _second_count(model: "LoadedModel") -> dict[str, Any]:
    from duo_core.models.cost.second import second_count

    second = second_count(model.module, model.transform.input_size)
    return {"fvcore_multiply_adds": second.multiply_adds, "fvcore_leaves_out": ", ".join(second.left_out) or None}


def _speed(model: "LoadedModel | None", options: argparse.Namespace) -> dict[str, Any]:
    if model is None:
        return {"images_per_second": None, "device": None, "batch_size": None}
    from duo_core.inference import compute_device
    from duo_core.models.cost import throughput

    device = compute_device(options.device)
    batch = {"batch_size": options.batch_size} if options.batch_size else {}
    speed = throughput(model.module, model.transform.input_size, device=device, precision=options.precision, **batch)
    return {"images_per_second": round(speed.images_per_second, 2), "device": speed.device, "batch_size": speed.batch_size}


def logits(options: argparse.Namespace) -> None:
    """Compute what a set lacks, then say what stands in it."""
    import torch

    from duo_core.inference import compute, compute_device
    from duo_core.inference.doubts import doubts
    from duo_core.inference.progress import Printer
    from duo_core.models.zoo import load

    store = Store(options.store)
    store.own_folder(options.set)  # before models are read, which may take long
    compute_device(options.device)
    splits = _splits(options)
    models = [load(spec) for spec in _specs(options)]
    _say(*(model.note for model in models))
    summary = compute(
        models,
        splits,
        store,
        options.set,
        title=options.title,
        source=options.source,
        licence=options.licence,
        device=options.device,
        precision=options.precision,
        batch_size=options.batch_size,
        dtype=getattr(torch, options.dtype),
        workers=options.workers,
        skip_unreadable=options.skip_unreadable,
        progress=Printer(sys.stderr),
        costs=lambda model: _card_costs(model, options),
    )
    for split, names in summary.left_out.items():
        if names:
            say(f"left out of '{split}', unreadable: {', '.join(names)}", file=sys.stderr)
    made = ", ".join(summary.computed) or "nothing"
    say(f"computed {made} ({summary.decoded:,} images decoded); there already: {', '.join(summary.present) or 'none'}")
    opened = store.open(options.set)
    show(_models(opened), False)
    _say(*doubts(opened, (*summary.computed, *summary.present), splits))


def _say(*sentences: str) -> None:
    for sentence in filter(None, dict.fromkeys(sentences)):
        say(f"duo logits: {sentence}", file=sys.stderr)


def _card_costs(model: "LoadedModel", options: argparse.Namespace) -> dict[str, Any]:
    """What a model's card says of its cost; the throughput with the device, precision and batch size it was measured at."""
    from duo_core.models.cost import cost as profile

    try:
        counted = asdict(profile(model.module, model.transform.input_size))
    except InputError as error:
        say(f"duo logits: the cost of '{model.spec.name}' stays unknown: {error}", file=sys.stderr)
        counted = {"multiply_adds": None, "parameters": sum(p.numel() for p in model.module.parameters())}
    speed = _speed(None if options.no_throughput else model, options)
    stated = f"{speed['device']}, {options.precision}, batch of {speed['batch_size']}" if speed["device"] else None
    return {
        **counted,
        "images_per_second": speed["images_per_second"],
        "device": stated,
    }


def _specs(options: argparse.Namespace, distinct: bool = True) -> list["ModelSpec"]:
    from duo_core.models.zoo import resolve_all

    checkpoints = {name: Path(file) for name, file in unique(options.checkpoint, "--checkpoint").items()}
    return resolve_all(
        options.models,
        checkpoints=checkpoints,
        weights=unique(options.weights, "--weights"),
        arguments=unique(options.arguments, "--arguments"),
        transforms=unique(options.transform, "--transform"),
        distinct=distinct,
    )


def _splits(options: argparse.Namespace) -> dict[str, Any]:
    from duo_core.images import open_source
    from duo_core.images.corruptions import Corruption
    from duo_core.images.splits import splits

    sources = {
        split: open_source(text, options.class_index, options.class_folder)
        for split, text in unique(options.images, "--images").items()
    }
    _say(*(note for source in sources.values() for note in source.notes))
    corrupt = {split: Corruption.parse(text) for split, text in unique(options.corrupt, "--corrupt").items()}
    return dict(splits(sources, fit=options.fit, seed=options.seed, corrupt=corrupt))


def sets(options: argparse.Namespace) -> None:
    """List the sets of the store, or the models of one of them."""
    store = Store(options.store)
    if options.seal:
        store.seal(_one(options.name))
    if options.name:
        show(_models(store.open(options.name)), options.json)
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


def _models(one: LogitSet) -> list[dict[str, Any]]:
    """One row a model: identity, cost, and accuracy on every split."""
    return [
        {
            "name": name,
            "model": one.cards[name].model,
            "family": one.cards[name].family,
            "multiply_adds": one.cards[name].multiply_adds,
            "parameters": one.cards[name].parameters,
            "images_per_second": one.cards[name].images_per_second,
            **{f"accuracy_{split}": _accuracy(one, name, split) for split in one.labels},
        }
        for name in one.models()
    ]


def _accuracy(one: LogitSet, name: str, split: str) -> float | None:
    if (name, split) not in one.arrays:
        return None
    return (one.logits(name, split).argmax(1) == one.labels[split]).double().mean().item()


def sweep(options: argparse.Namespace) -> None:
    """Evaluate every pair; print the duos, or all rows as JSON, or write them to a file."""
    if options.out and options.out.suffix not in (".parquet", ".csv"):
        raise InputError(f"expected a file ending in .parquet or .csv for --out, got '{options.out}'")
    if options.out:
        check_output(options.out, options.force)
    logit_set = logit_set_of(options)
    table = tables_of(logit_set, options, options.split)[options.uncertainty]
    if options.out:
        _write_table(table, options.out)
    if options.json:
        print_json(table.to_dict("records"))
    elif not options.out:
        duos = table[table["variant"] == "duo"].drop(columns=["set", "variant"])
        say(duos.to_string(index=False, float_format="{:.4f}".format, na_rep="-") if len(duos) else "no pairs")


def _write_table(table: pd.DataFrame, file: Path) -> None:
    with replaced(file) as beside:
        if file.suffix == ".csv":
            beside.write_text(csv_text(table), encoding="utf-8", newline="")
        else:
            table.to_parquet(beside, index=False)
    say(f"{len(table):,} rows, {len(COLUMNS)} columns in '{file}'", file=sys.stderr)


def app(options: argparse.Namespace) -> None:
    """Run the dashboard's server until it is stopped."""
    page = places.ROOT / "app" / "main.py"
    if not page.exists():
        raise InputError(f"expected the dashboard at '{page}', got nothing there; install the package again")
    Limits.from_environment()  # a wrong one is said here, not on a page
    sys.path.insert(0, str(places.ROOT))
    importlib.import_module("app.budget").budget()
    importlib.import_module("app.internals").check()
    _check_free(options.host, options.port)
    if options.store:
        os.environ["DUO_STORE"] = str(options.store)
    _move_to(places.ROOT)  # the theme lies in .streamlit/ here
    threading.Thread(target=_load, daemon=True).start()
    sys.argv = ["streamlit", "run", str(page), f"--server.address={options.host}", f"--server.port={options.port}"]
    importlib.import_module("streamlit.web.cli").main()


def _move_to(folder: Path) -> None:
    """Work in another folder; paths in the environment still name what they named from here."""
    if store := os.environ.get("DUO_STORE"):
        os.environ["DUO_STORE"] = os.path.abspath(store)
    if images := os.environ.get("DUO_IMAGES"):
        paths = images.split(os.pathsep)
        os.environ["DUO_IMAGES"] = os.pathsep.join(os.path.abspath(path) if os.path.exists(path) else path for path in paths)
    os.chdir(folder)


def _load() -> None:
    """Load what the first page needs while the server starts, not when someone waits for it."""
    for module in ("app.state", "plotly.graph_objects"):
        importlib.import_module(module)
    warmup = importlib.import_module("duo_core.warmup")
    warmup.load()
    importlib.import_module("app.state").read_ahead()
    warmup.settle()


def _check_free(host: str, port: int) -> None:
    """Say now, in one sentence, what the server would say with a traceback."""
    if not host:  # which would listen to every machine
        raise InputError("expected an address for --host, got none; leave --host out to listen to this machine only")
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(
            f"expected a free port of this machine, got {port} on '{host}': {why}; name others with --port and --host"
        ) from None
