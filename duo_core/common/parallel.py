"""Work shared by all cores: items of a list, and rows of (n, k) arrays in blocks that stay in a core's cache."""

import contextlib
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Part = TypeVar("Part")


PATIENCE = 1.0
"""Seconds after which work that steps back lets other threads go first."""
NICE = 10
"""How much lower its priority is then, as the system counts it: beside others it gets about a tenth of a core."""
AT_ONCE = 64
"""Items a core that work which steps back takes before it asks again whether it has grown long."""


class _Here(threading.local):
    """What is known of this thread."""

    busy = False
    """Whether it is at work on an item."""
    since: float | None = None
    """When its work began, where that steps back."""
    back = False
    """Whether it has stepped back."""


_HERE = _Here()


def in_parallel(function: Callable[[Item], Part], items: Sequence[Item]) -> list[Part]:
    """Call the function on every item, several at once, and return the results in order; of several errors the first is raised.

    The function should spend its time outside Python's lock. The calling thread takes items too, so that it never waits for the
    work of others. Called from within such a function, it takes them all.
    """
    if len(items) < 2 or _HERE.busy:
        return [function(item) for item in items]
    size = len(items) if _HERE.since is None else AT_ONCE * cores()
    return [part for start in range(0, len(items), size) for part in _together(function, items[start : start + size])]


def _together(function: Callable[[Item], Part], items: Sequence[Item]) -> list[Part]:
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

    helpers = [_pool(_is_long()).submit(work) for _ in range(min(cores(), len(items)) - 1)]
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
def _pool(back: bool) -> ThreadPoolExecutor:
    """One pool for the process, so that many sessions at once do not start many threads; and one of threads that stepped back."""
    return ThreadPoolExecutor(max(1, cores() - 1), thread_name_prefix="blocks", initializer=_let_others_go_first if back else None)


def step_back() -> None:
    """Have this thread, which is to do one work and end, let others go first once it has been at it for a while.

    Where several wait for a processor, the short work of one is then not held up by the long work of another.
    """
    _HERE.since = time.monotonic()


def _is_long() -> bool:
    """Whether this thread's work has stepped back, which it does here when it has grown long."""
    if _HERE.since is not None and not _HERE.back and time.monotonic() - _HERE.since > PATIENCE:
        _HERE.back = True
        _let_others_go_first()
    return _HERE.back


def _let_others_go_first() -> None:
    """Lower this thread's priority for good, where the system has priorities of threads."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, os.getpid()) + NICE)
