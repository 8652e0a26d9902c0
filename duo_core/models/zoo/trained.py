"""Models that training wrote, named by their path: headers say architecture, arguments, transform and classes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from duo_core.common import places
from duo_core.common.arrays import InputError
from duo_core.common.files import as_json
from duo_core.logits.store.headers import read_header
from duo_core.models.transforms import Transform
from duo_core.models.zoo.foreign import foreign_spec, is_own_code
from duo_core.models.zoo.specs import ModelSpec

ABOUT = "about"
"""The entry of a header that holds all that training says of a checkpoint, as JSON."""
TOLD = (
    "methodology",
    "run",
    "recipe",
    "seed",
    "trial",
    "learning_rate",
    "weight_decay",
    "best_epoch",
    "score",
    "anchor",
    "training_multiply_adds",
    "ingredients",
    "clamped",
    "statistics",
)
"""What of it a model's card in a set repeats."""
NEEDED = {"model": str, "arguments": dict, "transform": dict, "classes": list}


def trained(text: str) -> list[ModelSpec] | None:
    """Return the models of a checkpoint, a run or its folder of trials or soups; None where a text is no path to such.

    Relative paths start here, or in the folder of runs.
    """
    for path in (Path(text), places.runs() / text):
        if path.suffix == ".safetensors" and path.is_file():
            return [_spec(path)]
        if path.is_dir() and any((folder / "run.json").is_file() for folder in (path, path.parent)):
            return _found(path, text)
    return None


def _found(folder: Path, text: str) -> list[ModelSpec]:
    """Trials, then soups; neither the anchor nor trials that have not ended."""
    whole = (folder / "run.json").is_file()
    patterns = ("trials/*/model.safetensors", "soups/*.safetensors") if whole else ("*/model.safetensors", "*.safetensors")
    files = [file for pattern in patterns for file in sorted(folder.glob(pattern))]
    if not files:
        raise InputError(f"expected trials or soups in '{text}', got none that have ended; run duo finetune first")
    return [_spec(file) for file in files]


def _spec(file: Path) -> ModelSpec:
    about = _about(file)
    trial = about.get("trial")
    name = (
        f"{about.get('run') or 'trained'}-{trial:03}" if isinstance(trial, int) else f"{about.get('run') or 'trained'}-{file.stem}"
    )
    try:
        spec = described(about)
    except InputError as error:
        raise InputError(f"{error}, for the checkpoint '{file}'") from None
    told = {key: about[key] for key in TOLD if key in about}
    stated = {key: about[key] for key in ("methodology", "data") if isinstance(about.get(key), str)}
    return replace(spec, name=name, checkpoint=file, training=told, recipe=group(about), **stated)


def group(about: Mapping[str, Any]) -> str | None:
    """Return the name of a checkpoint's group of trainings: of two that differ in their seed alone the same, of others another.

    None for averages and probes, which nobody trained step by step. Trials that drew other rates are of other groups.
    """
    if "trial" not in about:
        return None
    recipe, images = about.get("recipe"), about.get("images")
    alike = {
        **{key: about.get(key) for key in ("model", "arguments", "classes", "learning_rate", "weight_decay", "anchor")},
        "recipe": {key: value for key, value in recipe.items() if key != "trials"} if isinstance(recipe, dict) else recipe,
        "images": images.get("train") if isinstance(images, dict) else None,
    }
    named = recipe.get("name") if isinstance(recipe, dict) else None
    digest = hashlib.sha256(json.dumps(alike, sort_keys=True).encode()).hexdigest()
    return f"{named or 'recipe'}-{digest[:12]}"


def _about(file: Path) -> dict[str, Any]:
    header = read_header(file)
    if header.stated_digest is not None and header.stated_digest != header.digest:
        raise InputError(f"'{file}' was altered after it was written (its header differs from the digest); make it again")
    try:
        about = as_json(header.metadata[ABOUT])
    except (KeyError, ValueError):
        about = None
    if not isinstance(about, dict) or not all(isinstance(about.get(key), kind) for key, kind in NEEDED.items()):
        raise InputError(
            f"expected a checkpoint that says which model it is of, as duo finetune and duo soup write, got '{file}' of another "
            "program; name the model, and its weights with --checkpoint MODEL=FILE"
        )
    return about


def described(known: Mapping[str, Any], own_code: str | None = None) -> ModelSpec:
    """Return the spec of the model that a run or a checkpoint of training describes, without weights.

    Raises
    ------
    InputError
        Where it is own code that nobody named: what a file says is never run.
    """
    from duo_core.models.zoo.references import spec_of  # which asks this module what a path is

    reference, arguments = known["model"], known["arguments"]
    if not is_own_code(reference):
        spec = foreign_spec(reference, arguments)
    elif own_code == reference:
        spec = replace(spec_of(reference), arguments=dict(arguments))
    else:
        raise InputError(
            f"expected the model's own code to be named, since a file may not say which code is run, got {own_code or 'none'}; "
            f"say --model {reference} (of duo logits: --models ID={reference} --checkpoint ID=FILE) if you trust it"
        )
    return replace(spec, transform=Transform.from_dict(known["transform"]), classes=tuple(map(str, known["classes"])))
