"""Imports go one way: a room imports only rooms above it, and the dashboard's rooms open without the libraries of models."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "duo_core"
ORDER = [
    "__init__",
    "common",
    "logits",
    "images",
    "models",
    "inference",
    "metrics",
    "training",
    "systems",
    "formats",
    "analysis",
    "figures",
    "wording",
    "report",
    "teaching",
    "deploy",
    "cluster",
    "cli",
    "warmup",
    "__main__",
]
"""The rooms of duo_core, first to last; a folder is one room."""

MODEL_LIBRARIES = {"torchvision", "timm", "fvcore"}
MODEL_ROOMS = {"images", "models", "inference", "training"}
NEVER = {"streamlit", "app"}
DASHBOARD = ["duo_core.logits.store", "duo_core.systems.sweep", "duo_core.figures"]
STARTS = {"cli/serving.py": {"streamlit", "app", "warmup"}}
"""What starts the dashboard, and what it names for that; it imports none of it otherwise."""


def imported(source: str, package: str) -> Iterator[str]:
    """Dotted names of everything a source imports, at any depth, by string too; relative imports start from `package`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def named(source: str) -> Iterator[str]:
    """Texts that are handed to `import_module` or `__import__`, or stand in what a loop hands to it."""
    tree = ast.parse(source)
    loops = {
        node.target.id: node.iter for node in ast.walk(tree) if isinstance(node, ast.For) and isinstance(node.target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__"):
            for value in node.args[:1]:
                whence = loops.get(value.id, value) if isinstance(value, ast.Name) else value
                yield from (
                    part.value for part in ast.walk(whence) if isinstance(part, ast.Constant) and isinstance(part.value, str)
                )


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
    above, started = ORDER[: ORDER.index(room)], STARTS.get(path, set())
    found = []
    for name, by_string in [*((name, False) for name in imported(source, package)), *((name, True) for name in named(source))]:
        library, other = name.split(".")[0], room_of(name)
        if by_string and {library, other} & started:
            continue
        if library in NEVER or (library in MODEL_LIBRARIES and room not in MODEL_ROOMS):
            found.append(f"{path} imports {library}")
        if other not in {None, room, *above}:
            found.append(f"{path} imports {other}, which does not stand above {room}")
    return found


def files() -> list[str]:
    return sorted(str(file.relative_to(PACKAGE).as_posix()) for file in PACKAGE.rglob("*.py"))


def test_every_file_belongs_to_a_room_of_the_order_and_rooms_are_few():
    found = {file.split("/")[0].removesuffix(".py") for file in files()}
    assert found == set(ORDER), "a room is added to ORDER below all that it imports, and taken out of it when it is gone"
    assert len(ORDER) <= 20


@pytest.mark.parametrize("file", files())
def test_a_file_imports_only_what_stands_above_it(file):
    assert violations(file, (PACKAGE / file).read_text(encoding="utf-8")) == []


SYSTEMS = "imports systems, which does not stand above metrics"


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("metrics/loops.py", "from duo_core.systems.sweep import table", SYSTEMS),
        ("metrics/loops.py", "from duo_core import common, systems", SYSTEMS),
        ("metrics/loops.py", "import duo_core.systems.sweep as s", SYSTEMS),
        ("metrics/loops.py", "from ..systems import sweep", SYSTEMS),
        ("metrics/__init__.py", "from ..systems.sweep import table", SYSTEMS),
        ("metrics/loops.py", "from .. import systems", SYSTEMS),
        ("metrics/loops.py", "def f():\n    from duo_core.systems.sweep import table", SYSTEMS),
        ("metrics/loops.py", "import importlib\nimportlib.import_module('duo_core.systems.sweep')", SYSTEMS),
        ("metrics/loops.py", "from importlib import import_module as i\n__import__('duo_core.systems')", SYSTEMS),
        ("metrics/loops.py", "for m in ('json', 'duo_core.systems'):\n    importlib.import_module(m)", SYSTEMS),
        ("images/sources.py", "from ..models import zoo", "imports models, which does not stand above images"),
        ("metrics/loops.py", "import timm.data", "imports timm"),
        ("figures/zoo.py", "importlib.import_module('torchvision.models')", "imports torchvision"),
        ("logits/store/sets.py", "from torchvision.models import resnet18", "imports torchvision"),
        ("models/zoo/names.py", "def f():\n    import streamlit as st", "imports streamlit"),
        ("figures/zoo.py", "from app.state import pair", "imports app"),
        ("cli/serving.py", "import streamlit", "imports streamlit"),
    ],
)
def test_the_checker_sees_what_must_not_be_imported(path, source, complaint):
    assert violations(path, source) == [f"{path} {complaint}"]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("systems/sweep.py", "import numpy as np\nfrom duo_core import __doc__, common\nfrom ..metrics import METRICS"),
        (
            "models/zoo/table.py",
            "import timm\nfrom . import loading\nfrom .loading import load\nfrom ..transforms import Transform",
        ),
        ("common/arrays.py", "import duo_core_other.sweep\nimport_module('json')"),
        ("cli/serving.py", "importlib.import_module('app.state')"),
    ],
)
def test_the_checker_lets_the_rest_be(path, source):
    assert violations(path, source) == []


def test_the_dashboard_opens_without_the_libraries_that_build_models():
    looked = f"print(sorted({MODEL_LIBRARIES!r} & set(sys.modules)))"
    script = "import sys\n" + "".join(f"import {room}\n{looked}\n" for room in DASHBOARD)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("[]\n" * len(DASHBOARD), "")
