"""What is taken home of a pair decides as the page does: lines to copy, and the code of a folder that runs on logits."""

import importlib.util
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from logit_sets import write_set

from app import taking
from duo_core import deploy
from duo_core.analysis.guarantee import GUARANTEED, METHODS
from duo_core.analysis.promise import promises
from duo_core.deploy import combine
from duo_core.deploy.records import Asked
from duo_core.logits import Card
from duo_core.logits.store import Store
from duo_core.systems.sweep import evaluate
from duo_core.systems.system import System

KINDS = ("softmax", "entropy")
TARGET, CONFIDENCE = 0.1, 0.9


@pytest.fixture(scope="module")
def uploaded(tmp_path_factory):
    """A set of which nothing says how the models are built, confident enough for 1 - max softmax to saturate."""
    own = Store(write_set(tmp_path_factory.mktemp("store"))).open("toy")
    arrays = {(model, split): own.logits(model, split) * 12 for model in own.cards for split in own.labels}
    cards = {name: Card(name, f"upload/{name}", "upload") for name in own.cards}
    return replace(own, cards=cards, arrays=arrays, digests={})


def promised(found, kind):
    return promises(found.on_fit(("duo", "base"), kind), found.predictions, [TARGET], CONFIDENCE)


@pytest.mark.parametrize("kind", KINDS)
def test_three_lines_answer_what_the_table_says(uploaded, kind):
    found = evaluate(uploaded, "large", "small", "test", kind=kind)
    table = promised(found, kind)
    at = taking.above(table, TARGET, CONFIDENCE)
    row = table[(table["system"] == "duo") & (table["method"] == GUARANTEED)].iloc[0]
    assert at.guaranteed
    assert at.threshold == row["threshold"]
    lines = taking.python_lines(found.fit.temperatures, at, kind)
    assert len(lines.splitlines()) == 3
    known = {
        f"{role}_logits": uploaded.logits(model, "test").double().numpy()
        for role, model in (("base", "large"), ("sidekick", "small"))
    }
    exec(lines, known)
    assert known["sure"].mean() == pytest.approx(row["judged_coverage"], abs=1e-9)
    right = known["logits"].argmax(1) == uploaded.labels["test"].numpy()
    assert 1 - right[known["sure"]].mean() == pytest.approx(row["judged_risk"], abs=1e-9)


@pytest.mark.parametrize("lost", [(), (GUARANTEED,), tuple(METHODS)], ids=["guaranteed", "empirical", "none"])
def test_what_the_threshold_is_for_is_said(uploaded, lost):
    table = promised(evaluate(uploaded, "large", "small", "test"), "softmax")
    table.loc[table["method"].isin(lost), "threshold"] = float("nan")
    at = taking.above(table, TARGET, CONFIDENCE)
    said = {
        (): "at most 10 % wrong, with 90 % confidence",
        (GUARANTEED,): "at most 10 % wrong on the fit split; no threshold guarantees it with 90 % confidence",
        tuple(METHODS): "no threshold keeps the target of 10 %",
    }
    assert at.why == said[lost]
    assert at.guaranteed == (not lost)
    assert (at.threshold is None) == (lost == tuple(METHODS))


@pytest.mark.parametrize("name", ['a"b', "a\nimport os", "ＡＢ", "a}b{0}", "'''"])
def test_names_are_data(name):
    weights, at = taking.Temperatures(1 / 3, 2e-17), taking.Above(0.1, "why", guaranteed=True)
    said = json.loads(taking.json_line((name, "b"), weights, at, "softmax"))
    assert said == {
        "weights": {"base": 1 / 3, "sidekick": 2e-17},
        "models": {"base": name, "sidekick": "b"},
        "uncertainty": "softmax",
        "threshold": 0.1,
        "chosen_for": "why",
    }
    assert name not in taking.python_lines(weights, at, "softmax")


@pytest.fixture(scope="module", params=KINDS)
def folder(request, uploaded, tmp_path_factory):
    """What the page hands out of an upload, unpacked, and the evaluation of the pair."""
    where = tmp_path_factory.mktemp("folder")
    asked = Asked(kind=request.param, target_risks=(TARGET, 0.02), confidence=CONFIDENCE)
    with zipfile.ZipFile(BytesIO(deploy.packed(uploaded, System(("large", "small")), asked))) as archive:
        archive.extractall(where)
    return where / "large+small", evaluate(uploaded, "large", "small", "test", kind=request.param)


def taken(folder):
    """The code of the folder, as somebody who has nothing else imports it."""
    spec = importlib.util.spec_from_file_location("taken", folder / "combine.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Duo()


def pair(uploaded):
    return [uploaded.logits(model, "test").numpy() for model in ("large", "small")]


def test_the_code_of_a_folder_predicts_as_the_page(folder, uploaded):
    where, found = folder
    answer = taken(where)(*pair(uploaded))
    expected = found.predictions["duo"]
    np.testing.assert_array_equal(answer.predicted, expected.predicted)
    np.testing.assert_allclose(answer.uncertainty, expected.uncertainty, rtol=1e-9, atol=0)
    row = promised(found, json.loads((where / "duo.json").read_text())["uncertainty"])
    kept = row[(row["system"] == "duo") & (row["method"] == GUARANTEED)]["judged_coverage"].iloc[0]
    assert 1 - answer.abstain.mean() == pytest.approx(kept)


def test_two_functions_do_as_well_as_two_arrays(folder, uploaded):
    duo, (base, sidekick) = taken(folder[0]), pair(uploaded)
    whole = duo(base, sidekick)
    one = duo.around(lambda rows: torch.from_numpy(base)[rows], lambda rows: sidekick[rows].tolist())
    np.testing.assert_array_equal(one(slice(10)).logits, whole.logits[:10])
    two = duo.around(lambda logits: logits, lambda logits: logits)
    np.testing.assert_array_equal(two(base, sidekick).logits, whole.logits)


def test_the_script_prints_a_line_an_image(folder, uploaded, tmp_path):
    files = [tmp_path / f"{role}.npy" for role in ("base", "sidekick")]
    for file, logits in zip(files, pair(uploaded), strict=True):
        np.save(file, logits)
    command = [sys.executable, "-I", str(folder[0] / "combine.py"), *map(str, files), "--threshold", "0.5"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.splitlines()
    rows, answer = [json.loads(line) for line in lines], taken(folder[0])(*pair(uploaded))
    assert [row["uncertainty"] for row in rows] == pytest.approx(answer.uncertainty.tolist())
    assert [row["abstain"] for row in rows] == (answer.uncertainty > 0.5).tolist()
    assert rows[3]["class"] == f"class {answer.predicted[3]}"


@pytest.mark.parametrize("says", [None, 0, 2])
@pytest.mark.parametrize(("rule", "temperature"), [("fitted", None), ("ensemble", 1.3), ("ensemble", 0.0), ("probabilities", 1.3)])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_module_of_deploy_in_numpy(rng, kind, rule, temperature, says, tmp_path):
    """Masked classes, ties, weights of zero and logits far apart among them."""
    logits = rng.normal(size=(3, 400, 6)) * rng.choice([0.0, 1.0, 300.0], size=(3, 400, 1))
    logits[0, ::7, 2], logits[1, ::5, 4] = -np.inf, -np.inf
    names, square = ["c", "a", "b"], deploy.Member(torch.nn.Identity(), None)
    for weights in ((0.7, 0.2, 1.0), (1.1, 0.0, 0.0), (0.0, 2.0, 0.3)):
        members = [{"name": name, "weight": weight} for name, weight in zip(names, weights, strict=True)]
        record = {"classes": list("abcdef"), "threshold": 0.3, "rule": rule, "says": says, "uncertainty": kind}
        (tmp_path / "duo.json").write_text(json.dumps(record | {"members": members, "temperature": temperature}))
        how = {"temperature": 1.0 if temperature is None else temperature, "pooled": rule == "probabilities", "says": says}
        same = deploy.Duo([square] * 3, weights, **how, names=names, kind=kind, threshold=0.3)
        expected = same.answer(*torch.from_numpy(logits))
        answer = combine.Duo(tmp_path)(*logits)
        for key in ("logits", "predicted", "uncertainty", "abstain"):
            np.testing.assert_allclose(getattr(answer, key), getattr(expected, key).numpy(), rtol=1e-12, atol=1e-300, err_msg=key)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda b, _: (b,), r"expected the logits of 2 models \(large, small\), got 1 arrays"),
        (
            lambda b, s: (b[:, :4], s),
            r"expected the logits of 'large' as \(n, 5\), a column .*, got the shape \(300, 4\)",
        ),
        (lambda b, s: (b, s[0]), r"expected the logits of 'small' as \(n, 5\).*got the shape \(5,\)"),
        (lambda b, s: (b, s[:7]), r"expected logits of the same images, got 300 rows of 'large' and 7 of 'small'"),
        (lambda b, s: (np.where(np.arange(300)[:, None] == 4, np.nan, b), s), r"got NaN or infinity in row 4"),
        (lambda b, s: (b, np.where(np.arange(300)[:, None] == 9, np.inf, s)), r"got NaN or infinity in row 9"),
    ],
)
def test_other_arrays_are_refused(folder, uploaded, change, complaint):
    with pytest.raises(ValueError, match=complaint):
        taken(folder[0])(*change(*pair(uploaded)))


def test_the_readme_of_an_upload_says_how_to_run_it_and_no_more(folder):
    text = (folder[0] / "README.md").read_text()
    assert "python combine.py logits_1.npy logits_2.npy" in text
    assert "answer = duo(array_1, array_2)" in text
    assert "deploy.load" not in text
    assert "`run.py --threshold" not in text
    assert (folder[0] / "requirements.txt").read_text().splitlines() == [f"numpy=={np.__version__}"]


@pytest.mark.parametrize("name", ["../../out", "/etc/large", "a/b", "..", "a\\b", "C:x"])
def test_a_model_s_name_leads_no_file_out_of_the_folder(uploaded, name):
    cards = {
        name if model == "large" else model: replace(card, name=name if model == "large" else model)
        for model, card in uploaded.cards.items()
    }
    arrays = {(name if model == "large" else model, split): values for (model, split), values in uploaded.arrays.items()}
    with zipfile.ZipFile(BytesIO(deploy.packed(replace(uploaded, cards=cards, arrays=arrays), System((name, "small"))))) as archive:
        tops = {tuple(entry.split("/")[:-1]) for entry in archive.namelist()}
    assert len(tops) == 1
    ((top,),) = tops
    assert top.endswith("+small")
    assert not set(top) & set("/\\:")
    assert not top.startswith(".")
