"""Loops compiled by numba, kept for the next start wherever this user may write."""

from collections.abc import Callable
from typing import Any

import numba


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Like numba's own, with which it shares the options; where compiled code can be kept nowhere it is compiled at every start.

    numba looks for a place in NUMBA_CACHE_DIR, beside the source and in the user's cache, and stops the import where it may write
    to none of them, as in a container without a home.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(**options)(function)
        except RuntimeError:
            return numba.njit(**{**options, "cache": False})(function)

    return compiled
