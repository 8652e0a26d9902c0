"""Logit sets on disk: whole or not at all, broken files named, the rest usable."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest
import safetensors
import torch

from duo_core.common import files
from duo_core.common.arrays import InputError
from duo_core.logits import Card
from duo_core.logits.store import Store

CLASSES = ["cat", "dog", "fox"]


def card(name: str = "m", **facts: object) -> Card:
    return Card(
        **{"name": name, "model": f"timm/{name}", "source": "timm", "weights_sha256": "a", "input_size": (3, 32, 32), **facts}
    )  # type: ignore[arg-type]


def tensors(seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {split: torch.randn(n, 3, generator=generator).to(dtype) for split, n in (("val", 4), ("test", 6))}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    labels = {"val": torch.tensor([0, 1, 2, 0]), "test": torch.tensor([0, 1, 2, 0, 1, 2])}
    ids = {"val": list("abcd"), "test": list("efghij")}
    made.prepare(
        "tiny",
        title="Tiny",
        classes=CLASSES,
        labels=labels,
        ids=ids,
        source="made up",
        licence="none",
        details={"fit": {"seed": 1}},
    )
    return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_written_is_read(store: Store, dtype: torch.dtype) -> None:
    store.write_model("tiny", card(multiply_adds=7, transform={"mean": [0.5]}, versions={"torch": "2"}), tensors(dtype=dtype))
    opened = store.open("tiny")
    assert opened.cards["m"] == card(multiply_adds=7, transform={"mean": [0.5]}, versions={"torch": "2"})
    assert all(torch.equal(opened.logits("m", split), values) for split, values in tensors(dtype=dtype).items())
    assert opened.logits("m", "val").dtype == dtype
    assert opened.classes == tuple(CLASSES)
    assert opened.ids["val"] == list("abcd")
    assert opened.about["fit"] == {"seed": 1}
    assert opened.models("val", "test") == ["m"]
    assert store.names() == ["tiny"]


def test_header_is_plain_text_and_json(store: Store) -> None:
    store.write_model("tiny", card(multiply_adds=7), tensors())
    with safetensors.safe_open(store.path / "tiny/m.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["model"] == "timm/m"
    assert json.loads(metadata["input_size"]) == [3, 32, 32]
    assert json.loads(metadata["multiply_adds"]) == 7


def test_the_same_content_gives_the_same_bytes(store: Store) -> None:
    """Other processes order the header otherwise, so several entries are compared in their order."""
    store.write_model("tiny", card(multiply_adds=7, parameters=3, weights="w", family="f", created="2025-01-01"), tensors())
    content = (store.path / "tiny/m.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert list(header) == sorted(header)
    assert list(header["__metadata__"]) == sorted(header["__metadata__"])


def test_opening_reads_headers_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write_model("tiny", card(), tensors())

    def refuse(*_: object) -> str:
        raise AssertionError("a tensor was read")

    monkeypatch.setattr("duo_core.logits.store.sets.tensor_digest", refuse)
    opened = store.open("tiny")
    assert opened.models("val") == ["m"]
    with pytest.raises(AssertionError, match="a tensor was read"):
        opened.logits("m", "val")


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "foreign", "rows"])
def test_a_broken_model_is_named_and_the_others_stay(store: Store, damage: str) -> None:
    store.write_model("tiny", card("good"), tensors())
    store.write_model("tiny", card("bad"), tensors(1))
    file = store.path / "tiny/bad.safetensors"
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:-5])
    elif damage == "foreign":
        from safetensors.torch import save_file

        save_file(tensors(), file)
    elif damage == "rows":
        store.write_model("tiny", card("bad"), {"test": torch.zeros(5, 3)})
    else:
        file.write_bytes(b"" if damage == "empty" else b"hello, this is no tensor")
    opened = store.open("tiny")
    assert opened.models("val", "test") == ["good"]
    assert str(file) in opened.broken["bad"]
    assert "duo logits" in opened.broken["bad"]
    with pytest.raises(InputError, match=r"bad\.safetensors"):
        opened.logits("bad", "test")
    assert torch.equal(opened.logits("good", "test"), tensors()["test"])
    assert not store.has_model("tiny", "bad", ["val"])


def test_an_altered_tensor_is_found_when_it_is_read(store: Store) -> None:
    store.write_model("tiny", card(), tensors())
    file = store.path / "tiny/m.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    opened = store.open("tiny")
    with pytest.raises(InputError, match="was altered after it was written"):
        [opened.logits("m", split) for split in ("val", "test")]


@pytest.mark.parametrize(
    ("name", "message"),
    [("nothing", "expected the file .*nothing/set.json.*the store .* has tiny"), ("../tiny", "expected a set name of letters")],
)
def test_a_set_that_is_not_there(store: Store, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        store.open(name)


def test_a_broken_set_file_is_named(store: Store) -> None:
    (store.path / "tiny/set.json").write_text('{"title": ')
    with pytest.raises(InputError, match=r"expected JSON in .*set\.json"):
        store.open("tiny")


def test_missing_keys_in_the_set_file_are_named(store: Store) -> None:
    (store.path / "tiny/set.json").write_text('{"title": "x"}')
    with pytest.raises(InputError, match=r"expected 'classes', 'splits' in .*set\.json"):
        store.open("tiny")


def test_labels_that_do_not_fit_are_named(store: Store) -> None:
    about = json.loads((store.path / "tiny/set.json").read_text())
    about["splits"]["val"] = 5
    (store.path / "tiny/set.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match="expected 5 labels of 'val'"):
        store.open("tiny")


def test_other_images_are_refused_and_new_splits_added(store: Store) -> None:
    again = {"title": "Tiny", "classes": CLASSES}
    with pytest.raises(InputError, match="other images as its split 'val'"):
        store.prepare("tiny", **again, labels={"val": torch.tensor([0, 1, 2, 1])})
    with pytest.raises(InputError, match="other images as its split 'val'"):
        store.prepare("tiny", **again, labels={"val": torch.tensor([0, 1, 2, 0])}, ids={"val": list("abcx")})
    with pytest.raises(InputError, match="has 3 classes"):
        store.prepare("tiny", title="Tiny", classes=["x"], labels={})
    store.write_model("tiny", card(), tensors())
    store.prepare("tiny", **again, labels={"noise": torch.tensor([1])}, details={"corruptions": {"noise": "noise:3"}})
    opened = store.open("tiny")
    assert opened.evaluation_splits == ["test", "noise"]
    assert opened.models("val") == ["m"]
    assert opened.models("noise") == []
    assert opened.about["corruptions"] == {"noise": "noise:3"}
    with pytest.raises(InputError, match="has no logits of the split 'noise'"):
        opened.logits("m", "noise")
    store.write_model("tiny", card(), {"noise": torch.zeros(1, 3)})
    assert store.has_model("tiny", "m", ["val", "test", "noise"])


def test_other_weights_under_one_name_are_refused(store: Store) -> None:
    store.write_model("tiny", card(), tensors())
    with pytest.raises(InputError, match="has other weights under the name 'm'"):
        store.write_model("tiny", card(weights_sha256="b"), tensors())


def test_a_full_disk_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write_model("tiny", card(), tensors())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write_model("tiny", card(), {"test": torch.zeros(6, 3)})
    assert torch.equal(store.open("tiny").logits("m", "test"), tensors()["test"])
    assert [file.name for file in (store.path / "tiny").iterdir() if "m.safetensors." in file.name] == []


def test_digest_follows_content(store: Store) -> None:
    store.write_model("tiny", card("m"), tensors())
    store.write_model("tiny", card("same"), tensors())
    store.write_model("tiny", card("other"), tensors(1))
    opened = store.open("tiny")
    digest = {name: opened.digests[name, "test"] for name in opened.cards}
    assert digest["m"] == digest["same"] != digest["other"]
    assert opened.digest(("m", "test")) != opened.digest(("m", "val"))


def _fill(path: Path, name: str) -> None:
    store = Store(path)
    store.prepare("tiny", title="Tiny", classes=CLASSES, labels={"val": torch.tensor([0, 1, 2, 0])})
    for _ in range(5):
        store.write_model("tiny", card(name), tensors())


def test_two_processes_fill_one_set(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_fill, args=(store.path, name)) for name in ("one", "two")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    opened = store.open("tiny")
    assert opened.models("val", "test") == ["one", "two"]
    assert opened.broken == {}


def test_journal_goes_on_where_it_stopped(store: Store) -> None:
    rows = tensors()["test"]
    first = store.journal("tiny", "m", "test", (6, 3), torch.float32, "settings")
    first.append(rows[:4])
    first._file.write(b"half a row")
    first.close()
    second = store.journal("tiny", "m", "test", (6, 3), torch.float32, "settings")
    assert second.done == 4
    second.append(rows[4:])
    assert torch.equal(second.tensor(), rows)
    second.close()
    other = store.journal("tiny", "m", "test", (6, 3), torch.float32, "other settings")
    assert other.done == 0
    other.discard()
    assert not list((store.path / "tiny/.partial").rglob("*.rows"))


def test_journal_is_held_by_one(store: Store) -> None:
    held = store.journal("tiny", "m", "test", (6, 3), torch.float32, "settings")
    with pytest.raises(InputError, match="another process is computing 'm'"):
        store.journal("tiny", "m", "test", (6, 3), torch.float32, "settings")
    held.close()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    files.write_text(file, "old")
    with pytest.raises(RuntimeError), files.replaced(file) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", ["labels", "Labels", "LABELS"])
def test_no_model_takes_the_place_of_the_labels(store: Store, name: str) -> None:
    before = (store.path / "tiny" / "labels.safetensors").read_bytes()
    with pytest.raises(InputError, match=f"expected another name for the model than '{name}'"):
        store.write_model("tiny", card(name), tensors())
    with pytest.raises(InputError, match=f"expected another name for the model than '{name}'"):
        store.journal("tiny", name, "val", (4, 3), torch.float32, "f")
    assert (store.path / "tiny" / "labels.safetensors").read_bytes() == before
