"""A sweep over systems: what is remembered is never wrong, what grows is best by its own words, and the command says it all."""

import json
import math
import threading
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from logit_sets import write_set

from duo_core.__main__ import main
from duo_core.common.arrays import KINDS, InputError
from duo_core.logits import FIT_SPLIT, Card, LogitSet
from duo_core.logits.store import Store
from duo_core.metrics import METRICS, metrics
from duo_core.systems import enumeration, growing, remembered, remembered_systems
from duo_core.systems.enumeration import SYSTEMS, every_system, results, subsets, tables
from duo_core.systems.growing import grow, plan
from duo_core.systems.judging import fit_system, multiply_adds
from duo_core.systems.pair_judging import Memory
from duo_core.systems.pairs_of_systems import pairs_of
from duo_core.systems.predicting import predictions
from duo_core.systems.remembered_systems import swept_systems
from duo_core.systems.sweep import COLUMNS, fit_pair, on_fit, sweep, sweeps
from duo_core.systems.system import RULES, System


def opened(store: Path) -> LogitSet:
    return Store(store).open("toy")


def every(own: LogitSet, size: int = 3, rules=tuple(RULES)) -> list[System]:
    return every_system(subsets(own.models(), size), rules)


def assert_same(found, expected, exact=True):
    assert list(found) == list(expected)
    for system, result in found.items():
        other = expected[system]
        assert (result.weights, result.alone, result.nll_fit) == (other.weights, other.alone, other.nll_fit)
        assert (result.temperature, result.separated) == (other.temperature, other.separated)
        assert result.judged == other.judged


@pytest.fixture
def store(tmp_path):
    return write_set(tmp_path)


@pytest.fixture
def computed(monkeypatch):
    """The systems that were computed, in calls, and on which splits."""
    calls = []

    def counted(logit_set, systems, splits, **options):
        calls.append((list(splits), list(systems)))
        return results(logit_set, systems, splits, **options)

    monkeypatch.setattr(remembered_systems, "results", counted)
    return calls


def replace_model(store, model, change):
    own = opened(store)
    logits = {split: change(own.logits(model, split), split) for split in own.labels}
    (store / "toy" / f"{model}.safetensors").unlink()
    Store(store).write_model("toy", own.cards[model], logits)


def test_scores_kept_lean_are_those_of_predictions(toy_store, rng):
    """Also where one pass is for pairs and one for others, blocks are many, and sums are single precision."""
    k, n = 200, 1500
    labels = {split: torch.from_numpy(rng.integers(0, k, n)) for split in (FIT_SPLIT, "test")}
    names = ["a", "b", "c"]
    arrays = {(m, s): torch.from_numpy(rng.normal(size=(n, k))).float() for m in names for s in labels}
    for (_, split), logits in arrays.items():
        logits[torch.arange(n), labels[split]] += 2
    own = LogitSet("wide", "", tuple(map(str, range(k))), labels, {m: Card(m, m, "python") for m in names}, arrays)
    systems = every(own, rules=("fitted", "ensemble"))
    found = results(own, systems, ["test"])
    for kind in KINDS:
        asked = [(system, fit_system(own, system.members)) for system in systems]
        expected = predictions({m: own.logits(m, "test") for m in names}, labels["test"], asked, kind=kind)
        for system, one in zip(systems, expected, strict=True):
            assert found[system].judged["test"][kind] == pytest.approx(metrics(one), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_the_sweeps(toy_store, kind):
    own = opened(toy_store)
    found = results(own, every(own), ["test", "shift"])
    expected = sweeps(own, ["test", "shift"])[kind]
    pd.testing.assert_frame_equal(pairs_of(own, found, kind), expected, rtol=1e-13)
    exact = [column for column in COLUMNS if column not in ("nll", "brier")]
    pd.testing.assert_frame_equal(pairs_of(own, found, kind)[exact], expected[exact], check_exact=True)
    assert list(pairs_of(own, results(own, every(own, 3, ["fitted"]), ["test"])).columns) == COLUMNS
    assert not len(pairs_of(own, results(own, every(own, 3, ["fitted"]), ["test"])))


def test_a_pair_without_a_finite_weight_has_no_ratio_there_either(tmp_path):
    labels = torch.tensor([0, 1, 2] * 10)
    logits = {name: torch.nn.functional.one_hot(labels, 3) * strength for name, strength in (("a", 2.0), ("b", 3.0))}
    cards = {name: Card(name, name, "python", multiply_adds=9) for name in logits}
    arrays = {(name, split): own for name, own in logits.items() for split in ("val", "test")}
    own = LogitSet("sure", "", tuple("abc"), dict.fromkeys(("val", "test"), labels), cards, arrays)
    table, expected = pairs_of(own, results(own, every(own), ["test"])), sweep(own, only=[("a", "b")])
    assert table["T_ratio"].isna().all()
    pd.testing.assert_frame_equal(table, expected, rtol=1e-13)


def test_groups_and_cancelling_leave_whole_systems(store, monkeypatch):
    own = opened(store)
    whole = results(own, every(own), ["test", "shift"])
    monkeypatch.setattr(enumeration, "BYTES", 1)
    assert_same(results(own, every(own), ["test", "shift"]), whole)
    told = []
    part = results(own, every(own), ["test", "shift"], progress=lambda done, total: told.append((done, total)) or done > total / 2)
    assert 0 < len(part) < len(whole)
    assert all(list(result.judged) == ["test", "shift"] for result in part.values())
    assert_same(part, dict(list(whole.items())[: len(part)]))
    assert told == sorted(told)
    assert told[-1][1] == 3 * (4 + 6 + 4)


def test_the_second_time_nothing_is_computed(store, computed):
    own = opened(store)
    first = swept_systems(own, store, every(own), ["test", "shift"])
    assert_same(first, results(own, every(own), ["test", "shift"]))
    again = swept_systems(opened(store), store, every(own), ["test", "shift"])
    assert len(computed) == 1
    assert_same(again, first)
    for kind in KINDS:
        for one, other in zip(tables(own, again, kind), tables(own, first, kind), strict=True):
            pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_what_is_remembered_of_duos_is_known_of_pairs(store, monkeypatch):
    own, asked = opened(store), [("large", "small"), ("tiny", "middle"), ("small", "large")]
    expected = [fit_pair(own, *pair).nll["duo"] for pair in asked]
    swept_systems(own, store, every(own), ["test"])
    memory = Memory()
    swept_systems(own, store, every(own), ["test"], memory=memory)
    monkeypatch.setattr("duo_core.systems.sweep.fit_calibrated", None)
    assert on_fit(own, asked, memory)["nll_fit"].to_list() == expected


def test_only_what_is_asked_for_is_told_and_only_what_lacks_is_computed(store, computed):
    own = opened(store)
    swept_systems(own, store, every(own, 2, ["fitted"]), ["test"])
    found = swept_systems(own, store, every(own, 3, ["equal", "fitted"]), ["shift", "test"])
    assert_same(found, results(own, every(own, 3, ["equal", "fitted"]), ["shift", "test"]))
    known = set(every(own, 2, ["fitted"]))
    assert computed[1] == (["shift"], every(own, 3, ["equal", "fitted"]))
    assert computed[2] == (["test"], [system for system in every(own, 3, ["equal", "fitted"]) if system not in known])
    assert len(computed) == 3


def test_an_added_model_costs_its_own_systems(store, computed):
    own = opened(store)
    swept_systems(own, store, every(own), ["test"])
    generator = torch.Generator().manual_seed(1)
    logits = {split: torch.randn((len(y), 5), generator=generator) for split, y in own.labels.items()}
    Store(store).write_model("toy", Card("added", "toy/added", "python", multiply_adds=100), logits)
    own = opened(store)
    found = swept_systems(own, store, every(own), ["test"])
    assert all("added" in system.members for system in computed[1][1])
    assert_same(found, results(own, every(own), ["test"]))


@pytest.mark.parametrize("where", [{"val"}, {"test"}, {"val", "test", "shift"}])
def test_a_replaced_model_is_not_shown_as_it_was(store, computed, where):
    swept_systems(opened(store), store, every(opened(store)), ["test"])
    bent = torch.linspace(-1, 1, 5)
    replace_model(store, "small", lambda logits, split: logits * bent if split in where else logits.clone())
    own = opened(store)
    found = swept_systems(own, store, every(own), ["test"])
    assert set(computed[1][1]) == {system for system in every(own) if "small" in system.members}
    assert_same(found, results(own, every(own), ["test"]))


@pytest.mark.parametrize("split", ["val", "test"])
def test_other_labels_are_another_set(store, computed, split):
    own = opened(store)
    swept_systems(own, store, every(own), ["test"])
    labels = {**own.labels, split: own.labels[split].flip(0)}
    other = LogitSet(own.name, own.title, own.classes, labels, own.cards, own.arrays, digests=own.digests)
    found = swept_systems(other, store, every(own), ["test"])
    assert len(computed[1][1]) == len(every(own))
    assert_same(found, results(other, every(own), ["test"]))


def test_two_models_that_change_places_are_not_taken_for_each_other(store, computed):
    """A key names who has which logits, not only which there are."""
    own = opened(store)
    swept_systems(own, store, every(own), ["test"])
    of = {(m, split): {"large": "tiny", "tiny": "large"}.get(m, m) for m, split in own.arrays}
    arrays, digests = ({key: of_all[name, key[1]] for key, name in of.items()} for of_all in (own.arrays, own.digests))
    other = LogitSet(own.name, own.title, own.classes, own.labels, own.cards, arrays, digests=digests)
    assert_same(swept_systems(other, store, every(own), ["test"]), results(other, every(own), ["test"]))


def test_other_definitions_begin_anew(store, computed, monkeypatch):
    own = opened(store)
    swept_systems(own, store, every(own, 1), ["test"])
    monkeypatch.setattr(remembered, "DEFINITIONS", remembered.DEFINITIONS + 1)
    swept_systems(own, store, every(own, 1), ["test"])
    assert len(computed) == 2


@pytest.mark.parametrize("content", [b"", b"no table", b"PAR1" * 9])
def test_a_broken_file_is_as_good_as_none_and_quiet(store, content, capfd):
    own = opened(store)
    expected = swept_systems(own, store, every(own, 2), ["test"])
    file = store / remembered.FOLDER / "toy" / "systems.parquet"
    file.write_bytes(content)
    assert_same(swept_systems(own, store, every(own, 2), ["test"]), expected)
    assert len(pd.read_parquet(file)) == len(expected)
    assert capfd.readouterr() == ("", "")


def test_a_number_changed_by_hand_is_not_believed(store, computed):
    own = opened(store)
    expected = swept_systems(own, store, every(own, 1), ["test"])
    file = store / remembered.FOLDER / "toy" / "systems.parquet"
    table = pd.read_parquet(file)
    attrs = table.attrs
    table = table.assign(nll=0.0)
    table.attrs = attrs
    table.to_parquet(file, index=False)
    assert_same(swept_systems(own, store, every(own, 1), ["test"]), expected)
    assert len(computed) == 2


def test_a_store_that_cannot_be_written_to_still_answers(store, monkeypatch):
    own = opened(store)

    def refused(*_, **__):
        raise PermissionError

    monkeypatch.setattr("duo_core.systems.result_files.replaced", refused)
    assert_same(swept_systems(own, store, every(own, 2), ["test"]), results(own, every(own, 2), ["test"]))


def test_two_at_once_lose_nothing_of_each_other(store, computed):
    own, halves = opened(store), [every(opened(store))[0::2], every(opened(store))[1::2]]
    both = [threading.Thread(target=swept_systems, args=(own, store, half, ["test"])) for half in halves]
    for one in both:
        one.start()
    for one in both:
        one.join()
    swept_systems(own, store, every(own), ["test"])
    assert len(computed) == 2


def test_a_cancelled_sweep_is_gone_on_with(store, computed, monkeypatch):
    own = opened(store)
    monkeypatch.setattr(enumeration, "BYTES", 1)
    part = swept_systems(own, store, every(own), ["test"], progress=lambda done, total: done > total / 2)
    assert 0 < len(part) < len(every(own))
    whole = swept_systems(own, store, every(own), ["test"])
    assert computed[1][1] == [system for system in every(own) if system not in part]
    assert_same(whole, results(own, every(own), ["test"]))


def test_undefined_metrics_and_names_with_numbers_come_back(tmp_path, computed):
    labels = torch.tensor([0, 1, 2] * 10)
    made = Store(tmp_path)
    made.prepare("toy", title="", classes=list("abc"), labels={"val": labels, "test": labels.clone()})
    for name, strength in (("1-a", 2.0), ("1-a.b", 3.0)):
        logits = {split: torch.nn.functional.one_hot(labels, 3) * strength for split in ("val", "test")}
        made.write_model("toy", Card(name, name, "python"), {split: own.clone() for split, own in logits.items()})
    own = opened(tmp_path)
    first = swept_systems(own, tmp_path, every(own), ["test"])
    assert all(result.judged["test"]["softmax"]["auroc"] is None for result in first.values())
    assert any(result.separated for result in first.values())
    assert_same(swept_systems(own, tmp_path, every(own), ["test"]), first)
    assert len(computed) == 1


# What grows


def random_set(seed: int, m: int = 5, n: int = 120, k: int = 4) -> LogitSet:
    random = torch.Generator().manual_seed(seed)
    labels = {split: torch.randint(k, (n,), generator=random) for split in (FIT_SPLIT, "test")}
    arrays, cards = {}, {}
    for at in range(m):
        strength = 3 * torch.rand(1, generator=random)
        for split, y in labels.items():
            arrays[f"m{at}", split] = torch.randn(n, k, generator=random) + strength * torch.nn.functional.one_hot(y, k)
        cost = int(torch.randint(1, 100, (1,), generator=random))
        cards[f"m{at}"] = Card(f"m{at}", f"m{at}", "python", multiply_adds=cost)
    return LogitSet("random", "", tuple("abcd"[:k]), labels, cards, arrays)


def nll_of(own, members):
    return fit_system(own, members, rules=["fitted"]).nll["fitted"]


def plain_growth(own, first, budget, per_cost):
    """The same by a plain loop that fits everything anew, and names are sets."""
    here, nll, n = [first], nll_of(own, [first]), len(own.labels[FIT_SPLIT])
    while True:
        tries = []
        for model in own.models():
            if model in here:
                continue
            total = sum(own.cards[m].multiply_adds for m in {*here, model})
            if budget is not None and total > (1 + budget) * own.cards[first].multiply_adds + 1e-9:
                continue
            decrease = nll - nll_of(own, [*here, model])
            if decrease > 1 / n:
                tries.append((decrease / own.cards[model].multiply_adds if per_cost else decrease, model))
        if not tries:
            return here, nll
        here.append(max(tries)[1])
        fitted = fit_system(own, here, rules=["fitted"])
        nll = fitted.nll["fitted"]
        here = [m for m, w in zip(here, fitted.weights, strict=True) if w > 0 or m == first]


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), budget=st.sampled_from([None, 0.0, 0.3, 1.0, 4.0]))
def test_growth_is_the_better_of_both_ways(seed, budget):
    own = random_set(seed)
    first = own.models()[seed % 5]
    found = grow(own, first, budget=budget)
    ways = [plain_growth(own, first, budget, per_cost) for per_cost in (False, True)]
    assert found.nll_fit == pytest.approx(min(nll for _, nll in ways), abs=1e-9)
    assert sorted(found.members) in [sorted(members) for members, _ in ways]
    assert found.nll_fit == pytest.approx(nll_of(own, found.members), abs=1e-9)
    assert found.members[0] == first
    assert found.path[0] == (first,)
    assert found.path[-1] == found.members
    if budget is not None:
        assert multiply_adds(own, found.members) <= (1 + budget) * own.cards[first].multiply_adds + 1e-9
    falls = [nll_of(own, members) for members in found.path]
    assert falls == sorted(falls, reverse=True)


def test_growth_keeps_to_what_it_is_given():
    own = random_set(3)
    first = own.models()[0]
    assert len(grow(own, first, size=2).members) <= 2
    assert grow(own, first, size=1).members == (first,)
    assert set(grow(own, first, models=own.models()[:3]).members) <= set(own.models()[:3])
    assert grow(own, first, budget=0).members == (first,)


def of_signal(noises, costs, seed=0, n=1000):
    """Models that see the label through a noise of their own making, given as weights of six independent ones."""
    random = torch.Generator().manual_seed(seed)
    labels = {FIT_SPLIT: torch.randint(4, (n,), generator=random), "test": torch.zeros(n, dtype=torch.int64)}
    signal = torch.nn.functional.one_hot(labels[FIT_SPLIT], 4).double()
    parts = torch.randn(6, n, 4, generator=random, dtype=torch.float64)
    arrays = {
        (m, FIT_SPLIT): signal + torch.einsum("p,pnk->nk", torch.tensor(w, dtype=torch.float64), parts) for m, w in noises.items()
    }
    cards = {m: Card(m, m, "python", multiply_adds=costs[m]) for m in noises}
    return LogitSet("made", "", tuple("abcd"), labels, cards, arrays)


def test_a_member_that_others_make_superfluous_is_let_go():
    """Between two models lies a third, better than either alone, that both together make superfluous."""
    noises = {
        "poor": [9, 0, 0, 0, 0, 0],
        "a": [0, 2, 0.7, 0, 0, 0],
        "b": [0, -2, 0, 0.7, 0, 0],
        "between": [0, 0, 0.35, 0.35, 0.4, 0],
    }
    found = grow(of_signal(noises, dict.fromkeys(noises, 1), seed=3), "poor")
    assert set(found.path[1]) == {"poor", "between"}
    assert set(found.members) == {"poor", "a", "b"}


def test_several_cheap_ones_may_do_more_than_one_dear_one():
    """Which the way by the decrease alone does not find: it spends the budget at once."""
    noises = {
        "first": [1, 0, 0, 0, 0, 0],
        "dear": [0, 0.9, 0, 0, 0, 0],
        "x": [0, 0, 1, 0, 0, 0],
        "y": [0, 0, 0, 1, 0, 0],
        "z": [0] * 4 + [1, 0],
    }
    own = of_signal(noises, {"first": 100, "dear": 100, "x": 33, "y": 33, "z": 33})
    found = grow(own, "first", budget=1)
    assert found.way == "decrease_per_cost"
    assert set(found.members) == {"first", "x", "y", "z"}
    assert "dear" in grow(own, "first", budget=1, size=2).members


def test_what_was_fitted_before_is_only_added_to(toy_store):
    own, members = opened(toy_store), ("large", "middle", "tiny")
    whole, memory = fit_system(own, members), Memory()
    for rules in (["equal"], ["fitted", "ensemble"], list(RULES), ["probabilities"]):
        found = fit_system(own, members, memory, rules)
        assert found == whole.of_rules(rules)
        assert set(found.nll) == set(rules)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": -0.1}, "expected a budget of at least 0 times the first member's multiply-adds, got -0.1"),
        ({"budget": math.nan}, "expected a budget of at least 0"),
        ({"size": 0}, "expected systems of at least 1 member, got 0"),
    ],
)
def test_growing_refuses_in_a_sentence(options, message):
    with pytest.raises(InputError, match=message):
        grow(random_set(0), "m0", **options)


def test_growing_needs_costs_for_a_budget_only(tmp_path):
    own = opened(write_set(tmp_path, costs=False))
    assert grow(own, "large").members[0] == "large"
    with pytest.raises(InputError, match="expected multiply-adds of 'large', which a budget is relative to, got none"):
        grow(own, "large", budget=1)


def test_a_plan_is_every_choice_of_few_and_what_grows_beyond(monkeypatch):
    own = random_set(1, m=6)
    found = plan(own, 3, ["test"])
    assert found.members == list(subsets(own.models("test"), 3))
    assert (found.whole, found.beyond, found.unknown) == (3, 0, 0)
    larger = plan(own, 6, ["test"])
    assert larger.members[: len(found.members)] == found.members
    beyond = larger.members[len(found.members) :]
    assert len(set(beyond)) == len(beyond) > 0
    grown = [grow(own, first, size=6, models=own.models()[at + 1 :]).path for at, first in enumerate(own.models())]
    ordered = [tuple(m for m in own.models() if m in members) for path in grown for members in path if len(members) > 3]
    assert beyond == sorted(dict.fromkeys(ordered), key=len)
    monkeypatch.setattr(growing, "MOST", 40)
    few = plan(own, 3, ["test"])
    assert few.whole == 2
    assert few.members[:21] == list(subsets(own.models("test"), 2))
    assert {len(members) for members in few.members[21:]} == {3}
    monkeypatch.setattr(growing, "MOST", 3)
    assert plan(own, 2, ["test"]).whole == 2


@pytest.mark.parametrize("budget", [0.0, 0.25, 1.0])
def test_a_plan_keeps_to_the_budget_and_counts_what_it_leaves_out(budget):
    own = random_set(2, m=6)
    found = plan(own, 3, ["test"], budget=budget)
    expected = []
    for m in (1, 2, 3):
        for members in combinations(own.models(), m):
            costs = [own.cards[model].multiply_adds for model in members]
            if sum(costs) <= (1 + budget) * costs[0] + 1e-9:
                expected.append(members)
    assert found.members == expected
    assert found.beyond == 6 + 15 + 20 - len(expected)
    assert found.unknown == 0


def test_unknown_costs_are_counted_apart():
    own = random_set(2, m=4)
    cards = {**own.cards, "m1": Card("m1", "m1", "python")}
    found = plan(LogitSet("x", "", own.classes, own.labels, cards, own.arrays), 2, ["test"], budget=9)
    assert ("m1",) in found.members
    assert all("m1" not in members for members in found.members if len(members) > 1)
    assert found.unknown == 3


def test_growing_for_a_plan_stops_when_told():
    told = []
    own = random_set(1, m=6)
    part = plan(own, 6, ["test"], progress=lambda done, total: told.append((done, total)) or done == 2)
    assert told == [(1, 6), (2, 6)]
    assert len(part.members) <= len(plan(own, 6, ["test"]).members)


# The command


@pytest.fixture
def default(store, monkeypatch):
    monkeypatch.setenv("DUO_STORE", str(store))
    return opened(store)


def test_size_2_is_the_table_of_pairs_as_it_was(default, capsys, tmp_path):
    outputs = []
    for extra in ([], ["--size", "2"]):
        assert main(["sweep", "--set", "toy", "--json", *extra]) == 0
        outputs.append(capsys.readouterr().out)
        assert main(["sweep", "--set", "toy", *extra]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[:2] == outputs[2:]
    assert list(json.loads(outputs[0])[0]) == COLUMNS


def test_the_document_says_everything_of_every_system(default, capsys):
    assert main(["sweep", "--set", "toy", "--size", "3", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    expected = results(default, every(default), ["test", "shift"])
    assert len(rows) == 2 * len(expected)
    for row in rows:
        system = System(tuple(row["members"]), row["rule"], row["says"])
        result = expected[system]
        assert {key: row[key] for key in METRICS} == result.judged[row["split"]]["softmax"]
        assert row["weights"] == dict(zip(system.members, result.weights, strict=True))
        assert row["alone"] == dict(zip(system.members, result.alone, strict=True))
        assert (row["nll_fit"], row["temperature"]) == (result.nll_fit, result.temperature)
        assert (row["cost"], row["m"]) == (multiply_adds(default, system.members), system.m)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_has_systems_and_weights_as_text(default, tmp_path, ending, capsys):
    file = tmp_path / f"systems.{ending}"
    assert main(["sweep", "--set", "toy", "--size", "3", "--rule", "fitted", "--split", "test", "--out", str(file)]) == 0
    table = pd.read_csv(file) if ending == "csv" else pd.read_parquet(file)
    assert list(table.columns) == [
        *(c for c in SYSTEMS if c != "system"), "nll_fit", "temperature", "separated", "weights", "alone",
    ]  # fmt: skip
    expected = results(default, every(default, 3, ["fitted"]), ["test"])
    assert len(table) == len(expected)
    for row, (system, result) in zip(table.to_dict("records"), expected.items(), strict=True):
        assert row["members"] == " + ".join(system.members)
        assert tuple(map(float, str(row["weights"]).split(" + "))) == result.weights
        assert np.isnan(row["says"]) if system.says is None else row["says"] == system.says
    assert f"{len(table)} rows, {len(table.columns)} columns" in capsys.readouterr().err


def test_people_are_shown_those_of_least_nll_on_the_fit_split(default, capsys):
    assert main(["sweep", "--set", "toy", "--size", "3", "--split", "test"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "test: 20 of 64 systems, those of least NLL on the fit split"
    best = min(
        (result.nll_fit, " + ".join(system.members))
        for system, result in results(default, every(default, 3, ["fitted"]), ["test"]).items()
        if all(result.weights)
    )
    assert best[1] in said[2]
    assert f"{best[0]:.4f}" in said[2]
    assert not any("uq_only" in line or "probabilities" in line for line in said)


def test_what_a_budget_leaves_out_is_said(default, capsys):
    assert main(["sweep", "--set", "toy", "--size", "4", "--budget", "0.3", "--json", "--split", "test"]) == 0
    said = capsys.readouterr()
    rows = json.loads(said.out)
    large = [("large", *others) for others in (("middle",), ("small",), ("tiny",), ("middle", "tiny"), ("small", "tiny"))]
    assert {tuple(row["members"]) for row in rows if row["m"] > 1} == {*large, ("middle", "tiny")}
    assert all(row["cost_ratio"] <= 1.3 for row in rows)
    assert "choices of members cost more than the budget\n" in said.err
    assert "every system of up to 3 members, and 0 larger ones, grown member by member\n" in said.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "0"], "expected a whole number of at least 1, got '0'"),
        (["--size", "three"], "expected a whole number of at least 1, got 'three'"),
        (["--size", "3", "--budget", "-1"], "expected a number of at least 0, got '-1'"),
        (["--size", "3", "--budget", "nan"], "expected a number of at least 0, got 'nan'"),
        (["--budget", "0.5"], "expected --budget with --size 3 or more, got it with pairs; add --size, or leave --budget out"),
        (["--rule", "equal"], "expected --rule with --size 3 or more, got it with pairs"),
        (["--size", "3", "--split", "val"], "expected a split to judge on, got 'val', which temperatures are fitted on"),
        (["--size", "3", "--out", "table.xlsx"], "expected a file ending in .parquet or .csv for --out, got 'table.xlsx'"),
    ],
)
def test_wrong_input_is_one_sentence(default, capsys, options, message):
    try:
        status = main(["sweep", "--set", "toy", *options])
    except SystemExit as end:
        status = end.code
    said = capsys.readouterr()
    assert status == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert message in said.err


def test_the_shipped_set_has_377_systems_and_the_numbers_that_are_known():
    own = Store(Path(__file__).parents[1] / "data").open("cifar10")
    assert len(list(subsets(own.models(), 3))) == 377
    members = ("resnet56", "resnet44", "resnet32", "resnet20")
    memory = Memory()
    assert sorted(grow(own, "resnet56", memory=memory).members) == sorted(members)
    of = results(own, [System(members), System(members[1:]), System(("resnet32", "resnet20"))], ["test"], memory=memory)
    four, three, two = (result.judged["test"]["softmax"] for result in of.values())
    assert (four["accuracy"], four["nll"], four["aurc"]) == pytest.approx((0.9453, 0.1618, 4.85e-3), abs=5e-5)
    assert three["accuracy"] == pytest.approx(0.9424, abs=1e-4)
    assert (two["accuracy"], two["nll"]) == pytest.approx((0.9374, 0.1927), abs=1e-4)
