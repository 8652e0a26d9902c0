"""The shipped set's own duo, on the images that lie beside some checkouts; and weights that libraries download."""

import numpy as np
import pytest
import torch
from effort import AT_NIGHT, tried
from test_deploy_export import judged

from duo_core import deploy
from duo_core.common.arrays import InputError
from duo_core.deploy import graphs, members
from duo_core.deploy.run import Duo as Alone
from duo_core.images import open_source
from duo_core.logits import Card
from duo_core.logits.store import DEFAULT_STORE, Store
from duo_core.metrics import METRICS, metrics
from duo_core.models.zoo import load, resolve
from duo_core.systems.judging import fit_system
from duo_core.systems.predicting import predictions
from duo_core.systems.system import System

PAIR = ("resnet18", "shufflenet_v2_x0_5")
IMAGES = tried(40, 120)
WEIGHTS = "IMAGENET1K_V1"


@pytest.mark.shared
@pytest.mark.parametrize(
    ("system", "graphs_too"), [(System(PAIR), True), (System((*PAIR, "regnety_002"), "ensemble"), AT_NIGHT)], ids=str
)
def test_an_exported_system_gives_the_metrics_of_the_shipped_set(shared, tmp_path, monkeypatch, system, graphs_too):
    logit_set = Store(DEFAULT_STORE).open("cifar10")
    checkpoints = {name: shared / "zoo" / "cifar10" / logit_set.cards[name].weights for name in system.members}
    if not graphs_too:
        monkeypatch.setattr(graphs, "write", lambda *_: ["graphs are for the night"])
    folder = deploy.export(logit_set, system, tmp_path / "duo", checkpoints=checkpoints, onnx=AT_NIGHT).folder
    rows = np.linspace(0, len(logit_set.labels["test"]) - 1, IMAGES).astype(int)
    source = open_source(str(shared / "images" / "cifar10-test.tar"))
    places = {name: place for place, name in enumerate(source.ids)}
    images = [source.image(places[logit_set.ids["test"][row]]) for row in rows]
    logits = {name: logit_set.logits(name, "test") for name in system.members}
    fitted = fit_system(logit_set, system.members)
    predicted = predictions(logits, logit_set.labels["test"], [(system, fitted)])[0].take(rows)
    expected = metrics(predicted)
    with torch.inference_mode():
        answers = [deploy.load(folder)(images)] + ([Alone(folder)(images)] if graphs_too else [])
    for answer in answers:
        found = judged(answer.logits, logit_set.labels["test"][rows])
        assert found == {key: pytest.approx(expected[key], rel=0, abs=1e-6) for key in METRICS}
        assert answer.predicted.tolist() == predicted.predicted.tolist()
        np.testing.assert_allclose(answer.uncertainty, predicted.uncertainty, atol=1e-5)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The folder where torch keeps what it downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


def card(**changes):
    return Card(
        **{"name": "small", "model": "torchvision/shufflenet_v2_x0_5", "source": "torchvision", "weights": WEIGHTS, **changes}
    )


def test_weights_that_a_library_has_downloaded_are_copied(hub, tmp_path):
    module = load(resolve("torchvision/shufflenet_v2_x0_5")[0], random_weights=True).module
    torch.save(module.state_dict(), hub / "shufflenetv2_x0.5-f707e7126e.pth")
    loaded = load(resolve("torchvision/shufflenet_v2_x0_5")[0])
    here = members.source_of(card(weights_sha256=loaded.weights_sha256), 1000)
    assert (here.lacking, here.record(0)["file"]) == ("", "0-small.safetensors")
    here.write(tmp_path / "0-small.safetensors")
    again = members.member(here.record(0), tmp_path, own_code=False)
    assert all(torch.equal(value, module.state_dict()[key]) for key, value in again.module.state_dict().items())
    with pytest.raises(InputError, match="expected the weights that the logits of 'small' came from"):
        members.source_of(card(weights_sha256="0" * 64), 1000)
    with pytest.raises(InputError, match="expected a model of 10 classes as 'small', got 1000"):
        members.source_of(card(), 10)


def test_weights_that_a_library_downloads_are_left_to_the_loading(hub, tmp_path):
    absent = members.source_of(card(weights_sha256="0" * 64), 1000)
    assert absent.lacking == (
        "the weights IMAGENET1K_V1 of 'small' are not on this machine; they are downloaded when the folder is loaded"
    )
    record = absent.record(0) | {"transform": resolved_transform()}
    assert record["file"] is None
    module = load(resolve("torchvision/shufflenet_v2_x0_5")[0], random_weights=True).module
    torch.save(module.state_dict(), hub / "shufflenetv2_x0.5-f707e7126e.pth")
    with pytest.raises(
        InputError, match=r"expected the weights IMAGENET1K_V1 of .* with SHA-256 0+, got .*; the library has other ones"
    ):
        members.member(record, tmp_path, own_code=False)
    record["weights_sha256"] = load(resolve("torchvision/shufflenet_v2_x0_5")[0]).weights_sha256
    assert isinstance(members.member(record, tmp_path, own_code=False), deploy.Member)


def resolved_transform():
    return load(resolve("torchvision/shufflenet_v2_x0_5")[0], random_weights=True).transform.to_dict()
