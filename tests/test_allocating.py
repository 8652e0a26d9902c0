"""Memory that stays with the process while models run on a CPU."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from duo_core.common import allocating
from duo_core.common.allocating import memory_kept
from duo_core.common.parallel import cores
from duo_core.models.devices import current

MEGABYTES = 64 << 20
PAGES = MEGABYTES // resource.getpagesize()

pytestmark = pytest.mark.skipif(allocating._glibc() is None, reason="another C library than glibc")


@pytest.fixture(autouse=True)
def as_found(monkeypatch):
    for name in {*allocating.OF_OTHERS, *allocating.OF_ARENAS}:
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


HEAPS = """
import ctypes, os, threading, xml.etree.ElementTree
from duo_core.common.allocating import few_heaps
{before}
def take():
    held.append(bytearray(1 << 20))
    there.wait()

held, there = [], threading.Barrier(9)
threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads: thread.start()
there.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out, into = os.pipe()
stream = ctypes.c_void_p(libc.fdopen(into, b"w"))
libc.malloc_info(0, stream); libc.fclose(stream)
print(len(xml.etree.ElementTree.fromstring(os.read(out, 1 << 20)).findall("heap")))
"""
"""Prints in how many heaps eight threads have taken memory."""


def heaps(before, **environment):
    script = HEAPS.format(before=before)
    said = subprocess.run([sys.executable, "-c", script], env=os.environ | environment, capture_output=True, text=True, check=True)
    return int(said.stdout)


def test_threads_share_as_many_heaps_as_there_are_cores():
    few = max(2, cores())
    assert heaps("few_heaps()") <= few
    if few < 8:
        assert heaps("") > few
        assert heaps("few_heaps()", MALLOC_ARENA_MAX="9") > few


@pytest.mark.parametrize("name", allocating.OF_OTHERS)
def test_who_has_chosen_for_himself_is_left_alone(monkeypatch, name):
    monkeypatch.setenv(name, "100000")
    monkeypatch.setattr(allocating.ctypes, "CDLL", untouched)
    with memory_kept():
        pass


def untouched(*_):
    pytest.fail("the C library was asked for")
