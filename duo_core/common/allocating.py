"""What the C library does with free memory: where tensors of many megabytes come and go, and on a server of many threads.

Other C libraries than glibc are left alone, and so is one for which somebody has chosen in the environment.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Any

from duo_core.common.parallel import cores

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
"""Of glibc's mallopt: how much that is free at a heap's end stays, how many blocks may lie outside the heaps, and how many of these
threads share."""
BLOCKS, KEPT = 65536, 64 << 20
"""What the second is by default, and what the first grows to by itself."""
OF_OTHERS = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables by which somebody has chosen what stays."""
OF_ARENAS = ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")


def few_heaps() -> None:
    """Have glibc's threads share as many heaps as there are cores, instead of eight times as many.

    A page is made on a thread of its own. What it holds on to lies between what it has freed, in every heap that one was in.
    """
    library = _glibc(OF_ARENAS)
    if library is not None:
        library.mallopt(M_ARENA_MAX, max(2, cores()))


def give_back() -> None:
    """Have glibc give the system what is free, wherever it lies."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@contextlib.contextmanager
def memory_kept() -> Iterator[None]:
    """Have glibc keep what this process frees, and give it back at the end.

    By itself it gives each block of 32 MB or more back to the kernel when it is freed, and the output of the next layer is zeroed
    and mapped anew, page by page, which can take longer than a small network's layer itself. Values do not depend on it.
    """
    library = _glibc(OF_OTHERS)
    if library is None:
        yield
        return
    library.mallopt(M_MMAP_MAX, 0)
    library.mallopt(M_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        library.mallopt(M_MMAP_MAX, BLOCKS)
        library.mallopt(M_TRIM_THRESHOLD, KEPT)
        give_back()


def _glibc(chosen: tuple[str, ...] = ()) -> Any:
    """The library; None on systems that have another, or where one of these variables is set."""
    if any(name in os.environ for name in chosen):
        return None
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None
