"""Where the sets of a user lie, and how those that came with the package stand beside them."""

import os
import sys
from pathlib import Path

import logit_files
import pytest
from logit_sets import write_set

from app.state import saving
from duo_core.__main__ import main
from duo_core.cli import serving
from duo_core.common import places
from duo_core.common.arrays import InputError
from duo_core.logits.store import Store, default_store

HOME = Path("/home/someone")


@pytest.fixture
def wheel(monkeypatch, tmp_path):
    """As in an installed wheel with one shipped set, `toy`, for a user who has none."""
    monkeypatch.delenv("DUO_STORE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(places, "INSTALLED", True)
    monkeypatch.setattr("duo_core.logits.store.sets.DEFAULT_STORE", write_set(tmp_path / "shipped"))
    return tmp_path / "data" / "asymmetric-duos-explorer"


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, HOME / ".local/share"),
        ("linux", {"XDG_DATA_HOME": "/mnt/data"}, Path("/mnt/data")),
        ("linux", {"XDG_DATA_HOME": "data"}, HOME / ".local/share"),
        ("darwin", {}, HOME / "Library/Application Support"),
        ("win32", {"LOCALAPPDATA": "/someone/local"}, Path("/someone/local")),
    ],
)
def test_what_a_user_makes_lies_where_the_system_has_such_things(monkeypatch, platform, variables, folder):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: HOME)
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert places.user_data() == folder / "asymmetric-duos-explorer"


def test_who_has_no_home_is_told_what_to_do(monkeypatch):
    def nowhere():
        raise RuntimeError

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(InputError, match="expected a home folder to keep logit sets in, got none; name a folder with DUO_STORE"):
        places.user_data()


def test_a_checkout_keeps_its_sets_itself(monkeypatch):
    monkeypatch.delenv("DUO_STORE", raising=False)
    assert default_store() == places.PACKAGE.parent / "data"
    assert Store().own_folder("cifar10") == places.PACKAGE.parent / "data" / "cifar10"


def test_shipped_sets_stand_beside_ones_own(wheel):
    assert default_store() == wheel
    assert Store().names() == ["toy"]
    write_set(wheel, "mine")
    assert Store().names() == ["mine", "toy"]
    assert Store().open("mine").models() == Store().open("toy").models()
    with pytest.raises(InputError, match=r"the store '.*' has mine, toy"):
        Store().open("other")


def test_where_a_folder_is_named_there_are_its_sets_alone(wheel, tmp_path, monkeypatch):
    assert Store(tmp_path / "named").names() == []
    monkeypatch.setenv("DUO_STORE", str(tmp_path / "named"))
    assert Store().names() == []


def test_a_shipped_set_is_not_written_to(wheel, tmp_path, capsys):
    (tmp_path / "mine.npz").write_bytes(logit_files.npz(logit_files.arrays()))
    shipped = sorted((tmp_path / "shipped").rglob("*"))
    for command in (
        ["sets", "toy", "--seal"],
        ["import", str(tmp_path / "mine.npz"), "--set", "toy"],
        ["logits", "--set", "toy", "--images", "test=nowhere", "--models", "resnet18"],
    ):
        assert main(command) == 2
        assert f"got 'toy', which came with the package; name another, or copy '{tmp_path}" in capsys.readouterr().err
    assert sorted((tmp_path / "shipped").rglob("*")) == shipped
    assert not wheel.exists() or not any(wheel.iterdir())


def test_a_copy_of_a_shipped_set_is_ones_own(wheel):
    write_set(wheel, "toy", models=("large", "middle"))
    assert Store().open("toy").models() == ["large", "middle"]
    assert Store().seal("toy").models() == ["large", "middle"]


def test_uploads_can_be_saved_before_the_first_set_is_there(wheel):
    assert not wheel.exists()
    assert saving.may_save()


def test_paths_in_the_environment_name_what_they_named_where_the_dashboard_was_started(tmp_path, monkeypatch):
    for folder in ("here/pictures", "there"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("DUO_STORE", "sets:new")  # one folder, which is yet to be made
    monkeypatch.setenv("DUO_IMAGES", os.pathsep.join(["pictures", "torch/cifar10", ""]))
    serving._move_to(tmp_path / "there")
    assert Path.cwd() == tmp_path / "there"
    assert os.environ["DUO_STORE"] == str(tmp_path / "here" / "sets:new")
    assert os.environ["DUO_IMAGES"].split(os.pathsep) == [str(tmp_path / "here" / "pictures"), "torch/cifar10", ""]
