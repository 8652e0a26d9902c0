"""`duo threshold`: up to which uncertainty a pair answers so that its risk stays within a target, and what that gives elsewhere."""

import argparse
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from duo_core.analysis.guarantee import ASSUMPTION, CONFIDENCE, METHODS
from duo_core.analysis.promise import promises
from duo_core.cli.options import Commands, json_option, new_command, pair_options, set_options, split_option
from duo_core.cli.printing import print_json, say
from duo_core.cli.uploading import logit_set_of
from duo_core.common.arrays import UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.systems.sweep import evaluate

TARGETS = (0.01, 0.02, 0.05, 0.1)
SYSTEMS = ("base", "duo")


def add_threshold(commands: Commands) -> None:
    """Add `duo threshold`."""
    text = "the uncertainty up to which a pair answers under a target risk"
    command = new_command(commands, "threshold", threshold, text)
    pair_options(command, required=True)
    split_option(command)
    command.add_argument(
        "--target-risk", type=float, action="append", metavar="R", help="errors among the answers, 0.02 is 2 %%; may be repeated"
    )
    command.add_argument("--confidence", type=float, default=CONFIDENCE, metavar="C", help="of the guarantee (default %(default)s)")
    set_options(command)
    json_option(command)


def threshold(options: argparse.Namespace) -> None:
    """Print the thresholds of a pair."""
    found = document(
        logit_set_of(options),
        options.base,
        options.sidekick,
        split=options.split,
        targets=options.target_risk or TARGETS,
        confidence=options.confidence,
        kind=options.uncertainty,
    )
    if options.json:
        print_json(found)
    else:
        _print(found)


def document(
    logit_set: LogitSet,
    base: str,
    sidekick: str,
    *,
    split: str = "test",
    targets: Sequence[float] = TARGETS,
    confidence: float = CONFIDENCE,
    kind: UncertaintyKind = "softmax",
) -> dict[str, Any]:
    """Thresholds of the base and the duo, chosen on the fit split and judged on another.

    One entry of `thresholds` a system, target risk and method of `guarantee.METHODS`: the `threshold` (images whose uncertainty is
    at most that are answered), the `bound` of its risk, `coverage` and `risk` on the `fit` split and on the `judged` one. Undefined
    values are NaN.
    """
    found = evaluate(logit_set, base, sidekick, split, kind=kind, variants=SYSTEMS)
    table = promises(found.on_fit(SYSTEMS, kind), found.predictions, targets, confidence)
    return {
        "set": logit_set.name,
        "base": base,
        "sidekick": sidekick,
        "split": split,
        "n_fit": len(logit_set.labels[FIT_SPLIT]),
        "n_eval": len(logit_set.labels[split]),
        "uncertainty": kind,
        "confidence": confidence,
        "assumption": ASSUMPTION,
        "thresholds": [_entry(row) for row in table.to_dict("records")],
    }


def _entry(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    """A row of `promises` as the command's JSON holds it."""
    places = {place: {key: row[f"{place}_{key}"] for key in ("coverage", "risk")} for place in ("fit", "judged")}
    return {**{key: row[key] for key in ("system", "target_risk", "method", "threshold", "bound")}, **places}


def _print(found: dict[str, Any]) -> None:
    say(f"{found['base']} + {found['sidekick']} on {found['set']}: answer where the uncertainty is at most the threshold")
    say(f"chosen on {FIT_SPLIT} ({found['n_fit']:,} images), judged on {found['split']} ({found['n_eval']:,} images)")
    say(f"guaranteed bounds hold with a confidence of {found['confidence']:.4g}. {ASSUMPTION}\n")
    split = found["split"]
    rows = [
        {
            "target risk": f"{entry['target_risk']:.2%}",
            "method": METHODS[entry["method"]],
            "system": entry["system"],
            "threshold": entry["threshold"],
            "bound": _percent(entry["bound"]),
            f"{FIT_SPLIT} coverage": _percent(entry["fit"]["coverage"]),
            f"{FIT_SPLIT} risk": _percent(entry["fit"]["risk"]),
            f"{split} coverage": _percent(entry["judged"]["coverage"]),
            f"{split} risk": _percent(entry["judged"]["risk"]) + (" above" * (entry["judged"]["risk"] > entry["target_risk"])),
        }
        for entry in sorted(found["thresholds"], key=lambda entry: entry["target_risk"])
    ]
    say(pd.DataFrame(rows).to_string(index=False, na_rep="-", float_format="{:.6g}".format))


def _percent(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.2%}"
