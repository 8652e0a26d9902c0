"""Files written whole or not at all, JSON read with a sentence when it is not there."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from duo_core.arrays import InputError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes that write to it."""
    with filelock.FileLock(folder / ".lock"):
        yield


def write_text(file: Path, text: str) -> None:
    """Write a text file in one step."""
    with replaced(file) as beside:
        beside.write_text(text, encoding="utf-8")


def check_output(file: Path, force: bool = False) -> None:
    """Raise InputError where no file can be written, before anything is computed for it; one that is there stays, unless forced."""
    if not (file.parent.is_dir() and os.access(file.parent, os.W_OK)):
        raise InputError(f"expected a folder to write into at '{file.parent}', got none that can be; make it, or name another")
    if file.is_dir():
        raise InputError(f"expected a file to write at '{file}', got a folder; name another")
    if file.exists() and not force:
        raise InputError(f"expected a new file, got '{file}', which is there already; name another, or replace it with --force")


@contextlib.contextmanager
def replaced(file: Path) -> Iterator[Path]:
    """Give a path beside the file to write to; it takes the file's place, synced, only if the body ends well."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        yield beside
        with open(beside, "r+b") as written:
            os.fsync(written.fileno())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def read_json(file: Path, advice: str = "restore it or make the set again") -> dict[str, Any]:
    """Read a JSON object; InputError with the given advice where there is no file."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"expected the file '{file}', got nothing there; {advice}") from None
    except ValueError as error:
        raise InputError(f"expected JSON in '{file}', got something else ({error}); restore it or make the set again") from None
    if not isinstance(content, dict):
        raise InputError(f"expected a JSON object in '{file}', got {type(content).__name__}; restore it or make the set again")
    return content


def checked_name(name: str, what: str) -> str:
    """Return a name that is safe as a file's stem, or raise InputError.

    >>> checked_name("resnet18", "model")
    'resnet18'
    """
    if not NAME.fullmatch(name):
        raise InputError(f"expected a {what} name of letters, digits, '.', '_' and '-', got '{name}'")
    return name
