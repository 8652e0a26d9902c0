"""How many processes decode, on machines of all sizes: as many as fit, never none in silence, and bounded in bytes."""

import math

import pytest

from duo_core.inference import workers
from duo_core.inference.decoding import stage
from duo_core.inference.workers import FEW_IMAGES, IN_FLIGHT, MOST_IMAGES, PREFETCHED, Crew, crew
from duo_core.models.zoo import table
from duo_core.models.zoo.loading import transform_of

MB, GB = 1 << 20, 1 << 30
IMAGE = math.prod((3, 224, 224))
"""Bytes of an image for one model."""


@pytest.fixture(scope="module")
def zoo():
    """Bytes of an image in all views of the 46 models that are known by name and see photographs."""
    views = {stage(own): own for own in (transform_of(spec) for spec in table() if spec.source != "cifar")}
    assert len(views) == 22
    return sum(math.prod(own.input_size) for own in views.values())


@pytest.fixture
def machine(monkeypatch):
    def made(cores, shared):
        monkeypatch.setattr(workers, "cores", lambda: cores)
        monkeypatch.setattr(workers, "shared_memory", lambda: shared)

    return made


@pytest.mark.parametrize("shared", [64 * MB, 256 * MB, GB, 8 * GB, 24 * GB, 32 * GB, 64 * GB, 128 * GB, 256 * GB, None])
@pytest.mark.parametrize("cores", [8, 16])
@pytest.mark.parametrize("models", [1, 46])
def test_as_many_workers_as_fit_and_never_none(machine, zoo, models, cores, shared):
    machine(cores, shared)
    pixels = IMAGE if models == 1 else zoo
    chosen = crew(50_000, pixels)
    taken = chosen.workers * (PREFETCHED + 1) * chosen.images * pixels
    assert 1 <= chosen.workers <= cores
    assert 1 <= chosen.images <= MOST_IMAGES
    assert taken <= min(IN_FLIGHT, (shared or math.inf) / 2)
    if chosen.workers < cores:
        assert "/dev/shm has" in chosen.why
        assert (chosen.workers + 1) * (PREFETCHED + 1) * pixels > (shared or math.inf) / 2, "one more would fit"
        assert chosen.images == 1, "smaller tasks would leave room for more"


def test_the_table_of_workers(machine, zoo):
    expected = {
        # (models, cores, shared memory): (workers, images of a task)
        (1, 16, 64 * MB): (16, 4),
        (46, 16, 64 * MB): (1, 1),
        (46, 8, 256 * MB): (5, 1),
        (46, 16, GB): (16, 1),
        (46, 16, 24 * GB): (16, 11),
        (46, 8, 128 * GB): (8, 23),
        (1, 16, 256 * GB): (16, 64),
    }
    for (models, cores, shared), (number, images) in expected.items():
        machine(cores, shared)
        assert crew(50_000, IMAGE if models == 1 else zoo)[:2] == (number, images), (models, cores, shared)


def test_a_batch_that_cannot_be_divided_has_fewer_workers_not_none(machine):
    machine(16, GB)
    chosen = crew(50_000, IMAGE, least=128)
    assert (chosen.workers, chosen.images) == (9, 128)
    assert "1,074 MB free" in chosen.why


def test_why_this_process_decodes_is_said(machine):
    machine(8, 8 * GB)
    assert str(crew(FEW_IMAGES, IMAGE)) == "images are decoded by this process, 64 at a time (256 images are few)"
    assert crew(FEW_IMAGES + 1, IMAGE).workers == 8
    machine(8, MB)
    assert str(crew(5000, 10 * MB)) == (
        "images are decoded by this process, 64 at a time (/dev/shm has 1 MB free, and an image takes 10.5 MB)"
    )


def test_who_asks_for_workers_gets_them(machine):
    machine(8, GB)
    assert crew(10, IMAGE, 0) == Crew(0, MOST_IMAGES, "")
    assert crew(10, IMAGE, 3).workers == 3
    assert crew(5000, 10 * MB, 40)[:2] == (40, 1)
