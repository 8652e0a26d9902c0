"""`duo import`: files become a set of the store, whole or not at all, and nothing in it is written over unasked."""

import json
import os
import time

import numpy as np
import pytest
import torch
from logit_files import FORMATS, arrays, npz

from duo_core.__main__ import main
from duo_core.common.arrays import InputError
from duo_core.formats import Cost, Options, Upload, costs_of, known_cost, read
from duo_core.logits.store import Store, import_set, safe_name
from duo_core.logits.store import importing as importing_module
from duo_core.models.zoo import table
from duo_core.systems.sweep import evaluate

MEMBERS = arrays()
PAIR = ["--base", "large", "--sidekick", "small", "--json"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUO_STORE", str(tmp_path / "store"))
    return tmp_path


def put(name="a.npz", **changed):
    members = {**MEMBERS, **{key.replace("__", "/"): values for key, values in changed.items()}}
    with open(name, "wb") as file:
        file.write(npz({key: values for key, values in members.items() if values is not None}))
    return name


def bytes_of(folder):
    return {
        file.name: file.read_bytes() for file in (folder / "store" / "mine").iterdir() if file.is_file() and file.name != ".lock"
    }


@pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS)
def test_a_set_of_the_store_gives_what_its_files_gave(make, folder, capsys):
    paths = []
    for file in make(MEMBERS):
        (folder / file.name).write_bytes(file.content)
        paths.append(file.name)
    assert main(["import", *paths, "--set", "mine", "--title", "My models", "--cost", "large=400:7", "small=100"]) == 0
    assert "large, small in the set 'mine'" in capsys.readouterr().out
    assert main(["fit", "--file", *paths, "--cost", "large=400", "small=100", *PAIR]) == 0
    expected = json.loads(capsys.readouterr().out)
    assert main(["fit", "--set", "mine", *PAIR]) == 0
    assert json.loads(capsys.readouterr().out) == expected | {"set": "mine"}
    own = Store().open("mine")
    card = own.cards["large"]
    assert (own.title, card.source, card.model, card.multiply_adds, card.parameters) == (
        "My models",
        "upload",
        "upload/large",
        400,
        7,
    )
    assert own.about["how"]["val"].startswith("200 of the 600 rows")
    assert sorted(own.ids["val"]) == own.ids["val"]


def test_importing_again_changes_nothing_and_other_models_are_added(folder, capsys):
    assert main(["import", put(), "--set", "mine"]) == 0
    before = bytes_of(folder)
    assert main(["import", "a.npz", "--set", "mine", "--json"]) == 0
    capsys.readouterr()
    assert main(["import", "a.npz", "--set", "mine", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["written"], sorted(document["present"])) == ([], ["large", "small"])
    assert bytes_of(folder) == before
    put("more.npz", logits__large=None, logits__small=None, logits__third=MEMBERS["logits/small"] * 2)
    assert main(["import", "more.npz", "--set", "mine"]) == 0
    assert set(Store().open("mine").models("val", "test")) == {"large", "small", "third"}
    assert {name: content for name, content in bytes_of(folder).items() if name in before} == before


@pytest.mark.parametrize("other", ["large", "small", "both"])
def test_other_logits_under_a_name_that_is_there_are_refused_and_nothing_is_written(other, folder, capsys):
    main(["import", put(), "--set", "mine"])
    before = bytes_of(folder)
    changed = {f"logits__{name}": MEMBERS[f"logits/{name}"] + 1 for name in ("large", "small") if other in (name, "both")}
    put("b.npz", **changed, logits__new=MEMBERS["logits/large"] * 3)
    assert main(["import", "b.npz", "--set", "mine"]) == 2
    assert "which it has with other logits; nothing was written: give them other names" in capsys.readouterr().err
    assert bytes_of(folder) == before
    assert main(["import", "b.npz", "--set", "mine", "--force"]) == 0
    own = Store().open("mine")
    assert set(own.cards) == {"large", "small", "new"}
    expected = read([Upload("b.npz", (folder / "b.npz").read_bytes())]).opened()
    assert all(torch.equal(own.logits(model, "test"), expected.logits(model, "test")) for model in own.cards)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": (MEMBERS["labels"] + 1) % 5}, "other images as its split"),
        (
            {"logits__large": MEMBERS["logits/large"][:, :5] @ np.ones((5, 6), "f4"), "logits__small": np.zeros((600, 6), "f4")},
            "has 5 classes",
        ),
        ({"class_names": np.array(list("abcde"))}, "has 5 classes"),
    ],
    ids=["labels", "classes", "names"],
)
def test_another_set_of_images_is_refused_even_by_force(changed, message, folder, capsys):
    main(["import", put(), "--set", "mine"])
    before = bytes_of(folder)
    assert main(["import", put("b.npz", **changed), "--set", "mine", "--force"]) == 2
    assert message in capsys.readouterr().err
    assert bytes_of(folder) == before


@pytest.mark.parametrize(
    "broken", [{"labels": MEMBERS["labels"] + 1}, {"labels": None}, {"logits__large": MEMBERS["logits/large"] * np.nan}]
)
def test_what_a_check_refuses_is_not_imported(broken, folder, capsys):
    assert main(["import", put(**broken), "--set", "mine"]) == 2
    assert not (folder / "store").exists()


@pytest.mark.parametrize("name", ["../out", "a/b", "", ".hidden"])
def test_a_set_has_a_name_that_a_folder_can_have(name, folder, capsys):
    assert main(["import", put(), "--set", name]) == 2
    assert "expected a set name of letters" in capsys.readouterr().err
    assert not (folder / "store").exists()


@pytest.mark.parametrize(
    ("name", "safe"),
    [("run 3/vit (b)", "run-3-vit-b"), ("../../x", "x"), ("labels", "labels-model"), ("LABELS", "LABELS-model"), ("=1+1", "1-1")],
)
def test_names_that_a_file_cannot_have_are_changed_and_that_is_said(name, safe, folder, capsys):
    put(logits__large=None, **{f"logits__{name.replace('/', '__')}": MEMBERS["logits/large"]})
    assert safe_name(name) == safe
    assert main(["import", "a.npz", "--set", "mine"]) == 0
    assert f"'{name}' is called '{safe}' in the set" in capsys.readouterr().err
    assert set(Store().open("mine").cards) == {safe, "small"}
    assert main(["import", "a.npz", "--set", "yours", "--name", f"logits/mine=logits/{name}"]) == 0
    assert set(Store().open("yours").cards) == {"mine", "small"}


def test_two_names_that_become_one_are_refused(folder, capsys):
    own = read([Upload("a.npz", npz(arrays(models=(("a b", 3.0), ("a-b", 2.0)))))]).opened()
    with pytest.raises(InputError, match="expected a name of its own for each model, got 'a-b'"):
        import_set(Store(), "mine", own)
    import_set(Store(), "mine", own, names={"a b": "first"})
    assert set(Store().open("mine").cards) == {"first", "a-b"}


def test_float64_is_rounded_and_that_is_said(folder, capsys):
    put(logits__large=MEMBERS["logits/large"].astype("f8") + 1e-9, logits__small=MEMBERS["logits/small"].astype("f2"))
    assert main(["import", "a.npz", "--set", "mine"]) == 0
    assert "a set holds float32, so the float64 logits of large were rounded" in capsys.readouterr().err
    own = Store().open("mine")
    assert [own.logits(model, "val").dtype for model in ("large", "small")] == [torch.float32, torch.float16]
    put("b.npz", logits__large=MEMBERS["logits/large"].astype("f8") * 1e300)
    assert main(["import", "b.npz", "--set", "yours"]) == 2
    assert "that float32 can hold" in capsys.readouterr().err


def test_a_new_set_is_there_whole_or_not_at_all(folder, monkeypatch):
    own = read([Upload("a.npz", npz(MEMBERS))]).opened()
    written = []

    def stopped(self, name, card, logits):
        written.append(card.name)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Store, "write_model", stopped)
    with pytest.raises(KeyboardInterrupt):
        import_set(Store(), "mine", own)
    assert list((folder / "store").iterdir()) == []


def test_what_a_killed_run_left_is_no_set_and_is_removed_by_the_next(folder):
    names = {"dead": 999_999_999, "fresh": 999_999_998, "alive": os.getppid()}
    left = {name: folder / "store" / f"{importing_module.PREFIX}{name}.{process}" for name, process in names.items()}
    for name, place in left.items():
        (place / "mine").mkdir(parents=True)
        (place / "mine" / "set.json").write_text("{}")
        for path in (place / "mine" / "set.json", place / "mine", place) if name != "fresh" else ():
            os.utime(path, (time.time() - 1000,) * 2)
    assert Store().names() == []
    main(["import", put(), "--set", "mine"])
    assert {name for name, place in left.items() if place.exists()} == {"fresh", "alive"}
    assert Store().names() == ["mine"]


def test_costs_can_be_completed_later(folder, capsys):
    main(["import", put(), "--set", "mine"])
    (folder / "costs.tsv").write_text("model\tGMACs\tparams (M)\nlarge\t4.1\t25.6\nother\t1\t1\n")
    assert main(["import", "a.npz", "--set", "mine", "--costs", "costs.tsv"]) == 0
    cards = Store().open("mine").cards
    assert (cards["large"].multiply_adds, cards["large"].parameters, cards["small"].multiply_adds) == (
        4_100_000_000,
        25_600_000,
        None,
    )


@pytest.mark.parametrize(
    "text",
    [
        "a\t1.2G\t300M\nb\t5e8\t",
        "a, 1200000000, 300000000\nb, 500M, -",
        "model;multiply_adds;parameters\na;1.2 G;300 M\nb;0.5G;",
        "| name | params (M) | GFLOPs |\n|---|---|---|\n| a | 300 | 1.2 |\n| `b` | - | 0.5 |",
        "Architecture\tTop-1\tMACs\tParams\na\t80.1\t1,200,000,000\t300,000,000\nb\t70.2\t500,000,000\t?",
        "# counted by hand\na\t1.2 GMACs\t300M params\n\nb\t500 MFLOPs",
    ],
)
def test_costs_of_a_table(text):
    assert costs_of(text) == {"a": Cost(1_200_000_000, 300_000_000), "b": Cost(500_000_000, None)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a table of costs"),
        ("a, 1G\na, 2G", "the name of another model in line 2 of the costs, got 'a'"),
        ("a, many\nb, 2G", "in line 1 of the costs, got 'many'"),
        ("params, flops\n1, 2", "expected columns model, multiply_adds and parameters in the first line"),
        ("a, 2G\nb, many", "expected a whole number as 4100000000 or 4.1G in line 2 of the costs, got 'many'"),
        ("model,gmacs,params\na,4.1,25.6", "line 2 of the costs, got '25.6'"),
        ("a, -3", "got '-3'"),
        ("a, 0", "got '0'"),
        ("a\nb", "got 'a' alone"),
    ],
)
def test_costs_that_mean_nothing_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        costs_of(text)


def test_costs_of_every_model_of_the_zoo_are_known_by_name():
    assert {spec.name for spec in table()} == {spec.name for spec in table() if known_cost(spec.name)}
    assert known_cost("torchvision/resnet50:IMAGENET1K_V2") == known_cost("resnet50")
    assert known_cost("mine") is None


def test_known_costs_are_what_duo_cost_counts(capsys):
    assert main(["cost", "resnet18", "shufflenet_v2_x0_5", "resnet20", "--no-throughput", "--json"]) == 0
    for row in json.loads(capsys.readouterr().out):
        known = known_cost(row["model"])
        assert (known.cost.multiply_adds, known.cost.parameters, known.classes) == (
            row["multiply_adds"],
            row["parameters"],
            row["classes"],
        )
        assert known.input_size == "x".join(map(str, row["input_size"]))


def test_a_model_of_the_table_that_the_files_lack_is_no_error():
    reading = read(
        [Upload("a.npz", npz(MEMBERS))], Options(cost_table={"large": Cost(4), "none": Cost(5)}, costs={"large": Cost(3)})
    )
    assert reading.opened().cards["large"].multiply_adds == 3
    assert evaluate(reading.opened(), "large", "small").flops_balance is None
