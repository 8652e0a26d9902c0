"""What the dashboard rests on that Streamlit and Starlette do not promise: asked of them once, when it starts.

Versions that differ are refused in one sentence, as the loss would not show: an upload would lie on a disk, a step back go astray.
"""

import asyncio
import dataclasses
import functools
import importlib
import inspect
import sys
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartParser

from duo_core.common.arrays import InputError

TESTED = {"streamlit": "1.67.0", "starlette": "1.10.0"}
"""Those of constraints.txt."""

_BEYOND_THE_SPOOL = 2 << 20
KEPT = 20.0
"""Seconds that a file which was made for a download is there to be fetched, however many sessions click meanwhile."""
_UNUSED_SINCE = "_unused_since"


def keep_uploads_in_memory() -> None:
    """Have the web server write nothing to disk of what is uploaded; it would what arrives of a file beyond 1 MB."""
    MultiPartParser.spool_max_size = sys.maxsize


def _uploads_stay_in_memory() -> bool:
    keep_uploads_in_memory()
    with ThreadPoolExecutor(1) as aside:  # which has no event loop yet
        return aside.submit(asyncio.run, _in_memory(b"-" * _BEYOND_THE_SPOOL)).result()


async def _in_memory(content: bytes) -> bool:
    """Whether the web server's parser keeps a file of this content in memory."""

    async def body() -> AsyncGenerator[bytes, None]:
        yield b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n' + content + b"\r\n--b--\r\n"

    form = await MultiPartParser(Headers({"content-type": "multipart/form-data; boundary=b"}), body()).parse()
    file = form["a"]
    kept = isinstance(file, UploadFile) and file.size == len(content) and not getattr(file.file, "_rolled", True)
    await form.close()
    return kept


def keep_downloads_for_a_while() -> None:
    """Have Streamlit keep a file that no page shows for KEPT; it would drop it as the second run of whichever session ends."""
    known: Any = importlib.import_module("streamlit.runtime.media_file_manager").MediaFileMetadata

    def mark(file: object) -> None:
        vars(file).setdefault(_UNUSED_SINCE, time.monotonic())

    def is_over(file: object) -> bool:
        now = time.monotonic()
        since: float = vars(file).get(_UNUSED_SINCE, now)
        return now - since >= KEPT

    known.mark_for_delete, known.is_marked_for_delete = mark, property(is_over)


def _downloads_wait() -> bool:
    keep_downloads_for_a_while()
    found: Any = importlib.import_module("streamlit.runtime.media_file_manager")
    kind = importlib.import_module("streamlit.runtime.media_file_storage").MediaFileKind.DOWNLOADABLE
    storage = importlib.import_module("streamlit.runtime.memory_media_file_storage").MemoryMediaFileStorage("")
    manager, file = found.MediaFileManager(storage), found.MediaFileMetadata(kind)
    manager._file_metadata[storage.load_and_get_id(b"made", "text/html", kind)] = file
    for _ in range(3):
        manager.remove_orphaned_files()
    waited = len(manager._file_metadata)
    vars(file)[_UNUSED_SINCE] -= KEPT
    manager.remove_orphaned_files()
    return (waited, len(manager._file_metadata)) == (1, 0)


def _files_can_be_dropped() -> bool:
    manager = importlib.import_module("streamlit.runtime.uploaded_file_manager").UploadedFileManager
    return callable(manager.remove_session_files) and {"uploaded_file_mgr", "session_id"} <= _known_of_a_run()


def _uploads_can_be_counted() -> bool:
    manager = importlib.import_module("streamlit.runtime.memory_uploaded_file_manager").MemoryUploadedFileManager("")
    return isinstance(manager.file_storage, dict)


def _a_guard_can_stand_before_it() -> bool:
    """Whether middleware may be put before the server, and a browser's messages are told apart as `app/guard.py` does."""
    message = importlib.import_module("streamlit.proto.BackMsg_pb2").BackMsg
    known = {field.name for field in message.DESCRIPTOR.oneofs_by_name["type"].fields}
    return "middleware" in inspect.signature(importlib.import_module("streamlit").App).parameters and "rerun_script" in known


def _size_can_be_limited() -> bool:
    """Asked of the table of options: their values, read before the server does, would be read once more and told as a change."""
    config = importlib.import_module("streamlit.config")
    return callable(config.set_option) and "server.maxUploadSize" in config._config_options_template


def _pages_are_told_apart() -> bool:
    page = importlib.import_module("streamlit.navigation.page").StreamlitPage
    return hasattr(page, "_script_hash") and {"page_script_hash", "is_history_navigation"} <= _known_of_a_run()


def _known_of_a_run() -> set[str]:
    """Names of what can be asked of a script's run."""
    found = importlib.import_module("streamlit.runtime.scriptrunner")
    context = importlib.import_module("streamlit.runtime.scriptrunner_utils.script_run_context").ScriptRunContext
    return {*dir(context), *(field.name for field in dataclasses.fields(context))} if callable(found.get_script_run_ctx) else set()


RESTS_ON: dict[str, Callable[[], bool]] = {
    "that uploads stay in memory": _uploads_stay_in_memory,
    "that downloads wait to be fetched": _downloads_wait,
    "that a session's uploads can be dropped": _files_can_be_dropped,
    "that the size of uploads can be limited": _size_can_be_limited,
    "that uploads can be counted": _uploads_can_be_counted,
    "that a guard can stand before it": _a_guard_can_stand_before_it,
    "that a page and a step back are known": _pages_are_told_apart,
}


@functools.cache
def check() -> None:
    """Raise InputError where what the dashboard rests on has changed."""
    if changed := [what for what, holds in RESTS_ON.items() if not _true(holds)]:
        here = ", ".join(f"{package} {version(package)}" for package in TESTED)
        tested = " ".join(f"{package}=={number}" for package, number in TESTED.items())
        raise InputError(f"expected of the web server {', and '.join(changed)}, got otherwise from {here}; pip install {tested}")


def _true(holds: Callable[[], bool]) -> bool:
    try:
        return holds()
    except Exception:  # whatever a library raises where something is called or placed otherwise
        return False
