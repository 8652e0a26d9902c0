"""What users import by name is there, is told about, is typed, and costs nothing until it is asked for."""

import ast
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browsing import ROOT

import duo_core

STUB = ROOT / "duo_core" / "__init__.pyi"
HEAVY = {"torch", "numpy", "pandas", "torchvision", "timm", "fvcore", "streamlit"}


def modules_after(code: str) -> set[str]:
    """Top-level packages that a fresh Python has loaded after some code."""
    line = f"{code}\nimport sys\nprint(*(name for name in sys.modules if '.' not in name))"
    return set(subprocess.run([sys.executable, "-c", line], check=True, capture_output=True, text=True, cwd=ROOT).stdout.split())


@pytest.mark.parametrize("name", duo_core.__all__)
def test_a_public_name_is_there_and_told_about(name):
    value, room = getattr(duo_core, name), duo_core._PUBLIC[name]
    if room:
        assert value is getattr(importlib.import_module(f"duo_core.{room}"), name)
    if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
        assert len(inspect.getdoc(value) or "") > 30
        assert not value.__doc__.startswith(f"{name}("), "a dataclass without a docstring writes its own"
    else:
        assert f"`{name}`" in duo_core.__doc__


def test_no_public_name_hides_a_room():
    rooms = {name for name in duo_core.__all__ if importlib.util.find_spec(f"duo_core.{name}")}
    assert rooms == {name for name, room in duo_core._PUBLIC.items() if not room}


def test_what_type_checkers_read_says_the_same():
    found = {}
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            room = node.module.removeprefix("duo_core").removeprefix(".")
            found |= {alias.name: room for alias in node.names if alias.asname == alias.name}
    assert found == duo_core._PUBLIC


def test_names_are_in_order_and_in_dir():
    assert list(duo_core.__all__) == sorted(duo_core.__all__)
    assert set(duo_core.__all__) <= set(dir(duo_core))


def test_another_name_is_refused_as_python_does():
    with pytest.raises(AttributeError, match="module 'duo_core' has no attribute 'sweeep'"):
        duo_core.sweeep  # noqa: B018


def test_importing_the_package_loads_nothing_else():
    assert not modules_after("import duo_core; duo_core.__version__; dir(duo_core)") & HEAVY


def test_no_public_name_loads_the_libraries_of_models_or_of_pages():
    loaded = modules_after(f"from duo_core import {', '.join(duo_core.__all__)}")
    assert "torch" in loaded
    assert not loaded & {"torchvision", "timm", "fvcore", "streamlit"}


def test_the_example_of_the_readme_runs(capsys, monkeypatch):
    monkeypatch.delenv("DUO_STORE", raising=False)
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    exec(code, {})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("Temperatures(base=0.24")
    assert second.count(",") == 2


def test_the_pages_name_every_name_and_are_built_without_a_warning(tmp_path):
    pytest.importorskip("pdoc", reason="requirements-dev.txt is not installed")
    line = [sys.executable, "-W", "error", str(ROOT / "docs" / "build.py"), str(tmp_path)]
    done = subprocess.run(line, check=False, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"see {tmp_path / 'duo_core.html'}\n"
    page = (tmp_path / "duo_core.html").read_text(encoding="utf-8")
    for name, room in duo_core._PUBLIC.items():
        assert f'id="{name}"' in page if room else (tmp_path / "duo_core" / f"{name}.html").exists()
    assert str(Path.home()) not in page


def test_every_page_of_the_site_is_there_and_its_links_lead_to_pages(tmp_path):
    spec = importlib.util.spec_from_file_location("build", ROOT / "docs" / "build.py")
    build = importlib.util.module_from_spec(spec)
    pytest.importorskip("markdown2", reason="requirements-dev.txt is not installed")
    spec.loader.exec_module(build)
    places = build.placed()
    assert len(places) > 40
    files = {*places.values(), "duo_core.html"}
    for source, target in places.items():
        page = build.html(source, places)
        assert "<h1" in page
        for link in re.findall(r'(?:href|src)="([^"#:]+)["#]', page):
            path = os.path.normpath(os.path.join(os.path.dirname(target), link))
            assert path in files or (ROOT / "docs" / path).exists(), (source, link)
        assert not re.findall(r'(?:src|<link[^>]*href)="https?:', page)
