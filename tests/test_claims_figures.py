"""The chart of the pairs behind a claim, and the small picture of its share."""

import dataclasses
from urllib.parse import unquote

import numpy as np
import pytest
from test_claims import BAD, GOOD

from duo_core.analysis.claims import claims
from duo_core.figures.claims import borders, on_screen, pairs_behind, range_picture
from duo_core.metrics.intervals import Interval
from duo_core.wording import verdicts

FOUND = {claim.key: claim for claim in claims(GOOD, GOOD, replicates=200)}


@pytest.mark.parametrize("key", FOUND)
@pytest.mark.parametrize("world", [GOOD, BAD])
def test_points_lie_on_the_side_of_the_line_that_agrees(key, world):
    claim = next(c for c in claims(world, world, replicates=20) if c.key == key)
    values, _, where = borders(claim)
    delta = claim.pairs["delta"]
    inside = {
        "above": delta >= values[0] if claim.key == "harmless" else delta > values[0] - (1e-12 if "gain" in claim.measured else 0),
        "below": delta < values[0],
        "between": delta.abs() <= values[-1],
    }
    assert (inside[where.split()[1]] == claim.pairs["agrees"]).all()
    figure = pairs_behind(claim)
    for trace, agrees in zip(figure.data[:2], (True, False), strict=True):
        rows = claim.pairs[claim.pairs["agrees"] == agrees]
        assert list(trace.y) == pytest.approx(rows["delta"] * on_screen(claim)[0])
        assert [list(data) for data in trace.customdata] == rows[["base", "sidekick"]].values.tolist()
    assert figure.data[0].marker.symbol != figure.data[1].marker.symbol
    assert where in figure.layout.yaxis.title.text


def test_units_are_those_of_the_metric():
    assert on_screen(FOUND["accuracy"]) == (100, "percentage points")
    assert on_screen(FOUND["aurc"]) == (1000, "× 1000")
    assert on_screen(FOUND["nll"]) == on_screen(FOUND["base_leads"]) == on_screen(FOUND["uq_only_keeps_sac98"]) == (1, "")


def test_ratios_stand_on_a_logarithmic_axis():
    assert pairs_behind(FOUND["base_leads"]).layout.yaxis.type == "log"
    assert pairs_behind(FOUND["accuracy"]).layout.yaxis.type is None


def test_pairs_that_cannot_be_drawn_are_said():
    off = dataclasses.replace(FOUND["base_leads"], pairs=FOUND["base_leads"].pairs.assign(delta=np.inf))
    figure = pairs_behind(off)
    assert figure.layout.annotations[0].text == f"Not drawn: {len(off.pairs)} pairs whose sidekick has no weight"
    none = dataclasses.replace(off, pairs=off.pairs[:0])
    assert pairs_behind(none).layout.annotations[0].text == "This claim is about none of the pairs."
    unknown = dataclasses.replace(FOUND["accuracy"], pairs=FOUND["accuracy"].pairs.assign(flops_balance=np.nan))
    assert "unknown" in pairs_behind(unknown).layout.xaxis.title.text
    assert list(pairs_behind(unknown).data[0].x) == list(range(1, len(unknown.pairs) + 1))


def test_the_picture_places_share_interval_and_what_is_asked():
    claim = dataclasses.replace(FOUND["accuracy"], share=0.8, asked=0.5, interval=Interval(0.8, 0.6, 1.0))
    drawn = unquote(range_picture(claim))
    assert 'cx="125.0"' in drawn
    assert "M95.0 33H155.0" in drawn
    assert "M80.0 21V45" in drawn
    assert unquote(range_picture(dataclasses.replace(claim, share=None, interval=None))).count("<path") == 2


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, "the whole interval lies above the 50 % that it asks for"),
        ({"verdict": "contradicted"}, "the whole interval lies below the 50 % that it asks for"),
        ({"verdict": "inconclusive"}, "the interval contains the 50 % that it asks for, so"),
        ({"verdict": "inconclusive", "note": "fewer than 125 images are too few to judge it"}, "fewer than 125 images are too few"),
        ({"verdict": "too few models", "interval": None}, "so there is no interval"),
        ({"verdict": "too few models", "pairs": FOUND["accuracy"].pairs[:1]}, "made of 2 models, fewer than 6"),
        ({"verdict": "too few models", "asked": 0.99}, "so few pairs (66) would all agree by chance"),
        ({"share": None}, "this set has no pair of the kind that it is about"),
    ],
)
def test_every_verdict_has_its_reason(changed, reason):
    assert reason in verdicts.why(dataclasses.replace(FOUND["accuracy"], **changed))
