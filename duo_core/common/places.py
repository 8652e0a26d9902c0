"""Where files lie: what comes with the package, and what its users make. Nothing else asks where a file of the project is.

In a checkout the dashboard, its settings, the glossary and the shipped sets lie beside the package; a wheel holds the same folders,
laid out in the same way, inside the package.
"""

import os
import sys
from importlib.resources import files
from pathlib import Path

from duo_core.common.arrays import InputError

PACKAGE = Path(str(files("duo_core")))
_IN_WHEEL = PACKAGE / "_shipped"

INSTALLED = _IN_WHEEL.is_dir()
"""Whether this is an installed wheel, no checkout."""

ROOT = _IN_WHEEL if INSTALLED else PACKAGE.parent
"""What holds `app/`, `.streamlit/`, `docs/glossary.md` and `data/`."""

SHIPPED_SETS = ROOT / "data"

_USUAL = {"win32": ("LOCALAPPDATA", "AppData/Local"), "darwin": ("XDG_DATA_HOME", "Library/Application Support")}


def text(package: str, name: str) -> str:
    """Content of a text file that lies in a package, which calls itself `__package__`.

    >>> text("duo_core.formats", "costs.csv").partition(",")[0]
    'model'
    """
    return files(package).joinpath(name).read_text(encoding="utf-8")


def sets() -> Path:
    """The folder of logit sets that nobody named: a checkout's own `data/`, else one among the user's data."""
    return user_data() if INSTALLED else SHIPPED_SETS


def runs() -> Path:
    """The folder of training runs: the one that `DUO_RUNS` names, else `runs/` of a checkout, else one among the user's data."""
    return Path(os.environ.get("DUO_RUNS") or (user_data() if INSTALLED else ROOT) / "runs")


def user_data() -> Path:
    """The folder for what this project keeps of a user, by the system's custom; it need not exist."""
    variable, usual = _USUAL.get(sys.platform, ("XDG_DATA_HOME", ".local/share"))
    if os.path.isabs(named := os.environ.get(variable, "")):  # another is to be ignored, says the custom
        return Path(named) / "asymmetric-duos-explorer"
    try:
        return Path.home() / usual / "asymmetric-duos-explorer"
    except RuntimeError:
        raise InputError("expected a home folder to keep logit sets in, got none; name a folder with DUO_STORE") from None
