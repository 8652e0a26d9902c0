"""Small models with random weights for tests."""

import hashlib

import torch
from torch import nn

from duo_core.models.transforms import Transform
from duo_core.models.zoo import LoadedModel, ModelSpec

HALF = (0.5, 0.5, 0.5)
AS_IS = Transform((3, 8, 8), HALF, HALF, resize=None, crop=False)
LARGER = Transform((3, 12, 12), HALF, HALF, resize=14, interpolation="bicubic")
ON_DEVICE = Transform((3, 10, 10), (0.4, 0.5, 0.6), HALF, resize=(10, 10), crop=False, antialias=False)


def network(classes, seed):
    generator = torch.Generator().manual_seed(seed)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)
    )
    for parameter in module.parameters():
        nn.init.normal_(parameter, generator=generator)
    return module.eval()


def model(name="a", classes=3, transform=AS_IS, seed=0, module=None, names=None, sha="seed"):
    """A stand-in for what the zoo loads."""
    spec = ModelSpec(name, reference=f"python/{name}", source="python", family="Tiny")
    return LoadedModel(
        spec=spec,
        module=module or network(classes, seed),
        transform=transform,
        classes=classes,
        class_names=names,
        weights=None,
        weights_sha256=hashlib.sha256(f"{seed}".encode()).hexdigest() if sha == "seed" else sha,
    )


def reference(loaded, source, rows):
    """Logits by the plainest way: one image at a time."""
    with torch.inference_mode():
        return torch.cat([loaded.module(loaded.transform.batch(loaded.transform.pixels(source.image(row))[None])) for row in rows])


@torch.inference_mode()
def trained(loaded, source):
    """Random features with a head that was fitted by least squares: right more often than not, and wrong at times."""
    module = loaded.module
    name, layer = list(module.named_children())[-1]
    setattr(module, name, nn.Identity())
    features = reference(loaded, source, range(len(source)))
    setattr(module, name, layer)
    mean, deviation = features.mean(0), features.std(0).clamp_min(1e-6)
    features = (features - mean) / deviation
    target = nn.functional.one_hot(source.labels, 3).float() - 1 / 3
    weight = torch.linalg.solve(features.T @ features + 10 * torch.eye(features.shape[1]), features.T @ target)
    layer.weight.copy_(8 * weight.T / deviation)
    layer.bias.copy_(-layer.weight @ mean)
    return module
