"""`duo export`: a fitted system as a folder that runs, with or without this project."""

import argparse
import sys
from pathlib import Path

from duo_core.analysis.guarantee import CONFIDENCE
from duo_core.cli.arguments import assignment, json_assignment, unique
from duo_core.cli.options import (
    Commands,
    check_member_options,
    force_option,
    json_option,
    member_options,
    new_command,
    repeated_option,
    store_option,
    uncertainty_option,
)
from duo_core.cli.printing import print_json, say, say_idle
from duo_core.common.arrays import InputError
from duo_core.deploy import Exported
from duo_core.deploy import export as write
from duo_core.deploy.records import Asked
from duo_core.logits import check_pair
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.systems.system import RULES, System


def add_export(commands: Commands) -> None:
    """Add `duo export`."""
    command = new_command(commands, "export", export, "the fitted duo as a folder that runs")
    command.add_argument("--set", required=True, metavar="NAME", help="logit set")
    member_options(command, "a pair", ", by --rule")
    command.add_argument("--rule", choices=list(RULES), help="of --members: how they are put together (default fitted)")
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to make")
    for option, kind, form, text in (
        ("--checkpoint", assignment, "MODEL=FILE", "the weights that the logits came from, where no library has them"),
        ("--architecture", assignment, "MODEL=ID", "how a model of own code is built, module:callable, which no set may decide"),
        ("--arguments", json_assignment, "MODEL=JSON", "constructor arguments, for sets that were made before the set held them"),
    ):
        repeated_option(command, option, kind, form, text)
    whose = command.add_mutually_exclusive_group()
    whose.add_argument("--variant", choices=["duo", "uq_only"], help="uq_only predicts the base's class (default duo)")
    whose.add_argument("--says", metavar="MODEL", help="of --members: predict this one's class (default: that of all together)")
    uncertainty_option(command, "what it abstains by")
    _goal_options(command)
    command.add_argument("--onnx", action=argparse.BooleanOptionalAction, default=True, help="write duo.onnx (default)")
    force_option(command, "replace a folder that an export wrote")
    store_option(command)
    json_option(command)


def export(options: argparse.Namespace) -> None:
    """Write the folder; say what lies in it and what could not be written."""
    found = write(
        Store(options.store).open(options.set),
        _system(options),
        options.out,
        checkpoints={name: Path(file) for name, file in unique(options.checkpoint, "--checkpoint").items()},
        arguments=unique(options.arguments, "--arguments"),
        architectures=unique(options.architecture, "--architecture"),
        asked=Asked(options.uncertainty, options.target_risk, options.coverage, options.confidence),
        onnx=options.onnx,
        force=options.force,
    )
    for sentence in found.left_out:
        say(f"duo export: {sentence}", file=sys.stderr)
    if options.json:
        print_json({"folder": str(found.folder), **found.record})
    else:
        _print(found)


def _system(options: argparse.Namespace) -> System:
    """The system that the options name."""
    check_member_options(options)
    if not options.members:
        for option in ("rule", "says"):
            if getattr(options, option):
                raise InputError(f"expected --{option} with --members only, got it with a pair; name both models after --members")
        check_pair(options.base, options.sidekick)
        return System((options.base, options.sidekick), says=0 if options.variant == "uq_only" else None)
    if options.variant:
        raise InputError("expected --variant with --base and --sidekick only, got it with --members; say --says MODEL instead")
    if options.says is not None and options.says not in options.members:
        raise InputError(f"expected one of the members as --says ({', '.join(options.members)}), got '{options.says}'")
    says = None if options.says is None else options.members.index(options.says)
    return System(tuple(options.members), options.rule or "fitted", says)


def _print(found: Exported) -> None:
    record = found.record
    members, threshold = record["members"], record["threshold"]
    whole = " + ".join(model["name"] for model in members)
    say(f"{whole} in '{found.folder}': {', '.join(record['files'])}, duo.json, README.md, requirements.txt")
    weights = "  ".join(f"{model['name']} {model['weight']:.4f}" for model in members)
    say(f"weights       {weights}")
    say_idle([model["name"] for model in members], [model["weight"] for model in members])
    if record["temperature"] is not None:
        say(f"temperature   {record['temperature']:.4f} ({record['rule']})")
    say(f"abstains      {'never; duo.json lists thresholds' if threshold is None else f'above an uncertainty of {threshold:.6g}'}")
    for split, judged in record["metrics"].items():
        values = "  ".join(f"{METRICS[key].label} {judged['system'][key]:.4f}" for key in ("accuracy", "aurc"))
        say(f"{split:13} {values}")


def _goal_options(command: argparse.ArgumentParser) -> None:
    for option, form, text in (
        (
            "--target-risk",
            "R",
            "abstain so that at most this share of the answers is wrong, guaranteed; the first given is in force",
        ),
        ("--coverage", "C", "abstain so that this share is answered; in force where no target risk is given"),
    ):
        repeated_option(command, option, float, form, text)
    command.add_argument(
        "--confidence", type=float, default=CONFIDENCE, metavar="P", help=f"of the guarantee (default {CONFIDENCE})"
    )
