"""Files as people have them: arrays under other names, probabilities with zeros, tables without headings, rows in other orders."""

import io
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from logit_files import arrays, csv, npz, softmax, table

from duo_core.__main__ import main
from duo_core.common.arrays import InputError
from duo_core.formats import Cost, Options, Upload, read
from duo_core.formats.checks import FLOOR
from duo_core.formats.costs import costs_of
from duo_core.logits.store import Store
from duo_core.systems.sweep import evaluate


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


LARGE, SMALL, LABELS, IDS = (arrays()[key] for key in ("logits/large", "logits/small", "labels", "ids"))


def votes(kind):
    """Probabilities of which many are 0."""
    rng = np.random.default_rng(3)
    sure = softmax(3 * LARGE)
    if kind == "trees":
        return (
            np.stack([rng.multinomial(40, row) for row in sure.astype(np.float64) / sure.sum(1, keepdims=True, dtype=np.float64)])
            / 40
        )
    if kind == "one hot":
        return np.eye(5)[LARGE.argmax(1)]
    rounded = sure.round(2)
    return rounded / rounded.sum(1, keepdims=True)


@pytest.mark.parametrize("kind", ["trees", "one hot", "rounded"])
@pytest.mark.parametrize("floor", [None, 1e-3])
def test_a_probability_of_zero_is_the_same_in_every_dtype(kind, floor):
    found = []
    for dtype in ("f2", "f4", "f8"):
        members = arrays() | {"logits/large": votes(kind).astype(dtype), "logits/small": SMALL}
        reading = read([Upload("a.npz", npz(members))], Options(take_log=True, floor=floor))
        (said,) = (warning.message for warning in reading.warnings if warning.code == "W08")
        assert f"each is taken as {floor or FLOOR:g};" in said
        found.append(evaluate(reading.opened(), "large", "small").fit)
    for fit in found[:2]:
        assert fit.temperatures == pytest.approx(found[2].temperatures, rel=2e-3)
        assert fit.nll == pytest.approx(found[2].nll, rel=1e-3)


@pytest.mark.parametrize("lean", [15.0, 20.0, 25.0])
def test_what_float16_alone_rounds_to_zero_is_the_same_in_every_dtype(lean):
    """Of 15 it keeps a few steps, of 25 nothing."""
    p, found = softmax(LARGE + lean * np.eye(5)[LARGE.argmax(1)]), []
    for dtype in ("f2", "f4", "f8"):
        members = arrays() | {"logits/large": p.astype(dtype), "logits/small": SMALL}
        reading = read([Upload("a.npz", npz(members))], Options(take_log=True))
        assert "W08" in {warning.code for warning in reading.warnings}
        found.append(evaluate(reading.opened(), "large", "small").fit)
    for fit in found[:2]:
        assert fit.temperatures == pytest.approx(found[2].temperatures, rel=2e-3)
        assert fit.nll == pytest.approx(found[2].nll, rel=1e-3)


def test_a_low_floor_leaves_all_but_zero_as_it_is():
    p = np.exp(20.0 * np.eye(5)[LABELS])
    members = arrays() | {"logits/large": p / p.sum(1, keepdims=True)}
    own = read([Upload("a.npz", npz(members))], Options(take_log=True, floor=1e-30)).opened()
    assert own.logits("large", "val").min() < np.log(FLOOR) - 5
    (said,) = (w.message for w in read([Upload("a.npz", npz(members))], Options(take_log=True)).warnings if w.code == "W08")
    assert said.startswith("0.8 of the probabilities are below 1e-06, that of the true class in 0.00% of the rows; each is")


NAMED = {
    "targets": {"model_a": LARGE, "model_b": SMALL, "targets": LABELS},
    "numbered": {"arr_0": LARGE, "arr_1": SMALL, "arr_2": LABELS},
    "beside others": {"net_logits": LARGE, "other": SMALL, "y": LABELS, "features": LARGE[:, :3], "group": LABELS % 2},
}


@pytest.mark.parametrize("case", NAMED)
def test_arrays_are_what_a_person_says(case, folder, capsys):
    members = NAMED[case]
    one, other = list(members)[:2]
    labels = next(name for name in members if members[name] is LABELS)
    (folder / "a.npz").write_bytes(npz(members))
    assert main(["check", "a.npz"]) == 0
    assert "W09 a.npz" in capsys.readouterr().err
    said = ["--name", f"logits/large={one}", f"logits/small={other}", f"labels={labels}"]
    assert main(["fit", "--file", "a.npz", "--base", "large", "--sidekick", "small", "--json", *said]) == 0
    found = json.loads(capsys.readouterr().out)
    plain = {key: value for key, value in arrays().items() if key in ("logits/large", "logits/small", "labels")}
    expected = evaluate(read([Upload("a.npz", npz(plain))]).opened(), "large", "small").document()
    assert found["variants"] == expected["variants"]
    assert main(["convert", "a.npz", "--out", "b.npz", *said]) == 0
    assert set(np.load("b.npz")) == {"logits/large", "logits/small", "labels"}


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (["labels=nothing"], "expected an array 'nothing' for --name labels, got none; a.npz has 'arr_0', 'arr_1', 'arr_2'"),
        (["answer=arr_2"], "expected logits/MODEL, labels, ids, split, class_names, .* got 'answer'"),
        (["labels=arr_2", "labels=arr_0"], "labels"),
    ],
)
def test_what_is_said_wrong_is_refused(said, complaint, folder, capsys):
    (folder / "a.npz").write_bytes(npz(NAMED["numbered"]))
    assert main(["check", "a.npz", "--name", *said]) == 2
    assert re.search(complaint, capsys.readouterr().err)


def test_files_of_one_model_are_put_together(folder, capsys):
    np.save("resnet.npy", LARGE)
    np.save("vit.npy", SMALL)
    np.save("labels.npy", LABELS)
    assert main(["fit", "--file", "resnet.npy", "vit.npy", "labels.npy", "--base", "resnet", "--sidekick", "vit", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["k"] == 5
    (folder / "same.npz").write_bytes(npz({"arr_0": LARGE, "arr_1": LABELS}))
    (folder / "name.npz").write_bytes(npz({"arr_0": SMALL}))
    said = ["--name", "logits/a=same.npz:arr_0", "labels=arr_1", "logits/b=name.npz:arr_0"]
    assert main(["check", "same.npz", "name.npz", *said]) == 0
    assert "base a, sidekick b" in capsys.readouterr().out


@pytest.mark.parametrize("damage", [b"\x93NUMPY\x01", b"no array", b""])
def test_a_damaged_npy_file_is_refused_unread(damage):
    content = io.BytesIO()
    np.save(content, LARGE)
    for spoiled in (damage, content.getvalue()[:-8], content.getvalue() + b"12345678"):
        reading = read([Upload("a.npy", spoiled), Upload("b.npz", npz(arrays()))])
        assert reading.problems[0].code in {"E102", "E103", "E105"}
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    assert read([Upload("a.npy", pickled.getvalue())]).problems[0].code == "E104"


def shuffled(seed):
    return np.random.default_rng(seed).permutation(len(LABELS))


@pytest.mark.parametrize("form", ["csv", "npz", "parquet", "txt"])
def test_labels_are_joined_on_names_or_it_is_said_that_they_are_not(form, folder, capsys):
    for model in ("large", "small"):
        (folder / f"{model}.csv").write_bytes(csv(table(arrays(), model).drop(columns=["target", "split"], errors="ignore")))
    order = shuffled(1)
    if form == "npz":
        np.savez("truth.npz", ids=IDS[order], labels=LABELS[order])
    elif form == "txt":
        np.savetxt("truth.txt", LABELS)
    else:
        frame = pd.DataFrame({"filename": IDS[order], "target": LABELS[order]})
        frame.to_csv("truth.csv", index=False) if form == "csv" else frame.to_parquet("truth.parquet")
    command = ["convert", "--model", "large=large.csv", "small=small.csv", "--labels", f"truth.{form}", "--out", "o.npz"]
    assert main(command) == 0
    assert ("W13 truth.txt: not all files name their rows" in capsys.readouterr().err) == (form == "txt")
    found = np.load("o.npz")
    by_name = dict(zip(found["ids"].tolist(), found["labels"].tolist(), strict=True))
    assert by_name == dict(zip(IDS.tolist(), LABELS.tolist(), strict=True))


def test_names_that_labels_lack_or_repeat_are_refused(folder, capsys):
    (folder / "large.csv").write_bytes(csv(table(arrays(), "large").drop(columns=["target", "split"], errors="ignore")))
    frame = pd.DataFrame({"filename": IDS, "target": LABELS})
    frame.iloc[1:].to_csv("few.csv", index=False)
    assert main(["convert", "large.csv", "--labels", "few.csv", "--out", "few.npz"]) == 0
    assert "1 images are not in every file and were left out" in capsys.readouterr().err
    frame.iloc[[*range(len(frame)), 0]].to_csv("twice.csv", index=False)
    assert main(["convert", "large.csv", "--labels", "twice.csv", "--out", "o.npz"]) == 2
    assert "ids of twice.csv occur more than once" in capsys.readouterr().err


def test_models_in_different_orders_are_joined_on_names(folder):
    order = shuffled(2)
    (folder / "large.csv").write_bytes(csv(table(arrays(), "large")))
    (folder / "small.csv").write_bytes(csv(table(arrays(), "small").iloc[order]))
    assert main(["convert", "--model", "large=large.csv", "small=small.csv", "--out", "o.npz"]) == 0
    found = np.load("o.npz")
    rows = {name: row for row, name in enumerate(IDS.tolist())}
    at = [rows[name] for name in found["ids"].tolist()]
    np.testing.assert_allclose(found["logits/small"], SMALL[at], rtol=1e-6)


@pytest.mark.parametrize("command", ["convert", "sweep", "report"])
def test_nothing_is_overwritten_unless_forced(command, folder, capsys):
    (folder / "a.npz").write_bytes(npz(arrays()))
    out = {"convert": "o.npz", "sweep": "o.csv", "report": "o.html"}[command]
    words = [command, *(["a.npz"] if command == "convert" else ["--file", "a.npz"]), "--out", out]
    (folder / out).write_text("mine")
    assert main(words) == 2
    assert f"got '{out}', which is there already; name another, or replace it with --force" in capsys.readouterr().err
    assert (folder / out).read_text() == "mine"
    assert main([*words, "--force"]) == 0
    assert (folder / out).stat().st_size > 100


def test_the_advice_for_several_files_is_one_command_that_works(folder, capsys):
    torch.save(torch.from_numpy(LARGE), "one.pt")
    torch.save([torch.from_numpy(part) for part in np.array_split(SMALL, 7)], "two.pth")
    np.save("LABELS.npy", LABELS)
    assert main(["check", "one.pt", "two.pth"]) == 2
    advice = {line.partition("run duo ")[2].partition(" on your own")[0] for line in capsys.readouterr().err.splitlines()} - {""}
    assert len(advice) == 1
    assert main(advice.pop().replace("LABELS", "LABELS.npy").split()) == 0
    assert set(np.load("logits.npz")) == {"logits/one", "logits/two", "labels"}
    np.testing.assert_array_equal(np.load("logits.npz")["logits/two"], SMALL)


def test_a_pair_of_tensors_is_logits_and_labels(folder):
    torch.save((torch.from_numpy(LARGE), torch.from_numpy(LABELS)), "both.pt")
    assert main(["convert", "both.pt", "--out", "o.npz"]) == 0
    assert np.array_equal(np.load("o.npz")["labels"], LABELS)


TEXTS = {
    "byte-order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 of the other end": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "trailing commas": lambda text: text.replace("\n", ",\n").encode(),
    "lines of Windows": lambda text: text.replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_tables_as_spreadsheets_write_them(kind):
    files = [Upload(f"{model}.csv", TEXTS[kind](csv(table(arrays(), model)).decode())) for model in ("large", "small")]
    plain = [Upload(f"{model}.csv", csv(table(arrays(), model))) for model in ("large", "small")]
    found, expected = (evaluate(read(of).opened(), "large", "small").metrics for of in (files, plain))
    assert found == expected


def test_a_table_with_the_index_of_pandas():
    files = [Upload(f"{model}.csv", table(arrays(), model).to_csv().encode()) for model in ("large", "small")]
    assert read(files).opened().k == 5


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_without_headings_says_what_to_write(delimiter):
    text = io.StringIO()
    np.savetxt(text, LARGE, delimiter=delimiter)
    (problem, *_) = read([Upload("a.csv", text.getvalue().encode()), Upload("b.npz", npz(arrays()))]).problems
    assert "the first line holds numbers" in problem.message
    assert "names the 5 columns, separated by commas: logit_0,logit_1,logit_2,...,logit_4 where all are logits" in problem.message


def test_costs_as_people_paste_them():
    text = "Model\tMACs\tParams\nresnet50\t4.09G\t25.6M\nvit_b\t17,582,740,224\t-\nb0\t390 MMACs\t5.3m\n\n"
    assert costs_of(text) == {
        "resnet50": Cost(4_090_000_000, 25_600_000),
        "vit_b": Cost(17_582_740_224, None),
        "b0": Cost(390_000_000, 5_300_000),
    }
    for wrong, message in (("a,many", "expected a whole number"), ("a", "got 'a' alone"), ("a,1\na,2", "another model")):
        with pytest.raises(InputError, match=message):
            costs_of(wrong)


def test_files_become_a_set_of_the_store(folder, capsys):
    (folder / "a.npz").write_bytes(npz(arrays()))
    (folder / "costs.csv").write_text("large,4G,25M\nsmall,300M,2M\n")
    command = ["import", "a.npz", "--set", "mine", "--store", "store", "--title", "Mine"]
    assert main([*command, "--costs", "costs.csv"]) == 0
    own, plain = Store(folder / "store").open("mine"), read([Upload("a.npz", npz(arrays()))]).opened()
    assert own.flops_balance("large", "small") == 0.075
    assert own.title == "Mine"
    assert evaluate(own, "large", "small").metrics == evaluate(plain, "large", "small").metrics
    assert main(command) == 0, "the same again changes nothing"
    assert "nothing new in the set 'mine'" in capsys.readouterr().out
    other = arrays() | {"logits/large": LARGE + 1 * np.eye(5, dtype="f4")[0]}
    (folder / "a.npz").write_bytes(npz(other))
    assert main(command) == 2
    assert "got 'large', which it has with other logits" in capsys.readouterr().err
    assert evaluate(Store(folder / "store").open("mine"), "large", "small").metrics == evaluate(plain, "large", "small").metrics
    assert main([*command, "--force"]) == 0
    assert torch.equal(Store(folder / "store").open("mine").logits("small", "val"), plain.logits("small", "val"))
    (folder / "a.npz").write_bytes(npz(arrays() | {"labels": (LABELS + 1) % 5}))
    assert main([*command, "--force"]) == 2
    assert "other images as its split" in capsys.readouterr().err


def test_costs_of_other_models_are_refused(folder, capsys):
    (folder / "a.npz").write_bytes(npz(arrays()))
    (folder / "costs.csv").write_text("huge,4G\n")
    assert main(["import", "a.npz", "--set", "mine", "--store", "store", "--costs", "costs.csv"]) == 2
    assert "expected costs of the files' models (large, small), got 'huge'" in capsys.readouterr().err
    assert not (folder / "store").exists()
