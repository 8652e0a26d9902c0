"""Models that are right about as often as chance, or more often in another order of the classes."""

import pytest
import torch
from pictures import encoded, picture
from PIL import Image
from tiny import AS_IS, model

from duo_core.images import open_source
from duo_core.images.corruptions import Corruption
from duo_core.images.splits import splits
from duo_core.inference import compute
from duo_core.inference.doubts import doubts
from duo_core.logits.store import Store

CLASSES = [f"c{number}" for number in range(1, 13)]


class Shades(torch.nn.Module):
    """Answers the place that a shade has in the order that it was trained with."""

    def __init__(self, order):
        super().__init__()
        self.order = torch.tensor(order)

    def forward(self, images):
        shade = torch.round((images.mean((1, 2, 3)) * 0.5 + 0.5) * 255 / 20).long().clamp(0, len(self.order) - 1)
        return torch.nn.functional.one_hot(self.order[shade], len(self.order)).float()


@pytest.fixture
def shades(tmp_path):
    """Class c1 is the darkest, c12 the brightest."""
    for place, name in enumerate(CLASSES):
        (tmp_path / "x" / name).mkdir(parents=True)
        for number in range(6):
            (tmp_path / "x" / name / f"{number}.png").write_bytes(encoded(Image.new("RGB", (8, 8), (20 * place,) * 3)))
    return str(tmp_path / "x")


def said(shades, tmp_path, order, class_index="auto", corrupt=None):
    made = splits({"test": open_source(shades, class_index)}, fit=24, corrupt=corrupt)
    trained = [sorted(CLASSES, key=order).index(name) for name in CLASSES]
    store = Store(tmp_path / class_index)
    compute([model("net", 12, module=Shades(trained))], made, store, "s", device="cpu", workers=0)
    return doubts(store.open("s"), ["net"], made)


def test_a_model_trained_in_another_order_is_named_with_the_order(shades, tmp_path):
    (sentence,) = said(shades, tmp_path, str)
    assert sentence == (
        "'net' is right on 8.3% of the 72 images, 8.3% is chance; with the classes in text order it is right on 100.0%: if it was "
        "trained so, compute it into a new set with --class-index text (here: natural; --class-index text|FILE)"
    )
    assert said(shades, tmp_path, str, "text") == []


def test_the_other_way_round(shades, tmp_path):
    natural = lambda name: int(name[1:])  # noqa: E731
    assert said(shades, tmp_path, natural) == []
    (sentence,) = said(shades, tmp_path, natural, "text")
    assert "with the classes in natural order it is right on 100.0%" in sentence


def test_a_model_that_is_right_on_most_in_the_wrong_order_is_named(tmp_path):
    """Only two of twelve classes change places: far above chance, and wrong all the same."""
    names = [*"abcdefghij", "x9", "x10"]
    for place, name in enumerate(names):
        (tmp_path / "x" / name).mkdir(parents=True)
        for number in range(8):
            (tmp_path / "x" / name / f"{number}.png").write_bytes(encoded(Image.new("RGB", (8, 8), (20 * place,) * 3)))
    made = splits({"test": open_source(str(tmp_path / "x"))})
    store = Store(tmp_path / "store")
    compute([model("net", 12, module=Shades([*range(10), 11, 10]))], made, store, "s", device="cpu", workers=0)
    (sentence,) = doubts(store.open("s"), ["net"], made)
    assert sentence.startswith("'net' is right on 83.3% of the 96 images, 8.3% is chance; with the classes in text order")


def test_a_model_at_chance_in_every_order_is_named(shades, tmp_path):
    made = splits({"test": open_source(shades)})
    store = Store(tmp_path / "store")
    compute([model("net", 12)], made, store, "s", device="cpu", workers=0)
    (sentence,) = doubts(store.open("s"), ["net"], made)
    assert sentence.startswith("'net' is right on 8.3% of the 72 images, 8.3% is chance; were its classes in another order")
    assert "(here: natural; --class-index text|FILE)" in sentence


def test_corrupted_splits_are_not_asked(shades, tmp_path):
    corrupt = {"dark": Corruption("contrast", 5), "noise": Corruption("gaussian_noise", 5)}
    assert said(shades, tmp_path, lambda name: int(name[1:]), corrupt=corrupt) == []


def test_a_few_images_that_are_all_right_are_no_chance(tmp_path):
    for name, shade in (("a", 0), ("b", 20)):
        (tmp_path / "x" / name).mkdir(parents=True)
        (tmp_path / "x" / name / "1.png").write_bytes(encoded(Image.new("RGB", (8, 8), (shade,) * 3)))
        (tmp_path / "x" / name / "2.png").write_bytes(encoded(Image.new("RGB", (8, 8), (shade,) * 3)))
    made = splits({"test": open_source(str(tmp_path / "x"))})
    store = Store(tmp_path / "store")
    compute([model("net", 2, AS_IS, module=Shades([0, 1]))], made, store, "s", device="cpu", workers=0)
    assert doubts(store.open("s"), ["net"], made) == []


def test_a_dataset_has_no_other_order(tmp_path):
    for name in "ab":
        (tmp_path / "x" / name).mkdir(parents=True)
        for number in range(9):
            (tmp_path / "x" / name / f"{number}.png").write_bytes(encoded(picture(number)))
    made = splits({"test": open_source(f"torch/image_folder?root={tmp_path / 'x'}")})
    store = Store(tmp_path / "store")
    compute([model("net", 2)], made, store, "s", device="cpu", workers=0)
    (sentence,) = doubts(store.open("s"), ["net"], made)
    assert sentence.endswith("check that its classes are in the dataset's order, and its transform")


def test_the_set_keeps_the_order(shades, tmp_path):
    said(shades, tmp_path, str, "text")
    assert Store(tmp_path / "text").open("s").about["class_order"] == {"val": "text", "test": "text"}
