"""How alike?, by its widgets: every number against the logits, and every control moves what is shown and the address."""

import functools
import json
from itertools import combinations

import pytest
import torch
from dashboard import PAIR, query, table, text_of
from logit_sets import MODELS

from duo_core.logits import Card
from duo_core.logits.store import Store
from duo_core.systems.judging import fit_system

NUMBERS = "The pairs as numbers"
PAIR_OF = ("large", "small")
LARGER = {"set": "seeds", "split": "test", "base": "a0", "sidekick": "b0"}
"""An address on the set of trainings below."""


@pytest.fixture
def open_alike(open_view):
    return functools.partial(open_view, "alike")


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Three trainings of one recipe, two of another architecture, and one that learned from other data."""
    path = tmp_path_factory.mktemp("seeds")
    random = torch.Generator().manual_seed(1)
    labels = {split: torch.randint(0, 4, (240,), generator=random) for split in ("val", "test")}
    store = Store(path)
    store.prepare(
        "seeds", title="Seeds", classes=list("wxyz"), labels=labels, ids={s: [f"{s}/{i}.png" for i in range(240)] for s in labels}
    )
    known = {"recipe": "scratch", "methodology": "supervised", "data": "train"}
    cards = [Card(f"a{at}", "net/a", "python", multiply_adds=900, weights_sha256=f"a{at}", **known) for at in range(3)]
    cards += [Card(f"b{at}", "net/b", "python", multiply_adds=300, weights_sha256=f"b{at}", **known) for at in range(2)]
    cards.append(Card("c0", "net/c", "python", multiply_adds=100, **{**known, "recipe": None, "data": "the web"}))
    for at, card in enumerate(cards):
        logits = {}
        for split, truth in labels.items():
            logits[split] = torch.randn(240, 4, generator=random)
            logits[split][torch.arange(240), truth] += 2.5 - 0.2 * at
        store.write_model("seeds", card, logits)
    return path


def squares(app, name="alike"):
    """The pairs that a chart draws."""
    spec = next(element.proto.spec for element in app.get("plotly_chart") if element.proto.id.endswith(f"chart_{name}"))
    return [tuple(row) for trace in json.loads(spec)["data"] for row in trace.get("customdata") or ()]


def right(own, model, split="test"):
    return own.logits(model, split).argmax(1) == own.labels[split]


def test_the_table_says_of_every_two_models_what_their_logits_do(open_alike, toy_store):
    app, own = open_alike(**PAIR), Store(toy_store).open("toy")
    rows = table(app, NUMBERS).set_index(["first", "second"])
    assert set(rows.index) == set(combinations(MODELS, 2))
    for (first, second), row in rows.iterrows():
        one, other = right(own, first), right(own, second)
        assert row["error_inconsistency"] == pytest.approx((one != other).double().mean().item())
        assert row["accuracy_first"] == pytest.approx(one.double().mean().item())
        different = own.logits(first, "test").argmax(1) != own.logits(second, "test").argmax(1)
        assert row["disagreement"] == pytest.approx(different.double().mean().item())


def test_the_split_of_the_sidebar_is_the_one_compared_on(open_alike, toy_store):
    app, own = open_alike(**PAIR | {"split": "shift"}), Store(toy_store).open("toy")
    rows = table(app, NUMBERS).set_index(["first", "second"])
    one, other = right(own, "large", "shift"), right(own, "tiny", "shift")
    assert rows.loc[("large", "tiny"), "error_inconsistency"] == pytest.approx((one != other).double().mean().item())


def test_what_each_of_the_two_alone_gets_right_is_counted_and_shown(open_alike, toy_store):
    app, own = open_alike(**PAIR), Store(toy_store).open("toy")
    one, other = right(own, "large"), right(own, "small")
    first, second = int((one & ~other).sum()), int((other & ~one).sum())
    assert f"Of 300 images, **{first}** are right with large only and **{second}** with small only." in text_of(app)
    shown = {said.value: rows.value for said, rows in zip(alone_said(app), images(app), strict=True)}
    assert list(shown) == [
        f"**Only {name} is right**; first the images where it is surest compared with the other:" for name in ("large", "small")
    ]
    for name, rows in zip(("large", "small"), shown.values(), strict=True):
        mistaken = "small" if name == "large" else "large"
        assert (rows[f"{name} says"] == rows["Label"]).all()
        assert (rows[f"{mistaken} says"] != rows["Label"]).all()


def test_images_that_one_alone_gets_right_begin_with_those_of_which_it_is_surest_beside_the_other(open_alike, toy_store):
    app, own = open_alike(**PAIR), Store(toy_store).open("toy")
    sure = {
        name: (own.logits(name, "test").double() * fit_system(own, [name]).calibration[0]).softmax(1).amax(1) for name in PAIR_OF
    }
    angles = torch.atan2(sure["large"], sure["small"])
    for rows, way in zip(images(app), (1, -1), strict=True):
        shown = way * angles[rows.value["Image"].to_list()]
        assert (shown.diff() <= 1e-9).all()
        alone = right(own, PAIR_OF[way < 0]) & ~right(own, PAIR_OF[way > 0])
        assert shown[0] == pytest.approx((way * angles)[alone].max().item())


def alone_said(app):
    return [text for text in app.markdown if text.value.startswith("**Only ")]


def images(app):
    return [frame for frame in app.dataframe if "Label" in frame.value]


def test_another_pair_of_the_sidebar_is_another_two(open_alike, toy_store):
    app, own = open_alike(**PAIR | {"sidekick": "tiny"}), Store(toy_store).open("toy")
    one, other = right(own, "large"), right(own, "tiny")
    assert (
        f"**{int((one & ~other).sum())}** are right with large only and **{int((other & ~one).sum())}** with tiny only"
        in text_of(app)
    )


@pytest.mark.parametrize(("measure", "said"), [("kappa", "of kappa with"), ("jensen_shannon", "of Jensen-Shannon with")])
def test_the_measure_moves_the_sentence_and_the_address(open_alike, seeds, measure, said):
    app = open_alike(seeds, **LARGER)
    assert "Over 15 pairs, the rank correlation of error inconsistency with" in text_of(app)
    app.button_group(key="measure").set_value(measure).run()
    assert not app.exception
    assert query(app)["measure"] == measure
    assert f"Over 15 pairs, the rank correlation {said}" in text_of(app)
    assert "Among pairs of the same accuracy gap (partial correlation)" in text_of(app)


def test_few_pairs_say_nothing_of_what_goes_with_what(open_alike):
    assert "6 pairs are too few" in text_of(open_alike(**PAIR)).lower()


def test_a_category_of_pairs_is_drawn_alone(open_alike, seeds):
    app = open_alike(seeds, **LARGER)
    assert len(squares(app)) == 15
    assert set(app.button_group(key="pairs").options) == {"All pairs", "Other seed", "Other architecture", "Other method or data"}
    app.button_group(key="pairs").set_value("other seed").run()
    assert not app.exception
    assert query(app)["pairs"] == "other seed"
    assert {frozenset(pair) for pair in squares(app)} == {
        frozenset(p) for p in [("a0", "a1"), ("a0", "a2"), ("a1", "a2"), ("b0", "b1")]
    }
    assert len(table(app, NUMBERS)) == 15


def test_one_category_of_pairs_is_no_choice(open_alike):
    app = open_alike(**PAIR)
    assert "As far as the set says, all pairs differ in the same way: other architecture." in text_of(app)
    assert not [group for group in app.button_group if group.key == "pairs"]


def test_which_gain_is_drawn_is_in_the_address(open_alike, seeds):
    app = open_alike(seeds, **LARGER)
    heights = y_of(app)
    app.button_group(key="gained").set_value("gain_over_mean").run()
    assert not app.exception
    assert query(app)["gained"] == "gain_over_mean"
    assert y_of(app) != heights
    rows = table(app, NUMBERS)
    assert len(y_of(app)) == rows["gain_over_mean"].notna().sum()


def y_of(app):
    """How many points the chart of gains draws, and where."""
    spec = next(element.proto.spec for element in app.get("plotly_chart") if element.proto.id.endswith("chart_alike_gains"))
    traces = [trace for trace in json.loads(spec)["data"] if trace.get("customdata")]
    return [
        str(value)
        for trace in traces
        for value in (trace["y"] if isinstance(trace["y"], list) else [trace["y"]] * len(trace["customdata"]))
    ]


def test_an_address_opens_its_view_and_what_is_invalid_falls_back(open_alike, seeds):
    own = {"measure": "kappa", "gained": "gain_over_mean", "pairs": "other seed"}
    app = open_alike(seeds, **LARGER, **own)
    assert query(app) == LARGER | own
    assert not open_alike(seeds, **LARGER, **dict.fromkeys(own, "x")).exception


def test_it_never_says_that_different_is_better_without_the_gap(open_alike, seeds):
    """What is said of the better member is said of equally large gaps, and colour is the gap."""
    said = text_of(open_alike(seeds, **LARGER))
    assert "compare points of one colour" in said
    for line in said.splitlines():
        if "models that differ more gain" in line:
            assert "Among pairs of the same accuracy gap" in line


def test_images_go_by_their_ids(open_alike, seeds):
    shown = images(open_alike(seeds, **LARGER))
    assert shown[0].value["Image"].str.fullmatch(r"test/\d+\.png").all()
