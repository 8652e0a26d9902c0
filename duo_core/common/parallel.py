"""Work shared by all cores: items of a list, and rows of (n, k) arrays in blocks that stay in a core's cache."""

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Part = TypeVar("Part")


class _Here(threading.local):
    """Whether this thread is at work on an item."""

    busy = False


_HERE = _Here()


def in_parallel(function: Callable[[Item], Part], items: Sequence[Item]) -> list[Part]:
    """Call the function on every item, several at once, and return the results in order; of several errors the first is raised.

    The function should spend its time outside Python's lock. The calling thread takes items too, so that it never waits for the
    work of others. Called from within such a function, it takes them all.
    """
    if len(items) < 2 or _HERE.busy:
        return [function(item) for item in items]
    found: dict[int, Part] = {}
    errors: dict[int, BaseException] = {}
    places = itertools.count()

    def work() -> None:
        _HERE.busy = True
        try:
            while not errors and (place := next(places)) < len(items):
                try:
                    found[place] = function(items[place])
                except Exception as error:
                    errors[place] = error
        finally:
            _HERE.busy = False

    helpers = [_pool().submit(work) for _ in range(min(cores(), len(items)) - 1)]
    try:
        work()
    except BaseException as interrupt:  # the helpers stop, too
        errors[len(items)] = interrupt
    for helper in helpers:
        if not helper.cancel():
            helper.result()
    if errors:
        raise errors[min(errors)]
    return [found[place] for place in range(len(items))]


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
    return ThreadPoolExecutor(max(1, cores() - 1), thread_name_prefix="blocks")
