"""Figures show the numbers of their tables, the chosen pair, and axes that explain themselves."""

import numpy as np
import pandas as pd
import pytest
from logit_sets import write_set

from duo_core import figures
from duo_core.figures.curves import risk_coverage
from duo_core.figures.screen import DARK, LIGHT, SCREEN, STYLES, cost_column, metric_title
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.systems.duo import VARIANTS
from duo_core.systems.sweep import evaluate, sweep


@pytest.fixture(scope="module")
def logit_set(tmp_path_factory):
    return Store(write_set(tmp_path_factory.mktemp("store"))).open("toy")


@pytest.fixture(scope="module")
def table(logit_set):
    rows = sweep(logit_set, ["test"]).query("base == 'large' and variant not in ('base', 'sidekick')")
    return rows.assign(base_accuracy=0.9, sidekick_accuracy=rows["sidekick"].map({"middle": 0.8, "small": 0.7, "tiny": 0.6}))


def named(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def test_every_meaning_has_a_colour_a_dash_and_a_symbol_of_its_own():
    drawn = [*VARIANTS]
    assert set(STYLES) == {*drawn, "oracle"}
    for palette in (LIGHT, DARK):
        assert len({palette[key] for key in drawn}) == len(drawn)
    assert len({STYLES[key].dash for key in STYLES}) == len(STYLES)
    assert len({STYLES[key].symbol for key in ("duo", "unweighted", "uq_only", "sidekick")}) == 4


def test_the_duo_is_drawn_last_and_thickest(logit_set):
    drawn = figures.risk_coverage(risk_coverage(evaluate(logit_set, "large", "tiny").predictions, oracle_of="duo").table)
    lines = [trace for trace in drawn.data if trace.mode == "lines"]
    assert [trace.name for trace in lines] == ["Oracle", "Sidekick", "Unweighted", "Base", "UQ only", "Duo"]
    assert lines[-1].line.width > max(trace.line.width for trace in lines[:-1])


def test_curves_show_percent_and_carry_their_coverage(logit_set):
    curves = risk_coverage(evaluate(logit_set, "large", "tiny").predictions, oracle_of="duo").table
    drawn = figures.risk_coverage(curves, coverage=0.83)
    assert np.allclose(named(drawn, "Duo").y, curves["duo"] * 100)
    clicked = named(drawn, "Coverage")
    assert np.allclose(clicked.customdata, np.arange(1, 101) / 100)
    assert np.allclose(clicked.y, np.interp(clicked.customdata, curves["coverage"], curves["duo"] * 100))
    assert max(len(trace.x) for trace in drawn.data) <= 400
    assert drawn.layout.shapes[0].x0 == 83
    assert drawn.layout.xaxis.title.text == "Coverage: share of images kept (%)"
    assert drawn.layout.yaxis.title.text == "Selective risk (%), lower is better"


def test_noise_at_tiny_coverage_does_not_blow_up_the_axis():
    coverage = np.linspace(0.01, 1, 100)
    risk = np.where(coverage < 0.05, 1.0, 0.04)
    drawn = figures.risk_coverage(pd.DataFrame({"coverage": coverage, "base": risk, "duo": risk, "sidekick": risk * 20}))
    assert drawn.layout.yaxis.range[1] == pytest.approx(4 * 1.7 * 1.06)


@pytest.mark.parametrize("key", METRICS)
def test_points_are_the_tables_values_on_an_explained_axis(table, key):
    drawn = figures.metric_by_cost(table, key, base=0.5, chosen="small")
    for variant, name in {"duo": "Duo", "unweighted": "Unweighted", "uq_only": "UQ only"}.items():
        rows = table[table["variant"] == variant]
        assert np.allclose(named(drawn, name).y, rows[key] * SCREEN[key].factor)
        assert np.allclose(named(drawn, name).x, rows["flops_balance"] * 100)
        assert list(named(drawn, name).customdata) == list(rows["sidekick"])
    assert drawn.layout.yaxis.title.text == metric_title(key)
    assert ("higher" if METRICS[key].higher_is_better else "lower") + " is better" in drawn.layout.yaxis.title.text
    assert drawn.layout.xaxis.title.text == "FLOPs balance (%), lower is cheaper"
    assert drawn.layout.shapes[0].y0 == pytest.approx(0.5 * SCREEN[key].factor)
    assert f"Base alone {SCREEN[key].text(0.5)}" in [trace.name for trace in drawn.data]


def test_the_ring_is_at_the_chosen_sidekick(table):
    row = table[(table["variant"] == "duo") & (table["sidekick"] == "small")].iloc[0]
    ring = named(figures.metric_by_cost(table, "aurc", base=0.1, chosen="small"), "This pair")
    assert (ring.x[0], ring.y[0]) == pytest.approx((row["flops_balance"] * 100, row["aurc"] * 1000))
    assert ring.hoverinfo == "skip"  # or it would catch the pointer over the point it marks


def test_hover_says_models_accuracies_value_and_balance(table):
    text = named(figures.metric_by_cost(table, "accuracy", base=0.9, chosen="tiny"), "Duo").text
    tiny = next(line for line in text if "tiny" in line)
    for part in ("large + tiny", "Accuracy alone: base 90.0 %, sidekick 60.0 %", "+5.0 % compute"):
        assert part in tiny


def test_costs_over_more_than_a_decade_stand_on_a_logarithmic_axis(table):
    wide = table.assign(flops_balance=table["sidekick"].map({"middle": 0.5, "small": 0.1, "tiny": 0.01}))
    assert figures.metric_by_cost(table, "aurc", base=None).layout.xaxis.type is None
    assert figures.metric_by_cost(wide, "aurc", base=None).layout.xaxis.type == "log"


@pytest.mark.parametrize(
    ("extra", "column"),
    [
        ({"parameter_balance": 0.3}, "parameter_balance"),
        ({"parameter_balance": None}, "sidekick_accuracy"),
    ],
)
def test_unknown_costs_fall_back_to_parameters_then_to_accuracy(table, extra, column):
    unknown = table.assign(flops_balance=np.nan, **extra)
    assert cost_column(unknown) == column
    drawn = figures.metric_by_cost(unknown, "aurc", base=0.1)
    assert np.allclose(named(drawn, "Duo").x, unknown.loc[unknown["variant"] == "duo", column] * 100)


def test_unweighted_pairs_out_of_reach_are_counted(table):
    far = table.assign(aurc=np.where(table["variant"] == "unweighted", 9.0, table["aurc"]))
    notes = [note.text for note in figures.metric_by_cost(far, "aurc", base=0.1).layout.annotations]
    assert "3 unweighted pairs lie outside this axis" in notes


def test_an_undefined_metric_says_why_the_chart_is_empty(table):
    drawn = figures.metric_by_cost(table.assign(auroc=np.nan), "auroc", base=None, chosen="small")
    assert [note.text for note in drawn.layout.annotations] == [
        "AUROC is undefined here: every image is right, or every one is wrong."
    ]
    assert not drawn.data


def test_ratios_leave_out_sidekicks_that_are_off(table):
    off = table.assign(T_ratio=table["T_ratio"].where(table["sidekick"] != "tiny"))
    drawn = figures.ratio_by_cost(off, chosen="small")
    assert list(named(drawn, "Duo").customdata) == ["middle", "small"]
    assert np.allclose(named(drawn, "Duo").y, off.loc[off["variant"] == "duo", "T_ratio"].dropna())
    assert drawn.layout.yaxis.title.text == "Temperature ratio, base over sidekick"
    none = figures.ratio_by_cost(table.assign(T_ratio=np.nan))
    assert "no ratio to draw" in none.layout.annotations[-1].text


def test_a_wide_range_of_ratios_is_logarithmic(table):
    wide = table.assign(T_ratio=table["sidekick"].map({"middle": 1.2, "small": 9.0, "tiny": 40.0}))
    drawn = figures.ratio_by_cost(wide)
    assert drawn.layout.yaxis.type == "log"
    assert drawn.layout.shapes[0].y0 == 1  # a shape's place on a logarithmic axis is the value, not its exponent
    assert figures.ratio_by_cost(wide.assign(T_ratio=[1.0, 1.5, 2.0] * 3)).layout.yaxis.type is None


def test_a_base_that_is_off_keeps_its_point(table):
    """A weight of 0 has no place on a logarithmic axis, beside ratios however large."""
    off = table.assign(T_ratio=table["sidekick"].map({"middle": 0.0, "small": 9.0, "tiny": 40.0}))
    drawn = figures.ratio_by_cost(off)
    assert drawn.layout.yaxis.type is None
    assert drawn.layout.yaxis.rangemode == "tozero"
    assert 0.0 in named(drawn, "Duo").y
