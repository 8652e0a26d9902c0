"""`duo zoo`, `duo cost` and `duo logits`: what runs models, or knows of them; progress on standard error."""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duo_core.cli.arguments import assignment, input_size, not_negative, unique
from duo_core.cli.options import (
    BENCHMARKS,
    Commands,
    about_options,
    class_options,
    compute_options,
    fit_option,
    images_of,
    json_option,
    model_options,
    new_command,
    repeated_option,
    store_option,
)
from duo_core.cli.printing import say, show
from duo_core.cli.sets import rows_of
from duo_core.cli.tasks import cut_options, engine_options, run_tasks, write_plan
from duo_core.common.arrays import InputError
from duo_core.logits.store import Store

if TYPE_CHECKING:
    from duo_core.cluster import Planned
    from duo_core.models.zoo import LoadedModel, ModelSpec


def add_zoo(commands: Commands) -> None:
    """Add `duo zoo`."""
    command = new_command(commands, "zoo", zoo, "list the models it knows: name, source, family, role, input size, parameters")
    json_option(command)


def add_cost(commands: Commands) -> None:
    """Add `duo cost`."""
    text = "multiply-adds, parameters and throughput of models, with random weights"
    command = new_command(commands, "cost", cost, text)
    command.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="NAME, timm/NAME, torchvision/NAME[:WEIGHTS], module:callable, or a .yaml or .toml list",
    )
    command.add_argument("--input-size", type=input_size, metavar="PX|HxW", help="instead of the model's own")
    command.add_argument("--no-throughput", action="store_true", help="do not run the models: quick")
    command.add_argument("--check", action="store_true", help="count a second time, by fvcore")
    model_options(command)
    compute_options(command)
    json_option(command)


def add_logits(commands: Commands) -> None:
    """Add `duo logits`."""
    text = "compute the logits that a set lacks; stopped, it goes on where it was"
    command = new_command(commands, "logits", logits, text)
    command.add_argument("--set", required=True, metavar="NAME", help="logit set to make or to fill")
    repeated_option(
        command, "--images", assignment, "SPLIT=SOURCE", f"folder, tar, torch/..., hfds/...; or {BENCHMARKS}", required=True
    )
    repeated_option(command, "--models", str, "MODEL", "NAME, ID=NAME, or a .yaml or .toml list", required=True)
    fit_option(command, "draw `val` out of `test`'s images, stratified by class")
    repeated_option(command, "--corrupt", assignment, "SPLIT=KIND:SEVERITY", "a split of `test`'s images, corrupted")
    class_options(command)
    command.add_argument(
        "--dtype", choices=["float32", "float16", "bfloat16"], default="float32", help="what the logits are stored as"
    )
    command.add_argument(
        "--workers", type=not_negative, metavar="N", help="processes that decode (default: by the number of cores)"
    )
    command.add_argument("--skip-unreadable", action="store_true", help="leave out images that cannot be read instead of stopping")
    command.add_argument("--no-throughput", action="store_true", help="do not measure images per second")
    about_options(command, "images")
    model_options(command)
    compute_options(command)
    engine_options(command, "the models")
    cut_options(command)
    store_option(command)


def zoo(options: argparse.Namespace) -> None:
    """List the models of the zoo."""
    from duo_core.models.zoo import facts, table

    show([facts(spec) for spec in table()], options.json)


def cost(options: argparse.Namespace) -> None:
    """Profile models, built with random weights, at the input size and number of classes in use."""
    from duo_core.models.devices import check_precision, compute_device

    check_precision(options.precision, compute_device(options.device))  # before anything is counted
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
    from duo_core.models.cost import throughput
    from duo_core.models.devices import compute_device

    device, size = compute_device(options.device), model.transform.input_size
    speed = throughput(model.module, size, device=device, precision=options.precision, batch_size=options.batch_size)
    return {"images_per_second": round(speed.images_per_second, 2), "device": speed.device, "batch_size": speed.batch_size}


def logits(options: argparse.Namespace) -> None:
    """Compute what a set lacks, then say what stands in it."""
    from duo_core.inference import compute
    from duo_core.inference.doubts import doubts
    from duo_core.inference.progress import Printer
    from duo_core.models.devices import check_precision, compute_device

    store = Store(options.store)
    store.own_folder(options.set)  # before images are listed and models read, which may take long
    check_precision(options.precision, compute_device(options.device))
    splits = _splits(options)
    specs = _specs(options)
    if options.dry_run:
        _estimate(specs, splits, store, options)
        return
    if options.plan:
        write_plan(options, _planned(specs, store, options).tasks)
        return
    failed = _by_tasks(specs, splits, store, options) if options.engine == "ray" or store.has_shards(options.set) else []
    if failed:
        raise InputError(*failed)
    summary = compute(
        specs,
        splits,
        store,
        options.set,
        title=options.title,
        source=options.source,
        licence=options.licence,
        device=options.device,
        precision=options.precision,
        batch_size=options.batch_size,
        dtype=torch_dtype(options),
        workers=options.workers,
        skip_unreadable=options.skip_unreadable,
        progress=Printer(sys.stderr),
        costs=lambda model: _card_costs(model, options),
        tell=_say,
    )
    _say_left_out(summary.left_out)
    made = ", ".join(summary.computed) or "nothing"
    say(f"computed {made} ({summary.decoded:,} images decoded); there already: {', '.join(summary.present) or 'none'}")
    opened = store.open(options.set)
    show(rows_of(opened), False)
    _say(*doubts(opened, (*summary.computed, *summary.present), splits))


def _say_left_out(left_out: Mapping[str, Sequence[str]]) -> None:
    for split, names in left_out.items():
        if names:
            say(f"left out of '{split}', unreadable: {', '.join(names)}", file=sys.stderr)


def _planned(specs: list["ModelSpec"], store: Store, options: argparse.Namespace) -> "Planned":
    """What the set lacks as tasks."""
    from duo_core.cluster.planning import ON_GPU, THROUGHPUT, Cut, plan
    from duo_core.cluster.tasks import Images
    from duo_core.inference.computing import checked
    from duo_core.inference.filling import Filling

    where, size = checked(options.device, options.precision, torch_dtype(options), options.batch_size)
    rate = options.throughput or THROUGHPUT.get(where.type, ON_GPU)
    at = f"{options.task_minutes:g} minutes at {rate:.3g} multiply-adds a second"
    _say(f"tasks of {at} (--task-minutes, --throughput), {size} images a batch")
    sources = {split: _absolute(text) for split, text in images_of(options, None, lambda _: None).items()}
    corrupt = unique(options.corrupt, "--corrupt")
    class_index = _absolute(options.class_index) if Path(options.class_index).suffix else options.class_index
    images = Images(sources, class_index, options.class_folder, options.fit, options.seed, corrupt)
    filling = Filling(store, options.set, {}, (), options.title or options.set, options.source, options.licence)
    cut = Cut(
        options.precision, options.dtype, size, options.skip_unreadable, not options.no_throughput, options.task_minutes, rate
    )
    return plan(specs, images, filling, cut, _say)


def _by_tasks(specs: list["ModelSpec"], splits: Mapping[str, Any], store: Store, options: argparse.Namespace) -> list[str]:
    """Run what tasks there are, join what they and others have left; return what those said that failed.

    In one process only models are taken that others have begun: the rest go through one pass together.
    """
    from duo_core.cluster import join

    if options.engine == "local":
        specs = [spec for spec in specs if any(store.partial(options.set, spec.name).glob("*.shard"))]
    planned = _planned(specs, store, options) if specs else None
    if planned is None:
        return []
    # The set says where its images are in the words of this command.
    planned = replace(planned, filling=replace(planned.filling, splits=splits))
    left = Counter(one.model["name"] for one in planned.tasks)

    def ended(one: Any) -> None:
        left[one.model["name"]] -= 1
        if not left[one.model["name"]]:
            join(planned)  # so that who looks at the set sees the model at once

    failed = run_tasks(options, planned.tasks, ended)
    _say_left_out(join(planned))
    return failed


def _absolute(text: str) -> str:
    """A path as other processes find it; the name of a dataset stays."""
    return str(Path(text).resolve()) if Path(text).exists() else text


def torch_dtype(options: argparse.Namespace) -> Any:
    """What --dtype names."""
    import torch

    return getattr(torch, options.dtype)


def _estimate(specs: list["ModelSpec"], splits: Mapping[str, Any], store: Store, options: argparse.Namespace) -> None:
    """Say what there is to do and how long it takes, and do nothing."""
    from duo_core.cluster.estimating import estimate

    lines = estimate(specs, splits, store, options.set, options)
    show(lines.rows, False)
    say(lines.said)


def _say(*sentences: str) -> None:
    for sentence in filter(None, dict.fromkeys(sentences)):
        say(f"duo logits: {sentence}", file=sys.stderr)


def _card_costs(model: "LoadedModel", options: argparse.Namespace) -> dict[str, Any]:
    from duo_core.inference.facts import card_costs
    from duo_core.models.devices import compute_device

    device = compute_device(options.device)
    return card_costs(model, device, options.precision, options.batch_size, not options.no_throughput, _say)


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
        for split, text in images_of(options, None, _say).items()
    }
    _say(*(note for source in sources.values() for note in source.notes))
    corrupt = {split: Corruption.parse(text) for split, text in unique(options.corrupt, "--corrupt").items()}
    return dict(splits(sources, fit=options.fit, seed=options.seed, corrupt=corrupt))
