"""Curves are exact at their points, and as near between them as they say."""

import numpy as np
import pytest

from duo_core.common.arrays import InputError, Predictions
from duo_core.figures.curves import oracle_risks, risk_at, risk_coverage
from duo_core.metrics import loops, selective_risks, tie_blocks


def predictions(correct, uncertainty):
    n = len(correct)
    zeros = np.zeros(n)
    return Predictions(np.ones(n, int), np.where(correct, 1, 0), 1 - zeros, np.asarray(uncertainty, float), zeros, zeros, zeros)


@pytest.fixture
def two(rng):
    n = 5000
    doubt = rng.random(n)
    tied = np.round(doubt, 2)
    return {"base": predictions(rng.random(n) > doubt / 4, tied), "duo": predictions(rng.random(n) > doubt / 5, doubt)}


def test_every_point_is_a_selective_risk(two):
    table = risk_coverage(two).table
    for name, p in two.items():
        exact = selective_risks(tie_blocks(p.correct, p.uncertainty))
        kept = np.round(table["coverage"].to_numpy() * len(p)).astype(int)
        assert np.array_equal(table[name], exact[kept - 1])


def test_lines_between_points_keep_to_the_stated_error(two):
    curves = risk_coverage(two, points=100)
    assert len(curves.table) == 100
    worst = 0.0
    for name, p in two.items():
        exact = selective_risks(tie_blocks(p.correct, p.uncertainty))
        j = np.arange(50, len(p) + 1)
        drawn = np.interp(j / len(p), curves.table["coverage"], curves.table[name])
        worst = max(worst, np.abs(drawn - exact[j - 1]).max())
    assert worst == pytest.approx(curves.error, abs=1e-12)
    assert 0 < curves.error < 0.02


def split_where_worst(values, points, tolerance):
    """The same selection in plain steps: of all straight lines, the one that errs most is split where it does."""
    kept = [0, values.shape[1] - 1]
    while True:
        grid = np.arange(values.shape[1])
        errors = np.max([np.abs(np.interp(grid, kept, row[kept]) - row) for row in values], 0)
        errors[kept] = 0
        if len(kept) >= points or errors.max() <= tolerance:
            return kept, errors.max()
        kept = sorted({*kept, int(errors.argmax())})


@pytest.mark.parametrize("points", [2, 3, 17, 60])
@pytest.mark.parametrize("rows", [1, 3])
def test_points_are_those_that_a_straight_line_misses_most(rng, rows, points):
    for columns in (2, 3, 40, 90):
        values = rng.random((rows, columns))
        expected, error = split_where_worst(values, points, 0.05)
        kept, left = loops.thinned(values, points, 0.05)
        assert kept.tolist() == expected
        assert left == pytest.approx(error, abs=1e-12)


def test_more_points_err_less(two):
    assert risk_coverage(two, points=300).error < risk_coverage(two, points=30).error


def test_a_flat_curve_needs_two_points():
    curves = risk_coverage({"base": predictions(np.ones(1000, bool), np.arange(1000.0))})
    assert curves.table["coverage"].tolist() == [0.01, 1.0]
    assert curves.error == 0


def test_one_image_is_a_curve():
    assert risk_coverage({"base": predictions(np.array([False]), [0.0])}, oracle_of="base").table["base"].tolist() == [1.0]


def test_the_oracle_ranks_errors_last_and_is_never_beaten(two):
    p = predictions(np.array([True, False, True, False]), [0.1, 0.2, 0.3, 0.4])
    assert oracle_risks(p).tolist() == [0, 0, 1 / 3, 0.5]
    table = risk_coverage(two, oracle_of="duo").table
    assert (table["oracle"] <= table["duo"] + 1e-12).all()
    assert table["oracle"].iloc[-1] == table["duo"].iloc[-1]


def test_risk_at_a_coverage_counts_images():
    p = predictions(np.array([True, False, True, False]), [0.1, 0.2, 0.3, 0.4])
    assert [risk_at(p, c) for c in (0, 0.25, 0.5, 1)] == [0, 0, 0.5, 0.5]


def test_wrong_requests_say_what_was_expected(two):
    with pytest.raises(InputError, match=r"coverage must be a fraction in \[0, 1\], but got 80"):
        risk_at(two["duo"], 80)
    with pytest.raises(InputError, match="expected at least 2 points a curve, got 1"):
        risk_coverage(two, points=1)
