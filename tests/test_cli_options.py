"""Commands register themselves; what several share means the same in each."""

import argparse
from collections import defaultdict

import pytest

from duo_core.__main__ import COMMANDS, parser

SHARED = [
    "--json",
    "--store",
    "--file",
    "--uncertainty",
    "--device",
    "--precision",
    "--batch-size",
    "--weights",
    "--transform",
    "--cost",
    "--costs",
    "--name",
    "--log",
    "--floor",
    "--labels-from-one",
    "--seed",
    "--title",
    "--licence",
    "--members",
]
"""Options that several commands share."""
TRAINING = {"finetune": {"--name", "--weights", "--transform", "--precision"}, "soup": {"--name"}}
"""What is the name of a run or a file there, and of the one model that is trained."""


def commands() -> dict[str, argparse.ArgumentParser]:
    (action,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(action.choices)


def test_each_command_registers_itself_with_what_it_runs():
    found = commands()
    assert len(found) == len(COMMANDS)
    for (name, command), add in zip(found.items(), COMMANDS, strict=True):
        assert add.__name__ == f"add_{name}"
        assert command.get_default("run").__module__ == add.__module__
        assert command.description


@pytest.mark.parametrize("option", SHARED)
def test_a_shared_option_is_the_same_everywhere(option):
    kinds = defaultdict(list)
    for name, command in commands().items():
        for action in command._actions:
            if option in action.option_strings and option not in TRAINING.get(name, ()):
                kind = (type(action), action.nargs, repr(action.default), action.type, str(action.choices), action.metavar)
                kinds[kind].append(name)
    assert len(kinds) == 1, kinds
    assert len(next(iter(kinds.values()))) > 1


def test_options_of_several_values_may_be_repeated():
    words = ["--set", "s", "--images", "val=a", "--images", "test=b", "--models", "x", "--models", "y"]
    options = parser().parse_args(["logits", *words])
    assert (options.images, options.models) == ([("val", "a"), ("test", "b")], ["x", "y"])
    again = parser().parse_args(["logits", *words])
    assert again.checkpoint == [], "what one reading took does not stay"
