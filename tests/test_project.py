"""What those who carry on rely on: targets that are named exist, and versions are said once."""

import os
import re
import shutil
import subprocess

import pytest
import yaml
from browsing import ROOT

from duo_core import __version__

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORKFLOW = ".github/workflows/ci.yml"
FORMS = sorted(file.name for file in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if file.name != "config.yml")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [WORKFLOW, ".ci/run", "README.md", "CONTRIBUTING.md"])
def test_every_target_that_is_named_is_there(name):
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE)) - {"help"}
    named = set(re.findall(r"(?:^(?:    )?|`|run: )make ([a-z-]+)", text(name), flags=re.MULTILINE))
    assert named
    assert named <= targets


def test_every_target_is_in_the_help():
    targets = re.findall(r"^([a-z-]+):", MAKEFILE, flags=re.MULTILINE)
    assert sorted({*targets} - {"help"}) == sorted(re.findall(r'@echo "make ([\w-]+)  ', MAKEFILE))


def test_the_public_host_runs_what_continuous_integration_runs():
    jobs = yaml.safe_load(text(WORKFLOW))["jobs"]
    commands = {name: next(step["run"] for step in job["steps"] if "run" in step) for name, job in jobs.items()}
    assert commands == {
        "lint": "make lint",
        "test": 'make test ONLY="not browser"',
        "browser": "make test ONLY=browser",
        "nightly": "make nightly",
        "newest": "make newest",
    }
    times = [entry["cron"] for entry in yaml.safe_load(text(WORKFLOW))[True]["schedule"]]  # True is what YAML makes of "on"
    assert all(f"github.event.schedule == '{time}'" in text(WORKFLOW) for time in times)
    assert jobs["browser"]["env"] == {"DUO_REQUIRE_BROWSER": "1"}


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
@pytest.mark.parametrize(
    ("words", "marked"),
    [
        (["ONLY=browser"], ['-m "browser" tests']),
        (["ONLY=not browser"], ['-m "not browser"']),
        ([], ["-m browser tests", '-m "not browser"']),
    ],
    ids=str,
)
def test_each_test_is_in_one_of_two_parts(words, marked):
    """Doctests of the package, which lie outside tests/, among the rest."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("MAKE") and key not in {"MFLAGS", "ONLY"}}
    command = ["make", "-n", "test", "DEV=", *words]
    said = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, check=True).stdout
    lines = [line.rstrip() for line in said.splitlines() if "pytest" in line]
    assert len(lines) == len(marked)
    assert all(re.search(f"-n \\w+ .*{re.escape(end)}( >|$)", line) for line, end in zip(lines, marked, strict=True)), lines


@pytest.mark.parametrize("name", FORMS)
def test_forms_ask_for_what_mends_a_problem(name):
    form = yaml.safe_load(text(f".github/ISSUE_TEMPLATE/{name}"))
    assert {"name", "description", "body"} <= form.keys()
    fields = {field["id"]: field["attributes"] for field in form["body"]}
    assert len(fields) == len(form["body"])
    assert all({"label", "description"} <= attributes.keys() for attributes in fields.values())


def test_the_citation_is_of_this_version_and_names_the_paper():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == __version__
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Zhou", "Shelhamer", "Pleiss"]
    assert paper["url"] in text("README.md")


def test_the_version_is_written_in_no_other_place():
    wheel = f"asymmetric_duos_explorer-{__version__}-py3-none-any.whl"
    assert re.findall(r"asymmetric_duos_explorer-[\w.-]+\.whl", text("README.md")) == [wheel]
    assert f'"{__version__}"' not in text("pyproject.toml") + text("setup.py")
