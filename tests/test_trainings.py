"""What averaging the trainings of one model buys: which systems are judged, against what, and how they are said."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from logit_sets import write_set
from test_soups_shown import ingredient

from duo_core.__main__ import main
from duo_core.analysis.trainings import KEYS, averaged
from duo_core.logits import Card
from duo_core.logits.store import Store
from duo_core.metrics import METRICS, metrics
from duo_core.metrics.intervals import differences
from duo_core.systems.fitting import calibrate
from duo_core.systems.sweep import evaluate
from duo_core.wording.averages import averages_line, averages_table


def score(right, nll=0.5, **more):
    return {"metric": "accuracy", "right": right, "n": 200, "nll": nll, "macro_f1": right / 200, **more}


def trial(number, right, nll=0.5, anchor="a", cost=1_000, **more):
    return {
        "trial": number,
        "anchor": anchor,
        "methodology": "LP-FT",
        "score": score(right, nll, **more),
        "training_multiply_adds": cost,
    }


def soup(method, *kept, anchor="a"):
    ingredients = [ingredient(number, 180, kept=number in kept) for number in range(3)]
    return {"anchor": anchor, "methodology": method, "ingredients": ingredients, "training_multiply_adds": 3_000}


TRAINED = {
    "t0": (100, trial(0, 170)),
    "t1": (100, trial(1, 180, nll=0.6)),
    "t2": (100, trial(2, 180, nll=0.5)),
    "greedy": (100, soup("greedy soup", 1, 2)),
    "stock": (100, soup("Model Stock", 0, 1, 2)),
    "near": (90, None),
    "cheaper": (5, None),
    "cheap": (20, None),
}
"""Multiply-adds and what is said of the training, by model."""


@pytest.fixture
def own(tmp_path):
    return opened(tmp_path, TRAINED)


def opened(folder, trained):
    random = torch.Generator().manual_seed(3)
    labels = {split: torch.randint(0, 4, (400,), generator=random) for split in ("val", "test")}
    store = Store(folder)
    store.prepare("s", title="Set", classes=list("abcd"), labels=labels)
    for strength, (name, (cost, training)) in enumerate(trained.items()):
        logits = {split: torch.randn(400, 4, generator=random) for split in labels}
        for split, values in logits.items():
            values[torch.arange(400), labels[split]] += 1.0 + 0.1 * (strength % 3) - 0.4 * (cost < 100)
        store.write_model("s", Card(name, f"own/{name}", "checkpoint", multiply_adds=cost, training=training), logits)
    return store.open("s")


def test_every_way_of_averaging_is_held_against_the_best_trial_alone(own):
    lines = averaged(own)
    ways = ["best trial", "greedy soup of 2", "Model Stock of 3", "ensemble of 3 trials"]
    assert [(one.name, one.sidekick) for one in lines] == [(way, beside) for beside in (None, "cheap") for way in ways]
    assert lines[0].members == ("t2",)  # of two as accurate, the one with the lower NLL, on the run's own images
    assert lines[0].gains == {}
    assert lines[3].members == ("t0", "t1", "t2")
    assert [one.cost_ratio for one in lines] == [1, 1, 1, 3, 1.2, 1.2, 1.2, 3.2]
    assert [one.training_multiply_adds for one in lines] == [1_000, 3_000, 3_000, 3_000, None, None, None, None]


def test_numbers_are_those_of_the_pair_and_of_the_same_images(own):
    pair = evaluate(own, "greedy", "cheap")
    lines = {(one.name, one.sidekick): one for one in averaged(own)}
    both, alone = lines["greedy soup of 2", "cheap"], lines["greedy soup of 2", None]
    best = evaluate(own, "t2", "cheap").predictions["base"]
    for line, predictions in ((both, pair.predictions["duo"]), (alone, pair.predictions["base"])):
        assert line.metrics == pytest.approx(metrics(predictions), abs=1e-9)
        expected = differences(predictions, best, keys=KEYS)
        for key in KEYS:
            assert line.gains[key].estimate == pytest.approx(expected[key].estimate, abs=1e-9)
            assert (line.gains[key].low, line.gains[key].high) == pytest.approx((expected[key].low, expected[key].high), abs=1e-9)


def test_the_ensemble_is_one_of_logits(own):
    line = next(one for one in averaged(own) if one.name == "ensemble of 3 trials")
    temperatures = [calibrate(own.logits(name, "val"), own.labels["val"]).temperature for name in line.members]
    mean = sum(t * own.logits(name, "test").double() for t, name in zip(temperatures, line.members, strict=True))
    assert line.metrics["accuracy"] == pytest.approx(float((mean.argmax(1) == own.labels["test"]).double().mean()))


def test_the_sidekick_can_be_named_and_else_is_cheap(own, tmp_path):
    assert {one.sidekick for one in averaged(own, sidekick="near")} == {None, "near"}
    dear = {name: (50 if cost < 90 else cost, about) for name, (cost, about) in TRAINED.items()}
    assert averaged(opened(tmp_path / "dear", dear))[-1].sidekick in ("cheap", "cheaper")
    lonely = {name: TRAINED[name] for name in ("t0", "greedy")}
    assert [one.sidekick for one in averaged(opened(tmp_path / "lonely", lonely))] == [None, None]


def test_a_set_without_soups_and_trials_of_another_anchor_has_none(own, tmp_path):
    assert averaged(Store(write_set(tmp_path / "plain")).open("toy")) == []
    apart = {**TRAINED, "greedy": (100, soup("greedy soup", 1, anchor="b")), "stock": (100, soup("Model Stock", 1, anchor="c"))}
    assert averaged(opened(tmp_path / "apart", apart)) == []


def test_macro_f1_ranks_trials_where_the_run_does(tmp_path):
    by_f1 = {
        **TRAINED,
        "t0": (100, trial(0, 190, metric="macro_f1", macro_f1=0.1)),
        "t1": (100, trial(1, 100, metric="macro_f1", macro_f1=0.9)),
        "t2": (100, trial(2, 190, metric="macro_f1", macro_f1=0.2)),
    }
    assert averaged(opened(tmp_path, by_f1))[0].members == ("t1",)


def test_the_table_has_a_row_each_and_the_sentence_names_what_is_significant(own):
    lines = averaged(own)
    table = averages_table(lines)
    assert list(table["System"])[4:6] == ["best trial + cheap", "greedy soup of 2 + cheap"]
    assert list(table["Cost"][:5]) == ["1.00 ×"] * 3 + ["3.00 ×", "1.20 ×"]
    assert table["Training (trillion multiply-adds)"].iloc[-1] == "n/a"
    assert table["Accuracy"][0].endswith(" %")
    stands = [one for one in lines if one.gains and one.gains["accuracy"].stands and one.gains["accuracy"].estimate > 0]
    assert stands, "the made-up ensemble is clearly better"
    starred = [name for name, text in zip(table["System"], table["Accuracy"], strict=True) if "*" in text and "+" in text]
    sentence = averages_line(lines)
    assert all(name in sentence.split("; ")[0] for name in starred)
    none = [replace(one, gains=dict.fromkeys(KEYS)) for one in lines]
    assert averages_line(none).count("none") == len(KEYS)


def test_the_command_prints_the_same(own, tmp_path, capsys):
    assert main(["ensembles", "--set", "s", "--store", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert averages_line(averaged(own)) in said
    assert all(METRICS[key].label in said for key in KEYS)
    assert np.array([row in said for row in averages_table(averaged(own))["Accuracy"]]).all()
