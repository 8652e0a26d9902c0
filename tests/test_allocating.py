"""Memory that stays with the process while models run on a CPU."""

import resource
from pathlib import Path

import pytest
import torch

from duo_core.common import allocating
from duo_core.common.allocating import memory_kept
from duo_core.models.devices import current

MEGABYTES = 64 << 20
PAGES = MEGABYTES // resource.getpagesize()

pytestmark = pytest.mark.skipif(allocating._glibc() is None, reason="another C library than glibc")


@pytest.fixture(autouse=True)
def as_found(monkeypatch):
    for name in allocating.OF_OTHERS:
        monkeypatch.delenv(name, raising=False)


def mapped_anew(rounds=4):
    """Pages that are mapped while a block of memory is taken, written and freed again and again."""
    for _ in range(6):  # blocks find their places
        torch.zeros(MEGABYTES, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.zeros(MEGABYTES, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_what_is_freed_is_taken_again_without_new_pages():
    with current(torch.device("cpu")):
        assert mapped_anew() < PAGES // 4


def test_afterwards_it_is_given_back():
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1])

    with memory_kept():
        mapped_anew()
        kept = resident()
    assert resident() < kept - PAGES // 2


def test_who_has_chosen_for_himself_is_left_alone(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "100000")
    monkeypatch.setattr(allocating, "_glibc", Untouched)
    with memory_kept():
        pass


class Untouched:
    def mallopt(self, *_):
        pytest.fail("a setting was changed")
