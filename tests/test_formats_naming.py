"""What arrays are: under other names, without names, one a file, as a person says; and the floor of probabilities."""

import io
import json
import re
import shlex

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from logit_files import FORMATS, arrays, csv, npz, safetensors_file, softmax, table, torch_file

from duo_core.__main__ import main
from duo_core.common.arrays import InputError
from duo_core.formats import Options, Upload, read
from duo_core.formats.writing import prepared
from duo_core.systems.sweep import evaluate

MEMBERS = arrays()
LARGE, SMALL, LABELS, IDS = (MEMBERS[name] for name in ("logits/large", "logits/small", "labels", "ids"))
PLAIN = {name: values for name, values in MEMBERS.items() if name != "ids"}


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def result(files, options=None, pair=("large", "small")):
    found = evaluate(read(files, options).opened(), *pair, "test").document()
    return {key: found[key] for key in ("temperatures", "variants", "n_fit", "n_eval")}


EXPECTED = result([Upload("a.npz", npz(PLAIN))])


def notes(files, options=None):
    return [warning.message for warning in read(files, options).warnings if warning.code == "W09"]


def write(folder, **files):
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "labels", ["targets", "y_true", "ground_truth", "gt", "true_labels", "y_test", "class_id", "arr_2", "whatever"]
)
@pytest.mark.parametrize("make", [npz, safetensors_file], ids=["npz", "safetensors"])
def test_the_one_array_of_classes_beside_the_logits_is_the_labels_and_that_is_said(labels, make):
    content = make({"logits/large": LARGE, "logits/small": SMALL, labels: LABELS})
    file = Upload("a.npz" if make is npz else "a.safetensors", content)
    assert result([file]) == EXPECTED
    assert any(f"'{labels}' (600,) is read as labels" in note for note in notes([file]))


@pytest.mark.parametrize("other", ["predictions", "y_pred", "argmax", "index", "image_id", "fold", "epoch"])
def test_what_is_named_as_something_else_is_not_taken_for_labels(other):
    reading = read([Upload("a.npz", npz({"logits/large": LARGE, "logits/small": SMALL, other: LABELS}))])
    assert [problem.code for problem in reading.problems] == ["E103", "E302"]
    both = read([Upload("a.npz", npz({"logits/large": LARGE, "logits/small": SMALL, other: LARGE.argmax(1), "truth": LABELS}))])
    assert both.logit_set is not None
    assert f"'{other}' left out" in both.warnings[-1].message


@pytest.mark.parametrize(
    "values",
    [np.arange(600), LABELS * 0, LABELS + 7, np.r_[LABELS[:-1], 99], (LABELS + 0.5).astype("f4")],
    ids=["a count", "all the same", "beyond the classes", "one beyond", "fractions"],
)
def test_numbers_that_cannot_be_the_classes_are_not_taken(values):
    reading = read([Upload("a.npz", npz({"logits/large": LARGE, "logits/small": SMALL, "what": values}))])
    assert "E302" in {problem.code for problem in reading.problems}


def test_two_that_can_be_the_labels_are_asked_for():
    files = [Upload("a.npz", npz({"logits/large": LARGE, "logits/small": SMALL, "one": LABELS, "two": LABELS[::-1].copy()}))]
    assert {problem.code for problem in read(files).problems} == {"E103", "E302"}
    assert "--name labels=ARRAY" in read(files).problems[-1].message
    assert result(files, Options(names=[("labels", "one")])) == EXPECTED


@pytest.mark.parametrize(
    ("names", "models"),
    [
        (("model_a", "model_b"), ("model_a", "model_b")),
        (("resnet_logits", "vit_logits"), ("resnet", "vit")),
        (("logits_x", "logits_y"), ("x", "y")),
        (("arr_0", "arr_1"), ("arr_0", "arr_1")),
    ],
)
def test_arrays_of_floats_alike_are_models(names, models):
    file = Upload("a.npz", npz({names[0]: LARGE, names[1]: SMALL, "targets": LABELS}))
    assert tuple(read([file]).opened().cards) == models
    assert result([file], pair=models) == EXPECTED


@pytest.mark.parametrize("key", ["logits", "predictions", "outputs", "arr_0", "scores"])
def test_a_single_one_is_called_as_its_file(key):
    files = [Upload(f"{model}.npz", npz({key: values, "y": LABELS})) for model, values in (("large", LARGE), ("small", SMALL))]
    assert result(files) == EXPECTED


@pytest.mark.parametrize(
    "others",
    [
        {"logits": LARGE, "probs": softmax(LARGE).astype("f4")},
        {"val": LARGE[:200], "test": LARGE[200:]},
        {"first": LARGE, "second": LARGE[:, :4].copy()},
    ],
    ids=["probabilities of the same", "two splits", "other classes"],
)
def test_arrays_that_may_be_something_else_are_asked_for(others):
    reading = read([Upload("a.npz", npz({**others, "labels": LABELS}))])
    assert reading.logit_set is None
    assert {problem.code for problem in reading.problems} <= {"E103", "E201"}
    assert "--name" in reading.problems[0].message
    names = [("logits/large", next(iter(others))), ("logits/small", "small"), ("labels", "labels")]
    if len(next(iter(others.values()))) == 600:
        assert result([Upload("a.npz", npz({**others, "small": SMALL, "labels": LABELS}))], Options(names=names)) == EXPECTED


def test_features_are_no_logits():
    file = Upload("large.npz", npz({"features": np.zeros((600, 64), "f4"), "out": LARGE, "labels": LABELS}))
    assert result([file, Upload("small.npy", npy(SMALL))]) == EXPECTED
    assert "'features' left out" in notes([file])[1]


MIXED = {
    "npy": lambda: [Upload("large.npy", npy(LARGE)), Upload("small.npy", npy(SMALL)), Upload("labels.npy", npy(LABELS))],
    "npy, other names": lambda: [
        Upload("large.npy", npy(LARGE)),
        Upload("small.npy", npy(SMALL)),
        Upload("y_test.npy", npy(LABELS)),
    ],
    "npz and npy": lambda: [Upload("large.npz", npz({"arr_0": LARGE, "arr_1": LABELS})), Upload("small.npy", npy(SMALL))],
    "safetensors and npz": lambda: [
        Upload("large.safetensors", safetensors_file({"logits": LARGE})),
        Upload("small.npz", npz({"logits": SMALL, "targets": LABELS})),
    ],
    "csv and npy": lambda: [
        Upload("large.csv", csv(table(MEMBERS, "large").drop(columns="filename"))),
        Upload("small.npy", npy(np.asfortranarray(SMALL))),
    ],
    "npy and parquet": lambda: [
        Upload("large.npy", npy(LARGE)),
        parquet_file("small", table(MEMBERS, "small").drop(columns="filename")),
    ],
}


def parquet_file(name, frame):
    file = io.BytesIO()
    frame.to_parquet(file)
    return Upload(f"{name}.parquet", file.getvalue())


@pytest.mark.parametrize("make", MIXED.values(), ids=MIXED)
def test_files_of_one_model_each_are_put_together(make, folder, capsys):
    assert result(make()) == EXPECTED
    paths = [file.name for file in make()]
    for file in make():
        (folder / file.name).write_bytes(file.content)
    assert main(["check", *paths]) == 0
    assert main(["convert", *paths, "--out", "all.npz"]) == 0
    assert result([Upload("all.npz", (folder / "all.npz").read_bytes())]) == EXPECTED


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (npy(np.array([{}], dtype=object)), "E104"),
        (npy(LARGE)[:-4], "E105"),
        (npy(LARGE) + b"more", "E105"),
        (npy(LARGE).replace(b"(600, 5)", b"(900, 5)"), "E105"),
        (npy(LARGE.astype("c8")), "E106"),
        (b"\x93NUMPY", "E103"),
        (b"\x80\x04K\x01.", "E104"),
        (torch_file(torch.zeros(2)), "E102"),
    ],
)
def test_a_npy_file_is_checked_before_it_is_read(content, code):
    assert [problem.code for problem in read([Upload("a.npy", content), Upload("b.npy", npy(SMALL))]).problems] == [code]


def test_what_a_person_says_goes_first(folder, capsys):
    odd = {"arr_0": SMALL, "arr_1": LARGE, "labels": LABELS[::-1].copy(), "real": LABELS, "names": IDS}
    write(folder, a_npz=npz(odd))
    said = ["--name", "logits/large=arr_1", "logits/small=arr_0", "labels=real"]
    for command in (
        ["check", "a.npz"],
        ["fit", "--file", "a.npz", "--base", "large", "--sidekick", "small"],
        ["sweep", "--file", "a.npz"],
    ):
        assert main([*command, *said, "--json"]) == 0
    assert result([Upload("a.npz", npz(odd))], Options(names=[tuple(word.split("=")) for word in said[1:]])) == EXPECTED
    assert main(["convert", "a.npz", *said, "ids=names", "--out", "b.npz"]) == 0
    assert np.array_equal(np.load("b.npz")["labels"], LABELS)
    assert np.array_equal(np.load("b.npz")["ids"], IDS)


def test_an_array_of_one_file_alone_can_be_said(folder):
    files = [Upload("one/logits.npz", npz({"x": LARGE, "t": LABELS})), Upload("two/logits.npz", npz({"x": SMALL}))]
    given = [Upload("logits.npz", file.content, file.name) for file in files]
    assert "E103" in {problem.code for problem in read(given).problems}
    names = [("logits/large", "one/logits.npz:x"), ("logits/small", "two/logits.npz:x"), ("labels", "t")]
    assert result(given, Options(names=names)) == EXPECTED


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            [("labels", "nothing")],
            r"expected an array 'nothing' for --name labels, got none; a.npz has 'logits/large', 'logits/small', 'labels'",
        ),
        ([("label", "labels")], "expected logits/MODEL, labels, .* got 'label'"),
        ([("labels", "labels"), ("ids", "labels")], "expected one role for 'labels', got labels and ids"),
    ],
)
def test_names_that_mean_nothing_are_refused(names, message):
    with pytest.raises(InputError, match=message):
        read([Upload("a.npz", npz(PLAIN))], Options(names=names))


COLUMNS = [f"logit_{i}" for i in range(5)]


def frame(logits=LARGE, names=COLUMNS, **columns):
    return pd.DataFrame({**columns, **dict(zip(names, logits.T, strict=True))})


def numbered(prefix, start=0):
    return [f"{prefix}{i}" for i in range(start, start + 5)]


@pytest.mark.parametrize("names", [numbered("class_"), numbered("p"), numbered(""), numbered("score ", 1), numbered("out.", 0)])
@pytest.mark.parametrize("labels", ["target", "y_true", "truth", "klasse"])
def test_columns_that_are_numbered_alike_are_logits(names, labels):
    for make in (
        lambda f: Upload("large.csv", csv(f)),
        lambda f: parquet_file("large", f),
        lambda f: Upload("large.tsv", csv(f, sep="\t")),
    ):
        files = [make(frame(names=names, **{labels: LABELS})), Upload("small.npy", npy(SMALL))]
        assert result(files) == EXPECTED
        assert f"the columns '{names[0]}' to '{names[-1]}' are read as logits/large" in notes(files)[0]


def test_several_models_in_one_table_of_other_names():
    both = frame(names=numbered("resnet_"), target=LABELS).join(frame(SMALL, numbered("vit_")))
    assert result([Upload("a.csv", csv(both))], pair=("resnet", "vit")) == EXPECTED
    names = [("logits/large", "resnet_0"), ("logits/small", "vit_0"), ("labels", "target")]
    assert result([Upload("a.csv", csv(both))], Options(names=names)) == EXPECTED


def test_a_column_can_be_said_and_one_beyond_the_classes_is_none():
    table = frame(first=LABELS, second=LABELS[::-1], many=np.arange(600) * 3)
    files = [Upload("large.csv", csv(table)), Upload("small.npy", npy(SMALL))]
    assert {problem.code for problem in read(files).problems} == {"E302"}
    assert result(files, Options(names=[("labels", "first")])) == EXPECTED
    late = frame(first=np.r_[LABELS[:599], 77])
    assert {problem.code for problem in read([Upload("large.csv", csv(late)), files[1]]).problems} == {"E302"}


@pytest.mark.parametrize(
    "write",
    [
        lambda f: f.to_csv().encode(),
        lambda f: f.to_csv(sep=";").encode(),
        lambda f: f.to_csv(sep="\t").encode(),
        lambda f: pd.read_csv(io.BytesIO(f.to_csv().encode())).to_csv(index=False).encode(),
        lambda f: f.to_csv(index=False).replace("\n", ",\n").encode(),
        lambda f: (
            f.to_csv(index=False).partition("\n")[0] + "\n" + f.to_csv(index=False, header=False).replace("\n", ",\n")
        ).encode(),
        lambda f: (f.to_csv(index=False).partition("\n")[0] + ",\n" + f.to_csv(index=False, header=False)).encode(),
        lambda f: f.to_csv(index=False).encode("utf-16"),
        lambda f: b"\xfe\xff" + f.to_csv(index=False).encode("utf-16-be"),
        lambda f: f.to_csv(index=False).encode("utf-32"),
        lambda f: f.to_csv(index=False).encode("utf-8-sig"),
        lambda f: f.to_csv(index=False, sep=";", decimal=",").encode(),
    ],
    ids=[
        "index",
        "semicolons",
        "tabs",
        "Unnamed: 0",
        "trailing",
        "trailing rows",
        "trailing name",
        "utf-16",
        "utf-16 be",
        "utf-32",
        "bom",
        "decimal comma",
    ],
)
def test_tables_as_programs_write_them(write):
    files = [Upload("large.csv", write(frame(target=LABELS))), Upload("small.csv", write(frame(SMALL)))]
    found = read(files).opened()
    assert {model: sum(len(found.logits(model, split)) for split in found.labels) for model in found.cards} == {
        "large": 600,
        "small": 600,
    }
    indexed = bool(found.ids)
    expected = EXPECTED if not indexed else result([Upload("a.npz", npz({**PLAIN, "ids": np.arange(600).astype(str)}))])
    assert result(files) == expected


def test_a_shuffled_table_is_joined_on_the_index_that_pandas_wrote():
    files = [
        Upload("large.csv", frame(target=LABELS).to_csv().encode()),
        Upload("small.csv", frame(SMALL).sample(frac=1, random_state=0).to_csv().encode()),
    ]
    assert result(files) == result([Upload("a.npz", npz({**PLAIN, "ids": np.arange(600).astype(str)}))])


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("1.5,-0.2\n0.1,0.3\n", "logit_0,logit_1 where"),
        ("3,0.1,0.2,0.7\n", "names the 4 columns"),
        ("1.000e+00 2.000e+00 3.000e+00\n", "names the 3 columns"),
        ("img.jpg,0.25,0.75\n", "names the 3 columns"),
        ("-1e-3;2;4\n", "names the 3 columns"),
        ("5,3\n2,4\n", "names the 2 columns"),
    ],
)
def test_a_table_without_a_heading_says_what_to_write(text, needs):
    (problem,) = read([Upload("a.csv", text.encode())]).problems
    assert "the first line holds numbers" in problem.message
    assert "no names of columns" in problem.message
    assert needs in problem.message


def test_what_is_advised_for_a_table_without_a_heading_mends_it():
    text = csv(frame(), header=False)
    (problem,) = read([Upload("large.csv", text), Upload("small.npy", npy(SMALL)), Upload("y.npy", npy(LABELS))]).problems
    assert "logit_0,logit_1,logit_2,...,logit_4" in problem.message
    mended = ",".join(COLUMNS).encode() + b"\n" + text
    assert result([Upload("large.csv", mended), Upload("small.npy", npy(SMALL)), Upload("y.npy", npy(LABELS))]) == EXPECTED


@pytest.mark.parametrize("form", ["%d", "%.1f", "%.18e", "%g"])
@pytest.mark.parametrize("name", ["y.txt", "y.csv", "y.tsv"])
def test_labels_are_read_as_numpy_writes_them(folder, form, name):
    np.savetxt(name, LABELS, fmt=form)
    write(folder, large_npy=npy(LARGE), small_npy=npy(SMALL))
    assert main(["convert", "large.npy", "small.npy", "--labels", name, "--out", "a.npz"]) == 0
    assert result([Upload("a.npz", (folder / "a.npz").read_bytes())]) == EXPECTED
    if name != "y.txt":
        assert main(["check", "large.npy", "small.npy", name]) == 0


@pytest.mark.parametrize("labels", [LABELS + 0.0, LABELS.astype("f4")])
def test_floats_of_a_table_are_labels_where_they_are_whole(labels):
    assert result([Upload("large.csv", csv(frame(target=labels))), Upload("small.csv", csv(frame(SMALL)))]) == EXPECTED
    halves = read([Upload("large.csv", csv(frame(target=labels / 2))), Upload("small.csv", csv(frame(SMALL)))])
    assert [problem.code for problem in halves.problems] == ["E304"]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
    ],
    ids=str,
)
def test_text_of_every_kind_of_arrow(kind):
    split = np.where(np.arange(600) % 3, "test", "val")

    def made(model):
        own = pa.Table.from_pandas(table(MEMBERS, model).drop(columns="filename"), preserve_index=False)
        names = pa.array(IDS.tolist()).cast(kind) if kind != pa.dictionary(pa.int8(), pa.large_string()) else pa.array(IDS.tolist())
        own = own.append_column("filename", names).append_column("split", pa.array(split.tolist()).cast(kind))
        file = io.BytesIO()
        pq.write_table(own, file)
        return Upload(f"{model}.parquet", file.getvalue())

    files = [made("large"), made("small")]
    assert result(files) == result([Upload("a.npz", npz({**MEMBERS, "split": split}))])


def test_categories_of_whole_numbers_are_labels():
    own = table(MEMBERS, "large").assign(target=pd.Categorical(LABELS))
    assert result([parquet_file("large", own), parquet_file("small", table(MEMBERS, "small"))]) == result(FORMATS["npz"](MEMBERS))


# What is advised


COMMAND = re.compile(r"run (duo convert .*?) on your own machine")


@pytest.mark.parametrize(
    "files",
    [
        {
            "large.pt": torch_file(torch.from_numpy(LARGE)),
            "small.pt": torch_file(torch.from_numpy(SMALL)),
            "labels.txt": b"\n".join(str(y).encode() for y in LABELS),
        },
        {
            "large model.pth": torch_file({"logits": torch.from_numpy(LARGE), "labels": torch.from_numpy(LABELS)}),
            "small.npy": npy(SMALL),
        },
        {
            "one/logits.pt": torch_file(torch.from_numpy(LARGE)),
            "two/logits.pt": torch_file((torch.from_numpy(SMALL), torch.from_numpy(LABELS))),
        },
        {"large.npz": npz({"logits": LARGE}), "small.pt": torch_file(torch.from_numpy(SMALL)), "y.npy": npy(LABELS)},
    ],
)
def test_the_command_that_is_advised_for_several_files_works(files, folder, capsys):
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    assert main(["check", *files]) == 2
    commands = set(COMMAND.findall(capsys.readouterr().err))
    assert len(commands) == 1
    words = shlex.split(commands.pop())
    assert ("LABELS" in words) == (not {"labels.txt", "y.npy"} & set(files)), "without --labels where one of them holds them"
    words = [word for word in words if word not in ("--labels", "LABELS")]
    assert main(words[1:]) == 0
    assert main(["check", words[-1]]) == 0
    capsys.readouterr()
    found = read([Upload("a.npz", (folder / words[-1]).read_bytes())])
    assert {round(model.accuracy, 4) for model in found.found.models} == {
        round((x.argmax(1) == LABELS).mean(), 4) for x in (LARGE, SMALL)
    }
    assert main(words[1:]) == 2
    assert "expected a new file, got 'logits.npz', which is there already" in capsys.readouterr().err
    assert main([*words[1:], "--force"]) == 0


@pytest.mark.parametrize("name", ["a.pkl", "a.json", "a.joblib", "a.feather", "a", "a.npz.gz"])
def test_what_convert_does_not_read_either_is_not_sent_there(name, folder, capsys):
    (folder / name).write_bytes(b"x")
    assert main(["check", name]) == 2
    said = capsys.readouterr().err
    assert "run duo convert" not in said
    assert "save plain arrays, numpy.savez(" in said
    assert main(["convert", name, "--out", "b.npz"]) == 2


@pytest.mark.parametrize("order", [np.arange(600)[::-1], np.random.default_rng(3).permutation(600), np.r_[599, 0:599]])
@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_convert_joins_labels_on_the_names_of_the_images(folder, order, kind):
    logits = {model: table(MEMBERS, model).drop(columns="target") for model in ("large", "small")}
    write(folder, large_csv=csv(logits["large"]), small_csv=csv(logits["small"].sample(frac=1, random_state=1)))
    truth = {"filename": IDS[order], "target": LABELS[order]}
    content = {
        "csv": lambda: csv(pd.DataFrame(truth)),
        "parquet": lambda: parquet_file("t", pd.DataFrame(truth)).content,
        "npz": lambda: npz(truth),
    }
    (folder / f"truth.{kind}").write_bytes(content[kind]())
    assert main(["convert", "large.csv", "--model", "small=small.csv", "--labels", f"truth.{kind}", "--out", "o.npz"]) == 0
    assert result([Upload("o.npz", (folder / "o.npz").read_bytes())]) == result(FORMATS["npz"](MEMBERS))


def test_labels_that_cannot_be_joined_are_refused_and_fewer_are_counted(folder, capsys):
    write(folder, large_csv=csv(table(MEMBERS, "large").drop(columns="target")), small_npy=npy(SMALL))
    write(
        folder,
        few_csv=csv(pd.DataFrame({"filename": IDS[:500], "target": LABELS[:500]})[::-1]),
        other_csv=b"filename,target\nx,0\n",
    )
    assert main(["convert", "large.csv", "--labels", "other.csv", "--out", "o.npz"]) == 2
    assert "no id is in every file" in capsys.readouterr().err
    assert main(["convert", "large.csv", "small.npy", "--labels", "few.csv", "--out", "o.npz"]) == 2
    assert (
        "expected ids in every file, since those of 'large.csv', 'few.csv' differ, got none in 'small.npy'"
        in capsys.readouterr().err
    )
    assert not (folder / "o.npz").exists()
    assert main(["convert", "large.csv", "--labels", "few.csv", "--out", "o.npz"]) == 0
    assert "100 images are not in every file and were left out" in capsys.readouterr().err
    assert np.array_equal(np.load("o.npz")["logits/large"], LARGE[:500])


# torch.save


L, S, Y = (torch.from_numpy(values) for values in (LARGE, SMALL, LABELS))
SAVED = {
    "tuple": (L, Y),
    "list": [L, Y],
    "batches": {"logits": list(L.split(64)), "labels": list(Y.split(64))},
    "even batches": {"logits": list(L.split(100)), "labels": list(Y.split(100))},
    "batches of pairs": list(zip(L.split(64), Y.split(64), strict=True)),
    "batches of dictionaries": [{"output": a, "target": b} for a, b in zip(L.split(100), Y.split(100), strict=True)],
    "plain lists": {"logits": L, "labels": LABELS.tolist()},
    "arrays of NumPy": {"logits": LARGE, "labels": LABELS, "loss": np.float64(3)},
    "nested": {"results": {"logits": L, "labels": Y}, "epoch": 3},
}


@pytest.mark.parametrize("content", SAVED.values(), ids=SAVED)
def test_tuples_lists_and_batches_of_torch(content, folder):
    write(folder, large_pt=torch_file(content), small_npy=npy(SMALL))
    assert main(["convert", "large.pt", "small.npy", "--out", "a.npz"]) == 0
    assert result([Upload("a.npz", (folder / "a.npz").read_bytes())]) == EXPECTED


def test_a_list_that_may_be_models_or_batches_is_asked_for(folder, capsys):
    write(folder, a_pt=torch_file([L, S]), y_npy=npy(LABELS))
    assert main(["convert", "a.pt", "--labels", "y.npy", "--out", "b.npz"]) == 2
    assert (
        "a list of 2 tensors of the shape (600, 5), which may be batches or models; save torch.cat(tensors)"
        in capsys.readouterr().err
    )


# Nothing is written over


@pytest.mark.parametrize(
    ("command", "out"),
    [
        (["convert", "a.npz"], "b.npz"),
        (["convert", "a.npz"], "a.npz"),
        (["sweep", "--file", "a.npz"], "b.csv"),
        (["sweep", "--file", "a.npz"], "b.parquet"),
        (["report", "--file", "a.npz", "--base", "large", "--sidekick", "small"], "b.html"),
    ],
)
def test_a_file_is_written_over_only_where_that_is_said(command, out, folder, capsys):
    write(folder, a_npz=npz(PLAIN))
    if out != "a.npz":
        (folder / out).write_text("mine")
    before = (folder / out).read_bytes()
    assert main([*command, "--out", out]) == 2
    assert (
        f"expected a new file, got '{out}', which is there already; name another, or replace it with --force"
        in capsys.readouterr().err
    )
    assert (folder / out).read_bytes() == before
    assert main([*command, "--out", out, "--force"]) == 0
    assert ((folder / out).read_bytes() != before) == (out != "a.npz"), "a file converted into itself is the same"


# Probabilities of 0


def votes(n=1500, k=6, voters=40, seed=5):
    random = np.random.default_rng(seed)
    y = random.integers(0, k, n)
    p = softmax(2 * (random.normal(size=(n, k)) + 2.5 * np.eye(k)[y]))
    q = softmax(4 * (random.normal(size=(n, k)) + 2 * np.eye(k)[y]))  # of which float16 alone rounds some to 0
    return np.stack([random.multinomial(voters, row) for row in p]) / voters, q, y


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [2, 6, 150])
def test_probabilities_give_one_answer_whatever_their_dtype(seed, k):
    p, q, y = votes(k=k, seed=seed)
    members = {"labels": y, "split": np.arange(len(y)) % 2}
    found = {
        dtype: evaluate(
            read(
                [Upload("a.npz", npz({"logits/p": p.astype(dtype), "logits/q": q.astype(dtype), **members}))],
                Options(take_log=True),
            ).opened(),
            "p",
            "q",
        ).document()
        for dtype in ("f2", "f4", "f8")
    }
    for dtype, near in (("f2", 2e-3), ("f4", 1e-5)):
        assert found[dtype]["temperatures"] == pytest.approx(found["f8"]["temperatures"], rel=near)
        assert found[dtype]["nll_fit"] == pytest.approx(found["f8"]["nll_fit"], rel=near)


def test_zeros_are_said_with_their_share_and_the_floor_can_be_given(folder, capsys):
    p, q, y = votes()
    write(folder, a_npz=npz({"logits/p": p, "logits/q": np.maximum(q, 1e-5), "labels": y}))
    cells, true = (p == 0).mean(), (p[np.arange(len(y)), y] == 0).mean()
    assert main(["check", "a.npz", "--log", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (warning,) = [w for w in document["warnings"] if w["code"] == "W08"]
    assert warning["where"] == "a.npz, logits/p"
    assert f"{cells:.3g} of the probabilities are 0, that of the true class in {true:.2%} of the rows" in warning["message"]
    assert (
        "each is taken as 1e-06; float16 rounds such values to 0, whose logarithm is minus infinity, so the result hangs on"
        in warning["message"]
    )
    fits = []
    for floor in ("1e-3", "1e-6", "1e-30"):
        assert main(["fit", "--file", "a.npz", "--log", "--floor", floor, "--base", "p", "--sidekick", "q", "--json"]) == 0
        said = capsys.readouterr()
        assert f"each is taken as {float(floor):g};" in said.err
        fits.append(json.loads(said.out)["temperatures"]["base"])
    assert len(set(fits)) == 3
    assert main(["convert", "a.npz", "--log", "--floor", "1e-4", "--out", "b.npz"]) == 0
    assert "W08 b.npz, logits/p" in capsys.readouterr().err
    assert np.load("b.npz")["logits/p"].min() == np.log(1e-4)


def test_probabilities_without_a_small_one_give_no_warning_and_are_not_changed():
    p, _, y = votes()
    kept = np.maximum(p, 1e-3) / np.maximum(p, 1e-3).sum(1, keepdims=True)
    members = {"logits/p": kept, "labels": y}
    assert np.array_equal(prepared(members, "a.npz", log=True)["logits/p"], np.log(kept))
    reading = read([Upload("a.npz", npz({**members, "logits/q": kept[:, ::-1].copy()}))], Options(take_log=True))
    assert "W08" not in {warning.code for warning in reading.warnings}


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_rounded_probabilities_are_still_recognised(digits):
    p = softmax(3 * LARGE).round(digits)
    assert [problem.code for problem in read([Upload("a.npz", npz({**PLAIN, "logits/large": p}))]).problems] == ["E202"] * (
        digits > 2
    )


@pytest.mark.parametrize("floor", ["0", "1", "-1e-3", "nan", "x"])
def test_a_floor_that_is_no_probability_is_refused(floor, capsys):
    with pytest.raises(SystemExit):
        main(["check", "a.npz", "--log", f"--floor={floor}"])
    assert "expected a probability above 0 and below 1" in capsys.readouterr().err
