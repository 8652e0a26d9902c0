"""From a ModelSpec to a model that runs, with its weights and its own transform."""

import hashlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from duo_core.common.arrays import InputError
from duo_core.models.shapes import output_shape
from duo_core.models.transforms import Transform
from duo_core.models.zoo import checkpoints
from duo_core.models.zoo.checkpoints import Place, State
from duo_core.models.zoo.libraries import build, build_outline, own_transform, takes_img_size, timm_config, torchvision_weights
from duo_core.models.zoo.names import installed, parted, python_callable
from duo_core.models.zoo.specs import LoadedModel, ModelSpec
from duo_core.models.zoo.weights import Chosen, choose

RANDOM = "random"


def load(spec: ModelSpec, *, random_weights: bool = False) -> LoadedModel:
    """Load a model with its weights, in evaluation mode, float32, on the CPU.

    Parameters
    ----------
    spec
        What `resolve` or `table` gave.
    random_weights
        Leave the weights random where the pretrained ones would be downloaded; a checkpoint is loaded all the same.

    Raises
    ------
    InputError
        Where weights are missing or do not fit, or nothing says how images are to be transformed.
    """
    transform = transform_of(spec)
    places = _read(spec)
    arguments = {**_size_arguments(spec, transform), **_with_classes(spec, places)}
    # A callable of the user's own brings its weights itself, unless a checkpoint is given.
    pretrained = places is None and not random_weights and spec.source != "python"
    module = _pretrained(spec, arguments) if pretrained else build(spec.reference, arguments)
    chosen = _chosen(spec, places, module)
    if chosen is not None:
        checkpoints.fill(module, chosen.state)
    module = module.float().eval()
    classes = _outputs(module, spec, transform)
    return LoadedModel(
        spec=spec,
        module=module,
        transform=transform,
        classes=classes,
        class_names=_class_names(spec, classes, pretrained),
        weights=_weights(spec, pretrained),
        weights_sha256=checkpoints.file_sha256(spec.checkpoint) if spec.checkpoint else _digest(module),
        weights_key=chosen.key if chosen else None,
        averaged=chosen.averaged if chosen else False,
        note=chosen.note if chosen else "",
    )


def outline(spec: ModelSpec, input_size: tuple[int, int] | None = None) -> LoadedModel:
    """Build a model without its numbers (parameters on the meta device): what its cost needs, at once, whatever its size.

    Parameters
    ----------
    spec
        What `resolve` or `table` gave; a checkpoint must fit and says how many classes there are.
    input_size
        (height, width) other than the model's own.
    """
    transform = transform_of(spec) if input_size is None else _transform_at(spec, *input_size)
    places = _read(spec)
    arguments = {**_size_arguments(spec, transform), **_with_classes(spec, places)}
    module = build_outline(spec.reference, arguments).eval()
    _chosen(spec, places, module)
    return LoadedModel(spec, module, transform, _outputs(module, spec, transform), None, None, None)


def _read(spec: ModelSpec) -> dict[Place, State] | None:
    if spec.checkpoint is None and spec.choice is not None:
        raise InputError(f"--weights names '{spec.choice}' for '{spec.name}', which has no checkpoint; give one, or leave it out")
    return None if spec.checkpoint is None else checkpoints.read(spec.checkpoint)


def _chosen(spec: ModelSpec, places: Mapping[Place, State] | None, module: nn.Module) -> Chosen | None:
    """Return the weights of the checkpoint that the module takes, seen to fit; None where there is no checkpoint."""
    if places is None or spec.checkpoint is None:
        return None
    chosen = choose(places, module, spec.choice, spec.name, spec.checkpoint)
    checkpoints.check(module, chosen.state, spec.reference, spec.checkpoint)
    return chosen


def transform_of(spec: ModelSpec) -> Transform:
    """Return the evaluation transform of a model, its own or the one given in its place."""
    transform = spec.transform or own_transform(spec.reference, spec.arguments)
    if transform is None:
        raise InputError(
            f"nothing says how images are transformed for '{spec.reference}'; "
            f"give it with --transform {spec.name}=JSON or in the models file"
        )
    return transform


def _transform_at(spec: ModelSpec, height: int, width: int) -> Transform:
    own = spec.transform or own_transform(spec.reference, spec.arguments)
    return (
        own.at(height, width) if own else Transform((3, height, width), (0.0,) * 3, (1.0,) * 3, resize=(height, width), crop=False)
    )


def _size_arguments(spec: ModelSpec, transform: Transform) -> dict[str, Any]:
    """What tells a constructor of another input size, where the architecture depends on it."""
    source, name, _ = parted(spec.reference)
    own = own_transform(spec.reference, spec.arguments)
    if own is None or own.input_size == transform.input_size:
        return {}
    if source == "timm" and takes_img_size(name):
        return {"img_size": transform.input_size[1:]}
    if source == "torchvision" and name.startswith("vit_"):
        return {"image_size": transform.input_size[1]}
    return {}


def _with_classes(spec: ModelSpec, places: Mapping[Place, State] | None) -> dict[str, Any]:
    """Constructor arguments, with the number of classes that the checkpoint has."""
    arguments = dict(spec.arguments)
    if places is None or spec.checkpoint is None or "num_classes" in arguments or not takes_classes(spec.reference):
        return arguments
    probe = build_outline(spec.reference, {**arguments, "num_classes": checkpoints.PROBE_CLASSES})
    classes = checkpoints.head_classes(choose(places, probe, spec.choice, spec.name, spec.checkpoint).state, probe)
    return arguments if classes is None else {**arguments, "num_classes": classes}


def takes_classes(reference: str) -> bool:
    """Whether the constructor of a model can be told how many classes it is for."""
    source, name, _ = parted(reference)
    return source != "python" or "num_classes" in inspect.signature(python_callable(name)).parameters


def _pretrained(spec: ModelSpec, arguments: Mapping[str, Any]) -> nn.Module:
    """Build with the weights that the library downloads, or finds in its cache."""
    from huggingface_hub import errors

    source = download(spec.reference)
    if source is None:
        raise InputError(f"there are no weights of '{spec.reference}' to download; give its own with --checkpoint {spec.name}=FILE")
    if "num_classes" in arguments:
        # timm would leave such a classifier random and say nothing.
        raise InputError(f"the weights of '{spec.reference}' have classes of their own; leave num_classes out or give a checkpoint")
    try:
        return build(spec.reference, arguments, pretrained=True)
    except (OSError, RuntimeError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise InputError(
            f"the weights of '{spec.reference}' cannot be had ({type(error).__name__}: {reason}); {_by_hand(*source)}, "
            f"or give a file with --checkpoint {spec.name}=FILE"
        ) from error


def download(reference: str) -> tuple[str, Path] | None:
    """Where the weights of a model come from, and where its library looks for them first; None where there are none."""
    source, name, _ = parted(reference)
    if not installed(source):
        return None
    config = timm_config(name) if source == "timm" else None
    if config is not None and config.hf_hub_id:
        from huggingface_hub import constants, hf_hub_url
        from huggingface_hub.file_download import repo_folder_name

        repository, _, revision = config.hf_hub_id.partition("@")
        file = config.hf_hub_filename or "model.safetensors"
        folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")
        return hf_hub_url(repository, file, revision=revision or None), folder / "snapshots" / (revision or "main") / file
    url = torchvision_weights(reference).url if source == "torchvision" else config and config.url
    if not url:
        return None
    return url, Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def _by_hand(url: str, target: Path) -> str:
    """Say where to put a file that was brought from elsewhere."""
    revision, folder = target.parent.name, target.parent.parent
    # The hub's cache also wants to be told what a branch points to.
    pointer = f" and the word {revision} in '{folder.parent / 'refs' / revision}'" if folder.name == "snapshots" else ""
    return f"put {url} at '{target}'{pointer}"


def _outputs(module: nn.Module, spec: ModelSpec, transform: Transform) -> int:
    shape = output_shape(module, transform.input_size)
    if len(shape) != 2 or getattr(module, "num_classes", None) == 0:  # timm's word for a model that has features only
        got = f"{shape} without a classifier" if shape else "no tensor"
        raise InputError(
            f"expected '{spec.reference}' to return logits (n, k), got {got}; name a classifier or give num_classes and weights"
        )
    if spec.classes is not None and len(spec.classes) != shape[1]:
        raise InputError(f"expected as many names of classes as logits for '{spec.name}', got {len(spec.classes)} and {shape[1]}")
    return shape[1]


def _class_names(spec: ModelSpec, classes: int, pretrained: bool) -> tuple[str, ...] | None:
    if spec.classes is not None or not pretrained or parted(spec.reference)[0] != "torchvision":
        return spec.classes
    names = tuple(torchvision_weights(spec.reference).meta["categories"])
    return names if len(names) == classes else None


def weights_name(spec: ModelSpec) -> str | None:
    """What a model's card will say of its pretrained weights; known without loading them."""
    return _weights(spec, spec.source != "python")


def _weights(spec: ModelSpec, pretrained: bool) -> str | None:
    source, name, _ = parted(spec.reference)
    if spec.checkpoint:
        return checkpoints.file_name(spec.checkpoint)
    if pretrained:
        return str(torchvision_weights(spec.reference).name) if source == "torchvision" else timm_config(name).tag or name
    return None if source == "python" else RANDOM


def _digest(module: nn.Module) -> str:
    """SHA-256 of a state dict: names, types, shapes and bytes of its tensors, in order."""
    digest = hashlib.sha256()
    for key, value in module.state_dict().items():
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
