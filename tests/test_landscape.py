"""The chart of all pairs shows its table's numbers, tells bases and families apart, and marks what it says."""

import numpy as np
import pandas as pd
import pytest
from logit_sets import write_set

from duo_core import figures
from duo_core.analysis.advice import pareto
from duo_core.common.numbers import percent
from duo_core.figures.landscape import AXES, FILLS, TOTALS, Marks, comparable_cost, look_of
from duo_core.figures.screen import DARK, HUES, LABELS, LIGHT, SCREEN, SYMBOLS, metric_title
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.systems.sweep import sweep


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    own = Store(write_set(tmp_path_factory.mktemp("store"))).open("toy")
    rows = sweep(own, ["test"])
    rows = rows[rows["variant"].isin(FILLS)]
    return rows.assign(
        family=rows["sidekick"].map({"middle": "Net", "small": "Mobile", "tiny": "Mobile"}),
        throughput_balance=rows["flops_balance"] * 2,
        parameter_balance=rows["flops_balance"],
        total_multiply_adds=rows["base"].map({"large": 8e8, "middle": 2e8, "small": 8e7}) * (1 + rows["flops_balance"]),
        total_parameters=rows["base"].map({"large": 8e6, "middle": 2e6, "small": 8e5}) * (1 + rows["flops_balance"]),
        total_seconds=rows["base"].map({"large": 0.02, "middle": 0.01, "small": 0.005}),
        gain=np.linspace(-0.1, 0.3, len(rows)),
    )


LARGE = look_of(["large"], ["Mobile", "Net"])


def points(figure):
    """The traces of pairs: those that carry a pair to click."""
    return [trace for trace in figure.data if trace.customdata is not None]


def drawn(figure):
    """(base, sidekick) -> y of every point."""
    return sorted((*pair, y) for trace in points(figure) for pair, y in zip(trace.customdata, trace.y, strict=True))


def named(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def test_hues_and_symbols_are_distinct_in_both_themes():
    for palette in (LIGHT, DARK):
        assert len({palette[hue] for hue in HUES} | {palette["neutral"], palette["duo"], palette["base"]}) == len(HUES) + 3
    assert len(set(SYMBOLS)) == len(SYMBOLS)


@pytest.mark.parametrize("cost", AXES)
@pytest.mark.parametrize("key", METRICS)
def test_every_pair_stands_where_its_table_says(table, key, cost):
    figure = figures.pairs_by_cost(table, key, cost=cost, marks=Marks(base=("large", 0.5)))
    expected = sorted(zip(table["base"], table["sidekick"], table[key] * SCREEN[key].factor, strict=True))
    assert drawn(figure) == [(b, s, pytest.approx(y)) for b, s, y in expected]
    assert sorted(x for trace in points(figure) for x in trace.x) == pytest.approx(sorted(table[cost] * 100))
    assert figure.layout.yaxis.title.text == metric_title(key)
    assert figure.layout.xaxis.title.text == AXES[cost]
    assert named(figure, f"large alone {SCREEN[key].text(0.5)}")


def test_gains_stand_in_percent_over_a_base_at_zero(table):
    figure = figures.pairs_by_cost(table, "aurc", cost="flops_balance", gain=True)
    assert sorted(y for *_, y in drawn(figure)) == pytest.approx(sorted(table["gain"] * 100))
    assert figure.layout.yaxis.title.text == "Gain in AURC: share of the way to perfect (%), higher is better"
    assert named(figure, "Better member alone")
    assert figure.layout.shapes[0].y0 == 0


@pytest.mark.parametrize("gain", [False, True])
@pytest.mark.parametrize(("cost", "factor"), [("flops_balance", 100), ("total_multiply_adds", 1e-9), ("total_seconds", 1e3)])
def test_the_front_is_the_paretos_of_costs_that_compare(table, gain, cost, factor):
    """Shares of one base's cost, or totals of several."""
    rows = table[table["base"] == "large"] if cost == "flops_balance" else table
    figure = figures.pairs_by_cost(rows, "aurc", cost=cost, gain=gain)
    value = rows["gain"] if gain else -rows["aurc"]
    on = rows[pareto(rows[cost].to_numpy(), value.to_numpy(), higher_is_better=True)].sort_values(cost)
    front = named(figure, "Pareto front")
    assert front.x == pytest.approx(on[cost] * factor)
    assert front.line.shape == "hv"
    assert front.hoverinfo == "skip"


@pytest.mark.parametrize("cost", AXES)
def test_shares_of_several_bases_have_no_front(table, cost):
    """A tenth of a large base is more than half of a small one."""
    figure = figures.pairs_by_cost(table, "aurc", cost=cost)
    assert not [trace for trace in figure.data if trace.name == "Pareto front"]
    assert comparable_cost(table, cost) == TOTALS[cost].column
    assert comparable_cost(table[table["base"] == "middle"], cost) == cost
    assert comparable_cost(table, "sidekick_accuracy") == "sidekick_accuracy"


@pytest.mark.parametrize(("cost", "limit", "x"), [("total_multiply_adds", 9.2e8, 0.92), ("total_parameters", 5e6, 5.0)])
def test_a_budget_of_totals_stands_in_their_unit(table, cost, limit, x):
    figure = figures.pairs_by_cost(table, "aurc", cost=cost, marks=Marks(budget=limit, limit="Budget large +15 %"))
    assert figure.layout.shapes[-1].x0 == pytest.approx(x)
    assert named(figure, "Budget large +15 %")
    assert figure.layout.xaxis.title.text == next(total.title for total in TOTALS.values() if total.column == cost)
    assert " in all · " in points(figure)[0].text[0]


def test_colour_is_the_base_symbol_the_family_and_fill_the_variant(table):
    figure = figures.pairs_by_cost(table, "aurc", cost="flops_balance", look=LARGE)
    for trace in points(figure):
        for (base, sidekick), symbol in zip(trace.customdata, trace.marker.symbol, strict=True):
            assert trace.marker.color == LIGHT[HUES[0] if base == "large" else "neutral"]
            family = "square" if sidekick == "middle" else "circle"  # alphabetical: Mobile, Net
            variant = {LABELS[key]: key for key in FILLS}[trace.name]
            assert symbol == family + FILLS[variant]


def legend(figure):
    """Entries of the legend under the chart, by their group."""
    entries = {}
    for trace in figure.data:
        if trace.legend == "legend2":
            entries.setdefault(trace.legendgroup, []).append(trace.name)
    return entries


def test_the_legend_names_bases_families_and_systems(table):
    figure = figures.pairs_by_cost(table, "aurc", cost="flops_balance", look=LARGE)
    assert legend(figure) == {
        "Base": ["large", "Other bases"],
        "Sidekick": ["Mobile", "Net"],
        "System": ["Duo", "UQ only", "Unweighted"],
    }
    assert not any(trace.showlegend is not False for trace in points(figure))
    duos = figures.pairs_by_cost(
        table[table["variant"] == "duo"], "aurc", cost="flops_balance", look=look_of([], ["Mobile", "Net"])
    )
    assert legend(duos) == {"Base": ["All bases"], "Sidekick": ["Mobile", "Net"], "System": ["Duo"]}


def test_a_look_stays_when_bases_are_chosen_and_colours_those_that_had_none():
    bases = [f"base {i}" for i in range(9)]
    whole, some = look_of(bases, ["Net"]), look_of(bases, ["Net"], chosen=["base 2", "base 8"])
    assert list(whole.hues) == bases[: len(HUES)]
    assert some.hues["base 2"] == whole.hues["base 2"]
    assert some.hues["base 8"] in set(HUES) - {whole.hues["base 2"]}
    assert set(some.hues) == {"base 2", "base 8"}
    assert len(set(look_of(bases, ["Net"], chosen=bases).hues.values())) == len(HUES)


def test_by_default_every_base_of_the_table_has_its_colour(table):
    assert legend(figures.pairs_by_cost(table, "aurc", cost="flops_balance"))["Base"] == ["large", "middle", "small"]


def test_more_bases_than_colours_share_the_neutral_one(table):
    many = pd.concat([table.assign(base=f"base {i}") for i in range(9)])
    figure = figures.pairs_by_cost(
        many, "aurc", cost="flops_balance", look=look_of([f"base {i}" for i in range(9)], ["Mobile", "Net"])
    )
    colours = {trace.marker.color for trace in points(figure)}
    assert colours == {LIGHT[hue] for hue in HUES} | {LIGHT["neutral"]}


def test_marks_are_at_their_pairs_and_out_of_the_way_of_the_pointer(table):
    duos = table[table["variant"] == "duo"]
    marks = Marks(chosen=("large", "small"), advised=("middle", "tiny", "duo"), budget=0.15)
    figure = figures.pairs_by_cost(duos, "aurc", cost="flops_balance", marks=marks)
    for name, (base, sidekick, *_) in {"This pair": marks.chosen, "Best under the budget": marks.advised}.items():
        row = duos[(duos["base"] == base) & (duos["sidekick"] == sidekick)].iloc[0]
        mark = named(figure, name)
        assert (mark.x[0], mark.y[0]) == pytest.approx((row["flops_balance"] * 100, row["aurc"] * 1000))
        assert named(figure, name).hoverinfo == "skip"
    assert named(figure, "Budget +15 %")
    assert figure.layout.shapes[-1].x0 == 15  # a shape's place on a logarithmic axis is the value, not its exponent


def test_only_the_advised_variant_gets_the_square_but_every_variant_of_the_pair_its_ring(table):
    marks = Marks(chosen=("middle", "tiny"), advised=("middle", "tiny", "uq_only"))
    figure = figures.pairs_by_cost(table, "aurc", cost="flops_balance", marks=marks)
    row = table[(table["base"] == "middle") & (table["sidekick"] == "tiny") & (table["variant"] == "uq_only")].iloc[0]
    assert list(named(figure, "Best under the budget").y) == pytest.approx([row["aurc"] * 1000])
    assert len(named(figure, "This pair").y) == 3


def test_a_budget_beyond_all_pairs_is_within_the_axis(table):
    figure = figures.pairs_by_cost(table, "aurc", cost="flops_balance", marks=Marks(budget=0.001), logarithmic=True)
    low, _ = figure.layout.xaxis.range
    assert low < np.log10(0.1)


def test_the_cost_axis_is_as_it_is_told(table):
    assert figures.pairs_by_cost(table, "aurc", cost="flops_balance").layout.xaxis.type == "log"
    assert figures.pairs_by_cost(table, "aurc", cost="flops_balance", logarithmic=False).layout.xaxis.type is None


def test_losses_far_apart_stand_on_a_logarithmic_axis(table):
    far = table.assign(aurc=np.geomspace(0.001, 0.5, len(table)))
    assert figures.pairs_by_cost(far, "aurc", cost="flops_balance").layout.yaxis.type == "log"
    near = table.assign(aurc=np.linspace(0.1, 0.2, len(table)))
    assert figures.pairs_by_cost(near, "aurc", cost="flops_balance").layout.yaxis.type is None
    assert figures.pairs_by_cost(far.assign(accuracy=far["aurc"]), "accuracy", cost="flops_balance").layout.yaxis.type is None


def test_hover_says_pair_value_gain_and_cost(table):
    figure = figures.pairs_by_cost(table[table["variant"] == "uq_only"], "accuracy", cost="throughput_balance")
    trace = points(figure)[0]
    text, (base, sidekick) = trace.text[0], trace.customdata[0]
    row = table[(table["base"] == base) & (table["sidekick"] == sidekick) & (table["variant"] == "uq_only")].iloc[0]
    value = SCREEN["accuracy"].text(row["accuracy"])
    for part in (f"{base} + {sidekick}", f"UQ only: Accuracy {value}", percent(row["gain"], sign=True), " time"):
        assert part in text


def test_pairs_of_unknown_cost_or_value_are_left_out_and_an_empty_chart_says_why(table):
    some = table.assign(throughput_balance=np.where(table["base"] == "large", np.nan, 0.2))
    assert {pair[0] for pair in drawn(figures.pairs_by_cost(some, "aurc", cost="throughput_balance"))} == {"middle", "small"}
    marks = Marks(base=("large", np.nan), chosen=("large", "tiny"))
    for none in (table[:0], table.assign(aurc=np.nan)):
        figure = figures.pairs_by_cost(none, "aurc", cost="flops_balance", marks=marks)
        assert not points(figure)
        assert "No pair is left to draw" in figure.layout.annotations[-1].text


def test_gains_below_twice_the_distance_are_counted_instead_of_pressing_the_others_together(table):
    far = table.assign(gain=np.append(np.linspace(-0.2, 0.3, len(table) - 2), [-16.0, -3.0]))
    figure = figures.pairs_by_cost(far, "ece", cost="flops_balance", gain=True)
    assert figure.layout.yaxis.range == (-105, 40)
    assert "2 points lie below −100 %" in figure.layout.annotations[-1].text
    assert figures.pairs_by_cost(table, "ece", cost="flops_balance", gain=True).layout.yaxis.range is None
