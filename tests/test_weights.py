"""Checkpoints as training scripts write them: which weights are taken, under which names, and what is said of it."""

import argparse
import collections
import datetime
import pathlib
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from duo_core.common.arrays import InputError
from duo_core.models.zoo import checkpoints, loading
from duo_core.models.zoo.specs import ModelSpec
from duo_core.models.zoo.weights import choose


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(collections.OrderedDict(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4), fc=nn.Linear(4, 5)))


RAW, AVERAGE = network(1).state_dict(), network(2).state_dict()


def prefixed(prefix, state=RAW):
    return {prefix + key: value for key, value in state.items()}


def chosen(content, tmp_path, which=None, name="x.pth"):
    path = tmp_path / name
    torch.save(content, path)
    module = network()
    found = choose(checkpoints.read(path), module, which, "net", path)
    checkpoints.check(module, found.state, "mine:net", path)
    module.load_state_dict(found.state)
    return found


def same(found, state):
    return all(torch.equal(value, found.state[key]) for key, value in state.items())


def refused(*arguments, **options):
    with pytest.raises(InputError) as caught:
        chosen(*arguments, **options)
    assert "\x1b" not in str(caught.value)
    assert "0x" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("ending", [".pt", ".pth", ".pth.tar", ".ckpt", ".bin", ".PTH", ".pt.tar"])
def test_endings(tmp_path, ending):
    assert same(chosen({"state_dict": RAW}, tmp_path, name=f"model_best{ending}"), RAW)


@pytest.mark.parametrize("ending", [".safetensors", ".bin", ".ckpt"])
def test_safetensors_are_known_by_their_bytes(tmp_path, ending):
    save_file(prefixed("module."), tmp_path / f"x{ending}")
    assert same(choose(checkpoints.read(tmp_path / f"x{ending}"), network(), None, "net", tmp_path), RAW)


PREFIXES = [
    "module.",
    "_orig_mod.",
    "model.",
    "net.",
    "module._orig_mod.",
    "_orig_mod.module.",
    "model._orig_mod.module.",
    "net.module.",
    "module.module.model.",
    "backbone.",
    "student.encoder.",
]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("nest", [lambda state: state, lambda state: {"state_dict": state}, lambda state: {"a": {"b": state}}])
def test_prefixes_in_any_order_and_at_any_depth(tmp_path, prefix, nest):
    found = chosen(nest(prefixed(prefix)), tmp_path)
    assert same(found, RAW)
    assert found.note == ""


@pytest.mark.parametrize("key", ["state_dict", "model", "net", "module", "weights", "model_state_dict", "network", "params", "G"])
def test_keys_that_scripts_use(tmp_path, key):
    optimizer = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    found = chosen({"epoch": 3, key: RAW, "optimizer": optimizer}, tmp_path)
    assert same(found, RAW)
    assert (found.key, found.note) == (key, "")


def test_a_plain_checkpoint_has_no_key(tmp_path):
    assert chosen(RAW, tmp_path).key is None
    assert chosen({**RAW, "epoch": 3, "arch": "net"}, tmp_path).key is None


def test_averaged_model_of_torch(tmp_path):
    averaged = torch.optim.swa_utils.AveragedModel(network(1))
    found = chosen(averaged.state_dict(), tmp_path)
    assert same(found, RAW)
    assert same(chosen({"swa": prefixed("module.")}, tmp_path), RAW)


AVERAGES = ["state_dict_ema", "model_ema", "ema", "ema_state_dict", "modelEma", "EMA", "params_ema", "net_avg", "swa", "ema_net"]


@pytest.mark.parametrize("key", AVERAGES)
@pytest.mark.parametrize("raw", ["state_dict", "model", "network"])
def test_averages_are_taken_where_there_are_some_and_it_is_said(tmp_path, key, raw):
    content = {raw: prefixed("module."), key: prefixed("module.", AVERAGE)}
    found = chosen(content, tmp_path)
    assert same(found, AVERAGE)
    assert (found.key, found.averaged) == (key, True)
    assert found.note == f"'net' has the averaged weights '{key}' of 'x.pth', not {raw}; --weights net=raw takes those"
    found = chosen(content, tmp_path, "raw")
    assert same(found, RAW)
    assert found.note == f"'net' has the weights '{raw}' of 'x.pth', not {key}; --weights net=ema takes those"
    assert same(chosen(content, tmp_path, "ema"), AVERAGE)
    assert same(chosen(content, tmp_path, key), AVERAGE)


def test_averages_beside_the_model_in_one_state_dict(tmp_path):
    """As callbacks of Lightning write them."""
    others = {"criterion.weight": torch.ones(5), "n_averaged": torch.ones(1)}
    state = {**prefixed("model."), **prefixed("ema_model.module.", AVERAGE), **others}
    found = chosen({"state_dict": state, "pytorch-lightning_version": "2"}, tmp_path)
    assert same(found, AVERAGE)
    assert found.key == "state_dict.ema_model"
    assert same(chosen({"state_dict": state}, tmp_path, "raw"), RAW)


def test_averages_that_are_not_whole_are_not_used_and_it_is_said(tmp_path):
    parameters = dict(network(2).named_parameters())
    for average in (parameters, {"shadow": parameters}, {"shadow_params": list(parameters.values())}):
        found = chosen({"state_dict": RAW, "ema": average}, tmp_path)
        assert same(found, RAW)
        assert "of 'x.pth' are not whole and not used" in found.note


def test_no_average_where_none_is_asked_for_is_refused(tmp_path):
    assert refused(RAW, tmp_path, "ema") == (
        f"expected the weights 'ema' (--weights) in '{tmp_path / 'x.pth'}', got plain weights; ask for another, or for none"
    )
    assert refused({"ema": AVERAGE}, tmp_path, "raw").endswith("got ema; ask for another, or for none")
    assert refused({"state_dict": RAW}, tmp_path, "teacher").endswith("got state_dict; ask for another, or for none")


def test_several_weights_that_nothing_tells_apart_are_refused_until_one_is_named(tmp_path):
    content = {"student": RAW, "teacher": AVERAGE}
    assert refused(content, tmp_path) == (
        f"'{tmp_path / 'x.pth'}' has several weights that fit 'net' (student, teacher); say which with --weights net=student"
    )
    assert same(chosen(content, tmp_path, "teacher"), AVERAGE)
    assert same(chosen({"state_dict": {**prefixed("student."), **prefixed("teacher.", AVERAGE)}}, tmp_path, "teacher"), AVERAGE)
    assert same(chosen({"one": RAW, "two": RAW}, tmp_path), RAW)
    assert same(chosen({"best": AVERAGE, "state_dict": RAW}, tmp_path), RAW)


def test_weights_are_not_taken_from_an_optimizer(tmp_path):
    assert "got the keys optimizer" in refused({"optimizer": {"momentum": RAW}}, tmp_path)
    assert same(chosen({"momentum": AVERAGE, "grads": AVERAGE, "net": RAW}, tmp_path), RAW)


BESIDE = {
    "namespace": argparse.Namespace(model="net", lr=0.1, betas=(0.9, 0.99)),
    "nested namespace": {"args": argparse.Namespace(inner=argparse.Namespace(x=None))},
    "numpy scalars": [np.float64(0.5), np.float32(1), np.int64(3), np.bool_(True), np.str_("a")],
    "numpy arrays": {"curve": np.arange(3.0), "names": np.array(["a"])},
    "paths": [pathlib.Path("a/b"), pathlib.PurePosixPath("c")],
    "containers": [collections.OrderedDict(a=1), collections.Counter("aab"), {1, 2}, frozenset({3}), collections.deque([1, 2])],
    "defaultdicts": [collections.defaultdict(list, a=[1]), collections.defaultdict(int, b=2), collections.defaultdict(dict)],
    "times": [datetime.datetime(2024, 1, 2), datetime.timedelta(1), datetime.date(2024, 1, 2)],
    "generator state": torch.get_rng_state(),
    "of numpy": np.random.get_state(),
}


@pytest.mark.parametrize("what", BESIDE)
@pytest.mark.parametrize("zipped", [True, False])
def test_plain_values_beside_the_weights_are_no_hindrance(tmp_path, what, zipped):
    torch.save({"state_dict": RAW, "extra": BESIDE[what]}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert same(choose(checkpoints.read(tmp_path / "x.pth"), network(), None, "net", tmp_path), RAW)


class Config:
    pass


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("thing", "name"), [(Config(), "Config"), (network(), "Sequential"), (pytest.approx, "approx")])
def test_objects_that_run_code_are_named_in_one_sentence(tmp_path, thing, name, zipped):
    torch.save({"state_dict": RAW, "cfg": thing}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError) as caught:
        checkpoints.read(tmp_path / "x.pth")
    message = str(caught.value)
    assert message.startswith(f"'{tmp_path / 'x.pth'}' cannot be read as a checkpoint of tensors alone (it holds objects of ")
    assert name in message
    assert message.endswith("; save model.state_dict() alone: torch.save(model.state_dict(), FILE)")
    assert "\x1b" not in message


class Calls:
    """Asks for a call that would show, were it made."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [print, eval, exec, getattr, __import__, type, open])
def test_no_function_of_the_file_is_called(tmp_path, capsys, function):
    torch.save({"state_dict": RAW, "x": Calls(function, "print('ran')")}, tmp_path / "x.pth")
    with pytest.raises(InputError, match="whose code is not run"):
        checkpoints.read(tmp_path / "x.pth")
    assert capsys.readouterr().out == ""


def test_weights_as_arrays_and_of_other_types(tmp_path):
    assert same(chosen({key: value.numpy() for key, value in RAW.items()}, tmp_path), RAW)
    state = network(1).double().state_dict()
    assert chosen(state, tmp_path).state["fc.weight"].dtype == torch.float32
    assert same(chosen({**RAW, **dict(network(1).named_parameters())}, tmp_path), RAW)


def test_a_mapping_that_holds_itself(tmp_path):
    content = {"net": RAW}
    content["self"] = content
    assert same(chosen(content, tmp_path), RAW)


def test_what_does_not_fit_names_the_closest(tmp_path):
    part = {key: value for key, value in RAW.items() if key != "fc.bias"}
    assert "1 is missing (fc.bias); name the model" in refused(
        {"student": part, "teacher": {**part, "fc.weight": part["fc.weight"] + 1}}, tmp_path
    )
    lacking = {key: value for key, value in prefixed("module.").items() if key != "module.fc.bias"}
    assert "1 is missing (fc.bias); name the model" in refused({"state_dict": lacking}, tmp_path)
    other = {"layer.weight": torch.ones(2), "layer.scale": torch.ones(3)}
    assert "2 are unknown to it (layer.weight, layer.scale)" in refused({"state_dict": prefixed("module.", other)}, tmp_path)


def test_torchscript_is_said(tmp_path):
    class Scale(nn.Module):
        def forward(self, x):
            return x * 2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch discourages what people have
        torch.jit.save(torch.jit.script(Scale()), tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"cannot be read as a checkpoint of tensors alone \(.*TorchScript"):
        checkpoints.read(tmp_path / "x.pt")


def test_a_choice_without_a_checkpoint_is_refused():
    spec = ModelSpec("resnet20", "cifar/resnet20", "cifar", "", choice="ema")
    with pytest.raises(InputError, match=r"^--weights names 'ema' for 'resnet20', which has no checkpoint"):
        loading.load(spec)


def test_a_module_that_asks_for_the_version_of_its_code_is_loaded_from_mere_tensors(tmp_path):
    own = loading.build("torchvision/mnasnet0_5", {"num_classes": 3})
    save_file(own.state_dict(), tmp_path / "x.safetensors")
    spec = ModelSpec("mnasnet0_5", "torchvision/mnasnet0_5", "torchvision", "", checkpoint=tmp_path / "x.safetensors")
    found = loading.load(spec)
    assert found.classes == 3
    assert all(torch.equal(value, found.module.state_dict()[key]) for key, value in own.state_dict().items())
