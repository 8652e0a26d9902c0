"""What the C library does with memory that is free again, where tensors of many megabytes come and go."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of glibc's mallopt: how much that is free at the heap's end stays, and how many blocks may lie outside the heap."""
BLOCKS, KEPT = 65536, 64 << 20
"""What the second is by default, and what the first grows to by itself."""
OF_OTHERS = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables by which somebody has chosen for himself."""


@contextlib.contextmanager
def memory_kept() -> Iterator[None]:
    """Have glibc keep what this process frees, and give it back at the end; other C libraries are left alone.

    By itself it gives each block of 32 MB or more back to the kernel when it is freed, and the output of the next layer is zeroed
    and mapped anew, page by page, which can take longer than a small network's layer itself. Values do not depend on it.
    """
    library = _glibc()
    if library is None or any(name in os.environ for name in OF_OTHERS):
        yield
        return
    library.mallopt(M_MMAP_MAX, 0)
    library.mallopt(M_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        library.mallopt(M_MMAP_MAX, BLOCKS)
        library.mallopt(M_TRIM_THRESHOLD, KEPT)
        library.malloc_trim(0)


def _glibc() -> Any:
    """The library, or None on systems that have another."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None
