"""The command line: exact documents on stdout, one sentence and status 2 for what a user can mend."""

import json
import os
import subprocess
import sys
from pathlib import Path

import logit_files
import numpy as np
import pandas as pd
import pytest
import torch
from logit_sets import write_set
from PIL import Image
from safetensors.torch import load_file, save_file

from duo_core.__main__ import main
from duo_core.logits import Card
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.systems.sweep import COLUMNS, evaluate


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A set of three models, the default store of the commands."""
    made = Store(tmp_path / "store")
    generator = torch.Generator().manual_seed(0)
    labels = {split: torch.randint(3, (n,), generator=generator) for split, n in (("val", 60), ("test", 90))}
    made.prepare("tiny", title="Tiny", classes=["cat", "dog", "fox"], labels=labels)
    for quality, name, cost in ((3, "large", 100), (2, "middle", 30), (1, "small", 10)):
        logits = {
            split: quality * torch.nn.functional.one_hot(values, 3) + torch.randn(len(values), 3, generator=generator)
            for split, values in labels.items()
        }
        made.write_model("tiny", Card(name, f"timm/{name}", "timm", multiply_adds=cost, parameters=cost), logits)
    monkeypatch.setenv("DUO_STORE", str(made.path))
    return made


def run(*arguments: str) -> int:
    return main(arguments)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command says when it ends with status 2."""
    try:
        status = run(*arguments)
    except SystemExit as end:  # argparse
        status = int(str(end.code))
    said = capsys.readouterr()
    assert status == 2
    assert said.out == ""
    assert said.err.count("\n") == 1, said.err
    return said.err


PAIR = ("--base", "large", "--sidekick", "small")
FIT = ("fit", "--set", "tiny", *PAIR)


def test_fit_prints_the_document(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*FIT, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads(json.dumps(evaluate(store.open("tiny"), "large", "small").document()))
    assert document["flops_balance"] == 0.1


def test_fit_prints_a_table(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*FIT) == 0
    said = capsys.readouterr().out
    values = evaluate(store.open("tiny"), "large", "small").metrics
    assert said.startswith("large + small on tiny/test; 10.0% more multiply-adds\n")
    assert all(metric.label in said for metric in METRICS.values())
    assert f"{values['uq_only']['aurc']:.4f}" in said


def test_undefined_is_null(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    labels = store.open("tiny").labels
    for name in ("right", "also"):
        store.write_model(
            "tiny", Card(name, "timm/x", "timm"), {s: 9.0 * torch.nn.functional.one_hot(v, 3) for s, v in labels.items()}
        )
    assert run("fit", "--set", "tiny", "--base", "right", "--sidekick", "also", "--json") == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert document["flops_balance"] is None
    assert document["variants"]["duo"]["auroc"] is None
    assert "separated perfectly by the duo" in said.err


def test_sweep_prints_every_row(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sweep", "--set", "tiny", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 3 * 5
    assert all(list(row) == COLUMNS for row in rows)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_sweep_writes_tables(store: Store, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"table.{ending}"
    assert run("sweep", "--set", "tiny", "--out", str(file)) == 0
    table = pd.read_csv(file) if ending == "csv" else pd.read_parquet(file)
    assert list(table.columns) == COLUMNS
    assert len(table) == 15


def test_sets_and_models(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sets", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "name": "tiny",
            "title": "Tiny",
            "classes": 3,
            "splits": {"test": 90, "val": 60},
            "models": ["large", "middle", "small"],
            "broken": {},
        }
    ]
    assert run("sets", "tiny", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["large", "middle", "small"]
    assert rows[0]["accuracy_test"] > rows[2]["accuracy_test"]
    assert run("sets") == 0
    assert "test 90" in capsys.readouterr().out


def test_sets_names_a_broken_model_and_goes_on(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (store.path / "tiny/small.safetensors").write_bytes(b"no")
    assert run("sets", "--json") == 0
    said = capsys.readouterr()
    assert list(json.loads(said.out)[0]["broken"]) == ["small"]
    assert "small.safetensors" in said.err


def test_an_empty_store_says_how_to_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sets", "--store", str(tmp_path)) == 0
    assert "make one with duo logits" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("fit", "--set", "tiny", "--base", "huge", "--sidekick", "small"),
            "expected a model of the set 'tiny', got 'huge'; it has large",
        ),
        (("fit", "--set", "none", "--base", "large", "--sidekick", "small"), "the store .* has tiny"),
        ((*FIT, "--split", "val"), "expected a split to judge on, got 'val'"),
        (("fit", "--set", "tiny"), "expected --members, or --base and --sidekick, got none of them"),
        (
            ("sweep", "--set", "tiny", "--out", "table.xlsx"),
            r"expected a file ending in \.parquet or \.csv for --out, got 'table\.xlsx'",
        ),
        (("sweep", "--set", "tiny", "--out", "/nowhere/table.csv"), "nowhere"),
        (("sweep", "--set", "tiny", "--split", "night"), "expected a split to judge on, got 'night'"),
        (("app", "--port", "99999"), r"expected a port in 1\.\.65535, got '99999'"),
        (("app", "--host", "256.0.0.1"), "expected a free port of this machine, got 8501 on '256.0.0.1'"),
        (("app", "--host", ""), "expected an address for --host, got none"),
        ((*FIT, "--fit", "0.5"), "expected --fit with --file only, got it with --set"),
        ((*FIT, "--labels-from-one"), "expected --labels-from-one with --file only"),
        ((*FIT, "--seed", "-1"), r"expected a whole number from 0 to 2\^64 - 1, got '-1'"),
        (("fit", "--file", "a.npz", *PAIR, "--cost", "large=3", "large=4"), "expected one --cost for 'large', got several"),
        (("fit", "--file", "/", *PAIR), "expected a file, got '/'; name the files one by one"),
        (("sweep", "--set", "tiny", *PAIR), "duo sweep: unrecognized arguments: --base large .*; see duo sweep --help"),
        (
            ("sweep", "--set", "later", "--out", "/nowhere/a.csv"),
            "expected a folder to write into at '/nowhere', got none that can",
        ),
        (("report", "--set", "later", "--out", "/nowhere/a.html"), "expected a folder to write into at '/nowhere'"),
        (
            ("report", "--set", "tiny", "--out", "a.html", "--bootstrap-seed", "-1"),
            "a whole number from 0 to .*, got '-1'",
        ),
        (("export", "--set", "tiny", *PAIR, "--out", "a", "--target-risk", "2"), r"expected a target risk in \(0, 1\), got 2"),
        (("export", "--set", "tiny", *PAIR, "--out", "a", "--confidence", "nan"), r"expected a confidence in \(0, 1\), got nan"),
        (("logits", "--set", "x", "--images", "test=a", "--models", "m", "--workers", "-1"), "at least 0, got '-1'"),
        (("logits", "--set", "x", "--images", "test=a", "--models", "m", "--device", "tpu"), "as the device, got 'tpu'"),
        (("cost", "m", "--device", "tpu"), "as the device, got 'tpu'"),
        (("fly",), "invalid choice: 'fly'"),
        ((), "required: COMMAND"),
        (("cost", "timm/no_such_model"), "no_such_model"),
        (("cost", "torchvision/resnet18", "--input-size", "big"), "expected pixels such as 224 or 224x320, got 'big'"),
        (("logits", "--set", "x", "--images", "test", "--models", "resnet18"), "expected NAME=VALUE, got 'test'"),
        (("logits", "--set", "x", "--images", "test=a", "--models", "m", "--fit", "2.5"), "a fraction in .0, 1., got '2.5'"),
        (("logits", "--set", "x", "--images", "test=a", "--models", "m", "--batch-size", "0"), "at least 1, got '0'"),
        (("logits", "--set", "x", "--images", "test=a", "--models", "m", "--transform", "m=[1]"), "a JSON object, got 'm=.1.'"),
        (
            ("logits", "--set", "x", "--images", "test=a", "test=b", "--models", "m"),
            "expected one --images for 'test', got several",
        ),
        (("logits", "--set", "../x", "--images", "test=a", "--models", "m"), "expected a set name of letters, .*, got '../x'"),
        (("logits", "--set", "x", "--images", "test=/no/such/folder", "--models", "resnet18"), "/no/such/folder"),
    ],
)
def test_wrong_input_is_one_line(
    store: Store, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    import re

    assert re.search(message, refused(capsys, *arguments))


TWICE = ("--base", "large", "--sidekick", "large")


@pytest.mark.parametrize(
    "arguments",
    [
        ("fit", "--set", "tiny", *TWICE),
        ("fit", "--file", "pair.npz", *TWICE),
        ("threshold", "--set", "tiny", *TWICE),
        ("threshold", "--file", "pair.npz", *TWICE),
        ("report", "--set", "tiny", *TWICE, "--out", "made.html"),
        ("report", "--file", "pair.npz", *TWICE, "--out", "made.html"),
        ("export", "--set", "tiny", *TWICE, "--out", "made"),
        ("check", "pair.npz", *TWICE),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_no_command_pairs_a_model_with_itself(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "pair.npz", **logit_files.arrays())
    said = refused(capsys, *arguments)
    assert said == f"duo {arguments[0]}: expected two models, got 'large' as base and as sidekick; name another\n"
    assert not list(tmp_path.glob("made*"))


def test_a_full_disk_is_one_line(store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "table.csv")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    assert "expected room on the disk at 'table.csv', got none left" in refused(
        capsys, "sweep", "--set", "tiny", "--out", "table.csv"
    )


def test_an_output_that_is_a_folder_is_refused_before_anything_is_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "made.csv").mkdir()
    said = refused(capsys, "sweep", "--set", "later", "--out", str(tmp_path / "made.csv"))
    assert said == f"duo sweep: expected a file to write at '{tmp_path / 'made.csv'}', got a folder; name another\n"


def test_a_table_that_cannot_be_finished_leaves_the_one_before(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(_: object, file: Path, **__: object) -> None:
        file.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    (tmp_path / "table.csv").write_text("before")
    refused(capsys, "sweep", "--set", "tiny", "--out", str(tmp_path / "table.csv"))
    assert [file.read_text() for file in tmp_path.glob("*table.csv*")] == ["before"]


def test_a_broken_pipe_is_no_error(store: Store) -> None:
    command = f"{sys.executable} -m duo_core sweep --set tiny --json | head -n 1"
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, env=os.environ, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[\n", "")


def test_reading_commands_leave_the_zoo_alone(store: Store) -> None:
    """They open quickly because they import no torchvision, timm or fvcore."""
    code = (
        "import sys; from duo_core.__main__ import main; main(['fit', '--set', 'tiny', '--base', 'large', '--sidekick', 'small']);"
        "sys.exit(bool({'torchvision', 'timm', 'fvcore', 'streamlit'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, env=os.environ, check=False).returncode == 0


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes of plainly coloured images, 10 each."""
    folder = tmp_path / "images"
    for shade, name in enumerate(("dark", "light")):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            Image.new("RGB", (32, 32), (shade * 200 + i,) * 3).save(folder / name / f"{i}.png")
    return folder


def checkpoint(path: Path, name: str, classes: int = 2) -> Path:
    from duo_core.models.zoo import load, resolve

    torch.manual_seed(0)
    (spec,) = resolve(name)
    module = load(spec, random_weights=True).module
    head = next(key for key in module.state_dict() if key.endswith("linear.weight"))
    state = {
        key: value[:classes] if key.startswith(head.removesuffix("weight")) else value for key, value in module.state_dict().items()
    }
    save_file({key: value.clone().contiguous() for key, value in state.items()}, path)
    return path


def test_from_images_to_a_duo(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole way: images and checkpoints in, a fitted duo out."""
    store = str(tmp_path / "store")
    weights = {name: checkpoint(tmp_path / f"{name}.safetensors", name) for name in ("resnet32", "resnet20")}
    arguments = [
        "logits",
        "--store",
        store,
        "--set",
        "shades",
        "--images",
        f"test={images}",
        "--fit",
        "8",
        "--corrupt",
        "dim=contrast:3",
    ]
    arguments += ["--models", *weights, "--checkpoint", *(f"{name}={file}" for name, file in weights.items()), "--no-throughput"]
    assert run(*arguments) == 0
    assert "computed resnet32, resnet20 (20 images decoded)" in capsys.readouterr().out
    opened = Store(store).open("shades")
    assert {split: len(labels) for split, labels in opened.labels.items()} == {"val": 8, "test": 12, "dim": 12}
    assert opened.cards["resnet20"].multiply_adds == pytest.approx(41e6, rel=0.02)
    assert run(*arguments) == 0
    assert "computed nothing (0 images decoded); there already: resnet32, resnet20" in capsys.readouterr().out
    assert (
        run("fit", "--store", store, "--set", "shades", "--base", "resnet32", "--sidekick", "resnet20", "--split", "dim", "--json")
        == 0
    )
    assert json.loads(capsys.readouterr().out)["n_eval"] == 12


def test_cost_is_counted_a_second_time_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cost", "cifar/resnet20", "timm/vit_tiny_patch16_224", "--no-throughput", "--check", "--json") == 0
    said = capsys.readouterr()
    resnet, vit = json.loads(said.out)
    assert (resnet["fvcore_multiply_adds"], resnet["fvcore_leaves_out"]) == (resnet["multiply_adds"], None)
    assert vit["fvcore_multiply_adds"] < vit["multiply_adds"]
    assert vit["fvcore_leaves_out"] == "aten::scaled_dot_product_attention"
    assert said.err == ""


def test_cost_of_several_weights_of_one_architecture(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"torchvision/regnet_y_400mf:IMAGENET1K_V{version}" for version in (1, 2)]
    assert run("cost", *names, "torchvision/regnet_y_400mf", "--no-throughput", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["model"] for row in rows] == [*names, "torchvision/regnet_y_400mf"]
    assert len({row["multiply_adds"] for row in rows}) == 1


@pytest.mark.parametrize("size", ["1", "230x224", "1000"])
@pytest.mark.parametrize("model", ["torchvision/vit_b_16", "timm/maxvit_tiny_tf_224", "timm/inception_v3"])
def test_cost_at_any_size_is_a_number_or_one_sentence(model: str, size: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = run("cost", model, "--input-size", size, "--no-throughput", "--json")
    printed = capsys.readouterr()
    assert status == 0 or (status == 2 and printed.err.startswith("duo cost: ") and printed.err.count("\n") == 1)


def test_what_was_chosen_or_left_out_is_said(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A choice of weights, of an order of the classes, and the answers at chance that follow, each in a line."""
    (images / "dark").rename(images / "x10")
    (images / "light").rename(images / "x9")
    (images / "x9" / "notes.txt").write_text("?")
    state = load_file(checkpoint(tmp_path / "a.safetensors", "resnet20"))
    torch.save({"state_dict": state, "state_dict_ema": {key: value * 0 for key, value in state.items()}}, tmp_path / "a.pth.tar")
    arguments = ["logits", "--store", str(tmp_path), "--set", "s", "--images", f"test={images}", "--models", "resnet20"]
    arguments += ["--checkpoint", f"resnet20={tmp_path / 'a.pth.tar'}", "--no-throughput"]
    assert run(*arguments) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("duo logits: ")]
    assert lines == [
        f"duo logits: left out of '{images}': 1 file of other kinds (.txt 1)",
        "duo logits: classes are numbered in natural order: 0=x9, 1=x10; --class-index text gives 0=x10, 1=x9",
        "duo logits: 'resnet20' has the averaged weights 'state_dict_ema' of 'a.pth.tar', not state_dict; "
        "--weights resnet20=raw takes those",
        "duo logits: images are decoded by this process, 64 at a time (20 images are few): test",
        "duo logits: 'resnet20' is right on 50.0% of the 20 images, 50.0% is chance; were its classes in another order when it was "
        "trained (here: natural; --class-index text|FILE), or its images transformed otherwise?",
    ]
    card = Store(tmp_path).open("s").cards["resnet20"]
    assert (card.weights, card.weights_key) == ("a.pth.tar", "state_dict_ema")
    assert run(*arguments, "--weights", "raw") == 2
    assert "has 'resnet20' with other weights" in capsys.readouterr().err
    assert run(*arguments[:4], "other", *arguments[5:], "--weights", "resnet20=raw", "--class-index", "text") == 0
    assert Store(tmp_path).open("other").classes == ("x10", "x9")
    assert Store(tmp_path).open("other").cards["resnet20"].weights_key == "state_dict"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--weights", "raw"],
            "--weights raw chooses within a checkpoint, but no model of this run has one; give --checkpoint MODEL=FILE",
        ),
        (["--weights", "resnet20=raw"], "--weights names 'raw' for 'resnet20', which has no checkpoint; give one, or leave it out"),
        (["--weights", "other=raw"], "--weights names the model 'other', which is not in this run; it has resnet20"),
        (["--weights", "raw", "ema"], "expected one --weights, got several; leave all but one out"),
    ],
)
def test_choices_of_weights_that_make_no_sense(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cost", "cifar/resnet20", "--no-throughput", *options) == 2
    assert capsys.readouterr().err == f"duo cost: {message}\n"


def test_zoo_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("zoo", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert list(rows[0]) == ["name", "model", "source", "family", "role", "input_size", "parameters"]
    assert sum(row["role"] == "base" for row in rows) == 4
    assert run("cost", "torchvision/shufflenet_v2_x0_5", "cifar/resnet20", "--no-throughput", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert list(rows[0]) == [
        "model",
        "input_size",
        "classes",
        "multiply_adds",
        "parameters",
        "images_per_second",
        "device",
        "batch_size",
    ]
    assert rows[0]["multiply_adds"] == pytest.approx(40e6, rel=0.03)
    assert (rows[0]["parameters"], rows[0]["images_per_second"]) == (1366792, None)
    assert run("cost", "cifar/resnet20", "--batch-size", "2", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["batch_size"] == 2
    assert row["images_per_second"] > 0


@pytest.mark.parametrize(
    "command",
    [
        ("fit", "--base", "a", "--sidekick", "b"),
        ("fit", "--members", "a", "b"),
        ("sweep",),
        ("sweep", "--size", "3"),
        ("diversity",),
        ("threshold", "--base", "a", "--sidekick", "b"),
        ("report", "--out", "r.html"),
    ],
    ids=" ".join,
)
def test_a_set_without_a_split_to_fit_on_is_said_by_every_command(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, splits=("test",), models=("large", "small"))
    words = [{"a": "large", "b": "small"}.get(word, word) for word in command]
    assert main([*words, "--set", "toy", "--store", str(tmp_path)]) == 2
    found = capsys.readouterr()
    assert not found.out
    assert "val" in found.err
    assert len(found.err.splitlines()) == 1
    assert not (tmp_path / "r.html").exists()
