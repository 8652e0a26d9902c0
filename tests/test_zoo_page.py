"""Zoo, by its widgets: every model of a set alone."""

import numpy as np
import pytest
from dashboard import open_page, query, text_of
from logit_sets import MODELS, write_set

from app.views.zoo import SHARES
from duo_core.logits import Card
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.systems.fitting import calibrate
from duo_core.systems.sweep import evaluate

SPEEDS = {"large": 50.0, "middle": 150.0, "small": 480.0, "tiny": 1000.0}


def write_cards(path, cards):
    """A toy set whose models have these facts on their cards."""
    store = Store(write_set(path))
    own = store.open("toy")
    for model, facts in cards.items():
        logits = {split: own.logits(model, split) for split in own.labels}
        (path / "toy" / f"{model}.safetensors").unlink()
        store.write_model("toy", Card(name=model, model=f"toy/{model}", source="python", **facts), logits)
    return path


def facts(device="a chip", family="Toy", **known):
    return {"device": device, "family": family, "images_per_second": 100.0, "multiply_adds": 10, "parameters": 20} | known


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    cards = {
        model: facts(images_per_second=SPEEDS[model], multiply_adds=MODELS[model][1], weights_sha256="0" * 64) for model in MODELS
    }
    return write_cards(tmp_path_factory.mktemp("timed"), cards)


@pytest.fixture
def open_zoo(monkeypatch):
    def opened(store, **query):
        monkeypatch.setenv("DUO_STORE", str(store))
        return open_page("zoo", **query)

    return opened


def models(app):
    """The table of models, which is the last."""
    return app.dataframe[-1].value.set_index("model")


def test_every_model_stands_with_its_calibration_metrics_and_card(open_zoo, timed):
    table = models(open_zoo(timed))
    own = Store(timed).open("toy")
    assert list(table.index) == ["large", "middle", "small", "tiny"]
    for model in table.index:
        alone = evaluate(own, model, next(other for other in own.models() if other != model)).metrics["base"]
        for key in ("accuracy", "nll", "ece"):
            shown = table.loc[model, key] / (100 if key in SHARES else 1)
            assert shown == pytest.approx(alone[key], abs=1e-12)
        assert table.loc[model, "temperature"] == pytest.approx(calibrate(own.logits(model, "val"), own.labels["val"]).temperature)
    assert table.loc["tiny", "images_per_second"] == 1000
    assert table.loc["tiny", "weights_sha256"] == "0" * 64


def test_the_split_is_the_one_that_is_judged(open_zoo, timed):
    app = open_zoo(timed)
    before = models(app)["accuracy"]
    app.selectbox(key="split").set_value("shift").run()
    assert not app.exception
    assert (models(app)["accuracy"] < before).all()
    assert query(app) == {"set": "toy", "split": "shift"}


def test_every_metric_and_both_sizes_draw(open_zoo, timed):
    app = open_zoo(timed)
    app.button_group(key="size").set_value("parameters").run()
    for key in METRICS:
        app.selectbox(key="quality").set_value(key).run()
        assert not app.exception
        assert query(app).get("quality", "accuracy") == key
        assert query(app)["size"] == "parameters"
        assert list(app.expander[0].dataframe[0].value.columns) == ["model", "family", "parameters", key]


def test_an_address_opens_its_view(open_zoo, timed):
    there = {"set": "toy", "split": "shift", "size": "parameters", "quality": "ece"}
    app = open_zoo(timed, **there)
    assert query(app) == there
    assert app.selectbox(key="quality").value == "ece"


def test_the_line_says_how_well_multiply_adds_tell_the_speed(open_zoo, timed):
    text = text_of(open_zoo(timed))
    assert "On a chip." in text
    assert "With twice the multiply-adds a model is 2.0 times as slow" in text
    x, y = np.log([MODELS[model][1] for model in SPEEDS]), np.log(list(SPEEDS.values()))
    assert f"(R² {np.corrcoef(x, y)[0, 1] ** 2:.3f}, both on logarithmic scales)" in text


def test_only_models_of_one_device_are_compared(open_zoo, tmp_path):
    cards = {model: facts(multiply_adds=MODELS[model][1]) for model in MODELS} | {"tiny": facts("another chip")}
    app = open_zoo(write_cards(tmp_path, cards))
    assert "1 model, measured elsewhere, is left out." in text_of(app)
    assert "tiny" not in set(app.expander[1].dataframe[0].value["model"])


def test_models_of_one_size_have_no_line(open_zoo, tmp_path):
    app = open_zoo(write_cards(tmp_path, {model: facts() for model in MODELS}))
    assert "To fit a line takes two models of different size." in text_of(app)


def test_unknown_costs_are_said(open_zoo, tmp_path):
    app = open_zoo(write_set(tmp_path, costs=False))
    assert "does not say how large its models are" in app.info[0].value
    assert "does not say both how fast" in app.info[1].value
    assert len(models(app)) == 4


def test_one_model_is_enough(open_zoo, tmp_path):
    app = open_zoo(write_set(tmp_path, models=("large",)))
    assert list(models(app).index) == ["large"]


def test_a_set_without_models_says_so(open_zoo, tmp_path):
    app = open_zoo(write_set(tmp_path, models=()))
    assert "No model of **The toy set** has logits of `test`." in text_of(app)


def test_a_broken_model_is_named_and_the_others_stay(open_zoo, tmp_path):
    file = write_set(tmp_path) / "toy" / "small.safetensors"
    file.write_bytes(file.read_bytes()[:-40])
    app = open_zoo(tmp_path)
    assert "1 model is left out" in app.warning[0].value
    assert "small" not in models(app).index
