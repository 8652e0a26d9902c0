"""Rows of (n, k) arrays in blocks that stay in a core's cache, several cores at once."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

ELEMENTS = 1 << 15
"""Elements a block. Up to so many, torch runs an operator on the calling core and waits for no thread of its own."""

Part = TypeVar("Part")


def over_blocks(function: Callable[[slice], Part], n: int, k: int) -> list[Part]:
    """Call the function on slices that cover rows 0..n-1, at least one row each, and return the results in order.

    >>> over_blocks(lambda rows: (rows.start, rows.stop), n=5, k=ELEMENTS // 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    size = max(1, ELEMENTS // k)
    blocks = [slice(start, min(start + size, n)) for start in range(0, n, size)]
    if len(blocks) < 2 * _cores():
        return [function(block) for block in blocks]
    return list(_pool().map(function, blocks, chunksize=1))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    """One pool for the process, so that many sessions at once do not start many threads."""
    return ThreadPoolExecutor(_cores(), thread_name_prefix="blocks")
