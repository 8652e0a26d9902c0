"""Multiply-adds in closed form, against published figures and against fvcore; loud about what is not known."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks.published_costs import TIMM_TOLERANCE, TORCHVISION_TOLERANCE, timm_rows, torchvision_rows
from duo_core.common.arrays import InputError
from duo_core.models.cost import Cost, cost, device_name, speed, throughput
from duo_core.models.cost.operators import MULTIPLYING, NORMS, NOT_COUNTED
from duo_core.models.cost.second import SecondCount, second_count
from duo_core.models.shapes import outline as shapes
from duo_core.models.shapes import output_shape, stand_in
from duo_core.models.zoo import outline, resolve

H, W = 12, 10
IMAGE = (3, H, W)


class Tokens(nn.Module):
    """Runs a function or module on the image's rows as tokens (1, n = 3 * H, width = W)."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, images):
        return self.run(images.flatten(1, 2))


N = 3 * H  # tokens


class With(Tokens):
    """Tokens that also hold a module."""

    def __init__(self, module, run):
        super().__init__(run)
        self.module = module

    def forward(self, images):
        return self.run(self.module, images.flatten(1, 2))


def attend(x):
    heads = x.unflatten(-1, (2, W // 2)).transpose(1, 2)
    return functional.scaled_dot_product_attention(heads, heads, heads)


CLOSED_FORM = {
    "convolution": (nn.Conv2d(3, 8, (3, 5), padding=(1, 2)), H * W * 8 * 3 * 15),
    "strided": (nn.Conv2d(3, 8, 2, stride=2), (H // 2) * (W // 2) * 8 * 3 * 4),
    "dilated": (nn.Conv2d(3, 8, 3, dilation=2), (H - 4) * (W - 4) * 8 * 3 * 9),
    "grouped": (nn.Conv2d(3, 9, 3, padding=1, groups=3), H * W * 9 * 9),
    "padding by name": (nn.Conv2d(3, 8, 5, padding="same"), H * W * 8 * 3 * 25),
    "transposed": (nn.ConvTranspose2d(3, 8, 3, stride=2), H * W * 3 * 8 * 9),
    "transposed grouped": (nn.ConvTranspose2d(3, 9, 3, groups=3), H * W * 3 * 3 * 9),
    "one dimension": (Tokens(nn.Conv1d(N, 5, 3, padding=1)), W * 5 * N * 3),
    "three dimensions": (nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv3d(1, 2, 3, padding=1)), 3 * H * W * 2 * 27),
    "linear": (Tokens(nn.Linear(W, 7)), N * W * 7),
    "linear without bias": (Tokens(nn.Linear(W, 7, bias=False)), N * W * 7),
    "bilinear by hand": (Tokens(lambda x: x @ x.transpose(1, 2)), N * N * W),
    "matrix times broadcast": (Tokens(lambda x: x @ x.new_ones(4, 5, W, 6)), 4 * 5 * N * W * 6),
    "matrix times vector": (Tokens(lambda x: x @ x.new_ones(W)), N * W),
    "vector times vector": (Tokens(lambda x: torch.dot(x[0, 0], x[0, 1])), W),
    "mm": (Tokens(lambda x: torch.mm(x[0], x[0].T)), N * N * W),
    "mv": (Tokens(lambda x: torch.mv(x[0], x[0, 0])), N * W),
    "addmm": (Tokens(lambda x: torch.addmm(x.new_ones(N), x[0], x[0].T)), N * N * W),
    "addmv": (Tokens(lambda x: torch.addmv(x.new_ones(N), x[0], x[0, 0])), N * W),
    "baddbmm": (Tokens(lambda x: torch.baddbmm(x.new_ones(1, N, N), x, x.transpose(1, 2))), N * N * W),
    "addbmm": (
        Tokens(lambda x: torch.addbmm(x.new_ones(N, N), x.repeat(2, 1, 1), x.transpose(1, 2).repeat(2, 1, 1))),
        2 * N * N * W,
    ),
    "einsum": (Tokens(lambda x: torch.einsum("bnc,bmc->bnm", x, x)), N * N * W),
    "einsum of three": (
        Tokens(lambda x: torch.einsum("bnc,cd,de->bne", x, x.new_ones(W, 4), x.new_ones(4, 3))),
        N * W * 4 + N * 4 * 3,
    ),
    "einsum that permutes": (Tokens(lambda x: torch.einsum("bnc->bcn", x)), 0),
    "attention": (Tokens(attend), 2 * N * N * W),
    "multi-head attention": (
        With(nn.MultiheadAttention(W, 2, batch_first=True), lambda module, x: module(x, x, x)[0]),
        4 * N * W * W + 2 * N * N * W,
    ),
    "encoder layer": (
        Tokens(nn.TransformerEncoderLayer(W, 2, dim_feedforward=16, batch_first=True)),
        4 * N * W * W + 2 * N * N * W + 2 * N * W * 16,
    ),
    "recurrent cell": (With(nn.GRUCell(W, 4), lambda module, x: module(x[0])), N * 3 * (W * 4 + 4 * 4)),
    "recurrent": (With(nn.LSTM(W, 4, batch_first=True), lambda module, x: module(x)[0]), N * 4 * (W * 4 + 4 * 4)),
}


@pytest.mark.parametrize("name", CLOSED_FORM)
def test_closed_form(name):
    module, expected = CLOSED_FORM[name]
    assert cost(module, IMAGE).multiply_adds == expected


FREE = [
    nn.BatchNorm2d(3),
    nn.GroupNorm(3, 3),
    nn.InstanceNorm2d(3),
    nn.LayerNorm([H, W]),
    nn.RMSNorm(W),
    nn.LocalResponseNorm(2),
    nn.ReLU(),
    nn.GELU(),
    nn.SiLU(inplace=True),
    nn.Hardswish(),
    nn.Softmax(-1),
    nn.MaxPool2d(2),
    nn.AvgPool2d(2),
    nn.AdaptiveAvgPool2d(2),
    nn.AdaptiveMaxPool2d(1),
    nn.Upsample(scale_factor=2, mode="bilinear"),
    nn.PixelUnshuffle(2),
    nn.ChannelShuffle(3),
    nn.Dropout(),
    nn.ZeroPad2d(1),
    nn.ReflectionPad2d(1),
]


@pytest.mark.parametrize("module", FREE, ids=lambda module: type(module).__name__)
def test_norms_activations_and_pooling_are_free(module):
    assert cost(module, IMAGE).multiply_adds == 0


@pytest.mark.parametrize(
    ("module", "per_value"),
    [
        (nn.BatchNorm2d(3), 2),
        (nn.BatchNorm2d(3, affine=False), 1),
        (nn.BatchNorm2d(3, track_running_stats=False), 5),
        (nn.LayerNorm(W), 5),
        (nn.LayerNorm(W, elementwise_affine=False), 4),
        (nn.GroupNorm(3, 3), 5),
    ],
)
def test_norms_are_charged_as_fvcore_does_where_asked(module, per_value):
    assert cost(module, IMAGE, norms=True).multiply_adds == 3 * H * W * per_value


class FastPath(nn.Module):
    """What nn.MultiheadAttention runs for inference on a real device."""

    def forward(self, images):
        x = images.flatten(1, 2)
        weights = x.new_ones(3 * W, W), x.new_ones(3 * W), x.new_ones(W, W), x.new_ones(W)
        return torch._native_multi_head_attention(x, x, x, W, 2, *weights)[0]


def test_fast_paths_count_as_much_as_what_they_replace():
    assert cost(FastPath(), IMAGE).multiply_adds == CLOSED_FORM["multi-head attention"][1]
    layer = nn.TransformerEncoderLayer(W, 2, dim_feedforward=16, batch_first=True).eval()
    seen = []
    with torch.no_grad(), torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        layer(torch.zeros(1, N, W))
    seen = [event.key for event in profile.key_averages()]
    assert "aten::_transformer_encoder_layer_fwd" in seen  # else the next line tests nothing
    assert cost(Tokens(RealDevice(layer)), IMAGE).multiply_adds == CLOSED_FORM["encoder layer"][1]


class RealDevice(nn.Module):
    """Keeps a module from running on shapes alone."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        float(x.sum())
        return self.inner(x)


class Distances(nn.Module):
    def forward(self, images):
        return torch.cdist(images, images)


class Spectrum(nn.Module):
    def forward(self, images):
        return torch.fft.rfft2(images).abs()


@torch.library.custom_op("duo_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


class Custom(nn.Module):
    def forward(self, images):
        return twice(images)


@pytest.mark.parametrize(("part", "operator"), [(Distances(), "_cdist"), (Spectrum(), "_fft_r2c"), (Custom(), "duo_tests::twice")])
def test_an_unknown_operator_is_named_with_its_module(part, operator):
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(part))
    with pytest.raises(InputError, match=rf"{operator}.* is in no table.*the cost of 1\.0 \({type(part).__name__}\) is unknown"):
        cost(module, IMAGE)


IN_PLACE_VIEWS = {
    "transpose": lambda x: x.transpose_(2, 3).transpose_(2, 3),
    "unsqueeze": lambda x: x.unsqueeze_(0).squeeze_(0),
    "squeeze of all": lambda x: x.unsqueeze_(4).squeeze_(),
    "t": lambda x: x.reshape(N, W).t_().t_().reshape(x.shape),
    "swapaxes": lambda x: x.swapaxes_(1, 2).swapaxes_(1, 2),
    "swapdims": lambda x: x.swapdims_(1, 2).swapdims_(1, 2),
    "detach": lambda x: x.detach_(),
    "as_strided": lambda x: x.as_strided_((1, 3, 2, 2), (H * W, H * W, W, 1)),
    "resize": lambda x: x.resize_(1, 3, 4, 4),
    "resize_as": lambda x: x.resize_as_(x[:, :2]),
    "set": lambda x: x.set_(x.clone()),
}
IN_PLACE_VALUES = {
    "abs": lambda x: x.abs_(),
    "gelu": torch.ops.aten.gelu_,
    "mish": lambda x: functional.mish(x, inplace=True),
    "threshold": lambda x: functional.threshold(x, 0.1, 0.0, inplace=True),
    "compare": lambda x: x.gt_(0).le_(1).ne_(2),
    "noise": lambda x: x.normal_().uniform_().exponential_(),
    "sums": lambda x: x.cumsum_(1).cumprod_(1),
    "index_add": lambda x: x.index_add_(1, torch.zeros(3, dtype=torch.long, device=x.device), x.clone()),
    "out": lambda x: torch.add(x, x, out=torch.empty_like(x)),
}


class Clone(nn.Module):
    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, images):
        return self.run(images.clone())


@pytest.mark.parametrize("name", [*IN_PLACE_VIEWS, *IN_PLACE_VALUES])
def test_what_works_in_place_is_free_as_what_does_not(name):
    assert cost(Clone({**IN_PLACE_VIEWS, **IN_PLACE_VALUES}[name]), IMAGE).multiply_adds == 0


def test_products_in_place_count_as_products_do():
    def added(x):
        tokens = x.flatten(0, 2)
        return x.new_ones(N, N).addmm_(tokens, tokens.t()) @ x.new_ones(N, 1)

    assert cost(Clone(added), IMAGE).multiply_adds == N * N * W + N * N
    assert cost(Clone(lambda x: x.new_ones(3, H, H).baddbmm_(x[0], x[0].mT)), IMAGE).multiply_adds == 3 * H * H * W


class Named(nn.Module):
    """Names what runs, for a profiler."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 1)

    def forward(self, images):
        with torch.profiler.record_function("outer"), torch.autograd.profiler.record_function("inner"):
            return self.layer(images)


def partly_parallel():
    module = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU())
    module[0] = nn.DataParallel(module[0])
    return module


WRAPPED = {
    "named": Named,
    "parallel": lambda: nn.DataParallel(nn.Conv2d(3, 8, 1)),
    "parallel twice": lambda: nn.DataParallel(nn.DataParallel(nn.Conv2d(3, 8, 1))),
    "parallel in part": partly_parallel,
    "averaged": lambda: torch.optim.swa_utils.AveragedModel(nn.Conv2d(3, 8, 1)),
    "compiled": lambda: torch.compile(nn.Conv2d(3, 8, 1)),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_training_wraps_around_a_model_costs_nothing(name):
    assert cost(WRAPPED[name](), IMAGE) == Cost(H * W * 24, 32)


def test_parallel_parts_are_put_together_where_shapes_run():
    for copied in (shapes(partly_parallel()), stand_in(partly_parallel())):
        assert not any(isinstance(part, nn.DataParallel) for part in copied.modules())


def test_no_operator_stands_in_two_tables():
    assert not set(MULTIPLYING) & NOT_COUNTED
    assert not set(NORMS) & NOT_COUNTED


def test_a_module_is_left_as_it_is():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    before = copy.deepcopy(module.state_dict())
    for measure in (cost, lambda *given: throughput(*given, batch_size=2, seconds=0)):
        measure(module, IMAGE)
        assert module.training
        assert module[1].training
        assert not module[0]._forward_hooks
        assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
        assert module[0].weight.is_contiguous()


def test_an_image_that_does_not_fit_is_named():
    with pytest.raises(InputError, match=r"takes images of 12 x 10, but it does not run on one .*; name another input size"):
        cost(nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), IMAGE)


class Raising(nn.Module):
    """Does not take the image, in its own words."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def forward(self, _images):
        raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AssertionError("height must be divisible by 7"), "height must be divisible by 7"),
        (AssertionError(), "AssertionError"),
        (ValueError("bad\n size"), "bad size"),
        (KeyError(32), "KeyError 32"),
        (IndexError("index 3"), "IndexError index 3"),
        (ZeroDivisionError("division by zero"), "division by zero"),
        (AttributeError("no attribute 'shape'"), "no attribute 'shape'"),
        (TypeError(f"cannot take {object()}"), "cannot take"),
        (NotImplementedError("odd sizes"), "odd sizes"),
        (MemoryError(), "MemoryError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_a_model_raises_is_one_sentence(error, reason):
    measures = [cost, output_shape, *([] if isinstance(error, MemoryError) else [throughput])]  # which halves the batch then
    for measure in measures:
        with pytest.raises(InputError) as caught:
            measure(Raising(error), IMAGE)
        assert str(caught.value) == (
            f"expected a model that takes images of 12 x 10, but it does not run on one ({reason}); name another input size"
        )


def test_a_model_of_other_channels_is_said_to_be_one():
    with pytest.raises(InputError, match=r"got 3 channels instead\); name a model of images with 3 channels$"):
        cost(nn.Conv2d(1, 4, 3), IMAGE)


def test_parameters_that_are_shared_count_once():
    shared = nn.Conv2d(3, 3, 1)
    assert cost(nn.Sequential(shared, shared), IMAGE) == Cost(2 * H * W * 9, 12)


def test_half_precision_models_are_counted():
    assert cost(nn.Conv2d(3, 8, 1).half(), IMAGE).multiply_adds == H * W * 24


@pytest.mark.parametrize(
    "reference", ["torchvision/resnet18", "torchvision/mobilenet_v3_small", "cifar/resnet20", "timm/regnety_002"]
)
def test_agrees_with_fvcore_where_fvcore_has_every_rule(reference):
    model = outline(resolve(reference)[0])
    size = model.transform.input_size
    assert second_count(model.module, size) == SecondCount(cost(model.module, size).multiply_adds, ())


def test_fvcore_says_what_it_leaves_out():
    layers, tokens, width = 12, 197, 192
    model = outline(resolve("timm/vit_tiny_patch16_224")[0])
    found = second_count(model.module, model.transform.input_size)
    assert found.left_out == ("aten::scaled_dot_product_attention",)
    assert cost(model.module, model.transform.input_size).multiply_adds - found.multiply_adds == layers * 2 * tokens**2 * width


def test_fvcore_counts_a_model_as_it_is_used_and_leaves_it_as_it_was():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    assert second_count(module, IMAGE).multiply_adds == cost(module, IMAGE).multiply_adds
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_fvcore_refuses_the_wrong_size_in_a_sentence():
    with pytest.raises(InputError, match="expected a model that takes images of 2 x 2, but it does not run on one"):
        second_count(nn.Conv2d(3, 4, 7), (3, 2, 2))


@pytest.mark.parametrize(("depth", "millions"), [(20, 41), (32, 69), (44, 97), (56, 126)])
def test_cifar_resnets_have_their_known_cost(depth, millions):
    model = outline(resolve(f"cifar/resnet{depth}")[0])
    assert cost(model.module, model.transform.input_size).multiply_adds / 1e6 == pytest.approx(millions, abs=0.6)


ONE_OF_EACH_FAMILY_AND_THE_LARGEST = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "regnet_y_128gf",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11_bn",
    "vit_b_16",
    "vit_h_14",
    "wide_resnet50_2",
]


@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY_AND_THE_LARGEST)
def test_agrees_with_torchvision(name):
    for row in torchvision_rows([name]):
        assert row.excess <= TORCHVISION_TOLERANCE, row


@pytest.mark.shared
def test_agrees_with_timm(shared, tmp_path):
    lines = (shared / "timm_gmacs.csv").read_text().splitlines()
    some = tmp_path / "some.csv"
    some.write_text("\n".join([lines[0], *lines[1::4]]))
    for row in timm_rows(some):
        assert row.excess <= TIMM_TOLERANCE, row


def test_throughput_is_of_this_machine():
    speed = throughput(nn.Conv2d(3, 4, 3), IMAGE, batch_size=4, seconds=0.1)
    assert math.isfinite(speed.images_per_second)
    assert speed.images_per_second > 0
    assert speed.batch_size == 4
    assert speed.device == device_name(torch.device("cpu")) != ""


def test_throughput_in_bfloat16_runs_in_bfloat16():
    seen = []
    module = nn.Conv2d(3, 4, 3)
    module.register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    throughput(module, IMAGE, precision="bfloat16", batch_size=1, seconds=0)
    assert set(seen) == {torch.bfloat16}


def test_throughput_refuses_what_it_does_not_know():
    with pytest.raises(InputError, match="expected the precision float32, tf32, float16 or bfloat16, got 'int8'"):
        throughput(nn.Identity(), IMAGE, precision="int8")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_throughput_without_cuda_says_so():
    with pytest.raises(InputError, match="torch finds no CUDA here; say cpu"):
        throughput(nn.Identity(), IMAGE, device="cuda")


class Tight(nn.Module):
    """Holds so many images at a time and no more."""

    def __init__(self, room, error):
        super().__init__()
        self.room, self.error, self.seen = room, error, []

    def __deepcopy__(self, memo):
        return self

    def forward(self, images):
        self.seen.append(len(images))
        if len(images) > self.room:
            raise self.error
        return images.mean(dim=(2, 3))


ERRORS = [torch.OutOfMemoryError("out of memory"), RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), MemoryError()]


@pytest.mark.parametrize("error", ERRORS)
def test_throughput_halves_a_batch_that_does_not_fit_and_says_so(error):
    module = Tight(3, error)
    assert throughput(module, IMAGE, batch_size=16, seconds=0).batch_size == 2
    assert module.seen == [16, 8, 4, 2, 2]
    with pytest.raises(InputError, match=r"^the model does not fit in the memory of cpu with a single image"):
        throughput(Tight(0, error), IMAGE, batch_size=2, seconds=0)


def test_throughput_is_measured_on_pixels_that_differ():
    seen = []
    module = nn.Conv2d(3, 4, 3)
    module.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].std().item()))
    assert throughput(module, IMAGE, seconds=0).batch_size == 8
    assert seen[0] == pytest.approx(1, abs=0.05)


def test_a_gpu_is_timed_over_twenty_batches_and_waited_for_twice(monkeypatch):
    done, waits = [], []
    monkeypatch.setattr(speed, "wait_for", lambda _: waits.append(len(done)))
    clock = iter([10.0, 14.0])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    assert speed._on_gpu(lambda: done.append(1), 5.0, torch.device("cuda")) == 4.0 / speed.STEPS
    assert waits == [speed.WARM_UP, speed.WARM_UP + speed.STEPS]
    assert speed.STEPS >= 20
