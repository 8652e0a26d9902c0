"""Data sets of the paper by name: small trees of the layout that their makers ship, and a sentence for whatever is missing."""

import json

import pytest
import torch
from pictures import encoded, folder, picture

from duo_core.__main__ import main
from duo_core.common.arrays import InputError
from duo_core.images import layouts, open_source
from duo_core.images.benchmarks import BENCHMARKS, expanded, metric_of
from duo_core.images.splits import splits
from duo_core.logits.store import Store
from duo_core.training.folders import Run

WNIDS = ("n01440764", "n01443537", "n01484850")
CALTECH = {"001.ak47": 20, "002.american-flag": 40, "101.head-phones": 20, "257.clutter": 20}
SPECIES = {"train": (0, 1, 1, 3), "val": (2, 2), "id_val": (0, 1), "id_test": (1, 3, 3), "test": (3, 0)}


def imagenet(root):
    folder(root / "train", dict.fromkeys(WNIDS, 4))
    folder(root / "val", dict.fromkeys(WNIDS, 20))
    return root


def imagenetv2(root):
    folder(root / "imagenetv2-matched-frequency-format-val", dict.fromkeys(("0", "2", "10", "999"), 2))
    return root


def caltech(root):
    folder(root / "256_ObjectCategories", CALTECH)
    (root / "256_ObjectCategories/198.spider").mkdir()
    (root / "256_ObjectCategories/198.spider/RENAME2").write_text("")
    return root


def iwildcam(root, rows=SPECIES, names=True):
    (root / "train").mkdir(parents=True)
    lines = ["split,location_remapped,y,filename"]
    for split, labels in rows.items():
        for place, label in enumerate(labels):
            lines.append(f"{split},7,{label},{split}-{place}.png")
            (root / "train" / f"{split}-{place}.png").write_bytes(encoded(picture(hash((split, place)) % 1000)))
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    if names:
        (root / "categories.csv").write_text("category_id,name,y\n0,empty,0\n10,deer,1\n11,puma,2\n12,tapir,3\n")
    return root


MADE = {"imagenet": imagenet, "imagenetv2": imagenetv2, "caltech256": caltech, "iwildcam": iwildcam}


def opened(wanted=None, **images):
    texts, notes = expanded({name: str(text) for name, text in images.items()}, wanted)
    return splits({split: open_source(text) for split, text in texts.items()}), notes


def test_every_benchmark_has_its_tree():
    assert list(MADE) == list(BENCHMARKS)


def test_imagenet_is_fitted_on_a_twentieth_of_its_validation_images(tmp_path):
    made, (note,) = opened(imagenet=imagenet(tmp_path))
    assert {name: len(split) for name, split in made.items()} == {"val": 3, "test": 57}
    assert made["val"].labels.tolist() == [0, 1, 2], "one of each class"
    assert not set(made["val"].ids) & set(made["test"].ids)
    assert len(made["val"].source.classes) == 1000
    assert made["val"].how == "ImageNet: 3 of the 60 validation images, 5 %, drawn stratified by class with seed 0"
    assert note == (
        "ImageNet: val is 5 % of its validation images, test is the other 95 % (seed=0; imagenet=FOLDER?seed=0 sets it)"
    )
    assert made["val"].source.notes == (f"997 folders of the 1,000 classes are missing in '{tmp_path / 'val'}'",)
    other, _ = opened(imagenet=f"{tmp_path}?seed=1")
    assert other["val"].ids != made["val"].ids
    trained, _ = opened(("train", "val"), imagenet=tmp_path)
    assert {name: len(split) for name, split in trained.items()} == {"train": 12, "val": 3}
    assert trained["val"].ids == made["val"].ids, "training and judging agree on what is fitted on"


def test_an_image_is_of_the_class_that_its_folder_names_whatever_folders_are_missing(tmp_path):
    folder(tmp_path / "val", {WNIDS[2]: 20})
    made, _ = opened(imagenet=tmp_path)
    assert set(made["test"].labels.tolist()) == {2}


def test_imagenetv2_is_numbered_by_its_folders_and_goes_with_imagenet(tmp_path):
    made, _ = opened(imagenet=imagenet(tmp_path / "one"), imagenetv2=imagenetv2(tmp_path / "two"))
    assert list(made) == ["val", "test", "imagenetv2"]
    assert made["imagenetv2"].labels.tolist() == [0, 0, 2, 2, 10, 10, 999, 999]
    assert made["imagenetv2"].source.classes == made["test"].source.classes
    (alone, _), (below, _) = opened(imagenetv2=tmp_path / "two"), opened(imagenetv2=next((tmp_path / "two").iterdir()))
    assert alone["imagenetv2"].ids == below["imagenetv2"].ids


def test_caltech_is_divided_by_its_seed_class_by_class(tmp_path):
    made, (note,) = opened(("train", "val", "test"), caltech256=caltech(tmp_path))
    assert {name: len(split) for name, split in made.items()} == {"train": 56, "val": 12, "test": 12}
    assert torch.bincount(made["train"].labels).tolist() == [14, 28, 14]
    assert torch.bincount(made["val"].labels).tolist() == [3, 6, 3]
    assert len({name for split in made.values() for name in split.ids}) == 80
    assert made["val"].source.classes == ("001.ak47", "002.american-flag", "101.head-phones")
    assert made["val"].how == "Caltech-256: 15 %, 12 of 80 images (without clutter), drawn stratified by class with seed 0"
    assert "seed=0, clutter=out; caltech256=FOLDER?seed=0&clutter=out sets it" in note
    again, _ = opened(("val",), caltech256=tmp_path / "256_ObjectCategories")
    assert again["val"].ids == made["val"].ids
    with_clutter, _ = opened(("val",), caltech256=f"{tmp_path}?clutter=in&seed=5")
    assert with_clutter["val"].source.classes[-1] == "257.clutter"
    assert "(clutter a class of its own), drawn stratified by class with seed 5" in with_clutter["val"].how


def test_iwildcam_is_divided_as_wilds_says_and_judged_by_macro_f1(tmp_path):
    root = iwildcam(tmp_path)
    made, (note,) = opened(iwildcam=root)
    assert {name: split.labels.tolist() for name, split in made.items()} == {"val": [0, 1], "test": [1, 3, 3], "ood": [3, 0]}
    assert made["ood"].ids == ["test-0.png", "test-1.png"]
    assert made["val"].source.classes == ("empty", "deer", "puma", "tapir")
    assert made["val"].source.image(0).size == (8, 8)
    assert note.endswith("ood is test, other cameras; macro F1 is what its models are judged by")
    assert metric_of({"iwildcam": "x"}) == "macro_f1"
    assert metric_of({"caltech256": "x", "test": "y"}) == "accuracy"
    trained, _ = opened(("train", "val"), iwildcam=root)
    assert trained["train"].labels.tolist() == [0, 1, 1, 3]


def test_classes_without_names_are_numbered(tmp_path):
    made, _ = opened(iwildcam=iwildcam(tmp_path / "iwildcam_v2.0", names=False).parent)
    assert made["val"].source.classes == ("class 0", "class 1", "class 2", "class 3")


WRONG = [
    ("imagenet", lambda root: folder(root / "train", {WNIDS[0]: 2}), "ImageNet's val images as FOLDER/val/n01440764/*.JPEG"),
    ("imagenet", lambda root: folder(root / "val", {"cat": 2}), "named by ImageNet's 1,000 WordNet ids"),
    ("imagenetv2", lambda root: folder(root, {"1000": 2}), "expected folders 0 to 999"),
    (
        "imagenetv2",
        lambda root: [folder(root / f"imagenetv2-{kind}", {"0": 2}) for kind in ("a", "b")],
        "expected one variant of ImageNetV2, got imagenetv2-a, imagenetv2-b",
    ),
    ("caltech256", lambda root: folder(root, {"ak47": 2}), "expected folders 001.ak47 to 257.clutter"),
    ("caltech256", lambda root: root.mkdir(), "expected Caltech-256 as FOLDER/256_ObjectCategories/001.ak47/001_0001.jpg"),
    ("iwildcam", lambda root: root.mkdir(), "expected iWildCam's list of images at"),
    ("iwildcam", lambda root: iwildcam(root, {"train": (0, 1)}), "expected images of the split 'id_val'"),
    ("iwildcam", lambda root: iwildcam(root, {"id_val": ("x",)}), "expected class indices in the column y"),
]


@pytest.mark.parametrize(("name", "make", "message"), WRONG)
def test_what_is_missing_is_said_in_one_sentence(tmp_path, name, make, message):
    make(tmp_path / "data")
    with pytest.raises(InputError) as error:
        opened(**{name: tmp_path / "data"})
    assert message in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert str(error.value).count("\n") == 0


def test_images_that_metadata_names_and_nobody_has_are_counted(tmp_path):
    root = iwildcam(tmp_path)
    (root / "train" / "id_test-1.png").unlink()
    with pytest.raises(InputError, match=r"expected the 3 images of 'id_test' in '.*', 1 are missing, such as 'id_test-1.png'"):
        opened(iwildcam=root)


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "sub/../../secret.png"])
def test_a_file_name_leads_to_no_other_folder(tmp_path, name):
    root = iwildcam(tmp_path / "data")
    (tmp_path / "secret.png").write_bytes(encoded(picture(1)))
    (root / "metadata.csv").write_text(f"split,y,filename\nid_val,0,{name}\n")
    with pytest.raises(InputError, match="1 are missing"):
        opened(("val",), iwildcam=root)


def test_a_file_without_the_columns_is_said(tmp_path):
    root = iwildcam(tmp_path)
    (root / "metadata.csv").write_text("split,filename\nval,a.png\n")
    with pytest.raises(InputError, match=r"expected the columns filename, y, split in '.*metadata.csv', got none for y"):
        opened(iwildcam=root)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"caltech256": "{root}?clutter=some"}, "expected clutter=in or clutter=out of caltech256, got 'some'"),
        ({"caltech256": "{root}?seed=-1"}, "expected a whole number from 0 as the seed"),
        ({"iwildcam": "{root}?seed=1"}, "expected the options none after '?' of iwildcam, got 'seed'"),
        ({"caltech256": "{root}/nowhere"}, "expected the folder of Caltech-256 in --images caltech256=FOLDER"),
        ({"caltech256": "{root}", "test": "x"}, "expected one source of images for 'test'"),
    ],
)
def test_what_is_said_of_a_benchmark_is_checked(tmp_path, images, message):
    caltech(tmp_path)
    with pytest.raises(InputError) as error:
        expanded({name: text.format(root=tmp_path) for name, text in images.items()})
    assert message in str(error.value)


def test_a_benchmark_without_training_images_trains_nothing(tmp_path):
    with pytest.raises(InputError, match="expected images for train or val, got ImageNetV2, which has imagenetv2"):
        expanded({"imagenetv2": str(tmp_path)}, ("train", "val"))


def test_a_folder_of_the_same_name_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "benchmark" / "caltech256", {"a": 1, "b": 1})
    assert open_source("benchmark/caltech256").classes == ("a", "b")


def test_classes_of_a_benchmark_are_not_numbered_anew(tmp_path):
    text = expanded({"caltech256": str(caltech(tmp_path))})[0]["test"]
    with pytest.raises(InputError, match="numbers its classes itself, got --class-index text"):
        open_source(text, "text")


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("DUO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DUO_STORE", str(tmp_path / "store"))


NET = ["--model", "training_models:Net"]
SIZE = json.dumps({"input_size": [3, 16, 16], "resize": [16, 16], "mean": [0.5] * 3, "std": [0.5] * 3, "crop": False})


def test_a_run_and_its_soup_are_of_a_benchmark_by_name(own, tmp_path, capsys):
    images = ["--images", f"iwildcam={iwildcam(tmp_path / 'data')}"]
    options = ["--trials", "2", "--epochs", "1", "--transform", SIZE]
    assert main(["finetune", "--name", "r", *NET, *images, *options]) == 0
    said = capsys.readouterr().err
    assert "duo finetune: iWildCam (WILDS): train is train, val is id_val; macro F1 is what its models are judged by" in said
    about = Run(tmp_path / "runs" / "r").about()
    assert about["metric"] == "macro_f1"
    assert {name: facts["images"] for name, facts in about["images"].items()} == {"train": 4, "val": 2}
    assert main(["soup", "--run", "r", "--method", "uniform", *NET, *images]) == 0
    assert main(["finetune", "--name", "a", *NET, *images, *options, "--metric", "accuracy", "--dry-run"]) == 0


def test_logits_of_a_benchmark_are_a_set_of_its_splits(own, tmp_path, capsys):
    options = ["--arguments", 'net={"num_classes": 3}', "--transform", f"net={SIZE}", "--no-throughput"]
    images = ["--images", f"caltech256={caltech(tmp_path / 'data')}", "--corrupt", "noisy=gaussian_noise:1"]
    assert main(["logits", "--set", "s", "--models", "net=training_models:Net", *images, *options]) == 0
    assert "duo logits: Caltech-256: val is 15 %, test is 15 % (seed=0, clutter=out;" in capsys.readouterr().err
    found = Store(tmp_path / "store").open("s")
    assert {name: len(labels) for name, labels in found.labels.items()} == {"val": 12, "test": 12, "noisy": 12}
    assert found.about["how"]["val"].startswith("Caltech-256: 15 %, 12 of 80 images (without clutter)")
    plan = ["--plan", str(tmp_path / "tasks")]
    assert main(["logits", "--set", "t", "--models", "net=training_models:Net", *images, *options, *plan]) == 0
    assert main(["task", str(tmp_path / "tasks"), "0"]) == 0


def test_the_share_that_is_fitted_on_is_the_papers():
    assert layouts.FIT_SHARE == 0.05
