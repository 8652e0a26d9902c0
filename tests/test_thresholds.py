"""`duo threshold`: the thresholds of `guarantee`, chosen on the fit split alone, as a document and as a table."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from logit_sets import write_set

from duo_core.analysis.guarantee import ASSUMPTION, METHODS, applied
from duo_core.analysis.guarantee import thresholds as chosen_on
from duo_core.cli.thresholds import document, threshold
from duo_core.common.arrays import InputError
from duo_core.logits import LogitSet
from duo_core.logits.store import Store
from duo_core.systems.pair_predicting import variant_predictions
from duo_core.systems.sweep import fit_pair


@pytest.fixture
def logit_set(tmp_path: Path) -> LogitSet:
    return Store(write_set(tmp_path, n=500)).open("toy")


def options(path: Path, **said: Any) -> Namespace:
    """What the command line gives when only the pair is named, but for what is said."""
    default = {"target_risk": None, "confidence": 0.95, "split": "test", "json": False, "uncertainty": "softmax"}
    return Namespace(command="threshold", set="toy", file=None, store=path, base="large", sidekick="small", **{**default, **said})


def test_thresholds_are_chosen_on_the_fit_split_and_judged_on_another(logit_set: LogitSet) -> None:
    found = document(logit_set, "large", "small", split="shift", targets=(0.05, 0.2), confidence=0.9, kind="entropy")
    fit = fit_pair(logit_set, "large", "small")
    fitted, judged = (
        variant_predictions(
            logit_set.logits("large", s), logit_set.logits("small", s), logit_set.labels[s], fit, variants=["duo"], kind="entropy"
        )["duo"]
        for s in ("val", "shift")
    )
    table = chosen_on(fitted, (0.05, 0.2), 0.9).fillna(-1)
    elsewhere = applied(chosen_on(fitted, (0.05, 0.2), 0.9), judged).fillna(-1)
    duo = [entry for entry in json.loads(json.dumps(found).replace("NaN", "-1"))["thresholds"] if entry["system"] == "duo"]
    for entry, here, there in zip(duo, table.to_dict("records"), elsewhere.to_dict("records"), strict=True):
        assert {key: entry[key] for key in ("target_risk", "method", "threshold", "bound")}.items() <= here.items()
        assert entry["fit"].items() <= here.items()
        assert entry["judged"].items() <= there.items()


def test_the_document_says_what_it_is_about(logit_set: LogitSet) -> None:
    found = document(logit_set, "large", "small")
    entries = found.pop("thresholds")
    assert found == {
        "set": "toy",
        "base": "large",
        "sidekick": "small",
        "split": "test",
        "n_fit": 500,
        "n_eval": 500,
        "uncertainty": "softmax",
        "confidence": 0.95,
        "assumption": ASSUMPTION,
    }
    assert [(e["system"], e["target_risk"], e["method"]) for e in entries] == [
        (system, target, method) for system in ("base", "duo") for target in (0.01, 0.02, 0.05, 0.1) for method in METHODS
    ]


def test_a_shift_breaks_the_bound(logit_set: LogitSet) -> None:
    """The shifted split of the made set is harder: the same threshold answers with more errors than the bound allows."""
    found = document(logit_set, "large", "small", split="shift", targets=[0.1])
    entry = next(e for e in found["thresholds"] if (e["system"], e["method"]) == ("duo", "sequence"))
    assert entry["fit"]["risk"] <= entry["bound"] <= 0.1 < entry["judged"]["risk"]


def test_json_has_null_for_what_is_undefined(logit_set: LogitSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threshold(options(tmp_path, json=True, target_risk=[1e-6, 0.3]))
    entries = json.loads(capsys.readouterr().out)["thresholds"]
    never = next(e for e in entries if (e["target_risk"], e["method"]) == (1e-6, "sequence"))
    assert (never["threshold"], never["bound"]) == (None, None)
    assert never["fit"] == never["judged"] == {"coverage": 0, "risk": None}
    assert all(isinstance(e["threshold"], float) for e in entries if e["target_risk"] == 0.3)


def test_the_table_says_where_the_risk_lies_above_the_target(
    logit_set: LogitSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threshold(options(tmp_path, split="shift", target_risk=[0.1], confidence=0.9))
    said = capsys.readouterr().out
    assert said.startswith("large + small on toy: answer where the uncertainty is at most the threshold\n")
    assert "chosen on val (500 images), judged on shift (500 images)" in said
    assert f"guaranteed bounds hold with a confidence of 0.9. {ASSUMPTION}" in said
    entries = document(logit_set, "large", "small", split="shift", targets=[0.1], confidence=0.9)["thresholds"]
    rows = said.splitlines()[-6:]
    for row, entry in zip(rows, entries, strict=True):
        assert ("Guaranteed (SGR)" in row) == (entry["method"] == "sgr")
        assert ("Guaranteed" in row) == (entry["method"] != "empirical")
        assert row.endswith(" above") == (entry["judged"]["risk"] > 0.1)
        assert f"{entry['judged']['coverage']:.2%}" in row
    assert any(row.endswith(" above") for row in rows)


def test_what_cannot_be_chosen_is_refused(logit_set: LogitSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a target risk in \(0, 1\), got 2; 0.02 is 2 %"):
        threshold(options(tmp_path, target_risk=[2.0]))
    with pytest.raises(InputError, match="expected a split to judge on, got 'val'"):
        threshold(options(tmp_path, split="val"))
