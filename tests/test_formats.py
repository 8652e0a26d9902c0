"""Every code and warning is raised by a file of its own, through the reader and through the command line."""

import dataclasses
import io
import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from logit_files import FORMATS, arrays, csv, npz, parquet, safetensors_file, softmax, table, torch_file
from safetensors.torch import save as save_torch

from duo_core.__main__ import main
from duo_core.formats import CODES, OPENERS, Options, Upload, read

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "formats.md"


def with_(**changed):
    """The arrays of a good file with others in their place; None leaves one out."""
    members = arrays() | changed
    return {name: values for name, values in members.items() if values is not None}


def of(**changed):
    return [Upload("logits.npz", npz(with_(**{name.replace("__", "/"): values for name, values in changed.items()})))]


def large(**changed):
    return arrays()["logits/large"]


def also_masked(low, dtype="f4"):
    """A class more that does not occur, masked by one model."""
    column = np.full((600, 1), low)
    return of(
        logits__large=np.c_[large(), column].astype(dtype),
        logits__small=np.c_[arrays()["logits/small"], np.zeros((600, 1), "f4")],
        class_names=None,
    )


def masked_by_row(low):
    out = np.random.default_rng(0).random(large().shape) < 0.2
    out[np.arange(len(out)), arrays()["labels"]] = False
    return np.where(out, np.float32(low), large())


def scaled(rows, factor):
    logits = large().copy()
    logits[rows] *= factor
    return logits


def spoiled(rows, value):
    logits = large()
    logits[rows, 1] = value
    return logits


def tables(*frames):
    return [Upload(f"{name}.csv", csv(frame)) for name, frame in zip(("large", "small"), frames, strict=True)]


def both():
    return table(arrays(), "large"), table(arrays(), "small")


def member(name, content):
    """An archive with one member more, of any content."""
    file = io.BytesIO(npz(arrays()))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, content)
    return [Upload("logits.npz", file.getvalue())]


def repeated():
    file = io.BytesIO(npz(arrays()))
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(file, "a") as archive:
        archive.writestr("labels.npy", archive.read("labels.npy"))
    return [Upload("logits.npz", file.getvalue())]


def columns(model="large", **renamed):
    return table(arrays(), model).rename(columns=renamed)


def listed():
    large, small = both()
    text = large[["filename", "target"]].assign(logit=[str(row) for row in arrays()["logits/large"].tolist()])
    return tables(text, small)


def list_column():
    frame = both()[0][["filename", "target"]].assign(logit=arrays()["logits/large"].tolist())
    return [Upload("large.parquet", parquet(frame)), Upload("small.parquet", parquet(both()[1]))]


def ids(frame, names):
    return frame.assign(filename=names)


def fd_shifts(model, lean):
    members = arrays()
    split = (np.arange(600) >= 300).astype(float)
    return Upload(f"{model}.npz", npz({"arr_0": np.c_[members[f"logits/{model}"], members["labels"], split]}))


ERRORS = {
    "E101": [
        ("torch", lambda: [Upload("logits.pt", b"")], "'.pt'.* run duo convert logits.pt --labels"),
        ("none", lambda: [Upload("logits", npz(arrays()))], "extension is ''"),
    ],
    "E102": [
        ("text as npz", lambda: [Upload("logits.npz", b"hello, world")], "begins with b'hell'"),
        ("truncated npz", lambda: [Upload("logits.npz", npz(arrays())[:-30])], "truncated or damaged"),
        (
            "altered npz",
            lambda: [Upload("logits.npz", npz(arrays()).replace(b"\x01\x00\x00\x00", b"\x02\x00\x00\x00", 1))],
            "truncated or damaged .Bad CRC",
        ),
        (
            "altered logits",
            lambda: [Upload("logits.npz", npz(arrays()).replace(large()[-9:].tobytes(), bytes(180)))],
            "checksum differs",
        ),
        ("csv as parquet", lambda: [Upload("large.parquet", csv(both()[0]))], "begins with b'file'"),
        ("truncated safetensors", lambda: [Upload("a.safetensors", safetensors_file(arrays())[:-5])], "declares .* but .* follow"),
        ("binary as csv", lambda: [Upload("a.csv", npz(arrays()))], "no text|no UTF-8"),
        (
            "ragged csv",
            lambda: [Upload("a.csv", b"filename,target,logit_0,logit_1\na,0,1,2\nb,1,2\n")],
            "has 3 cells, the first line names 4",
        ),
        *((f"empty {ending}", lambda ending=ending: [Upload(f"a{ending}", b"")], "the file is empty") for ending in OPENERS),
    ],
    "E103": [
        ("unknown", lambda: of(embeddings=np.zeros(3)), "'embeddings' is not known"),
        ("repeated", repeated, "'labels' is there 2 times"),
        ("nested", lambda: member("more.npz", npz(arrays())), "is no array of NumPy's"),
        (
            "of no model",
            lambda: of(flops__huge=np.array(3)),
            "there are no logits of 'huge'; .* name it as one of 'large', 'small'",
        ),
        ("twice", lambda: [*FORMATS["csv"](arrays()), *FORMATS["csv"](arrays())][:3], "'large' is in large.csv too"),
        ("alias", lambda: of(target=arrays()["labels"]), "'labels' is there 2 times, under several names"),
        (
            "column",
            lambda: [Upload("a.csv", b"target,target,logit_0,logit_1\n0,0,1,2\n")],
            "columns 'target' are there more than once",
        ),
    ],
    "E104": [
        ("object array", lambda: of(ids=np.array(["a", None] * 300, dtype=object)), "array of Python objects"),
        ("pickle", lambda: [Upload("logits.npz", pickle.dumps({"labels": [1]}))], "the file is a pickle"),
        ("pickle inside", lambda: member("data", pickle.dumps([1])), "the member is a pickle"),
        ("torch.save", lambda: [Upload("logits.npz", torch_file({"logits": torch.zeros(2, 2)}))], "torch.save; .* run duo convert"),
    ],
    "E105": [
        (
            "rows",
            lambda: [
                Upload(
                    "a.npz",
                    npz(
                        {
                            "base_logits": np.zeros((200_001, 2), "f2"),
                            "sidekick_logits": np.zeros((200_001, 2), "f2"),
                            "labels": np.zeros(200_001, "u1"),
                        }
                    ),
                )
            ],
            "200,001 rows are declared; needed is at most 200,000 rows",
        ),
        (
            "lying header",
            lambda: [Upload("logits.npz", npz(arrays()).replace(b"(600, 5)", b"(900, 5)"))],
            "declares .* but it holds",
        ),
        ("overlap", lambda: [Upload("a.safetensors", overlapping())], "overlap or leave holes"),
    ],
    "E106": [
        ("bfloat16", lambda: [Upload("a.safetensors", bfloat16())], r"dtype is BF16; .* after \.float\(\) in torch"),
        ("complex", lambda: of(logits__large=large().astype("c8")), "dtype is '<c8'"),
    ],
    "E201": [
        (
            "other names",
            lambda: [Upload("a.npz", npz({"one": large(), "two": large()[:, :4].copy(), "z": arrays()["labels"] / 1}))],
            r"the file has 'one' float32 \(600, 5\), 'two' float32 \(600, 4\), 'z' .*; say what the arrays are with --name",
        ),
        ("other columns", lambda: [Upload("a.csv", b"x,z\n1,2\n")], "the table has the columns 'x', 'z'"),
        ("one model", lambda: of(logits__small=None), "logits of 'large' alone; .* add the file of the other model"),
        ("none", lambda: of(logits__small=None, logits__large=None), "there are no logits"),
    ],
    "E202": [
        ("softmax", lambda: of(logits__large=softmax(large())), "sums to 1, as .*--log"),
        (
            "timm's prob",
            lambda: tables(
                columns(**{f"logit_{i}": f"prob_{i}" for i in range(5)}).assign(
                    **{f"prob_{i}": softmax(large())[:, i] for i in range(5)}
                ),
                both()[1],
            ),
            "sums to 1",
        ),
    ],
    "E203": [
        ("gap", lambda: tables(columns(logit_2="logit_5"), both()[1]), "logit_2 is missing; needed are columns logit_0 to logit_5"),
        ("twice", lambda: tables(columns(logit_2="logit_01"), both()[1]), "logit_2 is missing|is there twice"),
    ],
    "E204": [
        ("text", listed, "in the column 'logit'; .* --results-separate-col"),
        ("list", list_column, "in the column 'logit'"),
    ],
    "E205": [
        ("one dimension", lambda: of(logits__large=large()[:, 0].copy()), r"have the shape \(600,\)"),
        ("no rows", lambda: [Upload("a.csv", b"target,a.logit_0,a.logit_1,b.logit_0,b.logit_1\n")], "at least one row"),
        (
            "class names",
            lambda: of(class_names=np.array(["cat", "dog"])),
            "there are 2 names; needed is one name for each of the 5",
        ),
    ],
    "E206": [
        ("integers", lambda: of(logits__large=large().astype("i4")), "have the dtype int32"),
        ("text", lambda: tables(columns().assign(logit_3="much"), both()[1]), "a logit column holds other than numbers .*'much'"),
        ("a cost", lambda: of(flops__large=np.array([1, 2])), "no single number"),
        ("float ids", lambda: of(ids=np.linspace(0, 1, 600)), "dtype float64; needed is text or integers"),
    ],
    "E207": [
        ("one class", lambda: of(logits__large=large()[:, :1], logits__small=large()[:, 1:2]), r"shape \(600, 1\); .*numpy\.c_")
    ],
    "E208": [
        ("nan", lambda: of(logits__large=spoiled([7, 9], np.nan)), "2 of 600 rows .* row 7 first"),
        ("infinite", lambda: of(logits__large=spoiled([3], np.inf)), "1 of 600 rows .* row 3 first"),
        ("empty cell", lambda: tables(columns().assign(logit_3=[None, *[0.5] * 599]), both()[1]), "1 of 600 rows .* row 0 first"),
    ],
    "E301": [
        (
            "label",
            lambda: tables(columns(target="label").assign(label="tabby cat"), columns("small").drop(columns="target")),
            "`label` of large.csv holds text; .* target",
        )
    ],
    "E302": [("none", lambda: of(labels=None), "no array or column of labels")],
    "E303": [("rows", lambda: of(labels=arrays()["labels"][:-1]), "logits/large 600, logits/small 600, labels 599")],
    "E304": [
        ("floats", lambda: of(labels=arrays()["labels"] + 0.0), r"dtype float64; .*labels\.astype\('int64'\)"),
        ("one-hot", lambda: of(labels=np.eye(5, dtype=int)[arrays()["labels"]]), r"shape \(600, 5\); .*argmax"),
        ("text", lambda: of(labels=np.array(["cat"] * 600)), "dtype text"),
    ],
    "E305": [
        ("1-based", lambda: of(labels=arrays()["labels"] + 1), "from 1 to 5, so they look 1-based; .*--labels-from-one"),
        ("negative", lambda: of(labels=arrays()["labels"] - 1), "from -1 to 3"),
    ],
    "E401": [
        (
            "models",
            lambda: of(
                logits__large=large()[:, :4].copy(),
            ),
            "'large' 4, 'small' 5",
        ),
        (
            "names",
            lambda: [
                Upload(
                    f"{m}.npz", npz({f"logits/{m}": large(), "labels": arrays()["labels"], "class_names": np.array(list(names))})
                )
                for m, names in (("a", "vwxyz"), ("b", "vwxzy"))
            ],
            "class_names differ from those of a.npz",
        ),
    ],
    "E402": [
        ("others", lambda: tables(both()[0], ids(both()[1], [f"{row}.png" for row in range(600)])), "no id is in every file"),
        ("repeated", lambda: tables(ids(both()[0], ["a.jpg"] * 600), ids(both()[1], ["b.jpg"] * 600)), "occur more than once"),
    ],
    "E403": [
        (
            "labels",
            lambda: tables(both()[0], both()[1].assign(target=[(y + (row < 3)) % 5 for row, y in enumerate(arrays()["labels"])])),
            "disagree on 3 of 600 rows",
        )
    ],
    "E404": [
        (
            "rows",
            lambda: tables(both()[0].drop(columns="filename"), both()[1][:-1].drop(columns=["filename", "target"])),
            "large.csv 600, small.csv 599",
        )
    ],
    "E405": [
        ("no test", lambda: of(split=np.zeros(600, int)), "split has 'val' alone"),
        ("no fit", lambda: of(split=np.array(["test", "shift"] * 300)), "split has 'shift', 'test' and no 'val'"),
        ("negative", lambda: of(split=np.arange(600) % 3 - 1), "split has '-1'"),
        ("many", lambda: of(split=np.arange(600)), "split has 600 different values"),
        ("fractions", lambda: of(split=np.linspace(0, 1, 600)), "dtype float64"),
    ],
}

WARNINGS = {
    "W01": [("two arrays", lambda: [fd_shifts("large", 3), fd_shifts("small", 2)], r"one array of shape \(600, 7\)")],
    "W02": [
        (
            "other order",
            lambda: of(logits__small=np.roll(large(), 1, axis=1) * 2),
            "'small' is right on 1.3% of the images, 20.0% is chance",
        )
    ],
    "W03": [("few", lambda: of(split=np.repeat([0, 1], [199, 401])), "there are 199 rows to fit on")],
    "W04": [("twice", lambda: of(ids=np.array(["a.jpg", "b.jpg"] * 300)), "2 ids occur more than once, 'a.jpg', 'b.jpg'")],
    "W05": [
        (
            "less accurate",
            lambda: [
                Upload(
                    "a.npz",
                    npz({"base_logits": arrays()["logits/small"], "sidekick_logits": large(), "labels": arrays()["labels"]}),
                )
            ],
            "the base 'base' is less accurate",
        ),
        (
            "cheaper",
            lambda: [
                Upload(
                    "a.npz",
                    npz(
                        {
                            "base_logits": large(),
                            "sidekick_logits": arrays()["logits/small"],
                            "labels": arrays()["labels"],
                            "flops/base": np.array(10),
                            "flops/sidekick": np.array(20),
                        }
                    ),
                )
            ],
            "is cheaper .10 against 20",
        ),
    ],
    "W06": [("copy", lambda: of(logits__small=large()), "'small' has the logits of 'large'")],
    "W07": [
        ("certain", lambda: of(logits__large=9 * np.eye(5, dtype="f4")[arrays()["labels"]]), "'large' is right on all 200 rows")
    ],
    "W09": [
        ("labels", lambda: of(labels=None, ground_truth=arrays()["labels"]), r"'ground_truth' \(600,\) is read as labels"),
        (
            "two models",
            lambda: of(logits__large=None, logits__small=None, vit_logits=large(), resnet=arrays()["logits/small"]),
            "is read as logits/vit, 'resnet'",
        ),
        ("column", lambda: tables(*(t.rename(columns={"target": "y_true"}) for t in both())), "'y_true' is read as labels"),
        (
            "files of one model",
            lambda: [
                Upload("one.npz", npz({"arr_0": large(), "arr_1": arrays()["labels"]})),
                Upload("two.npz", npz({"logits": arrays()["logits/small"], "targets": arrays()["labels"]})),
            ],
            r"'(arr_0|logits)' \(600, 5\) is read as logits/(one|two), '(arr_1|targets)' \(600,\) is read as labels",
        ),
    ],
    "W10": [
        ("column", lambda: also_masked(-1e9), "'large' has 16.7% of its logits at -1e.09, in 1 of 6 classes"),
        ("infinite", lambda: also_masked(-np.inf), "'large' has 16.7% of its logits at -inf, in 1 of 6 classes"),
        ("half", lambda: also_masked(-65504, "f2"), "'large' has 16.7% of its logits at -65504"),
        ("by row", lambda: of(logits__large=masked_by_row(-1e4)), "of its logits at -10000, in 5 of 5 classes"),
    ],
    "W11": [
        (
            "margin",
            lambda: of(logits__large=scaled([7], 1e4)),
            "in 1 of 600 rows 'large' has logits that span over 50 times",
        ),
        ("many", lambda: of(logits__large=scaled(slice(0, 10), 1000)), "in 10 of 600 rows 'large' has logits that span"),
    ],
    "W12": [("rounded", lambda: of(logits__large=np.minimum(large(), 0)), "several classes share the largest logit of 'large'")],
}


def bfloat16():
    members = {name: torch.from_numpy(values) for name, values in arrays().items() if values.dtype.kind != "U"}
    return save_torch(members | {"logits/large": members["logits/large"].bfloat16()})


def overlapping():
    header = {name: {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]} for name in ("logits/a", "logits/b")}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


def cases(which):
    return [pytest.param(code, *case[1:], id=f"{code}-{case[0]}") for code, examples in which.items() for case in examples]


def test_every_code_has_a_file():
    elsewhere = {"W08", "W13"}  # of probabilities and of duo convert, see test_formats_naming.py
    assert {*ERRORS, *WARNINGS} == set(CODES) - elsewhere


@pytest.mark.parametrize(("code", "files", "message"), cases(ERRORS))
def test_an_error_is_the_one_problem_and_says_what_mends_it(code, files, message):
    reading = read(files())
    assert {problem.code for problem in reading.problems} == {code}
    assert reading.logit_set is None
    check_sentence(reading.problems[0], message)


@pytest.mark.parametrize(("code", "files", "message"), cases(WARNINGS))
def test_a_warning_leaves_the_set_usable(code, files, message):
    reading = read(files())
    assert reading.problems == ()
    assert {warning.code for warning in reading.warnings} == {code}
    assert reading.logit_set is reading.opened()
    check_sentence(reading.warnings[-1], message)


def check_sentence(problem, message):
    assert re.search(message, problem.message), problem.message
    assert problem.message.count("; ") >= 2, "found; needed; what mends it"
    assert not set(problem.message) & set("\n{}"), problem.message
    assert len(str(problem)) < 600


@pytest.mark.parametrize(("code", "files", "message"), cases(ERRORS))
def test_the_command_line_says_the_same(code, files, message, tmp_path, capsys):
    paths = save(files(), tmp_path)
    problems = read([dataclasses.replace(file, path=path) for file, path in zip(files(), paths, strict=True)]).problems
    for command in (["check"], ["fit", "--base", "large", "--sidekick", "small", "--file"], ["sweep", "--file"]):
        assert main([*command, *paths]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        lines = said.err.splitlines()
        warned = [line for line in lines if line.startswith(f"duo {command[0]}: W")]
        assert lines == [*warned, *(f"duo {command[0]}: {problem}" for problem in problems)]


@pytest.mark.parametrize(("code", "files", "message"), cases(WARNINGS))
def test_the_command_line_warns(code, files, message, tmp_path, capsys):
    paths = save(files(), tmp_path)
    assert main(["check", *paths]) == 0
    said = capsys.readouterr()
    assert all(line.startswith(f"duo check: {code} ") for line in said.err.splitlines())
    assert re.search("images, [56] classes", said.out)
    assert main(["check", *paths, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"]
    assert {warning["code"] for warning in document["warnings"]} == {code}


def save(files, folder):
    paths = []
    for index, file in enumerate(files):
        (folder / str(index)).mkdir()
        paths.append(folder / str(index) / file.name)
        paths[-1].write_bytes(file.content)
    return [str(path) for path in paths]


def test_all_problems_are_listed_at_once():
    members = with_(embeddings=np.zeros(2), split=np.arange(600))
    members["logits/large"][5] = np.nan
    members["logits/small"] = softmax(members["logits/small"])
    members["labels"] = members["labels"] + 1
    reading = read([Upload("logits.npz", npz(members)), Upload("more.pt", b"")])
    assert sorted(problem.code for problem in reading.problems) == ["E101", "E103", "E202", "E208", "E305", "E405"]
    assert len({problem.where for problem in reading.problems}) == 6


def test_the_document_of_a_check(tmp_path, capsys):
    paths = save(of(embeddings=np.zeros(2), labels=None), tmp_path)
    assert main(["check", *paths, "--json"]) == 2
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert (document["ok"], document["n"], document["rows"]) == (False, None, [])
    assert [problem["code"] for problem in document["problems"]] == ["E103", "E302"]
    assert said.err.count("\n") == 2
    assert [(model["name"], model["n"], model["k"], model["dtype"]) for model in document["models"]] == [
        ("large", 600, 5, "float32"),
        ("small", 600, 5, "float32"),
    ]


def test_a_folder_and_a_missing_file_are_one_line(tmp_path, capsys):
    for path in (tmp_path, tmp_path / "none.npz"):
        assert main(["check", str(path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_escapes_in_names_do_not_reach_the_terminal():
    reading = read([Upload("a\x1b[31m\n.npz", npz(arrays() | {"b\x1b]0;x\x07": np.zeros(1)}))])
    assert [problem.code for problem in reading.problems] == ["E103"]
    assert str(reading.problems[0]).isprintable()


def test_the_documentation_lists_every_code():
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([EW]\d+) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert rows == [
        (code, kind.title, re.sub(r"\{(\w+)\}", lambda field: field[1].upper(), kind.mend)) for code, kind in CODES.items()
    ]


def test_options_are_asked_for_by_the_messages():
    fields = {field.name for field in dataclasses.fields(Options)}
    assert {"take_log", "labels_from_one"} <= fields
    assert "--log" in CODES["E202"].mend


def test_unknown_models_in_options_are_refused(capsys, tmp_path):
    paths = save(of(), tmp_path)
    for arguments, message in (
        (["--base", "huge"], "expected a model of the files, got 'huge'; they have large, small"),
        (["--cost", "huge=3"], "got 'huge'"),
        (["--base", "large", "--sidekick", "large"], "expected two models, got 'large' as base and as sidekick"),
    ):
        assert main(["check", *paths, *arguments]) == 2
        assert message in capsys.readouterr().err


def test_exactly_one_of_set_and_file(capsys):
    for arguments in ([], ["--set", "cifar10", "--file", "a.npz"]):
        with pytest.raises(SystemExit) as ended:
            main(["sweep", *arguments])
        assert ended.value.code == 2
        assert "--file" in capsys.readouterr().err


def test_parquet_ids_may_be_an_index_or_a_column():
    frame = pd.DataFrame(both()[0])
    file = io.BytesIO()
    frame.to_parquet(file)
    found = read([Upload("large.parquet", file.getvalue()), *FORMATS["parquet"](arrays())[1:]])
    assert found.problems == ()
    assert found.found.rows[0]["id"].startswith("images/")
