"""Charts of single models, and the power law against numpy's own least squares."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duo_core import figures
from duo_core.common.arrays import InputError
from duo_core.figures.screen import SCREEN, metric_title
from duo_core.figures.zoo import SIZES, power_law
from duo_core.metrics import METRICS

TABLE = pd.DataFrame(
    {
        "family": ["Big", "Big", "Small", "Small"],
        "multiply_adds": [4e9, 1e9, 2e8, 5e7],
        "parameters": [9e7, 2e7, 5e6, 1e6],
        "images_per_second": [100.0, 380.0, 1500.0, 7000.0],
        **{key: [0.9, 0.8, 0.7, 0.6] for key in METRICS},
    },
    index=["huge", "large", "small", "tiny"],
)


@given(st.lists(st.tuples(st.floats(0.01, 1e6), st.floats(0.01, 1e6)), min_size=3, max_size=20, unique_by=lambda pair: pair[0]))
def test_the_power_law_is_the_least_squares_line_of_the_logarithms(points):
    x, y = np.array(points).T
    if np.ptp(np.log(x)) < 1e-3 or np.ptp(np.log(y)) < 1e-3:
        return
    law = power_law(x, y)
    exponent, middle = np.polyfit(np.log(x) - np.log(x).mean(), np.log(y), 1)
    assert law.exponent == pytest.approx(exponent, rel=1e-6, abs=1e-8)
    np.testing.assert_allclose(np.log(law(x)), middle + exponent * (np.log(x) - np.log(x).mean()), rtol=1e-6, atol=1e-6)
    assert law.r_squared == pytest.approx(np.corrcoef(np.log(x), np.log(y))[0, 1] ** 2, abs=1e-8)


def test_values_that_do_not_differ_lie_on_a_flat_line():
    law = power_law(np.array([1.0, 2.0, 4.0]), np.array([3.0, 3.0, 3.0]))
    assert (law.exponent, law.r_squared) == (0.0, 1.0)
    assert law(np.array([7.0])) == pytest.approx([3.0])


@pytest.mark.parametrize(
    ("x", "y"), [([1.0], [1.0]), ([2.0, 2.0], [1.0, 3.0]), ([1.0, 0.0], [1.0, 1.0]), ([1.0, 2.0], [1.0, -1.0])]
)
def test_what_has_no_power_law_is_refused(x, y):
    with pytest.raises(InputError, match="at least two different x"):
        power_law(np.array(x), np.array(y))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("key", METRICS)
def test_models_stand_at_their_size_and_value(key, size):
    figure = figures.quality_by_size(TABLE, key, size)
    assert [trace.name for trace in figure.data] == ["Big", "Small"]
    assert sorted(y for trace in figure.data for y in trace.y) == pytest.approx(sorted(TABLE[key] * SCREEN[key].factor))
    assert sorted(x for trace in figure.data for x in trace.x) == sorted(TABLE[size])
    assert (figure.layout.xaxis.title.text, figure.layout.xaxis.type) == (SIZES[size], "log")
    assert figure.layout.yaxis.title.text == metric_title(key)


def test_families_differ_in_symbol_and_colour():
    first, second = figures.quality_by_size(TABLE, "accuracy", "parameters").data
    assert first.marker.symbol != second.marker.symbol
    assert first.marker.color != second.marker.color


def test_hover_names_the_model_with_its_size():
    big = figures.quality_by_size(TABLE, "accuracy", "parameters").data[0]
    assert any("huge" in text and "4 billion multiply-adds, 90 million parameters" in text for text in big.text)


def test_models_of_unknown_size_are_left_out_and_none_at_all_is_said():
    some = TABLE.assign(parameters=[9e7, np.nan, 5e6, 1e6])
    assert sum(len(trace.x) for trace in figures.quality_by_size(some, "nll", "parameters").data) == 3
    none = figures.quality_by_size(TABLE.assign(parameters=np.nan), "nll", "parameters")
    assert not none.data
    assert "the size of no model" in none.layout.annotations[0].text


def test_the_line_of_throughput_goes_through_its_law():
    law = power_law(TABLE["multiply_adds"].to_numpy(), TABLE["images_per_second"].to_numpy())
    figure = figures.throughput_by_flops(TABLE, law)
    line = next(trace for trace in figure.data if trace.mode == "lines")
    assert line.x == pytest.approx([5e7, 4e9])
    assert line.y == pytest.approx(law(np.array([5e7, 4e9])))
    assert line.name == f"Fit, R² {law.r_squared:.3f}"
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert figure.layout.yaxis.title.text == "Images a second, higher is faster"


def test_unknown_throughput_is_said():
    figure = figures.throughput_by_flops(TABLE.assign(images_per_second=np.nan))
    assert "the throughput of no model" in figure.layout.annotations[0].text
