"""The pairs among judged systems, as the table of a sweep over pairs has them."""

import pandas as pd

from duo_core.common.arrays import UncertaintyKind
from duo_core.logits import LogitSet
from duo_core.systems.duo import VARIANTS, Fit, Temperatures
from duo_core.systems.enumeration import Result, Results
from duo_core.systems.pair_judging import Pair
from duo_core.systems.sweep import rows_of, table_of
from duo_core.systems.system import System


def pairs_of(logit_set: LogitSet, found: Results, kind: UncertaintyKind = "softmax") -> pd.DataFrame:
    """Return the systems of two members with the columns of `sweep`, without judging anything again.

    The base is the first member, which has most multiply-adds; a pair is there once, where both models alone and `fitted`, `equal`
    and the first's class with the weights of `fitted` were judged. On up to 128 classes the numbers are those of `sweep` but for
    the order in which the NLL and the Brier score were added.
    """
    pairs: dict[Pair, None] = dict.fromkeys((s.members[0], s.members[1]) for s in found if s.m == 2)
    parts = {pair: of for pair in pairs if len(of := _parts(found, pair)) == len(VARIANTS)}
    splits = list(dict.fromkeys(split for result in found.values() for split in result.judged))
    rows = [
        row
        for pair in sorted(parts)
        for split in splits
        if all(split in result.judged for result in parts[pair].values())
        for row in rows_of(logit_set, *pair, split, _fit(parts[pair]), _metrics(parts[pair], split), kind)
    ]
    return table_of(rows)


def _parts(found: Results, pair: Pair) -> dict[str, Result]:
    """What is known of a pair by variant."""
    base, sidekick = pair
    systems = {
        "base": System((base,)),
        "sidekick": System((sidekick,)),
        "duo": System(pair),
        "unweighted": System(pair, "equal"),
        "uq_only": System(pair, says=0),
    }
    return {variant: found[system] for variant, system in systems.items() if system in found}


def _metrics(parts: dict[str, Result], split: str) -> dict[str, dict[UncertaintyKind, dict[str, float | None]]]:
    return {variant: result.judged[split] for variant, result in parts.items()}


def _fit(parts: dict[str, Result]) -> Fit:
    named = {variant: parts[variant] for variant in ("base", "sidekick", "duo")}
    return Fit(
        temperatures=Temperatures(*parts["duo"].weights),
        calibration=Temperatures(*parts["duo"].alone),
        nll={variant: result.nll_fit for variant, result in named.items()},
        gradient=0.0,
        steps=0,
        separated=tuple(variant for variant, result in named.items() if result.separated),
    )
