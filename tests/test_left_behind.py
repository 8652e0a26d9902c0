"""Folders and files beside their place: those of killed processes go, those of others stay."""

import os
import subprocess
import sys
import time

import pytest

from duo_core.common import files
from duo_core.common.files import clear_left_behind, replaced, replaced_folder, restore_folder

WRITER = """
import pathlib, sys, time
from duo_core.common import files
files.RECENT = 0
with files.replaced_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "weights").write_text("half")
    print(folder.name, flush=True)
    time.sleep(100)
"""
DEAD = 999_999_999


@pytest.fixture
def writers(tmp_path):
    """Starts processes that write a folder and wait in the midst of it."""
    started = []

    def start():
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "duo")], stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, tmp_path / process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(files, "RECENT", 0)


@pytest.mark.usefixtures("at_once")
def test_of_three_writers_the_killed_one_is_cleared_and_the_living_one_stays(writers, tmp_path):
    (killed, half), (_, alive) = writers(), writers()
    killed.kill()
    killed.wait()
    assert (half / "weights").exists()
    with replaced_folder(tmp_path / "duo") as folder:
        (folder / "weights").write_text("whole")
        assert not half.exists()
        assert (alive / "weights").read_text() == "half"
    assert (tmp_path / "duo" / "weights").read_text() == "whole"
    assert {place.name for place in tmp_path.iterdir()} == {"duo", alive.name}


def test_what_was_touched_just_now_may_be_of_another_machine(tmp_path):
    left = tmp_path / f".duo.new.{DEAD}"
    (left / "deep").mkdir(parents=True)
    (left / "deep" / "weights").write_text("half")
    for path in (left, left / "deep"):
        os.utime(path, (time.time() - 1000,) * 2)
    clear_left_behind(tmp_path, "duo.new")
    assert left.exists()
    os.utime(left / "deep" / "weights", (time.time() - 1000,) * 2)
    clear_left_behind(tmp_path, "duo.new")
    assert not left.exists()


@pytest.mark.usefixtures("at_once")
def test_other_names_stay(tmp_path):
    others = [f".other.new.{DEAD}", f".duo.new.{DEAD}x", f"duo.new.{DEAD}", f".duo.newer.{DEAD}", f".duo.new.{os.getpid()}"]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / f".duo.new.{DEAD}").symlink_to(tmp_path / others[0], target_is_directory=True)
    clear_left_behind(tmp_path, "duo.new")
    assert sorted(place.name for place in tmp_path.iterdir()) == sorted(others)


@pytest.mark.usefixtures("at_once")
def test_a_lock_does_not_clear_folders_of_the_living(tmp_path):
    (tmp_path / ".duo.new.1").mkdir()
    clear_left_behind(tmp_path, alone=True)
    assert (tmp_path / ".duo.new.1").exists()


@pytest.mark.usefixtures("at_once")
def test_a_folder_that_was_about_to_be_replaced_is_given_back(tmp_path):
    old = tmp_path / f".duo.old.{DEAD}"
    old.mkdir()
    (old / "weights").write_text("whole")
    restore_folder(tmp_path / "duo")
    assert (tmp_path / "duo" / "weights").read_text() == "whole"
    old.mkdir()
    restore_folder(tmp_path / "duo")  # which is there
    assert old.exists()
    with pytest.raises(RuntimeError), replaced_folder(tmp_path / "duo") as folder:
        (folder / "weights").write_text("half")
        raise RuntimeError
    assert (tmp_path / "duo" / "weights").read_text() == "whole"
    assert [place.name for place in tmp_path.iterdir()] == ["duo"]


def test_the_folder_of_a_living_process_is_not_taken_back(tmp_path):
    (tmp_path / f".duo.old.{os.getpid()}").mkdir()
    restore_folder(tmp_path / "duo")
    assert not (tmp_path / "duo").exists()
    restore_folder(tmp_path / "nowhere" / "duo")


@pytest.mark.usefixtures("at_once")
def test_files_are_cleared_as_folders_are(tmp_path):
    for process in (DEAD, 1):
        (tmp_path / f".pairs.csv.{process}").write_text("half")
    with replaced(tmp_path / "pairs.csv") as beside:
        beside.write_text("whole")
    assert {place.name for place in tmp_path.iterdir()} == {"pairs.csv", ".pairs.csv.1"}
