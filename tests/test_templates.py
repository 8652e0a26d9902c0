"""The page on other machines: its templates are YAML, and its commands are those that there are."""

import re
from pathlib import Path

import yaml

from duo_core.__main__ import parser

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "computing.md").read_text(encoding="utf-8")


def block(begin):
    """The indented block that begins with a text."""
    lines = PAGE[PAGE.index(f"\n    {begin}") + 1 :].split("\n\n")[0].splitlines()
    return "\n".join(line[4:] for line in lines)


def test_the_template_of_kubernetes_does_not_try_again_what_a_person_has_to_mend():
    job = yaml.safe_load(block("apiVersion"))
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["podFailurePolicy"]["rules"] == [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [2]}}]
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never", "which such a policy asks for"
    assert "$JOB_COMPLETION_INDEX" in job["spec"]["template"]["spec"]["containers"][0]["command"][-1]


def test_the_template_of_skypilot_is_yaml():
    assert yaml.safe_load(block("resources:"))["run"] == "duo task /shared/tasks.jsonl $N"


def test_options_that_the_page_names_are_there():
    commands = parser()._subparsers._group_actions[0].choices
    known = {option for command in commands.values() for option in command._option_string_actions}
    of_others = {"--array", "--gres", "--cpus-per-task", "--mem", "--time", "--requeue", "--shm-size", "--env"}
    scripts = [(ROOT / name).read_text() for name in re.findall(r"python (benchmarks/\w+\.py)", PAGE)]
    of_scripts = set(re.findall(r'add_argument\("(--[a-z-]+)"', "".join(scripts)))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - known - of_scripts == of_others
