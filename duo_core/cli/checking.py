"""What --check adds: the same numbers from a second source."""

import sys
from typing import Any

from duo_core.common.arrays import UncertaintyKind
from duo_core.metrics import METRICS
from duo_core.systems.second_opinion import largest_differences, second_opinion
from duo_core.systems.sweep import Evaluation

AGREE = 1e-6
"""Sums over many classes are single precision; all else differs by rounding in double precision."""


def metrics_check(found: Evaluation, kind: UncertaintyKind) -> dict[str, Any]:
    """Return scikit-learn's metrics of every variant and how far they are from these; say where that is too far."""
    own, split = found.logit_set, found.split
    base, sidekick = own.logits(found.base, split), own.logits(found.sidekick, split)
    seconds = second_opinion(base, sidekick, own.labels[split], found.fit, kind)
    apart = largest_differences(found.metrics, seconds)
    for key, difference in apart.items():
        if difference is not None and difference > AGREE:
            print(
                f"duo fit: scikit-learn's {METRICS[key].label} differs by {difference:.2g}; expected at most {AGREE:g}",
                file=sys.stderr,
            )
    return {"scikit-learn": seconds, "largest_difference": apart}


def print_metrics_check(check: dict[str, Any]) -> None:
    """Print one line: how far scikit-learn's metrics are from these."""
    apart = check["largest_difference"]
    told = {METRICS[key].label: "undefined" if far is None else f"{far:.0g}" for key, far in apart.items()}
    print("\nscikit-learn differs by at most  " + "  ".join(f"{label} {far}" for label, far in told.items()))
