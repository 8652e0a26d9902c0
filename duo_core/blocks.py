"""Work shared by all cores: items of a list, and rows of (n, k) arrays in blocks that stay in a core's cache."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Part = TypeVar("Part")

_THREADS = "blocks"


def in_parallel(function: Callable[[Item], Part], items: Sequence[Item]) -> list[Part]:
    """Call the function on every item, several at once, and return the results in order.

    The function should spend its time outside Python's lock. Called from within such a function, it takes the items in turn.
    """
    if len(items) < 2 or threading.current_thread().name.startswith(_THREADS):
        return [function(item) for item in items]
    return list(_pool().map(function, items))


def over_blocks(function: Callable[[slice], Part], n: int, rows: int) -> list[Part]:
    """Call the function on slices of so many rows that cover 0..n-1, several at once, and return the results in order.

    The blocks, and so the order in which their results are added, do not depend on the number of cores.

    >>> over_blocks(lambda rows: (rows.start, rows.stop), n=5, rows=2)
    [(0, 2), (2, 4), (4, 5)]
    """
    rows = max(1, rows)
    return in_parallel(function, [slice(start, min(start + rows, n)) for start in range(0, n, rows)])


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    """One pool for the process, so that many sessions at once do not start many threads."""
    return ThreadPoolExecutor(cores(), thread_name_prefix=_THREADS)
