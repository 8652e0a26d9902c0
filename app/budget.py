"""How many bytes the dashboard may keep of what it has read and computed."""

from duo_core.common.settings import MIB, NUMBERS, number

VARIABLE = "DUO_CACHE_MIB"
"""Environment variable: MiB that all that is kept may take, uploads included."""
DEFAULT = (NUMBERS[VARIABLE].default or 0) * MIB
"""Every pair of either shipped set, or some thirty pairs of 47,500 images."""


def budget() -> int:
    """Return what the environment allows, else DEFAULT, less in public mode; InputError where it says no whole number above 0."""
    return number(VARIABLE) or DEFAULT
