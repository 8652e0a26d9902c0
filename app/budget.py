"""How many bytes the dashboard may keep of what it has read and computed."""

import os

from duo_core.common.arrays import InputError

VARIABLE = "DUO_CACHE_MIB"
"""Environment variable: MiB that all that is kept may take, uploads included."""
MIB = 1 << 20
DEFAULT = 512 * MIB
"""Every pair of either shipped set, or some thirty pairs of 47,500 images."""


def budget() -> int:
    """Return what the environment allows, else DEFAULT.

    Raises
    ------
    InputError
        Where the environment says anything but a whole number above 0.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return DEFAULT
    if not (text.isdecimal() and int(text)):
        raise InputError(f"expected a whole number of MiB above 0 in the environment as {VARIABLE}, got '{text}'; correct it")
    return int(text) * MIB
