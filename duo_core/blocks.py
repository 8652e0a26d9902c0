"""Rows of (n, k) arrays in blocks that stay in a core's cache, several cores at once."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Part = TypeVar("Part")


def over_blocks(function: Callable[[slice], Part], n: int, rows: int) -> list[Part]:
    """Call the function on slices of so many rows that cover 0..n-1 and return the results in order.

    The blocks, and so the order in which their results are added, do not depend on the number of cores. The function should
    spend its time outside Python's lock; it must not call `over_blocks` itself.

    >>> over_blocks(lambda rows: (rows.start, rows.stop), n=5, rows=2)
    [(0, 2), (2, 4), (4, 5)]
    """
    rows = max(1, rows)
    blocks = [slice(start, min(start + rows, n)) for start in range(0, n, rows)]
    if len(blocks) < 2:
        return [function(block) for block in blocks]
    return list(_pool().map(function, blocks))


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    """One pool for the process, so that many sessions at once do not start many threads."""
    return ThreadPoolExecutor(cores(), thread_name_prefix="blocks")
