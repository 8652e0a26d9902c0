"""What duos of 10 to 20 % more compute gain, on every split."""

import pandas as pd
import pytest

from duo_core.analysis.advice import BAND, gains_within
from duo_core.figures.gains import gains_by_split
from duo_core.metrics import METRICS


def pairs(accuracies, balances, alone=0.8):
    rows = [
        {
            "variant": "duo",
            "base": "large",
            "sidekick": f"s{i}",
            "flops_balance": balance,
            "reversed": False,
            **dict.fromkeys(METRICS, accuracy),
        }
        for i, (accuracy, balance) in enumerate(zip(accuracies, balances, strict=True))
    ]
    return pd.DataFrame(rows), pd.DataFrame([dict.fromkeys(METRICS, alone)], index=["large"])


@pytest.mark.parametrize(("balances", "counted"), [([0.1, 0.2, 0.15], 3), ([0.09, 0.2, 0.21], 1), ([0.5, 0.01, None], 0)])
def test_only_the_band_counts(balances, counted):
    table, alone = pairs([0.9, 0.85, 0.8], balances)
    found = gains_within({"test": table, "shift": table}, {"test": alone, "shift": alone}, BAND)
    assert set(found["pairs"]) == ({counted} if counted else set())
    assert set(found["split"]) == ({"test", "shift"} if counted else set())


def test_gains_are_those_of_each_split_and_reversed_pairs_are_left_out():
    table, alone = pairs([0.9, 0.9], [0.1, 0.15])
    other, less = pairs([0.8, 0.5], [0.1, 0.15], alone=0.6)
    other["reversed"] = [False, True]
    found = gains_within({"test": table, "shift": other}, {"test": alone, "shift": less}, BAND).set_index(["split", "metric"])
    assert found.loc[("test", "accuracy"), "mean"] == pytest.approx(0.5)
    assert found.loc[("shift", "accuracy"), ["mean", "pairs"]].tolist() == [pytest.approx(0.5), 1]


def test_every_split_is_drawn_by_its_own_symbol():
    table, alone = pairs([0.9, 0.85], [0.1, 0.15])
    splits = ("test", "shift", "v2")
    figure = gains_by_split(gains_within(dict.fromkeys(splits, table), dict.fromkeys(splits, alone), BAND))
    assert [trace.name for trace in figure.data] == list(splits)
    assert len({trace.marker.symbol for trace in figure.data}) == 3
    assert all(len(trace.x) == len(METRICS) for trace in figure.data)
