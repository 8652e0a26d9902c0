"""The dashboard beside a run that fills the set it shows."""

import json
import os
import shutil
import time

import pytest
import torch
from dashboard import PAIR, text_of

from app import filling
from duo_core.logits.store import Store
from duo_core.logits.store import journal as journals
from duo_core.logits.store.journal import UnderWay, under_way


@pytest.fixture
def store(tmp_path, toy_store):
    shutil.copytree(toy_store, tmp_path / "store")
    return Store(tmp_path / "store")


def begun(store, model, split, done, n):
    journal = store.journal("toy", model, split, (n, 3), torch.float32, "mark", "here")
    journal.append(torch.zeros(done, 3))
    journal.close()


def test_how_far_a_run_is_stands_in_its_journals(store, monkeypatch):
    assert store.under_way("toy") is None
    begun(store, "new", "val", 20, 20)
    begun(store, "new", "test", 5, 40)
    begun(store, "newer", "val", 3, 20)
    assert store.under_way("toy") == UnderWay(models=2, done=28, total=80)
    partial = store.folder("toy") / ".partial"
    (partial / "new" / "odd.json").write_text(json.dumps({"done": "no"}))
    (partial / "new" / "odder.json").write_text("no JSON")
    assert under_way(partial) == UnderWay(models=2, done=28, total=80)
    long_ago = time.time() - journals.RECENT - 1
    for state in partial.glob("new/*.json"):
        os.utime(state, (long_ago, long_ago))
    assert under_way(partial) == UnderWay(models=1, done=3, total=20)


def test_a_page_says_how_far_a_run_is(store, open_view):
    begun(store, "new", "test", 10, 40)
    app = open_view("explore", store.path, **PAIR)
    assert "A run is computing 1 model for this set: 25 % of 40 predictions. It appears here when it is whole." in text_of(app)
    shutil.rmtree(store.folder("toy") / ".partial")
    app.run()
    assert "A run is computing" not in text_of(app)


def test_the_page_is_drawn_again_when_the_set_has_another_model(store, monkeypatch):
    monkeypatch.setenv("DUO_STORE", str(store.path))
    begun(store, "new", "test", 10, 40)
    again, said = [], []
    monkeypatch.setattr(filling.st, "rerun", lambda: again.append(True))
    monkeypatch.setattr(filling.st, "caption", said.append)
    stamp = filling.state.stamp_of("toy")
    look = filling._watched.__wrapped__
    look("toy", stamp)
    assert (again, len(said)) == ([], 1)
    card = store.open("toy").cards["small"]
    rows = {split: store.open("toy").logits("small", split).clone() for split in ("val", "test")}
    from dataclasses import replace

    store.write_model("toy", replace(card, name="new"), rows)
    look("toy", stamp)
    assert again == [True]
