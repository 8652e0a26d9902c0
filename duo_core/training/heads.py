"""The last layer of a classifier: found, what it sees, and one for other classes in its place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from duo_core.common.arrays import InputError
from duo_core.images.splits import Split
from duo_core.models.devices import computing
from duo_core.models.zoo import LoadedModel, load
from duo_core.models.zoo.checkpoints import fill
from duo_core.models.zoo.loading import takes_classes
from duo_core.training.passes import device_of, evaluation_batches


@dataclass(frozen=True)
class Head:
    """A linear layer whose output is the logits, and its name in the module."""

    name: str
    layer: nn.Linear


def head_of(model: LoadedModel) -> Head:
    """Return the head of a model: the one linear layer whose output the model returns as it is.

    Raises
    ------
    InputError
        Where the logits come from something else, a convolution or a mean of two layers for instance.
    """
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    layers = {name: part for name, part in model.module.named_modules() if isinstance(part, nn.Linear)}
    hooks = [
        part.register_forward_hook(lambda _, inputs, output, name=name: found.setdefault(name, []).append((inputs[0], output)))
        for name, part in layers.items()
    ]
    try:
        with torch.inference_mode():
            image = torch.zeros(1, *model.transform.input_size, device=device_of(model.module))
            logits = model.module.eval()(image)
    finally:
        for hook in hooks:
            hook.remove()
    for name, calls in found.items():
        seen, output = calls[-1]
        if len(calls) == 1 and seen.ndim == 2 and output.shape == logits.shape and output.data_ptr() == logits.data_ptr():
            return Head(name, layers[name])
    last = next((type(part).__name__ for part in reversed(list(model.module.modules())) if _computes(part)), "nothing")
    raise InputError(
        f"expected a classifier whose last layer is linear, got '{model.spec.name}', whose logits no linear layer gives (its last "
        f"layer with weights is {last}); name a model with a linear head"
    )


def _computes(part: nn.Module) -> bool:
    return any(True for _ in part.parameters(recurse=False))


@torch.inference_mode()
def features(model: LoadedModel, head: Head, split: Split) -> Tensor:
    """Return what the head sees of every image, float32 (n, d): evaluation transform, evaluation mode, float32."""
    seen: list[Tensor] = []
    where = device_of(model.module.eval())
    hook = head.layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].float().cpu()))
    constants = model.transform.constants(where)
    try:
        with computing(where, "float32"):
            for pixels in evaluation_batches(split, model.transform):
                model.module(model.transform.batch(pixels.to(where), constants))
    finally:
        hook.remove()
    return torch.cat(seen)


def with_classes(model: LoadedModel, classes: Sequence[str]) -> LoadedModel:
    """Return the model with a random head for other classes and the weights of its trunk; the model itself is left as it is.

    It is built by the arguments that a checkpoint of it is loaded with later, so what is trained can be loaded by its name.
    """
    head = head_of(model)
    own = blank(model, classes)
    other = head_of(own)
    state = own.module.state_dict()
    inner = f"{other.name}." if other.name else ""
    trunk = {key: value for key, value in model.module.state_dict().items() if not key.startswith(f"{head.name}.")}
    odd = [key for key, value in state.items() if not key.startswith(inner) and _shape(trunk, key) != value.shape]
    if head.name != other.name or odd:
        raise InputError(
            f"'{model.spec.name}' changes more than its head when it is built for {len(classes)} classes "
            f"({', '.join(odd[:3]) or other.name}); name another model"
        )
    fill(own.module, trunk)
    return replace(own, weights=model.weights, weights_sha256=model.weights_sha256, weights_key=model.weights_key)


def _shape(state: dict[str, Any], key: str) -> torch.Size | None:
    return state[key].shape if key in state else None


def blank(model: LoadedModel, classes: Sequence[str]) -> LoadedModel:
    """Build the model's architecture for other classes, with random weights."""
    spec = model.spec
    arguments = dict(spec.arguments)
    if takes_classes(spec.reference):
        arguments["num_classes"] = len(classes)
    elif model.classes != len(classes):
        raise InputError(
            f"'{spec.reference}' is built for {model.classes} classes and takes no num_classes, but the images have "
            f"{len(classes)}; let it take num_classes"
        )
    plain = replace(spec, checkpoint=None, choice=None, arguments=arguments, transform=model.transform, classes=tuple(classes))
    return load(plain, random_weights=True)
