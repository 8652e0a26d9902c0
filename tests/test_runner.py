import pytest
import torch
from pictures import folder
from tiny import LARGER, model

from duo_core.common.arrays import InputError
from duo_core.images import open_source
from duo_core.images.splits import splits
from duo_core.inference.runner import Runner, compute_device, fitting_classes


class Small(torch.nn.Module):
    """Holds so many images at a time and no more."""

    def __init__(self, room, error):
        super().__init__()
        self.room, self.error, self.seen = room, error, []

    def forward(self, images):
        self.seen.append(len(images))
        if len(images) > self.room:
            raise self.error
        return images.mean(dim=(2, 3))


@pytest.fixture
def pixels():
    return torch.randint(0, 256, (10, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        ),
        MemoryError(),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_and_stays_halved(pixels, error):
    module = Small(3, error)
    runner = Runner(model(module=module), torch.device("cpu"), "float32", 10)
    expected = Runner(model(module=Small(10, error)), torch.device("cpu"), "float32", 10)(pixels)
    assert torch.equal(runner(pixels), expected)
    assert module.seen == [10, 5, 2, 2, 2, 2, 2]
    module.seen.clear()
    assert torch.equal(runner(pixels[:4]), expected[:4])
    assert module.seen == [2, 2]


def test_a_model_that_holds_not_one_image_is_named(pixels):
    runner = Runner(model("big", module=Small(0, MemoryError())), torch.device("cpu"), "float32", 10)
    with pytest.raises(InputError, match=r"^'big' does not fit in the memory of cpu with a single image; use another device$"):
        runner(pixels)


def test_other_errors_are_not_taken_for_a_full_memory(pixels):
    module = Small(0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        Runner(model(module=module), torch.device("cpu"), "float32", 10)(pixels)
    assert module.seen == [10]


def test_logits_of_another_shape_are_refused(pixels):
    runner = Runner(model("odd", classes=5, module=Small(99, MemoryError())), torch.device("cpu"), "float32", 10)
    with pytest.raises(InputError, match=r"^expected logits of shape \(10, 5\) from 'odd', got \(10, 3\)$"):
        runner(pixels)


def test_bfloat16_is_near_float32_and_not_equal(pixels):
    loaded = model(transform=LARGER)
    wide = torch.randint(0, 256, (10, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    exact, rough = (Runner(loaded, torch.device("cpu"), precision, 10)(wide) for precision in ("float32", "bfloat16"))
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert torch.allclose(exact, rough, atol=0.05 * exact.abs().max().item())


def test_devices():
    assert compute_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match=r"^expected auto, cpu, cuda or cuda:N as the device, got 'tpu'$"):
        compute_device("tpu")
    with pytest.raises(InputError, match=r"^the device 'cuda:99' was asked for, but \d+ CUDA devices are here; use auto or cpu$"):
        compute_device("cuda:99")


@pytest.fixture
def made(tmp_path):
    return splits({"test": open_source(folder(tmp_path / "x", {"big_cat": 1, "dog": 1, "owl": 1}))})


def refused(models, made):
    with pytest.raises(InputError) as caught:
        fitting_classes(models, made)
    return str(caught.value)


def test_class_names_come_from_the_images_else_the_model_else_numbers(made, tmp_path):
    assert fitting_classes([model()], made) == ("big_cat", "dog", "owl")
    numbered = splits({"test": open_source(folder(tmp_path / "n", {"0": 1, "2": 1}))})
    assert fitting_classes([model(), model("b", names=("x", "y", "z"))], numbered) == ("x", "y", "z")
    assert fitting_classes([model()], numbered) == ("0", "1", "2")


def test_names_that_differ_in_spelling_only_fit(made):
    assert fitting_classes([model(names=("Big cat", "dog", "owl"))], made) == ("big_cat", "dog", "owl")


def test_wordnet_ids_are_not_compared_with_names(tmp_path):
    made = splits({"test": open_source(folder(tmp_path / "w", {"n01440764": 1, "n01443537": 1}))})
    assert fitting_classes([model(classes=2, names=("tench", "goldfish"))], made) == ("n01440764", "n01443537")


def test_a_class_map_stands_above_names(tmp_path):
    (tmp_path / "map.txt").write_text("cats\ndogs\n")
    made = splits({"test": open_source(folder(tmp_path / "w", {"cats": 1, "dogs": 1}), str(tmp_path / "map.txt"))})
    assert fitting_classes([model(classes=2, names=("cat", "dog"))], made) == ("cats", "dogs")


def test_models_that_do_not_fit_the_images_are_refused(made, tmp_path):
    text = made["test"].source.text
    assert refused([model("wide", 1000)], made) == (
        f"'wide' has 1000 classes, but the images of 'test' ({text}) have 3; use a model of these classes, or a class map"
    )
    assert refused([model("other", names=("big cat", "owl", "dog"))], made) == (
        f"'other' calls class 1 'owl', but the images of 'test' ({text}) call it 'dog'; "
        "use a model of these classes, or a class map"
    )
    numbered = splits({"test": open_source(folder(tmp_path / "n", {"0": 1, "3": 1}))})
    tens = splits({"test": open_source(folder(tmp_path / "t", {"x1": 1, "x2": 1, "x10": 1}))})
    assert refused([model("text", names=("x1", "x10", "x2"))], tens).endswith("or --class-index text, in which the names agree")
    assert refused([model("neither", names=("x1", "x10", "x3"))], tens).endswith("or a class map")
    ones = splits({"test": open_source(folder(tmp_path / "o", {"1": 1, "2": 1, "3": 1}))})
    assert refused([model("ones")], ones).endswith("or number the folders from 0 with --class-index natural or text")
    text = numbered["test"].source.text
    assert refused([model("narrow")], numbered) == (
        f"'narrow' has 3 classes, 0 to 2, but the images of 'test' ({text}) have class 3; use another model"
    )
    assert refused([model("one", 4), model("two", 5)], numbered) == (
        "expected models of one number of classes, got 'one' with 4 and 'two' with 5; make a set for each"
    )


def test_a_run_needs_models_of_different_names(made):
    assert refused([], made) == "expected at least one model and one split, got 0 models and 1 splits"
    assert refused([model(), model()], made) == "expected models of different names in a set, got 'a' 2 times; use ID=NAME"
