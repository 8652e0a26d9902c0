"""What whoever runs a server says in its environment: every number that bounds something, with what it is where nothing is said.

`DUO_PUBLIC=1` is for a dashboard that strangers open: smaller defaults, and nothing is read, written or imported on their word.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from duo_core.common.arrays import InputError

PUBLIC = "DUO_PUBLIC"
"""Environment variable: `1` where strangers use the dashboard."""
MIB = 1 << 20


class Setting(NamedTuple):
    """A number of the environment, as it is said there."""

    default: int | None
    """None: no bound."""
    public: int | None
    """The same in public mode."""
    unit: int
    """What one is of: MIB of bytes, say."""
    what: str
    """What it bounds, in words."""


NUMBERS: Mapping[str, Setting] = {
    "DUO_CACHE_MIB": Setting(512, 256, MIB, "MiB of all that is kept of what was read and computed, uploads counted"),
    "DUO_MAX_FILE_MIB": Setting(256, 64, MIB, "MiB of a file that is uploaded"),
    "DUO_MAX_UNPACKED_MIB": Setting(1024, 256, MIB, "MiB of all arrays of a file, unpacked"),
    "DUO_MAX_ROWS": Setting(200_000, 100_000, 1, "images of an upload"),
    "DUO_MAX_CLASSES": Setting(25_000, 25_000, 1, "classes of an upload"),
    "DUO_MAX_SESSION_MIB": Setting(None, 256, MIB, "MiB that one session may have uploaded, packed and unpacked"),
    "DUO_MAX_UPLOADS_MIB": Setting(None, 512, MIB, "MiB that all sessions together may have uploaded"),
    "DUO_MAX_FILES": Setting(None, 32, 1, "files that one session may have uploaded"),
    "DUO_MAX_SESSIONS": Setting(None, 40, 1, "sessions at once"),
    "DUO_MAX_WORKS": Setting(None, 2, 1, "computations that one session may have under way"),
    "DUO_MAX_MESSAGES": Setting(None, 20, 1, "messages a second that one session may send, three times as many at once"),
}
"""By environment variable."""


def is_public(environment: Mapping[str, str] | None = None) -> bool:
    """Whether the environment says that strangers use the dashboard.

    >>> is_public({}), is_public({"DUO_PUBLIC": "0"}), is_public({"DUO_PUBLIC": "1"})
    (False, False, True)

    Raises
    ------
    InputError
        Where it says anything else: a dashboard that somebody takes for public must not be the other one.
    """
    text = (os.environ if environment is None else environment).get(PUBLIC, "").strip()
    if text not in ("", "0", "1"):
        raise InputError(f"expected 1 or 0 in the environment as {PUBLIC}, got '{text}'; correct it")
    return text == "1"


def number(name: str, environment: Mapping[str, str] | None = None) -> int | None:
    """What the environment says under a name of NUMBERS, in bytes or counts, else its default; None where nothing is bounded.

    >>> number("DUO_MAX_FILE_MIB", {"DUO_MAX_FILE_MIB": "20"}), number("DUO_MAX_SESSIONS", {})
    (20971520, None)
    >>> number("DUO_MAX_SESSIONS", {"DUO_PUBLIC": "1"})
    40

    Raises
    ------
    InputError
        Where it says anything but a whole number above 0.
    """
    environment, setting = os.environ if environment is None else environment, NUMBERS[name]
    text = environment.get(name, "").strip()
    if not text:
        default = setting.public if is_public(environment) else setting.default
        return None if default is None else default * setting.unit
    if not (text.isdecimal() and int(text)):
        unit = " of MiB" if setting.unit == MIB else ""
        raise InputError(f"expected a whole number{unit} above 0 in the environment as {name}, got '{text}'; correct it")
    return int(text) * setting.unit


def check(environment: Mapping[str, str] | None = None) -> None:
    """Raise InputError where anything that the environment says cannot be meant."""
    is_public(environment)
    for name in NUMBERS:
        number(name, environment)
