"""Rooms import only rooms above them; the dashboard opens without the libraries that build models."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "duo_core"

ORDER = [
    "__init__",
    "arrays",
    "blocks",
    "kernels",
    "tallies",
    "plain",
    "files",
    "logits",
    "pixels",
    "transforms",
    "outlines",
    "zoo",
    "cost",
    "images",
    "store",
    "inference",
    "duo",
    "newton",
    "fitting",
    "predictions",
    "metrics",
    "draws",
    "intervals",
    "pairing",
    "formats",
    "sweep",
    "systems",
    "results",
    "analysis",
    "figures",
    "sentences",
    "report",
    "teaching",
    "deploy",
    "cli",
    "warmup",
    "__main__",
]
"""The rooms of duo_core, first to last; a folder is one room."""

MODEL_LIBRARIES = {"torchvision", "timm", "fvcore"}
MODEL_ROOMS = {"transforms", "zoo", "cost", "images", "inference"}
NEVER = {"streamlit", "app"}
DASHBOARD = ["duo_core.store", "duo_core.sweep", "duo_core.figures"]


def imported(source: str, package: str) -> Iterator[str]:
    """Dotted names of everything a source imports, at any depth; `package` is what its relative imports start from."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room_of(name: str) -> str | None:
    """Room that a dotted name lies in, None outside duo_core; what is no room is the package's own."""
    top, *rest = name.split(".")
    if top != "duo_core":
        return None
    return rest[0] if rest and rest[0] in ORDER else "__init__"


def violations(path: str, source: str) -> list[str]:
    """What a file, given by its path under duo_core, imports that it must not."""
    parts = path.removesuffix(".py").split("/")
    room, package = parts[0], ".".join(["duo_core", *parts[:-1]])
    above = ORDER[: ORDER.index(room)]
    found = []
    for name in imported(source, package):
        library, other = name.split(".")[0], room_of(name)
        if library in NEVER or (library in MODEL_LIBRARIES and room not in MODEL_ROOMS):
            found.append(f"{path} imports {library}")
        if other not in {None, room, *above}:
            found.append(f"{path} imports {other}, which does not stand above {room}")
    return found


def files() -> list[str]:
    return sorted(str(file.relative_to(PACKAGE).as_posix()) for file in PACKAGE.rglob("*.py"))


def test_every_file_belongs_to_a_room_of_the_order():
    unknown = {file.split("/")[0].removesuffix(".py") for file in files()} - set(ORDER)
    assert not unknown, "add the room to ORDER, below all that it imports"


@pytest.mark.parametrize("file", files())
def test_a_file_imports_only_what_stands_above_it(file):
    assert violations(file, (PACKAGE / file).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("metrics.py", "from duo_core.sweep import table", "imports sweep, which does not stand above metrics"),
        ("metrics.py", "from duo_core import arrays, sweep", "imports sweep, which does not stand above metrics"),
        ("metrics.py", "import duo_core.sweep as s", "imports sweep, which does not stand above metrics"),
        ("metrics.py", "from .sweep import table", "imports sweep, which does not stand above metrics"),
        ("metrics.py", "from . import sweep", "imports sweep, which does not stand above metrics"),
        (
            "metrics.py",
            "def f():\n    from duo_core.sweep import table",
            "imports sweep, which does not stand above metrics",
        ),
        ("zoo/table.py", "from ..cost import cost", "imports cost, which does not stand above zoo"),
        ("zoo/__init__.py", "from ..cost import cost", "imports cost, which does not stand above zoo"),
        ("metrics.py", "import timm.data", "imports timm"),
        ("store.py", "from torchvision.models import resnet18", "imports torchvision"),
        ("zoo.py", "def f():\n    import streamlit as st", "imports streamlit"),
        ("figures.py", "from app.state import pair", "imports app"),
    ],
)
def test_the_checker_sees_what_must_not_be_imported(path, source, complaint):
    assert violations(path, source) == [f"{path} {complaint}"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("sweep.py", "import numpy as np\nfrom duo_core import __doc__, arrays\nfrom .metrics import METRICS"),
        ("zoo/table.py", "import timm\nfrom . import loading\nfrom .loading import load\nfrom ..transforms import Transform"),
        ("arrays.py", "import duo_core_other.sweep"),
    ],
)
def test_the_checker_lets_the_rest_be(path, source):
    assert violations(path, source) == []


def test_the_dashboard_opens_without_the_libraries_that_build_models():
    ready = [room for room in DASHBOARD if (PACKAGE / f"{room.split('.')[1]}.py").exists()]
    script = f"import sys, {', '.join(ready)}\nprint(sorted({MODEL_LIBRARIES!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("[]\n", "")
