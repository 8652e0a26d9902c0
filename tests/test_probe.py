"""The linear probe: scikit-learn's minimum, a trunk that stays as it is, models without a head of their own refused."""

import hashlib

import numpy as np
import pytest
import torch
from pictures import folder
from sklearn.linear_model import LogisticRegression
from torch import nn
from training_models import loaded

from duo_core.common.arrays import InputError
from duo_core.images import open_source
from duo_core.images.splits import splits
from duo_core.training import heads, norms, passes
from duo_core.training import probe as probing
from duo_core.training.heads import features, head_of, with_classes
from duo_core.training.probe import Regression, probe
from duo_core.training.scores import Score

COUNTS = {"ant": 14, "bee": 12, "cow": 14}


@pytest.fixture
def images(tmp_path):
    made = {name: open_source(folder(tmp_path / name, COUNTS, (20, 18))) for name in ("train", "val")}
    return splits(made)


def blobs(rng, n=150, d=7, k=4):
    """Features of very different scales, not centred, with labels that they say something of."""
    labels = torch.tensor(rng.integers(k, size=n))
    values = torch.tensor(rng.normal(size=(n, d)) + rng.normal(size=(k, d))[labels])
    return (values * torch.logspace(-2, 1, d) + 3).float(), labels


def objective(values, labels, weight, bias, penalty):
    """As scikit-learn's user guide writes it, over C n."""
    logits = values.double() @ weight.T + bias
    return (nn.functional.cross_entropy(logits, labels) + penalty / 2 * (weight**2).sum()).item()


@pytest.mark.parametrize("share", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("k", [2, 4])
def test_the_loss_is_that_of_scikit_learn(rng, share, k):
    values, labels = blobs(rng, k=k)
    problem = Regression(values, labels, k)
    penalty = share * problem.variance
    solved = problem.solve(penalty)
    exact = LogisticRegression(C=1 / (penalty * len(values)), tol=1e-12, max_iter=100_000, solver="newton-cg")
    exact.fit(values.double().numpy(), labels.numpy())
    weight, bias = torch.tensor(exact.coef_), torch.tensor(exact.intercept_)
    if k == 2:  # one row of weights for two classes is the difference of two; the penalty then halves it between them
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    else:
        theirs = objective(values, labels, weight, bias, penalty)
        assert solved.loss <= theirs + 1e-8
        assert solved.loss == pytest.approx(theirs, abs=1e-8)
    assert solved.loss == pytest.approx(objective(values, labels, solved.weight, solved.bias, penalty), abs=1e-11)
    assert solved.loss <= objective(values, labels, weight, bias, penalty) + 1e-8


def test_rows_in_parts_and_a_start_change_nothing(rng, monkeypatch):
    values, labels = blobs(rng)
    problem = Regression(values, labels, 4)
    first = problem.solve(0.1)
    assert problem.solve(0.02, first).loss == pytest.approx(problem.solve(0.02).loss, abs=1e-9)
    monkeypatch.setattr(probing, "ROWS", 11)
    assert Regression(values, labels, 4).solve(0.1).loss == pytest.approx(first.loss, abs=1e-11)


def test_a_feature_that_never_changes_and_a_class_without_images(rng):
    values, labels = blobs(rng)
    constant = torch.cat([values, torch.ones(len(values), 1)], 1)
    found = Regression(constant, labels, 5).solve(0.1)
    assert np.isfinite(found.loss)
    assert found.weight[:, -1].abs().max() < 1e-6
    assert found.loss == pytest.approx(Regression(values, labels, 4).solve(0.1).loss, abs=1e-4)


def best_of(found):
    return [penalty for penalty, _, _ in found.path].index(found.solved.penalty)


def test_the_best_penalty_on_validation_images_is_taken_and_the_end_of_the_grid_is_said(rng):
    train, val = blobs(rng), blobs(rng)
    found = probe(train, train, 4, "accuracy")
    assert found.score.loss == min(one.loss for _, _, one in found.path)
    penalties = [penalty for penalty, _, _ in found.path]
    assert penalties == sorted(penalties, reverse=True)
    assert len(penalties) == len(probing.PENALTIES) or best_of(found) + probing.PATIENCE == len(penalties) - 1
    losses = [loss for _, loss, _ in found.path]
    assert losses == sorted(losses, reverse=True), "weaker penalties fit better"
    assert probe(train, val, 4, "accuracy", grid=[0.1]).note == ""
    noise = train[0], train[1][torch.randperm(150, generator=torch.Generator().manual_seed(0))]
    assert "is the strongest of those tried" in probe(noise, val, 4, "accuracy", grid=[1e3, 1e-3]).note


def test_the_search_ends_once_weaker_penalties_only_overfit(rng, monkeypatch):
    right = iter([5, 6, 7, 6, 7, 9, 9])
    monkeypatch.setattr(probing, "score", lambda *_: Score("accuracy", next(right), 10, 0.5, 0.5))
    found = probe(blobs(rng), blobs(rng), 4, "accuracy")
    assert [one.right for _, _, one in found.path] == [5, 6, 7, 6, 7]
    assert found.score.right == 7
    assert best_of(found) == 2, "of equal ones the stronger"


def test_features_that_are_not_finite_are_refused(rng):
    values, labels = blobs(rng)
    broken = values.clone()
    broken[3, 2] = torch.nan
    with pytest.raises(InputError, match=r"^expected finite features of 'val', got NaN or infinity"):
        probe((values, labels), (broken, labels), 4, "accuracy")


def digest(state):
    return {key: hashlib.sha256(value.numpy().tobytes()).hexdigest() for key, value in state.items()}


def test_features_are_what_the_head_sees_and_the_trunk_stays_as_it_is(images):
    model = with_classes(loaded(seed=3), ["ant", "bee", "cow"])
    before = digest(model.module.state_dict())
    model.module.train()
    seen = features(model, head_of(model), images["val"])
    assert seen.shape == (40, 8)
    assert digest(model.module.state_dict()) == before
    head = model.module.fc
    with torch.no_grad():
        assert torch.allclose(head(seen), passes.logits_of(model.module, images["val"], model.transform), atol=1e-6)
    assert not model.module.training


def test_a_head_for_other_classes_keeps_the_trunk(images):
    model = loaded(seed=3)
    before = digest(model.module.state_dict())
    other = with_classes(model, ["ant", "bee", "cow"])
    assert other.classes == 3
    assert other.class_names == ("ant", "bee", "cow")
    assert dict(other.spec.arguments) == {"seed": 3, "num_classes": 3}
    state = other.module.state_dict()
    assert state["fc.weight"].shape == (3, 8)
    assert all(torch.equal(state[key], value) for key, value in model.module.state_dict().items() if not key.startswith("fc."))
    assert digest(model.module.state_dict()) == before


def test_timm_and_torchvision_models_of_other_classes():
    from duo_core.models.zoo import load, resolve

    for name, kept in (("timm/mobilenetv1_100", "conv_stem.weight"), ("torchvision/mnasnet0_5", "layers.0.weight")):
        (spec,) = resolve(name, transforms={name: {"input_size": [3, 32, 32], "resize": [32, 32], "crop": False}})
        model = load(spec, random_weights=True)
        other = with_classes(model, ["a", "b"])
        assert head_of(other).layer.out_features == 2
        assert torch.equal(other.module.state_dict()[kept], model.module.state_dict()[kept])


def refused(function, *arguments):
    with pytest.raises(InputError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_models_without_a_linear_head_are_refused():
    assert refused(head_of, loaded("Convolved")) == (
        "expected a classifier whose last layer is linear, got 'convolved', whose logits no linear layer gives (its last layer "
        "with weights is Conv2d); name a model with a linear head"
    )
    assert "got 'two', whose logits no linear layer gives" in refused(head_of, loaded("Two"))


def test_a_model_that_cannot_have_other_classes_is_refused():
    assert refused(with_classes, loaded("Fixed"), ["a", "b"]) == (
        "'training_models:Fixed' is built for 5 classes and takes no num_classes, but the images have 2; let it take num_classes"
    )
    assert with_classes(loaded("Fixed"), list("abcde")).classes == 5


def test_folded_normalisation_is_seen_and_training_its_statistics_refused():
    assert not norms.is_folded(loaded().module)
    assert norms.is_folded(loaded("Folded").module)
    norms.check_statistics(loaded("Folded").module, "frozen", "folded")
    norms.check_statistics(loaded().module, "train", "net")
    assert refused(norms.check_statistics, loaded("Folded").module, "train", "folded") == (
        "the BatchNorm of 'folded' is folded into its convolutions (all its running variances are alike), and training its "
        "statistics would destroy the model; leave them frozen with --batchnorm frozen"
    )


@pytest.mark.shared
@pytest.mark.parametrize("file", ["mobilenetv1_025", "mobilenetv2_100_tf2", "tf_efficientnet_lite0"])
def test_folded_normalisation_of_real_weights(shared, file):
    from safetensors.torch import load_file

    state = load_file(shared / "zoo" / "imagenet" / f"{file}.safetensors")
    parts = [value for key, value in state.items() if key.endswith("running_var")]
    module = nn.ModuleList(nn.BatchNorm2d(len(part)) for part in parts)
    for layer, part in zip(module, parts, strict=True):
        layer.running_var.copy_(part)
    assert norms.is_folded(module) == file.startswith("mobilenet")


def test_recomputed_statistics_are_the_means_over_batches_and_nothing_else_moves(images, monkeypatch):
    model = with_classes(loaded(seed=1), ["ant", "bee", "cow"])
    before = {key: value.clone() for key, value in model.module.state_dict().items()}
    norms.recompute(model.module, images["train"], model.transform)
    after = model.module.state_dict()
    pixels = torch.cat(list(passes.evaluation_batches(images["train"], model.transform)))
    with torch.no_grad():
        seen = model.module.trunk[0](model.transform.batch(pixels))
    assert torch.allclose(after["trunk.1.running_mean"], seen.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(after["trunk.1.running_var"], seen.var((0, 2, 3)), atol=1e-4)
    moved = {key for key, value in before.items() if not torch.equal(value, after[key])}
    assert moved == {f"trunk.{layer}.running_{what}" for layer in (1, 4) for what in ("mean", "var")}
    assert model.module.trunk[1].momentum == 0.1


def test_statistics_are_not_computed_from_small_batches(images):
    sizes = [len(batch) for batch in passes.evaluation_batches(images["train"], loaded().transform, size=33, least=32)]
    assert sizes == [33], "the last 7 images are too few"
    few = splits({"train": images["train"].source}, fit=None)["train"]
    few = type(few)(few.source, few.rows[:20])
    assert "expected at least 32 training images" in refused(norms.recompute, loaded().module, few, loaded().transform)


def test_an_image_that_cannot_be_read_is_said(tmp_path):
    source = open_source(folder(tmp_path / "x", COUNTS))
    (tmp_path / "x" / "bee" / "3.png").write_bytes(b"no image")
    split, model = splits({"train": source})["train"], loaded()
    assert "the image 'bee/3.png'" in refused(heads.features, model, head_of(model), split)
