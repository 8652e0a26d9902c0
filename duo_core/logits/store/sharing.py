"""Logit sets elsewhere: pushed to and pulled from whatever fsspec reaches, whole files with digests, data and never code.

Beside a set's files lies `files.json`, which lists them with their digests; it is written again after each file that has arrived,
and says at the end that all have. Who pulls takes nothing that is not listed, and nothing that differs from its digest.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec

from duo_core.common.arrays import InputError
from duo_core.common.files import NAME, as_json, checked_name, locked, replaced, replaced_folder
from duo_core.logits.store.sets import Store

LIST, CARD = "files.json", "README.md"
LARGEST_LIST, MOST_FILES = 16 << 20, 20_000
BLOCK = 1 << 20
PREFIX = ".pulling-"
"""What the folder is called in which the files of a set are gathered; the rest is the digest of their list."""
DIGEST = re.compile(r"[0-9a-f]{64}")
Told = Callable[[str], object]
"""Told what is being done, a line for each file."""


@dataclass(frozen=True)
class FileList:
    """The files of a set by name: their bytes and SHA-256."""

    name: str
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    complete: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of the list, whatever the set is called: two sets of one digest have the same files."""
        return hashlib.sha256(json.dumps(sorted((name, *facts) for name, facts in self.files.items())).encode()).hexdigest()

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(size for size, _ in self.files.values())

    def text(self) -> str:
        """The list as it is written."""
        files = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in sorted(self.files.items())}
        return json.dumps({"format": 1, "set": self.name, "complete": self.complete, "files": files}, indent=1) + "\n"


@dataclass(frozen=True)
class Moved:
    """What came of a push or a pull."""

    files: FileList
    moved: tuple[str, ...]
    """The files that were sent or fetched; the others were there already."""
    folder: str
    """Where the set lies now."""


def push(store: Store, name: str, url: str, card: str, told: Told = lambda _: None) -> Moved:
    """Copy a set to a URL, files that lie there already left as they are, and its card.

    Raises
    ------
    InputError
        Where a file of the set is damaged, or the place cannot be written.
    """
    folder = store.folder(name)
    _check_whole(store, name)
    wanted = FileList(name, {file.name: (file.stat().st_size, _digest(file)) for file in _files_of(folder)})
    with _reached(url) as (system, place):
        system.makedirs(place, exist_ok=True)
        there = _listed(system, place, url) if system.exists(f"{place}/{LIST}") else FileList(name)
        done = {file: facts for file, facts in wanted.files.items() if there.files.get(file) == facts}
        if there.complete and len(done) == len(wanted.files) == len(there.files):
            return Moved(there, (), shown_url(url))
        moved = [file for file in wanted.files if file not in done]
        for file in [None, *moved]:
            if file is not None:
                told(f"sending {file}")
                system.put_file(str(folder / file), f"{place}/{file}")
                done[file] = wanted.files[file]
            _write(system, place, FileList(name, done))
        system.pipe_file(f"{place}/{CARD}", card.encode())
        whole = FileList(name, wanted.files, complete=True)
        _write(system, place, whole)
    return Moved(whole, tuple(moved), shown_url(url))


def pull(
    store: Store,
    url: str,
    *,
    name: str | None = None,
    digest: str | None = None,
    force: bool = False,
    told: Told = lambda _: None,
) -> Moved:
    """Fetch a set from a URL into the store, where it appears whole; stopped at any moment, the same call goes on where it was.

    Parameters
    ----------
    name
        What the set is to be called here; the name that it has there by default.
    digest
        What the list's digest must be, as `push` gave it: the one thing that a place which cannot be trusted cannot change.
    force
        Whether it takes the place of another set of its name.

    Raises
    ------
    InputError
        Where a file lacks or is altered, which is named; nothing of the set is in the store then.
    """
    with _reached(url) as (system, place):
        there = _listed(system, place, url)
        if digest is not None and there.digest != digest:
            raise InputError(
                f"expected the set of digest {digest} at '{shown_url(url)}', got {there.digest}; ask who gave it to you"
            )
        if not there.complete:
            raise InputError(f"expected a whole set at '{shown_url(url)}', got one that is still being pushed; try again later")
        name = checked_name(name or there.name, "set")
        target, gathered = store.own_folder(name), store.path / f"{PREFIX}{there.digest[:16]}"
        moved = () if _has(target, there) else _taken(system, place, there, target, gathered, force, told)
    shutil.rmtree(gathered, ignore_errors=True)
    return Moved(there, moved, str(target))


def _taken(system: Any, place: str, there: FileList, target: Path, gathered: Path, force: bool, told: Told) -> tuple[str, ...]:
    """Have the set stand in its place, whole; the files that were fetched now."""
    if (target / "set.json").exists() and not force:
        raise InputError(
            f"expected a set that is not there, got '{target.name}', which '{target.parent}' has with other files; name another "
            "(--set), or replace it with --force"
        )
    folder = gathered / target.name
    folder.mkdir(parents=True, exist_ok=True)
    with locked(gathered):
        moved = _gather(system, place, there, folder, told)
        _check_whole(Store(gathered), target.name)
        if not target.exists():
            folder.rename(target)
            return moved
        with replaced_folder(target) as new:
            for file in there.files:
                os.replace(folder / file, new / file)
    return moved


def _gather(system: Any, place: str, there: FileList, folder: Path, told: Told) -> tuple[str, ...]:
    """Fetch the files that are not in the folder; their names."""
    lacking = [file for file, facts in there.files.items() if not _is(folder / file, facts)]
    needed, free = sum(there.files[file][0] for file in lacking), shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(f"expected {needed:,} bytes free for the set in '{folder.parent.parent}', got {free:,}; make room first")
    for file in lacking:
        told(f"fetching {file}")
        with replaced(folder / file) as beside:
            _fetch(system, f"{place}/{file}", beside, file, *there.files[file])
    return tuple(lacking)


def _fetch(system: Any, source: str, target: Path, name: str, size: int, digest: str) -> None:
    """Copy one file, at most as many bytes as it is said to have; raise where it is another."""
    whole, left = hashlib.sha256(), size + 1
    with system.open(source, "rb") as opened, target.open("wb") as written:
        while left and (block := opened.read(min(BLOCK, left))):
            whole.update(block)
            written.write(block)
            left -= len(block)
    if left != 1 or whole.hexdigest() != digest:
        raise InputError(
            f"'{name}' was altered after it was pushed, or was cut short on its way (it differs from its digest); nothing was "
            "taken: pull again, or have it pushed again"
        )


def _check_whole(store: Store, name: str) -> None:
    """Raise where any file of a set is damaged: all headers, labels, ids and logits are compared with their digests."""
    found = store.open(name)
    for reason in found.broken.values():
        raise InputError(reason)
    for tensor in found.arrays:
        found.arrays[tensor]


def _files_of(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if is_of_a_set(file.name) and file.is_file())


def is_of_a_set(name: str) -> bool:
    """Whether a file of that name is one of a set's: nothing else is pushed or pulled.

    >>> is_of_a_set("set.json"), is_of_a_set("resnet18.safetensors"), is_of_a_set("../a.safetensors"), is_of_a_set("run.py")
    (True, True, False, False)
    """
    return name in {"set.json", "ids.json"} or (name.endswith(".safetensors") and bool(NAME.fullmatch(name)))


def _has(folder: Path, wanted: FileList) -> bool:
    """Whether a folder has exactly these files."""
    there = {file.name for file in _files_of(folder)} if folder.is_dir() else set()
    return there == wanted.files.keys() and all(_is(folder / file, facts) for file, facts in wanted.files.items())


def _is(file: Path, facts: tuple[int, str]) -> bool:
    return file.is_file() and not file.is_symlink() and file.stat().st_size == facts[0] and _digest(file) == facts[1]


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _write(system: Any, place: str, files: FileList) -> None:
    system.pipe_file(f"{place}/{LIST}", files.text().encode())


def _listed(system: Any, place: str, url: str) -> FileList:
    """Read the list of files that anybody may have written."""
    try:
        with system.open(f"{place}/{LIST}", "rb") as opened:
            content = opened.read(LARGEST_LIST + 1)
    except FileNotFoundError:
        raise InputError(f"expected a logit set at '{shown_url(url)}', got no {LIST} there; push one with duo sets push") from None
    try:
        said: Any = as_json(content) if len(content) <= LARGEST_LIST else None
        files = {str(name): (facts["bytes"], facts["sha256"]) for name, facts in said["files"].items()}
        found = FileList(said["set"], files, said["complete"] is True)
        sound = said["format"] == 1 and isinstance(found.name, str) and len(files) <= MOST_FILES and all(map(_sound, files.items()))
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        raise InputError(
            f"expected the list of a logit set's files in '{shown_url(url)}/{LIST}', got something else; push it again"
        )
    return found


def _sound(entry: tuple[str, tuple[Any, Any]]) -> bool:
    name, (size, digest) = entry
    return is_of_a_set(name) and type(size) is int and 0 <= size < 1 << 50 and bool(DIGEST.fullmatch(str(digest)))


@contextlib.contextmanager
def _reached(url: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL and the place in it; what the network or a library raises becomes a sentence."""
    try:
        system, place = fsspec.core.url_to_fs(url)
        yield system, str(place).rstrip("/")
    except InputError:
        raise
    except Exception as error:  # each file system raises what it likes
        raise InputError(
            f"expected to reach '{shown_url(url)}', got: {type(error).__name__} {' '.join(str(error).split())[:300]}; check the "
            "address, the network and who may read or write there, then say the same again: what has arrived is kept"
        ) from error


def shown_url(url: str) -> str:
    """A URL without the password that may stand in it.

    >>> shown_url("https://me:secret@example.org/sets"), shown_url("/data/sets")
    ('https://example.org/sets', '/data/sets')
    """
    parts = urlsplit(url)
    return url.replace(f"{parts.netloc}", parts.netloc.rpartition("@")[2], 1) if "@" in parts.netloc else url
