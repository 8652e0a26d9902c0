"""Mean gains over pairs, and their chart."""

import numpy as np
import pandas as pd
import pytest

from duo_core import figures
from duo_core.analysis.advice import gains, mean_gains
from duo_core.metrics import METRICS, relative_gain


def pairs(**values):
    """Three pairs of two bases, with 0.5 for every metric that is not given."""
    table = pd.DataFrame({"base": ["a", "a", "b"], "sidekick": ["s", "t", "s"], "variant": "duo", **dict.fromkeys(METRICS, 0.5)})
    return table.assign(**values)


ALONE = pd.DataFrame({key: [0.6, 0.8] for key in METRICS}, index=["a", "b"])


@pytest.mark.parametrize("key", METRICS)
def test_gains_are_averaged_over_pairs_each_against_its_own_base(key):
    found = mean_gains(pairs(**{key: [0.7, 0.9, 0.5]}), ALONE).set_index("metric").loc[key]
    expected = [relative_gain(key, value, base) for value, base in ((0.7, 0.6), (0.9, 0.6), (0.5, 0.8))]
    assert found["mean"] == pytest.approx(np.mean(expected))
    assert found["std"] == pytest.approx(np.std(expected))
    assert found["pairs"] == 3


@pytest.mark.parametrize("key", METRICS)
def test_gains_of_many_rows_are_those_of_each_to_the_last_bit(key, rng):
    alone = np.array([*rng.random(200), METRICS[key].perfect, 0.5, np.nan])
    values = np.array([*rng.random(200), 0.5, np.nan, 0.5])
    expected = [*(relative_gain(key, value, base) for value, base in zip(values[:200], alone[:200], strict=True)), *[np.nan] * 3]
    assert np.array_equal(gains(key, pd.Series(values), pd.Series(alone)), expected, equal_nan=True)


def test_undefined_gains_do_not_count():
    some = mean_gains(pairs(auroc=[0.7, np.nan, np.nan], sac98=np.nan), ALONE).set_index("metric")
    assert (some.loc["auroc", "pairs"], some.loc["auroc", "std"]) == (1, 0.0)
    assert "sac98" not in some.index
    assert mean_gains(pairs()[:0], ALONE).empty


def test_variants_are_averaged_apart():
    both = pd.concat([pairs(), pairs(accuracy=0.9).assign(variant="uq_only")])
    found = mean_gains(both, ALONE).query("metric == 'accuracy'").set_index("variant")["mean"]
    assert found["uq_only"] == pytest.approx((0.75 + 0.75 + 0.5) / 3)
    assert found["duo"] < 0 < found["uq_only"]


def test_the_chart_shows_means_and_deviations_in_percent_at_their_metric():
    both = mean_gains(pd.concat([pairs(accuracy=[0.7, 0.9, 0.5]), pairs().assign(variant="uq_only")]), ALONE)
    figure = figures.gains_by_metric(both)
    assert list(figure.layout.yaxis.ticktext) == [metric.label for metric in METRICS.values()]
    for name, variant in {"Duo": "duo", "UQ only": "uq_only"}.items():
        trace, rows = next(t for t in figure.data if t.name == name), both[both["variant"] == variant]
        assert list(trace.x) == pytest.approx(rows["mean"] * 100)
        assert list(trace.error_x.array) == pytest.approx(rows["std"] * 100)
        assert np.rint(trace.y).tolist() == [list(METRICS).index(key) for key in rows["metric"]]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # the first metric is at the top
    assert figure.layout.shapes[0].x0 == 0
    assert "higher is better" in figure.layout.xaxis.title.text


def test_far_losses_end_at_twice_the_bases_distance():
    far = mean_gains(pairs(ece=[9.0, 0.1, 0.1]), ALONE)
    figure = figures.gains_by_metric(far)
    assert figure.layout.xaxis.range[0] == -100
    mean = far.set_index("metric").loc["ece", "mean"]
    assert figure.layout.annotations[-1].text == f"Outside: ECE of Duo at −{-mean * 100:.0f} %"
    assert figures.gains_by_metric(mean_gains(pairs(**dict.fromkeys(METRICS, 0.7)), ALONE)).layout.xaxis.range is None


def test_no_defined_gain_is_said():
    figure = figures.gains_by_metric(mean_gains(pairs()[:0], ALONE))
    assert figure.layout.annotations[0].text == "No pair has a defined gain."
