import multiprocessing
import os
import signal
import sys

import pytest
from pictures import encoded, folder, picture
from tiny import AS_IS, LARGER, ON_DEVICE
from torch.utils.data import Dataset

from duo_core.common.arrays import InputError
from duo_core.images import open_source
from duo_core.images.splits import splits
from duo_core.inference.decoding import Decoder, View, batches, loader, stage


@pytest.fixture
def source(tmp_path):
    return open_source(folder(tmp_path / "images", {"a": 3, "b": 2}))


def decoder(source, *transforms, size=2, skip=False):
    split = splits({"test": source})["test"]
    spans = [range(at, min(at + size, len(split))) for at in range(0, len(split), size)]
    return Decoder([View(split, transform) for transform in transforms], spans, skip)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_whatever_the_workers(source, workers):
    found = list(batches(decoder(source, AS_IS, LARGER), workers, False))
    assert [(batch.start, batch.stop, batch.kept) for batch in found] == [(0, 2, [0, 1]), (2, 4, [0, 1]), (4, 5, [0])]
    assert [tuple(view.shape) for view in found[0].views] == [(2, 3, 8, 8), (2, 3, 12, 12)]
    for batch in found:
        for row, pixels in zip(range(batch.start, batch.stop), batch.views[0], strict=True):
            assert pixels.equal(AS_IS.pixels(source.image(row)))


def test_what_only_the_second_stage_uses_does_not_split_views():
    assert stage(AS_IS) != stage(LARGER)
    assert stage(ON_DEVICE) == stage(type(AS_IS)((3, 5, 5), (0.1,) * 3, (0.2,) * 3, (5, 5), crop=False, antialias=False))


def test_images_of_several_sizes_are_named_where_they_cannot_be_one_batch(source, tmp_path):
    (tmp_path / "images" / "a" / "1.png").write_bytes(encoded(picture(0, (9, 7))))
    problem = decoder(source, ON_DEVICE)[0].problem
    assert problem == (
        "expected images of one size, 8 x 8, for a transform without antialiasing, got 7 x 9 in 'a/1.png'; "
        "give the transform antialias true"
    )
    assert decoder(source, ON_DEVICE)[1].problem == ""
    assert decoder(source, AS_IS)[0].problem.endswith("give the transform a resize (image 'a/1.png')")
    assert decoder(source, LARGER)[0].problem == ""


def test_a_batch_without_a_readable_image_has_no_pixels(source, tmp_path):
    for place in ("0", "1"):
        (tmp_path / "images" / "a" / f"{place}.png").write_bytes(b"")
    batch = decoder(source, AS_IS, skip=True)[0]
    assert (batch.start, batch.stop, batch.kept, batch.views, batch.problem) == (0, 2, [], [], "")
    assert "a/0.png" in decoder(source, AS_IS)[0].problem


class Deadly(Decoder):
    """Ends the process that decodes, as the system does where memory runs out."""

    def __getitem__(self, number):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_was_killed_is_said(source):
    good = decoder(source, AS_IS)
    with pytest.raises(InputError, match=r"^a process that decodes images was ended, mostly for want of memory; run again with"):
        list(batches(Deadly(good.views, good.spans, False), 1, False))


def test_other_errors_of_the_loader_are_not_taken_for_a_killed_worker(source):
    class Wrong(Decoder):
        def __getitem__(self, number):
            raise RuntimeError("wrong")

    good = decoder(source, AS_IS)
    with pytest.raises(RuntimeError, match="wrong"):
        list(batches(Wrong(good.views, good.spans, False), 0, False))


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
def test_workers_are_children_of_this_process_whatever_python_would_do(monkeypatch):
    monkeypatch.setattr(multiprocessing.context._default_context, "_actual_context", multiprocessing.get_context("forkserver"))
    loaded = loader(Parents(), 2)
    assert {int(parent) for parent in loaded} == {os.getpid()}


class Parents(Dataset):
    """Who has started the process that is asked."""

    def __len__(self):
        return 4

    def __getitem__(self, number):
        return os.getppid()
