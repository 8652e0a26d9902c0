"""The page of runs: trials, curves, soups and costs of a real small run; and runs that are being written, broken or not there."""

import base64
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dashboard import open_page, query, text_of
from test_finetune import RECIPE, StoppedError, found_images, images, made_run, stopping_at

from app.views.training import SECONDS
from duo_core.common.arrays import InputError
from duo_core.training import finetune
from duo_core.training.folders import Run
from duo_core.training.recipes import cost_of_trial, draw
from duo_core.training.soups import make_soup
from duo_core.training.watching import QUIET, runs_of, watched
from duo_core.wording import training as wording


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two trials that ended and a third that was stopped after an epoch, with its soups."""
    root, data = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("images")
    images(data)
    made = found_images(data)
    before, finetune.SAVE_SECONDS = finetune.SAVE_SECONDS, 0.0
    with pytest.raises(StoppedError):
        made_run(root / "net", made, replace(RECIPE, trials=3), progress=stopping_at(4, trial=2))
    finetune.SAVE_SECONDS = before
    for method in ("greedy", "stock"):
        make_soup(Run(root / "net"), method, made, own_code="training_models:Net")
    return root


@pytest.fixture
def runs(whole, tmp_path, monkeypatch):
    """A copy that a test may change."""
    root = Path(shutil.copytree(whole, tmp_path / "runs"))
    monkeypatch.setenv("DUO_RUNS", str(root))
    monkeypatch.setenv("DUO_STORE", str(tmp_path / "store"))
    return root


def quiet(run):
    """Have a run look as if nobody had touched it for long."""
    for path in [run, *run.rglob("*")]:
        os.utime(path, (time.time() - 2 * QUIET,) * 2)


def figure(app, place):
    return json.loads(app.get("plotly_chart")[place].proto.spec)


def names(app, place):
    return [trace["name"] for trace in figure(app, place)["data"]]


def test_trials_are_drawn_and_said_while_the_run_is_trained(runs):
    app = open_page("training")
    known = Run(runs / "net").table()
    best = known.sort_values(["accuracy", "nll"], ascending=[False, True]).iloc[0]
    text = text_of(app)
    assert f"**Trial {best['trial']} is best so far**: accuracy {best['accuracy'] * 100:.1f} %" in text
    assert "2 trials finished. Trial 2 is under way, 1 epoch done." in text
    assert "training\\_models\\:Net" in text or "training_models:Net" in text
    assert "40 images to train on, 24 to choose on" in text
    (scores,) = [trace for trace in figure(app, 0)["data"] if trace["name"] == "Trials"]
    rates = np.frombuffer(base64.b64decode(scores["x"]["bdata"]), scores["x"]["dtype"])
    assert sorted(rates) == pytest.approx(sorted(draw(RECIPE, 0, trial).learning_rate for trial in (0, 1)))
    assert [name.startswith("Linear probe") for name in names(app, 0)].count(True) == 1
    assert set(names(app, 1)) == {"Other trials", "Trial 2, under way", f"Best: trial {best['trial']}"}
    assert names(app, 1)[-1].startswith("Best"), "the best is drawn over all others"


def test_trials_are_listed_with_what_is_drawn_of_one_that_has_not_ended(runs):
    table = watched(Run(runs / "net")).trials
    assert table["state"].tolist() == ["finished", "finished", "under way"]
    drawn = draw(RECIPE, 0, 2)
    assert table["learning_rate"][2] == pytest.approx(drawn.learning_rate)
    assert table["weight_decay"][2] == pytest.approx(drawn.weight_decay)
    epochs = watched(Run(runs / "net")).epochs
    assert epochs.groupby("trial").size().to_dict() == {0: 3, 1: 3, 2: 1}


def test_a_run_that_nobody_trains_is_not_asked_for_again(runs):
    assert watched(Run(runs / "net")).is_live
    quiet(runs / "net")
    assert not watched(Run(runs / "net")).is_live
    text = text_of(open_page("training"))
    assert "is best**" in text
    assert "Trial 2 was interrupted: the same `duo finetune` command goes on with it." in text
    assert 1 <= SECONDS <= 30


def test_another_curve_is_chosen_by_the_address_and_by_a_click(runs):
    app = open_page("training", curve="train_loss")
    assert "Training loss" in figure(app, 1)["layout"]["yaxis"]["title"]["text"]
    next(group for group in app.button_group if group.key == "curve").set_value("score").run()
    assert "Accuracy" in figure(app, 1)["layout"]["yaxis"]["title"]["text"]
    assert query(app)["curve"] == "score"


def test_soups_are_shown_with_ingredients_and_drops(runs):
    app = open_page("training")
    assert [heading.value for heading in app.subheader] == ["greedy", "stock"]
    about = dict(watched(Run(runs / "net")).soups)["greedy"]
    text = text_of(app)
    kept = sum(one["kept"] for one in about["ingredients"])
    assert f"Greedy soup of {kept} of 2 trials" in text
    assert f"All start from the anchor `{about['anchor'][:12]}`" in text
    table = next(frame.value for frame in app.dataframe if "drop" in frame.value)
    assert table["trial"].tolist() == [one["name"] for one in about["ingredients"]]
    assert table["weights_sha256"].tolist() == [one["weights_sha256"][:12] for one in about["ingredients"]]
    assert table["drop"][1] == pytest.approx(100 * about["ingredients"][1]["drop"])
    assert about["training_multiply_adds"] == 2 * cost_of_trial(Run(runs / "net").about())


def test_what_training_costs_is_said(runs):
    about = Run(runs / "net").about()
    each = 3 * about["multiply_adds"] * 40 * 3
    assert watched(Run(runs / "net")).cost == each
    said = wording.cost(watched(Run(runs / "net")))
    assert said.startswith(f"A trial costs {wording.multiply_adds(each)}: 3 passes of ")
    assert said.endswith(f"40 images in 3 epochs; 2 trials {wording.multiply_adds(2 * each)}.")


def test_a_file_that_cannot_be_read_is_said_and_the_rest_is_shown(runs):
    (runs / "net/trials/000/trial.json").write_text('{"trial": 0, "state"')
    (runs / "net/soups/stock.safetensors").write_bytes(b"cut")
    (runs / "net/trials/002/resume.safetensors").write_bytes(b"cut")
    app = open_page("training")
    assert len(app.warning) == 2
    assert "expected JSON in" in app.warning[0].value.replace("\\", "")
    assert watched(Run(runs / "net")).trials["trial"].tolist() == [1, 2]
    assert [heading.value for heading in app.subheader] == ["greedy"]


def test_a_record_with_other_values_is_a_row_with_gaps(runs):
    odd = {"trial": 7, "state": ["x"], "learning_rate": "fast", "score": {"right": None, "n": 0}, "curve": [1, {"epoch": "a"}]}
    (runs / "net/trials/001/trial.json").write_text(json.dumps(odd))
    found = watched(Run(runs / "net"))
    assert found.trials["trial"].tolist() == [0, 1, 2]
    assert found.trials["state"][1] == "unknown"
    assert found.trials[["learning_rate", "accuracy"]].isna().all(axis=1).tolist() == [False, True, False]
    assert open_page("training").title[0].value


def test_a_run_that_only_began_is_shown(runs):
    for name in ("trials", "soups"):
        shutil.rmtree(runs / "net" / name)
    (runs / "net/anchor.safetensors").unlink()
    app = open_page("training")
    assert "0 trials finished." in text_of(app)
    assert "duo soup --run net" in text_of(app)


def test_an_altered_run_is_said(runs):
    (runs / "net/run.json").write_text("{}")
    app = open_page("training")
    assert "got none for model" in app.warning[0].value.replace("\\", "")
    with pytest.raises(InputError):
        watched(Run(runs / "net"))


def test_without_runs_the_page_says_how_one_begins(tmp_path, monkeypatch):
    monkeypatch.setenv("DUO_RUNS", str(tmp_path / "none"))
    monkeypatch.setenv("DUO_STORE", str(tmp_path / "store"))
    app = open_page("training")
    assert app.title[0].value == "No run yet"
    assert app.code[0].value.startswith("duo finetune --name RUN")


def test_the_last_run_to_change_is_first(runs):
    shutil.copytree(runs / "net", runs / "other")
    (runs / "no run").mkdir()
    quiet(runs / "other")
    assert [run.name for run in runs_of(runs)] == ["net", "other"]
    os.utime(runs / "other", None)
    quiet(runs / "net")
    assert [run.name for run in runs_of(runs)] == ["other", "net"]
    assert open_page("training", run="net").selectbox(key="run").value == "net"


def test_strangers_see_no_run(runs, monkeypatch):
    monkeypatch.setenv("DUO_PUBLIC", "1")
    monkeypatch.setattr("app.guard.Guard.stands", True)
    app = open_page("training")
    assert "net" not in {box.key for box in app.selectbox}
    assert not [box for box in app.selectbox if box.key == "run"]
    assert "How did the trials do?" not in text_of(app)
