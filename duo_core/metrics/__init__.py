"""How good predictions are: (n,) in, numbers out; the metrics, their loops, the bootstrap and its intervals."""

from duo_core.metrics.definitions import (
    ECE_BINS,
    METRICS,
    SAC_TARGET,
    Judged,
    TieBlocks,
    accuracy,
    aurc,
    ece,
    metrics,
    metrics_by_kind,
    relative_gain,
    selective_risks,
    tie_blocks,
)

__all__ = [
    "ECE_BINS",
    "METRICS",
    "SAC_TARGET",
    "Judged",
    "TieBlocks",
    "accuracy",
    "aurc",
    "ece",
    "metrics",
    "metrics_by_kind",
    "relative_gain",
    "selective_risks",
    "tie_blocks",
]
