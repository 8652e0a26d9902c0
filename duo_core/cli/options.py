"""Options that several commands share, each defined once, and what is to be checked of them together."""

import argparse

from duo_core.common.arrays import InputError
from duo_core.systems.system import check_members


def member_options(command: argparse.ArgumentParser, pair: str, members: str) -> None:
    """Add --base and --sidekick, and --members instead, with what either is for."""
    command.add_argument("--base", metavar="MODEL", help=f"with --sidekick: {pair}")
    command.add_argument("--sidekick", metavar="MODEL")
    command.add_argument("--members", nargs="+", action="extend", metavar="MODEL", help=f"instead: any number of models{members}")


def check_member_options(options: argparse.Namespace) -> None:
    """Raise InputError where the options name neither a pair nor members, or both, or one model twice."""
    named = [name for name in ("base", "sidekick") if getattr(options, name)]
    if options.members and named:
        raise InputError(f"expected --members, or --base and --sidekick, got --members and --{named[0]}; leave one of them out")
    if not options.members and len(named) < 2:
        got = f"--{named[0]} alone" if named else "none of them"
        raise InputError(f"expected --members, or --base and --sidekick, got {got}")
    if options.members:
        check_members(tuple(options.members))
