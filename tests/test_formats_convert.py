"""`duo convert` makes files that `duo check` passes; `duo fit --file` and `duo sweep --file` use them as sets."""

import functools
import io
import json
import re
import shlex
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from logit_files import FORMATS, arrays, csv, npz, table, torch_file

from duo_core.__main__ import main
from duo_core.formats import Upload, read
from duo_core.formats.writing import write
from duo_core.systems.sweep import COLUMNS, evaluate

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "formats.md"
MEMBERS = arrays()
LARGE, SMALL, LABELS = MEMBERS["logits/large"], MEMBERS["logits/small"], MEMBERS["labels"]
TENSORS = {"large": torch.from_numpy(LARGE), "small": torch.from_numpy(SMALL), "labels": torch.from_numpy(LABELS)}
BOTH = npz({name: values for name, values in MEMBERS.items() if name != "ids"})


def numpy_file(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def hdf5_file(**arrays):
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        for name, values in arrays.items():
            content.create_dataset(name.replace("__", "/"), data=values, compression="gzip" if np.ndim(values) else None)
        content["elsewhere"] = h5py.ExternalLink("other.h5", "/large")
        content.create_dataset("nothing", data=h5py.Empty("f"))
        content.create_dataset("outside", (600, 5), "f4", external=[(__file__, 0, 12_000)])
    return file.getvalue()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder, **files):
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)


def said(capsys):
    output = capsys.readouterr()
    return output.out, output.err


def metrics(name):
    reading = read([Upload(name, Path(name).read_bytes())])
    return evaluate(reading.opened(), "large", "small").document() | {"set": ""}


@functools.cache
def expected():
    return evaluate(read([Upload("a.npz", BOTH)]).opened(), "large", "small").document() | {"set": ""}


@pytest.mark.parametrize("out", ["a.npz", "a.safetensors", "a.parquet", "a.csv"])
def test_models_of_several_kinds_of_files_become_one(folder, capsys, out):
    put(
        folder,
        large_pt=torch_file(torch.from_numpy(LARGE)),
        small_npy=numpy_file(SMALL),
        y_txt="\n".join(map(str, LABELS)).encode(),
    )
    assert main(["convert", "large.pt", "small.npy", "--labels", "y.txt", "--out", out]) == 0
    assert f"logits/large (600, 5) float32, logits/small (600, 5) float32 in '{out}'" in said(capsys)[0]
    assert metrics(out) == expected()
    assert main(["check", out]) == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pth", torch_file({("logits/" if name != "labels" else "") + name: tensor for name, tensor in TENSORS.items()})),
        ("a.pt", torch_file({"large": TENSORS["large"], "small": TENSORS["small"], "y": TENSORS["labels"], "epoch": 3})),
        ("a.npz", npz({"large": LARGE, "small": SMALL, "labels": LABELS, "note": np.array("hello")})),
        ("a.safetensors", FORMATS["safetensors"]({**MEMBERS, "ids": np.arange(600)})[0].content),
    ],
)
def test_one_file_of_several_arrays(folder, name, content):
    (folder / name).write_bytes(content)
    assert main(["convert", name, "--out", "b.npz"]) == 0
    assert metrics("b.npz")["variants"].keys() == expected()["variants"].keys()
    if "safetensors" not in name:  # which has ids, and so another draw
        assert metrics("b.npz") == expected()


@pytest.mark.parametrize("ending", ["h5", "hdf5"])
def test_hdf5(folder, ending):
    ids = [name.encode() for name in MEMBERS["ids"]]
    content = hdf5_file(run__large=LARGE, run__small=SMALL, labels=LABELS, ids=ids, epoch=3, note="hello", history=np.zeros(7))
    (folder / f"a.{ending}").write_bytes(content)
    put(folder, other_h5=hdf5_file(large=LARGE))
    assert main(["convert", f"a.{ending}", "--out", "b.npz"]) == 0
    written = np.load("b.npz")
    assert sorted(written) == ["ids", "labels", "logits/run/large", "logits/run/small"]
    assert np.array_equal(written["logits/run/large"], LARGE)
    assert written["ids"].tolist() == MEMBERS["ids"].tolist()


def test_one_model_of_hdf5_by_name(folder):
    put(folder, x_h5=hdf5_file(out=LARGE), z_h5=hdf5_file(out=SMALL), y_h5=hdf5_file(y=LABELS))
    assert main(["convert", "--model", "large=x.h5", "small=z.h5", "--labels", "y.h5", "--out", "b.npz"]) == 0
    assert metrics("b.npz") == expected()


def test_hdf5_needs_its_package(folder, capsys, monkeypatch):
    put(folder, a_h5=hdf5_file(large=LARGE))
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert main(["convert", "a.h5", "--out", "b.npz"]) == 2
    assert "expected the package h5py to read 'a.h5', got none; install it: pip install h5py" in said(capsys)[1]


def test_models_by_name_and_labels_of_a_table(folder):
    put(folder, x_npy=numpy_file(LARGE), z_csv=csv(table(MEMBERS, "small")[[f"logit_{i}" for i in range(5)]]))
    put(folder, y_csv=csv(pd.DataFrame({"target": LABELS})))
    assert main(["convert", "--model", "large=x.npy", "small=z.csv", "--labels", "y.csv", "--out", "b.parquet"]) == 0
    assert metrics("b.parquet") == expected()


@pytest.mark.parametrize("out", ["b.npz", "b.safetensors", "b.parquet", "b.csv"])
def test_a_draw_can_be_written_into_the_file(folder, capsys, out):
    """Whoever reads it fits on the same rows as who reads the original with the same options."""
    put(folder, a_npz=npz(MEMBERS))
    assert main(["convert", "a.npz", "--fit", "0.4", "--seed", "5", "--out", out]) == 0
    fit = ["fit", "--base", "large", "--sidekick", "small", "--json"]
    said(capsys)
    assert main([*fit, "--file", out]) == 0
    written = json.loads(said(capsys)[0])
    assert main([*fit, "--file", "a.npz", "--fit", "240", "--seed", "5"]) == 0
    assert written == json.loads(said(capsys)[0]) | {"set": "b"}
    assert written["n_fit"] == 240
    assert main(["convert", out, "--fit", "0.4", "--out", f"again.{out}"]) == 2
    assert "expected --fit only where files name no splits, got 0.4 and the splits 'test', 'val'" in said(capsys)[1]


@pytest.mark.parametrize("command", [["check"], ["sweep", "--file"], ["fit", "--base", "large", "--sidekick", "small", "--file"]])
def test_rows_to_fit_on_are_asked_of_every_command(folder, capsys, command):
    put(folder, a_npz=BOTH)
    assert main([*command, "a.npz", "--fit", "450", "--json"]) == 0
    assert main([*command, "a.npz", "--fit", "600"]) == 2
    assert "expected to fit on 1 to 599 of the 600 rows, got 600" in said(capsys)[1]
    with pytest.raises(SystemExit):
        main([*command, "a.npz", "--fit", "1.5"])
    assert "expected a number of images or a fraction in (0, 1), got '1.5'" in said(capsys)[1]


def test_one_model_alone_may_be_written(folder):
    put(folder, a_npy=numpy_file(LARGE), y_npy=numpy_file(LABELS))
    assert main(["convert", "a.npy", "--labels", "y.npy", "--out", "a.csv"]) == 0
    assert (folder / "a.csv").read_text().splitlines()[0] == ",".join(['"target"', *(f'"logit_{i}"' for i in range(5))])


def test_bfloat16_keeps_its_values_and_dtype_changes_them(folder):
    rounded = torch.from_numpy(LARGE).bfloat16()
    put(folder, a_pt=torch_file(TENSORS | {"large": rounded}))
    assert main(["convert", "a.pt", "--out", "b.npz"]) == 0
    assert np.array_equal(np.load("b.npz")["logits/large"], rounded.float().numpy())
    assert main(["convert", "a.pt", "--out", "b.npz", "--dtype", "float16", "--force"]) == 0
    assert np.load("b.npz")["logits/small"].dtype == np.float16


def test_probabilities_and_labels_from_one_are_mended_where_asked(folder):
    p = np.exp(LARGE) / np.exp(LARGE).sum(1, keepdims=True)
    put(folder, a_npz=npz({"large": p, "small": SMALL, "labels": LABELS + 1}))
    assert main(["convert", "a.npz", "--out", "b.npz", "--log", "--labels-from-one"]) == 0
    assert metrics("b.npz")["variants"]["base"]["nll"] == pytest.approx(expected()["variants"]["base"]["nll"], rel=1e-5)


def test_what_a_table_has_no_room_for_is_said(folder, capsys):
    put(folder, a_npz=npz({**MEMBERS, "class_names": np.array(list("abcde")), "flops/large": np.array(3)}))
    assert main(["convert", "a.npz", "--out", "b.csv"]) == 0
    assert "left out, since a table has no room for it: class_names, flops/large" in said(capsys)[1]
    assert main(["convert", "a.npz", "--out", "b.safetensors"]) == 0
    assert said(capsys)[1] == ""
    assert read([Upload("b.safetensors", (folder / "b.safetensors").read_bytes())]).opened().classes == tuple("abcde")


REFUSED = [
    ({"a_npz": npz({"large": LARGE, "labels": LABELS + 1})}, ["a.npz"], "E305 b.npz, labels: labels run from 1 to 5"),
    ({"a_npy": numpy_file(LARGE)}, ["a.npy"], "E302 b.npz: no array or column of labels"),
    ({"a_npy": numpy_file(LARGE), "y_npy": numpy_file(LABELS[1:])}, ["a.npy", "--labels", "y.npy"], "E303"),
    ({"a_npy": numpy_file(LARGE * np.nan), "y_npy": numpy_file(LABELS)}, ["a.npy", "--labels", "y.npy"], "E208"),
    ({"a_pt": b"no"}, ["a.pt"], "expected tensors in 'a.pt', got other objects, which are not loaded"),
    ({"a_pt": torch_file({"model": torch.nn.Linear(2, 2)})}, ["a.pt"], "expected tensors in 'a.pt', got other objects"),
    ({"a_pt": torch_file(["a", "b"])}, ["a.pt"], "expected logits .* in 'a.pt', got 'a"),
    ({"a_h5": b"no"}, ["a.h5"], "expected an HDF5 file at 'a.h5', got something else"),
    ({"a_h5": hdf5_file(large=LARGE)[:-2000]}, ["a.h5"], "expected an HDF5 file at 'a.h5', got something else .*truncated"),
    ({}, ["a.h5"], "expected to read or write at 'a.h5', got: No such file"),
    ({"a_npy": b"no"}, ["a.npy"], "E102 a.npy: the file begins with"),
    ({"a_npy": BOTH}, ["a.npy"], "E102 a.npy: the file begins with"),
    ({"a_npy": numpy_file(LARGE * 1e5), "y_npy": numpy_file(LABELS)}, ["a.npy", "--labels", "y.npy", "--dtype", "float16"], "E208"),
    ({"a_npy": numpy_file(LARGE), "y_txt": b"cat\n"}, ["a.npy", "--labels", "y.txt"], "expected one integer a line in 'y.txt'"),
    ({"a_npy": numpy_file(LARGE), "y_npz": npz({"logits": SMALL})}, ["a.npy", "--labels", "y.npz"], "expected labels in 'y.npz'"),
    ({"a_pkl": b""}, ["a.pkl"], r"expected a file ending in one of \.npz, .*\.pt.*got 'a.pkl'"),
    ({}, ["a.npy"], "expected to read or write at 'a.npy', got: No such file"),
    ({}, [], "expected a file of logits, got none"),
    (
        {"a_npz": BOTH},
        ["a.npz", "--out", "none/b.npz"],
        "expected a folder to write into at 'none', got none that can be; make it, or name another",
    ),
    ({"a_npz": b"PK"}, ["a.npz"], "E102 a.npz"),
    (
        {"a_npy": numpy_file(LARGE), "a_npz": npz({"a": SMALL})},
        ["a.npy", "a.npz"],
        "expected one 'logits/a', got another in 'a.npz'",
    ),
]


@pytest.mark.parametrize(("files", "arguments", "message"), REFUSED, ids=[case[2][:40] for case in REFUSED])
def test_what_cannot_be_converted_is_said_and_nothing_is_written(folder, capsys, files, arguments, message):
    put(folder, **files)
    assert main(["convert", "--out", "b.npz", *arguments]) == 2
    out, err = said(capsys)
    assert out == ""
    assert re.search(message, err), err
    assert err.count("\n") == 1
    assert not (folder / "b.npz").exists()


def test_an_output_of_another_kind_is_refused(folder, capsys):
    put(folder, a_npz=BOTH)
    assert main(["convert", "a.npz", "--out", "b.txt"]) == 2
    assert "expected an output ending in .npz, .safetensors, .parquet or .csv, got 'b.txt'" in said(capsys)[1]
    assert [path.name for path in folder.iterdir()] == ["a.npz"]


def test_nothing_of_a_checkpoint_is_executed(folder, capsys):
    class Harm:
        def __reduce__(self):
            return open, (str(folder / "harm"), "w")

    put(folder, a_pt=torch_file({"logits": Harm()}))
    assert main(["convert", "a.pt", "--out", "b.npz"]) == 2
    assert not (folder / "harm").exists()


def test_written_names_are_those_of_the_arrays(folder):
    odd = {"logits/file": LARGE, "logits/allow_pickle": SMALL, "labels": LABELS}
    for kind in ("npz", "safetensors", "parquet", "csv"):
        file = io.BytesIO()
        write(odd, f"a.{kind}", file)
        assert set(read([Upload(f"a.{kind}", file.getvalue())]).opened().cards) == {"file", "allow_pickle"}


def test_fit_of_a_file_prints_the_document(folder, capsys):
    put(folder, a_npz=BOTH)
    fit = ["fit", "--file", "a.npz", "--base", "large", "--sidekick", "small"]
    assert main([*fit, "--cost", "large=400", "small=1e2", "--json"]) == 0
    document = json.loads(said(capsys)[0])
    assert document == json.loads(json.dumps(expected())) | {"set": "a", "flops_balance": 0.25}
    assert main([*fit, "--seed", "1", "--json"]) == 0
    assert json.loads(said(capsys)[0])["temperatures"] != document["temperatures"]
    assert main(fit) == 0
    assert said(capsys)[0].startswith("large + small on a/test; multiply-adds unknown\n")


def test_sweep_of_files_prints_every_pair(folder, capsys):
    for model in ("large", "small"):
        put(folder, **{f"{model}_csv": csv(table(MEMBERS, model))})
    assert main(["sweep", "--file", "large.csv", "small.csv", "--cost", "large=400", "small=100", "--json"]) == 0
    rows = json.loads(said(capsys)[0])
    assert len(rows) == 5
    assert list(rows[0]) == COLUMNS
    assert {(row["base"], row["sidekick"], row["flops_balance"]) for row in rows} == {("large", "small", 0.25)}


@pytest.mark.parametrize("cost", ["large", "large=", "large=0", "large=1:2:3", "large=nan", "=3", "large=-1"])
def test_a_wrong_cost_is_one_line(cost, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["check", "a.npz", "--cost", cost])
    assert ended.value.code == 2
    assert "expected MODEL=MULTIPLY_ADDS[:PARAMETERS], numbers above 0" in said(capsys)[1]


def test_the_documented_commands_run_as_they_stand(folder, monkeypatch):
    text = DOCUMENT.read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(snippet, {"base": LARGE, "sidekick": SMALL, "labels": LABELS})
    put(folder, base_pt=torch_file(TENSORS["large"]), a_pt=torch_file(TENSORS["large"]), b_npy=numpy_file(SMALL))
    put(folder, labels_npy=numpy_file(LABELS), labels_txt="\n".join(map(str, LABELS)).encode())
    put(folder, run_npz=npz({"arr_0": LARGE, "arr_1": SMALL, "targets": LABELS}))
    monkeypatch.setenv("DUO_STORE", str(folder / "store"))
    commands = re.findall(r"^    duo (.+)$", text, re.MULTILINE)
    assert len(commands) == 7
    for command in commands:
        assert main(shlex.split(command)) == 0, command
    assert (folder / "pairs.csv").exists()
