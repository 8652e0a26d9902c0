"""What other papers claim, in worlds in which it is so, in which it is not, and where a set cannot be asked."""

import dataclasses

import numpy as np
import pytest
import torch
from test_ensembles import seeds_of

from duo_core.analysis.claims import Claim
from duo_core.analysis.judged import judged_claims
from duo_core.logits import Card, LogitSet
from duo_core.systems.judging import judge_members
from duo_core.systems.pair_judging import Memory
from duo_core.systems.sweep import evaluate, sweeps

KEYS = ("different_gains", "low_accuracy_helps", "duo_against_ensemble", "smaller_at_equal_cost")


def related(own: LogitSet, memory: Memory | None = None) -> dict[str, Claim]:
    memory = memory or Memory()
    found = judged_claims(own, "test", sweeps(own, ["test"], memory=memory), memory=memory, replicates=500).claims
    return {claim.key: claim for claim in found if claim.key in KEYS}


def world(strength, cost, noise, n: int = 1500, k: int = 5, seed: int = 0) -> LogitSet:
    """Models by their own strength, cost, and share of noise that no other has."""
    random = np.random.default_rng(seed)
    labels, arrays = {}, {}
    for split in ("val", "test"):
        truth = random.integers(k, size=n)
        labels[split] = torch.from_numpy(truth)
        shared = random.normal(size=(n, k))
        for at, (good, own) in enumerate(zip(strength, noise, strict=True)):
            logits = np.sqrt(1 - own) * shared + np.sqrt(own) * random.normal(size=(n, k))
            logits[np.arange(n), truth] += good
            arrays[f"m{at:02}", split] = torch.from_numpy(logits).float()
    cards = {f"m{at:02}": Card(f"m{at:02}", f"net/{at}", "python", multiply_adds=int(own)) for at, own in enumerate(cost)}
    return LogitSet("made", "Made", tuple("abcde"), labels, cards, arrays)


@pytest.fixture(scope="module")
def apart() -> LogitSet:
    """Eleven models, hardly better where they cost more, with noise of their own: two of less cost beat each larger one."""
    return world([1.5 + 0.03 * at for at in range(11)], 1.7 ** np.arange(11) * 1000, np.linspace(0.2, 1, 11))


def test_where_models_err_apart_the_claims_hold(apart):
    found = related(apart)
    assert set(found) == {"different_gains", "smaller_at_equal_cost", "low_accuracy_helps"}
    assert found["different_gains"].verdict == "holds"
    assert found["smaller_at_equal_cost"].verdict == "holds"
    assert all(claim.images for claim in found.values())


def test_what_is_measured_is_what_the_pair_and_the_models_are(apart):
    found = related(apart)["smaller_at_equal_cost"].pairs
    row = found.iloc[-1]
    one, other = row["sidekick"].split(" + ")
    pair, alone = evaluate(apart, one, other).metrics["duo"], judge_members(apart, [row["base"]]).metrics[row["base"]]
    assert row["delta"] == pytest.approx(pair["accuracy"] - alone["accuracy"])
    cost = {name: card.multiply_adds for name, card in apart.cards.items()}
    assert row["flops_balance"] == pytest.approx((cost[one] + cost[other]) / cost[row["base"]])
    assert row["flops_balance"] <= 1
    assert (found["agrees"] == (found["delta"] >= 1.5 / 1500)).all()


def test_where_the_large_ones_are_much_better_two_smaller_ones_do_not_beat_them():
    own = world(np.linspace(0.5, 3.5, 11), 1.7 ** np.arange(11) * 1000, np.full(11, 0.1))
    found = related(own)
    assert found["smaller_at_equal_cost"].verdict == "contradicted"
    assert found["smaller_at_equal_cost"].share == 0


def test_a_model_of_low_accuracy_helps_where_it_knows_something_else():
    strength = [1.8] * 5 + [1.2] * 5
    cost = [1000 + at for at in range(5)] + [100 + at for at in range(5)]
    found = {own: related(world(strength, cost, [own] * 10))["low_accuracy_helps"] for own in (1.0, 0.02)}
    assert found[1.0].verdict == "holds"
    assert found[0.02].verdict != "holds"
    assert len(found[1.0].pairs) == 25


def test_the_duo_is_held_against_ensembles_of_two_trainings_of_its_base():
    sizes = {"small": (100, 1.2), "middle": (160, 1.2), "large": (1000, 1.2)}
    own = seeds_of(3, n=1000, strengths=sizes)
    found = related(own)["duo_against_ensemble"]
    assert set(found.pairs["base"]) <= {f"large-{at}" for at in range(3)}
    assert found.pairs["flops_balance"].between(0.1, 0.2).all()
    row = found.pairs.iloc[0]
    others = [f"large-{at}" for at in range(3) if f"large-{at}" != row["base"]]
    ensembles = [judge_members(own, (row["base"], other), rules=["ensemble"]).metrics["ensemble"]["accuracy"] for other in others]
    assert row["delta"] == pytest.approx(
        evaluate(own, row["base"], row["sidekick"]).metrics["duo"]["accuracy"] - np.mean(ensembles)
    )
    without = dataclasses.replace(own, cards={name: dataclasses.replace(card, recipe=None) for name, card in own.cards.items()})
    assert "duo_against_ensemble" not in related(without)


def test_costs_that_are_unknown_leave_the_claim_of_equal_cost_out(apart):
    unknown = {name: dataclasses.replace(card, multiply_adds=None) for name, card in apart.cards.items()}
    assert "smaller_at_equal_cost" not in related(dataclasses.replace(apart, cards=unknown))


def test_few_images_say_too_little(apart):
    few = {split: labels[:60] for split, labels in apart.labels.items()}
    arrays = {key: logits[:60] for key, logits in apart.arrays.items()}
    found = related(dataclasses.replace(apart, labels=few, arrays=arrays, digests={}))
    assert not {claim.verdict for claim in found.values()} & {"holds", "contradicted"}
