"""What a model costs: multiply-adds and parameters, exactly.

The convention stands in `operators`. A forward pass over shapes alone (torch's meta device) is counted operator by
operator, so that a model of any size is counted in a second, and nothing that multiplies can be passed over in silence.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from duo_core.common.arrays import InputError
from duo_core.models.cost.operators import multiply_adds
from duo_core.models.shapes import NormsKeepShapes, device_of, needs_numbers, outline, stand_in, taking


@dataclass(frozen=True)
class Cost:
    """What one image costs, and what the model holds."""

    multiply_adds: int
    """Of one image; convolutions, linear layers and attention products."""
    parameters: int


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
    shapes_only = images.is_meta and not norms
    with torch.no_grad(), NormsKeepShapes() if shapes_only else contextlib.nullcontext(), counter:
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
