"""What a duo costs in time, and what an even say gains: the right halves of paper Figures 8 and 10."""

import numpy as np
import pandas as pd
import pytest

from duo_core.figures import slowdown_by_flops
from duo_core.figures.fitting import ratios_by_gain
from duo_core.figures.zoo import explained, slowdowns


def models(rng, n=6):
    cost = 10 ** rng.uniform(7, 10, n)
    return pd.DataFrame({"multiply_adds": cost, "images_per_second": 1e12 / cost}, [f"m{i}" for i in range(n)])


def test_where_time_follows_compute_the_slowdown_is_one_more_than_the_balance(rng):
    found = slowdowns(models(rng))
    assert len(found) == 15
    assert (found["flops_balance"] <= 1).all()
    assert found["slowdown"].to_numpy() == pytest.approx(1 + found["flops_balance"].to_numpy())
    assert explained(found["flops_balance"].to_numpy(), found["slowdown"].to_numpy()) == pytest.approx(1)


@pytest.mark.parametrize("noise", [0.05, 0.3, 1.0])
def test_the_share_explained_is_that_of_least_squares(rng, noise):
    x = rng.random(40)
    y = 1 + x + noise * rng.normal(size=40)
    residual = y - np.polyval(np.polyfit(x, y, 1), x)
    assert explained(x, y) == pytest.approx(1 - residual.var() / y.var())


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_a_slowdown_is_drawn_for_every_pair_and_a_line_where_there_is_one(rng, n):
    found = slowdowns(models(rng, n))
    figure = slowdown_by_flops(found)
    assert len(figure.data[-1].x) == n * (n - 1) // 2
    assert any(trace.mode == "lines" for trace in figure.data) == (n > 2)
    assert bool(figure.layout.annotations) == (n < 2)


def duos(gains, ratios):
    n = len(gains)
    return pd.DataFrame(
        {
            "variant": "duo",
            "base": "large",
            "sidekick": [f"s{i}" for i in range(n)],
            "T_ratio": ratios,
            "flops_balance": np.linspace(0.1, 0.9, n),
            "accuracy": 0.8 + np.array(gains),
            "base_accuracy": 0.8,
            "reversed": False,
        }
    )


@pytest.mark.parametrize("gains", [[0.01, -0.02, 0.0], [0.03, 0.01], [-0.01]])
def test_ratios_take_their_colour_from_the_gain(gains):
    figure = ratios_by_gain(duos(gains, np.linspace(1.5, 6, len(gains))))
    drawn = {trace.name: trace for trace in figure.data if trace.customdata is not None}
    assert {trace.name for trace in figure.data if trace.showlegend is not False} >= {"Gains", "Loses"}
    for name, sign in (("Gains", 1), ("Loses", -1)):
        kept = [100 * gain for gain in gains if (gain >= 0) == (sign > 0)]
        assert list(drawn[name].marker.color) == pytest.approx(kept)
    assert drawn["Gains"].marker.symbol != drawn["Loses"].marker.symbol
    assert figure.layout.coloraxis.cmin == -figure.layout.coloraxis.cmax < 0


def test_a_pair_without_a_ratio_is_left_out():
    figure = ratios_by_gain(duos([0.01, 0.02, 0.03], [2.0, np.nan, 3.0]))
    assert sum(len(trace.x) for trace in figure.data if trace.customdata is not None) == 2
    assert ratios_by_gain(duos([0.01], [np.nan])).layout.annotations


@pytest.mark.parametrize("reverse", [[0], [1, 2], [0, 1, 2]])
def test_pairs_with_the_better_model_as_sidekick_take_no_colour(reverse):
    table = duos([0.01, -0.02, 0.03], [2.0, 3.0, 4.0])
    table.loc[reverse, "reversed"] = True
    figure = ratios_by_gain(table)
    drawn = {row[1] for trace in figure.data if trace.customdata is not None for row in trace.customdata}
    assert drawn == {f"s{i}" for i in range(3)} - {f"s{i}" for i in reverse}
