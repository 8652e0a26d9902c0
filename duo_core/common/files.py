"""Files written whole or not at all, JSON read with a sentence when it is not there."""

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from duo_core.common.arrays import InputError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
BESIDE = re.compile(r"\.(.+)\.(\d{1,9})")
"""What a file or folder is called until it takes its place: with a dot before it, and the process behind it."""
FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a cell begins that a spreadsheet may run, wide signs too, or that is guarded against it by apostrophes."""
RECENT = 60.0
"""Seconds within which it may still be written by a process of another machine."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes that write to it; what killed ones left behind is removed."""
    with filelock.FileLock(folder / ".lock"):
        clear_left_behind(folder, alone=True)
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
    clear_left_behind(file.parent, file.name)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        yield beside
        with open(beside, "r+b") as written:
            os.fsync(written.fileno())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def replaced_folder(out: Path) -> Iterator[Path]:
    """Give an empty folder to write to; it takes the place of `out`, its files synced, only if the body ends well."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    restore_folder(out)
    new, old = (out.with_name(f".{out.name}.{word}.{os.getpid()}") for word in ("new", "old"))
    for word in ("new", "old"):
        clear_left_behind(out.parent, f"{out.name}.{word}")
    new.mkdir()
    try:
        yield new
        for file in new.iterdir():
            with file.open("r+b") as written:
                os.fsync(written.fileno())
        if out.exists():
            out.rename(old)
        new.rename(out)
    finally:
        if old.exists() and not out.exists():
            old.rename(out)
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)


def restore_folder(out: Path) -> None:
    """Give a folder back that a process was about to replace when it was killed, where nothing has taken its place."""
    if out.exists() or not out.parent.is_dir():
        return
    found = [left for left in out.parent.iterdir() if (parts := BESIDE.fullmatch(left.name)) and parts[1] == f"{out.name}.old"]
    for left in sorted(found, key=_touched):
        if not is_running(int(left.suffix[1:])) and not out.exists():
            left.rename(out)


def clear_left_behind(folder: Path, name: str | None = None, *, alone: bool = False) -> None:
    """Remove what killed processes left of files and folders that they were about to replace, of one name or of all names.

    What belongs to a process that is there stays, and so does what may be of one on another machine: what was touched within a
    minute. Of files this does not hold where the caller is known to be alone, by a lock.
    """
    with contextlib.suppress(OSError):
        for left in folder.iterdir():
            parts = BESIDE.fullmatch(left.name)
            if parts is None or name not in (None, parts[1]) or int(parts[2]) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                whole = left.is_dir() and not left.is_symlink()
                if (alone and not whole) or (not is_running(int(parts[2])) and time.time() - _touched(left) > RECENT):
                    shutil.rmtree(left) if whole else left.unlink()


def _touched(path: Path) -> float:
    """When a file, or anything in a folder, was last written."""
    return max([path.lstat().st_mtime, *(inner.lstat().st_mtime for inner in path.rglob("*"))])


def is_running(process: int) -> bool:
    """Whether a process of that number is there, as far as this machine knows."""
    if os.name != "posix":  # elsewhere asking would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's
        return True
    return True


def as_json(text: str | bytes) -> Any:
    """Read JSON that anybody may have written.

    Raises
    ------
    ValueError
        Where it is none, nests too deep to be read, or holds halves of letters, which cannot be written anywhere.
    """
    try:
        content = json.loads(text)
        if _nests(content):
            raise RecursionError
        if b"\\ud" in (text if isinstance(text, bytes) else text.encode()).lower():
            json.dumps(content, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it nests too deep") from None
    return content


def _nests(content: Any, most: int = 40) -> bool:
    """Whether lists and objects lie deeper within each other than anything that is read here."""
    level = [content]
    for _ in range(most):
        level = [item for value in level if isinstance(value, dict | list) for item in _items(value)]
    return bool(level)


def _items(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def read_json(file: Path, advice: str = "restore it or make the set again") -> dict[str, Any]:
    """Read a JSON object; InputError with the given advice where there is no file."""
    try:
        if file.exists() and not file.is_file():
            raise OSError
        content = as_json(file.read_bytes())
    except OSError:
        raise InputError(f"expected the file '{file}', got nothing there; {advice}") from None
    except ValueError as error:
        raise InputError(f"expected JSON in '{file}', got something else ({error}); restore it or make the set again") from None
    if not isinstance(content, dict):
        raise InputError(f"expected a JSON object in '{file}', got {type(content).__name__}; restore it or make the set again")
    return content


def csv_text(table: pd.DataFrame) -> str:
    """Return a table as CSV in which a spreadsheet runs no cell: text that would begin a formula begins with an apostrophe.

    >>> csv_text(pd.DataFrame({"name": ["=1+1", "a-b"], "gain": [-0.5, 1.0]}))
    "name,gain\\n'=1+1,-0.5\\na-b,1.0\\n"
    """

    def plain(cell: Any) -> Any:  # a carriage return is not quoted, and would begin a row
        return guarded(cell).replace("\r", " ") if isinstance(cell, str) else cell

    return str(table.map(plain).rename(columns=plain).to_csv(index=False, lineterminator="\n"))


def write_csv(table: pa.Table, file: BinaryIO) -> None:
    """Write a large table as `csv_text` does, with every text in quotation marks."""
    columns = [
        pa.array([guarded(text) for text in column.to_pylist()]) if pa.types.is_string(column.type) else column
        for column in table.columns
    ]
    pa_csv.write_csv(pa.table(columns, names=[guarded(name) for name in table.column_names]), file)


def guarded(text: str) -> str:
    """Text that begins no formula in a spreadsheet; `unguarded` gives it back.

    >>> guarded("=1+1"), guarded("'=1+1"), guarded("a=b"), guarded("'tis")
    ("'=1+1", "''=1+1", 'a=b', "'tis")
    """
    return f"'{text}" if FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """Text as it was before it was guarded.

    >>> unguarded("'=1+1"), unguarded("''=1+1"), unguarded("=1+1"), unguarded("'tis")
    ('=1+1', "'=1+1", '=1+1', "'tis")
    """
    return text[1:] if text[:1] == "'" and FORMULA.match(text) else text


def checked_name(name: str, what: str) -> str:
    """Return a name that is safe as a file's stem, or raise InputError.

    >>> checked_name("resnet18", "model")
    'resnet18'
    """
    if not NAME.fullmatch(name):
        raise InputError(f"expected a {what} name of letters, digits, '.', '_' and '-', got '{name}'")
    return name
