"""What a threshold promises and what it gives elsewhere; whether splits differ more than chance would have it."""

import numpy as np
import pandas as pd
import pytest
from effort import tried
from scipy.stats import fisher_exact, hypergeom

from duo_core.analysis.guarantee import applied, thresholds
from duo_core.analysis.promise import COLUMNS, chance_of_difference, promises
from duo_core.common.arrays import Predictions


def predictions(wrong, doubt):
    column = np.asarray(doubt, dtype=float)
    return Predictions(np.asarray(wrong, dtype=np.int64), np.zeros(len(column), int), 1 - column, column, column, column, column)


def drawn(rng, n=2000, rate=0.1):
    """Images whose error rate is twice their doubt."""
    doubt = rng.uniform(0, rate, n)
    return predictions(rng.uniform(size=n) < 2 * doubt, doubt)


def test_thresholds_are_chosen_on_one_split_and_judged_on_the_other(rng):
    fitted, judged = ({name: drawn(rng) for name in ("duo", "base")} for _ in range(2))
    found = promises(fitted, judged, [0.05], 0.9)
    assert list(found.columns) == COLUMNS
    for system in fitted:
        rows = found[found["system"] == system].reset_index(drop=True)
        chosen = thresholds(fitted[system], [0.05], 0.9)
        there = applied(chosen, judged[system])
        pd.testing.assert_series_equal(rows["threshold"], chosen["threshold"])
        pd.testing.assert_series_equal(rows["fit_risk"], chosen["risk"], check_names=False)
        pd.testing.assert_series_equal(rows["judged_coverage"], there["coverage"], check_names=False)
        assert rows["met"].tolist() == (there["risk"] <= 0.05).tolist()


def test_a_target_met_exactly_is_met_and_nothing_answered_is_neither():
    fitted = predictions([0] * 9 + [1], np.linspace(0.01, 0.1, 10))
    exact = predictions([0] * 9 + [1], [0.05] * 10)
    by_method = promises({"duo": fitted}, {"duo": exact}, [0.1], 0.95).set_index("method")
    assert by_method.loc["empirical", "judged_risk"] == 0.1
    assert by_method.loc["empirical", "met"]
    for guaranteed in ("sequence", "sgr"):
        assert by_method.loc[guaranteed, "judged_coverage"] == 0  # ten images guarantee nothing
        assert pd.isna(by_method.loc[guaranteed, "met"])
    unsure = promises({"duo": fitted}, {"duo": predictions([0, 0], [0.5, 0.6])}, [0.1], 0.95)
    assert unsure["met"].isna().all()


@pytest.mark.parametrize(("wrong", "of", "others", "of_others"), [(3, 20, 9, 25), (0, 5, 7, 9), (4, 4, 4, 4), (1, 30, 1, 3)])
def test_the_chance_is_that_of_every_way_to_part_the_images(wrong, of, others, of_others):
    one, other = (predictions([1] * e + [0] * (n - e), np.zeros(n)) for e, n in ((wrong, of), (others, of_others)))
    ways = hypergeom(of + of_others, wrong + others, of)
    chances = ways.pmf(np.arange(of + 1))
    assert chance_of_difference(one, other) == pytest.approx(chances[chances <= ways.pmf(wrong) * (1 + 1e-9)].sum())


def test_the_chance_is_fishers_at_any_size(rng):
    for n, m in rng.integers(1, 60_000, (tried(40, 400), 2)):
        wrong = [
            rng.binomial(size, rate) for size, rate in zip((n, m), rng.uniform(0, 0.3) * rng.uniform(0.9, 1.1, 2), strict=True)
        ]
        splits = [predictions([1] * e + [0] * (size - e), np.zeros(size)) for e, size in zip(wrong, (n, m), strict=True)]
        expected = fisher_exact([[n - wrong[0], wrong[0]], [m - wrong[1], wrong[1]]]).pvalue
        assert chance_of_difference(*splits) == pytest.approx(expected, rel=1e-8)


def test_exchangeable_splits_are_seldom_said_to_differ(rng):
    """A test at 5 % rejects at most 5 % of splits drawn from one pool, and nearly all of splits of different kinds."""
    said = [chance_of_difference(drawn(rng, 200), drawn(rng, 300)) < 0.05 for _ in range(400)]
    assert np.mean(said) < 0.08
    assert chance_of_difference(drawn(rng), drawn(rng, rate=0.2)) < 1e-6
