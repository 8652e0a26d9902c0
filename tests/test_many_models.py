"""Sets of many models: what grows is screened, few cascades are tried, and both are said; what is chosen is as good."""

import dataclasses
import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from duo_core.analysis import candidates, cascading, options
from duo_core.analysis.advisor import Adviser, advise
from duo_core.analysis.beside import systems_beside
from duo_core.analysis.candidates import Bounds, enumerated, grown
from duo_core.analysis.cascading import cascades_beside
from duo_core.analysis.options import Draws
from duo_core.cli.advising import document
from duo_core.logits import FIT_SPLIT, Card, LogitSet
from duo_core.systems import growing
from duo_core.systems.cascades import gate_for_share
from duo_core.systems.enumeration import results
from duo_core.systems.fitting import features_of
from duo_core.systems.growing import grow, grow_under
from duo_core.systems.judging import fit_system
from duo_core.systems.newton import pseudo_inverse
from duo_core.systems.pair_judging import Memory
from duo_core.systems.predicting import predictions
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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_logits_of_any_precision_are_promised_and_grow(dtype):
    own = world(1)
    own = dataclasses.replace(own, arrays={key: logits.to(dtype) for key, logits in own.arrays.items()})
    wide = dataclasses.replace(own, arrays={key: logits.float() for key, logits in own.arrays.items()})
    one, other = (grow_under(of, "m0", [4.0], size=4, fitted=2)[0] for of in (own, wide))
    assert one.members == other.members
    assert len(one.members) == 4
    assert one.nll_fit == pytest.approx(other.nll_fit, rel=1e-6)


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
    made = cascades_beside(own, "m2", found)
    assert set(made.pair) == set(range(len(made.pairs)))
    assert len(made.pairs) == made.bounds.cascades < made.bounds.pairs
    by_first = {}
    for pair in made.pairs:
        by_first.setdefault(pair.members[1], []).append(found[pair].nll_fit)
    least = found[System(("m2",))].nll_fit
    for name, tried in by_first.items():
        every = [of.nll_fit for s, of in found.items() if s.m == 2 and s.members[1] == name and all(of.weights)]
        assert min(tried) == min(nll for nll in every if nll < least)


@pytest.mark.parametrize("kind", ["softmax", "entropy"])
@pytest.mark.parametrize("limit", [0.6, 1.5, np.inf])
def test_cascades_are_what_their_stages_say_image_by_image(kind, limit):
    """One of the models is as sure of every image as of any other, so that it hands on all or none."""
    own, base = world(5, m=5, n=60), "m1"
    for split, labels in own.labels.items():
        own.arrays["m4", split] = 2 * torch.nn.functional.one_hot(torch.where(torch.arange(60) % 4 > 0, labels, 0), 4).float()
    cost = {name: card.multiply_adds for name, card in own.cards.items()}
    found = results(own, enumerated(own, "test", size=2, base=base), ["test"])
    memory, alone, expected, within = Memory(), System((base,)), {}, 0
    calibrate_models(own, own.cards, memory)
    labels, logits = own.labels[FIT_SPLIT], {name: own.logits(name, FIT_SPLIT) for name in own.cards}
    said = {
        system: predictions(logits, labels, [(system, fit_system(own, system.members, memory))], kind=kind)[0] for system in found
    }
    for pair in (system for system in found if system.m == 2 and all(found[system].weights)):
        first = System((pair.members[1],))
        for share in cascading.SHARES if found[pair].nll_fit < found[alone].nll_fit else ():
            gate = gate_for_share(said[first].uncertainty, share)
            goes_on = said[first].uncertainty > gate
            mean = cost[pair.members[1]] + cost[pair.members[0]] * goes_on.mean()
            if not 0 < goes_on.sum() < 60 or mean > limit * cost[base] * (1 + 1e-12):
                continue
            within += 1
            apart = np.where(goes_on, said[pair].nll, said[first].nll) - said[alone].nll
            worth = cascading.SURE * apart.std() / np.sqrt(60)
            if -apart.mean() > worth:
                expected[pair, round(gate, 9)] = mean, found[alone].nll_fit + apart.mean(), worth
    count, made = cascades_beside(own, base, found, kind=kind).under(limit * cost[base])
    assert count == within
    got = {(one.system.stages[1], round(one.system.gates[0], 9)): (one.cost, one.val_nll, one.worth) for one in made}
    assert got.keys() == expected.keys()
    assert all(got[key] == pytest.approx(expected[key]) for key in expected)
    assert len(expected) > 0 or limit < 1


@pytest.mark.parametrize("kept", [1, 3, 100])
def test_what_pairs_lose_is_found_once_whichever_base_and_uncertainty_ask(monkeypatch, kept):
    own, memory, asked, plain = world(5, m=6, n=60), Memory(), [], cascading.lost
    monkeypatch.setattr(cascading, "BYTES", kept * 8 * 60)
    monkeypatch.setattr(cascading, "lost", lambda own, of, split: asked.append(len(of)) or plain(own, of, split))
    found = results(own, enumerated(own, "test", size=2), ["test"])
    for base, kind in (("m3", "softmax"), ("m2", "softmax"), ("m3", "entropy")):
        alone, made = cascades_beside(own, base, found, kind=kind), cascades_beside(own, base, found, kind=kind, memory=memory)
        for one, other in zip(made, alone, strict=True):
            assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
        assert len(memory.lost) <= kept
    asked.clear()
    cascades_beside(own, "m3", found, memory=memory)
    assert bool(asked) == (kept < 100)


def test_the_second_base_is_weighed_with_what_was_judged_for_the_first(fits):
    own = world(6)
    known = results(own, enumerated(own, "test"), ["test"])
    for base in ("m2", "m5"):
        fits.clear()
        adviser = Adviser(systems_beside(own, base, "test", BUDGETS, known=known), draws=Draws(100))
        assert adviser.answers(BUDGETS) == advise(own, base, BUDGETS, replicates=100)


@pytest.mark.parametrize("order", [(0.5, 0.1, 2.0), (2.0, 0.1), (0.1, 0.5), (0.43, 0.47, 1.0), (1.6, 0.9)])
@pytest.mark.parametrize("seed", [8, 10])
def test_answers_are_the_same_in_whatever_order_they_are_asked_for(few, order, seed):
    """Those of a ladder, and budgets of one's own."""
    own = world(seed)
    adviser = Adviser(systems_beside(own, "m1"), draws=Draws(100))
    for budget in order:
        assert adviser.answers([budget]) == advise(own, "m1", [budget], replicates=100)
    assert adviser.answers(order) == advise(own, "m1", order, replicates=100)


def test_what_is_weighed_for_a_budget_does_not_depend_on_what_grew_meanwhile(few):
    own = world(8)
    beside = systems_beside(own, "m0")
    first = [one.system for one in beside.within(0.5)]
    whole = [one.system for one in beside.within(2.0)]
    for other in (0.47, 1.7):  # of one's own, so that only whoever asks for them sees what grew
        beside.within(other)
    assert [one.system for one in beside.within(0.5)] == first
    assert [one.system for one in beside.within(2.0)] == whole
    assert set(first) < set(whole)


def test_what_one_answer_found_the_next_does_not_find_again(few, fits, monkeypatch):
    judged, plain = [], options.metrics_on_draws
    monkeypatch.setattr(options, "metrics_on_draws", lambda *of: judged.append(len(of[0])) or plain(*of))
    own = world(9)
    adviser = Adviser(systems_beside(own, "m1"), draws=Draws(100))
    first = adviser.answers([1.0])
    assert any(fits)
    assert judged
    fits.clear()
    judged.clear()
    assert adviser.answers([1.0]) == first
    assert not any(fits)
    assert not judged


def test_a_smaller_budget_grows_nothing_that_it_does_not_allow(few, fits):
    own = world(9)
    most = {}
    for budget in (0.5, 2.0):
        fits.clear()
        Adviser(systems_beside(own, "m0"), draws=Draws(100)).answers([budget])
        most[budget] = max(growing.cost_ratio(own, members) for step in fits for members in step)
    assert most[0.5] <= 1.5 + 1e-9 < most[2.0]


def test_larger_systems_that_grew_are_none_of_those_enumerated(few):
    larger, fitted = grown(world(7), "m0", "test", BUDGETS, size=3, memory=Memory())
    assert fitted == 3
    assert min(system.m for system in larger) == 3
    assert all("m0" in system.members for system in larger)


def test_another_session_may_let_go_of_what_pairs_lose_meanwhile(monkeypatch):
    own, memory, plain = world(5, m=6, n=60), Memory(), cascading.lost
    found = results(own, enumerated(own, "test", size=2), ["test"])
    cascades_beside(own, "m2", found, memory=memory)
    memory.lost.pop(next(iter(memory.lost)))
    monkeypatch.setattr(cascading, "lost", lambda *of: memory.lost.clear() or plain(*of))
    made, expected = cascades_beside(own, "m2", found, memory=memory), cascades_beside(own, "m2", found)
    assert (made.val_nll == expected.val_nll).all()


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
