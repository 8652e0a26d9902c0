"""What the dashboard rests on in its libraries is asked for at start, and said when it has changed."""

import re
import sys

import pytest
import streamlit
from browsing import ROOT
from starlette.formparsers import MultiPartParser
from streamlit import config
from streamlit.navigation.page import StreamlitPage
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


CHANGES = {
    "uploads stay in memory": [spooling, lambda patch: patch.delattr(MultiPartParser, "parse")],
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
