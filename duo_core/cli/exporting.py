"""`duo export`: a fitted pair as a folder that runs, with or without this project."""

import argparse
import sys
from pathlib import Path

from duo_core.analysis.guarantee import CONFIDENCE
from duo_core.cli.arguments import assignment, json_assignment, unique
from duo_core.cli.printing import print_json, say
from duo_core.deploy import Exported
from duo_core.deploy import export as write
from duo_core.deploy.module import VARIANTS
from duo_core.deploy.records import Asked
from duo_core.logits.store import Store
from duo_core.metrics import METRICS


def export(options: argparse.Namespace) -> None:
    """Write the folder; say what lies in it and what could not be written."""
    found = write(
        Store(options.store).open(options.set),
        options.base,
        options.sidekick,
        options.out,
        checkpoints={name: Path(file) for name, file in unique(options.checkpoint, "--checkpoint").items()},
        arguments=unique(options.arguments, "--arguments"),
        architectures=unique(options.architecture, "--architecture"),
        asked=Asked(options.variant, options.uncertainty, options.target_risk, options.coverage, options.confidence),
        onnx=options.onnx,
        force=options.force,
    )
    for sentence in found.left_out:
        say(f"duo export: {sentence}", file=sys.stderr)
    if options.json:
        print_json({"folder": str(found.folder), **found.record})
    else:
        _print(found)


def _print(found: Exported) -> None:
    record = found.record
    weights, threshold = record["temperatures"], record["threshold"]
    base, sidekick = (record["models"][role]["name"] for role in ("base", "sidekick"))
    say(f"{base} + {sidekick} in '{found.folder}': {', '.join(record['files'])}, duo.json, README.md, requirements.txt")
    say(f"temperatures  base {weights['base']:.4f}  sidekick {weights['sidekick']:.4f}")
    say(f"abstains      {'never; duo.json lists thresholds' if threshold is None else f'above an uncertainty of {threshold:.6g}'}")
    for split, variants in record["metrics"].items():
        values = "  ".join(f"{METRICS[key].label} {variants[record['variant']][key]:.4f}" for key in ("accuracy", "aurc"))
        say(f"{split:13} {values}")


def export_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `duo export`."""
    command.add_argument("--set", required=True, metavar="NAME", help="logit set")
    command.add_argument("--base", required=True, metavar="MODEL")
    command.add_argument("--sidekick", required=True, metavar="MODEL")
    command.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to make")
    for option, kind, form, text in (
        ("--checkpoint", assignment, "MODEL=FILE", "the weights that the logits came from, where no library has them"),
        ("--architecture", assignment, "MODEL=ID", "how a model of own code is built, module:callable, which no set may decide"),
        ("--arguments", json_assignment, "MODEL=JSON", "constructor arguments, for sets that were made before the set held them"),
    ):
        command.add_argument(option, nargs="+", action="extend", default=[], type=kind, metavar=form, help=text)
    command.add_argument("--variant", choices=VARIANTS, default="duo", help="uq_only predicts the base's class (default duo)")
    command.add_argument(
        "--uncertainty", choices=["softmax", "entropy"], default="softmax", help="what it abstains by (default softmax)"
    )
    _goal_options(command)
    command.add_argument("--onnx", action=argparse.BooleanOptionalAction, default=True, help="write duo.onnx (default)")
    command.add_argument("--force", action="store_true", help="replace a folder that an export wrote")


def _goal_options(command: argparse.ArgumentParser) -> None:
    for option, form, text in (
        (
            "--target-risk",
            "R",
            "abstain so that at most this share of the answers is wrong, guaranteed; the first given is in force",
        ),
        ("--coverage", "C", "abstain so that this share is answered; in force where no target risk is given"),
    ):
        command.add_argument(option, nargs="+", action="extend", default=[], type=float, metavar=form, help=text)
    command.add_argument(
        "--confidence", type=float, default=CONFIDENCE, metavar="P", help=f"of the guarantee (default {CONFIDENCE})"
    )
