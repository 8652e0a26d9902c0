"""Compare, by its widgets: up to four pairs side by side, and every pair on a heat map."""

import numpy as np
import pytest
from dashboard import PAIR, query, table, text_of

from app.views.compare import BETWEEN, MOST
from duo_core.figures.comparing import curves_of_pairs, heat_map
from duo_core.figures.curves import risk_coverage
from duo_core.figures.screen import LIGHT, SCREEN
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.systems.sweep import evaluate, sweep
from duo_core.wording.sentences import label

PINS = "large + small,large + tiny"


def test_the_pair_of_the_other_pages_is_pinned_first(open_view):
    app = open_view("compare", **{"set": "toy", "split": "test"})
    (pinned,) = app.multiselect(key="pins").value
    assert pinned == app.multiselect(key="pins").options[0]  # the lowest NLL on the fit split
    assert app.multiselect(key="pins").proto.max_selections == MOST


def test_pinned_pairs_stand_side_by_side_with_their_gains(open_view, toy_store):
    app = open_view("compare", **{"set": "toy", "split": "test", "pins": PINS})
    shown = next(element.value for element in app.dataframe if "Metric" in element.value).set_index("Metric")
    assert list(shown.columns) == PINS.split(",")
    for name in PINS.split(","):
        own = evaluate(Store(toy_store).open("toy"), *name.split(BETWEEN)).metrics["duo"]
        for key in METRICS:
            assert shown.loc[label(key), name].startswith(SCREEN[key].text(own[key]))
    assert shown.loc["Compute added"].tolist() == ["+10 %", "+5.0 %"]
    assert query(app)["pins"] == PINS


def test_curves_are_those_of_the_duos(open_view, toy_store):
    app = open_view("compare", **{"set": "toy", "split": "test", "pins": PINS})
    own = Store(toy_store).open("toy")
    expected = risk_coverage({name: evaluate(own, *name.split(BETWEEN)).predictions["duo"] for name in PINS.split(",")})
    shown = table(app, "The curves as numbers")
    np.testing.assert_allclose(shown.to_numpy(), expected.table.to_numpy())
    lines = [trace for trace in curves_of_pairs(expected.table).data if trace.mode == "lines"]
    assert [trace.name for trace in lines] == PINS.split(",")
    assert len({(trace.line.color, trace.line.dash) for trace in lines}) == 2


def test_without_a_pin_the_heat_map_stands_alone(open_view):
    app = open_view("compare", **PAIR)
    app.multiselect(key="pins").set_value([]).run()
    assert not app.exception
    assert "Pin a pair" in text_of(app)
    assert [element.label for element in app.expander] == ["The heat map as numbers"]


@pytest.mark.parametrize("key", ["aurc", "accuracy"])
def test_a_heat_map_has_every_pair_once_and_blue_is_better(toy_store, key):
    rows = sweep(Store(toy_store).open("toy"), ["test"])
    (heat,) = heat_map(rows, key, ["large", "middle", "small", "tiny"]).data
    duos = rows[rows["variant"] == "duo"]
    assert np.isfinite(np.array(heat.z, dtype=float)).sum() == len(duos)
    row = duos.iloc[0]
    place = list(heat.y).index(row["base"]), list(heat.x).index(row["sidekick"])
    assert heat.text[place[0]][place[1]] == SCREEN[key].text(row[key])
    assert heat.z[place] == pytest.approx((duos[key] < row[key]).mean() + 1 / len(duos))
    assert heat.texttemplate == "%{text}"
    assert sum(text == "" for line in heat.text for text in line) == np.isnan(heat.z).sum()
    assert heat.colorbar.ticktext[0] == SCREEN[key].text(duos[key].min())
    best = [colour for _, colour in heat.colorscale][-1 if METRICS[key].higher_is_better else 0]
    assert best == LIGHT["base"]
