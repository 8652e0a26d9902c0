"""Damage to a set: flipped bits are found and named, wrong content ends in a sentence, what killed writers leave is cleared."""

import json
import multiprocessing
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from effort import tried
from logit_sets import write_set
from safetensors.torch import load_file, save_file

from duo_core.common.arrays import InputError
from duo_core.logits import Card, tensor_digest
from duo_core.logits.store import Store
from duo_core.logits.store.headers import OWN_DIGEST
from duo_core.systems import remembered
from duo_core.systems.sweep import evaluate

SPLITS = ("val", "test", "shift")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    store = write_set(tmp_path_factory.mktemp("original"), models=("large", "small"), n=60)
    opened = Store(store).open("toy")
    ids = {split: [f"{split}/{row}.png" for row in range(60)] for split in SPLITS}
    Store(store).prepare("toy", title=opened.title, classes=opened.classes, labels=opened.labels, ids=ids)
    return store


@pytest.fixture
def store(original, tmp_path):
    return Store(shutil.copytree(original, tmp_path / "store"))


def seen(store):
    """All of a set that a number or a name hangs on; a model that is named as broken is left out."""
    opened = store.open("toy")
    found = {"classes": opened.classes, "ids": dict(opened.ids), "title": opened.title, "how": opened.about.get("how")}
    found |= {f"labels {split}": y.tolist() for split, y in opened.labels.items()}
    for name, card in opened.cards.items():
        try:
            found[name] = (card, {split: tensor_digest(opened.logits(name, split)) for split in SPLITS})
        except InputError:
            continue
    return found


@pytest.mark.parametrize("name", ["labels.safetensors", "set.json", "ids.json", "large.safetensors"])
def test_no_flipped_bit_changes_anything_in_silence(store, rng, name):
    file, whole = store.path / "toy" / name, seen(store)
    content = file.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little") if name == "large.safetensors" else len(content)
    for place, bit in zip(rng.integers(0, end, 200), rng.integers(0, 8, 200), strict=True):
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        file.write_bytes(flipped)
        try:
            found = seen(store)
        except InputError as error:
            found, named = {}, str(error)
        else:
            named = name
        # What set.json says may be compared with another file before its own digest is.
        assert name in named or name == "set.json"
        assert {key: whole[key] for key in found} == found
        assert not found or set(whole) - set(found) <= {"large"}


def set_json(**changes):
    def damage(folder):
        about = json.loads((folder / "set.json").read_text())
        about.pop("digest")  # as a set of an earlier version, so that the entry itself is what is wrong
        (folder / "set.json").write_text(json.dumps({**about, **changes}))

    return damage


def raw(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def labels(**changes):
    def damage(folder):
        save_file({**load_file(folder / "labels.safetensors"), **changes}, folder / "labels.safetensors")

    return damage


DEEP = b'{"title": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
WHOLE_SET = [
    *(set_json(title=value) for value in (None, 1, [], "a" * 20_000, "\ud800")),
    *(set_json(classes=value) for value in (None, "abc", 5, [], ["one"], [1, 2], [None] * 5, {"a": 1}, [["a"]] * 5, ["a"] * 3)),
    *(
        set_json(splits=value)
        for value in (None, [], "val", {"val": "60"}, {"val": True}, {"val": -1}, {"val": 1e400}, {"val": 61})
    ),
    *(set_json(splits=value) for value in ({"val": 10**30}, {"": 60}, {"a\nb": 60}, {"val": None}, {"other": 60})),
    *(set_json(how=value) for value in ("text", {"val": 1}, [1])),
    *(set_json(digests=value) for value in (1, {"ids": 1}, {"labels": {"val": 5}}, {"labels": {"val": "00"}})),
    *(raw("set.json", content) for content in (b"", b"[]", b"null", b"\xff\xfe", DEEP, b'{"title": ' + b"9" * 9999 + b"}")),
    *(raw("labels.safetensors", content) for content in (b"", b"\0" * 8, b"\xff" * 99, b"\2\0\0\0\0\0\0\0[]")),
    *(raw("ids.json", content) for content in (b"[]", b'{"val": 1}', b'{"val": ["a"]}', DEEP)),
    *(labels(val=torch.zeros(60, dtype=kind)) for kind in (torch.int32, torch.float32, torch.bool, torch.uint8)),
    labels(val=torch.full((60,), 5)),
    labels(val=torch.full((60,), -1)),
    labels(val=torch.zeros(60, 1, dtype=torch.int64)),
    lambda folder: (folder / "labels.safetensors").unlink(),
    lambda folder: ((folder / "labels.safetensors").unlink(), os.mkfifo(folder / "labels.safetensors")),
    lambda folder: ((folder / "set.json").unlink(), os.mkfifo(folder / "set.json")),
]


@pytest.mark.parametrize("damage", WHOLE_SET)
def test_a_set_that_is_wrong_ends_in_one_sentence(store, damage):
    damage(store.path / "toy")
    with pytest.raises(InputError) as caught:
        store.open("toy")
    assert len(str(caught.value)) < 900
    str(caught.value).encode()


def header(**changes):
    """Other entries in a header, without its digest: as anybody may write one."""

    def damage(file):
        content = file.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        about = json.loads(content[8:start])
        about["__metadata__"].pop(OWN_DIGEST, None)
        about["__metadata__"] = {k: v for k, v in {**about["__metadata__"], **changes}.items() if v is not None}
        text = json.dumps(about).encode()
        file.write_bytes(len(text).to_bytes(8, "little") + text + content[start:])

    return damage


def logits(kind=torch.float32, shape=(60, 5)):
    def damage(file):
        tensors = dict.fromkeys(SPLITS, torch.zeros(shape, dtype=kind))
        digests = json.dumps({split: tensor_digest(tensor) for split, tensor in tensors.items()})
        save_file({s: t.clone() for s, t in tensors.items()}, file, {"model": "a", "source": "b", "digests": digests})

    return damage


ONE_MODEL = [
    *(header(multiply_adds=value) for value in ("true", '"7"', "-1", "0", "1e9", "null", "[1]", "NaN", "1" + "0" * 30, "9" * 9999)),
    *(header(parameters=value) for value in ("{}", "x", "1.5", "[" * 100_000)),
    *(header(images_per_second=value) for value in ("-1", "0", "Infinity", "NaN", '"fast"', "true")),
    *(header(input_size=value) for value in ("3", "[3]", "[3, 0, 8]", "[3, 8.5, 8]", '["a", 1, 2]', "null")),
    *(header(transform=value) for value in ("[]", '"x"', "{")),
    *(header(arguments=value) for value in ("[]", "5", "null")),
    *(header(versions=value) for value in ("[]", '{"torch": 2}')),
    *(header(digests=value) for value in ("[]", "{}", '{"val": 1}', "null")),
    *(header(**{key: None}) for key in ("model", "source", "digests")),
    header(family="a" * 20_000),
    *(logits(kind) for kind in (torch.bool, torch.complex64, torch.float64, torch.int64, torch.uint8)),
    *(logits(shape=shape) for shape in ((60, 6), (60, 4), (59, 5), (60,), (60, 5, 1))),
    lambda file: file.write_bytes(b""),
    lambda file: file.write_bytes(file.read_bytes()[:-1]),
    lambda file: file.write_bytes(file.read_bytes() + b"\0"),
    lambda file: (file.unlink(), file.mkdir()),
    lambda file: (file.unlink(), os.mkfifo(file)),
    lambda file: file.rename(file.with_name("[a](b).safetensors")),
]


@pytest.mark.parametrize("damage", ONE_MODEL)
def test_a_model_that_is_wrong_costs_only_itself(store, damage):
    damage(store.path / "toy" / "small.safetensors")
    opened = store.open("toy")
    ((_, reason),) = opened.broken.items()
    assert len(reason) < 900
    assert list(opened.cards) == ["large"]
    assert opened.logits("large", "val").shape == (60, 5)


def test_a_set_of_an_earlier_version_opens_says_so_and_can_be_sealed(store):
    set_json()(store.path / "toy")
    header()(store.path / "toy" / "small.safetensors")
    assert store.open("toy").unsealed == ["set.json", "labels.safetensors", "ids.json", "small.safetensors"]
    before = (store.path / "toy" / "small.safetensors").read_bytes()
    assert store.seal("toy").unsealed == []
    assert (store.path / "toy" / "small.safetensors").read_bytes() == before
    header(family="other")(store.path / "toy" / "small.safetensors")
    assert "its header differs from the digest" in store.open("toy").broken["small"]


def test_a_title_that_a_person_changes_is_recorded_by_sealing(store):
    file = store.path / "toy" / "set.json"
    file.write_text(file.read_text().replace("The toy set", "My own set"))
    with pytest.raises(InputError, match="or record it as it is with duo sets toy --seal"):
        store.open("toy")
    assert store.seal("toy").title == "My own set"


def tables(store):
    return remembered.swept(store.open("toy"), store.path, ["test"])["softmax"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-9]),
        lambda file: file.write_bytes(b"PAR1" + b"\xff" * 500 + b"PAR1"),
        lambda file: pd.DataFrame({"a": [1]}).to_parquet(file),
        lambda file: pd.read_parquet(file).drop(columns="split").to_parquet(file),
        lambda file: pd.read_parquet(file).assign(aurc=0.5).to_parquet(file),
        lambda file: pd.read_parquet(file).assign(accuracy="x").to_parquet(file),
        lambda file: pd.read_parquet(file).assign(base=None).to_parquet(file),
        lambda file: (file.unlink(), file.mkdir()),
    ],
)
def test_remembered_results_that_are_damaged_are_made_anew_without_a_word(store, damage, capfd):
    expected = tables(store)
    (file,) = store.path.rglob("pairs.parquet")
    damage(file)
    pd.testing.assert_frame_equal(tables(store), expected)
    assert capfd.readouterr() == ("", "")


def test_what_killed_writers_left_is_cleared_by_the_next(store):
    left = [store.path / "toy" / f".{name}.999999999" for name in ("small.safetensors", "set.json", "val.json")]
    for file in left:
        file.write_bytes(b"half")
    opened = store.open("toy")
    card = Card("small", "toy/small", "python", multiply_adds=80, parameters=160)
    store.write_model("toy", card, {"val": opened.logits("small", "val").clone()})
    assert not [file for file in left if file.exists()]


def _fill(path, stop):
    store, random = Store(path), torch.Generator().manual_seed(os.getpid())
    while not stop.is_set():
        tensors = {split: torch.randn(60, 5, generator=random) for split in SPLITS}
        store.write_model("toy", Card(f"m{os.getpid()}", "toy/m", "python", weights_sha256="a"), tensors)


def test_a_reader_beside_writers_finds_nothing_broken(store):
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writers = [context.Process(target=_fill, args=(store.path, stop)) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        while len(list(Path(store.path, "toy").glob("m*.safetensors"))) < 2 and all(w.is_alive() for w in writers):
            assert store.open("toy").broken == {}
        for _ in range(tried(40, 300)):
            assert store.open("toy").broken == {}
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert evaluate(store.open("toy"), "large", "small").metrics["duo"]["accuracy"]
