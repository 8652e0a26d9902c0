"""The wheel as somebody installs it: built, put into an environment of its own, and run from a folder of theirs."""

import asyncio
import json
import os
import re
import shutil
import site
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import logit_files
import pictures
import pytest
import websockets
from browsing import ROOT, free_port, wait_until_healthy
from outlived import started
from packaging.metadata import Metadata
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from app import glossary
from benchmarks.wire import Browser
from duo_core import __version__
from duo_core.logits.store import DEFAULT_STORE, Store
from duo_core.systems.sweep import evaluate

SOURCES = ["app", ".streamlit", "data", "docs", "duo_core", "pyproject.toml", "setup.py", "README.md", "LICENSE"]
SHIPPED = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "data" / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
MODELS = """\
import torch
from torch import nn


def net(num_classes=2):
    torch.manual_seed(num_classes)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))
"""


class Installed(NamedTuple):
    """An environment that has the wheel, a folder to work in, and a home."""

    environment: Path
    away: Path
    home: Path

    @property
    def package(self) -> Path:
        return next(self.environment.glob("lib/python*/site-packages")) / "duo_core"

    @property
    def python(self) -> Path:
        return self.environment / "bin" / "python"

    @property
    def own_sets(self) -> Path:
        return self.home / ".local" / "share" / "asymmetric-duos-explorer"

    @property
    def variables(self) -> dict[str, str]:
        """A user's environment, without what this one has for tests and checkouts."""
        ours = ("DUO_", "PYTHON", "STREAMLIT_", "XDG_", "NUMBA_")
        return {key: value for key, value in os.environ.items() if not key.startswith(ours)} | {"HOME": str(self.home)}

    def command(self, *arguments: str) -> list[str]:
        return [str(self.environment / "bin" / "duo"), *arguments]

    def duo(self, *arguments: str, status: int = 0, **variables: str) -> str:
        """What a command prints; on standard error where it is to fail."""
        run = subprocess.run(
            self.command(*arguments), cwd=self.away, env=self.variables | variables, capture_output=True, text=True, check=False
        )
        assert run.returncode == status, run.stderr
        return run.stderr if status else run.stdout

    def several(self, *commands: tuple[str, ...], **variables: str) -> list[str]:
        """What several commands print, in one process: nine tenths of most is to load libraries."""
        code = f"from duo_core.__main__ import main\nfor words in {commands!r}: print(chr(0) + str(main(words)))"
        run = subprocess.run(
            [self.python, "-c", code], cwd=self.away, env=self.variables | variables, capture_output=True, text=True, check=False
        )
        *said, rest = run.stdout.split("\0")
        assert (len(said), rest) == (len(commands), "0\n"), run.stderr
        return [text.removeprefix("0\n") for text in said]


def pip(*arguments: str) -> str:
    """What this environment's pip says; it asks no other machine for anything."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, "--no-deps"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PIP_NO_INDEX": "1"})
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the tools of requirements-dev.txt, in a folder of links, since a build leaves things beside its sources."""
    pytest.importorskip("pip", reason="this environment has no pip")
    folder, built = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for source in [*SOURCES, *(file.name for file in ROOT.glob("requirements*.txt"))]:
        (folder / source).symlink_to(ROOT / source)
    said = pip("wheel", "--verbose", "--no-build-isolation", "-w", str(built), str(folder))
    assert "SetuptoolsDeprecationWarning" not in said
    assert "would be ignored" not in said
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment that has the wheel, and beside it the libraries of the one that runs the tests.

    It reads their folder as it reads its own, but not that folder's .pth files, one of which leads to the checkout.
    """
    made = Installed(*(tmp_path_factory.mktemp(name) for name in ("environment", "away", "home")))
    venv.create(made.environment, symlinks=True)
    (made.package.parent / "beside.pth").write_text("".join(f"{folder}\n" for folder in site.getsitepackages()))
    pip("--python", str(made.python), "install", str(wheel))
    bring_compiled(made.package)
    return made


def bring_compiled(package: Path) -> None:
    """Bring what numba has compiled of the checkout's loops, which are the same, to the byte; to compile them takes half a minute.

    It asks that a source has the size and the time of the one that it compiled; where the checkout's is not compiled, it compiles.
    """
    for index in (ROOT / "duo_core").rglob("__pycache__/*.nbi"):
        source = index.parents[1] / f"{index.name.partition('.')[0]}.py"
        there = package / source.relative_to(ROOT / "duo_core")
        if there.is_file() and there.read_bytes() == source.read_bytes():
            os.utime(there, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
            for kept in index.parent.glob(f"{index.stem}.*"):
                (there.parent / "__pycache__").mkdir(exist_ok=True)
                shutil.copy2(kept, there.parent / "__pycache__")


def files(folder: Path) -> dict[str, int]:
    """Size of every file by its path; what is compiled on the way left out."""
    found = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {str(file.relative_to(folder)): file.stat().st_size for file in found}


def test_it_has_one_package_and_all_that_the_dashboard_reads(installed):
    record = next(installed.package.parent.glob("asymmetric_duos_explorer-*.dist-info"))
    assert {path.name for path in installed.package.parent.iterdir()} == {"beside.pth", "duo_core", record.name}
    inside = files(installed.package / "_shipped")
    wanted = {f"app/{name}": size for name, size in files(ROOT / "app").items()}
    sets = {f"data/{name}/{file}": size for name in SHIPPED for file, size in files(ROOT / "data" / name).items()}
    wanted |= {name: size for name, size in sets.items() if "/." not in name}  # hidden is what a writer leaves
    wanted |= {name: (ROOT / name).stat().st_size for name in (".streamlit/config.toml", "docs/glossary.md", "data/README.md")}
    assert inside == wanted
    of_the_package = {name: size for name, size in files(installed.package).items() if not name.startswith("_shipped")}
    assert of_the_package == files(ROOT / "duo_core")


def test_it_says_its_version(installed):
    assert installed.duo("--version") == f"duo {__version__}\n"
    metadata = next(installed.package.parent.glob("*.dist-info")) / "METADATA"
    assert f"\nVersion: {__version__}\n" in metadata.read_text(encoding="utf-8")


def test_what_it_says_of_itself_is_what_an_index_takes(installed):
    text = (next(installed.package.parent.glob("*.dist-info")) / "METADATA").read_text(encoding="utf-8")
    said = Metadata.from_email(text, validate=True)
    assert said.license_expression == "MIT"
    assert said.description_content_type == "text/markdown"
    assert {"models", "onnx"} <= set(said.provides_extra or ())
    assert "# Asymmetric Duos Explorer" in (said.description or "")


def test_the_shipped_sets_give_what_they_give_in_a_checkout(installed):
    fit = ("fit", "--set", "cifar10", "--base", "resnet56", "--sidekick", "resnet20", "--json")
    sets, found = map(json.loads, installed.several(("sets", "--json"), fit))
    assert sorted(own["name"] for own in sets) == sorted(SHIPPED)
    here = evaluate(Store(DEFAULT_STORE).open("cifar10"), "resnet56", "resnet20")
    assert found == json.loads(json.dumps(here.document()))


def test_what_is_made_lies_among_the_users_data(installed):
    before = files(installed.package)
    (installed.away / "nets.py").write_text(MODELS)
    pictures.folder(installed.away / "images", {"cat": 6, "dog": 6})
    (installed.away / "mine.npz").write_bytes(logit_files.npz(logit_files.arrays()))
    settings = {"input_size": [3, 8, 8], "mean": [0.5] * 3, "std": [0.5] * 3, "resize": None, "crop": False}
    logits = ("logits", "--set", "pets", "--images", "test=images", "--fit", "4", "--models", "nets:net", "--no-throughput")
    said, *_, sets = installed.several(
        (*logits, "--workers", "0", "--transform", f"net={json.dumps(settings)}"),
        ("import", "mine.npz", "--set", "mine"),
        ("sweep", "--set", "cifar10-seeds", "--out", "pairs.csv"),
        ("sets", "--json"),
        PYTHONPATH=str(installed.away),
    )
    assert "computed net" in said
    assert {found["name"] for found in json.loads(sets)} == {*SHIPPED, "pets", "mine"}
    assert {path.name for path in installed.own_sets.iterdir()} == {"pets", "mine", ".results"}
    assert files(installed.package) == before


def test_shipped_sets_are_only_read(installed):
    before = files(installed.package)
    said = installed.duo("sets", "cifar10", "--seal", status=2)
    assert said.startswith("duo sets: expected a set of your own to write to, got 'cifar10', which came with the package; name")
    assert files(installed.package) == before


@contextmanager
def serving(installed: Installed, log: Path) -> Iterator[str]:
    port = free_port()
    command, own = installed.command("app", "--port", str(port)), {"cwd": installed.away, "env": installed.variables}
    with started(command, log, str(installed.python), **own) as process:
        wait_until_healthy(f"http://127.0.0.1:{port}/_stcore/health", process, log)
        yield f"ws://127.0.0.1:{port}/_stcore/stream"


class Visitor(Browser):
    """A browser that keeps what the server says of itself."""

    def _new_session(self, message: ForwardMsg) -> None:
        super()._new_session(message)
        self.told = message.new_session


async def visit(address: str) -> tuple[Visitor, list[str]]:
    """Open the first page, then Method; what both say."""
    protocol = [websockets.Subprotocol("streamlit")]
    async with websockets.connect(address, subprotocols=protocol, max_size=None, ping_interval=None) as stream:
        browser = Visitor(stream)
        await browser.send()
        first = browser.elements.copy()
        await browser.open("method")
        both = [*first.values(), *browser.elements.values()]
    return browser, [str(getattr(element, element.WhichOneof("type"))) for element in both]


def test_the_dashboard_opens_from_another_folder(installed, tmp_path):
    log = tmp_path / "streamlit.log"
    with serving(installed, log) as address:
        browser, said = asyncio.run(visit(address))
    config, theme = browser.told.config, browser.told.custom_theme
    assert not config.gather_usage_stats
    assert theme.light.primary_color == "#1f5fa8"
    assert theme.dark.primary_color == "#5f9be3"
    assert not [element for element in said if "Traceback" in element or "expected" in element]
    for text in [*SHIPPED, *(term.name for term in glossary.terms())]:
        assert any(text in element for element in said), text
    assert not re.findall("Traceback|restart", log.read_text(errors="replace"))


def test_it_needs_no_folder_to_keep_compiled_code_in(installed):
    """A file in each cache's place keeps out even those who may write everywhere."""
    for cache in list(installed.package.rglob("__pycache__")):
        cache.rename(cache.with_name("moved"))
        cache.touch()
    assert len(json.loads(installed.duo("sets", "--json", HOME=os.devnull))) == len(SHIPPED)
