"""What a model costs: multiply-adds and parameters, exactly, and images a second on this machine.

The convention stands in `operators`. A forward pass over shapes alone (torch's meta device) is counted operator by
operator, so that a model of any size is counted in a second, and nothing that multiplies can be passed over in silence.
"""

import contextlib
import copy
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from duo_core.common.arrays import InputError
from duo_core.models.cost.operators import multiply_adds
from duo_core.models.shapes import device_of, needs_numbers, outline, stand_in, taking, unwrapped

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Cost:
    """What one image costs, and what the model holds."""

    multiply_adds: int
    """Of one image; convolutions, linear layers and attention products."""
    parameters: int


@dataclass(frozen=True)
class Throughput:
    """How fast a model is, and on what."""

    images_per_second: float
    device: str
    batch_size: int


def cost(module: nn.Module, input_size: tuple[int, int, int], *, norms: bool = False) -> Cost:
    """Count the multiply-adds of one image and the parameters of a module, which is left as it is.

    Parameters
    ----------
    module
        On any device, the meta device included.
    input_size
        (3, height, width).
    norms
        Count norm layers too, to compare with figures that do.

    Raises
    ------
    InputError
        Where an operator may multiply and is unknown, or the module does not take such an image.

    Examples
    --------
    >>> cost(nn.Conv2d(3, 8, kernel_size=5, padding=2), (3, 10, 10))  # 10 * 10 * 8 outputs of 5 * 5 * 3 weights
    Cost(multiply_adds=60000, parameters=608)
    """
    parameters = sum(parameter.numel() for parameter in module.parameters())
    with taking(input_size):
        try:
            total = _counted(outline(module), torch.empty(1, *input_size, device="meta"), norms)
        except Exception as error:
            if not needs_numbers(error):
                raise
            total = _counted_for_real(module, input_size, norms)
    return Cost(total, parameters)


def _counted_for_real(module: nn.Module, input_size: tuple[int, int, int], norms: bool) -> int:
    """Count on real tensors, for modules with an operator that has no shape rule."""
    copied = stand_in(module)
    return _counted(copied, torch.zeros(1, *input_size, device=device_of(copied)), norms)


def _counted(module: nn.Module, images: Tensor, norms: bool) -> int:
    counter = _Counter(module, norms)
    dtype = next((parameter.dtype for parameter in module.parameters()), images.dtype)
    with torch.no_grad(), counter:
        module(images.to(dtype))
    return counter.total


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums multiply-adds over the operators that run, and knows which submodule runs."""

    def __init__(self, module: nn.Module, norms: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self.norms = norms
        self.running: list[str] = []
        hooked = [(name, part) for name, part in module.named_modules() if not isinstance(part, torch.jit.ScriptModule)]
        for name, part in hooked:
            part.register_forward_pre_hook(partial(self._enter, f"{name or 'the model'} ({type(part).__name__})"))
            part.register_forward_hook(self._leave)

    def _enter(self, name: str, *_: object) -> None:
        self.running.append(name)

    def _leave(self, *_: object) -> None:
        self.running.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        try:
            self.total += multiply_adds(func, args, result, self.norms)
        except InputError as error:
            where = self.running[-1] if self.running else "the model"
            raise InputError(f"{error}, so the cost of {where} is unknown; add it to duo_core/models/cost/operators.py") from None
        return result


def throughput(
    module: nn.Module,
    input_size: tuple[int, int, int],
    *,
    device: str | torch.device = "cpu",
    precision: str = "float32",
    batch_size: int = 8,
    repeats: int = 5,
    seconds: float = 5.0,
) -> Throughput:
    """Measure images a second: the median over several batches, after one that warms up.

    A copy of the module runs, on the device, with memory laid out channels last.

    Parameters
    ----------
    module
        The model.
    input_size
        (3, height, width).
    device
        `cpu`, `cuda`, `cuda:1`.
    precision
        float32, or bfloat16, which is autocast.
    batch_size
        Images a batch.
    repeats, seconds
        Batches to measure, fewer where they take longer than so many seconds together, but at least one.
    """
    if precision not in PRECISIONS:
        raise InputError(f"expected a precision of {', '.join(PRECISIONS)}, got '{precision}'")
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"expected a device of this machine, got '{device}', but torch finds no CUDA here; say cpu")
    copied = copy.deepcopy(unwrapped(module)).to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    images = torch.zeros(batch_size, *input_size, device=device).contiguous(memory_format=torch.channels_last)
    with taking(input_size), torch.inference_mode(), _cast(device, precision):
        _seconds(copied, images)
        taken = [_seconds(copied, images)]
        while len(taken) < repeats and sum(taken) < seconds:
            taken.append(_seconds(copied, images))
    return Throughput(batch_size / statistics.median(taken), device_name(device), batch_size)


def _seconds(module: nn.Module, images: Tensor) -> float:
    began = time.perf_counter()
    module(images)
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - began


def _cast(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, dtype=PRECISIONS[precision] or torch.bfloat16, enabled=PRECISIONS[precision] is not None)


def device_name(device: torch.device) -> str:
    """Name of the processor that a device stands for."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
