"""Kinds of systems, groups of trainings and cascades."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duo_core.common.arrays import InputError, Predictions
from duo_core.logits import Card
from duo_core.logits.store import Store
from duo_core.models.zoo.trained import group
from duo_core.systems.cascades import Cascade, cascaded, ends_at, gate_for_risk, gate_for_share, mean_cost
from duo_core.systems.groups import MOST, Group, check_deep_ensemble, groups_of
from duo_core.systems.kinds import KINDS, kind_of
from duo_core.systems.system import RULES, System


def card(name: str, model: str = "net", **known) -> Card:
    return Card(name, model, "python", **{"weights_sha256": name, **known})


CARDS = {
    **{name: card(name, recipe="scratch") for name in "abcd"},
    "copy": card("copy", recipe="scratch", weights_sha256="a"),
    "other": card("other", recipe="longer"),
    "wide": card("wide", "wide-net", recipe="scratch"),
    "unknown": card("unknown"),
    "soup": card("soup", recipe="scratch", methodology="uniform soup"),
    "stock": card("stock", training={"ingredients": [{"weights_sha256": "a"}]}),
}


@pytest.mark.parametrize(
    ("members", "rule", "kind"),
    [
        ("a", "fitted", "single"), ("soup", "fitted", "soup"), ("stock", "fitted", "soup"), ("a b", "fitted", "deep ensemble"),
        ("a b c d", "ensemble", "deep ensemble"), ("a copy", "fitted", "duo"), ("a other", "fitted", "duo"),
        ("a wide", "fitted", "duo"), ("unknown other", "fitted", "duo"), ("a b wide", "fitted", "trio"),
        ("a soup", "fitted", "duo"), ("a b c wide", "fitted", "heterogeneous ensemble"),
        ("a wide", "ensemble", "heterogeneous ensemble"), ("a wide other", "equal", "heterogeneous ensemble"),
    ],
)  # fmt: skip
def test_the_kind_of_a_system_is_named_from_its_members_cards(members, rule, kind):
    assert kind_of(CARDS, System(tuple(members.split()), rule)) == kind
    assert kind in KINDS
    assert sum(rule.fits_weights for rule in RULES.values()) == 1


def test_groups_are_of_one_recipe_and_architecture_without_copies_and_soups():
    found = groups_of(CARDS)
    assert [(one.recipe, one.model, one.members) for one in found] == [("scratch", "net", tuple("abcd"))]
    assert groups_of(CARDS, ["a", "copy", "wide", "unknown"]) == []


@given(st.integers(2, 12), st.data())
def test_subsets_are_all_or_32_different_ones_by_the_seed(trainings, data):
    m, seed = data.draw(st.integers(1, trainings)), data.draw(st.integers(0, 1000))
    of = Group("scratch", "net", tuple(f"m{at:02}" for at in range(trainings)))
    found = of.subsets(m, seed)
    assert len(found) == min(math.comb(trainings, m), MOST) if math.comb(trainings, m) > MOST else math.comb(trainings, m)
    assert len(set(found)) == len(found)
    assert all(len(set(one)) == m and list(one) == sorted(one) and set(one) <= set(of.members) for one in found)
    assert found == of.subsets(m, seed)


def test_another_seed_draws_other_subsets_and_more_members_than_trainings_are_refused():
    of = Group("scratch", "net", tuple(f"m{at:02}" for at in range(12)))
    assert of.subsets(6, 0) != of.subsets(6, 1)
    with pytest.raises(
        InputError, match=r"expected a deep ensemble of 1 to 12 trainings of 'net' \(scratch\), as many as there are, got 13"
    ):
        of.subsets(13)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ("a copy", "expected trainings of different weights, got 'a' and 'copy' with the same"),
        ("a wide", "what they make together is a heterogeneous ensemble"),
        ("a unknown", "expected trainings of one architecture and recipe, got 'a' and 'unknown'"),
    ],
)
def test_what_is_no_deep_ensemble_is_refused_in_a_sentence(members, said):
    with pytest.raises(InputError, match=said):
        check_deep_ensemble(CARDS, members.split())
    check_deep_ensemble(CARDS, ["a", "b", "c"])


# ----------------------------------------------------------------------------------------------------------------- cards

ABOUT = {
    "model": "cifar/resnet20", "arguments": {}, "classes": ["a", "b"], "anchor": None, "trial": 0, "seed": 1,
    "learning_rate": 1e-3, "weight_decay": 0.05, "recipe": {"name": "scratch", "epochs": 3, "trials": 4},
    "images": {"train": {"images": 9, "sha256": "f"}},
}  # fmt: skip


def test_a_group_is_what_differs_in_the_seed_alone():
    own = group(ABOUT)
    assert own.startswith("scratch-")
    for key, value in {"seed": 2, "trial": 3, "score": {"nll": 1}, "recipe": {**ABOUT["recipe"], "trials": 9}}.items():
        assert group({**ABOUT, key: value}) == own, key
    for key, value in {
        "learning_rate": 2e-3, "weight_decay": 0.0, "model": "cifar/resnet32", "anchor": "1f", "classes": ["a", "c"],
        "arguments": {"width": 2}, "recipe": {**ABOUT["recipe"], "epochs": 4}, "images": {"train": {"images": 9, "sha256": "g"}},
    }.items():  # fmt: skip
        assert group({**ABOUT, key: value}) != own, key
    assert group({key: value for key, value in ABOUT.items() if key != "trial"}) is None


def test_a_set_keeps_recipe_methodology_and_data_and_reads_sets_without(toy_store, tmp_path):
    old = Store(toy_store).open("toy")
    assert {(one.recipe, one.methodology, one.data) for one in old.cards.values()} == {(None, None, None)}
    store = Store(tmp_path)
    store.prepare("s", title="S", classes=old.classes, labels=old.labels)
    said = {"recipe": "scratch-1f", "methodology": "supervised", "data": "CIFAR-10"}
    logits = {split: old.logits("large", split) for split in old.labels}
    store.write_model("s", dataclasses.replace(old.cards["large"], **said), logits)
    kept = store.open("s").cards["large"]
    assert {key: getattr(kept, key) for key in said} == said


def test_a_list_of_models_says_recipe_methodology_and_data(tmp_path):
    from duo_core.models.zoo import resolve

    file = tmp_path / "models.yaml"
    said = {"recipe": "scratch", "methodology": "supervised", "data": "CIFAR-10"}
    file.write_text(json.dumps({"models": [{"model": "cifar/resnet20", **said}]}))
    spec = resolve(str(file))[0]
    assert {key: getattr(spec, key) for key in said} == said
    file.write_text(json.dumps({"models": [{"model": "cifar/resnet20", "data": 10}]}))
    with pytest.raises(InputError, match="expected text as 'data' in entry 1"):
        resolve(str(file))


# -------------------------------------------------------------------------------------------------------------- cascades


def made(rng: np.random.Generator, n: int, *, levels: int = 6) -> Predictions:
    """Predictions with many equal uncertainties."""
    labels, doubt = rng.integers(3, size=n), rng.integers(levels, size=n) / levels
    return Predictions(labels, rng.integers(3, size=n), 1 - doubt, doubt, rng.random(n), rng.random(n), rng.random(n))


@pytest.fixture
def stages(rng) -> tuple[Predictions, Predictions]:
    first = made(rng, 200)
    return first, dataclasses.replace(made(rng, 200), labels=first.labels)


def test_a_cascade_hands_on_what_is_above_its_gate_and_says_what_the_stage_says(stages):
    first, last = stages
    gate = 0.5
    found, place = cascaded(stages, [gate]), ends_at(stages, [gate])
    for image in range(len(first)):
        said = last if first.doubt[image] > gate else first
        assert place[image] == (said is last)
        for column in ("predicted", "confidence", "doubt", "entropy", "nll", "brier"):
            assert getattr(found, column)[image] == getattr(said, column)[image]


@pytest.mark.parametrize(("gate", "stage"), [(np.inf, 0), (-np.inf, 1)])
def test_an_open_gate_is_the_last_stage_and_a_shut_one_the_first(stages, gate, stage):
    found = cascaded(stages, [gate])
    assert (found.predicted == stages[stage].predicted).all()
    assert (found.nll == stages[stage].nll).all()


def test_three_stages_are_passed_one_by_one(rng):
    first = made(rng, 300)
    rest = [dataclasses.replace(made(rng, 300), labels=first.labels) for _ in range(2)]
    place = ends_at([first, *rest], [0.3, 0.6])
    assert (place == np.where(first.doubt <= 0.3, 0, np.where(rest[0].doubt <= 0.6, 1, 2))).all()


def test_entropy_gates_by_entropy(stages):
    ranked = [stage.ranked_by("entropy") for stage in stages]
    assert (ends_at(ranked, [0.5]) == (stages[0].entropy > 0.5)).all()
    assert cascaded(ranked, [0.5]).kind == "entropy"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.floats(0, 1))
def test_the_gate_of_a_share_is_the_least_that_hands_on_no_more(levels, share):
    uncertainty = np.array(levels, dtype=float)
    gate = gate_for_share(uncertainty, share)
    assert (uncertainty > gate).mean() <= share + 1e-9
    lower = [value for value in (-np.inf, *uncertainty) if value < gate]
    assert all((uncertainty > value).mean() > share for value in lower)


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_the_gate_of_a_risk_is_the_largest_that_keeps_it(seed, risk):
    rng = np.random.default_rng(seed)
    first = made(rng, 25)
    last = dataclasses.replace(made(rng, 25), labels=first.labels)
    gate = gate_for_risk(first, last, risk)
    gates = sorted({-np.inf, *first.uncertainty}, reverse=True)
    keeps = [value for value in gates if (~cascaded([first, last], [value]).correct).mean() <= risk + 1e-12]
    if gate is None:
        assert not keeps
    else:
        assert (ends_at([first, last], [gate]) == ends_at([first, last], [keeps[0]])).all()


def test_what_ran_is_not_paid_twice_and_the_mean_cost_has_its_interval():
    cost = {"small": 10, "large": 100}
    apart = Cascade((System(("small",)), System(("large",))), (0.2,))
    fused = Cascade((System(("small",)), System(("large", "small"))), (0.2,))
    assert apart.costs(cost) == fused.costs(cost) == (10, 110)
    place = np.array([0] * 80 + [1] * 20)
    found = mean_cost(place, [10, 110])
    assert found.estimate == pytest.approx(30)
    error = 100 * math.sqrt(0.2 * 0.8 / 100)  # of a binomial share
    assert found.low == pytest.approx(30 - 1.96 * error, abs=1.5)
    assert found.high == pytest.approx(30 + 1.96 * error, abs=1.5)


@pytest.mark.parametrize(("stages", "gates"), [(1, 0), (2, 2), (3, 1)])
def test_a_cascade_needs_one_gate_fewer_than_systems(stages, gates):
    with pytest.raises(InputError, match="one gate fewer"):
        Cascade((System(("a",)),) * stages, (0.1,) * gates)


def test_a_share_outside_0_to_1_is_refused():
    with pytest.raises(InputError, match="expected a share of images"):
        gate_for_share(np.zeros(3), 1.5)
