"""Each class gets its share, rounded down or up, and lots are fair."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from duo_core.analysis.subsets import stratified_sample, stratified_samples
from duo_core.common.arrays import InputError


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.data())
def test_each_class_gets_its_share_rounded_down_or_up(labels, data):
    labels, seed = torch.tensor(labels), data.draw(st.integers(0, 2**32))
    n, size = len(labels), data.draw(st.integers(1, len(labels)))
    rows = stratified_sample(labels, size, seed)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(rows) == size
    for label, count in enumerate(labels.bincount().tolist()):
        drawn = int((labels[rows] == label).sum())
        assert size * count // n <= drawn <= -(-size * count // n)


def test_the_seed_decides():
    labels = torch.arange(5).repeat(20)
    assert torch.equal(stratified_sample(labels, 30, 1), stratified_sample(labels, 30, 1))
    assert not torch.equal(stratified_sample(labels, 30, 1), stratified_sample(labels, 30, 2))


def test_every_row_is_as_likely_as_every_other():
    labels = torch.tensor([0, 0, 1, 1, 1, 1, 2])
    drawn = torch.cat([stratified_sample(labels, 3, seed) for seed in range(4000)])
    assert np.bincount(drawn, minlength=7) / 4000 == pytest.approx([3 / 7] * 7, abs=0.04)


@pytest.mark.parametrize("size", [0, 4])
def test_a_size_that_cannot_be_drawn_is_named(size):
    with pytest.raises(InputError, match=f"expected a sample of 1 to 3 of 3 rows, got {size}"):
        stratified_sample(torch.tensor([0, 1, 1]), size, 0)


@given(st.lists(st.integers(0, 5), min_size=4, max_size=80), st.data())
def test_samples_are_apart_where_there_are_rows_enough(labels, data):
    labels = torch.tensor(labels)
    n, size = len(labels), data.draw(st.integers(1, len(labels) // 2))
    samples = stratified_samples(labels, size, data.draw(st.integers(0, 99)), n // size)
    rows = torch.cat(samples).tolist()
    assert len(rows) == len(set(rows)) == n // size * size
    for sample in samples:
        for label, count in enumerate(labels.bincount().tolist()):
            assert size * count // n <= int((labels[sample] == label).sum()) <= -(-size * count // n)
