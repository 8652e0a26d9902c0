"""The zoo: names and files of models, own checkpoints, transforms of the libraries, and what is said when weights are missing."""

import hashlib
import json
import urllib.error

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from duo_core.common.arrays import InputError
from duo_core.models import zoo
from duo_core.models.shapes import output_shape
from duo_core.models.transforms import Transform
from duo_core.models.zoo import libraries, names
from duo_core.models.zoo.loading import download

SMALL = "torchvision/shufflenet_v2_x0_5"


def one(text, **options):
    [spec] = zoo.resolve(text, **options)
    return spec


# --- the table -------------------------------------------------------------------------------------------------------


def test_table_has_every_architecture_of_the_paper():
    families = {spec.family for spec in zoo.table()}
    assert families >= {"EfficientNet", "EfficientNetV2", "MNASNet", "ConvNeXt", "ResNet", "ResNeXt", "RegNet", "ShuffleNetV2"}
    assert families >= {"Swin", "SwinV2", "ViT", "CIFAR ResNet"}
    assert {spec.reference for spec in zoo.table() if spec.role == "base"} == {
        "torchvision/convnext_base",
        "torchvision/swin_v2_b",
        "timm/tf_efficientnetv2_l.in21k_ft_in1k",
        "timm/vit_base_patch16_clip_224.laion2b_ft_in1k",
    }


def test_names_of_the_table_are_unique_and_resolve():
    table = zoo.table()
    assert len({spec.name for spec in table}) == len(table)
    assert [one(spec.name) for spec in table] == table
    assert [one(spec.reference) for spec in table] == table


def test_every_entry_of_the_table_is_known_to_its_library():
    for spec in zoo.table():
        names.check(spec.reference)


@pytest.mark.parametrize("spec", [spec for spec in zoo.table() if spec.source != "torchvision"], ids=lambda spec: spec.name)
def test_stated_parameters_are_those_of_the_model(spec):
    model = zoo.outline(spec)
    assert sum(parameter.numel() for parameter in model.module.parameters()) == zoo.facts(spec)["parameters"]


def test_facts_are_what_the_command_line_lists():
    facts = zoo.facts(one("swin_v2_b"))
    assert json.loads(json.dumps(facts)) == facts
    assert facts == {
        "name": "swin_v2_b",
        "model": "torchvision/swin_v2_b",
        "source": "torchvision",
        "family": "SwinV2",
        "role": "base",
        "input_size": [3, 256, 256],
        "parameters": 87930848,
    }


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "reference", "source", "family"),
    [
        ("resnet18", "resnet18", "torchvision/resnet18", "torchvision", "ResNet"),
        ("small=resnet18", "small", "torchvision/resnet18", "torchvision", "ResNet"),
        ("tf_efficientnetv2_l", "tf_efficientnetv2_l", "timm/tf_efficientnetv2_l.in21k_ft_in1k", "timm", "EfficientNetV2"),
        ("torchvision/resnet50:IMAGENET1K_V1", "resnet50", "torchvision/resnet50:IMAGENET1K_V1", "torchvision", "ResNet"),
        ("torchvision/densenet121", "densenet121", "torchvision/densenet121", "torchvision", "densenet"),
        ("timm/resnet18.a2_in1k", "resnet18", "timm/resnet18.a2_in1k", "timm", "resnet"),
        ("cifar/resnet56", "resnet56", "cifar/resnet56", "cifar", "CIFAR ResNet"),
        ("torch.nn:Linear", "Linear", "torch.nn:Linear", "python", ""),
    ],
)
def test_resolve(text, name, reference, source, family):
    spec = one(text)
    assert (spec.name, spec.reference, spec.source, spec.family) == (name, reference, source, family)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resnet19", "expected a model of the table, .* got 'resnet19'; did you mean resnet18"),
        ("densenet121", "got 'densenet121'; outside the table there is torchvision/densenet121 and timm/densenet121"),
        ("zzz", "got 'zzz'; duo zoo lists the models known by name"),
        ("timm/resnet19", "expected a model of timm, got 'resnet19'; did you mean resnet18"),
        ("timm/resnet18.none", "expected a model of timm, got 'resnet18.none'; did you mean"),
        ("torchvision/resnet19", "expected a model of torchvision, got 'resnet19'; did you mean"),
        ("torchvision/resnet18:V3", "expected weights of torchvision/resnet18, got 'V3'; it has IMAGENET1K_V1$"),
        ("cifar/resnet18", "expected a model of cifar, got 'resnet18'; did you mean"),
        ("tim/resnet18", "expected a model as torchvision/NAME, .* got 'tim/resnet18'"),
        ("no_such_module:net", "cannot import 'no_such_module' of the model 'no_such_module:net' from here"),
        ("torch.nn:Lineer", "expected a callable 'Lineer' in the module 'torch.nn', found none; did you mean Linear"),
        (":net", "expected a model as module:callable, got ':net'"),
        ("a b=resnet18", "expected a model name of letters, digits, .* got 'a b'"),
    ],
)
def test_wrong_names_are_refused_in_one_sentence(text, message):
    with pytest.raises(InputError, match=message):
        zoo.resolve(text)


def test_ambiguous_names_are_refused(monkeypatch):
    table = [zoo.ModelSpec("net", f"{source}/net", source, "") for source in ("torchvision", "timm")]
    monkeypatch.setattr("duo_core.models.zoo.references.table", lambda: table)
    with pytest.raises(InputError, match="expected the name of one model, got 'net'; say torchvision/net or timm/net"):
        zoo.resolve("net")


def test_models_of_a_run_have_names_of_their_own():
    with pytest.raises(InputError, match=r"got 'resnet18' twice \(torchvision/resnet18, timm/resnet18\); say ID=NAME"):
        zoo.resolve_all(["resnet18", "timm/resnet18"])
    assert [spec.name for spec in zoo.resolve_all(["resnet18", "other=timm/resnet18"])] == ["resnet18", "other"]


def test_options_reach_the_model_they_name_by_either_name(tmp_path):
    specs = zoo.resolve_all(
        ["resnet18", "swin_t"],
        checkpoints={"resnet18": tmp_path / "x.pt"},
        arguments={"torchvision/swin_t": {"dropout": 0.1}},
        transforms={"resnet18": {"input_size": [3, 64, 64], "resize": [64, 64], "crop": False, "antialias": False}},
    )
    assert [spec.checkpoint for spec in specs] == [tmp_path / "x.pt", None]
    assert [spec.arguments for spec in specs] == [{}, {"dropout": 0.1}]
    assert specs[0].transform == Transform(
        (3, 64, 64), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (64, 64), crop=False, antialias=False
    )


@pytest.mark.parametrize("option", ["checkpoint", "arguments", "transform"])
def test_an_option_for_a_model_outside_the_run_is_refused(option):
    values = {"checkpoint": "x.pt", "arguments": {}, "transform": {}}[option]
    keyword = {"checkpoint": "checkpoints", "arguments": "arguments", "transform": "transforms"}[option]
    with pytest.raises(InputError, match=f"--{option} names the model 'resnet34', which is not in this run; it has resnet18"):
        zoo.resolve("resnet18", **{keyword: {"resnet34": values}})


def test_a_wrong_transform_names_its_model():
    with pytest.raises(InputError, match="got 'size', for the model 'resnet18'"):
        zoo.resolve("resnet18", transforms={"resnet18": {"size": 3}})


# --- files of models -------------------------------------------------------------------------------------------------

YAML = """
models:
  - model: resnet18
  - name: mine
    model: timm/mobilenetv1_100
    checkpoint: weights/mine.safetensors
    arguments: {pad_type: same}
    transform: {input_size: [3, 96, 96], resize: [96, 96], crop: false}
    classes: [cat, dog]
"""
TOML = """
[[models]]
model = "resnet18"
[[models]]
name = "mine"
model = "timm/mobilenetv1_100"
checkpoint = "weights/mine.safetensors"
arguments = {pad_type = "same"}
transform = {input_size = [3, 96, 96], resize = [96, 96], crop = false}
classes = ["cat", "dog"]
"""


@pytest.mark.parametrize(("name", "text"), [("models.yaml", YAML), ("models.toml", TOML)])
def test_files_of_models(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    first, second = zoo.resolve(str(tmp_path / name))
    assert first == one("resnet18")
    assert second == zoo.ModelSpec(
        name="mine",
        reference="timm/mobilenetv1_100",
        source="timm",
        family=one("timm/mobilenetv1_100").family,
        checkpoint=tmp_path / "weights" / "mine.safetensors",
        arguments={"pad_type": "same"},
        transform=Transform((3, 96, 96), (0.5,) * 3, (0.5,) * 3, (96, 96), "bicubic", crop=False),
        classes=("cat", "dog"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [resnet18]", "expected a mapping as entry 1 of '.*m.yaml', got str"),
        ("models: [{name: x}]", "expected the key 'model' in entry 1 of '.*m.yaml', got name"),
        ("models: [{model: resnet18}, {model: resnet34, weight: x}]", "expected the keys model, .* in entry 2 of .*, got 'weight'"),
        ("models: [{model: 18}]", "expected text as 'model' in entry 1 of .*, got 18"),
        ("models: [{model: resnet18, arguments: [1]}]", r"expected a mapping as 'arguments' in entry 1 of .*, got \[1\]"),
        ("models: [{model: resnet18, transform: 224}]", "expected a mapping as 'transform' in entry 1 of .*, got 224"),
        ("models: [{model: resnet18, transform: {size: 224}}]", "got 'size', .* in the entry 'resnet18' of '.*m.yaml'"),
        ("models: [{model: resnet18, classes: [1, 2]}]", "expected a list of names as 'classes' in entry 1"),
        ("models: [{model: resnet19}]", "got 'resnet19'; did you mean .*, in the entry 'resnet19' of '.*m.yaml'"),
        ("models: []", "expected at least one entry under 'models' in '.*m.yaml', got none"),
        ("models: {}", "expected one list 'models' in '.*m.yaml', got the keys models"),
        ("model: x", "expected one list 'models' in '.*m.yaml', got the keys model"),
        ("- x", "expected one list 'models' in '.*m.yaml', got list"),
        ("models: [", "'.*m.yaml' is no YAML file: "),
    ],
)
def test_wrong_files_of_models_are_refused_in_one_sentence(tmp_path, text, message):
    file = tmp_path / "m.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        zoo.resolve(str(file))
    assert "\n" not in str(caught.value)


def test_missing_and_broken_files_of_models(tmp_path):
    with pytest.raises(InputError, match=r"expected a file of models at '.*', but it cannot be read"):
        zoo.resolve(str(tmp_path / "none.toml"))
    (tmp_path / "broken.toml").write_text("models = [")
    with pytest.raises(InputError, match=r"broken.toml' is no TOML file: "):
        zoo.resolve(str(tmp_path / "broken.toml"))


# --- checkpoints -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seven() -> dict[str, torch.Tensor]:
    """State dict of a small classifier with seven classes."""
    from torchvision import models

    torch.manual_seed(0)
    return models.shufflenet_v2_x0_5(num_classes=7).state_dict()


def loaded(path, text=SMALL, **options):
    return zoo.load(one(f"model={text}", checkpoints={"model": path}, **options))


def test_safetensors_checkpoint_says_how_many_classes(tmp_path, seven):
    path = tmp_path / "seven.safetensors"
    save_file(seven, path)
    model = loaded(path)
    assert model.classes == 7
    assert not model.module.training
    assert model.weights == "seven.safetensors"
    assert model.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.class_names is None
    assert model.module(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    assert all(torch.equal(value, seven[key]) for key, value in model.module.state_dict().items())


@pytest.mark.parametrize(
    "nest", [lambda state: state, lambda state: {"state_dict": state, "epoch": 3}, lambda state: {"model": state}]
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_pickled_checkpoints_nested_or_of_data_parallel_training(tmp_path, seven, nest, prefix):
    path = tmp_path / "seven.pt"
    torch.save(nest({prefix + key: value for key, value in seven.items()}), path)
    model = loaded(path)
    assert torch.equal(model.module.fc.weight, seven["fc.weight"])


def test_half_precision_checkpoints_become_float32(tmp_path, seven):
    path = tmp_path / "half.safetensors"
    save_file({key: value.half() if value.is_floating_point() else value for key, value in seven.items()}, path)
    module = loaded(path).module
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    assert torch.equal(module.fc.weight, seven["fc.weight"].half().float())


class Dangerous:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_checkpoints_run_no_code(tmp_path, capsys):
    path = tmp_path / "dangerous.pt"
    torch.save({"state_dict": Dangerous()}, path)
    with pytest.raises(
        InputError, match=r"'.*dangerous.pt' cannot be read as a checkpoint of tensors alone .*; save model.state_dict()"
    ):
        loaded(path)
    assert capsys.readouterr().out == ""


def test_checkpoints_that_are_none(tmp_path):
    with pytest.raises(InputError, match=r"expected a checkpoint at '.*none.pt', got no file there"):
        loaded(tmp_path / "none.pt")
    (tmp_path / "x.h5").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected a checkpoint that ends in .safetensors, .pt, .pth, .*, got '.*x.h5'"):
        loaded(tmp_path / "x.h5")
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected a checkpoint at '.*x.bin', got an empty file; copy it again"):
        loaded(tmp_path / "x.bin")
    # torch raises something else for each of these
    for suffix, content in ((".pt", b"no checkpoint at all"), (".pt", b"junk"), (".pt", b"0"), (".safetensors", b"junk")):
        (tmp_path / f"broken{suffix}").write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as a checkpoint"):
            loaded(tmp_path / f"broken{suffix}")
    torch.save({"epoch": 3, "loss": 0.5}, tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"expected a state dict in '.*', plain or under a key, got the keys epoch, loss"):
        loaded(tmp_path / "other.pt")
    torch.save(torch.zeros(2), tmp_path / "tensor.pt")
    with pytest.raises(InputError, match=r"expected a state dict in '.*', got Tensor"):
        loaded(tmp_path / "tensor.pt")


def test_a_checkpoint_of_another_model_is_refused_with_what_differs(tmp_path, seven):
    path = tmp_path / "seven.pt"
    state = {**seven, "more": torch.zeros(1)}
    del state["conv1.0.weight"]
    state["fc.bias"] = torch.zeros(8)
    torch.save(state, path)
    spec = one(f"model={SMALL}", checkpoints={"model": path}, arguments={"model": {"num_classes": 7}})
    for way in (zoo.load, zoo.outline):
        with pytest.raises(InputError) as caught:
            way(spec)
    assert str(caught.value) == (
        f"the checkpoint '{path}' does not fit '{SMALL}': 1 is missing (conv1.0.weight); 1 is unknown to it (more); "
        "1 has another shape (fc.bias (8,) instead of (7,)); name the model it was saved from, or give the arguments "
        "that it was built with"
    )


@pytest.mark.parametrize(
    "reference", ["timm/vit_tiny_patch16_224", "timm/regnety_002", "torchvision/squeezenet1_1", "cifar/resnet20"]
)
def test_every_kind_of_head_tells_its_classes(tmp_path, reference):
    build = libraries.build(reference, {"num_classes": 11})
    torch.save(build.state_dict(), tmp_path / "eleven.pth")
    assert loaded(tmp_path / "eleven.pth", reference).classes == 11


def test_input_size_of_the_transform_reaches_models_built_for_one_size(tmp_path):
    torch.save(libraries.build("timm/vit_tiny_patch16_224", {"img_size": 64, "num_classes": 3}).state_dict(), tmp_path / "v.pt")
    record = {"input_size": [3, 64, 64]}
    assert loaded(tmp_path / "v.pt", "timm/vit_tiny_patch16_224", transforms={"model": record}).classes == 3


@pytest.mark.parametrize("multiplier", [0.75, 0.5])
def test_timm_models_at_other_widths(multiplier):
    spec = one("timm/mobilenetv1_100", arguments={"timm/mobilenetv1_100": {"channel_multiplier": multiplier, "pad_type": "same"}})
    module = zoo.outline(spec).module
    assert module.conv_stem.out_channels == 32 * multiplier
    assert type(module.conv_stem).__name__ == "Conv2dSame"
    assert zoo.outline(one("timm/mobilenetv1_100")).module.conv_stem.out_channels == 32


@pytest.mark.parametrize(
    ("reference", "arguments", "message"),
    [
        (SMALL, {"width": 2}, "'torchvision/shufflenet_v2_x0_5' cannot be built with the arguments width=2: .*width"),
        (
            "timm/resnet18",
            {"channel_multiplier": 2},
            "cannot be built with the arguments channel_multiplier=2: timm's resnet18 has no",
        ),
        ("cifar/resnet20", {"depth": 2}, "'cifar/resnet20' cannot be built with the arguments depth=2: .*depth"),
    ],
)
def test_arguments_that_the_constructor_does_not_take(reference, arguments, message):
    with pytest.raises(InputError, match=message):
        zoo.load(one(reference, arguments={reference: arguments}), random_weights=True)


# --- architectures of one's own --------------------------------------------------------------------------------------

OWN = """
from torch import nn

def net(num_classes=4, width=8):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))

def fixed():
    return net(2)

def wrong():
    return 5

def features():
    return nn.Conv2d(3, 3, 1)
"""
RECORD = {"input_size": [3, 16, 16], "mean": [0, 0, 0], "std": [1, 1, 1], "resize": 16}


@pytest.fixture
def own(tmp_path, monkeypatch):
    name = f"own_{abs(hash(tmp_path))}"  # a module stays imported, so that each test needs one of its own
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return name


def test_own_architecture_from_the_current_directory(own, tmp_path):
    spec = one(f"net={own}:net", transforms={"net": RECORD}, arguments={"net": {"width": 5}})
    model = zoo.load(spec)
    assert (model.classes, model.weights, model.spec.source) == (4, None, "python")
    torch.save(libraries.build(spec.reference, {"num_classes": 9, "width": 5}).state_dict(), tmp_path / "nine.pt")
    options = {"transforms": {"net": RECORD}, "arguments": {"net": {"width": 5}}}
    assert zoo.load(one(f"net={own}:net", checkpoints={"net": tmp_path / "nine.pt"}, **options)).classes == 9


def test_own_architecture_needs_a_transform(own):
    with pytest.raises(
        InputError, match=f"nothing says how images are transformed for '{own}:net'; give it with --transform net=JSON"
    ):
        zoo.load(one(f"{own}:net"))
    assert zoo.outline(one(f"{own}:net"), (24, 32)).transform.input_size == (3, 24, 32)


@pytest.mark.parametrize(
    ("name", "message"),
    [("wrong", "to return a torch.nn.Module, got int"), ("features", r"to return logits \(n, k\), got \(1, 3, 16, 16\) without")],
)
def test_own_callables_that_give_no_classifier(own, name, message):
    with pytest.raises(InputError, match=message):
        zoo.load(one(f"net={own}:{name}", transforms={"net": RECORD}))


def test_names_of_classes_must_be_as_many_as_logits(own, tmp_path):
    entry = {"model": f"{own}:fixed", "transform": RECORD, "classes": ["a", "b", "c"]}
    (tmp_path / "models.yaml").write_text(json.dumps({"models": [entry]}))
    with pytest.raises(InputError, match="expected as many names of classes as logits for 'fixed', got 3 and 2"):
        zoo.load(zoo.resolve("models.yaml")[0])


# --- transforms of the libraries -------------------------------------------------------------------------------------


def picture(width=301, height=257):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("spec", [spec for spec in zoo.table() if spec.source == "torchvision"][::3], ids=lambda spec: spec.name)
def test_transform_equals_torchvisions(spec):
    transform = libraries.own_transform(spec.reference, {})
    theirs = libraries.torchvision_weights(spec.reference).transforms()(picture())
    assert torch.equal(transform.batch(transform.pixels(picture())[None])[0], theirs)


TIMM = ["resnet18", "vit_base_patch16_clip_224.laion2b_ft_in1k", "tf_efficientnetv2_l.in21k_ft_in1k", "vit_base_patch16_siglip_224"]


@pytest.mark.parametrize(
    "name", [*TIMM, "mobilenetv3_small_050", "beitv2_base_patch16_224", "resnetv2_50x1_bit.goog_in21k_ft_in1k"]
)
def test_transform_equals_timms(name):
    from timm.data import create_transform, resolve_model_data_config

    transform = libraries.own_transform(f"timm/{name}", {})
    model = nn.Module()
    model.pretrained_cfg = libraries.timm_config(name).to_dict()
    theirs = create_transform(**resolve_model_data_config(model), is_training=False)(picture())
    assert torch.equal(transform.batch(transform.pixels(picture())[None])[0], theirs)


def test_timm_transforms_that_cannot_be_stated_are_refused():
    from timm.models import get_pretrained_cfg, list_pretrained

    border = next((name for name in list_pretrained() if get_pretrained_cfg(name).crop_mode == "border"), None)
    if border is None:
        pytest.skip("this timm has no model that pads its images")
    with pytest.raises(
        InputError, match=r"crops its images in a way that is not supported .border.; give it a transform of its own"
    ):
        libraries.own_transform(f"timm/{border}", {})


# --- weights that are downloaded -------------------------------------------------------------------------------------


def refuse(monkeypatch, error):
    """Let every download end as it did where it was recorded."""

    def fails(*_args, **_named):
        raise error

    monkeypatch.setattr("torch.hub.download_url_to_file", fails)
    monkeypatch.setattr("timm.models._hub.hf_hub_download", fails)


@pytest.fixture
def caches(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def test_torchvision_weights_that_cannot_be_downloaded(caches, monkeypatch):
    refuse(monkeypatch, urllib.error.URLError("[Errno -2] Name or service not known"))
    with pytest.raises(InputError) as caught:
        zoo.load(one(SMALL))
    url, target = download(SMALL)
    assert str(caught.value) == (
        f"the weights of '{SMALL}' cannot be had (URLError: <urlopen error [Errno -2] Name or service not known>); "
        f"put {url} at '{target}', or give a file with --checkpoint shufflenet_v2_x0_5=FILE"
    )
    assert target.parent == caches / "torch" / "hub" / "checkpoints"


def errors():
    from huggingface_hub.errors import LocalEntryNotFoundError

    return [
        LocalEntryNotFoundError("cannot find the requested files in the local cache. Try again."),
        TimeoutError("read timed out"),
    ]


@pytest.mark.parametrize("error", errors(), ids=lambda error: type(error).__name__)
def test_timm_weights_that_cannot_be_downloaded(caches, monkeypatch, error):
    refuse(monkeypatch, error)
    with pytest.raises(
        InputError, match=rf"cannot be had \({type(error).__name__}: .*\); put .*model.safetensors at .* the word main in"
    ):
        zoo.load(one("timm/mobilenetv3_small_050"))


def test_a_damaged_download_is_named(caches, monkeypatch):
    refuse(monkeypatch, RuntimeError('invalid hash value (expected "f707e7126e", got "0")'))
    with pytest.raises(InputError, match=r"cannot be had \(RuntimeError: invalid hash value"):
        zoo.load(one(SMALL))


@pytest.mark.parametrize("reference", [SMALL, "timm/mobilenetv3_small_050"])
def test_what_the_message_says_works(caches, reference):
    spec = one(reference)
    random = zoo.load(spec, random_weights=True)
    _, target = download(reference)
    target.parent.mkdir(parents=True)
    if target.suffix == ".safetensors":
        save_file(random.module.state_dict(), target)
        (target.parents[2] / "refs").mkdir()
        (target.parents[2] / "refs" / "main").write_text("main")
    else:
        torch.save(random.module.state_dict(), target)
    model = zoo.load(spec)
    assert model.weights_sha256 == random.weights_sha256
    assert (random.weights, model.weights) == ("random", "IMAGENET1K_V1" if reference == SMALL else "lamb_in1k")
    assert model.class_names is None or model.class_names[:2] == ("tench", "goldfish")


def test_weights_that_do_not_exist():
    with pytest.raises(
        InputError, match="there are no weights of 'cifar/resnet20' to download; give its own with --checkpoint resnet20=FILE"
    ):
        zoo.load(one("resnet20"))


def test_pretrained_weights_keep_their_classes():
    with pytest.raises(
        InputError, match=r"the weights of .* have classes of their own; leave num_classes out or give a checkpoint"
    ):
        zoo.load(one("timm/resnet18", arguments={"timm/resnet18": {"num_classes": 10}}))


def test_models_without_a_classifier_are_refused():
    with pytest.raises(InputError, match=r"to return logits \(n, k\), got \(1, 384\) without a classifier"):
        zoo.outline(one("timm/vit_small_patch14_dinov2.lvd142m"))


# --- outlines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "size"),
    [("torchvision/vit_b_32", (64, 64)), ("timm/vit_tiny_patch16_224", (64, 96)), ("resnet18", (64, 96)), ("resnet20", (16, 48))],
)
def test_outline_at_another_input_size(reference, size):
    model = zoo.outline(one(reference), size)
    assert model.transform.input_size == (3, *size)
    assert output_shape(model.module, (3, *size)) == (1, model.classes)


def test_outlines_have_no_numbers():
    assert all(parameter.is_meta for parameter in zoo.outline(one("regnet_y_32gf")).module.parameters())


def test_outlines_of_models_whose_constructor_computes():
    spec = one("timm/swinv2_cr_tiny_ns_224")
    assert zoo.outline(spec).classes == 1000


# --- real checkpoints ------------------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize("depth", [20, 32, 44, 56])
def test_shared_cifar_resnets_load(shared, depth):
    assert loaded(shared / "zoo" / "cifar10-resnet" / f"resnet{depth}.safetensors", f"cifar/resnet{depth}").classes == 10


@pytest.mark.shared
@pytest.mark.parametrize(
    "stem", ["timm-mobilenetv3_small_050", "timm-regnety_002", "torchvision-resnet18", "torchvision-shufflenet_v2_x0_5"]
)
def test_shared_cifar_checkpoints_load(shared, stem):
    model = loaded(shared / "zoo" / "cifar10" / f"{stem}.safetensors", stem.replace("-", "/", 1))
    assert model.classes == 10
    assert {parameter.dtype for parameter in model.module.parameters()} == {torch.float32}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("stem", "architecture", "width", "size"),
    [
        ("mobilenetv2_100", "mobilenetv2_100", None, 224),
        ("mobilenetv1_075", "mobilenetv1_100", 0.75, 192),
        ("mobilenetv1_050", "mobilenetv1_100", 0.5, 160),
        ("mobilenetv1_025", "mobilenetv1_100", 0.25, 128),
    ],
)
def test_shared_imagenet_checkpoints_load(shared, tmp_path, stem, architecture, width, size):
    entry = {
        "name": stem,
        "model": f"timm/{architecture}",
        "checkpoint": str(shared / "zoo" / "imagenet" / f"{stem}.safetensors"),
        "arguments": {"pad_type": "same"} | ({"channel_multiplier": width} if width else {}),
        "transform": {"input_size": [3, size, size], "resize": [size, size], "crop": False, "mean": [0.5] * 3, "std": [0.5] * 3},
    }
    (tmp_path / "models.yaml").write_text(json.dumps({"models": [entry]}))
    model = zoo.load(zoo.resolve(str(tmp_path / "models.yaml"))[0])
    assert (model.classes, model.transform.input_size) == (1000, (3, size, size))
    assert torch.isfinite(model.module(torch.zeros(1, 3, size, size))).all()
