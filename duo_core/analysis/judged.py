"""All that a logit set says of the paper's claims on one split: which pairs are asked, and what they answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from duo_core.analysis.claims import Claim, claims
from duo_core.analysis.parts import parts_of
from duo_core.analysis.related import related_claims
from duo_core.analysis.roles import judged_reversed, named, without
from duo_core.common.arrays import UncertaintyKind
from duo_core.logits import LogitSet
from duo_core.metrics.intervals import REPLICATES
from duo_core.systems.pair_judging import Memory
from duo_core.systems.sweep import on_fit


@dataclass(frozen=True, eq=False)
class Judged:
    """The claims, and the pairs that they are about."""

    claims: list[Claim]
    pairs: int
    """In all, the reversed ones too."""
    reversed: int
    """Those that are reversed on the fit split, or clearly so on the one that is judged; left out unless they were asked for."""


def judged_claims(
    own: LogitSet,
    split: str,
    tables: Mapping[UncertaintyKind, pd.DataFrame],
    *,
    reversed_too: bool = False,
    store: Path | None = None,
    memory: Memory | None = None,
    progress: Callable[[int, int], bool | None] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Judged:
    """Judge every claim on the pairs of a sweep's tables of one split, on parts of its images, too.

    Parameters
    ----------
    tables
        By uncertainty; claims about entropy are left out without theirs.
    reversed_too
        Whether reversed pairs are asked as well.
    store, memory, progress
        As for `parts_of`.
    replicates, seed
        Of the draws behind the intervals.
    """
    memory = memory or Memory()
    table = tables["softmax"]
    pairs = list(dict.fromkeys(named(table)))
    fit = on_fit(own, pairs, memory)
    found = judged_reversed(table, fit, len(own.labels[split]))
    left_out = set() if reversed_too else found
    asked = {kind: without(rows, left_out) for kind, rows in tables.items()}
    kept = [pair for pair in pairs if pair not in left_out]
    parts = parts_of(own, split, kept, store=store, memory=memory, progress=progress)
    answers = claims(asked["softmax"], asked.get("entropy"), parts=parts, replicates=replicates, seed=seed)
    answers += related_claims(own, split, asked["softmax"], fit, parts=parts, memory=memory, replicates=replicates, seed=seed)
    return Judged(answers, len(pairs), len(found))
