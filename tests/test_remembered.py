"""Remembered sweeps: the same table, only what is new computed, nothing stale shown."""

import pandas as pd
import pytest
import torch
from logit_sets import write_set

from duo_core.common.arrays import KINDS
from duo_core.logits import Card
from duo_core.logits.store import Store
from duo_core.systems import remembered
from duo_core.systems.pair_judging import Memory
from duo_core.systems.sweep import COLUMNS, judge_models, on_fit, pairs, sweeps


@pytest.fixture
def store(tmp_path):
    return write_set(tmp_path)


@pytest.fixture
def computed(monkeypatch):
    """The pairs that were computed, in calls."""
    calls = []

    def counted(logit_set, splits, **options):
        calls.append((sorted(splits), sorted(options["only"])))
        return sweeps(logit_set, splits, **options)

    monkeypatch.setattr(remembered, "sweeps", counted)
    return calls


def replace_model(store, model, scale):
    own = Store(store).open("toy")
    logits = {split: own.logits(model, split) * scale for split in own.labels}
    (store / "toy" / f"{model}.safetensors").unlink()
    Store(store).write_model("toy", own.cards[model], logits)


def assert_same(found, expected, **options):
    assert list(found) == list(expected) == list(KINDS)
    for kind, table in found.items():
        pd.testing.assert_frame_equal(table, expected[kind], **options)


def known(own, store):
    """The models of which something is remembered."""
    memory = Memory()
    remembered.recall(own, store, memory)
    return {model for model, _ in memory.judged}


def test_the_table_is_the_sweeps_and_the_second_time_nothing_is_computed(store, computed):
    own = Store(store).open("toy")
    first = remembered.swept(own, store)
    assert_same(first, sweeps(own), rtol=1e-12)
    assert list(first["entropy"].columns) == COLUMNS
    assert not first["entropy"].equals(first["softmax"])
    again = remembered.swept(Store(store).open("toy"), store)
    assert len(computed) == 1
    assert_same(again, first, check_exact=True)


def test_the_other_way_is_known_with_the_one(store, computed):
    own, one = Store(store).open("toy"), [("large", "tiny"), ("middle", "small")]
    remembered.swept(own, store, only=one)
    other = remembered.swept(own, store, only=[pair[::-1] for pair in one])
    assert len(computed) == 1
    assert_same(other, sweeps(own, only=[pair[::-1] for pair in one]), rtol=1e-9)


@pytest.mark.parametrize("remembering", [remembered.recall, lambda own, store, memory: remembered.swept(own, store, memory=memory)])
def test_what_is_remembered_of_models_alone_is_known(store, monkeypatch, remembering):
    own, memory, fresh = Store(store).open("toy"), Memory(), Memory()
    remembered.swept(own, store)
    remembering(own, store, memory)
    judge_models(own, "test", ["large", "tiny"], fresh)
    monkeypatch.setattr("duo_core.systems.sweep.judge_pairs", None)
    judge_models(own, "test", ["large", "tiny"], memory)
    for model in ("large", "tiny"):
        assert list(memory.judged[model, "test"]) == list(KINDS)
        for kind, values in fresh.judged[model, "test"].items():
            assert memory.judged[model, "test"][kind] == pytest.approx(values, rel=1e-12)


@pytest.mark.parametrize("costs", [True, False])
def test_what_the_fit_split_says_is_remembered_too(tmp_path, monkeypatch, costs):
    """A finished table is chosen from without a logit being read, whatever way round a pair is."""
    store = write_set(tmp_path, costs=costs)
    own = Store(store).open("toy")
    table = remembered.swept(own, store)["softmax"]
    asked = sorted({*zip(table["base"], table["sidekick"], strict=True)})
    asked += [pair[::-1] for pair in asked]
    expected = on_fit(own, asked)
    monkeypatch.setattr("duo_core.systems.sweep.calibrate", None)
    monkeypatch.setattr("duo_core.systems.sweep.fit_calibrated", None)
    monkeypatch.setattr("duo_core.logits.LogitSet.logits", None)
    memory = Memory()
    pd.testing.assert_frame_equal(remembered.swept(own, store, memory=memory)["softmax"], table)
    pd.testing.assert_frame_equal(on_fit(own, asked, memory), expected, rtol=1e-12)


def test_splits_do_not_mix(store, computed):
    own = Store(store).open("toy")
    remembered.swept(own, store, ["shift"])
    both = remembered.swept(own, store)
    assert [splits for splits, _ in computed] == [["shift"], ["test"]]
    assert_same(both, sweeps(own), rtol=1e-12)
    assert_same(remembered.swept(own, store, ["shift"]), sweeps(own, ["shift"]), rtol=1e-12)
    assert len(computed) == 2


def test_an_added_model_costs_its_own_pairs(store, computed):
    remembered.swept(Store(store).open("toy"), store)
    shapes = {split: (len(y), 5) for split, y in Store(store).open("toy").labels.items()}
    generator = torch.Generator().manual_seed(1)
    Store(store).write_model(
        "toy",
        Card("added", "toy/added", "python", multiply_adds=100),
        {split: torch.randn(shape, generator=generator) for split, shape in shapes.items()},
    )
    own = Store(store).open("toy")
    table = remembered.swept(own, store)
    assert all("added" in pair for pair in computed[1][1])
    assert len(computed[1][1]) == 2 * sum("added" in pair for pair in pairs(own, "val"))
    assert_same(table, sweeps(own), rtol=1e-12)


def test_a_replaced_model_is_not_shown_as_it_was(store, computed):
    before = remembered.swept(Store(store).open("toy"), store)
    replace_model(store, "small", torch.linspace(-1, 1, 5))
    own = Store(store).open("toy")
    assert known(own, store) == {"large", "middle", "tiny"}
    after = remembered.swept(own, store)
    assert all("small" in pair for pair in computed[1][1])
    assert_same(after, sweeps(own), rtol=1e-12)
    assert not after["softmax"].equals(before["softmax"])


def test_other_definitions_begin_anew(store, computed, monkeypatch):
    remembered.swept(Store(store).open("toy"), store)
    monkeypatch.setattr(remembered, "DEFINITIONS", remembered.DEFINITIONS + 1)
    assert not known(Store(store).open("toy"), store)


@pytest.mark.parametrize("content", [b"", b"no table", b"PAR1" * 9])
def test_a_broken_file_is_as_good_as_none(store, content):
    own = Store(store).open("toy")
    expected = remembered.swept(own, store)
    file = store / remembered.FOLDER / "toy" / "pairs.parquet"
    file.write_bytes(content)
    assert_same(remembered.swept(own, store), expected)
    assert len(pd.read_parquet(file)) == 2 * sum(map(len, expected.values()))


def test_a_cancelled_sweep_is_gone_on_with(store, monkeypatch, computed):
    own = Store(store).open("toy")
    monkeypatch.setattr("duo_core.systems.sweep.BYTES", 1)
    part = remembered.swept(own, store, ["test"], progress=lambda done, total: done > total / 2)
    done = len(part["softmax"]) // 5
    assert 0 < done < 6
    whole = remembered.swept(own, store, ["test"])
    assert len(computed[1][1]) == 2 * (6 - done)
    assert_same(whole, sweeps(own, ["test"]), rtol=1e-12)


def test_a_store_that_cannot_be_written_to_still_answers(store, monkeypatch):
    own = Store(store).open("toy")

    def refused(*_, **__):
        raise PermissionError

    monkeypatch.setattr("duo_core.systems.result_files.replaced", refused)
    assert_same(remembered.swept(own, store), sweeps(own), rtol=1e-12)


def test_the_folder_is_no_set(store):
    remembered.swept(Store(store).open("toy"), store)
    assert Store(store).names() == ["toy"]
