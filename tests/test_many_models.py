"""Sets of many models: what grows is screened, few cascades are tried, and both are said; what is chosen is as good."""

import dataclasses
import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from duo_core.analysis import candidates, cascading
from duo_core.analysis.advisor import advise, systems_beside
from duo_core.analysis.candidates import Bounds, enumerated, grown
from duo_core.analysis.cascading import cascade_candidates
from duo_core.cli.advising import document
from duo_core.logits import FIT_SPLIT, Card, LogitSet
from duo_core.systems import growing
from duo_core.systems.enumeration import results
from duo_core.systems.fitting import features_of
from duo_core.systems.growing import grow, grow_under
from duo_core.systems.judging import fit_system
from duo_core.systems.newton import pseudo_inverse
from duo_core.systems.pair_judging import Memory
from duo_core.systems.screening import promises
from duo_core.systems.search import point_at
from duo_core.systems.sweep import calibrate_models, fit_pair
from duo_core.systems.system import System
from duo_core.wording.advising import sentences_of


def world(seed: int, m: int = 9, n: int = 300, k: int = 4) -> LogitSet:
    """Models that each know something of their own; dearer ones know more."""
    random = np.random.default_rng(seed)
    labels, arrays = {}, {}
    for split in (FIT_SPLIT, "test"):
        truth = random.integers(k, size=n)
        labels[split] = torch.from_numpy(truth)
        common = random.normal(size=(n, k))
        for at in range(m):
            own = common + 1.5 * random.normal(size=(n, k))
            own[np.arange(n), truth] += 2.5 - 0.1 * at + random.normal(size=n)
            arrays[f"m{at}", split] = torch.from_numpy(own).float()
    cards = {f"m{at}": Card(f"m{at}", f"net/{at}", "python", multiply_adds=int(1000 * 0.8**at)) for at in range(m)}
    return LogitSet("world", "World", tuple(map(str, range(k))), labels, cards, arrays)


@settings(max_examples=20)
@given(seed=st.integers(0, 500), size=st.integers(1, 4))
def test_a_promise_is_the_decrease_to_second_order(seed, size):
    """By the gradient and Hessian of all weights, that of the other model at 0, as the fit itself computes them."""
    own, memory = world(seed), Memory()
    calibrate_models(own, own.cards, memory)
    fitted = fit_system(own, [f"m{(seed + 2 * at) % 9}" for at in range(size)], memory, ["fitted"])
    others = {name: memory.calibrated[name] for name in own.cards if name not in fitted.members}
    found = promises([memory.calibrated[name] for name in fitted.members], fitted.weights, others)
    kept = [(name, weight) for name, weight in zip(fitted.members, fitted.weights, strict=True) if weight > 0]
    for name, single in others.items():
        every = [*(memory.calibrated[of] for of, _ in kept), single]
        features = features_of([one.logits for one in every], single.labels, [one.survey for one in every])
        scales = np.array([one.scale for one in every])
        at = point_at(features, np.array([*(weight for _, weight in kept), 0.0]) * scales)
        decrease = at.gradient @ pseudo_inverse(at.hessian) @ at.gradient / 2 if at.gradient[-1] < 0 else 0.0
        assert found[name] == pytest.approx(decrease, rel=1e-5, abs=1e-9)


def test_the_promise_says_what_the_fit_then_finds():
    own, memory = world(1), Memory()
    fitted = fit_system(own, ["m0", "m3", "m5"], memory, ["fitted"])
    calibrate_models(own, own.cards, memory)
    others = {name: memory.calibrated[name] for name in own.cards if name not in fitted.members}
    found = promises([memory.calibrated[name] for name in fitted.members], fitted.weights, others)
    decreases = {name: fitted.nll["fitted"] - fit_system(own, [*fitted.members, name], memory).nll["fitted"] for name in others}
    assert sorted(found, key=found.get)[-2:] == sorted(decreases, key=decreases.get)[-2:]
    for name, decrease in decreases.items():
        assert found[name] == pytest.approx(decrease, rel=0.5, abs=1e-4)


def test_where_classes_are_masked_nothing_is_promised():
    own = world(2)
    masked = own.arrays["m4", FIT_SPLIT].clone()
    rows = torch.arange(len(masked))
    masked[rows, (own.labels[FIT_SPLIT] + 1) % 4] = -torch.inf
    own = dataclasses.replace(own, arrays={**own.arrays, ("m4", FIT_SPLIT): masked})
    memory = Memory()
    calibrate_models(own, own.cards, memory)
    assert promises([memory.calibrated["m0"]], (1.0,), {"m4": memory.calibrated["m4"]}) is None
    found = grow_under(own, "m0", [4.0], size=4, fitted=1)
    assert len(found[0].members) > 1


BUDGETS = [0.0, 0.3, 1.0, 5.0]


@settings(max_examples=15)
@given(st.integers(0, 300), st.sampled_from([None, 3]))
def test_what_grows_under_several_budgets_is_what_grows_under_each(seed, fitted):
    own = world(seed)
    together = grow_under(own, "m2", BUDGETS, size=5, fitted=fitted)
    assert together == [grow_under(own, "m2", [budget], size=5, fitted=fitted)[0] for budget in BUDGETS]
    if fitted is None:
        assert together == [grow(own, "m2", budget=budget, size=5) for budget in BUDGETS]
        assert grow_under(own, "m2", BUDGETS, size=5, fitted=8) == together, "as many as there are"


@pytest.fixture
def fits(monkeypatch):
    """The members of all that is fitted for what grows, a list a step."""
    asked, plain = [], growing.fit_all

    def counted(own, systems, *of):
        systems = list(systems)
        asked.append([system.members for system in systems])
        return plain(own, systems, *of)

    monkeypatch.setattr(growing, "fit_all", counted)
    return asked


def test_what_was_judged_before_is_not_fitted_again(fits):
    own = world(3)
    expected = grow_under(own, "m2", BUDGETS, size=5)
    known = results(own, enumerated(own, "test", size=2), ["test"])
    assert {len(members) for step in fits for members in step} == {2, 3, 4, 5}
    fits.clear()
    assert grow_under(own, "m2", BUDGETS, size=5, known=known) == expected
    assert {len(members) for step in fits for members in step} == {3, 4, 5}


def test_a_screened_search_fits_so_many_at_each_step(fits):
    grow_under(world(4), "m0", [5.0], size=4, fitted=2)
    assert any(fits)
    assert all(len([members for members in step if len(members) > 1]) <= 2 * len(growing.WAYS) for step in fits)


@pytest.fixture
def few(monkeypatch):
    """So many models count as too many to search in full."""
    monkeypatch.setattr(candidates, "MANY", 5)
    monkeypatch.setattr(candidates, "FITTED", 3)
    monkeypatch.setattr(candidates, "MOST", 100)  # so that systems of three are not enumerated
    monkeypatch.setattr(cascading, "PAIRS", 12)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_chosen_of_a_bounded_search_is_as_good(seed, few, monkeypatch):
    own = world(seed)
    bounded = advise(own, "m2", replicates=100)
    monkeypatch.setattr(candidates, "MANY", 50)
    monkeypatch.setattr(cascading, "PAIRS", 500)
    whole = advise(own, "m2", replicates=100)
    for one, other in zip(bounded, whole, strict=True):
        assert one.chosen.candidate.val_nll == pytest.approx(other.chosen.candidate.val_nll, abs=0.01)
        assert bool(one.bounds) is True
        assert not other.bounds
    assert [one.candidates for one in bounded] < [one.candidates for one in whole]
    scores = [one.chosen.candidate.val_nll for one in bounded]
    assert all(after <= before for before, after in pairwise(scores))


def test_bounds_are_said_in_words_and_in_json(few):
    own = world(0)
    one = advise(own, "m2", (1.0,), replicates=100)[0]
    tried = one.bounds.cascades
    assert one.bounds.fitted == 3
    assert 0 < tried < one.bounds.pairs
    assert document(one)["bounded"] == {"models_fitted_a_step": 3, "cascades_of_pairs": tried, "pairs": one.bounds.pairs}
    said = sentences_of(one)[-1]
    assert said.startswith(
        "With so many models the search is not exhaustive: systems of three and more grew one member at a time, and each step "
        "fitted the 3 most promising models"
    )
    assert f"cascades were tried with {tried} of {one.bounds.pairs} pairs" in said
    assert document(one)["sentence"].endswith(said)
    without = advise(own, "m2", (1.0,), cascades=False, replicates=100)[0]
    assert without.bounds == Bounds(fitted=3)
    assert "cascades" not in sentences_of(without)[-1]


def test_where_all_was_searched_nothing_is_said():
    one = advise(world(0), "m2", (1.0,), replicates=100)[0]
    assert not one.bounds
    assert document(one)["bounded"] is None
    assert "searched in full" not in " ".join(sentences_of(one))


def test_cascades_of_a_bounded_search_are_the_best_of_each_first_model(few):
    own = world(5)
    found = results(own, enumerated(own, "test", size=2, base="m2"), ["test"])
    made, bounds = cascade_candidates(own, "m2", found, np.inf)
    stages = {one.system.stages for one in made}
    assert len(stages) <= bounds.cascades
    by_first = {}
    for first, pair in stages:
        by_first.setdefault(first.members[0], []).append(found[pair].nll_fit)
    least = found[System(("m2",))].nll_fit
    for name, tried in by_first.items():
        every = [of.nll_fit for s, of in found.items() if s.m == 2 and s.members[1] == name and all(of.weights)]
        assert min(tried) == min(nll for nll in every if nll < least)


def test_the_second_base_is_weighed_with_what_was_judged_for_the_first():
    own = world(6)
    known = results(own, enumerated(own, "test"), ["test"])
    for base in ("m2", "m5"):
        beside = systems_beside(own, base, known=known)
        assert beside.whole is known
        assert advise(own, base, replicates=100, known=beside) == advise(own, base, replicates=100)
    with pytest.raises(ValueError, match="expected systems beside 'm2', got those beside 'm5'"):
        advise(own, "m2", known=beside)


def test_larger_systems_that_grew_are_none_of_those_enumerated(few):
    larger, fitted = grown(world(7), "m0", "test", (), size=3, memory=Memory())
    assert fitted == 3
    assert min(system.m for system in larger) == 3
    assert all("m0" in system.members for system in larger)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 6), st.sampled_from(["full", "poor", "none"]))
def test_the_pseudo_inverse_is_that_of_numpy_to_the_last_bit(seed, m, rank):
    random = np.random.default_rng(seed)
    own = random.normal(size=(m, {"full": m + 1, "poor": max(1, m - 1), "none": 1}[rank])) * (rank != "none")
    matrix = own @ own.T
    assert np.array_equal(pseudo_inverse(matrix), np.linalg.pinv(matrix, rcond=1e-14, hermitian=True))


def test_a_pair_that_was_weighed_as_a_system_has_the_fit_that_it_would_have(toy_store):
    own, memory = world(8), Memory()
    fit_system(own, ("m3", "m1"), memory, ["fitted"])
    assert fit_pair(own, "m3", "m1", memory) == fit_pair(own, "m3", "m1", Memory())


def test_the_document_is_json():
    assert json.loads(json.dumps(document(advise(world(0), "m2", (0.5,), replicates=100)[0])))["budget"] == 0.5
