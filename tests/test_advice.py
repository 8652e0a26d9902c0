"""Which pair to take, against definitions written out over all rows."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duo_core.analysis.advice import best_under, gains, losses, pareto
from duo_core.common.arrays import InputError
from duo_core.metrics import METRICS, relative_gain

# Few values, so that ties and rows that say the same occur all the time.
numbers = st.sampled_from([0.1, 0.2, 0.3, 0.4, math.nan])
rows = st.lists(st.tuples(numbers, numbers), max_size=9)


def beats(one, other, higher_is_better):
    """Whether one (cost, value) is at least as good as another in both and better in one."""
    cheaper, better = other[0] - one[0], (one[1] - other[1]) * (1 if higher_is_better else -1)
    return cheaper >= 0 and better >= 0 and cheaper + better > 0


@given(rows, st.booleans())
def test_the_front_is_what_no_other_row_beats(points, higher_is_better):
    found = pareto(*np.array(points).reshape(-1, 2).T, higher_is_better=higher_is_better)
    for point, on in zip(points, found, strict=True):
        known = not any(math.isnan(number) for number in point)
        assert on == (known and not any(beats(other, point, higher_is_better) for other in points))


def test_a_front_needs_costs_and_values_of_the_same_rows():
    with pytest.raises(InputError, match=r"costs.*values"):
        pareto(np.zeros(2), np.zeros(3), higher_is_better=True)


def table(points):
    """One pair a row: (cost, value)."""
    return pd.DataFrame(
        [{"base": "b", "sidekick": f"s{i}", "variant": "duo", "cost": c, "value": v} for i, (c, v) in enumerate(points)],
        columns=["base", "sidekick", "variant", "cost", "value"],
    )


@given(rows, st.sampled_from([0.05, 0.2, 0.3, 0.9]), st.booleans())
def test_the_advised_row_is_the_best_and_then_the_cheapest_within_the_budget(points, budget, higher_is_better):
    found = best_under(table(points), "value", "cost", budget, higher_is_better=higher_is_better)
    within = [(c, v) for c, v in points if c <= budget and not math.isnan(v)]
    assert (found is None) == (not within)
    if found:
        value = (max if higher_is_better else min)(v for _, v in within)
        assert found.best["value"] == value
        assert found.best["cost"] == min(c for c, v in within if v == value)
        assert found.within == len(within)
        assert found.pairs == sum(not math.isnan(v) for _, v in points)
        assert found.overall["value"] == (max if higher_is_better else min)(v for _, v in points if not math.isnan(v))
        assert (found.runner_up is None) == (len(within) == 1)


def test_a_budget_is_met_by_its_own_value():
    assert best_under(table([(0.15, 0.5)]), "value", "cost", 0.15, higher_is_better=True).best["sidekick"] == "s0"
    assert best_under(table([(0.151, 0.5)]), "value", "cost", 0.15, higher_is_better=True) is None


def test_variants_of_one_pair_are_one_pair_and_not_each_others_runner_up():
    both = pd.concat([table([(0.1, 0.9), (0.1, 0.5)]), table([(0.1, 0.8)]).assign(variant="uq_only")])
    found = best_under(both, "value", "cost", 1.0, higher_is_better=True)
    assert (found.best["variant"], found.runner_up["sidekick"]) == ("duo", "s1")
    assert (found.within, found.pairs) == (2, 2)


def test_a_budget_binds_where_something_dearer_is_better():
    points = [(0.1, 0.5), (0.3, math.nan), (0.4, 0.7)]
    assert best_under(table(points), "value", "cost", 0.2, higher_is_better=True).binds
    assert not best_under(table(points), "value", "cost", 0.2, higher_is_better=False).binds
    assert not best_under(table(points), "value", "cost", 0.4, higher_is_better=True).binds


def test_without_costs_an_infinite_budget_still_finds_the_best():
    unknown = table([(math.nan, 0.5), (math.nan, 0.7)])
    assert best_under(unknown, "value", "cost", 1.0, higher_is_better=True) is None
    assert best_under(unknown, "value", "cost", math.inf, higher_is_better=True).best["sidekick"] == "s1"


@pytest.mark.parametrize("key", METRICS)
def test_gains_are_the_relative_gain_of_each_row(key):
    values, alone = pd.Series([0.9, 0.4, math.nan, 0.3, 0.2]), pd.Series([0.8, 0.5, 0.5, math.nan, METRICS[key].perfect])
    found = gains(key, values, alone)
    assert found[:2].tolist() == [relative_gain(key, 0.9, 0.8), relative_gain(key, 0.4, 0.5)]
    assert found[2:].isna().all()  # undefined for the pair, for the base, and where the base is perfect


@pytest.mark.parametrize("key", METRICS)
def test_a_loss_is_a_step_away_from_perfect(key):
    better, worse = (0.7, 0.6) if METRICS[key].higher_is_better else (0.6, 0.7)
    assert losses({key: worse}, {key: better}) == [key]
    assert losses({key: better}, {key: worse}) == []
    assert losses({key: better}, {key: better}) == []
    assert losses({key: math.nan}, {key: better}) == []
