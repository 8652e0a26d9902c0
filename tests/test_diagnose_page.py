"""Diagnose, by its widgets: every part against the core's own numbers, every empty state."""

import base64
import doctest
import io
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from dashboard import PAIR, query, table, text_of
from logit_sets import write_set
from pictures import folder, picture
from PIL import Image

from app import state
from app.state import diagnosis, pictures
from app.state.caches import CACHE
from app.views import diagnose
from duo_core.analysis.diagnosis import exchange, gain_by_class, mean_gap, rank_moves
from duo_core.images import Corruption
from duo_core.logits import Card
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import differences, drawn
from duo_core.systems.sweep import evaluate
from duo_core.wording import telling


@pytest.fixture
def open_diagnose(open_view):
    def opened(part=None, *store, **query):
        return open_view("diagnose", *store, **query | ({"part": part} if part else {}))

    return opened


def moves(app):
    return next(d.value for d in app.dataframe if "Move" in d.value)


def test_the_title_and_the_table_count_who_is_right(open_diagnose, found):
    app = open_diagnose(**PAIR)
    counted = exchange(found.predictions["base"], found.predictions["duo"])
    assert app.title[0].value == f"The duo rescues {counted.rescued} image{'s' * (counted.rescued > 1)} and harms {counted.harmed}"
    cells = app.table[0].value
    assert cells.loc["**Base wrong**", "Duo right"] == f"**{counted.rescued}** rescued"
    assert cells.loc["**Base right**", "Duo wrong"] == f"**{counted.harmed}** harmed"
    assert cells.loc["**Base right**", "Duo right"] == f"{counted.both_right} both right"


def test_the_gain_carries_its_interval_and_a_verdict(open_diagnose, found):
    gain = differences(found.predictions["duo"], found.predictions["base"])["accuracy"]
    text = text_of(open_diagnose(**PAIR))
    said = f"Accuracy {100 * gain.estimate:+.2f} pp, 95 % interval {100 * gain.low:+.2f} to {100 * gain.high:+.2f}: **"
    assert said.replace("-", "−") in text
    assert ("**significantly " in text.partition("95 % interval")[2][:60]) == gain.stands
    assert "2,000 times (seed 0)" in text


def test_reliability_is_before_and_after(open_diagnose, found):
    bins = table(open_diagnose(**PAIR), "The bins as numbers")
    assert list(bins["system"].unique()) == ["Base, uncalibrated", "Base", "Duo"]
    for name, key in (("Base", "base"), ("Duo", "duo")):
        assert mean_gap(bins[bins["system"] == name]) == pytest.approx(found.metrics[key]["ece"])
    logits = found.logit_set.logits("large", "test").double()
    raw = bins[bins["system"] == "Base, uncalibrated"]
    assert (raw["confidence"] * raw["images"]).sum() == pytest.approx(logits.softmax(1).amax(1).sum().item())


def test_the_histogram_switches_between_wrong_and_right(open_diagnose):
    app = open_diagnose(**PAIR)
    app.button_group(key="histogram").set_value("right").run()
    assert not app.exception
    assert query(app)["histogram"] == "right"


def test_the_images_that_move_most_stand_first(open_diagnose, found):
    expected = rank_moves(found.predictions["base"], found.predictions["duo"])
    shown = moves(open_diagnose("images", **PAIR))
    assert len(shown) == 20
    assert shown["Move"].to_list() == expected["move"].head(20).to_list()
    assert shown["Image"].to_list() == expected["row"].head(20).to_list()
    assert shown["Label"].to_list() == [f"class {c}" for c in expected["label"].head(20)]
    assert shown["Duo sure"].to_list() == pytest.approx((expected["duo_confidence"].head(20) * 100).to_list())


@pytest.mark.parametrize("outcome", ["rescued", "harmed", "both_right", "both_wrong"])
def test_moves_can_be_kept_to_one_outcome(open_diagnose, found, outcome):
    app = open_diagnose("images", **PAIR)
    app.button_group(key="outcome").set_value(outcome).run()
    assert not app.exception
    expected = rank_moves(found.predictions["base"], found.predictions["duo"]).query("outcome == @outcome")
    assert moves(app)["Move"].to_list() == expected["move"].head(20).to_list()
    assert query(app)["outcome"] == outcome


def test_a_set_without_names_of_images_has_no_pictures(open_diagnose):
    app = open_diagnose("images", **PAIR)
    assert "No pictures of test are at hand." in text_of(app)
    assert not app.text_input


@pytest.mark.parametrize("score", ["accuracy", "f1"])
def test_classes_stand_in_the_order_of_their_gain(open_diagnose, found, score):
    app = open_diagnose("classes", **PAIR, class_score=score)
    expected = gain_by_class(found.predictions["base"], found.predictions["duo"], 5, score)
    assert table(app, "The classes as numbers")["gain"].to_list() == pytest.approx(expected["gain"].to_list())
    assert f"Of 5 classes the duo is better in **{(expected['gain'] > 0).sum()}**" in text_of(app)
    app.button_group(key="class_score").set_value("f1" if score == "accuracy" else "accuracy").run()
    assert not app.exception


def test_classes_with_few_images_are_not_drawn_and_that_is_said(open_diagnose, tmp_path):
    app = open_diagnose("classes", write_set(tmp_path, n=60, k=40))
    assert "Every class has fewer than 10 images of test" in text_of(app)
    assert len(table(app, "The classes as numbers")) == 40


def test_many_classes_are_shown_from_both_ends(open_diagnose, tmp_path):
    app = open_diagnose("classes", write_set(tmp_path, n=900, k=30, models=("large", "small")))
    assert "The 12 that gain most and least; 6 of 30 classes are not drawn." in text_of(app)
    assert "Of 24 classes the duo is better in" in text_of(app)


def test_every_split_stands_beside_the_others(open_diagnose, toy_store, found):
    app = open_diagnose("splits", **PAIR)
    splits = table(app, "The splits as numbers").set_index(["metric", "split"])
    shifted = evaluate(Store(toy_store).open("toy"), "large", "small", "shift")
    for split, own in (("test", found), ("shift", shifted)):
        gains = differences(own.predictions["duo"], own.predictions["base"])
        for key in METRICS:
            assert splits.loc[(key, split), "duo"] == pytest.approx(own.metrics["duo"][key])
            low = splits.loc[(key, split), "low"]
            assert np.isnan(low) if key == "ece" else low == pytest.approx(gains[key].low)
    matrix = next(d.value for d in app.dataframe if list(d.value.columns) == ["Metric", "test", "shift"])
    assert len(matrix) == len(METRICS)
    assert "→" in matrix.loc[0, "shift"]


def test_one_split_says_how_to_add_another(open_diagnose, tmp_path):
    text = text_of(open_diagnose("splits", write_set(tmp_path, splits=("val", "test"))))
    assert "This set has only one split to judge on" in text
    assert "--corrupt" in text


def test_both_scores_are_compared_whichever_is_chosen(open_diagnose, found):
    for kind in ("softmax", "entropy"):
        app = open_diagnose("scores", **PAIR, uncertainty=kind)
        scores = table(app, "The scores as numbers").set_index(["metric", "variant"])
        assert scores.loc[("aurc", "duo"), "softmax"] == pytest.approx(found.metrics["duo"]["aurc"])
        assert list(scores.loc["aurc"].index) == ["base", "unweighted", "uq_only", "duo"]
        assert "The duo, with images ranked by entropy instead of 1 − max softmax: AUROC" in text_of(app)


@pytest.mark.parametrize("key", METRICS)
def test_every_metric_draws(open_diagnose, key):
    app = open_diagnose("splits", **PAIR)
    app.selectbox(key="metric").set_value(key).run()
    assert not app.exception


def test_a_duo_that_is_always_right_draws_and_says_what_is_undefined(open_diagnose, tmp_path):
    labels = {split: torch.arange(60) % 3 for split in ("val", "test")}
    store = Store(tmp_path)
    store.prepare("sure", title="Sure", classes=["a", "b", "c"], labels=labels)
    for place, model in enumerate(("one", "two")):
        logits = {split: torch.nn.functional.one_hot(y, 3).float() * (3 + place) for split, y in labels.items()}
        store.write_model("sure", Card(name=model, model=model, source="python", multiply_adds=10 - place), logits)
    app = open_diagnose("images", tmp_path)
    assert app.title[0].value == "The duo is right and wrong on the same images as the base"
    app.button_group(key="outcome").set_value("rescued").run()
    assert not app.exception
    assert "No image of test is of this kind." in text_of(app)


def test_the_draws_of_a_base_serve_all_its_sidekicks(tmp_path, monkeypatch):
    monkeypatch.setenv("DUO_STORE", str(write_set(tmp_path)))
    handle, systems = state.open_set("toy"), []
    monkeypatch.setattr(diagnosis, "drawn", lambda of, **options: systems.append(len(of)) or drawn(of, **options))
    for sidekick in ("middle", "tiny", "middle"):
        found = state.evaluation(handle, "large", sidekick, "test", "softmax")
        state.begin_gains(handle, found, "softmax", ("aurc", "nll"))
        expected = differences(found.predictions["duo"], found.predictions["base"], keys=("aurc", "nll"))
        assert state.gains(handle, found, "softmax", ("aurc", "nll")) == expected
    assert systems == [2, 1]


def test_sessions_with_one_base_have_each_their_own_gains(tmp_path, monkeypatch):
    """The second asks while the draws of the first, the base's among them, are still under way."""
    monkeypatch.setenv("DUO_STORE", str(write_set(tmp_path)))
    CACHE.clear()
    handle, may_end = state.open_set("toy"), threading.Event()

    def slow(systems, keys):
        assert may_end.wait(60)
        return drawn(systems, keys=keys)

    monkeypatch.setattr(diagnosis, "drawn", slow)
    pairs = [evaluate(handle.logit_set, "large", sidekick) for sidekick in ("small", "middle")]
    for found in pairs:
        state.begin_gains(handle, found, "softmax", ("aurc",))
    may_end.set()
    for found in pairs:
        expected = differences(found.predictions["duo"], found.predictions["base"], keys=("aurc",))
        assert state.gains(handle, found, "softmax", ("aurc",)) == expected


@pytest.fixture
def with_images(tmp_path):
    """A set of pictures that exist where it says, whose last split is the test images after a corruption."""
    source = folder(tmp_path / "images", {"a": 20, "b": 20})
    ids = [f"{name}/{number}.png" for name in ("a", "b") for number in range(20)]
    names = {"val": ids[:10], "test": ids[10:], "noisy": ids[10:]}
    random = torch.Generator().manual_seed(0)
    store = Store(tmp_path / "store")
    labels = {split: torch.tensor([int(name[0] == "b") for name in own]) for split, own in names.items()}
    how = {"noisy": "test after gaussian_noise:3"}
    store.prepare("seen", title="Seen", classes=["a", "b"], labels=labels, ids=names, source=source, details={"how": how})
    for model in ("one", "two"):
        logits = {split: torch.randn(len(own), 2, generator=random) for split, own in names.items()}
        store.write_model("seen", Card(name=model, model=model, source="python"), logits)
    return tmp_path / "store", source, ids[10:]


def seen(address):
    assert address.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


@pytest.mark.parametrize("split", ["test", "noisy"])
def test_pictures_are_those_of_the_rows_as_the_models_saw_them(open_diagnose, with_images, monkeypatch, split):
    store, source, _ = with_images
    monkeypatch.setenv("DUO_IMAGES", f"/nowhere:{source}")
    app = open_diagnose("images", store, split=split)
    shown = moves(app)
    assert "No pictures" not in text_of(app)
    for address, name in zip(shown["Picture"], shown["Image"], strict=True):
        seed = (0 if name[0] == "a" else 1000) + int(name.partition("/")[2].removesuffix(".png"))
        original = picture(seed)
        wanted = Corruption("gaussian_noise", 3)(original, name) if split == "noisy" else original
        enlarged = wanted.resize((pictures.PIXELS, pictures.PIXELS), Image.Resampling.NEAREST)
        assert seen(address).tobytes() == enlarged.tobytes()


def test_a_source_without_the_images_gives_no_pictures(open_diagnose, with_images, monkeypatch, tmp_path):
    monkeypatch.setenv("DUO_IMAGES", folder(tmp_path / "others", {"z": 3}))
    assert "Picture" not in moves(open_diagnose("images", with_images[0]))


def named(app, path):
    app.text_input(key="images_folder").set_value(str(path)).run()
    assert not app.exception
    return app


def test_a_folder_that_is_named_on_the_page_has_the_pictures(open_diagnose, with_images):
    store, source, _ = with_images
    app = open_diagnose("images", store)
    assert "Picture" not in moves(app)
    assert all(address.startswith("data:image/png") for address in moves(named(app, source))["Picture"])
    assert not app.warning


def test_a_folder_that_has_none_of_the_images_is_said_to(open_diagnose, with_images, tmp_path):
    app = named(open_diagnose("images", with_images[0]), folder(tmp_path / "others", {"z": 3}))
    assert "expected images of test by their names in the set" in app.warning[0].value
    assert "which this machine does not have" in named(app, tmp_path / "no*where*").warning[0].value
    assert "no*where*" not in app.warning[0].value, "it is no markup"


def test_photographs_beside_a_set_are_shown_and_credited_and_the_others_are_left_blank(open_diagnose, with_images):
    store, source, ids = with_images
    (store / "seen" / "photographs" / "a").mkdir(parents=True)
    for name in ids[:2]:
        shutil.copy(Path(source, name), store / "seen" / "photographs" / name)
    (store / "seen" / "attribution.csv").write_text(f"file,author,page\n{ids[0]},Ann *One*,x\n{ids[5]},Bob,x\n{ids[1]}\n")
    app = open_diagnose("images", store)
    shown = moves(app).set_index("Image")["Picture"]
    assert [name for name, address in shown.items() if address] == [name for name in shown.index if name in ids[:2]]
    assert "Photographs by Ann" in text_of(app)
    assert "Bob" not in text_of(app), "of whom nothing is shown"


def test_a_broken_picture_costs_only_itself(open_diagnose, with_images, monkeypatch):
    store, source, ids = with_images
    broken = ids[0]
    Path(source, broken).write_bytes(b"no image")
    monkeypatch.setenv("DUO_IMAGES", source)
    shown = moves(open_diagnose("images", store)).set_index("Image")["Picture"]
    everything = shown[shown.index != broken]
    assert all(address.startswith("data:image/png") for address in everything)
    assert shown.get(broken, "") == ""


def test_every_question_opens_its_part_and_stands_in_the_address(open_diagnose):
    app = open_diagnose(**PAIR)
    for part in diagnose.PARTS:
        app.button_group(key="part").set_value(part).run()
        assert not app.exception
        assert query(app).get("part", "calibration") == part
        assert app.title[0].value.startswith("The duo rescues")
        assert [e.label for e in app.expander] or part == "images"


def test_sentences_are_as_their_examples_say():
    found = doctest.testmod(telling)
    assert found.attempted
    assert found.failed == 0
