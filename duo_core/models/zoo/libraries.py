"""What torchvision and timm say of a model without building it, and how each source builds one."""

import inspect
import math
import types
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from duo_core.common.arrays import InputError
from duo_core.models.shapes import parameters_on_meta, unwrapped
from duo_core.models.transforms import Transform
from duo_core.models.zoo.cifar_resnet import CifarResNet
from duo_core.models.zoo.names import parted, python_callable

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# What these torchvision builders do otherwise once they are given weights.
AS_WITH_WEIGHTS = {
    "googlenet": {"transform_input": True, "aux_logits": False, "init_weights": False},
    "inception_v3": {"transform_input": True, "init_weights": False},
}
MULTIPLIERS = ("channel_multiplier", "depth_multiplier")


def torchvision_weights(reference: str) -> Any:
    """Return the entry of torchvision's weights enum that a reference names, the default where it names none."""
    from torchvision import models

    _, name, weights = parted(reference)
    return models.get_model_weights(name)[weights or "DEFAULT"]


def timm_config(name: str) -> Any:
    """Return timm's pretrained configuration of a model, which it keeps without building it."""
    from timm.models import PretrainedCfg, get_pretrained_cfg

    return get_pretrained_cfg(name) or PretrainedCfg()


def takes_img_size(name: str) -> bool:
    """Whether timm builds the model for one input size."""
    return bool(timm_config(name).fixed_input_size)


def own_transform(reference: str, arguments: Mapping[str, Any]) -> Transform | None:
    """Return the transform that belongs to a model's weights, at the input size of its arguments; None where unknown."""
    source, name, _ = parted(reference)
    if source == "python":
        return None
    if source == "cifar":
        own = Transform((3, 32, 32), MEAN, STD, resize=None, crop=False)
    else:
        own = _timm_transform(name) if source == "timm" else _preset(torchvision_weights(reference).transforms())
    size = arguments.get("img_size", arguments.get("image_size"))
    if size is None:
        return own
    height, width = (size, size) if isinstance(size, int) else size
    return own.at(height, width)


def _preset(preset: Any) -> Transform:
    return Transform(
        input_size=(3, preset.crop_size[0], preset.crop_size[0]),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        resize=preset.resize_size[0],
        interpolation=preset.interpolation.value,
    )


def _timm_transform(name: str) -> Transform:
    """Do what timm's resolve_data_config and transforms_imagenet_eval do."""
    from timm.data import resolve_data_config

    config = resolve_data_config(pretrained_cfg=timm_config(name).to_dict())
    size, mode = config["input_size"], config["crop_mode"]
    if mode not in ("center", "squash") or (mode == "center" and size[1] != size[2]):
        raise InputError(f"timm/{name} crops its images in a way that is not supported ({mode}); give it a transform of its own")
    height, width = (math.floor(length / config["crop_pct"]) for length in size[1:])
    return Transform(
        input_size=tuple(size),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        resize=height if mode == "center" else (height, width),
        interpolation=config["interpolation"],
    )


def build(reference: str, arguments: Mapping[str, Any], pretrained: bool = False) -> nn.Module:
    """Construct a model, with the weights that belong to its name where they are asked for.

    Raises
    ------
    InputError
        Where the constructor does not take the arguments.
    """
    try:
        return unwrapped(_built(reference, arguments, pretrained))
    except InputError:
        raise
    except Exception as error:
        if pretrained and not isinstance(error, TypeError | ValueError | AssertionError):
            raise  # no download: said where it was asked for
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        said = " ".join(str(error).split()) if arguments else f"{type(error).__name__} {error}"
        raise InputError(f"'{reference}' cannot be built{f' with the arguments {given}' if given else ''}: {said}") from error


def build_outline(reference: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Construct a model with shapes in place of its parameters; with parameters where its constructor reads or runs them."""
    try:
        with parameters_on_meta():
            return build(reference, arguments)
    except InputError:  # of a constructor that needs numbers, or of arguments that are wrong
        return build(reference, arguments)


def _built(reference: str, arguments: Mapping[str, Any], pretrained: bool) -> nn.Module:
    source, name, _ = parted(reference)
    if source == "cifar":
        return CifarResNet(int(name.removeprefix("resnet")), **arguments)
    if source == "timm":
        return _timm_model(name, arguments, pretrained)
    if source == "torchvision":
        return _torchvision_model(reference, arguments, pretrained)
    module = python_callable(name)(**arguments)
    if not isinstance(module, nn.Module):
        raise InputError(f"expected '{reference}' to return a torch.nn.Module, got {type(module).__name__}")
    return module


def _torchvision_model(reference: str, arguments: Mapping[str, Any], pretrained: bool) -> nn.Module:
    from torchvision import models

    _, name, _ = parted(reference)
    weights = torchvision_weights(reference)
    if pretrained:
        stated: dict[str, Any] = {"weights": weights}
    else:
        stated = {"image_size": weights.meta["min_size"][0]} if name.startswith("vit_") else AS_WITH_WEIGHTS.get(name, {})
    module: nn.Module = models.get_model(name, **{**stated, **arguments})
    return module


def _timm_model(name: str, arguments: Mapping[str, Any], pretrained: bool) -> nn.Module:
    import timm
    from timm.models import model_entrypoint

    multipliers = {key: value for key, value in arguments.items() if key in MULTIPLIERS}
    if not multipliers:
        module: nn.Module = timm.create_model(name, pretrained=pretrained, **arguments)
        return module
    others = {key: value for key, value in arguments.items() if key not in multipliers}
    return _scaled(model_entrypoint(name.partition(".")[0]), multipliers)(**others)


def _scaled(entry: Callable[..., nn.Module], multipliers: Mapping[str, float]) -> Callable[..., nn.Module]:
    """Return timm's entry point of a model with other width and depth.

    timm states the multipliers in the body of each entry point, as arguments of a generator, and lets nobody change them;
    so the entry point is run with a generator beside it that puts ours in their place.
    """
    names = [name for name in entry.__code__.co_names if name.startswith("_gen_")]
    generator = entry.__globals__.get(names[0]) if names else None
    if generator is None or not set(multipliers) <= set(inspect.signature(generator).parameters):
        raise TypeError(f"timm's {entry.__name__} has no {' or '.join(multipliers)}")

    def ours(*positional: Any, **named: Any) -> nn.Module:
        stated = inspect.signature(generator).bind(*positional, **named)
        stated.arguments.update(multipliers)
        return generator(*stated.args, **stated.kwargs)  # type: ignore[no-any-return]

    return types.FunctionType(entry.__code__, {**entry.__globals__, names[0]: ours}, argdefs=entry.__defaults__)
