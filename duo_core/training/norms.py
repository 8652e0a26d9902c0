"""BatchNorm in training and in averages: statistics that stay as they are, that are folded away, or that are recomputed."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from duo_core.common.arrays import InputError
from duo_core.images.splits import Split
from duo_core.models.devices import computing
from duo_core.models.transforms import Transform
from duo_core.training.passes import device_of, evaluation_batches

LEAST_IMAGES = 32
"""Of a batch that statistics are computed from."""
STATISTICS = ("frozen", "train")


def norms(module: nn.Module) -> list[_BatchNorm]:
    """Return the BatchNorm layers that keep running statistics."""
    return [part for part in module.modules() if isinstance(part, _BatchNorm) and part.running_var is not None]


def is_folded(module: nn.Module) -> bool:
    """Whether the normalisation of trained weights is merged into the convolutions: all running variances are one number.

    Untrained weights look alike, so this is asked of weights that come from training.

    >>> is_folded(nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(4))), is_folded(nn.Linear(2, 2))
    (True, False)
    """
    variances = [part.running_var.flatten() for part in norms(module) if isinstance(part.running_var, Tensor)]
    return bool(variances) and bool((torch.cat(variances) == variances[0][0]).all())


def check_statistics(module: nn.Module, statistics: str, name: str) -> None:
    """Raise InputError where trained weights with folded normalisation are to have statistics of their own."""
    if statistics == "train" and is_folded(module):
        raise InputError(
            f"the BatchNorm of '{name}' is folded into its convolutions (all its running variances are alike), and training its "
            "statistics would destroy the model; leave them frozen with --batchnorm frozen"
        )


def to_training(module: nn.Module, statistics: str) -> None:
    """Put a module in training mode; where the statistics are frozen, its BatchNorm layers stay in evaluation mode."""
    module.train()
    if statistics == "frozen":
        for part in norms(module):
            part.eval()


@torch.no_grad()
def recompute(module: nn.Module, split: Split, transform: Transform) -> None:
    """Set running statistics to the mean over batches of a split's images, seen as in evaluation; nothing else changes.

    Only the BatchNorm layers are in training mode meanwhile, and every batch has at least 32 images.
    """
    if len(split) < LEAST_IMAGES:
        raise InputError(f"expected at least {LEAST_IMAGES} training images to compute statistics from, got {len(split)}")
    layers = norms(module.eval())
    momenta = [part.momentum for part in layers]
    counters = [part.num_batches_tracked.clone() if part.num_batches_tracked is not None else None for part in layers]
    where = device_of(module)
    constants = transform.constants(where)
    try:
        for part in layers:
            part.reset_running_stats()
            part.momentum = None  # torch's word for the mean over all batches
            part.train()
        with computing(where, "float32"):
            for pixels in evaluation_batches(split, transform, least=LEAST_IMAGES):
                module(transform.batch(pixels.to(where), constants))
    finally:
        module.eval()
        for part, momentum, counter in zip(layers, momenta, counters, strict=True):
            part.momentum = momentum
            if counter is not None and part.num_batches_tracked is not None:
                part.num_batches_tracked.copy_(counter)
