"""Names of files and folders: what they say of their files, how they are shown, and the order that people expect."""

import os
import re
from collections.abc import Iterable
from decimal import Decimal
from functools import cache

SYSTEM = ("__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information", "lost+found")
"""Names, besides those that begin with a dot, that systems leave among people's files."""
NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
"""Formats that Pillow knows by name but cannot decode by itself."""
NAMED = 3
"""So many names stand for all of a list."""


def hidden(name: str) -> bool:
    """Whether a name is hidden, or one that systems leave behind.

    >>> [hidden(name) for name in ("._a.png", "__MACOSX", "Thumbs.db", "..", "cat")]
    [True, True, True, False, False]
    """
    return (name.startswith(".") and name not in (".", "..")) or name.casefold() in SYSTEM


@cache
def extensions() -> frozenset[str]:
    """Extensions of the images that Pillow reads here, in lower case."""
    from PIL import Image

    Image.init()
    readable = Image.OPEN.keys() - NO_PICTURES
    return frozenset({ending for ending, kind in Image.registered_extensions().items() if kind in readable} | {".mpo"})


def extension(name: str) -> str:
    """Return the extension in lower case, or nothing.

    >>> extension("A.B.PNG")
    '.png'
    """
    return os.path.splitext(name)[1].lower()


def shown(name: str) -> str:
    r"""Return a name as text: bytes of it that are no UTF-8 are written \xNN, so that two names stay two.

    >>> print(shown("caf\udce9.png"))
    caf\xe9.png
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def natural(text: str) -> list[str | Decimal]:
    """Return what texts sort by in natural order: numbers in them by value, case ignored.

    >>> sorted(["img10", "Img2", "img1"], key=natural)
    ['img1', 'Img2', 'img10']
    """
    return [Decimal(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", text.lower()))]


def few(names: Iterable[str]) -> str:
    """Return the first few of many names.

    >>> few("abcde")
    'a, b, c, ...'
    """
    listed = list(names)
    return ", ".join(listed[:NAMED]) + (", ..." if len(listed) > NAMED else "")
