"""Without the libraries that build and run models: every page opens, a duo is taken away, and what needs them says so."""

import os
import subprocess
import sys

import pytest
from browsing import PAGES, ROOT
from packaging.requirements import Requirement

from duo_core.__main__ import OF_MODELS

SCRIPT = """\
import sys
for name in {modules}:
    sys.modules[name] = None  # importing it raises, as where it is not installed
from dashboard import open_page
from app import state
from duo_core.__main__ import main
from duo_core.systems.system import System
for page in {pages}:
    opened = open_page(page, set="cifar10", split="test", base="resnet56", sidekick="resnet20")
    assert not opened.exception and not opened.error, (page, opened.exception, opened.error)
    print(page, flush=True)
for pair in (("resnet56", "resnet20"), ("regnet_y_400mf", "resnet10t")):
    assert state.exported(state.open_set("cifar10"), System(pair), "softmax")()[:2] == b"PK"
assert main(["fit", "--set", "cifar10", "--base", "resnet56", "--sidekick", "resnet20"]) == 0
print("status", main(["cost", "resnet18"]))
"""


@pytest.fixture(scope="module")
def run() -> "subprocess.CompletedProcess[str]":
    variables = {key: value for key, value in os.environ.items() if not key.startswith("DUO_")}
    variables["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    script = SCRIPT.format(modules=sorted(OF_MODELS), pages=PAGES)
    return subprocess.run([sys.executable, "-c", script], env=variables, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_page_opens_and_a_duo_is_taken_away(run):
    assert run.returncode == 0, run.stderr
    assert [line for line in run.stdout.splitlines() if line in PAGES] == PAGES


def test_what_runs_models_says_what_it_lacks(run):
    assert run.stdout.splitlines()[-1] == "status 2"
    said = [line for line in run.stderr.splitlines() if line.startswith("duo cost: ")]
    assert len(said) == 1
    assert "expected the package 'torchvision" in said[0]
    assert "[models]" in said[0]


def test_what_is_blocked_here_is_what_the_extra_brings():
    lines = (ROOT / "requirements-models.txt").read_text(encoding="utf-8").splitlines()
    names = {Requirement(line.partition("#")[0]).name for line in lines if line.partition("#")[0].strip()}
    assert {name.replace("scikit-learn", "sklearn") for name in names} == OF_MODELS
