"""The advisor: what it chooses, what it may never choose, and that it finds nothing where there is nothing."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from logit_sets import write_set

from duo_core.__main__ import main
from duo_core.analysis import advisor
from duo_core.analysis.advisor import Advice, advise
from duo_core.analysis.candidates import BUDGETS, Candidate, action_of, candidates, enumerated, grown
from duo_core.analysis.choice import affordable, front, ranked
from duo_core.analysis.missing import missing_kinds
from duo_core.analysis.options import Option
from duo_core.common.arrays import InputError
from duo_core.common.numbers import share
from duo_core.figures.screen import SCREEN
from duo_core.logits import Card, LogitSet
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval, differences
from duo_core.systems.enumeration import results, systems_of
from duo_core.systems.judging import judge_members
from duo_core.systems.pair_judging import Memory
from duo_core.systems.system import System
from duo_core.wording.advising import missing_lines, named, sentences_of
from duo_core.wording.sentences import difference

BASE = Candidate(System(("base",)), "single", "keep", 100.0, 0.5, 0.0)


def candidate(name: str, cost: float, nll: float, worth: float = 1e-3, action: str = "sidekick") -> Candidate:
    return Candidate(System(("base", name)), "duo", action, cost, nll, worth)


def chosen_of(weighed: list[Candidate], budget: float) -> Candidate:
    return ranked(affordable(weighed, BASE, budget), BASE)[0]


offers = st.lists(
    st.tuples(st.integers(1, 400), st.floats(0.3, 0.6), st.floats(0, 0.05)), max_size=8
).map(lambda many: [candidate(f"m{at}", *one) for at, one in enumerate(many)])  # fmt: skip


# ------------------------------------------------------------------------------------------------------------------ the laws


@given(offers, st.floats(0, 3), st.floats(0, 3))
def test_the_validation_score_of_the_answer_never_falls_as_the_budget_grows(weighed, one, other):
    small, large = sorted([one, other])
    under = [chosen_of(weighed, budget).val_nll for budget in (small, large)]
    assert under[1] <= under[0]


@given(offers, st.floats(0, 3), st.data())
def test_taking_out_a_system_that_was_not_chosen_changes_nothing(weighed, budget, data):
    chosen = chosen_of(weighed, budget)
    others = [one for one in weighed if one is not chosen]
    kept = data.draw(st.lists(st.sampled_from(others), unique_by=id)) if others else []
    left = [one for one in weighed if one is chosen or one in kept]
    assert chosen_of(left, budget) is chosen


@given(offers, st.floats(0, 3))
def test_the_answer_costs_no_more_than_the_budget_and_is_worth_taking(weighed, budget):
    limit = (1 + budget) * BASE.cost
    chosen = chosen_of(weighed, budget)
    assert chosen is BASE or (chosen.cost <= limit * (1 + 1e-9) and BASE.val_nll - chosen.val_nll > chosen.worth)
    for one in weighed:
        if budget > 0 and one.cost <= limit and BASE.val_nll - one.val_nll > one.worth:
            assert (chosen.val_nll, chosen.cost) <= (one.val_nll, one.cost)


def test_of_equal_ones_the_cheaper_is_chosen_and_a_gain_of_chance_is_none():
    dear, cheap = candidate("dear", 150, 0.4), candidate("cheap", 120, 0.4)
    assert chosen_of([dear, cheap], 1.0) is cheap
    assert ranked([BASE, candidate("m", 110, 0.4995)], BASE) == [BASE]
    assert len(ranked([BASE, candidate("m", 110, 0.4985)], BASE)) == 2


def test_the_front_holds_who_is_cheaper_than_all_that_are_better():
    ranked = [candidate(name, cost, 0.4) for name, cost in (("a", 300), ("b", 310), ("c", 200), ("d", 250), ("e", 120))]
    assert [one.members[1] for one in front(ranked)] == ["a", "c", "e"]


def copies(seed: int, *, permuted: bool, models: int = 5, noise: float = 0.5, n: int = 600) -> LogitSet:
    """Models that are equally good: one model's logits with noise of their own, on labels that it knows or that were permuted."""
    random = np.random.default_rng(seed)
    labels, arrays = {}, {}
    for split in ("val", "test"):
        truth = random.integers(4, size=n)
        common = random.normal(size=(n, 4))
        common[np.arange(n), truth] += 2
        labels[split] = torch.from_numpy(random.permutation(truth) if permuted else truth)
        for at in range(models):
            arrays[f"m{at}", split] = torch.from_numpy(common + noise * random.normal(size=common.shape)).float()
    cards = {f"m{at}": Card(f"m{at}", f"copy/{at}", "python", multiply_adds=2 ** (models - at) * 10) for at in range(models)}
    return LogitSet("copies", "Copies", tuple("abcd"), labels, cards, arrays)


SEEDS = 40


@pytest.fixture(scope="module")
def ladders() -> list[list[Advice]]:
    """The whole ladder on labels that nobody knows, seed by seed."""
    return [advise(copies(seed, permuted=True), "m0", replicates=500, metric="nll") for seed in range(SEEDS)]


def test_on_permuted_labels_nothing_stands_on_any_step_of_the_ladder(ladders):
    assert sum(any(one.stands for one in ladder) for ladder in ladders) <= SEEDS // 20
    chosen = {one.chosen.candidate.action for ladder in ladders for one in ladder}
    assert len(chosen) > 1, "chance chooses systems here; that it does not stand is found on other images"
    for ladder in ladders:
        for one in ladder:
            assert one.stands or f"keep {one.base}" in sentences_of(one)[0]


def test_on_permuted_labels_the_sentences_say_that_nothing_stands(ladders):
    """By the words alone: in 95 of 100 seeds every answer is to keep the base, as no gain is significant or nothing is better."""
    said = [[sentences_of(one)[0] for one in ladder] for ladder in ladders]
    kept = [all(": keep m0; " in first for first in of) for of in said]
    assert sum(kept) >= 0.95 * SEEDS
    words = [first.partition(": keep m0; ")[2] for of, keeps in zip(said, kept, strict=True) if keeps for first in of]
    assert all(rest.startswith(("no gain is significant. ", "none of the ", "the set has no average ")) for rest in words)
    assert sum(rest.startswith("no gain is significant. ") for rest in words) > SEEDS


def test_copies_with_hardly_any_noise_are_kept():
    found = [advise(copies(seed, permuted=False, noise=1e-3), "m0", replicates=300) for seed in range(3)]
    assert not any(one.stands for ladder in found for one in ladder)


def test_where_there_is_something_it_is_found():
    own = copies(1, permuted=False, noise=2.0)
    found = advise(own, "m0", (1.0,), replicates=300, cascades=False)[0]
    assert found.stands
    assert found.chosen.candidate.action == "sidekicks"
    assert found.chosen.metrics["nll"] < found.reference.metrics["nll"]


# -------------------------------------------------------------------------------------------------------- a set, whole


@pytest.fixture(scope="module")
def toy(toy_store) -> LogitSet:
    return Store(toy_store).open("toy")


@pytest.fixture(scope="module")
def ladder(toy) -> list[Advice]:
    return advise(toy, "middle")


def test_at_a_budget_of_0_without_soups_the_base_is_kept(ladder):
    assert [one.budget for one in ladder] == list(BUDGETS)
    assert ladder[0].chosen is not None
    assert (ladder[0].chosen.candidate.action, ladder[0].candidates, ladder[0].keep) == ("keep", 1, True)
    assert sentences_of(ladder[0])[0].startswith("With no more compute: keep middle;")


def test_the_choice_is_the_least_nll_on_val_of_all_that_the_sweep_has_under_the_budget(toy, ladder):
    swept = systems_of(toy, 3, ["test"], rules=["fitted"])
    table = swept.systems.merge(swept.fits, on="system")
    idle = swept.weights.loc[swept.weights["weight"] == 0, "system"]
    table = table[table["says"].isna() & ~table["system"].isin(idle)]
    cost, n = toy.cards["middle"].multiply_adds, len(toy.labels["val"])
    alone = table[table["members"] == "middle"].iloc[0]
    for one in advise(toy, "middle", cascades=False)[1:]:
        may = table[table["cost"] <= (1 + one.budget) * cost]
        best = may.sort_values(["nll_fit", "cost"]).iloc[0]
        assert one.candidates == len(may)
        if alone["nll_fit"] - best["nll_fit"] > (best["m"] - 1) / n:
            assert " + ".join(one.chosen.members) == best["members"]
            assert one.chosen.candidate.val_nll == best["nll_fit"]
            assert dict(one.chosen.metrics) == {key: best[key] for key in METRICS}
            assert one.chosen.cost_ratio == pytest.approx(best["cost"] / cost)


def test_each_number_of_the_sentence_is_found_in_the_sweep(toy):
    """Values, cost and the NLL chosen by, as they are printed; the interval is that of the paired bootstrap."""
    one = advise(toy, "middle", (0.5,), cascades=False)[0]
    judged = judge_members(toy, one.chosen.members, "test", rules=["fitted"])
    base = judge_members(toy, ["middle"], "test", rules=["fitted"])
    said = " ".join(sentences_of(one))
    key = "fitted" if len(one.chosen.members) > 1 else one.chosen.members[0]
    assert f"from {base.metrics['middle']['nll']:.3f} to {judged.metrics[key]['nll']:.3f}" in said
    assert f"{judged.fitted.nll['fitted']:.4f}" in said
    gain = differences(judged.predictions[key], base.predictions["middle"], keys=["nll"], level=advisor.LEVEL)["nll"]
    assert (one.interval.low, one.interval.high) == pytest.approx((gain.low, gain.high))
    assert f"{gain.low:+.3f}".replace("-", "−") in said


def numbers_in(text: str) -> set[str]:
    return {number.replace(",", "") for number in re.findall(r"[+−]?\d[\d,]*(?:\.\d+)?", text)}


def gained(toy, members, other, key, level):
    """A difference as it is printed: the value and both ends, by the paired bootstrap on systems that were fitted here."""
    two = [judge_members(toy, of, "test", rules=["fitted"]) for of in (members, other)]
    found = [of.predictions["fitted" if len(of.fitted.members) > 1 else of.fitted.members[0]] for of in two]
    interval = differences(*found, keys=[key], level=level)[key]
    return numbers_in(difference(key, interval))


@pytest.mark.parametrize("base", ["large", "middle"])
def test_there_is_no_number_in_the_sentences_that_is_not_in_the_sweep(toy, base):
    """Every number of every answer: values, costs, counts, budgets, and what chose."""
    swept = systems_of(toy, 3, ["test"], rules=["fitted"])
    table = swept.systems[swept.systems["says"].isna()].merge(swept.fits, on="system")
    idle = swept.weights.loc[swept.weights["weight"] == 0, "system"]
    table = table[~table["system"].isin(idle)].set_index("members")
    cost = toy.cards[base].multiply_adds
    seen = 0
    for one in advise(toy, base, cascades=False):
        options = [option for option in (one.told, one.chosen, one.runner_up, one.cheapest) if option is not None]
        rows = table.loc[[base, *(" + ".join(option.members) for option in options)]]
        may = table[table["cost"] <= (1 + one.budget) * cost] if one.budget else table.loc[[base]]
        known = {f"{one.budget * 100:g}", str(len(may)), str(len(may) - 1), "99"}
        known |= {f"{nll:.4f}" for nll in rows["nll_fit"]} | {SCREEN[key].text(value) for key in METRICS for value in rows[key]}
        known |= numbers_in(" ".join(share(abs(ratio)) for ratio in rows["cost"] / cost - 1))
        for option in (one.told, one.chosen):
            if option.candidate.action != "keep":
                known |= gained(toy, option.members, [base], one.metric, one.interval.level)
        if one.cheapest is not None:
            known |= gained(toy, one.cheapest.members, one.chosen.members, "nll", one.interval.level)
        said = numbers_in(" ".join(sentences_of(one)))
        assert said <= numbers_in(" ".join(known)) | known, said - known
        last = next(line for line in sentences_of(one) if line.startswith("Chosen from"))
        assert f"by the lowest NLL on val ({table.loc[' + '.join(one.chosen.members), 'nll_fit']:.4f}" in last
        seen += len(said)
    assert seen > 50


def test_an_answer_is_the_same_whichever_others_are_asked_for(toy, ladder):
    for budget in (0.05, 0.5):
        alone, beside = advise(toy, "middle", (budget,))[0], next(one for one in ladder if one.budget == budget)
        assert dataclasses.replace(alone) == dataclasses.replace(beside)


def test_memory_and_store_change_nothing(toy, ladder, tmp_path):
    for _ in range(2):  # judged anew, then remembered
        found = advise(toy, "middle", store=tmp_path, memory=Memory())
        assert [one.chosen for one in found] == [one.chosen for one in ladder]


def test_the_cheapest_that_cannot_be_told_apart_is_cheaper_and_within_its_interval(ladder):
    seen = [one for one in ladder if one.cheapest is not None]
    for one in seen:
        assert one.cheapest.candidate.cost < one.chosen.candidate.cost
        assert one.cheapest.apart.low <= 0 <= one.cheapest.apart.high


def test_cascades_can_be_left_out_and_their_cost_has_an_interval(toy):
    with_them, without = (advise(toy, "large", (0.05,), cascades=on)[0] for on in (True, False))
    assert with_them.candidates > without.candidates
    assert without.chosen.cost_interval is None
    if with_them.chosen.candidate.kind == "cascade":
        cost = with_them.chosen.cost_interval
        assert cost.low <= with_them.chosen.cost_ratio <= cost.high


def test_the_other_metric_is_what_the_verdict_is_about(toy):
    by_nll, by_accuracy = (advise(toy, "large", (1.0,), metric=key)[0] for key in ("nll", "accuracy"))
    assert by_nll.chosen.candidate == by_accuracy.chosen.candidate
    assert by_accuracy.interval == by_accuracy.chosen.gain["accuracy"]
    assert "Accuracy on test goes from" in sentences_of(by_accuracy)[0]


# ------------------------------------------------------------------------------------------------------------ actions


def card(name: str, cost: int, **known) -> Card:
    return Card(name, known.pop("model", name), "python", multiply_adds=cost, **known)


CARDS = {
    "base": card("base", 100, model="net", recipe="r", weights_sha256="b"),
    "seed": card("seed", 100, model="net", recipe="r", weights_sha256="s"),
    "small": card("small", 10),
    "tiny": card("tiny", 5),
    "huge": card("huge", 400),
    "soup": card("soup", 100, model="net", methodology="greedy soup", training={"ingredients": [{"weights_sha256": "b"}]}),
}


@pytest.mark.parametrize(
    ("members", "action"),
    [
        ("base", "keep"), ("small", "replace"), ("huge", "replace"), ("base small", "sidekick"), ("base small tiny", "sidekicks"),
        ("base seed", "deep ensemble"), ("small tiny", "ensemble"), ("huge base", "ensemble"), ("soup", "soup"),
        ("soup small", "soup + sidekick"), ("soup huge", "ensemble"), ("base seed small", "sidekicks"),
    ],
)  # fmt: skip
def test_what_a_system_is_to_the_base(members, action):
    assert action_of(CARDS, "base", members.split()) == action


def test_a_soup_of_the_base_may_be_chosen_at_a_budget_of_0():
    own = copies(3, permuted=False, models=2, noise=1.0)
    cards = {
        "m0": dataclasses.replace(own.cards["m0"], model="net", multiply_adds=10),
        "m1": dataclasses.replace(own.cards["m1"], model="net", multiply_adds=10, methodology="uniform soup"),
    }
    random = np.random.default_rng(0)
    arrays = dict(own.arrays)
    for split in own.labels:  # the soup knows more
        arrays["m1", split] = 4 * torch.nn.functional.one_hot(own.labels[split], 4) + torch.from_numpy(random.normal(size=(600, 4)))
    found = advise(dataclasses.replace(own, cards=cards, arrays=arrays), "m0", (0.0,))[0]
    assert (found.chosen.candidate.action, found.chosen.candidate.kind, found.stands) == ("soup", "soup", True)


def test_a_deep_ensemble_takes_members_alike_and_others_by_weight(rng):
    own = copies(0, permuted=False, models=4)
    cards = {name: dataclasses.replace(one, model="net", recipe="r", weights_sha256=name) if name != "m3" else one
             for name, one in own.cards.items()}  # fmt: skip
    own = dataclasses.replace(own, cards=cards)
    systems = [*enumerated(own, "test", base="m0"), *grown(own, "m0", "test", BUDGETS, memory=Memory())[0]]
    rules = {system.members: system.rule for system in systems}
    assert rules["m0", "m1"] == "ensemble"
    assert rules["m0", "m3"] == "fitted"
    assert len(rules) == len(systems), "each choice of members once"
    weighed = candidates(own, "m0", results(own, systems, ["test"]))
    worth = {(one.kind == "deep ensemble", len(one.members)): one.worth for one in weighed}
    assert worth == {(True, 2): 0, (True, 3): 0, (False, 1): 0} | {(False, m): (m - 1) / 600 for m in (2, 3, 4)}


# ----------------------------------------------------------------------------------------------- wording and the command


def advice_with(gain: Interval | None, metric: str = "accuracy") -> Advice:
    """An advice to add `small`, whose gain is as given."""
    metrics = dict.fromkeys(METRICS, 0.5)
    reference = Option(BASE, metrics, {}, 1.0)
    value = {metric: 0.5 + gain.estimate} if gain else {}
    chosen = Option(candidate("small", 110, 0.4), {**metrics, **value}, {metric: gain}, 1.1)
    return Advice("s", "base", 0.2, "val", "test", metric, reference, chosen, None, None, None, 7, 0)


@pytest.mark.parametrize("metric", ["accuracy", "nll"])
@given(value=st.floats(-0.2, 0.2), below=st.floats(0, 0.2), above=st.floats(0, 0.2))
@settings(max_examples=60)
def test_the_sentence_never_contradicts_its_interval(metric, value, below, above):
    one = advice_with(Interval(value, value - below, value + above, 0.99), metric)
    said = " ".join(sentences_of(one))
    good = (value > 0) == METRICS[metric].higher_is_better
    outside = not value - below <= 0 <= value + above
    assert ("significantly better" in said) == (good and outside)
    assert ("keep base" in said) == (not (good and outside))
    assert ("not significant" in said) == (not outside)
    assert ("significantly worse" in said) == (outside and not good)


def test_without_an_interval_nothing_stands():
    said = sentences_of(advice_with(None))
    assert said[0].startswith(
        "With up to 20 % more compute: keep base; no gain is significant. The best on val would be to add small"
    )
    assert "no interval" in said[0]


def test_what_is_missing_has_a_reason_and_a_command():
    alone = {"base": Card("base", "net", "timm", multiply_adds=10)}
    found = {one.action: one for one in missing_kinds(alone, "base", ["base"])}
    assert set(found) == {"sidekick", "ensemble", "replace", "soup", "deep ensemble"}
    assert found["deep ensemble"].command.startswith("duo finetune --name RUN --model net --images train=TRAIN val=VAL --recipe")
    assert missing_kinds(CARDS, "base", list(CARDS)) == ()
    assert all(line.startswith("not offered: ") for line in missing_lines(advice_with(None)))


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = main([str(one) for one in arguments])
    out = capsys.readouterr()
    return status, out.out, out.err


def test_the_command_prints_a_sentence_a_budget_a_table_and_what_is_missing(toy_store, capsys):
    status, out, err = run(capsys, "advise", "--store", toy_store, "--set", "toy", "--base", "large")
    assert (status, err) == (0, "")
    assert sum(line.startswith("With ") for line in out.splitlines()) == len(BUDGETS)
    assert "not offered: soup" in out
    assert "+200 %" in out


def test_the_command_prints_one_document_for_a_budget_and_a_list_for_several(toy_store, capsys, ladder):
    arguments = ("advise", "--store", toy_store, "--set", "toy", "--base", "middle", "--json")
    one, several = (json.loads(run(capsys, *arguments, *more)[1]) for more in (("--budget", "50%"), ("--budgets", "0", "0.5")))
    assert several[1] == one
    assert several[0]["answer"]["kind"] == "keep"
    expected = next(step for step in ladder if step.budget == 0.5)
    assert one["answer"]["members"] == list(expected.chosen.members)
    assert one["sentence"] == " ".join(sentences_of(expected))
    assert set(one) >= {"set", "base", "budget", "chosen_on", "judged_on", "candidates", "answer", "runner_up", "sentence"}
    assert set(one["answer"]) >= {"kind", "members", "rule", "cost_ratio", "val_nll", "metrics", "gain"}
    assert set(one["answer"]["gain"]["nll"]) >= {"value", "low", "high"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--base", "nobody"], "expected a model of the set 'toy', got 'nobody'"),
        (["--base", "large", "--split", "val"], "expected a split to judge on, got 'val'"),
    ],
)
def test_wrong_input_is_one_sentence(toy_store, capsys, arguments, sentence):
    status, out, err = run(capsys, "advise", "--store", toy_store, "--set", "toy", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"duo advise: {sentence}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("budget", ["-0.1", "15", "abc", "-5%", "nan"])
def test_a_budget_that_is_none_is_refused(toy_store, capsys, budget):
    with pytest.raises(SystemExit) as stopped:
        main(["advise", "--store", str(toy_store), "--set", "toy", "--base", "large", f"--budget={budget}"])
    assert stopped.value.code == 2
    assert "a share such as 0.15, or 15%" in capsys.readouterr().err


def test_a_base_of_unknown_cost_is_refused_and_others_are_counted(tmp_path, toy):
    unknown = write_set(tmp_path, costs=False)
    with pytest.raises(InputError, match="expected multiply-adds of 'large', which a budget is relative to, got none"):
        advise(Store(unknown).open("toy"), "large")
    cards = {**toy.cards, "tiny": dataclasses.replace(toy.cards["tiny"], multiply_adds=None)}
    found = advise(dataclasses.replace(toy, cards=cards), "large", (0.5,))[0]
    assert found.unknown == 1
    assert "; 1 model of unknown cost took no part" in sentences_of(found)[-1]


def test_names_say_which_stage_hands_on(toy):
    found = advise(toy, "large", (0.05,))[0].chosen
    if found.candidate.kind == "cascade":
        assert " then " in named(found)


# ------------------------------------------------------------------------------------------- the shipped set, independently


@pytest.fixture(scope="module")
def cifar10() -> LogitSet:
    return Store().open("cifar10")


@pytest.mark.parametrize(
    ("members", "accuracy", "nll", "aurc"),
    [
        ("resnet20 resnet32", 0.9374, 0.1927, None),
        ("resnet56", 0.9345, 0.2075, None),
        ("resnet32 resnet44", 0.9409, None, None),
        ("resnet20 resnet32 resnet44", 0.9424, None, None),
        ("resnet20 resnet32 resnet44 resnet56", 0.9453, 0.1618, 4.85e-3),
    ],
)
def test_values_that_were_computed_elsewhere(cifar10, members, accuracy, nll, aurc):
    found = judge_members(cifar10, members.split(), "test", rules=["fitted"]).metrics
    own = found["fitted" if " " in members else members]
    assert own["accuracy"] == pytest.approx(accuracy, abs=6e-5)
    assert nll is None or own["nll"] == pytest.approx(nll, abs=6e-5)
    assert aurc is None or own["aurc"] == pytest.approx(aurc, abs=6e-6)


# --------------------------------------------------------------------------------------------------------- one split alone


def with_one_split(own: LogitSet, split: str = "test") -> LogitSet:
    arrays = {key: own.arrays[key] for key in own.arrays if key[1] == split}
    return dataclasses.replace(own, labels={split: own.labels[split]}, arrays=arrays, digests={})


@pytest.mark.parametrize("split", ["val", "test"])
def test_one_split_chooses_and_judges_corrected_and_that_is_said(toy, split):
    none, some = advise(with_one_split(toy, split), "large", (0.0, 0.5), replicates=200)
    assert (none.keep, none.candidates) == (True, 1)
    assert (some.chosen_on, some.judged_on, some.corrected) == (split, split, True)
    assert f"by the lowest NLL on {split}" in sentences_of(some)[-1]
    assert "the only split, it judges as well" in sentences_of(some)[-1]
    assert some.chosen.candidate.action in {"sidekick", "sidekicks"}
    gain, base = some.interval, some.reference.metrics["nll"]
    assert gain.low < gain.estimate < gain.high
    assert some.chosen.metrics["nll"] == pytest.approx(base + gain.estimate)
    assert dict.fromkeys(METRICS) == some.runner_up.metrics, "numbers that chose are no results"


def test_the_correction_takes_the_bias_of_choosing_out():
    """Among copies of noise the best of many looks better than the base; judged on images that had no say in it, it is not."""
    plain, fair = [], []
    for seed in range(6):
        own = with_one_split(copies(seed, permuted=False, models=5, noise=0.6, n=250))
        found = advise(own, "m0", (1.0,), replicates=150, seed=seed)[0]
        if found.chosen.candidate.action != "keep":
            plain.append(found.chosen.candidate.val_nll - found.reference.metrics["nll"])
            fair.append(found.interval.estimate)
    assert len(fair) > 2
    assert np.mean(fair) > np.mean(plain)


def test_on_permuted_labels_one_split_finds_nothing_either():
    found = [advise(with_one_split(copies(seed, permuted=True, models=4, n=200)), "m0", replicates=150) for seed in range(10)]
    assert not any(one.stands for ladder in found for one in ladder)


def test_one_split_of_few_images_is_refused(toy):
    few = with_one_split(toy)
    small = {key: logits[:40] for key, logits in few.arrays.items()}
    with pytest.raises(InputError, match="expected at least 50 images in 'test', the one split of the set 'toy'"):
        advise(dataclasses.replace(few, labels={"test": few.labels["test"][:40]}, arrays=small), "large")


def test_what_a_smaller_budget_was_sure_of_is_advised_where_a_larger_one_is_not(monkeypatch):
    """The choice under the larger budget is taken to be a matter of luck."""
    made = advisor._advice

    def unlucky(judge, choice, budget, metric):
        found = made(judge, choice, budget, metric)
        if budget != 2.0:
            return found
        none = dict.fromkeys(METRICS, Interval(0.0, -0.1, 0.1))
        return dataclasses.replace(found, chosen=dataclasses.replace(found.chosen, gain=none))

    monkeypatch.setattr(advisor, "_advice", unlucky)
    own = copies(1, permuted=False, noise=2.0)
    ladder = advise(own, "m0", cascades=False, replicates=300)
    last, smaller = ladder[-1], next(one for one in reversed(ladder[:-1]) if one.stands)
    assert (last.stands, last.keep) == (False, False)
    assert last.advised is last.fallback
    assert last.fallback == smaller.chosen
    said = sentences_of(last)[0]
    assert "Nothing that costs more is significantly better." in said
    assert "significantly better" in said
    assert said.endswith("not significant.")
    assert advise(own, "m0", (2.0,), cascades=False, replicates=300)[0] == last
