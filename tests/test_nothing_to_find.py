"""Sets in which no pair is better than another: what is recommended and claimed must not say that something was found.

Models are one model's logits with a little noise of their own each, on labels that it knows (copies) or that were permuted, so that
nobody knows anything. Which of them counts as large or small is their cost alone.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from effort import tried

from duo_core.analysis.judged import judged_claims
from duo_core.analysis.parts import parts_of
from duo_core.logits import Card, LogitSet
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval
from duo_core.report.choosing import advised_pairs, whole_of
from duo_core.systems.pair_judging import Memory
from duo_core.systems.sweep import sweeps

MODELS, CLASSES = 8, 5
SEEDS = tried(3, 20)
"""Of each world; at most one in twenty may find something."""


def world(seed: int, *, permuted: bool, noise: float, known: bool = True) -> LogitSet:
    """Copies of one model with noise."""
    random = np.random.default_rng(seed)
    labels, arrays = {}, {}
    for split, n in (("val", 400), ("test", 800)):
        truth = random.integers(CLASSES, size=n)
        common = random.normal(size=(n, CLASSES))
        common[np.arange(n), truth] += 2
        labels[split] = torch.from_numpy(random.permutation(truth) if permuted else truth)
        for at in range(MODELS):
            arrays[f"m{at}", split] = torch.from_numpy(common + noise * random.normal(size=common.shape)).float()
    costs = random.permutation(MODELS)  # who is large is drawn
    cards = {f"m{at}": Card(f"m{at}", "copy", "python", multiply_adds=int(1e6 * 0.6 ** costs[at]) if known else None)
             for at in range(MODELS)}  # fmt: skip
    return LogitSet("copies", "Copies", tuple("abcde"), labels, cards, arrays)


WORLDS = {
    "permuted": {"permuted": True, "noise": 0.5},
    "permuted, alike": {"permuted": True, "noise": 0.05},
    "copies": {"permuted": False, "noise": 0.02},
    "permuted, costs unknown": {"permuted": True, "noise": 1.0, "known": False},
}


def better(key: str, gain: Interval | None) -> bool:
    """Whether a page would say that the gain stands."""
    return gain is not None and gain.stands and (gain.estimate > 0) == METRICS[key].higher_is_better


def recommends(own: LogitSet, table: pd.DataFrame, memory: Memory) -> bool:
    """Whether a gain of a recommended pair would be said to stand."""
    return any(
        better(metric, one.difference)
        for metric in ("accuracy", "aurc")
        for one in advised_pairs(whole_of(own, table, metric, "softmax", memory), replicates=500, seed=0)
    )


@pytest.fixture(scope="module")
def found() -> dict[str, list[tuple[bool, bool]]]:
    """Of every seed of each world: whether a gain is said to stand, and whether a claim is said to be contradicted."""
    return {name: [said(world(seed, **options)) for seed in range(SEEDS)] for name, options in WORLDS.items()}


def said(own: LogitSet) -> tuple[bool, bool]:
    """Choose, judge and ask for the claims as a report does."""
    memory = Memory()
    tables = sweeps(own, ["test"], memory=memory)
    verdicts = [claim.verdict for claim in judged_claims(own, "test", tables, memory=memory, replicates=500).claims]
    assert len(verdicts) in (41, 42)  # where costs are known, smaller models are held against larger ones
    assert {*verdicts} & {"inconclusive", "holds", "contradicted"}  # judged at all
    return "holds" in verdicts or recommends(own, tables["softmax"], memory), "contradicted" in verdicts


@pytest.mark.parametrize("name", WORLDS)
def test_nothing_is_recommended_or_claimed_with_a_gain_that_stands(name: str, found: dict[str, list[tuple[bool, bool]]]) -> None:
    assert sum(stands for stands, _ in found[name]) <= SEEDS // 20


def test_nothing_is_contradicted_either(found: dict[str, list[tuple[bool, bool]]]) -> None:
    assert sum(contradicted for seeds in found.values() for _, contradicted in seeds) <= len(found) * SEEDS // 20


def test_a_set_in_which_there_is_something_says_so() -> None:
    """Models that know different things: the same tests must be able to find it."""
    random, own = np.random.default_rng(0), world(0, permuted=False, noise=3.0)
    arrays = {key: logits + 0 for key, logits in own.arrays.items()}
    for at in range(MODELS):
        for split in own.labels:
            own_noise = torch.from_numpy(random.normal(size=arrays[f"m{at}", split].shape)).float()
            arrays[f"m{at}", split] = 3 * torch.nn.functional.one_hot(own.labels[split], CLASSES) + (1 + 0.05 * at) * own_noise
    cards = {f"m{at}": Card(f"m{at}", "own", "python", multiply_adds=int(1e6 * 0.6**at)) for at in range(MODELS)}
    one = LogitSet("own", "Own", own.classes, own.labels, cards, arrays)
    memory = Memory()
    tables = sweeps(one, ["test"], memory=memory)
    judged = judged_claims(one, "test", tables, memory=memory)
    assert sum(claim.verdict == "holds" for claim in judged.claims) > 10
    advised = advised_pairs(whole_of(one, tables["softmax"], "aurc", "softmax", memory), replicates=500, seed=0)
    assert any(better("aurc", advice.difference) for advice in advised)
    assert parts_of(one, "test", [("m0", "m1")]).tables
