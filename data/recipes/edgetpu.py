"""MobileNet-EdgeTPU as it was published: the activation after its first 1 x 1 convolution is linear, where timm's has a ReLU."""

from typing import Any

import timm
from torch import nn


def mobilenet_edgetpu_100(**arguments: Any) -> nn.Module:
    """Return timm's network of that name, of published shape; the arguments are those of ``timm.create_model``."""
    module = timm.create_model("mobilenet_edgetpu_100", pad_type="same", **arguments)
    module.blocks[0][0].bn1.act = nn.Identity()
    return module
