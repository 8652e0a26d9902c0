"""Modules without their numbers: shapes on torch's meta device, where a model of any size costs nothing."""

import contextlib
import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.optim.swa_utils import AveragedModel
from torch.overrides import TorchFunctionMode

from duo_core.common.arrays import InputError

PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)
WRAPPERS = (*PARALLEL, AveragedModel)
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Bilinear)
"""What multiplies by weights."""


@contextlib.contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Build modules whose parameters have shapes only; buffers, and what constructors compute, stay real.

    >>> with parameters_on_meta():
    ...     print(nn.Linear(100, 1000).weight.device)
    meta
    """

    def moved(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        return None if parameter is None else nn.Parameter(parameter.to("meta"), parameter.requires_grad)

    # A constructor under torch.device("meta") would also put there what it computes (RegNet's widths, for instance)
    # and fail; and fresh memory that nothing is written to is never taken from the machine.
    handle = register_module_parameter_registration_hook(moved)  # type: ignore[arg-type]  # it may return a parameter
    try:
        yield
    finally:
        handle.remove()


def outline(module: nn.Module) -> nn.Module:
    """Copy a module onto the meta device, in evaluation mode; the module itself is left as it is."""
    module = unwrapped(module)
    tensors: list[Tensor] = [*module.parameters(), *module.buffers()]
    memo: dict[int, object] = {}
    for tensor in tensors:
        empty = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
    return _single(copy.deepcopy(module, memo)).eval()


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the model within what training wraps around one: parallel, compiled, averaged."""
    wrapper = "_orig_mod" if "_orig_mod" in module._modules else "module" if isinstance(module, WRAPPERS) else None
    return module if wrapper is None else unwrapped(module.get_submodule(wrapper))


def _single(module: nn.Module) -> nn.Module:
    """Put parallel parts of a module back together, in place: they would ask for GPUs."""
    for part in list(module.modules()):
        for name, child in part.named_children():
            if isinstance(child, PARALLEL):
                part._modules[name] = unwrapped(child)
    return module


def output_shape(module: nn.Module, input_size: tuple[int, int, int]) -> tuple[int, ...]:
    """Shape that the module gives for one image of the size (3, height, width).

    Where an operator has no shape rule the model runs on an image of zeros.

    Raises
    ------
    InputError
        Where the module does not take such an image.
    """
    with torch.no_grad(), taking(input_size):
        result = _run_without_numbers(module, input_size)
    return tuple(result.shape) if isinstance(result, Tensor) else ()


def needs_numbers(error: Exception) -> bool:
    """Whether a model may have failed because shapes alone have no numbers, and not because of the image's size."""
    return isinstance(error, NotImplementedError | RuntimeError) or (not isinstance(error, InputError) and "meta" in str(error))


def last_layers(module: nn.Module, input_size: tuple[int, int, int]) -> list[str]:
    """Names of the layers that logits come from: the convolution or linear layer that runs last, and others of its output's shape.

    >>> last_layers(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)), (3, 8, 8))
    ['3']
    """
    ran: dict[str, tuple[int, ...]] = {}

    def watched(copied: nn.Module) -> nn.Module:
        for name, part in copied.named_modules():
            if isinstance(part, LAYERS):
                part.register_forward_hook(lambda _, __, output, name=name: ran.update({name: tuple(output.shape)}))
        return copied

    with torch.no_grad(), taking(input_size):
        _run_without_numbers(module, input_size, watched)
    last = list(ran)[-1:]
    return [name for name, shape in ran.items() if name in last or (len(shape) == 2 and shape == ran[last[0]])]


def _run_without_numbers(
    module: nn.Module, input_size: tuple[int, int, int], watched: Callable[[nn.Module], nn.Module] = lambda copied: copied
) -> object:
    """What a copy of the module gives for one image, in shapes; where an operator has no shape rule it runs on zeros."""
    try:
        with NormsKeepShapes():
            return watched(outline(module))(torch.empty(1, *input_size, device="meta"))
    except Exception as error:
        if not needs_numbers(error):
            raise
        copied = watched(stand_in(module))
        return copied(torch.zeros(1, *input_size, device=device_of(copied)))


class NormsKeepShapes(TorchFunctionMode):
    """Batch normalisation by running moments has the shape of what it takes; torch says so by twenty operations."""

    def __torch_function__(
        self, function: Callable[..., Any], _: object, arguments: Sequence[Any] = (), options: Mapping[str, Any] | None = None
    ) -> Any:
        if function is nn.functional.batch_norm and options and options.get("training") is False:  # as torch passes it on
            images, mean = arguments[:2]
            if mean is not None and mean.shape == images.shape[1:2]:
                return images
        return function(*arguments, **(options or {}))


@contextlib.contextmanager
def taking(input_size: tuple[int, int, int]) -> Iterator[None]:
    """Say in a sentence that a model does not take images of a size, whatever it raises then."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        said = " ".join(re.sub(r"\s*<[^<>]* at 0x[0-9a-f]+>", "", str(error)).split())[:200]
        reason = said if said and not isinstance(error, KeyError | IndexError) else f"{type(error).__name__} {said}".strip()
        advice = "a model of images with 3 channels" if re.search(r"\d channel", said) else "another input size"
        raise InputError(
            f"expected a model that takes images of {input_size[1]} x {input_size[2]}, but it does not run on one ({reason}); "
            f"name {advice}"
        ) from error


def stand_in(module: nn.Module) -> nn.Module:
    """Copy a module, in evaluation mode, to run it without touching it; it shares the weights, or has zeros for mere shapes."""
    module = unwrapped(module)
    memo: dict[int, object] = {}
    for parameter in module.parameters():
        zeros = nn.Parameter(torch.zeros_like(parameter, device="cpu")) if parameter.is_meta else parameter
        memo[id(parameter)] = zeros
    return _single(copy.deepcopy(module, memo)).eval()


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are; the CPU where it has none."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
