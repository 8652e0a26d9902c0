"""What one session has uploaded: read in memory, kept in the session alone, and gone when it ends or says so."""

import contextlib
import gc
import itertools
import secrets
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import streamlit as st
from streamlit import config
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app.internals import keep_uploads_in_memory
from app.state.caches import CACHE, OWN
from app.state.sets import Handle, handle_of, open_set, set_names
from duo_core.common.allocating import give_back
from duo_core.common.arrays import InputError
from duo_core.common.plaintext import unmarked
from duo_core.common.settings import MIB, number
from duo_core.formats import Limits, Options, Reading, Upload, read
from duo_core.formats.limits import words
from duo_core.formats.problems import shown

keep_uploads_in_memory()
_READING = threading.Lock()
"""Files are unpacked one upload at a time where uploads are bounded, so that only one can be larger than it may."""


def _stamp() -> str:
    """What no other upload has, and nobody can guess."""
    return f"{OWN}{secrets.token_hex(8)}"


@dataclass
class _Shelf:
    """Where a session's files and its set lie; `close` frees them, whoever still knows of them."""

    drop: Callable[[], None]
    """Lets go of the files that the web server holds for the session."""
    files: list[Upload] = field(default_factory=list)
    displaced: dict[str, Upload] = field(default_factory=dict)
    """Files in whose place another of their name was dropped, by that name, as long as both can be kept."""
    options: Options = field(default_factory=Options)
    reading: Reading | None = None
    used: Reading | None = None
    handle: Handle | None = None
    stamp: str = field(default_factory=_stamp)
    """Under which what is not used yet is counted."""
    session: str = ""
    refused: str = ""
    """Why some of what was dropped just now was not taken."""

    def count(self) -> None:
        """Have what lies here take its part of what all values together may take."""
        CACHE.admit(self.stamp, (self.files, self.displaced, self.reading))

    @property
    def bytes(self) -> int:
        """Of all that lies here."""
        return CACHE.held_by(self.stamp, self.handle.stamp if self.handle else "")

    def leave(self) -> None:
        """Let go of the set that was used, and of all that was computed from it."""
        if self.handle is not None:
            CACHE.forget(self.handle.stamp)
        _empty(self.used)
        self.used, self.handle = None, None

    def close(self) -> None:
        _SHELVES.pop(self.session, None)
        self.drop()
        held = bool(self.files or self.displaced or self.handle)
        self.leave()
        CACHE.forget(self.stamp)
        _empty(self.reading)
        self.files, self.displaced, self.reading = [], {}, None
        if held:  # most sessions upload nothing
            _return_memory()


_SHELVES: dict[str, _Shelf] = {}
"""Those of all sessions."""


def held_by(session: str) -> int:
    """Bytes that a session has uploaded, packed and unpacked, without what the page has not taken yet."""
    shelf = _SHELVES.get(session)
    return shelf.bytes if shelf else 0


@st.cache_resource(scope="session", show_spinner=False, on_release=_Shelf.close)
def _shelf() -> _Shelf:
    """The session's own; Streamlit closes it as soon as the browser is gone."""
    context = get_script_run_ctx()
    if context is None:
        raise RuntimeError("expected a session of the dashboard, which uploads belong to; there is none")
    manager, session, limits = context.uploaded_file_mgr, context.session_id, Limits.from_environment()
    config.set_option("server.maxUploadSize", limits.file_bytes // MIB)  # what the web server takes, and the uploader says
    shelf = _Shelf(lambda: manager.remove_session_files(session), options=Options(limits=limits), session=session)
    _SHELVES[session] = shelf
    return shelf


def put(files: Sequence[UploadedFile]) -> None:
    """Take files from the web server; one takes the place of an earlier one of its name, which can be kept beside it."""
    shelf, new = _shelf(), list[Upload]()
    for file in files:
        content, taken = file.getvalue(), {other.name: other.content for other in new}
        same = taken.get(file.name, content) == content
        new.append(Upload(file.name if same else _other_name(file.name, taken), content))
    contents = {file.name: file.content for file in new}
    displaced = {file.name: file for file in shelf.files if contents.get(file.name, file.content) != file.content}
    whole = [*(file for file in shelf.files if file.name not in contents), *new]
    shelf.refused = _too_much(shelf, [*whole, *displaced.values()])
    if not shelf.refused:
        _change(shelf, whole)
        shelf.displaced = displaced
        shelf.count()
    shelf.drop()


def _too_much(shelf: _Shelf, files: Sequence[Upload]) -> str:
    """Why a session may not have so many files; nothing where it may."""
    most, own = number("DUO_MAX_FILES"), number("DUO_MAX_SESSION_MIB")
    if most is not None and len(files) > most:
        return f"Expected at most {most} files, got {len(files)}; nothing was taken. Put the models of a set into one file."
    in_use = CACHE.held_by(shelf.handle.stamp) if shelf.handle else 0
    size = sum(len(file.content) for file in files if isinstance(file.content, bytes)) + in_use
    if own is not None and size > own:
        return f"Expected at most {words(own)} of one session, got {words(size)}; nothing was taken. Forget what is there first."
    return ""


def refused() -> str:
    """Why some of what was dropped just now was not taken; nothing where all was."""
    return _shelf().refused


def displaced() -> list[str]:
    """Names of the files in whose place another was dropped just now."""
    return list(_shelf().displaced)


def keep_both(name: str) -> None:
    """Put a file back in whose place another was dropped, under a name beside its own."""
    shelf = _shelf()
    old, rest = shelf.displaced[name], {other: file for other, file in shelf.displaced.items() if other != name}
    _change(shelf, [*shelf.files, replace(old, name=_other_name(name, [file.name for file in shelf.files]))])
    shelf.displaced = rest


def _other_name(name: str, taken: Collection[str]) -> str:
    """The name, or the first of it with a number behind that is not taken.

    >>> _other_name("a.csv", []), _other_name("a.csv", ["a.csv", "a-2.csv"])
    ('a.csv', 'a-3.csv')
    """
    stem, dot, ending = name.rpartition(".")
    numbered = (f"{stem}-{number}{dot}{ending}" if dot else f"{ending}-{number}" for number in itertools.count(2))
    return next(other for other in itertools.chain([name], numbered) if other not in taken)


def put_back(place: int) -> None:
    """Let one of the files go."""
    shelf = _shelf()
    _change(shelf, [file for index, file in enumerate(shelf.files) if index != place])


def _change(shelf: _Shelf, files: list[Upload]) -> None:
    """Answers about models and rows end with the files that they were given for."""
    shelf.files, shelf.displaced, shelf.reading, shelf.refused = files, {}, None, ""
    shelf.options = (
        replace(shelf.options, base=None, sidekick=None, costs={}, class_names=None, fit=None)
        if files
        else Options(limits=shelf.options.limits)
    )
    shelf.count()


def describe(roles: Mapping[str, Mapping[str, str]]) -> None:
    """Say what the arrays of each file are, by its name and theirs."""
    shelf = _shelf()
    shelf.files, shelf.reading = [replace(file, names=roles.get(file.name, {})) for file in shelf.files], None
    shelf.options = replace(shelf.options, base=None, sidekick=None, costs={})


def are_described() -> bool:
    """Whether somebody has said what the arrays of a file are."""
    return any(file.names for file in _shelf().files)


def said() -> Options:
    """What the session has said about its files."""
    return _shelf().options


def say(options: Options) -> None:
    """Say something else about the files."""
    shelf = _shelf()
    shelf.options, shelf.reading = options, None


def reading() -> Reading | None:
    """What the files hold; None where there are none."""
    shelf = _shelf()
    if shelf.reading is None and shelf.files:
        most = number("DUO_MAX_UPLOADS_MIB")
        with contextlib.nullcontext() if most is None else _READING:
            shelf.reading = read(shelf.files, shelf.options)
            shelf.count()
        if most is not None and CACHE.uploaded > most:
            _empty(shelf.reading)
            _change(shelf, [])
            shelf.refused = "This dashboard holds as much of uploads as it may just now; nothing was taken. Try again later."
    return shelf.reading


def use() -> Handle:
    """Make what the files hold the session's own set, in place of the one before; the files are let go."""
    shelf, found = _shelf(), reading()
    if found is None:
        raise InputError("expected logit files to use, got none; drop them again")
    own = found.opened()
    shelf.leave()
    shelf.used, shelf.handle = found, handle_of(own, _stamp())
    CACHE.admit(shelf.handle.stamp, (found, shelf.handle))
    _change(shelf, [])
    _return_memory()
    return shelf.handle


def used() -> Reading | None:
    """What the session's own set was read from."""
    return _shelf().used


def forget() -> None:
    """Free what the session has uploaded, and all that was computed from it."""
    _shelf.clear()  # which closes it


def choices() -> dict[str, str]:
    """The sets that this session may choose: what each is called, by its name in the address."""
    own = _shelf().handle
    names = {name: unmarked(name) for name in set_names()}
    return names if own is None else {**names, own.stamp: f"your upload: {shown(own.logit_set.title, 40)}"}


def opened(name: str) -> Handle:
    """Open one of the choices."""
    own = _shelf().handle
    return own if own is not None and own.stamp == name else open_set(name)


def is_upload(name: str) -> bool:
    """Whether a name in the address is that of an upload, be it another session's."""
    return name.startswith(OWN)


def _empty(found: Reading | None) -> None:
    """Free a set's logits: evaluations, and parts of pages that Streamlit holds on to, may still know the set."""
    if found and found.logit_set and isinstance(found.logit_set.arrays, dict):
        found.logit_set.arrays.clear()


def _return_memory() -> None:
    """Give freed memory back to the system, where the C library can."""
    gc.collect()
    give_back()
