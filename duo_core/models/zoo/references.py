"""The models of a run: names, renamings and files of models, with what the command line says of each."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from duo_core.common.arrays import InputError
from duo_core.models.transforms import Transform
from duo_core.models.zoo import names
from duo_core.models.zoo.files import SUFFIXES, entries
from duo_core.models.zoo.libraries import own_transform
from duo_core.models.zoo.specs import ModelSpec, table
from duo_core.models.zoo.trained import trained


def resolve(
    text: str,
    *,
    checkpoints: Mapping[str, Path] | None = None,
    arguments: Mapping[str, Mapping[str, Any]] | None = None,
    transforms: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[ModelSpec]:
    """Return the models that one word of the command line names; see `resolve_all`."""
    return resolve_all([text], checkpoints=checkpoints, arguments=arguments, transforms=transforms)


def resolve_all(
    texts: Sequence[str],
    *,
    checkpoints: Mapping[str, Path] | None = None,
    weights: Mapping[str, str] | None = None,
    arguments: Mapping[str, Mapping[str, Any]] | None = None,
    transforms: Mapping[str, Mapping[str, Any]] | None = None,
    distinct: bool = True,
) -> list[ModelSpec]:
    """Return the models of a run.

    Parameters
    ----------
    texts
        `NAME`, `ID=NAME`, or a .yaml or .toml file whose entries name one each. NAME is a name of the table,
        `torchvision/NAME[:WEIGHTS]`, `timm/NAME`, `cifar/NAME`, `module:callable`, or a run, its trials or a checkpoint of
        training by path.
    checkpoints, weights, arguments, transforms
        Own weights, which of a checkpoint's weights (raw, ema or a key; under "" for every model that has a checkpoint),
        constructor arguments, and fields of the transform, by a model's short name or reference.
    distinct
        Whether each model needs a short name of its own, as in a set.

    Raises
    ------
    InputError
        Where a name is unknown or ambiguous, two models have one short name, or an option names no model of the run.
    """
    specs = [spec for text in texts for spec in _named(text)]
    if distinct:
        _distinct(specs)
    specs = _applied(specs, "--checkpoint", checkpoints or {}, lambda spec, path: replace(spec, checkpoint=Path(path)))
    specs = _with_choices(specs, weights or {})
    specs = _applied(specs, "--arguments", arguments or {}, lambda spec, own: replace(spec, arguments={**spec.arguments, **own}))
    return _applied(specs, "--transform", transforms or {}, with_transform)


def _with_choices(specs: list[ModelSpec], weights: Mapping[str, str]) -> list[ModelSpec]:
    """Say which of its checkpoint's weights each model takes; what names no model holds for all that have a checkpoint."""
    every = weights.get("")
    if every is not None and not any(spec.checkpoint for spec in specs):
        raise InputError(
            f"--weights {every} chooses within a checkpoint, but no model of this run has one; give --checkpoint MODEL=FILE"
        )
    specs = [replace(spec, choice=every) if every is not None and spec.checkpoint else spec for spec in specs]
    single = {name: word for name, word in weights.items() if name}
    return _applied(specs, "--weights", single, lambda spec, word: replace(spec, choice=word))


def with_transform(spec: ModelSpec, record: Mapping[str, Any]) -> ModelSpec:
    """Return the spec with the transform of a record; fields that it lacks are those of the model's own transform."""
    default = spec.transform or own_transform(spec.reference, spec.arguments)
    try:
        return replace(spec, transform=Transform.from_dict(record, default))
    except InputError as error:
        raise InputError(f"{error}, for the model '{spec.name}'") from None


def _named(text: str) -> list[ModelSpec]:
    if Path(text).suffix in SUFFIXES:
        return [_from_entry(entry, Path(text)) for entry in entries(Path(text))]
    name, equals, reference = text.rpartition("=")
    found = trained(reference)
    if found and equals and len(found) > 1:
        raise InputError(f"expected one model to be called '{name}', got {len(found)} in '{reference}'; name one of its files")
    if found and not equals:
        return found
    spec = found[0] if found else spec_of(reference)
    return [replace(spec, name=_file_stem(name)) if equals else spec]


def _from_entry(entry: Mapping[str, Any], file: Path) -> ModelSpec:
    """Make a spec of one entry of a models file; paths in it are relative to the file."""
    try:
        spec = _of_entry(entry["model"], file)
        spec = replace(
            spec,
            name=_file_stem(entry.get("name", spec.name)),
            family=entry.get("family", spec.family),
            arguments=entry.get("arguments", spec.arguments),
            checkpoint=file.parent / entry["checkpoint"] if "checkpoint" in entry else spec.checkpoint,
            choice=entry.get("weights"),
            classes=tuple(entry["classes"]) if "classes" in entry else spec.classes,
            recipe=entry.get("recipe", spec.recipe),
            methodology=entry.get("methodology", spec.methodology),
            data=entry.get("data", spec.data),
        )
        return with_transform(spec, entry["transform"]) if "transform" in entry else spec
    except InputError as error:
        raise InputError(f"{error}, in the entry '{entry.get('name', entry['model'])}' of '{file}'") from None


def _of_entry(reference: str, file: Path) -> ModelSpec:
    """The spec of an entry's model; of one checkpoint of training by a path from the file's folder, here or the folder of runs."""
    found = trained(str(file.parent / reference)) or trained(reference)
    if found and len(found) > 1:
        raise InputError(f"expected one model, got {len(found)} in '{reference}'; name one of its files")
    return found[0] if found else spec_of(reference)


def spec_of(reference: str) -> ModelSpec:
    """Return the spec of a reference, or of a bare name that is unique in the table."""
    known = table()
    exact = [spec for spec in known if spec.reference == reference]
    if exact:
        return exact[0]
    if "/" in reference or ":" in reference:
        names.check(reference)
        source, name, _ = names.parted(reference)
        short = name.rpartition(":")[2] if source == "python" else name.partition(".")[0]
        return ModelSpec(short, reference, source, *_family_and_role(reference, known))
    matches = [spec for spec in known if reference in (spec.name, names.parted(spec.reference)[1])]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise InputError(
            f"expected the name of one model, got '{reference}'; say {' or '.join(spec.reference for spec in matches)}"
        )
    elsewhere = [f"{source}/{reference}" for source in ("torchvision", "timm") if reference in names.known(source)]
    advice = (
        f"; outside the table there is {' and '.join(elsewhere)}" if elsewhere else names.close(reference, [s.name for s in known])
    )
    raise InputError(f"expected a model of the table, torchvision/NAME, timm/NAME or module:callable, got '{reference}'{advice}")


def _family_and_role(reference: str, known: Sequence[ModelSpec]) -> tuple[str, str]:
    """Family and role of the same architecture in the table (other weights are of one family), else what the library says."""
    architecture = reference.partition(":")[0]
    same = [spec for spec in known if spec.reference == architecture]
    return (same[0].family, same[0].role) if same else (names.family(reference), "")


def _file_stem(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(f"expected a model name of letters, digits, '.', '_' and '-', got '{name}'")
    return name


def _distinct(specs: Sequence[ModelSpec]) -> None:
    seen: dict[str, ModelSpec] = {}
    for spec in specs:
        if spec.name in seen:
            other = seen[spec.name].reference
            raise InputError(
                f"expected models with names of their own, got '{spec.name}' twice ({other}, {spec.reference}); say ID=NAME"
            )
        seen[spec.name] = spec


def _applied(
    specs: list[ModelSpec], option: str, values: Mapping[str, Any], change: Callable[[ModelSpec, Any], ModelSpec]
) -> list[ModelSpec]:
    """Apply one option's values to the models they name."""
    for key in values:
        if not any(key in (spec.name, spec.reference) for spec in specs):
            raise InputError(
                f"{option} names the model '{key}', which is not in this run; it has {', '.join(s.name for s in specs)}"
            )
    for key, value in values.items():
        specs = [change(spec, value) if key in (spec.name, spec.reference) else spec for spec in specs]
    return specs
