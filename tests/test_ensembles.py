"""Deep ensembles with their spread, and ensembles of smaller models against large ones."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch

from duo_core.__main__ import main
from duo_core.analysis.ensembles import Contest, contest, deep_ensembles
from duo_core.common.arrays import InputError
from duo_core.logits import Card, LogitSet
from duo_core.logits.store import Store
from duo_core.systems.judging import judge_members
from duo_core.wording.ensembles import contest_lines, deep_table

SIZES = {"small": (10, 1.0), "middle": (25, 1.2), "large": (60, 1.3)}
"""Multiply-adds and how far the true class stands out."""


def seeds_of(trainings: int = 4, n: int = 800, k: int = 6, strengths: dict[str, tuple[int, float]] = SIZES) -> LogitSet:
    """Trainings by seed of three sizes: what is hard for all, and noise of each training's own."""
    random = np.random.default_rng(5)
    labels, arrays, cards = {}, {}, {}
    for split in ("val", "test"):
        truth = random.integers(k, size=n)
        labels[split] = torch.from_numpy(truth)
        shared = 0.3 * random.normal(size=(n, k))
        for size, (cost, strength) in strengths.items():
            for seed in range(trainings):
                logits = shared + random.normal(size=(n, k))
                logits[np.arange(n), truth] += strength
                name = f"{size}-{seed}"
                arrays[name, split] = torch.from_numpy(logits).float()
                cards[name] = Card(name, f"net/{size}", "python", multiply_adds=cost, recipe="scratch", weights_sha256=name)
    return LogitSet("seeds", "Seeds", tuple("abcdef"), labels, cards, arrays)


@pytest.fixture(scope="module")
def seeds() -> LogitSet:
    return seeds_of()


def test_a_row_a_group_and_size_is_the_mean_and_spread_over_its_subsets(seeds):
    found = deep_ensembles(seeds)
    assert list(found["m"]) == [1, 2, 3, 4] * 3
    assert list(found["subsets"]) == [4, 6, 4, 1] * 3
    row = found[(found["model"] == "net/small") & (found["m"] == 2)].iloc[0]
    members = [f"small-{at}" for at in range(4)]
    values = [
        judge_members(seeds, pair, "test", rules=["ensemble"]).metrics["ensemble"] for pair in itertools.combinations(members, 2)
    ]
    for key in ("nll", "accuracy", "aurc"):
        assert row[key] == pytest.approx(np.mean([one[key] for one in values]))
        assert row[f"{key}_spread"] == pytest.approx(np.std([one[key] for one in values]))
    assert row["multiply_adds"] == 20
    whole = found[found["m"] == 4]
    assert (whole["nll_spread"] == 0).all()
    assert found.groupby("model")["nll"].apply(lambda nll: (np.diff(nll) < 0).all()).all(), "more trainings, less NLL"


def test_many_trainings_are_drawn_by_the_seed_and_it_is_said():
    own = seeds_of(trainings=8, n=120, strengths={"small": (10, 1.0)})
    one, same, other = (deep_ensembles(own, seed=seed) for seed in (0, 0, 1))
    four = one[one["m"] == 4].iloc[0]
    assert (four["subsets"], four["of"]) == (32, 70)
    assert one.equals(same)
    assert four["nll"] != other[other["m"] == 4]["nll"].iloc[0]
    table = deep_table(one, ["nll"])
    assert list(table["subsets"])[:4] == ["8", "28", "32 of 56", "32 of 70"]
    assert " ± " in table["NLL"][1]
    assert " ± " not in table["NLL"][7]


def test_sets_without_groups_have_no_deep_ensembles(toy_store):
    assert len(deep_ensembles(Store(toy_store).open("toy"))) == 0


def test_the_ensemble_is_of_smaller_models_and_costs_no_more(seeds):
    found = contest(seeds)
    assert found.steps
    cost = {name: card.multiply_adds for name, card in seeds.cards.items()}
    for before, step in itertools.pairwise(found.steps):
        assert before.cost < step.cost
    for step in found.steps:
        assert max(cost[member] for member in step.ensemble.members) < cost[step.single.members[0]]
        assert step.ensemble.cost <= step.cost
        assert step.single.cost <= step.cost <= max(cost.values())
        assert step.deep == (len({member.split("-")[0] for member in step.ensemble.members}) == 1)


def test_the_best_of_each_side_is_chosen_on_val_by_every_choice(seeds):
    found = contest(seeds).steps[-1]
    cost = {name: card.multiply_adds for name, card in seeds.cards.items()}
    nll = {}
    for m in (2, 3):
        for members in itertools.combinations(sorted(cost), m):
            if (
                sum(cost[member] for member in members) <= found.cost
                and max(cost[member] for member in members) < found.single.cost
            ):
                alike = len({member.split("-")[0] for member in members}) == 1
                rule = "ensemble" if alike else "fitted"
                nll[frozenset(members)] = judge_members(seeds, members, "test", rules=[rule]).fitted.nll[rule]
    assert frozenset(found.ensemble.members) == min(nll, key=nll.get)


def test_the_crossing_is_the_least_cost_from_which_the_ensemble_wins_at_every_one(seeds):
    steps = contest(seeds).steps
    step = steps[0]
    won, lost = (dataclasses.replace(step, difference=dataclasses.replace(step.difference, estimate=s * 0.2, low=s * 0.2 - 0.1,
                 high=s * 0.2 + 0.1)) for s in (-1, 1))  # fmt: skip
    at = [dataclasses.replace(one, cost=float(cost)) for cost, one in enumerate([won, lost, won, won])]
    assert Contest(tuple(at)).crossing.cost == 2
    assert Contest(tuple(at[:2])).crossing is None
    assert Contest(()).crossing is None
    assert Contest(()).widest is None
    assert "No two smaller models" in contest_lines(Contest(()))[0]
    assert "ensembles win in NLL at every cost" in contest_lines(Contest(tuple(at)))[0]
    assert "significantly worse" in contest_lines(Contest(tuple(at[:2])))[0]


def test_models_can_be_left_out_and_wrong_input_is_refused(seeds):
    few = contest(seeds, models=[name for name in seeds.cards if not name.startswith("small")])
    assert all("small" not in member for step in few.steps for member in (*step.ensemble.members, *step.single.members))
    with pytest.raises(InputError, match="expected a metric among"):
        contest(seeds, metric="speed")
    with pytest.raises(InputError, match="which temperatures are fitted on"):
        contest(seeds, "val")


def test_the_command_prints_both_and_one_document(tmp_path, seeds, capsys):
    store = Store(tmp_path)
    store.prepare("seeds", title="Seeds", classes=seeds.classes, labels=seeds.labels)
    for name, card in seeds.cards.items():
        store.write_model("seeds", card, {split: seeds.logits(name, split) for split in seeds.labels})
    arguments = ["ensembles", "--store", str(tmp_path), "--set", "seeds"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "mean ± spread over subsets. Subsets share members, so their spread is no standard error." in said
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["deep_ensembles"]) == 12
    assert found["steps"][0]["multiply_adds"] <= found["steps"][-1]["multiply_adds"]
