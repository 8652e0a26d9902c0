"""Pairs on parts of the images: every image once, remembered like any sweep, and a spread that other images really have."""

import numpy as np
import pandas as pd
import pytest
import torch
from logit_sets import write_set

from duo_core.analysis import parts as p
from duo_core.analysis.roles import alone, better_members, clearly_reversed, judged_reversed, named, without
from duo_core.logits import Card, LogitSet
from duo_core.logits.store import Store
from duo_core.systems.sweep import on_fit, pairs, sweep


@pytest.fixture
def own(tmp_path):
    return Store(write_set(tmp_path)).open("toy")


def test_every_image_is_in_one_part_and_parts_are_alike(own):
    cut = p.cut_set(own, "test", list(own.cards), 7)
    assert list(cut.labels) == ["val", *(f"test {at}/7" for at in range(1, 8))]
    whole = torch.cat([cut.logits("tiny", part) for part in cut.evaluation_splits])
    assert len(whole) == len(own.labels["test"])
    assert {tuple(row) for row in whole.tolist()} == {tuple(row) for row in own.logits("tiny", "test").tolist()}
    assert {len(cut.labels[part]) for part in cut.evaluation_splits} == {42, 43}
    assert torch.equal(cut.logits("tiny", "val"), own.logits("tiny", "val"))
    assert dict(cut.arrays).keys() == {(model, part) for model in own.cards for part in cut.labels}


def test_classes_in_blocks_and_in_turns_are_spread_over_the_parts():
    """Images stand class by class in most folders; in some tables classes take turns."""
    for labels in (torch.arange(4).repeat_interleave(100), torch.arange(4).repeat(100)):
        logits = torch.nn.functional.one_hot(labels, 4).float()
        one = LogitSet("s", "S", tuple("abcd"), {"val": labels, "test": labels}, {}, {})
        one = LogitSet(**{**vars(one), "cards": {"m": Card("m", "m", "python")}, "arrays": {("m", s): logits for s in one.labels}})
        cut = p.cut_set(one, "test", ["m"], 16)
        assert all(len(cut.labels[part].unique()) == 4 for part in cut.evaluation_splits)


def test_what_parts_say_is_what_a_sweep_of_them_says(own, tmp_path):
    asked = pairs(own, "val", "test")
    found = p.parts_of(own, "test", asked)
    assert found.images == 300
    expected = sweep(p.cut_set(own, "test", list(own.cards), 12), only=asked)
    pd.testing.assert_frame_equal(found.tables["softmax"], expected, rtol=1e-9)
    remembered = p.parts_of(own, "test", asked, store=tmp_path)
    pd.testing.assert_frame_equal(remembered.tables["softmax"], expected, rtol=1e-9)


def test_parts_are_remembered_apart_from_the_sets_own_sweep_and_begun_anew_for_other_logits(own, tmp_path, monkeypatch):
    asked = pairs(own, "val", "test")
    first = p.parts_of(own, "test", asked, store=tmp_path)
    monkeypatch.setattr("duo_core.systems.remembered.sweeps", None)
    again = p.parts_of(Store(tmp_path).open("toy"), "test", asked, store=tmp_path)
    pd.testing.assert_frame_equal(again.tables["entropy"], first.tables["entropy"])
    logits = {split: 2 * own.logits("small", split).sqrt().nan_to_num() for split in own.labels}
    (tmp_path / "toy" / "small.safetensors").unlink()
    Store(tmp_path).write_model("toy", own.cards["small"], logits)
    with pytest.raises(TypeError, match="NoneType"):
        p.parts_of(Store(tmp_path).open("toy"), "test", asked, store=tmp_path)


def test_too_few_images_have_no_parts(tmp_path):
    for n, count in ((60, 0), (124, 0), (125, 5), (600, 20)):
        few = Store(write_set(tmp_path / str(n), n=n)).open("toy")
        tables = p.parts_of(few, "test", [("large", "tiny")]).tables
        assert (tables["softmax"]["split"].nunique() if tables else 0) == count


def test_the_spread_is_that_of_other_images(rng):
    """Of means of noise whose error is known; where half is undefined nothing is to be trusted."""
    values = rng.normal(size=(20, 2000)) * 3
    moves, trusted = p.effects(values)
    assert trusted.all()
    assert (p.standard_error(moves) ** 2).mean() == pytest.approx(9 / 20, rel=0.03)
    drawn = p.steps(20, 4000, 0) @ moves
    assert (np.abs(values.mean(axis=0)) > np.quantile(np.abs(drawn), 0.95, axis=0)).mean() == pytest.approx(0.05, abs=0.02)
    values[:10, 0] = np.nan
    values[0, 1] = np.nan
    moves, trusted = p.effects(values)
    assert trusted.tolist()[:3] == [False, True, True]
    assert moves.sum(axis=0) == pytest.approx(0, abs=1e-9)


def test_a_pair_is_reversed_by_the_fit_split_or_clearly_by_the_judged_one(own):
    table = sweep(own, ["test"])
    fit = on_fit(own, named(table.drop_duplicates(["base", "sidekick"])))
    assert judged_reversed(table, fit, 300) == set()
    assert judged_reversed(table, fit.assign(reversed=fit["sidekick"] == "tiny"), 300) == {
        pair for pair in named(table) if pair[1] == "tiny"
    }
    better = table.copy()
    for role in ("base", "sidekick"):
        better.loc[(better["variant"] == role) & (better[role] == "small"), "accuracy"] = 1.0
    found = judged_reversed(better, fit, 300)
    assert found == {("large", "small"), ("middle", "small")}
    left = without(better, found)
    assert not found & {*named(left)}
    assert len(left) == len(table) - 2 * 5


def test_the_better_member_is_the_more_accurate_one(own):
    table = sweep(own, ["test"], only=[("large", "tiny"), ("tiny", "large")])
    accuracy = alone(table)["accuracy"]
    assert set(accuracy.index) == {"large", "tiny"}
    assert set(better_members(table, accuracy)) == {"large"}


def test_a_slightly_better_sidekick_is_not_clearly_better():
    base = pd.Series([0.6, 0.6, 0.0, 1.0])
    assert clearly_reversed(base, pd.Series([0.61, 0.7, 0.0, 1.0]), 500).tolist() == [False, True, False, False]
    assert clearly_reversed(base[:3], base[:3] + 0.002, 1_000_000).tolist() == [True] * 3
