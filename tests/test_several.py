"""Steps 9 and 10 of the course: what they compute obeys what they say, and a formula where there is one."""

import numpy as np
import pytest
from scipy.stats import norm

from duo_core.figures.teaching_several import different_pairs, teams_by_cost
from duo_core.teaching import several
from duo_core.teaching.experts import BASE


def expected_accuracy(quality):
    """Of three classes: the true one's evidence beats two others."""
    grid = np.linspace(-8, 8, 4001)
    return float(np.trapezoid(norm.pdf(grid) * norm.cdf(grid + quality) ** 2, grid))


@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.6])
def test_a_team_is_an_expert_of_the_quality_that_the_formula_gives(overlap):
    table = several.teams(overlap, seed=3).set_index("m")
    for m in (1, 3, 6):
        quality = several.SMALL.quality * np.sqrt(m / (1 + (m - 1) * overlap))
        assert table.loc[m, "team"] == pytest.approx(expected_accuracy(quality), abs=0.02)
    assert table["large"].iloc[0] == pytest.approx(expected_accuracy(BASE.quality), abs=0.02)


@pytest.mark.parametrize("seed", [0, 12, 50, 99])
def test_three_small_ones_win_where_they_err_differently_alone(seed):
    apart, alike = (several.teams(overlap, seed).set_index("m") for overlap in (0.1, 0.6))
    assert apart.loc[3, "cost"] == pytest.approx(1)
    assert apart.loc[3, "team"] > apart.loc[3, "large"]
    assert alike.loc[3, "team"] < alike.loc[3, "large"]


@pytest.mark.parametrize("seed", [0, 12, 50, 99])
def test_being_different_pays_among_partners_of_one_quality_alone(seed):
    table = several.pairs(seed)
    every, close = several.goes_with(table, 1.0), several.goes_with(table, 0.05)
    assert every[1] == several.PAIRS
    assert 4 < close[1] < several.PAIRS
    assert close[0] > 0.8
    assert every[0] < 0.4
    assert table["error_inconsistency"].ge(table["accuracy_gap"] - 1e-12).all()


def test_too_few_pairs_have_no_correlation():
    assert np.isnan(several.goes_with(several.pairs(0).head(2), 1.0)[0])


def test_the_charts_stand_on_cost_and_fade_what_is_further_apart():
    table = several.teams(0.2)
    assert list(teams_by_cost(table).data[1].x) == pytest.approx([m / 3 for m in range(1, 7)])
    pairs = several.pairs()
    within, further = (different_pairs(pairs, 0.05).data[at] for at in (0, 1))
    assert len(within.x) == (pairs["accuracy_gap"] <= 0.05).sum()
    assert len(within.x) + len(further.x) == len(pairs)
