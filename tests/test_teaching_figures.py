"""The course's charts: axes that stand still while a slider moves, the base as reference, units and directions, points to click."""

import numpy as np
import pandas as pd
import pytest

from duo_core.figures import teaching_alone, teaching_together
from duo_core.figures.screen import DARK, LIGHT
from duo_core.logits.store import Store
from duo_core.systems.duo import Temperatures
from duo_core.systems.sweep import sweep
from duo_core.teaching import alone, together
from duo_core.teaching.experts import classroom
from duo_core.teaching.steps import REAL_PEERS


@pytest.fixture(scope="module")
def room():
    return classroom()


@pytest.fixture(scope="module")
def shipped():
    return Store().open("cifar10")


@pytest.fixture(scope="module")
def offers(shipped):
    return together.offers(sweep(shipped, ["test"]))


def dots(room, confidence, **options):
    predictions = alone.base_alone(room.test)
    table, band = alone.dots(predictions), alone.band(predictions, confidence)
    return teaching_alone.confidence_dots(table, low=band.low, high=band.high, picked=alone.nearest(table, confidence), **options)


def reliability(room, temperature, **options):
    before, now = (alone.tempered(room, t).reliability for t in (1.0, temperature))
    return teaching_alone.reliability_at(before, now, temperature, **options)


def nll(room, temperature, **options):
    table = alone.by_temperature(room, np.linspace(0.1, 2, 20).tolist())
    return teaching_alone.nll_by_temperature(table, temperature, best=0.5, **options)


def abstaining(room, coverage, **options):
    found = alone.abstention(room)
    return teaching_alone.abstaining(found.table, coverage, sac98=found.sac98, **options)


def by_overlap(_, overlap, **options):
    here = vars(together.averaged(together.peers(overlap)))
    return teaching_together.averages(together.by_overlap(), "common", here=here, **options)


def by_quality(_, quality, **options):
    table, here = together.by_quality(), vars(together.averaged(together.trapped(quality)))
    return teaching_together.averages(table, "sidekick", here=here, break_even=together.break_even(table), **options)


def bowl(room, share, **options):
    found = together.learned(room)
    start = Temperatures(share * found.surface.base[-1], share * found.surface.sidekick[-1])
    return teaching_together.newton_bowl(found.surface, found.marks, together.walk(room, start), **options)


def reranked(room, share, **options):
    return teaching_together.reranked(together.ranking(room).table, "duo" if share > 0.5 else "uq_only", **options)


MOVED = {
    "confidence": (dots, 0.5, 0.95),
    "reliability": (reliability, 0.3, 1.8),
    "nll": (nll, 0.3, 1.8),
    "abstain": (abstaining, 0.2, 0.9),
    "ensemble": (by_overlap, 0.0, 0.9),
    "trap": (by_quality, 0.6, 2.0),
    "weights": (bowl, 0.1, 0.9),
    "ranking": (reranked, 0.0, 1.0),
}


def drawn(figure, name):
    (trace,) = (trace for trace in figure.data if trace.name == name)
    return trace


def positions(figure):
    return [(trace.name, trace.x, trace.y) for trace in figure.data], figure.layout.shapes


@pytest.mark.parametrize("name", MOVED)
def test_a_slider_moves_something_on_axes_that_stand_still(name, room):
    draw, low, high = MOVED[name]
    first, second = draw(room, low), draw(room, high)
    for axis in ("xaxis", "yaxis"):
        assert first.layout[axis].range is not None
        assert first.layout[axis].range == second.layout[axis].range
    assert str(positions(first)) != str(positions(second))


@pytest.mark.parametrize("name", MOVED)
def test_charts_fit_beside_their_text_and_say_unit_and_direction(name, room):
    draw, value, _ = MOVED[name]
    figure = draw(room, value)
    assert figure.layout.height <= 380
    titles = " / ".join(figure.layout[axis].title.text or "" for axis in ("xaxis", "yaxis"))
    assert "%" in titles or "nats" in titles or "T_base" in titles
    assert "better" in titles or "best" in titles or name in {"confidence", "weights"}


@pytest.mark.parametrize("name", MOVED)
def test_a_dark_chart_shows_the_same_in_other_colours(name, room):
    draw, value, _ = MOVED[name]
    light, dark = draw(room, value), draw(room, value, colours=DARK)
    assert str(positions(light)[0]) == str(positions(dark)[0])
    assert LIGHT["base"] in str(light) or LIGHT["duo"] in str(light)
    assert not [colour for key, colour in LIGHT.items() if key != "paper" and colour in str(dark)]


@pytest.mark.parametrize("name", ["abstain", "ensemble", "trap", "weights", "ranking"])
def test_the_base_is_drawn_as_reference(name, room):
    draw, value, _ = MOVED[name]
    assert any((trace.name or "").startswith("Base") for trace in draw(room, value).data)


def test_dots_carry_their_row_and_the_picked_one_is_ringed(room):
    figure = dots(room, 0.9)
    rows = sorted([*drawn(figure, "Right").customdata, *drawn(figure, "Wrong").customdata])
    assert rows == list(range(300))
    assert min(drawn(figure, "Right").y) > 1 > max(drawn(figure, "Wrong").y)
    assert drawn(figure, "This image").x[0] == pytest.approx(90, abs=1)
    band = figure.layout.shapes[0]
    assert (band.x0, band.x1) == pytest.approx((85, 95))


def test_bars_hold_the_surest_classes_and_the_label():
    probabilities = [0.4, 0.0, 0.3, 0.1, 0.05, 0.06, 0.04, 0.05]
    figure = teaching_alone.softmax_bars([1.0, -0.04] * 4, probabilities, list("abcdefgh"), label=1)
    (bars,) = figure.data
    assert list(bars.x) == ["a", "b", "c", "d", "f"]
    assert [color == LIGHT["base"] for color in bars.marker.color] == [False, True, False, False, False]
    assert bars.text[1] == "0.0"
    assert bars.y[0] == pytest.approx(40)


def test_bins_of_a_handful_of_images_are_left_out(room):
    table = alone.tempered(room, 1.0).reliability
    table.loc[table.index[-1], "images"] = 9
    figure = teaching_alone.reliability_at(table, table, 1.0)
    assert max(figure.data[1].x) < 95
    assert [trace.name for trace in figure.data[1:]] == ["Temperature 1", "Temperature 1.00"]


def test_what_stands_now_lies_on_its_curve(room):
    now = drawn(nll(room, 0.8), "Now")
    assert now.y[0] == pytest.approx(alone.tempered(room, 0.8).nll, abs=1e-3)
    now = drawn(abstaining(room, 0.7), "Now")
    assert (now.x[0], now.y[0]) == pytest.approx((70, alone.abstention(room).risk(0.7) * 100), abs=0.1)
    found = together.averaged(together.trapped(1.2))
    now = drawn(by_quality(room, 1.2), "Now")
    assert (now.x[0], now.y[0]) == pytest.approx((found.sidekick * 100, found.pair * 100))


def test_the_trap_is_marked_where_the_average_crosses_the_base(room):
    even = together.break_even(together.by_quality())
    assert any(shape.x0 == even * 100 for shape in by_quality(room, 1.0).layout.shapes)


def test_real_partners_can_be_clicked(shipped):
    table = together.by_partner(shipped, "resnet56", REAL_PEERS)
    figure = teaching_together.averages(table, "common")
    assert set(drawn(figure, "Equal average").customdata) == set(REAL_PEERS)


def test_newton_steps_end_at_the_learned_temperatures(room):
    figure = bowl(room, 0.8)
    path, duo = drawn(figure, "Newton steps, now"), drawn(figure, "Duo, fitted")
    assert (path.x[-1], path.y[-1]) == pytest.approx((duo.x[0], duo.y[0]), abs=2e-3)
    assert path.marker.symbol[-1] == "cross-thin"


def test_two_rankings_of_different_heights_share_their_axes():
    table = pd.DataFrame({"coverage": [0.5, 1.0], "base": [0.01, 0.1], "uq_only": [0.01, 0.1], "duo": [0.05, 0.3]})
    first, second = (teaching_together.reranked(table, variant) for variant in ("uq_only", "duo"))
    assert first.layout.yaxis.range == second.layout.yaxis.range
    assert first.layout.yaxis.range[1] > 30


def test_offers_part_at_the_budget_on_axes_that_stand_still(offers):
    best = together.best_offer(offers, 0.2)
    figure = teaching_together.offers(offers, 0.2, best=(best["base"], best["sidekick"]), picked=("resnet56", "regnety_002"))
    within, dearer = drawn(figure, "Within the budget"), drawn(figure, "More expensive")
    assert max(within.x) <= 20 < min(dearer.x)
    assert len(within.x) + len(dearer.x) == len(offers)
    assert drawn(figure, "Best within it").y[0] == max(within.y)
    assert ["resnet56", "regnety_002"] in [list(pair) for pair in within.customdata]
    assert drawn(figure, "This pair").x[0] == pytest.approx(13.3, abs=0.1)
    other = teaching_together.offers(offers, 0.05, best=None)
    assert (figure.layout.xaxis.range, figure.layout.yaxis.range) == (other.layout.xaxis.range, other.layout.yaxis.range)
    assert figure.layout.height <= 380
