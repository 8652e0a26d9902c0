"""The chart of all systems: what is full, faded, counted, named and clipped, each by a second way of saying it."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duo_core.analysis.offers import COLUMNS, beside
from duo_core.figures import density, labels
from duo_core.figures.density import binned
from duo_core.figures.labels import Place, placed
from duo_core.figures.screen import LIGHT
from duo_core.figures.systems import FADED, LOOKS, MOST, REACH, Marks, systems_by_cost
from duo_core.figures.window import outside, window
from duo_core.metrics import METRICS


def system(name, kind, rule, cost, nll_fit, accuracy):
    members = tuple(name.split(" + "))
    costs = {"total_multiply_adds": cost, "total_seconds": np.nan, "total_parameters": cost / 10}
    metrics = dict.fromkeys(METRICS, 0.5) | {"accuracy": accuracy}
    row = {"name": name, "kind": kind, "rule": rule, "m": len(members), "members": members, "nll_fit": nll_fit}
    return {**row, **costs, **metrics}


BASE = system("base", "single", "fitted", 100.0, 0.50, 0.80)
DUO = system("base + small", "duo", "fitted", 120.0, 0.40, 0.85)
TRIO = system("base + small + tiny", "trio", "fitted", 125.0, 0.38, 0.86)
SMALL = system("small", "single", "fitted", 20.0, 0.60, 0.75)
BEATEN = system("huge", "single", "fitted", 400.0, 0.45, 0.83)
WEAK = system("tiny", "single", "fitted", 50.0, 2.0, 0.10)
FEW = [BASE, DUO, TRIO, SMALL, BEATEN, WEAK]


def table_of(rows):
    return beside(pd.DataFrame(rows, columns=COLUMNS), "base", "total_multiply_adds", "accuracy")


def drawn(rows, **options):
    marks = options.pop("marks", Marks(base="base"))
    return systems_by_cost(table_of(rows), "accuracy", cost="total_multiply_adds", marks=marks, **options)


def points(figure, opacity=None):
    """The members of every system that is drawn as a point, by how full it is."""
    traces = [t for t in figure.data if t.customdata is not None and (opacity is None or t.marker.opacity == opacity)]
    return {tuple(members) for trace in traces for members in trace.customdata}


def notes(figure):
    return [note.text for note in figure.layout.annotations]


def many(count, seed=0):
    """The base, and what it beats: dearer, and of higher NLL."""
    random = np.random.default_rng(seed)
    cost, nll, accuracy = (
        100 * 10 ** random.uniform(0.01, 1, count),
        random.uniform(0.5, 0.9, count),
        random.uniform(0.79, 0.9, count),
    )
    return [BASE] + [system(f"m{at}", "single", "fitted", *of) for at, of in enumerate(zip(cost, nll, accuracy, strict=True))]


# ---------------------------------------------------------------------------------------------------------- the chart


def test_the_front_is_full_and_what_it_beats_is_faded():
    figure = drawn(FEW)
    assert points(figure, 1.0) == {("base",), ("base", "small"), ("base", "small", "tiny"), ("small",)}
    assert points(figure, FADED) == {("huge",)}


def test_the_front_is_a_line_of_steps_from_cheap_to_dear():
    line = next(trace for trace in drawn(FEW).data if trace.name == "Front")
    assert list(line.x) == [0.2, 1.0, 1.2, 1.25]
    assert list(line.y) == pytest.approx([75, 80, 85, 86])
    assert line.line.shape == "hv"


def test_each_kind_has_one_shape_one_colour_and_one_legend_entry():
    figure = drawn(FEW)
    for kind in ("single", "duo", "trio"):
        shown = [trace for trace in figure.data if trace.name == kind and trace.showlegend is not False]
        looks = {(trace.marker.symbol, trace.marker.color) for trace in figure.data if trace.name == kind}
        assert len(shown) == 1
        assert looks == {(LOOKS[kind].symbol, LIGHT[LOOKS[kind].hue])}
    assert len({(look.symbol, look.hue) for look in LOOKS.values()}) == len({look.symbol for look in LOOKS.values()}) == len(LOOKS)


def test_what_is_far_worse_than_the_base_lies_outside_and_is_counted():
    figure = drawn(FEW)
    low, high = figure.layout.yaxis.range
    assert ("tiny",) not in points(figure)
    assert low < 75
    assert high > 86
    assert "1 system lies below this axis, worse than what it shows" in notes(figure)
    assert (
        drawn([*FEW, system("weaker", "single", "fitted", 60.0, 2.1, 0.05)]).layout.annotations[0].text.startswith("2 systems lie")
    )
    without = drawn([row for row in FEW if row is not WEAK])
    assert not any("this axis" in note for note in notes(without))


def test_what_is_advised_is_in_sight_however_weak():
    figure = drawn(FEW, marks=Marks(base="base", advised=("tiny", "fitted")))
    assert figure.layout.yaxis.range[0] < 10
    square = next(trace for trace in figure.data if trace.name == "Recommended within the budget")
    assert (list(square.x), list(square.y)) == ([0.5], [10])


@pytest.mark.parametrize(("budget", "lines"), [(None, [1.0]), (0.5, [1.0, 1.5])])
def test_lines_stand_at_the_base_and_at_the_budget(budget, lines):
    figure = drawn(FEW, marks=Marks(base="base", budget=budget))
    assert [shape.x0 for shape in figure.layout.shapes] == lines
    assert any(trace.name == "Budget: base +50 %" for trace in figure.data) == (budget is not None)


def test_up_to_a_limit_points_are_drawn_and_beyond_it_how_many_lie_where():
    few, more = drawn(many(MOST)), drawn(many(MOST + 1))
    assert not any(trace.name == "How many lie here" for trace in few.data)
    squares = next(trace for trace in more.data if trace.name == "How many lie here")
    counts = [int(text.rpartition("the first of ")[2].partition(" here")[0]) for text in squares.text]
    assert sum(counts) == MOST + 1
    assert len(counts) < MOST
    assert len(points(few)) == MOST + 1
    assert points(more) >= {("base",)}, "the front is drawn in any case"


def test_unknown_costs_are_not_drawn_and_nothing_at_all_is_said():
    unknown = system("lost", "single", "fitted", np.nan, 0.1, 0.99)
    assert ("lost",) not in points(drawn([*FEW, unknown]))
    table = table_of(FEW).assign(total_multiply_adds=np.nan, ratio=np.nan)
    figure = systems_by_cost(table, "accuracy", cost="total_multiply_adds")
    assert notes(figure) == ["Nothing to draw: Accuracy or the cost is unknown of every system."]
    assert not figure.data


def test_gains_stand_in_percent_of_the_way_to_perfect():
    figure = drawn(FEW, gain=True)
    line = next(trace for trace in figure.data if trace.name == "Front")
    assert list(line.y) == pytest.approx([-25, 0, 25, 30])


def test_absolute_costs_need_no_base():
    line = next(trace for trace in drawn(FEW, relative=False).data if trace.name == "Front")
    assert list(line.x) == pytest.approx([20e-9, 100e-9, 120e-9, 125e-9])


# ---------------------------------------------------------------------------------------------------------- the window


def test_a_window_leaves_outliers_out_and_what_is_kept_in():
    values = pd.Series([0.5, *np.linspace(0.9, 0.95, 20)])
    low, high = window(values, higher=True)
    assert 0.5 < low < 0.9
    assert high > 0.95
    assert window(values, higher=True, kept=[0.5])[0] < 0.5
    assert window(values, higher=True, worst=0.93)[0] == pytest.approx(0.93 - 0.06 * 0.02)


@given(st.lists(st.floats(0.1, 0.9), min_size=4, max_size=30))
def test_windows_are_mirrored_where_lower_is_better(values):
    low, high = window(pd.Series(values), higher=True)
    assert window(-pd.Series(values), higher=False) == pytest.approx((-high, -low))
    assert low < high
    assert high > max(values)


@pytest.mark.parametrize(
    ("higher", "said"),
    [
        (True, "2 rows lie below this axis, worse than what it shows"),
        (False, "1 row lies above this axis, worse than what it shows"),
    ],
)
def test_what_lies_outside_is_counted_at_the_worse_end(higher, said):
    values, ends = (pd.Series([1.0, 2.0, 5.0, 6.0]), (3.0, 7.0)) if higher else (pd.Series([5.0, 6.0, 9.0]), (3.0, 7.0))
    figure = go.Figure()
    outside(figure, values, ends, "row", higher=higher, colours=LIGHT)
    (note,) = figure.layout.annotations
    assert (note.text, note.y, list(figure.layout.yaxis.range)) == (said, 0 if higher else 1, [3.0, 7.0])


def test_where_nothing_lies_outside_nothing_is_said():
    figure = go.Figure()
    outside(figure, pd.Series([4.0, 5.0]), (3.0, 7.0), "row", higher=True, colours=LIGHT)
    assert not figure.layout.annotations


def test_the_reach_is_measured_from_the_base():
    rows = [BASE, DUO, system("near", "single", "fitted", 300.0, 0.55, 0.8 - 0.9 * REACH * 0.05),
            system("far", "single", "fitted", 300.0, 0.56, 0.8 - 1.3 * REACH * 0.05)]  # fmt: skip
    assert ("near",) in points(drawn(rows))
    assert ("far",) not in points(drawn(rows))


# ------------------------------------------------------------------------------------------------------------- squares


@given(st.integers(1, 400), st.integers(0, 5))
def test_squares_count_every_point_once_and_stand_for_the_best_of_theirs(count, seed):
    random = np.random.default_rng(seed)
    rows = pd.DataFrame({"x": 10 ** random.normal(size=count), "y": random.random(count), "nll_fit": random.random(count)})
    found = binned(rows, (0.0, 1.0))
    assert found["count"].sum() == count
    assert found["nll_fit"].min() == rows["nll_fit"].min()
    wide = np.log10(rows["x"]).max() - np.log10(rows["x"]).min()
    for square in found.to_dict("records"):
        across = np.abs(np.log10(rows["x"]) - np.log10(square["x"])) <= wide / density.COLUMNS / 2 + 1e-9
        inside = rows[across & (np.abs(rows["y"] - square["y"]) <= 0.5 / density.ROWS + 1e-9)]
        assert square["nll_fit"] == inside["nll_fit"].min()
        assert square["count"] == len(inside)
    order = found.sort_values("count")
    assert order["shade"].is_monotonic_increasing
    assert order["shade"].iloc[-1] == 1
    assert order["shade"].iloc[0] > 0.15


# --------------------------------------------------------------------------------------------------------------- names

ENDS = (0.0, 1.0), (0.0, 1.0)
spots = st.lists(st.tuples(st.floats(0.02, 0.98), st.floats(0.02, 0.98), st.integers(1, 4)), min_size=1, max_size=15)


def box(label):
    """Where a name lies, in pixels: left, bottom, right, top."""
    lines = label["text"].split("<br>")
    width, height = labels.LETTER * max(map(len, lines)), labels.LINE * len(lines)
    x, y = label["x"] * labels.WIDTH + label.get("xshift", 0), label["y"] * labels.HEIGHT + label.get("yshift", 0)
    left = x - width * {"left": 0, "center": 0.5, "right": 1}[label["xanchor"]]
    bottom = y - height * {"bottom": 0, "middle": 0.5, "top": 1}[label["yanchor"]]
    return left, bottom, left + width, bottom + height


def meet(one, other, slack=1e-6):
    return one[0] < other[2] - slack and other[0] < one[2] - slack and one[1] < other[3] - slack and other[1] < one[3] - slack


@given(spots)
def test_names_lie_over_no_other_name_no_other_point_and_within_the_chart(many):
    places = [Place(x, y, [f"model{at}-{m}" for m in range(members)]) for at, (x, y, members) in enumerate(many)]
    found = placed(places, *ENDS)
    assert len(found) <= labels.MOST
    boxes = [box(label) for label in found]
    for at, own in enumerate(boxes):
        assert own[0] >= -1e-6
        assert own[1] >= -1e-6
        assert own[2] <= labels.WIDTH + 1e-6
        assert own[3] <= labels.HEIGHT + 1e-6
        assert not any(meet(own, other) for other in boxes[:at])
        for place in places:
            if (place.x, place.y) != (found[at]["x"], found[at]["y"]):
                x, y = place.x * labels.WIDTH, place.y * labels.HEIGHT
                assert not meet(own, (x, y, x, y), 0.0)


def test_the_first_are_named_first_and_each_name_has_two_members_a_line():
    crowd = [Place(0.5, 0.5, [f"m{at}"]) for at in range(30)]
    assert [label["text"] for label in placed(crowd, *ENDS)][:2] == ["m0", "m1"]
    (label,) = placed([Place(0.5, 0.5, ["a", "b", "c"])], *ENDS)
    assert label["text"] == "a + b<br>+ c"


def test_the_chart_names_the_front_and_what_is_advised_before_the_others():
    figure = drawn(FEW, marks=Marks(base="base", advised=("small", "fitted")))
    named = [note for note in figure.layout.annotations if "axis" not in note.text]
    assert named[0].text == "small"
    assert 10 ** named[0].x == pytest.approx(0.2)
    assert {note.text for note in named} <= {"base", "small", "base + small", "base + small<br>+ tiny"}
