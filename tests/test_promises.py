"""Each promise names tests, and those are there."""

import ast
import re

import pytest
from browsing import ROOT

from duo_core.common.arrays import InputError
from duo_core.models import zoo

NAMED = re.compile(r"`(test_\w+)::(test_\w+)`")
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
PROMISES = [
    promise
    for section in re.split(r"^## ", TEXT, flags=re.MULTILINE)
    if section.startswith("What is promised")
    for promise in re.split(r"^\* ", section, flags=re.MULTILINE)[1:]
]


def defined(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / f"{file}.py").read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.strip("*").split("**")[0][:40])
def test_every_promise_names_tests_that_are_there(promise):
    named = NAMED.findall(promise)
    assert named
    for file, test in named:
        assert test in defined(file), f"{file}::{test}"


def test_there_are_promises_of_all_that_comes_from_others():
    assert len(PROMISES) >= 15
    for what in ("uploads", "Sets", "Checkpoints", "YAML", "module:callable", "exported", "Reports", "public mode"):
        assert what in TEXT


def test_a_list_of_models_runs_no_code(tmp_path):
    (tmp_path / "models.yaml").write_text(f"models: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\n")
    with pytest.raises(InputError, match=r"models.yaml' is no YAML file"):
        zoo.resolve(str(tmp_path / "models.yaml"))
    assert not (tmp_path / "made").exists()
