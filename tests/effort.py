"""How much is tried: what finds faults on every push, and more of it at night (DUO_NIGHTLY=1)."""

import os
from typing import TypeVar

T = TypeVar("T")
AT_NIGHT = os.environ.get("DUO_NIGHTLY") == "1"


def tried(by_day: T, at_night: T) -> T:
    """The one of the two that is its time.

    >>> tried(2, 10) in (2, 10)
    True
    """
    return at_night if AT_NIGHT else by_day
