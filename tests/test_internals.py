"""What the dashboard rests on in its libraries is asked for at start, and said when it has changed."""

import re
import sys
import types

import pytest
import streamlit
from browsing import ROOT
from starlette.formparsers import MultiPartParser
from streamlit import config
from streamlit.navigation.page import StreamlitPage
from streamlit.runtime.media_file_manager import MediaFileManager, MediaFileMetadata
from streamlit.runtime.media_file_storage import MediaFileKind
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext
from streamlit.runtime.uploaded_file_manager import UploadedFileManager

from app import internals
from duo_core.__main__ import main


@pytest.fixture(autouse=True)
def asked_anew():
    internals.check.cache_clear()
    yield
    internals.check.cache_clear()


def spooling(monkeypatch):
    monkeypatch.setattr(MultiPartParser, "spool_max_size", 1 << 20)
    monkeypatch.setattr(internals, "keep_uploads_in_memory", lambda: None)  # as where the limit has another name


def without_limit(monkeypatch):
    monkeypatch.delitem(config._config_options_template, "server.maxUploadSize")


def forgetting(monkeypatch):
    monkeypatch.setattr(internals, "keep_downloads_for_a_while", lambda: None)  # as where a file is marked by another name
    monkeypatch.setattr(MediaFileMetadata, "mark_for_delete", lambda file: setattr(file, "_is_marked_for_delete", True))
    monkeypatch.setattr(MediaFileMetadata, "is_marked_for_delete", property(lambda file: file._is_marked_for_delete))


CHANGES = {
    "uploads stay in memory": [spooling, lambda patch: patch.delattr(MultiPartParser, "parse")],
    "downloads wait to be fetched": [
        forgetting,
        lambda patch: patch.delattr(MediaFileManager, "remove_orphaned_files"),
        lambda patch: patch.setattr(MediaFileManager, "remove_orphaned_files", lambda _: None),
    ],
    "a session's uploads can be dropped": [
        lambda patch: patch.delattr(UploadedFileManager, "remove_session_files"),
        lambda patch: patch.setattr(internals, "_known_of_a_run", lambda: {"page_script_hash", "is_history_navigation"}),
    ],
    "the size of uploads can be limited": [without_limit, lambda patch: patch.delattr(config, "set_option")],
    "uploads can be counted": [lambda patch: patch.setattr(MemoryUploadedFileManager, "__init__", lambda *_: None)],
    "a guard can stand before it": [
        lambda patch: patch.delattr(streamlit, "App"),
        lambda patch: patch.setattr(streamlit, "App", lambda script: script),
    ],
    "a page and a step back are known": [
        lambda patch: patch.delattr(StreamlitPage, "_script_hash"),
        lambda patch: patch.delattr(ScriptRunContext, "page_script_hash"),
    ],
}


def test_it_all_holds_here():
    internals.check()


def downloads(monkeypatch):
    """A server's files, one of them made as its button was pressed, a clock, and whether that file is there."""
    internals.keep_downloads_for_a_while()
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(internals, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    manager = MediaFileManager(MemoryMediaFileStorage("/media"))
    button = manager.add_deferred(lambda: b"a report", "text/html", "main.0", "report.html")
    url = manager.execute_deferred(button)
    return manager, clock, lambda: manager.read_file(url.rpartition("/")[2]) is not None


def test_a_file_that_was_asked_for_can_be_fetched_while_others_click(monkeypatch):
    manager, clock, is_there = downloads(monkeypatch)
    for _ in range(50):  # runs of many sessions that end before the browser has fetched it
        clock.now += internals.KEPT / 60
        manager.clear_session_refs("another")
        manager.remove_orphaned_files()
        assert is_there()
    clock.now += internals.KEPT
    manager.remove_orphaned_files()
    assert not is_there()


def test_a_picture_that_no_page_shows_is_dropped_at_once(monkeypatch):
    manager, *_ = downloads(monkeypatch)
    picture = manager._storage.load_and_get_id(b"shown once", "image/png", MediaFileKind.MEDIA)
    manager._file_metadata[picture] = MediaFileMetadata(MediaFileKind.MEDIA)
    manager.remove_orphaned_files()
    assert picture not in manager._file_metadata


@pytest.mark.parametrize(("what", "change"), [(what, change) for what, changes in CHANGES.items() for change in changes])
def test_what_has_changed_is_said_in_one_sentence_before_anything_is_served(monkeypatch, capsys, what, change):
    monkeypatch.setattr("sys.path", ["", *sys.path])
    monkeypatch.chdir(ROOT)
    change(monkeypatch)
    assert main(["app", "--port", "1"]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(
        rf"duo app: expected of the web server that {what}, got otherwise from streamlit {streamlit.__version__}, "
        r"starlette [\d.]+; pip install streamlit==[\d.]+ starlette==[\d.]+\n",
        said,
    )


def test_every_thing_it_rests_on_can_fail():
    assert {f"that {what}" for what in CHANGES} == set(internals.RESTS_ON)


def test_the_versions_it_names_are_those_that_are_tested():
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split() if "==" in line)
    assert {package: pinned[package] for package in internals.TESTED} == internals.TESTED
