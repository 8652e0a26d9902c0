"""What is imported is declared, what is declared is used, and the versions that are tested satisfy both."""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from browsing import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOOLS = {"pytest-xdist", "ruff", "mypy", "types-pyyaml", "setuptools"}
"""What is run and not imported."""
WHERE_INSTALLED = {"h5py", "onnx", "onnxscript", "onnxruntime", "aiohttp"}
"""What the package uses where it finds it."""
ELSEWHERE = {"ray"}
"""What the package uses where it finds it, and whose tests are skipped where it is not: it is large."""
PACKAGES = ["duo_core", "app"]
OURS = ("requirements-light.txt", "requirements-models.txt")
"""What looking at sets needs, and what builds and runs models."""


def declared(*files: str) -> dict[str, Requirement]:
    """Requirements by the canonical name of what is required."""
    lines = [line.partition("#")[0].strip() for file in files for line in (ROOT / file).read_text(encoding="utf-8").splitlines()]
    found = map(Requirement, filter(None, lines))
    return {str(canonicalize_name(requirement.name)): requirement for requirement in found}


def imported(source: str) -> Iterator[str]:
    """Packages that a source imports, at any depth and by name; none that are relative."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and re.search(r"\b(import_module|importorskip|find_spec)$", ast.unparse(node.func)):
            yield from (argument.value.partition(".")[0] for argument in node.args if _is_text(argument))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@cache
def imported_by(source: Path) -> frozenset[str]:
    return frozenset(imported(source.read_text(encoding="utf-8")))


def distributions(sources: Iterable[Path]) -> set[str]:
    """Canonical names of what has to be installed for sources to import what they do."""
    beside = {file.stem for folder in ("tests", "benchmarks") for file in (ROOT / folder).glob("*.py")}
    names = {name for source in sources for name in imported_by(source)}
    places = installed()
    foreign = names - {*PACKAGES, "benchmarks", "pip"} - beside - sys.stdlib_module_names
    return {str(canonicalize_name(places.get(name, [name])[0])) for name in foreign}


installed = cache(packages_distributions)


def sources(*folders: str) -> list[Path]:
    return [file for folder in folders for file in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import torch.nn as nn, json", ["torch", "json"]),
        ("def f():\n    from PIL import Image", ["PIL"]),
        ("from . import loops\nfrom .loops import one", []),
        ("import importlib\nimportlib.import_module('h5py.h5')", ["importlib", "h5py"]),
        ("found = util.find_spec('onnx') or find_spec(name)", ["onnx"]),
    ],
)
def test_imports_are_seen(source, names):
    assert list(imported(source)) == names


def test_one_file_has_what_either_part_needs():
    lines = [set((ROOT / name).read_text(encoding="utf-8").splitlines()[1:]) for name in ("requirements.txt", *OURS)]
    assert lines[0] == lines[1] | lines[2]
    assert not lines[1] & lines[2]


def test_what_the_package_imports_is_declared():
    assert distributions(sources(*PACKAGES)) - WHERE_INSTALLED - ELSEWHERE <= declared(*OURS).keys()
    assert declared("requirements-dev.txt").keys() >= WHERE_INSTALLED
    assert declared("requirements-cluster.txt").keys() == ELSEWHERE


def test_what_is_declared_is_imported_by_the_package():
    assert declared(*OURS).keys() <= distributions(sources(*PACKAGES))


def test_what_tests_and_benchmarks_import_is_declared():
    ours = declared(*OURS)
    tests, benchmarks = declared("requirements-dev.txt"), declared("benchmarks/requirements.txt")
    assert distributions(sources("tests", "docs")) - ELSEWHERE <= {*ours, *tests}
    assert distributions(sources("benchmarks", "data")) - ELSEWHERE <= {*ours, *benchmarks}


def test_what_is_declared_for_tests_is_used_by_them_alone():
    tests = declared("requirements-dev.txt")
    assert tests.keys() - TOOLS - WHERE_INSTALLED <= distributions(sources("tests"))
    assert not tests.keys() & declared(*OURS).keys()


def test_the_versions_that_are_tested_satisfy_what_is_declared():
    pinned = declared("constraints.txt")
    assert all(re.fullmatch(r"==[^,*]+", str(requirement.specifier)) for requirement in pinned.values())
    for name, wanted in declared(*OURS, "requirements-dev.txt", "requirements-onnx.txt").items():
        assert name in pinned, name
        (version,) = pinned[name].specifier
        assert wanted.specifier.contains(version.version, prereleases=True), (str(wanted), str(pinned[name]))
