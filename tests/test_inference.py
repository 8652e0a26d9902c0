import errno
import json
import os
import signal
import subprocess
import sys
import weakref
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from pictures import folder
from tiny import AS_IS, LARGER, ON_DEVICE, model, reference

from duo_core.common.arrays import InputError
from duo_core.images import Source, open_source
from duo_core.images.corruptions import Corruption
from duo_core.images.splits import splits
from duo_core.inference import compute, computing, groups, jobs, workers
from duo_core.logits.store import Store
from duo_core.logits.store.journal import Journal
from duo_core.models.devices import device_name
from duo_core.models.zoo import ModelSpec

ALL = [AS_IS, LARGER, ON_DEVICE]


@pytest.fixture
def source(tmp_path):
    return open_source(folder(tmp_path / "images", {"a": 9, "b": 8, "c": 6}))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def trio():
    return [model(name, transform=transform, seed=seed) for seed, (name, transform) in enumerate(zip("pqr", ALL, strict=True))]


def run(models, made, store, **options):
    return compute(models, made, store, "set", **{"device": "cpu", "workers": 0, "batch_size": 5, **options})


def refused(*arguments, **options):
    with pytest.raises(InputError) as caught:
        run(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_logits_are_those_of_one_image_at_a_time(source, store, trio, workers):
    made = splits({"test": source}, fit=8)
    summary = run(trio, made, store, workers=workers, title="Three models", licence="CC0")
    assert summary.computed == ("p", "q", "r")
    assert (summary.present, summary.left_out, summary.decoded) == ((), {}, 23)
    found = store.open("set")
    assert (found.title, found.classes, found.about["licence"]) == ("Three models", ("a", "b", "c"), "CC0")
    for split, part in made.items():
        assert torch.equal(found.labels[split], part.labels)
        assert found.ids[split] == part.ids
        assert found.about["how"][split] == part.how
        for loaded in trio:
            assert torch.allclose(found.logits(loaded.spec.name, split), reference(loaded, source, part.rows), atol=1e-5)
    assert not list(store.path.glob("set/.partial/*/*.rows"))


def test_the_card_says_what_was_run(source, store):
    loaded = model("p", transform=LARGER)
    costs = {"multiply_adds": 5, "parameters": 7, "images_per_second": 2.5, "device": "here"}
    run([loaded], splits({"test": source}), store, costs=lambda _: costs)
    card = store.open("set").cards["p"]
    assert (card.model, card.source, card.family, card.weights_sha256) == ("python/p", "python", "Tiny", loaded.weights_sha256)
    assert (card.input_size, card.transform) == ((3, 12, 12), LARGER.to_dict())
    assert {name: getattr(card, name) for name in costs} == costs
    assert set(card.versions) >= {"torch", "timm", "torchvision"}
    assert card.created.startswith("20")


@pytest.mark.parametrize(("given", "kept"), [({}, {}), ({"width": (1, 2)}, {"width": [1, 2]}), ({"norm": torch.nn.ReLU}, None)])
def test_the_card_holds_the_arguments_where_a_header_can(source, store, given, kept):
    loaded = model("p")
    loaded = replace(loaded, spec=replace(loaded.spec, arguments=given))
    run([loaded], splits({"test": source}), store)
    assert store.open("set").cards["p"].arguments == kept
    assert run([loaded], splits({"test": source}), store).present == ("p",)
    if kept is not None:
        other = replace(loaded, spec=replace(loaded.spec, arguments={"depth": 3}))
        assert "the set 'set' has 'p' with other arguments" in refused([other], splits({"test": source}), store)


def test_each_image_is_decoded_once_for_all_models_transforms_and_corruptions(source, store, trio, monkeypatch):
    decoded = Counter()
    opened = PIL.Image.open
    monkeypatch.setattr(PIL.Image, "open", lambda file, *rest: decoded.update([file.getvalue()]) or opened(file, *rest))
    corrupt = {f"test-{kind}": Corruption(kind, 2) for kind in ("contrast", "pixelate")}
    summary = run(trio, splits({"test": source}, fit=8, corrupt=corrupt), store)
    assert summary.decoded == 23
    assert set(decoded.values()) == {1}
    assert len(decoded) == 23


def test_a_corrupted_split_is_what_the_corruption_gives(source, store):
    loaded, noise = model("p"), Corruption("gaussian_noise", 5)
    made = splits({"test": source}, corrupt={"test-noise": noise})
    run([loaded], made, store)
    images = [noise(source.image(row), source.ids[row]) for row in range(len(source))]
    with torch.inference_mode():
        expected = loaded.module(AS_IS.batch(torch.stack([AS_IS.pixels(image) for image in images])))
    found = store.open("set")
    assert torch.allclose(found.logits("p", "test-noise"), expected, atol=1e-5)
    assert not torch.allclose(found.logits("p", "test-noise"), found.logits("p", "test"), atol=1e-2)


def test_transforms_of_the_same_pixels_share_them(source, store, monkeypatch):
    made = Counter()
    array = type(AS_IS).array
    monkeypatch.setattr(type(AS_IS), "array", lambda self, image: made.update([self.input_size]) or array(self, image))
    brighter = type(AS_IS)((3, 8, 8), (0.1,) * 3, (0.9,) * 3, resize=None, crop=False)
    run([model("p"), model("q", transform=brighter), model("r", transform=LARGER)], splits({"test": source}), store)
    assert made == {(3, 8, 8): 23, (3, 12, 12): 23}


def test_only_what_is_missing_is_computed(source, store, trio):
    made = splits({"test": source}, fit=8)
    run(trio[:1], {"test": made["test"]}, store)
    before = store.open("set").logits("p", "test").clone()
    summary = run(trio[:2], made, store)
    assert (summary.computed, summary.present) == (("p", "q"), ())
    assert torch.equal(store.open("set").logits("p", "test"), before)
    assert store.open("set").models("val", "test") == ["p", "q"]
    again = run(trio, made, store)
    assert (again.computed, again.present, again.decoded) == (("r",), ("p", "q"), 23)
    assert run(trio, made, store).decoded == 0


def test_a_batch_halved_for_want_of_memory_gives_the_same_logits(source, store, tmp_path):
    class Tight(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, images):
            if len(images) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return self.module(images)

    loaded, made = model("p"), splits({"test": source})
    run([loaded], made, store, batch_size=16)
    other = Store(tmp_path / "other")
    run([model("p", module=Tight(loaded.module))], made, other, batch_size=16)
    whole, halved = (where.open("set").logits("p", "test") for where in (store, other))
    assert torch.allclose(whole, halved, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_stored_as_asked(source, store, dtype):
    run([model("p")], splits({"test": source}), store, dtype=dtype)
    assert store.open("set").logits("p", "test").dtype == dtype


class Spoiled(torch.nn.Module):
    """Gives a value of its own in place of the logits of the darkest image."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, images):
        logits = images.mean(dim=(2, 3))
        logits[images.mean(dim=(1, 2, 3)).argmin(), 1] = self.value
        return logits


def darkest(source, rows):
    return min(rows, key=lambda row: np.asarray(source.image(row)).mean())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_not_finite_are_refused_and_the_image_named(source, store, value):
    message = refused([model("bad", module=Spoiled(value))], splits({"test": source}), store)
    name = source.ids[darkest(source, range(5))]
    assert message == (
        f"expected finite logits, got NaN or infinity from 'bad' for the image '{name}' of 'test'; "
        "check the checkpoint, or compute in float32"
    )
    assert store.names() == []


def test_logits_beyond_float16_are_refused(source, store):
    made = splits({"test": source})
    message = refused([model("huge", module=Spoiled(70_000.0))], made, store, dtype=torch.float16)
    assert message == "'huge' gives logits up to 7e+04, but float16 ends at 65504; store float32"
    run([model("huge", module=Spoiled(70_000.0))], made, store)


def test_what_does_not_fit_is_refused_before_anything_is_computed(source, store, monkeypatch):
    monkeypatch.setattr(Source, "image", lambda *_: pytest.fail("an image was decoded"))
    made = splits({"test": source})
    assert "has 7 classes" in refused([model("p"), model("q", classes=7)], made, store)
    assert refused([model()], made, store, precision="int8").endswith("float32, tf32, float16 or bfloat16, got 'int8'")
    assert refused([model()], made, store, batch_size=0) == "expected a batch of at least one image, got 0"
    assert (
        refused([model()], made, store, dtype=torch.int8)
        == "expected logits stored as float32, float16 or bfloat16, got torch.int8"
    )
    assert store.names() == []


def test_other_images_under_the_sets_name_are_refused_before_anything_is_computed(source, store, tmp_path, monkeypatch):
    run([model("p")], splits({"test": source}), store)
    other = open_source(folder(tmp_path / "other", {"a": 2, "b": 2, "c": 2}))
    monkeypatch.setattr(Source, "image", lambda *_: pytest.fail("an image was decoded"))
    for skip in (False, True):
        message = refused([model("q")], splits({"test": other}), store, skip_unreadable=skip)
        assert message.startswith("the set 'set' has 23 other images as its split 'test' (now 6)")


def test_another_model_under_a_name_that_is_taken_is_refused(source, store):
    made = splits({"test": source})
    run([model("p")], made, store)
    expected = "the set 'set' has 'p' with other {}; name this one ID=python/p, or delete p.safetensors there"
    assert refused([model("p", seed=1)], made, store) == expected.format("weights")
    assert refused([model("p", transform=LARGER)], made, store) == expected.format("preprocessing")


def test_other_weights_of_one_checkpoint_are_other_weights(source, store):
    made = splits({"test": source})
    averaged = replace(model("p"), weights_key="state_dict_ema", averaged=True)
    raw = replace(model("p"), weights_key="state_dict")
    run([averaged], made, store)
    assert store.open("set").cards["p"].weights_key == "state_dict_ema"
    assert run([averaged], made, store).present == ("p",)
    assert "has 'p' with other weights" in refused([raw], made, store)


def test_a_card_of_a_time_without_averages_is_of_raw_weights(source, store):
    made = splits({"test": source})
    run([model("p")], made, store)
    assert run([replace(model("p"), weights_key="state_dict")], made, store).present == ("p",)
    averaged = replace(model("p"), weights_key="state_dict_ema", averaged=True)
    assert "has 'p' with other weights" in refused([averaged], made, store)


def break_image(source, row):
    Path(source.text, source.ids[row]).write_bytes(b"\x89PNG broken")


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_ends_the_run_and_what_was_computed_is_kept(source, store, workers):
    break_image(source, 12)
    message = refused([model("p")], splits({"test": source}), store, workers=workers)
    assert message.startswith(f"the image '{source.ids[12]}' of '{source.text}' cannot be read (")
    assert len(message.splitlines()) == 1
    assert store.names() == []
    summary = run([model("p")], splits({"test": source}), store, workers=workers, skip_unreadable=True)
    assert summary.decoded == 13, "ten of 23 rows were kept"
    assert summary.left_out == {"test": [source.ids[12]]}


def test_an_unreadable_image_is_left_out_for_all_models(source, store, trio):
    for row in (0, 7, 8):
        break_image(source, row)
    made = splits({"test": source}, corrupt={"shift": Corruption("jpeg", 1)})
    summary = run(trio[:2], made, store, skip_unreadable=True, batch_size=1)
    gone = [source.ids[row] for row in (0, 7, 8)]
    assert summary.left_out == {"test": gone, "shift": gone}
    summary = run(trio, made, store, skip_unreadable=True)
    assert (summary.computed, summary.left_out) == (("r",), {"test": gone, "shift": gone})
    rows = [row for row in range(23) if row not in (0, 7, 8)]
    found = store.open("set")
    assert found.about["how"]["test"] == f"all of {source.text}, without 3 that could not be read"
    for split in made:
        assert found.ids[split] == [source.ids[row] for row in rows]
        assert torch.equal(found.labels[split], source.labels[rows])
    for loaded in trio:
        assert torch.allclose(found.logits(loaded.spec.name, "test"), reference(loaded, source, rows), atol=1e-5)


class StopError(Exception):
    """Ends a run from its progress callback."""


def stop_after(batches):
    seen = []

    def callback(progress):
        seen.append(progress)
        if len(seen) == batches:
            raise StopError

    return callback


def test_images_left_out_by_an_earlier_run_are_not_taken_for_logits(source, store):
    break_image(source, 2)
    made = splits({"test": source})
    with pytest.raises(StopError):
        run([model("p")], made, store, skip_unreadable=True, progress=stop_after(2))
    assert refused([model("p")], made, store) == (
        f"the image '{source.ids[2]}' of 'test' could not be read in an earlier run; leave such images out again"
    )


def test_progress_counts_predictions_and_knows_what_was_there(source, store, trio):
    made = splits({"test": source})
    seen = []
    with pytest.raises(StopError):
        run(trio[:1], made, store, progress=stop_after(2))
    run(trio[:2], made, store, progress=seen.append)
    # p has 10 of 23 rows, q none: the first two batches are q's alone
    assert [(moment.done, moment.total, moment.earlier) for moment in seen] == [
        (15, 46, 10),
        (20, 46, 10),
        (30, 46, 10),
        (40, 46, 10),
        (46, 46, 10),
    ]
    assert seen[-1].seconds_left == 0


def test_another_batch_size_goes_on_from_the_same_rows(source, store):
    loaded, made = model("p"), splits({"test": source})
    with pytest.raises(StopError):
        run([loaded], made, store, progress=stop_after(2))
    summary = run([loaded, model("q", seed=4)], made, store, batch_size=7)
    assert summary.decoded == 23
    assert torch.allclose(store.open("set").logits("p", "test"), reference(loaded, source, range(23)), atol=1e-5)


def test_rows_of_other_weights_or_settings_are_not_gone_on_from(source, store):
    made = splits({"test": source})
    with pytest.raises(StopError):
        run([model("p")], made, store, progress=stop_after(4))
    other = model("p", seed=3)
    assert run([other], made, store).decoded == 23
    assert torch.allclose(store.open("set").logits("p", "test"), reference(other, source, range(23)), atol=1e-5)


def test_a_full_disk_is_said_and_costs_nothing(source, store, monkeypatch):
    loaded, made = model("p"), splits({"test": source})
    monkeypatch.setattr(jobs, "SAVE_SECONDS", -1.0)
    monkeypatch.setattr(jobs, "SAVING", 0)
    append, times = Journal.append, []

    def full_at_third(self, rows):
        times.append(len(rows))
        if len(times) >= 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(self, rows)

    monkeypatch.setattr(Journal, "append", full_at_third)
    assert refused([loaded], made, store) == (
        f"the disk of '{store.path}' is full; what was computed is kept: free some space and run the same command again"
    )
    monkeypatch.setattr(Journal, "append", append)
    assert run([loaded], made, store).decoded == 13
    assert torch.allclose(store.open("set").logits("p", "test"), reference(loaded, source, range(23)), atol=1e-5)


def test_a_disk_that_is_full_when_the_model_is_written_is_said(source, store, monkeypatch):
    made = splits({"test": source})
    write = Store.write_model

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Store, "write_model", full)
    assert "is full" in refused([model("p")], made, store)
    monkeypatch.setattr(Store, "write_model", write)
    assert run([model("p")], made, store).decoded == 0
    assert store.open("set").models("test") == ["p"]


def test_other_trouble_with_files_is_not_taken_for_a_full_disk(source, store, monkeypatch):
    def denied(*_):
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(Store, "write_model", denied)
    with pytest.raises(PermissionError, match="denied"):
        run([model("p")], splits({"test": source}), store)


def test_the_models_are_on_the_cpu_afterwards(source, store):
    loaded = model("p")
    run([loaded], splits({"test": source}), store)
    assert next(loaded.module.parameters()).device.type == "cpu"


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from duo_core.inference import compute, jobs
from duo_core.logits.store import Store
from test_inference import interrupted

jobs.SAVE_SECONDS, jobs.SAVING = 0.02, 0
slowly = lambda progress: (print(progress.done, flush=True), time.sleep(0.03))
compute(*interrupted({source!r}), Store({store!r}), "set", device="cpu", batch_size=8, workers=1, progress=slowly)
"""


def interrupted(text):
    return [model("p"), model("q", transform=LARGER, seed=1)], splits({"test": open_source(text)}, fit=40)


def test_killed_halfway_and_started_again_gives_the_same_bits(tmp_path):
    text = folder(tmp_path / "images", {"a": 70, "b": 70, "c": 60})
    run(*interrupted(text), Store(tmp_path / "whole"), batch_size=8)
    script = KILLED.format(tests=str(Path(__file__).parent), source=text, store=str(tmp_path / "killed"))
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 200:  # of 400
                break
        process.kill()  # not its worker, which outlives it for some seconds and must not hold its locks
    assert process.returncode == -signal.SIGKILL
    assert Store(tmp_path / "killed").names() == []
    kept = [json.loads(state.read_text())["done"] for state in (tmp_path / "killed").rglob("*.json")]
    assert 0 < sum(kept) < 400
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(again.stdout.split()[0]) > 100, "it began anew"
    whole, killed = (Store(tmp_path / name).open("set") for name in ("whole", "killed"))
    for name in ("p", "q"):
        for split in ("val", "test"):
            assert torch.equal(whole.logits(name, split), killed.logits(name, split))
            assert whole.ids[split] == killed.ids[split]


@pytest.mark.shared
def test_real_images_with_numeric_folders(shared, store):
    source = open_source(str(shared / "images" / "imagenet-like.tar"))
    run([model("p", classes=1000, transform=LARGER)], splits({"test": source}, fit=500), store, workers=None, batch_size=64)
    found = store.open("set")
    assert found.logits("p", "test").shape == (500, 1000)
    assert found.classes[:3] == ("0", "1", "2")


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_a_set_in_one_precision_refuses_another_under_the_same_name(source, store, precision):
    made = splits({"test": source}, fit=8)
    run([model("p")], {"test": made["test"]}, store)
    card = store.open("set").cards["p"]
    assert (card.precision, card.tf32, card.computed_on) == ("float32", False, device_name(torch.device("cpu")))
    for asked in (made, {"test": made["test"]}):
        assert refused([model("p")], asked, store, precision=precision) == (
            f"the set 'set' has 'p' with other precision (float32, not {precision}); name this one ID=python/p, "
            "or delete p.safetensors there"
        )
    run([model("q")], made, store, precision=precision)
    assert store.open("set").cards["q"].precision == precision
    with pytest.raises(InputError, match=f"^the set 'set' has 'q' in {precision}, not in float32"):
        store.write_model("set", replace(store.open("set").cards["q"], precision="float32"), {})


def test_a_set_of_a_time_without_precisions_is_taken_for_float32(source, store):
    made = splits({"test": source})
    run([model("p")], made, store)
    card, rows = store.open("set").cards["p"], {"test": store.open("set").logits("p", "test").clone()}
    (store.path / "set" / "p.safetensors").unlink()
    store.write_model("set", replace(card, precision=None, tf32=None, computed_on=None), rows)
    assert run([model("p")], made, store).present == ("p",)
    assert "other precision (None, not bfloat16)" in refused([model("p")], made, store, precision="bfloat16")


def test_the_card_names_every_processor_that_rows_are_from(source, store, monkeypatch):
    made = splits({"test": source}, fit=8)
    for name, wanted in (("H200", {"test": made["test"]}), ("A100", made)):
        monkeypatch.setattr(computing, "device_name", lambda _, name=name: name)
        run([model("p")], wanted, store)
    assert store.open("set").cards["p"].computed_on == "A100; H200"
    with pytest.raises(StopError):
        run([model("q")], made, store, progress=stop_after(3))
    monkeypatch.setattr(computing, "device_name", lambda _: "H200")
    run([model("q")], made, store)
    assert store.open("set").cards["q"].computed_on == "A100; H200"


@pytest.fixture
def by_name(monkeypatch):
    """Specs that load as small models; counts how often, and how many are alive."""
    loads, alive = Counter(), weakref.WeakSet()

    def load(spec):
        loads[spec.name] += 1
        found = model(spec.name, seed=len(spec.name))
        alive.add(found.module)
        loads["most"] = max(loads["most"], len(alive))
        return replace(found, spec=spec, weights="TAG")

    monkeypatch.setattr("duo_core.models.zoo.load", load)
    monkeypatch.setattr("duo_core.models.zoo.loading.transform_of", lambda _: AS_IS)
    monkeypatch.setattr("duo_core.models.zoo.loading.weights_name", lambda _: "TAG")
    return loads


def specs(*names):
    return [ModelSpec(name, f"timm/{name}", "timm", "") for name in names]


def test_models_that_the_set_has_are_not_loaded(source, store, by_name):
    made = splits({"test": source}, fit=8)
    assert run(specs("a", "bb"), made, store).computed == ("a", "bb")
    summary = run(specs("a", "bb", "ccc"), made, store)
    assert (summary.computed, summary.present) == (("ccc",), ("a", "bb"))
    assert [by_name[name] for name in ("a", "bb", "ccc")] == [1, 1, 1]
    assert run(specs("a", "bb", "ccc"), made, store).present == ("a", "bb", "ccc")
    assert by_name.total() - by_name["most"] == 3
    assert "other precision" in refused(specs("a"), made, store, precision="bfloat16")
    other = [replace(specs("a")[0], reference="torchvision/a")]
    assert run(other, made, store).present == ("a",), "the same weights by another name, which only loading them shows"


def test_models_are_loaded_in_groups_that_fit_into_memory(source, store, by_name, monkeypatch, tmp_path):
    names, said = ["a", "bb", "ccc", "dddd", "eeeee"], []
    bytes_each = groups.weight_bytes(model("a"))
    monkeypatch.setattr(groups, "free_memory", lambda _: groups.SHARE * 2 * bytes_each)
    seen = []
    summary = run(specs(*names), splits({"test": source}), store, tell=said.append, progress=seen.append)
    assert summary.computed == tuple(names)
    assert summary.decoded == 3 * 23
    assert by_name["most"] <= 3, "two of a group, and the one that did not fit beside them"
    assert said[0] == "2 models at a time fit into memory: 3 wait for them to end"
    assert (seen[-1].done, seen[-1].total) == (5 * 23, 5 * 23)
    monkeypatch.setattr(groups, "free_memory", lambda _: None)
    run(specs(*names), splits({"test": source}), Store(tmp_path / "whole"))
    for name in names:
        whole, own = ((where / "set" / f"{name}.safetensors").read_bytes() for where in (tmp_path / "whole", store.path))
        assert whole == own


def test_a_model_alone_in_its_group_runs_whatever_its_size(source, store, by_name, monkeypatch):
    monkeypatch.setattr(groups, "free_memory", lambda _: 0)
    assert run(specs("a", "bb"), splits({"test": source}), store).computed == ("a", "bb")


def test_saving_takes_no_more_than_a_twentieth_of_the_time(source, store, monkeypatch):
    now, saves = [0.0], []
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now[0])
    append = Journal.append

    def slowly(self, rows):
        saves.append(now[0])
        now[0] += 3.0
        append(self, rows)

    def forward(images):
        now[0] += 1.0
        return images.mean(dim=(2, 3))

    module = torch.nn.Module()
    module.forward = forward
    monkeypatch.setattr(Journal, "append", slowly)
    many = splits({"test": open_source(folder(Path(source.text).parent / "many", {"a": 60, "b": 60, "c": 60}))})
    run([model("p", module=module)], many, store, batch_size=1)
    assert now[0] - 180 <= 3 * (1 + 1 + 180 // 60), "the first, the last, and one in every sixty seconds"
    assert saves[0] < 4


def test_batches_of_several_tasks_are_those_of_one(source, store, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "MOST_IMAGES", 2)
    break_image(source, 7)
    made = splits({"test": source}, corrupt={"shift": Corruption("jpeg", 1)})
    trio = [model(name, transform=transform, seed=seed) for seed, (name, transform) in enumerate(zip("pqr", ALL, strict=True))]
    run(trio, made, store, batch_size=5, workers=2, skip_unreadable=True)
    monkeypatch.setattr(workers, "MOST_IMAGES", 64)
    run(trio, made, Store(tmp_path / "whole"), batch_size=5, skip_unreadable=True)
    for file in sorted((store.path / "set").glob("*.safetensors")):
        assert file.read_bytes() == (tmp_path / "whole" / "set" / file.name).read_bytes()
