import pytest
import torch
from pictures import folder
from tiny import LARGER, model

from duo_core.common.arrays import InputError
from duo_core.images import open_source
from duo_core.images.splits import splits
from duo_core.inference.runner import Runner, fitting_classes, logits_in_float32
from duo_core.models.devices import check_precision, compute_device


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
    with pytest.raises(InputError, match=r"^expected auto, cpu, cuda, cuda:N, mps, xpu or xpu:N as the device, got 'tpu'$"):
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


class HalfGone(torch.nn.Linear):
    """Does not fit on a device, once its first parameter is there."""

    def _apply(self, function, recurse=True):
        if not self.weight.is_meta:
            self.weight = torch.nn.Parameter(self.weight.to("meta"))
            raise self.error
        self.weight = torch.nn.Parameter(torch.zeros(3, 3))
        return super()._apply(function, recurse)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), torch.AcceleratorError("CUDA error: out of memory")]
)
def test_a_model_that_does_not_fit_leaves_nothing_on_the_device(error, monkeypatch):
    emptied = []
    monkeypatch.setattr("duo_core.inference.runner.empty_cache", emptied.append)
    module = HalfGone(3, 3)
    module.error = error
    runner = Runner(model("big", module=module), torch.device("cpu"), "float32", 10)
    with pytest.raises(InputError, match=r"^'big' does not fit on cpu beside the models before it; use another device$"):
        runner.__enter__()
    assert {parameter.device.type for parameter in module.parameters()} == {"cpu"}
    assert emptied == [torch.device("cpu")]


WORDS = [
    (torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be ..."), ""),
    (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), " (CUDNN_STATUS_ALLOC_FAILED)"),
    (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if ..."), " (CUDNN_STATUS_NOT_SUPPORTED)"),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), " (CUBLAS_STATUS_ALLOC_FAILED)"),
    (RuntimeError("Expected canUse32BitIndexMath(input) && canUse32BitIndexMath(output) to be true"), " (canUse32BitIndexMath)"),
    (RuntimeError("MPS backend out of memory (MPS allocated: 18.00 GB)"), ""),
    (RuntimeError("level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)"), ""),
]


@pytest.mark.parametrize(("error", "why"), WORDS)
def test_every_library_says_in_its_own_words_that_a_batch_is_too_large(pixels, error, why):
    module = Small(3, error)
    runner = Runner(model(module=module), torch.device("cpu"), "float32", 10)
    assert len(runner(pixels)) == 10
    assert module.seen == [10, 5, 2, 2, 2, 2, 2]
    with pytest.raises(InputError) as caught:
        Runner(model("big", module=Small(0, error)), torch.device("cpu"), "float32", 10)(pixels)
    assert str(caught.value) == f"'big' does not fit in the memory of cpu with a single image{why}; use another device"


class Watched(torch.nn.Module):
    """Notes what its layers compute in."""

    def __init__(self):
        super().__init__()
        self.trunk = torch.nn.Conv2d(3, 4, 3)
        self.fc = torch.nn.Linear(4, 3)
        self.seen = {}
        for name, part in self.named_children():
            part.register_forward_hook(lambda _, __, output, name=name: self.seen.update({name: (output.dtype, tf32_is_on())}))

    def forward(self, images):
        return self.fc(self.trunk(images).mean(dim=(2, 3)))


def tf32_is_on():
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(
    ("precision", "trunk"),
    [("float32", torch.float32), ("tf32", torch.float32), ("float16", torch.float16), ("bfloat16", torch.bfloat16)],
)
def test_the_layer_of_the_logits_computes_in_float32_in_every_precision(pixels, precision, trunk):
    module = Watched()
    layer, before = module.fc, tf32_is_on()
    with Runner(model(module=module), torch.device("cpu"), precision, 10) as runner:
        logits = runner(pixels)
    assert logits.dtype == torch.float32
    assert len(logits.unique()) == logits.numel()
    assert module.seen["trunk"] == (trunk, (precision == "tf32",) * 2)
    assert module.seen["fc"][0] == torch.float32
    assert "forward" not in vars(layer)
    assert tf32_is_on() == before


def test_products_within_the_layer_of_the_logits_are_not_rounded_to_tf32(pixels):
    module, seen = Watched(), []
    forward = module.fc.forward
    module.fc.forward = lambda values: seen.append(tf32_is_on()) or forward(values)
    runner = Runner(model(module=module), torch.device("cpu"), "tf32", 10)
    with logits_in_float32(module, (3, 8, 8), torch.device("cpu")):
        runner(pixels)
    assert seen[-1] == (False, False)
    assert module.fc.forward(torch.ones(1, 4)).shape == (1, 3), "its own method is back"


def test_a_precision_is_refused_where_the_device_has_no_units_for_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    cuda = torch.device("cuda")
    for precision, other in (("bfloat16", "float16"), ("tf32", "float32")):
        with pytest.raises(InputError) as caught:
            check_precision(precision, cuda)
        assert str(caught.value) == (
            f"expected a precision that 'cuda' (Tesla T4) computes in, got '{precision}', which it has no units for; use {other}"
        )
    for precision in ("float32", "float16"):
        check_precision(precision, cuda)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    check_precision("tf32", cuda)
    with pytest.raises(InputError, match=r"^expected a precision that 'cpu' .* got 'tf32'"):
        check_precision("tf32", torch.device("cpu"))


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_auto_is_the_accelerator_that_torch_finds(monkeypatch, kind):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device(kind))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert compute_device("auto") == compute_device(kind) == torch.device(kind)
    if kind != "mps":
        assert compute_device(f"{kind}:1") == torch.device(kind, 1)
        with pytest.raises(InputError, match=f"^the device '{kind}:2' was asked for, but 2 {kind.upper()} devices are here"):
            compute_device(f"{kind}:2")
    other = "xpu" if kind == "cuda" else "cuda"
    with pytest.raises(InputError, match=f"^the device '{other}' was asked for, but 0 {other.upper()} devices are here"):
        compute_device(other)
