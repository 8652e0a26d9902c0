"""How much is tried: enough to find faults on every push, more of it at night (DUO_NIGHTLY=1)."""

import os

AT_NIGHT = os.environ.get("DUO_NIGHTLY") == "1"


def tried(by_day: int, at_night: int) -> int:
    """The number whose time it is.

    >>> tried(2, 10) in (2, 10)
    True
    """
    return at_night if AT_NIGHT else by_day
