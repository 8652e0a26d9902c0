"""The bowl, the ratios of all pairs and the refits as drawn."""

import numpy as np
import pandas as pd
import pytest
import torch

from duo_core.analysis.bowl import Bowl
from duo_core.figures import fitting
from duo_core.figures.bowl import nll_bowl
from duo_core.figures.screen import COSTS, LIGHT, metric_title
from duo_core.systems.duo import Temperatures

AXIS = np.linspace(0, 2, 21)
BEST = Temperatures(1.0, 0.5)
MARKS = {"duo": (BEST, 0.3), "base": (Temperatures(1.5, 0.0), 0.5), "unweighted": (Temperatures(0.75, 1.0), 0.4)}


@pytest.fixture
def surface():
    x, y = np.meshgrid(AXIS, AXIS / 2)
    return Bowl(AXIS, AXIS / 2, 0.3 + (x - 1) ** 2 + 4 * (y - 0.5) ** 2, 500)


def named(figure, name):
    return next(trace for trace in figure.data if trace.name == name)


def notes(figure):
    return [note.text for note in figure.layout.annotations]


def test_the_bowl_has_rings_around_the_lowest_nll(surface):
    figure = nll_bowl(surface, MARKS)
    rings = figure.data[0]
    assert rings.type == "contour"
    np.testing.assert_allclose(rings.z, np.sqrt(surface.nll - 0.3), atol=1e-5)
    # Four times the worst mark's excess is in reach: what is far above all marks has one shade.
    assert rings.contours.end == pytest.approx(np.sqrt(0.8))
    texts = dict(zip(rings.colorbar.ticktext, rings.colorbar.tickvals, strict=True))
    assert all(place == pytest.approx(np.sqrt(float(text))) for text, place in texts.items())


def test_every_second_grid_point_can_be_clicked_and_says_its_nll(surface):
    grid = next(trace for trace in nll_bowl(surface, MARKS).data[1:] if trace.marker.opacity == 0)
    assert len(grid.x) == surface.nll[::2, ::2].size
    for x, y, nll in list(zip(grid.x, grid.y, grid.customdata, strict=True))[::37]:
        assert nll == pytest.approx(0.3 + (x - 1) ** 2 + 4 * (y - 0.5) ** 2, abs=1e-5)


def test_marks_stand_where_the_variants_are_and_differ_in_symbol(surface):
    figure = nll_bowl(surface, MARKS, sliders=Temperatures(0.4, 0.6))
    assert (named(figure, "Duo, fitted").x[0], named(figure, "Duo, fitted").y[0]) == BEST
    assert (named(figure, "Base alone").x[0], named(figure, "Base alone").y[0]) == (1.5, 0.0)
    assert (named(figure, "Sliders").x[0], named(figure, "Sliders").y[0]) == (0.4, 0.6)
    assert "NLL 0.5000 nats" in named(figure, "Base alone").hovertemplate
    symbols = [trace.marker.symbol for trace in figure.data if trace.showlegend is not False and trace.type == "scatter"]
    assert len(set(symbols)) == len(symbols) == 4


def test_the_bowls_axes_name_the_models_and_show_all_marks(surface):
    figure = nll_bowl(surface, MARKS, names=("large", "small"))
    assert figure.layout.xaxis.title.text == "T_base · large"
    assert figure.layout.yaxis.title.text == "T_sidekick · small"
    assert figure.layout.xaxis.range[0] < 0
    assert figure.layout.xaxis.range[1] > 2


def test_a_flat_bowl_is_drawn():
    flat = Bowl(AXIS, AXIS, np.full((21, 21), 0.7), 10)
    assert nll_bowl(flat, {"duo": (BEST, 0.7)}).data[0].contours.end > 0


@pytest.fixture
def pairs():
    rows = [("a", "b", 0.5, 2.0), ("a", "c", 0.1, 30.0), ("b", "c", 0.2, 0.5), ("b", "d", 0.05, np.nan)]
    table = pd.DataFrame(rows, columns=["base", "sidekick", "flops_balance", "T_ratio"])
    return pd.concat([table.assign(variant=variant) for variant in ("duo", "unweighted")], ignore_index=True)


def test_all_pairs_are_drawn_once_those_of_the_base_apart(pairs):
    figure = fitting.all_ratios(pairs, base="a", sidekick="c")
    assert [list(pair) for pair in named(figure, "With a").customdata] == [["a", "b"], ["a", "c"]]
    assert [list(pair) for pair in named(figure, "Other bases").customdata] == [["b", "c"]]
    assert list(named(figure, "With a").y) == [2.0, 30.0]
    assert np.allclose(named(figure, "With a").x, [50, 10])
    assert (named(figure, "This pair").x[0], named(figure, "This pair").y[0]) == (10, 30.0)
    assert named(figure, "With a").marker.symbol != named(figure, "Other bases").marker.symbol
    assert figure.layout.xaxis.title.text == COSTS["flops_balance"]


def test_ratios_over_a_decade_are_logarithmic_with_one_in_sight(pairs):
    axis = fitting.all_ratios(pairs, base="a", sidekick="c").layout.yaxis
    assert axis.type == "log"
    assert axis.range[0] < np.log10(0.5) < 0 < np.log10(30) < axis.range[1]
    close = pairs.assign(T_ratio=[1.5, 2.0, 1.2, np.nan] * 2)
    assert fitting.all_ratios(close, base="a", sidekick="c").layout.yaxis.type is None


def test_no_ratio_says_why_the_chart_is_empty(pairs):
    figure = fitting.all_ratios(pairs.assign(T_ratio=np.nan), base="a", sidekick="c")
    assert "there is no ratio to draw" in notes(figure)[-1]


@pytest.fixture
def refits():
    sizes = [25] * 4 + [50] * 4 + [90]
    table = pd.DataFrame({"size": sizes, "T_base": [1, 2, 3, 40, 2, 2.1, 2.2, 2.3, 2.0]}, dtype=float)
    table["T_sidekick"], table["nll"] = table["T_base"] / 2, table["T_base"] / 10
    return table.astype({"size": int})


def test_refits_are_points_their_medians_a_line(refits):
    figure = fitting.metric_by_size(refits, "nll", base=0.5)
    line = named(figure, "Duo")
    assert list(line.x) == [25, 50]
    assert list(line.y) == pytest.approx([0.25, 0.215])
    points = figure.data[list(figure.data).index(line) - 1]
    assert len(points.x) == 8
    whole = figure.data[-1]
    assert (whole.x[0], whole.y[0]) == (90, 0.2)
    assert figure.layout.xaxis.title.text == "Images to fit on"
    assert figure.layout.yaxis.title.text == metric_title("nll")
    assert figure.layout.shapes[0].y0 == 0.5


def test_a_wild_refit_does_not_stretch_the_axis_and_is_counted(refits):
    figure = fitting.metric_by_size(refits, "nll", base=0.5)
    assert figure.layout.yaxis.range[1] < 1
    assert figure.layout.yaxis.range[0] < 0.1
    assert notes(figure) == ["1 of 8 duos lie outside this axis"]
    assert notes(fitting.metric_by_size(refits[refits["T_base"] < 40], "nll", base=0.5)) == []


def test_metrics_are_shown_with_their_factor(refits):
    figure = fitting.metric_by_size(refits.assign(accuracy=0.9), "accuracy", base=0.8)
    assert figure.data[-1].y[0] == 90
    assert figure.layout.shapes[0].y0 == 80


def test_both_temperatures_are_told_apart_without_colour(refits):
    figure = fitting.temperatures_by_size(refits, colours=LIGHT)
    base, sidekick = named(figure, "T_base"), named(figure, "T_sidekick")
    assert base.line.dash != sidekick.line.dash
    assert base.marker.symbol != sidekick.marker.symbol
    assert list(sidekick.y) == pytest.approx([1.25, 1.075])
    assert list(figure.layout.xaxis.ticktext) == ["25", "50", "90"]
    assert "larger has more say" in figure.layout.yaxis.title.text


def test_a_real_bowl_and_its_refits_draw():
    from duo_core.analysis.bowl import bowl
    from duo_core.analysis.stability import stability
    from duo_core.systems.fitting import fit

    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (60,), generator=random)
    base, sidekick = (torch.randn(60, 3, generator=random) + 2 * torch.eye(3)[labels] for _ in range(2))
    found = fit(base, sidekick, labels)
    surface = bowl(base, sidekick, labels, found)
    figure = nll_bowl(surface, {"duo": (found.temperatures, found.nll["duo"])})
    assert figure.data[0].z.min() >= 0
    table = stability((base, sidekick, labels), (base, sidekick, labels), found, repeats=3)
    for drawn in (fitting.temperatures_by_size(table), fitting.metric_by_size(table, "aurc", base=0.1)):
        assert drawn.to_json()
