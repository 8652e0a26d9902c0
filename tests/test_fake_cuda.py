"""The CUDA path without a GPU: tensors that have shapes and a device, and the copies between devices that are asked for."""

from typing import Any

import pytest
import torch
from tiny import AS_IS, model
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from duo_core.inference.runner import Runner

CUDA = torch.device("cuda")


class Uploads(TorchDispatchMode):
    """Notes each operator that makes a CUDA tensor of CPU tensors, and whether the CPU goes on meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given, made = (
            {x.device.type for x in tree_leaves(part) if isinstance(x, torch.Tensor)} for part in ((args, kwargs), result)
        )
        if (given, made) == ({"cpu"}, {"cuda"}):
            self.seen.append(bool((kwargs or {}).get("non_blocking")))
        return result


@pytest.fixture
def pretended():
    """A mode of fake tensors; modules' parameters may be replaced by them, as `Module.to` does only where it is told to."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    yield FakeTensorMode(allow_non_fake_inputs=True)
    torch.__future__.set_overwrite_module_params_on_conversion(before)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_a_batch_reaches_the_gpu_in_one_copy_that_nobody_waits_for(pretended, precision):
    loaded = model(transform=AS_IS)
    with pretended:
        runner = Runner(loaded, CUDA, precision, 8)
        runner.__enter__()
        pixels = torch.empty(8, *AS_IS.input_size, dtype=torch.uint8)
        with Uploads() as uploads:
            logits = [runner(pixels), runner(pixels)]
    assert {(one.device.type, tuple(one.shape)) for one in logits} == {("cuda", (8, loaded.classes))}
    assert uploads.seen == [True, True]


def test_a_test_sees_copies_that_are_waited_for(pretended):
    with pretended, Uploads() as uploads:
        pixels = torch.empty(2, *AS_IS.input_size, dtype=torch.uint8)
        AS_IS.batch(pixels.to("cuda", non_blocking=True))
    assert uploads.seen[0]
    assert False in uploads.seen
