"""What only a GPU shows: the CPU's logits in every precision, halving, pinned buffers, a second device, and its speed."""

from dataclasses import replace

import pytest
import torch
from pictures import folder
from tiny import AS_IS, LARGER, ON_DEVICE, model, reference
from torch import nn

from duo_core.common.arrays import InputError
from duo_core.images import open_source
from duo_core.images.splits import splits
from duo_core.inference import compute
from duo_core.inference.runner import Runner
from duo_core.logits.store import Store
from duo_core.models.cost import throughput

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")
WITHIN = {"float32": 1e-4, "tf32": 1e-2, "float16": 1e-2, "bfloat16": 8e-2}
"""Largest difference from the CPU, in standard deviations of the logits: 23, 10, 10 and 7 bits after the point."""


def network():
    """Convolutions and linear layers, wide enough to be worth tensor cores."""
    torch.manual_seed(0)
    trunk = [nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.GELU(), nn.Conv2d(64, 64, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*trunk, nn.Flatten(), nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 20)).eval()


@pytest.fixture
def pixels():
    return torch.randint(0, 256, (512, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("precision", list(WITHIN))
def test_cuda_gives_the_cpus_logits_in_every_precision(pixels, precision):
    loaded = model(classes=20, module=network())
    with Runner(loaded, torch.device("cpu"), "float32", 512) as runner:
        expected = runner(pixels)
    with Runner(loaded, CUDA, precision, 512) as runner:
        got = runner(pixels).cpu()
    assert (got - expected).abs().max() < WITHIN[precision] * expected.std()
    assert precision == "float32" or not torch.equal(got, expected)
    assert not (got.topk(2).values.diff() == 0).any(), "the layer of the logits does not round them"
    assert {parameter.device.type for parameter in loaded.module.parameters()} == {"cpu"}


@pytest.fixture
def little_memory():
    """A GPU of which this process may have a part; whole again afterwards."""
    total = torch.cuda.get_device_properties(0).total_memory

    def allowed(size):
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(min(1.0, size / total))

    yield allowed
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


class Hungry(nn.Module):
    """Takes 64 MiB an image on its way."""

    def __init__(self, weights=1):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(weights))

    def forward(self, images):
        held = torch.zeros(len(images), 16 << 20, device=images.device)
        return images.mean(dim=(2, 3)) * self.scale[0] + held[:, :3]


def test_a_batch_that_does_not_fit_is_halved_and_gives_the_same(pixels, little_memory):
    loaded = model("hungry", module=Hungry())
    with Runner(loaded, CUDA, "float32", 16) as runner:
        expected = runner(pixels[:32]).cpu()
    little_memory(1 << 30)
    with Runner(loaded, CUDA, "float32", 32) as runner:
        got, chunk = runner(pixels[:32]).cpu(), runner.chunk
    assert torch.equal(got, expected)
    assert chunk < 32


def test_what_does_not_fit_at_all_is_said_and_leaves_nothing_behind(pixels, little_memory):
    before = torch.cuda.memory_allocated()
    little_memory(48 << 20)
    with Runner(model("hungry", module=Hungry()), CUDA, "float32", 4) as runner, pytest.raises(InputError, match="single image"):
        runner(pixels[:4])
    with pytest.raises(InputError, match="does not fit in the memory of cuda with a single image"):
        throughput(Hungry(), (3, 8, 8), device="cuda", batch_size=4)
    large = Hungry(weights=64 << 20)
    with pytest.raises(InputError, match="'large' does not fit on cuda beside the models before it"):
        Runner(model("large", module=large), CUDA, "float32", 4).__enter__()
    assert large.scale.device.type == "cpu"
    assert torch.cuda.memory_allocated() == before


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_pinned_buffers_of_worker_processes_give_the_bits_of_none(tmp_path, device):
    if torch.device(device).index and torch.cuda.device_count() < 2:
        pytest.skip("one CUDA device")
    source = open_source(folder(tmp_path / "images", {"a": 90, "b": 80, "c": 60}))
    trio = [
        model(name, transform=own, seed=seed)
        for seed, (name, own) in enumerate(zip("pqr", (AS_IS, LARGER, ON_DEVICE), strict=True))
    ]
    made = splits({"test": source}, fit=80)
    for workers in (0, 3):
        compute(trio, made, Store(tmp_path / str(workers)), "set", device=device, batch_size=16, workers=workers)
    alone, many = (Store(tmp_path / str(workers)).open("set") for workers in (0, 3))
    for loaded in trio:
        assert torch.equal(alone.logits(loaded.spec.name, "test"), many.logits(loaded.spec.name, "test"))
        expected = reference(loaded, source, made["test"].rows)
        assert (alone.logits(loaded.spec.name, "test") - expected).abs().max() < 1e-4 * expected.std()
    card = alone.cards["p"]
    assert (card.computed_on, card.precision) == (torch.cuda.get_device_name(torch.device(device)), "float32")


def test_no_model_waits_for_the_one_before(pixels):
    trio = [replace(model(name, classes=20, module=network())) for name in "abc"]
    runners = [Runner(loaded, CUDA, "float32", 512).__enter__() for loaded in trio]
    pinned = pixels.pin_memory()
    for runner in runners:
        runner(pinned)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        outputs = [runner(pinned) for runner in runners]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(outputs[0], other) for other in outputs[1:])
    for runner in runners:
        runner.__exit__(None, None, None)


def test_throughput_is_of_a_large_batch_and_waits_for_its_end():
    found = throughput(network(), (3, 32, 32), device="cuda")
    assert (found.batch_size, found.device) == (256, torch.cuda.get_device_name(0))
    # The two convolutions alone are 2 x 9 x 64 x (3 + 64) x 900 operations an image, of which no GPU does 10^15 a second.
    assert 1e3 < found.images_per_second < 1e15 / (2 * 9 * 64 * 67 * 900)
