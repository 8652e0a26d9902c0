"""Images a second on this machine: batches of a size that suits the device, timed without anything but the model."""

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from duo_core.common.arrays import InputError
from duo_core.models.devices import (
    check_precision,
    computing,
    current,
    device_name,
    empty_cache,
    out_of_memory,
    wait_for,
    why_too_large,
)
from duo_core.models.shapes import taking, unwrapped

ON_CPU, ON_GPU = 8, 256
"""Images a batch."""
WARM_UP, STEPS = 10, 20
"""Batches that a GPU runs before, and at least while, it is timed; timm's benchmark warms up as long."""


@dataclass(frozen=True)
class Throughput:
    """How fast a model is, and on what."""

    images_per_second: float
    device: str
    batch_size: int


def throughput(
    module: nn.Module,
    input_size: tuple[int, int, int],
    *,
    device: str | torch.device = "cpu",
    precision: str = "float32",
    batch_size: int | None = None,
    seconds: float = 5.0,
) -> Throughput:
    """Measure images a second, on random pixels, of a copy of the module, with memory laid out channels last.

    A GPU runs ahead of who asks: after 10 batches that warm up, it is timed from the first of 20 to the end of the last. On a CPU
    it is the median of up to 20 batches, after one that warms up, with memory kept as where logits are computed.

    Parameters
    ----------
    module
        The model.
    input_size
        (3, height, width).
    device
        `cpu`, `cuda`, `cuda:1`, `mps`, `xpu`.
    precision
        One of `devices.PRECISIONS`.
    batch_size
        Images a batch; default 8 on a CPU, 256 elsewhere. One that does not fit into memory is halved, and the result says so.
    seconds
        On a CPU, batches are fewer where they take longer than so long together, but at least one is timed.
    """
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"expected a device of this machine, got '{device}', but torch finds no CUDA here; say cpu")
    check_precision(precision, device)
    size = batch_size or (ON_CPU if device.type == "cpu" else ON_GPU)
    while True:
        try:
            rate = _rate(module, input_size, device, precision, size, seconds)
            return Throughput(rate, device_name(device), size)
        except (RuntimeError, MemoryError, InputError) as error:
            cause = error.__cause__ if isinstance(error, InputError) else error
            if cause is None or not out_of_memory(cause):
                raise
            why = why_too_large(cause)
        if size == 1:  # outside the handler, whose traceback holds the tensors that did not fit
            raise InputError(f"the model does not fit in the memory of {device} with a single image{why}; use another device")
        size //= 2
        empty_cache(device)


def _rate(
    module: nn.Module, input_size: tuple[int, int, int], device: torch.device, precision: str, size: int, seconds: float
) -> float:
    copied = copy.deepcopy(unwrapped(module)).to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    pixels = torch.randn(size, *input_size, generator=torch.Generator().manual_seed(0))
    images = pixels.to(device).contiguous(memory_format=torch.channels_last)
    timed = _on_cpu if device.type == "cpu" else _on_gpu
    with current(device), taking(input_size), torch.inference_mode(), computing(device, precision):
        return size / timed(lambda: copied(images), seconds, device)


def _on_cpu(step: Callable[[], Tensor], seconds: float, _device: torch.device) -> float:
    """Median seconds of a batch."""
    step()
    taken: list[float] = []
    while len(taken) < STEPS and (not taken or sum(taken) < seconds):
        began = time.perf_counter()
        step()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _on_gpu(step: Callable[[], Tensor], _seconds: float, device: torch.device) -> float:
    """Mean seconds of a batch, of batches that are asked for one after another and waited for once."""
    for _ in range(WARM_UP):
        step()
    wait_for(device)
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    wait_for(device)
    return (time.perf_counter() - began) / STEPS
