"""Soups of a run's trials, and the commands that train and average: what is written, and what is refused in one sentence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from pictures import folder
from safetensors.torch import save_file
from test_finetune import RECIPE, found_images, images, made_run
from training_models import SMALL, loaded

from duo_core.__main__ import main
from duo_core.common.arrays import InputError
from duo_core.logits.store import Store
from duo_core.models.zoo import load, resolve
from duo_core.training import checkpoints
from duo_core.training.averages import uniform
from duo_core.training.folders import Run
from duo_core.training.norms import norms
from duo_core.training.passes import logits_of
from duo_core.training.recipes import RECIPES
from duo_core.training.scores import score
from duo_core.training.soups import described, make_soup, model_of

OWN = "training_models:Net"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    images(root)
    return root


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs") / "run"
    made_run(root, found_images(data), replace(RECIPE, trials=3))
    return root


@pytest.fixture
def run(whole, tmp_path):
    """A copy that a test may change."""
    return Run(Path(shutil.copytree(whole, tmp_path / "run")))


@pytest.fixture
def made(data):
    return found_images(data)


def states(run, numbers=range(3)):
    return [checkpoints.read(run.trial(number) / "model.safetensors")[1] for number in numbers]


def own_score(file, made):
    about, state = checkpoints.read(file)
    module = loaded(num_classes=3).module
    module.load_state_dict(state)
    return score(logits_of(module, made["val"], SMALL), made["val"].labels, "accuracy").to_dict(), about


@pytest.mark.parametrize("method", ["uniform", "greedy", "stock"])
def test_a_soup_says_what_it_is_of_and_has_the_score_of_its_file(run, made, method):
    moments = []
    found = make_soup(run, method, {"val": made["val"]}, own_code=OWN, show=moments.append)
    assert [moment.done for moment in moments] == [*range(1, len(moments)), moments[-1].total]
    assert all(moment.done <= moment.total for moment in moments)
    judged, about = own_score(found.file, made)
    assert judged == about["score"]
    assert about["anchor"] == checkpoints.read_about(run.trial(0) / "model.safetensors")["anchor"]
    assert {one["trial"] for one in about["ingredients"]} == {0, 1, 2}
    table = run.table().set_index("trial")
    for one in about["ingredients"]:
        assert one["weights_sha256"] == table["weights_sha256"][one["trial"]]
        assert one["learning_rate"] == table["learning_rate"][one["trial"]]
        assert one["score"]["right"] == table["right"][one["trial"]]
    assert make_soup(run, method, {"val": made["val"]}, own_code=OWN).sha256 == found.sha256


def test_a_uniform_soup_is_the_mean_and_a_greedy_one_no_worse_than_its_best(run, made):
    found = make_soup(run, "uniform", {"val": made["val"]}, own_code=OWN)
    state = checkpoints.read(found.file)[1]
    assert all(torch.equal(value, state[key]) for key, value in uniform(states(run)).items())
    found = make_soup(run, "greedy", made, own_code=OWN)
    best = found.about["best_alone"]
    assert (-found.about["score"]["right"], found.about["score"]["nll"]) <= (-best["right"], best["nll"])
    assert found.about["ingredients"][0]["kept"]
    assert found.about["ingredients"][0]["drop"] is None
    assert not any(one["kept"] and (one["drop"] or 0) > 0 for one in found.about["ingredients"]), "what is kept drops nothing"
    assert found.about["kept"] == sum(one["kept"] for one in found.about["ingredients"])


def test_a_part_of_the_trials_has_a_file_of_its_own(run, made):
    found = make_soup(run, "uniform", {"val": made["val"]}, of=["2", "0"], own_code=OWN)
    assert found.file.name == "uniform-2-0.safetensors"
    state = checkpoints.read(found.file)[1]
    assert all(torch.equal(value, state[key]) for key, value in uniform(states(run, [2, 0])).items())


def test_statistics_are_recomputed_where_that_lowers_the_nll(run, made):
    plain = make_soup(run, "uniform", {"val": made["val"]}, own_code=OWN).about
    assert plain["statistics"] == {"taken": "averaged", "why": "no training images were given"}
    found = make_soup(run, "uniform", made, own_code=OWN, name="again").about
    said = found["statistics"]
    lower = said["nll_recomputed"] < said["nll_averaged"]
    assert said["taken"] == ("recomputed" if lower else "averaged")
    assert said["nll_averaged"] == plain["score"]["nll"]
    assert found["score"]["nll"] == min(said["nll_recomputed"], said["nll_averaged"])


def test_folded_statistics_are_never_recomputed(made, tmp_path):
    made_run(tmp_path / "run", made, pretrained=loaded("Folded"))
    found = make_soup(Run(tmp_path / "run"), "uniform", made, own_code="training_models:Folded")
    assert found.about["statistics"] == {"taken": "averaged", "why": "folded into the convolutions"}


def refused(function, *arguments, **options):
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_averaged_is_refused(run, made, tmp_path):
    val = {"val": made["val"]}

    def said(*of, method="uniform", images=val):
        return refused(make_soup, run, method, images, of=of, own_code=OWN)

    assert said("7") == "expected a trial that has finished in 'run' (0, 1, 2), got 7; name others with --of"
    assert said("1", "1") == "expected each trial once, got '1' 2 times; leave the others out"
    assert said("0", method="stock").startswith("expected at least two models for Model Stock")
    assert said(images={}).startswith("expected the validation images of the run 'run', got none")
    assert said(images={"val": made["train"]}).startswith("expected the images that 'run' has as 'val' (24), got 40 others from ")
    assert said(str(run.folder / "anchor.safetensors")).startswith("expected the checkpoint of a trial, got ")
    assert "got no file there" in said(str(tmp_path / "x.safetensors"))


def test_trials_of_other_anchors_classes_and_random_weights_are_refused(run, made, tmp_path):
    made_run(tmp_path / "other", made, replace(RECIPE, trials=1, epochs=1), pretrained=loaded(seed=4))
    other = str(tmp_path / "other/trials/000/model.safetensors")
    assert refused(make_soup, run, "uniform", {"val": made["val"]}, of=["0", other], own_code=OWN) == (
        "expected trials of one arguments, got trial 0 and trial 0 of 'other' with others; average models of one run"
    )
    about, state = checkpoints.read(run.trial(1) / "model.safetensors")
    odd = tmp_path / "odd.safetensors"
    checkpoints.write(odd, state, {**about, "anchor": "0" * 64})
    assert "expected trials of one anchor, got trial 0 and trial 1 of 'run'" in refused(
        make_soup, run, "uniform", {"val": made["val"]}, of=["0", str(odd)], own_code=OWN
    )
    checkpoints.write(odd, {**state, "fc.bias": torch.zeros(4)}, about)
    assert "which differ in 1 tensors (fc.bias: float32 (3,) and float32 (4,))" in refused(
        make_soup, run, "uniform", {"val": made["val"]}, of=["0", str(odd)], own_code=OWN
    )
    made_run(tmp_path / "scratch", made, replace(RECIPES["scratch"], trials=1, epochs=1))
    assert refused(make_soup, Run(tmp_path / "scratch"), "uniform", {"val": made["val"]}, own_code=OWN) == (
        "expected trials that start from one anchor, got trial 0 from random weights; the average of such is no model: combine "
        "their logits with duo fit --members"
    )


def test_the_same_weights_in_any_order_are_the_same_file(run, tmp_path):
    about, state = checkpoints.read(run.trial(0) / "model.safetensors")
    turned = dict(reversed(state.items()))
    assert list(turned) != list(state)
    assert checkpoints.write(tmp_path / "a.safetensors", state, about) == checkpoints.write(
        tmp_path / "b.safetensors", turned, about
    )


def test_a_file_that_was_altered_is_refused(run, made):
    file = run.trial(1) / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(bytes(content))
    assert "was altered after it was written" in refused(make_soup, run, "uniform", {"val": made["val"]}, own_code=OWN)
    head = file.read_bytes().replace(b"LP-FT", b"LP-FX")
    file.write_bytes(head)
    assert "its header differs from the digest" in refused(checkpoints.read_about, file)


def test_own_code_that_a_file_names_is_not_run_unless_it_is_named(run):
    known = run.about()
    assert refused(model_of, known) == (
        "expected the model's own code to be named, since a file may not say which code is run, got none; say --model "
        "training_models:Net (of duo logits: --models ID=training_models:Net --checkpoint ID=FILE) if you trust it"
    )
    assert "plain values" in refused(described, {**known, "model": "torchvision/resnet18", "arguments": {"weights": "x"}})
    spec = described({**known, "model": "torchvision/resnet18", "arguments": {"num_classes": 3}})
    assert (spec.classes, spec.transform) == (("ant", "bee", "cow"), SMALL)
    assert load(spec, random_weights=True).classes == 3


# The commands.


@pytest.fixture
def command(data, tmp_path, monkeypatch):
    monkeypatch.setenv("DUO_RUNS", str(tmp_path / "runs"))
    transform = json.dumps(SMALL.to_dict())

    def run(*more, name="run", model=OWN, sources=("train", "val"), change=()):
        images = [f"{split}={data / split}" for split in sources]
        arguments = ["finetune", "--name", name, "--model", model, "--transform", transform, "--images", *images]
        arguments += ["--trials", "2", "--epochs", "2", "--batch-size", "13", "--learning-rate", "1e-3", "1e-2", *more]
        return main([part for part in arguments if part not in change])

    return run


def test_a_run_its_table_and_its_soups_by_command(command, data, tmp_path, capsys):
    assert command() == 0
    said = capsys.readouterr()
    assert "run: training_models:Net, recipe paper, seed 0" in said.out
    assert "best trial " in said.out
    assert "test is not read" in said.err
    assert "2 trials of " in said.err
    assert "trial 1 of 0..1, epoch 2 of 2" in said.err
    table = pd.read_csv(tmp_path / "runs/run/table.csv")
    assert list(table["trial"]) == [0, 1]
    before = (tmp_path / "runs/run/table.csv").read_bytes()
    assert command() == 0
    assert (tmp_path / "runs/run/table.csv").read_bytes() == before
    capsys.readouterr()
    assert main(["finetune", "--show", "run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [trial["trial"] for trial in document["trials"]] == [0, 1]
    assert len(document["trials"][0]["curve"]) == 2
    for method in ("uniform", "greedy", "stock"):
        images = [f"{split}={data / split}" for split in ("train", "val")]
        assert main(["soup", "--run", "run", "--method", method, "--model", OWN, "--images", *images]) == 0
        said = capsys.readouterr().out
        assert f"{tmp_path}/runs/run/soups/{method}.safetensors" in said
        assert main(["soup", "--run", "run", "--method", method, "--model", OWN, "--images", *images, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["score"]["n"] == 24


def test_a_run_on_three_hundred_images_whose_decoding_other_processes_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DUO_RUNS", str(tmp_path / "runs"))
    for split, count in (("train", 90), ("val", 10)):
        folder(tmp_path / split, dict.fromkeys("abc", count), (16, 16))
    images = [f"{split}={tmp_path / split}" for split in ("train", "val")]
    options = [
        "--transform",
        json.dumps(SMALL.to_dict()),
        "--trials",
        "2",
        "--epochs",
        "2",
        "--batch-size",
        "32",
        "--images",
        *images,
    ]
    assert main(["finetune", "--name", "run", "--model", OWN, *options]) == 0
    assert len(Run(tmp_path / "runs/run").table()) == 2
    assert main(["soup", "--run", "run", "--method", "stock", "--model", OWN, "--images", *images]) == 0
    assert "Model Stock of 2 of 2 trials" in capsys.readouterr().out


def test_a_greedy_soup_of_one_is_said(command, data, capsys):
    assert command("--trials", "1") == 0
    capsys.readouterr()
    assert main(["soup", "--run", "run", "--method", "greedy", "--model", OWN, "--images", f"val={data / 'val'}"]) == 0
    assert "greedy soup of 1 of 1 trials (the greedy soup is the best single trial)" in capsys.readouterr().out


def test_wrong_input_ends_in_one_sentence(command, data, tmp_path, capsys):
    def said(status):
        lines = [line for line in capsys.readouterr().err.splitlines() if line]
        assert status == 2
        assert len(lines) == 1, lines
        return lines[0]

    assert "got none for val; training reads no others" in said(command(sources=["train"]))
    assert "got 'test'; training reads no others" in said(command("--images", f"test={data / 'val'}"))
    assert "expected a run name" in said(command(name="a/b"))
    assert "got 'Convolved', whose logits no linear layer gives" in said(command(model="training_models:Convolved"))
    assert "takes no num_classes" in said(command(model="training_models:Fixed"))
    assert "is folded into its convolutions" in said(command("--batchnorm", "train", model="training_models:Folded"))
    assert "expected --name, --model and --images" in said(main(["finetune", "--name", "x"]))
    assert "there is no run 'none'" in said(main(["finetune", "--show", "none"]))
    (tmp_path / "odd/x").mkdir(parents=True)
    (tmp_path / "odd/x/run.json").write_text('{"model": "m"}')
    assert "got none for arguments, transform" in said(main(["finetune", "--show", "x", "--runs", str(tmp_path / "odd")]))
    assert "there is no run 'none'" in said(main(["soup", "--run", "none", "--method", "greedy", "--images", "val=x"]))
    assert "does not exist" in said(command("--images", f"train={tmp_path / 'nowhere'}", sources=["val"]))
    folder(tmp_path / "else", {"dog": 3, "elk": 3})
    assert "expected the same classes in 'train' and 'val'" in said(
        command("--images", f"val={tmp_path / 'else'}", sources=["train"])
    )
    assert not (tmp_path / "runs").exists(), "nothing is begun"


def test_a_full_disk_ends_in_one_sentence_and_what_was_trained_is_kept(command, tmp_path, capsys, monkeypatch):
    import errno

    written = checkpoints.write_tensors

    def full(file, *rest):
        if "001" in str(file):
            raise OSError(errno.ENOSPC, "No space left on device", str(file))
        return written(file, *rest)

    monkeypatch.setattr(checkpoints, "write_tensors", full)
    assert command() == 2
    assert "expected room on the disk" in capsys.readouterr().err.splitlines()[-1]
    monkeypatch.undo()
    monkeypatch.setenv("DUO_RUNS", str(tmp_path / "runs"))
    assert (tmp_path / "runs/run/trials/000/model.safetensors").exists()
    assert command() == 0


# A run's models in a set.


@pytest.fixture
def cifar(data, tmp_path, monkeypatch, capsys):
    """A run of a library's model, its greedy soup, and a store."""
    monkeypatch.setenv("DUO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DUO_STORE", str(tmp_path / "store"))
    weights = tmp_path / "own.pt"
    module = load(resolve("cifar/resnet8")[0], random_weights=True).module
    for part in norms(module):
        torch.nn.init.uniform_(part.running_var, 0.5, 2.0)
    torch.save(module.state_dict(), weights)
    images = [f"{split}={data / split}" for split in ("train", "val")]
    size = json.dumps({"input_size": [3, 16, 16], "resize": [16, 16]})
    options = ["--transform", size, "--images", *images, "--trials", "2", "--epochs", "1"]
    assert main(["finetune", "--name", "r", "--model", "cifar/resnet8", "--checkpoint", str(weights), *options]) == 0
    assert main(["soup", "--run", "r", "--method", "uniform", "--images", *images]) == 0
    capsys.readouterr()
    return tmp_path / "runs" / "r"


def logits(data, *models):
    return main(["logits", "--set", "s", "--images", f"test={data / 'val'}", "--no-throughput", "--models", *models])


def test_a_run_and_its_soups_become_models_of_a_set_in_one_command(cifar, data, made, tmp_path, capsys):
    assert logits(data, "r") == 0
    found = Store(tmp_path / "store").open("s")
    assert set(found.cards) == {"r-000", "r-001", "r-uniform"}
    for name, file in (("r-001", "trials/001/model.safetensors"), ("r-uniform", "soups/uniform.safetensors")):
        about = checkpoints.read_about(cifar / file)
        judged = score(found.logits(name, "test"), found.labels["test"], "accuracy")
        assert (judged.right, judged.n) == (about["score"]["right"], 24)
        card = found.cards[name]
        assert card.model == "cifar/resnet8"
        assert card.arguments == {"num_classes": 3}
        assert card.training["methodology"] == about["methodology"]
        assert card.training["anchor"] == about["anchor"]
    assert [one["trial"] for one in found.cards["r-uniform"].training["ingredients"]] == [0, 1]
    assert found.cards["r-001"].training["training_multiply_adds"] == 3 * found.cards["r-001"].multiply_adds * 40


def test_one_file_by_another_name_and_a_folder_of_trials(cifar, data, tmp_path):
    assert logits(data, f"soup={cifar / 'soups' / 'uniform.safetensors'}", "r/trials") == 0
    assert set(Store(tmp_path / "store").open("s").cards) == {"soup", "r-000", "r-001"}


def test_a_file_of_models_names_checkpoints_by_their_path_from_its_folder(cifar, data, tmp_path, capsys):
    listed = cifar.parent / "models.yaml"
    entries = ["{name: soup, model: r/soups/uniform.safetensors, family: Mine}", "{model: r/trials/001/model.safetensors}"]
    listed.write_text("models:\n" + "".join(f"- {entry}\n" for entry in entries))
    assert logits(data, str(listed)) == 0
    cards = Store(tmp_path / "store").open("s").cards
    assert set(cards) == {"soup", "r-001"}
    assert (cards["soup"].family, cards["soup"].arguments) == ("Mine", {"num_classes": 3})
    assert cards["soup"].training["methodology"] == "uniform soup"
    assert cards["r-001"].training["trial"] == 1
    capsys.readouterr()
    listed.write_text("models: [{name: several, model: r/trials}]")
    assert logits(data, str(listed)) == 2
    assert "expected one model, got 2 in 'r/trials'; name one of its files, in the entry 'several'" in capsys.readouterr().err


def test_paths_that_cannot_be_models_are_refused(cifar, data, tmp_path, capsys):
    def said(*models):
        assert logits(data, *models) == 2
        return capsys.readouterr().err

    assert "expected one model to be called 'x', got 2 in 'r/trials'" in said("x=r/trials")
    save_file({"w": torch.zeros(2)}, tmp_path / "plain.safetensors")
    assert "expected a checkpoint that says which model it is of" in said(str(tmp_path / "plain.safetensors"))
    file = cifar / "trials/000/model.safetensors"
    about, state = checkpoints.read(file)
    checkpoints.write(file, state, {**about, "model": "os:system"})
    assert "a file may not say which code is run" in said("r/trials")
    (tmp_path / "runs/empty").mkdir()
    (tmp_path / "runs/empty/run.json").write_text("{}")
    assert "expected trials or soups in 'empty', got none that have ended" in said("empty")
