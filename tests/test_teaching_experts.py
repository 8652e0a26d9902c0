"""Tests of the made-up experts: the model is the stated one, and its best weights are those that the fit finds."""

import numpy as np
import pytest
import torch

from duo_core.common.arrays import InputError
from duo_core.logits.store import Store
from duo_core.systems.duo import Temperatures, combine
from duo_core.systems.fitting import calibrate, fit
from duo_core.teaching.experts import BASE, SIDEKICK, Expert, best_temperatures, classroom, real


def residuals(room):
    truth = torch.nn.functional.one_hot(room.test.labels, 3)
    sides = ((room.test.base, room.base), (room.test.sidekick, room.sidekick))
    return [(logits / expert.boldness - expert.quality * truth).flatten().numpy() for logits, expert in sides]


@pytest.mark.parametrize("overlap", [0.0, 0.6])
def test_evidence_is_quality_plus_noise_of_spread_one_that_overlaps_as_asked(overlap):
    noises = residuals(classroom(overlap=overlap, seed=1, n=30000, n_fit=1))
    assert np.mean(noises, axis=1) == pytest.approx([0, 0], abs=0.02)
    assert np.cov(noises) == pytest.approx(np.array([[1, overlap], [overlap, 1]]), abs=0.02)


def test_the_base_stays_as_it_is_whatever_the_sidekick():
    rooms = [classroom(overlap=0.1, seed=3), classroom(sidekick=Expert(0.5, 1.0), overlap=0.9, seed=3)]
    assert torch.equal(rooms[0].test.base, rooms[1].test.base)
    assert torch.equal(rooms[0].test.labels, rooms[1].test.labels)
    assert not torch.equal(rooms[0].test.base, classroom(seed=4).test.base)


def test_no_image_is_fitted_on_and_judged_on():
    room = classroom(n=5, n_fit=5)
    assert not set(map(tuple, room.fit.base.tolist())) & set(map(tuple, room.test.base.tolist()))


@pytest.mark.parametrize("quality", [0.7, 2.0])
def test_one_expert_alone_is_calibrated_by_quality_over_boldness(quality):
    room = classroom(Expert(quality, 4.0), seed=5, n_fit=40000, n=1)
    assert calibrate(room.fit.base, room.fit.labels).temperature == pytest.approx(quality / 4.0, rel=0.03)


@pytest.mark.parametrize(
    ("base", "sidekick", "overlap"),
    [(BASE, SIDEKICK, 0.2), (BASE, BASE, 0.8), (SIDEKICK, BASE, 0.4), (BASE, Expert(0.8, 2.0), 0.6), (BASE, Expert(0.0, 2.0), 0.2)],
)
def test_the_fit_finds_the_stated_best_weights(base, sidekick, overlap):
    room = classroom(base, sidekick, overlap=overlap, seed=7, n_fit=40000, n=1)
    found = fit(room.fit.base, room.fit.sidekick, room.fit.labels).temperatures
    assert found == pytest.approx(best_temperatures(base, sidekick, overlap), abs=0.03)


def test_the_best_weights_give_the_true_probabilities():
    room = classroom(seed=2, n=60000)
    logits = combine(room.test.base, room.test.sidekick, best_temperatures(room.base, room.sidekick, room.overlap))
    confidence, predicted = torch.softmax(logits, 1).max(1)
    right = (predicted == room.test.labels).double()
    for low in (0.5, 0.7, 0.9):
        inside = (confidence > low) & (confidence <= low + 0.1)
        assert float(right[inside].mean()) == pytest.approx(float(confidence[inside].mean()), abs=0.015)


def test_a_worse_expert_may_be_the_base():
    assert best_temperatures(Expert(0.5, 1.0), Expert(2.0, 4.0), 0.6) == Temperatures(0.0, 0.5)


@pytest.mark.parametrize("overlap", [-0.1, 1.0])
def test_an_overlap_out_of_range_is_told(overlap):
    with pytest.raises(InputError, match=rf"expected an overlap in \[0, 1\), got {overlap}"):
        classroom(overlap=overlap)


def test_a_real_pair_takes_the_same_form():
    logit_set = Store().open("cifar10")
    pair = real(logit_set, "resnet56", "resnet20", "test-blur")
    assert torch.equal(pair.fit.labels, logit_set.labels["val"])
    assert torch.equal(pair.test.sidekick, logit_set.logits("resnet20", "test-blur"))
