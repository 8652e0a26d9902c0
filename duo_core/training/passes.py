"""Passes over images as a model is judged on them: the evaluation transform, evaluation mode, float32."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from duo_core.common.arrays import InputError
from duo_core.images.splits import Split
from duo_core.inference.decoding import Decoder, View, batches
from duo_core.models.devices import computing
from duo_core.models.transforms import Transform

BATCH_SIZE = 64


def evaluation_batches(split: Split, transform: Transform, *, size: int = BATCH_SIZE, least: int = 1) -> Iterator[Tensor]:
    """Give the pixels of a split in order, uint8 (b, 3, h, w); a last batch below `least` images is left out."""
    n = len(split)
    spans = [range(at, min(at + size, n)) for at in range(0, n, size)]
    spans = [span for span in spans if len(span) >= min(least, n)]
    for batch in batches(Decoder([View(split, transform)], spans, skip_unreadable=False), None, pinned=False):
        if batch.problem:
            raise InputError(batch.problem)
        yield batch.views[0]


def device_of(module: nn.Module) -> torch.device:
    """Where a module computes."""
    return next((tensor.device for tensor in module.parameters()), torch.device("cpu"))


@torch.inference_mode()
def logits_of(module: nn.Module, split: Split, transform: Transform) -> Tensor:
    """Logits of a split, float32 (n, k) on the CPU; the module is in evaluation mode after it."""
    module.eval()
    where = device_of(module)
    constants = transform.constants(where)
    with computing(where, "float32"):
        batches = evaluation_batches(split, transform)
        found = [module(transform.batch(pixels.to(where), constants)).float().cpu() for pixels in batches]
    return torch.cat(found)
