"""The tables of all systems of a set: every row what its system is by itself, and what is asked for, no more."""

from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from duo_core.common.arrays import InputError
from duo_core.logits import Card, LogitSet
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.systems import enumeration
from duo_core.systems.enumeration import SYSTEMS, WEIGHTS, SystemTables, systems_of
from duo_core.systems.judging import judge_members
from duo_core.systems.sweep import sweep
from duo_core.systems.system import RULES


@pytest.fixture(scope="module")
def toys(toy_store: Path) -> LogitSet:
    return Store(toy_store).open("toy")


@pytest.fixture(scope="module")
def tables(toys: LogitSet) -> SystemTables:
    return systems_of(toys)


def test_every_choice_of_up_to_three_by_every_rule(toys: LogitSet, tables: SystemTables) -> None:
    rows = 4 + (comb(4, 2) + comb(4, 3)) * (len(RULES) + 1)
    assert list(tables.systems.columns) == SYSTEMS
    assert list(tables.weights.columns) == WEIGHTS
    assert tables.systems.groupby("split").size().to_dict() == {"test": rows, "shift": rows}
    assert tables.systems["members"].nunique() == 4 + comb(4, 2) + comb(4, 3)
    assert not tables.systems.duplicated(["split", "members", "rule", "says"]).any()
    assert tables.systems.groupby("system")["members"].nunique().max() == 1
    assert (tables.weights.groupby("system").size() == tables.systems.drop_duplicates("system").set_index("system")["m"]).all()


@pytest.mark.parametrize("members", [("middle",), ("large", "small"), ("middle", "small", "tiny")])
@pytest.mark.parametrize("split", ["test", "shift"])
def test_a_row_is_what_its_members_are_by_themselves(
    toys: LogitSet, tables: SystemTables, members: tuple[str, ...], split: str
) -> None:
    alone = judge_members(toys, members, split)
    rows = tables.systems[(tables.systems["members"] == " + ".join(members)) & (tables.systems["split"] == split)]
    assert len(rows) == (1 if len(members) == 1 else len(RULES) + 1)
    for row in rows.to_dict("records"):
        key = row["rule"] if np.isnan(row["says"]) else "uq_only"
        assert {name: row[name] for name in METRICS} == alone.metrics[key]
        assert (row["cost"], row["cost_ratio"]) == (alone.multiply_adds, alone.cost_ratio)
        of = tables.weights[tables.weights["system"] == row["system"]].sort_values("place")
        assert tuple(of["member"]) == members
        assert tuple(of["weight"]) == RULES[row["rule"]].weights(alone.fitted)
        assert tuple(of["alone"]) == alone.fitted.calibration


def test_pairs_are_those_of_the_sweep(toys: LogitSet, tables: SystemTables) -> None:
    pairs = sweep(toys).set_index(["split", "base", "sidekick", "variant"])
    for row in tables.systems[tables.systems["m"] == 2].to_dict("records"):
        variant = {("fitted", False): "duo", ("fitted", True): "uq_only", ("equal", False): "unweighted"}.get(
            (row["rule"], row["says"] == 0)
        )
        if variant:
            expected = pairs.loc[(row["split"], *row["members"].split(" + "), variant)]
            assert {key: row[key] for key in METRICS} == pytest.approx(expected[list(METRICS)].to_dict(), rel=1e-12)


def test_only_what_is_asked_for(toys: LogitSet, tables: SystemTables) -> None:
    found = systems_of(toys, 2, ["shift"], rules=["equal"])
    assert set(found.systems["split"]) == {"shift"}
    assert set(zip(found.systems["m"], found.systems["rule"], strict=True)) == {(1, "fitted"), (2, "equal")}
    same = tables.systems.merge(found.systems, on=["split", "members", "rule"], suffixes=("", "_again"))
    assert len(same) == len(found.systems)
    assert (same["aurc"] == same["aurc_again"]).all()


def test_entropy_ranks_when_asked(toys: LogitSet, tables: SystemTables) -> None:
    other = systems_of(toys, kind="entropy").systems
    assert (other["nll"] == tables.systems["nll"]).all()
    assert (other["aurc"] != tables.systems["aurc"]).mean() > 0.9


def test_groups_do_not_show(toys: LogitSet, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = systems_of(toys, 2)
    monkeypatch.setattr(enumeration, "BYTES", 1)
    told: list[int] = []
    found = systems_of(toys, 2, progress=lambda done, total: told.append(total - done))
    pd.testing.assert_frame_equal(found.systems, whole.systems)
    pd.testing.assert_frame_equal(found.weights, whole.weights)
    assert told[-1] == 0
    assert len(told) > 20


def test_progress_is_told_and_cancels(toys: LogitSet) -> None:
    told: list[tuple[int, int]] = []
    systems_of(toys, 2, ["test"], progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (20, 20)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    stopped = systems_of(toys, 2, progress=lambda done, _: done >= 3)
    assert len(stopped.systems) == 0
    assert list(stopped.systems.columns) == SYSTEMS


def test_unknown_costs_are_undefined(toys: LogitSet) -> None:
    cards = {**toys.cards, "small": Card("small", "x", "x")}
    found = systems_of(LogitSet(toys.name, "", toys.classes, toys.labels, cards, toys.arrays), 2, ["test"]).systems
    unknown = found["members"].str.contains("small")
    assert found.loc[unknown, ["cost", "cost_ratio"]].isna().all(axis=None)
    assert found.loc[~unknown, ["cost", "cost_ratio"]].notna().all(axis=None)


@pytest.mark.parametrize(
    ("size", "splits", "message"),
    [(0, None, "expected systems of at least 1 member, got 0"), (2, ["val"], "expected a split to judge on, got 'val'")],
)
def test_wrong_input_is_one_sentence(toys: LogitSet, size: int, splits: list[str] | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        systems_of(toys, size, splits)
