"""ModelSpec, what is asked for, and LoadedModel, what one gets; and the table of the models that are known by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from duo_core.models.transforms import Transform


@dataclass(frozen=True)
class ModelSpec:
    """A model that can be loaded, with everything that belongs to it: weights, arguments and transform."""

    name: str
    """Short name, the file's stem in a logit set: `resnet18`."""
    reference: str
    """`torchvision/resnet18[:WEIGHTS]`, `timm/NAME`, `cifar/resnet20` or `package.module:callable`."""
    source: str
    """torchvision, timm, cifar or python."""
    family: str
    """`ResNet`, `EfficientNet`, ..."""
    role: str = ""
    """What the paper used it as: base, sidekick, or nothing."""
    checkpoint: Path | None = None
    """Own weights."""
    choice: str | None = None
    """Which of the weights in the checkpoint: `raw`, `ema` (averaged), or the key of one."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Constructor arguments of its own."""
    transform: Transform | None = None
    """Replaces the model's own evaluation transform."""
    classes: tuple[str, ...] | None = None
    """Names of the classes in the order of the logits, where known."""
    training: Mapping[str, Any] | None = None
    """How it was trained or averaged, where its checkpoint says so."""
    recipe: str | None = None
    """Its group of trainings: equal among models of one architecture that differ in their seed alone."""
    methodology: str | None = None
    """How it learned, where that is stated."""
    data: str | None = None
    """What it learned from, where that is stated."""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run, with what its weights say of themselves."""

    spec: ModelSpec
    module: nn.Module
    """In evaluation mode, float32, on the CPU."""
    transform: Transform
    classes: int
    """Number of logits."""
    class_names: tuple[str, ...] | None
    weights: str | None
    """`IMAGENET1K_V1`, timm's tag, the checkpoint's file name, or `random`."""
    weights_sha256: str | None
    """Of the checkpoint's file, or of the state dict's tensors."""
    weights_key: str | None = None
    """Where in the checkpoint the weights stood; None where it holds nothing else."""
    averaged: bool = False
    """Whether the key says that they are an average over training steps."""
    note: str = ""
    """What is to be said of the choice."""


# Family: names in torchvision (paper, Appendix A). The sizes of a family in ascending order.
TORCHVISION = {
    "MNASNet": "mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3",
    "ShuffleNetV2": "shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0",
    "EfficientNet": " ".join(f"efficientnet_b{size}" for size in range(8)),
    "EfficientNetV2": "efficientnet_v2_s efficientnet_v2_m efficientnet_v2_l",
    "RegNet": "regnet_y_400mf regnet_y_800mf regnet_y_1_6gf regnet_y_3_2gf regnet_y_8gf regnet_y_16gf regnet_y_32gf",
    "ResNet": "resnet18 resnet34 resnet50 resnet101 resnet152",
    "ResNeXt": "resnext50_32x4d resnext101_32x8d resnext101_64x4d",
    "ConvNeXt": "convnext_tiny convnext_small convnext_base convnext_large",
    "Swin": "swin_t swin_s swin_b",
    "SwinV2": "swin_v2_t swin_v2_s swin_v2_b",
}
TIMM = {"EfficientNetV2": "tf_efficientnetv2_l.in21k_ft_in1k", "ViT": "vit_base_patch16_clip_224.laion2b_ft_in1k"}
CIFAR = {"CIFAR ResNet": "resnet8 resnet14 resnet20 resnet32 resnet44 resnet56"}
BASES = {"convnext_base", "swin_v2_b", "tf_efficientnetv2_l", "vit_base_patch16_clip_224"}

# What neither library states without building the model.
PARAMETERS = {
    "timm/tf_efficientnetv2_l.in21k_ft_in1k": 118515272,
    "timm/vit_base_patch16_clip_224.laion2b_ft_in1k": 86568424,
    "cifar/resnet8": 75290,
    "cifar/resnet14": 172506,
    "cifar/resnet20": 269722,
    "cifar/resnet32": 464154,
    "cifar/resnet44": 658586,
    "cifar/resnet56": 853018,
}


def table() -> list[ModelSpec]:
    """Every model known by name: those of the paper's Appendix A, and the CIFAR ResNets.

    >>> [spec.name for spec in table() if spec.role == "base"]
    ['convnext_base', 'swin_v2_b', 'tf_efficientnetv2_l', 'vit_base_patch16_clip_224']
    """
    return [
        _entry(source, family, name)
        for source, families in (("torchvision", TORCHVISION), ("timm", TIMM), ("cifar", CIFAR))
        for family, names in families.items()
        for name in names.split()
    ]


def _entry(source: str, family: str, name: str) -> ModelSpec:
    short = name.partition(".")[0]
    role = "" if source == "cifar" else "base" if short in BASES else "sidekick"
    return ModelSpec(short, f"{source}/{name}", source, family, role)
