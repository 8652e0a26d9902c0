"""What --check says: scikit-learn's metrics, from whole distributions, beside these."""

import json

import numpy as np
import pytest
import torch
from logit_sets import write_set

from duo_core.__main__ import main
from duo_core.common.arrays import KINDS
from duo_core.logits import Card, LogitSet
from duo_core.logits.store import Store
from duo_core.systems.second_opinion import KEYS, ROWS, largest_differences, second_opinion
from duo_core.systems.sweep import evaluate


def opinion(own, found, kind="softmax"):
    return second_opinion(own.logits("a", "test"), own.logits("b", "test"), own.labels["test"], found.fit, kind)


def logit_set(rng, n, k, scale=1.0, masked=False):
    """Two models that lean towards the label; where masked, each leaves some class out of some rows."""
    labels = {split: torch.from_numpy(rng.integers(0, k, n)) for split in ("val", "test")}
    arrays = {}
    for model in "ab":
        for split, y in labels.items():
            logits = torch.from_numpy(rng.normal(size=(n, k)))
            logits[torch.arange(n), y] += 2
            out = torch.from_numpy(rng.random((n, k)) < 0.1)
            out[torch.arange(n), y] = False
            arrays[model, split] = (scale * logits).masked_fill(out & torch.tensor(masked), -torch.inf)
    cards = {model: Card(model, model, "noise", multiply_adds=1) for model in "ab"}
    return LogitSet("noise", "Noise", tuple(map(str, range(k))), labels, cards, arrays)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "k", "masked"), [(300, 3, False), (ROWS + 7, 3, False), (300, 200, False), (300, 5, True)])
def test_both_agree(rng, n, k, masked, kind):
    own = logit_set(rng, n, k, masked=masked)
    found = evaluate(own, "a", "b", kind=kind)
    seconds = opinion(own, found, kind)
    assert list(seconds) == list(found.metrics)
    apart = largest_differences(found.metrics, seconds)
    assert list(apart) == list(KEYS)
    assert all(difference < 1e-7 for difference in apart.values())


def test_an_auroc_of_no_error_is_undefined_for_both(rng):
    own = logit_set(rng, 200, 3)
    for model in "ab":
        own.arrays[model, "test"][torch.arange(200), own.labels["test"]] += 20
    found = evaluate(own, "a", "b")
    assert {values["auroc"] for values in opinion(own, found).values()} == {None}
    assert largest_differences(found.metrics, opinion(own, found))["auroc"] is None


def test_an_nll_that_scikit_learn_would_bound_is_not_compared(rng):
    own = logit_set(rng, 200, 3)
    own.arrays["a", "test"][0] = torch.tensor([0.0, 0.0, 0.0]).scatter(0, (own.labels["test"][:1] + 1) % 3, 200.0)
    found = evaluate(own, "a", "b")
    assert found.metrics["base"]["nll"] > 0.5
    seconds = opinion(own, found)
    assert (seconds["base"]["nll"], seconds["sidekick"]["nll"] is None) == (None, False)


@pytest.mark.parametrize("key", KEYS)
def test_a_difference_is_seen_in_every_metric(rng, key):
    own = logit_set(rng, 200, 3)
    found = evaluate(own, "a", "b")
    found.metrics["uq_only"][key] += 0.25
    assert largest_differences(found.metrics, opinion(own, found))[key] == pytest.approx(0.25)


def test_duo_fit_prints_how_far_they_are(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DUO_STORE", str(write_set(tmp_path)))
    command = ["fit", "--set", "toy", "--base", "large", "--sidekick", "small", "--uncertainty", "entropy"]
    assert main([*command, "--check"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("scikit-learn differs by at most  Accuracy 0  Macro F1 0  NLL ")
    assert main([*command, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main([*command, "--check", "--json"]) == 0
    said = capsys.readouterr()
    checked = json.loads(said.out)
    check = checked.pop("check")
    assert checked == plain
    assert set(check["scikit-learn"]) == set(plain["variants"])
    assert max(check["largest_difference"].values()) < 1e-9
    assert said.err == ""


def test_duo_fit_says_which_metric_differs(tmp_path, capsys, monkeypatch):
    def other(*given):
        return {variant: {**values, "brier": 0.0} for variant, values in second_opinion(*given).items()}

    monkeypatch.setattr("duo_core.cli.checking.second_opinion", other)
    store = write_set(tmp_path)
    assert main(["fit", "--set", "toy", "--base", "large", "--sidekick", "small", "--check", "--store", str(store)]) == 0
    brier = max(values["brier"] for values in evaluate(Store(store).open("toy"), "large", "small").metrics.values())
    assert capsys.readouterr().err == f"duo fit: scikit-learn's Brier score differs by {brier:.2g}; expected at most 1e-06\n"
    assert np.isfinite(brier)
