"""Does it hold? What the papers around the duo claim, where a set has what that takes.

Kondratyuk et al. 2020 hold ensembles of smaller models against larger ones, Gontijo-Lopes et al. 2022 ask which models are worth
combining, and Zhou, Shelhamer and Pleiss 2025 hold the duo against a deep ensemble.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from duo_core.analysis.claims import Claim, Judge, rows_of
from duo_core.analysis.equal_cost import duos_on_parts, equal_cost
from duo_core.analysis.parts import Parts, cut_set, effects
from duo_core.analysis.roles import alone
from duo_core.analysis.statements import BANDS, Statement, World
from duo_core.common.arrays import Floats
from duo_core.logits import LogitSet
from duo_core.metrics.intervals import REPLICATES
from duo_core.systems.enumeration import results
from duo_core.systems.groups import groups_of
from duo_core.systems.pair_judging import Memory
from duo_core.systems.system import System

LESS = 0.05
"""By how much less accurate, on the fit split, a model of low accuracy is."""


def related_claims(
    own: LogitSet,
    split: str,
    table: pd.DataFrame,
    on_fit: pd.DataFrame,
    *,
    parts: Parts | None = None,
    memory: Memory | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[Claim]:
    """Judge what other papers claim on the pairs of one split; claims that the set cannot be asked about are left out.

    Parameters
    ----------
    table
        A sweep's rows of that split, with every variant.
    on_fit
        What `sweep.on_fit` says of its pairs.
    parts
        The pairs on parts of the images.
    memory
        What was found of the set's models before.
    replicates, seed
        Of the draws of models and images.
    """
    if table.empty:
        return []
    rows_on_parts = parts.tables.get("softmax") if parts else None
    world = World(table, rows_on_parts, parts.images if parts else None)
    fit = on_fit.set_index(["base", "sidekick"]).reindex(world.pairs.index)
    memory = memory or Memory()
    judge = Judge(rows_of(world), parts, replicates=replicates, seed=seed)
    found = [judge.judged(_different(own, split, world)), judge.judged(_less_accurate(world, fit))]
    deep = _deep(own, split, world, parts, memory)
    found += [judge.judged(deep)] if deep else []
    rivals = equal_cost(own, world, fit["nll_fit"], alone(table)["accuracy"], parts, replicates, seed)
    return found + ([rivals] if rivals else [])


def _different(own: LogitSet, split: str, world: World) -> Statement:
    """That pairs whose errors are more different gain more over the mean of their members; over the better one they need not."""
    right = {model: (own.logits(model, split).argmax(1) == own.labels[split]).numpy(force=True) for model in world.models}
    apart = np.array([float((right[base] != right[other]).mean()) for base, other in world.pairs.index])
    side = np.sign(apart - np.median(apart))
    gain, moves = world.number(
        lambda rows: rows["accuracy", "unweighted"] - (rows["accuracy", "base"] + rows["accuracy", "sidekick"]) / 2
    )
    value = np.where(side == 0, np.nan, side * (gain - np.nanmean(gain)))
    text = (
        "Pairs whose errors differ more than the median pair's gain more than average over the mean accuracy of their two models; "
        "that is no gain over the better model."
    )
    return Statement(
        "different_gains", text, "Gontijo-Lopes et al. 2022", "Accuracy: Gain in the direction of the difference - Mean gain",
        value, value,
        None if moves is None else side * (moves - moves.mean(axis=1, keepdims=True)),
    )  # fmt: skip


def _less_accurate(world: World, fit: pd.DataFrame) -> Statement:
    """That a model of clearly less accuracy makes the duo more accurate than the better one."""
    value, moves = world.number(world.gain("accuracy", "duo", "base"))
    less = (fit["base_accuracy_fit"] - fit["sidekick_accuracy_fit"]).to_numpy(float) >= LESS
    gap = f"{LESS * 100:g} percentage points"
    text = f"A model that is less accurate by {gap} or more still makes the more accurate one better (accuracy of the duo)."
    return Statement(
        "low_accuracy_helps", text, "Gontijo-Lopes et al. 2022", "Accuracy: Duo - Base", value,
        np.where(less, value, np.nan), moves, enough=world.step, against=-world.step,
    )  # fmt: skip


def _deep(own: LogitSet, split: str, world: World, parts: Parts | None, memory: Memory) -> Statement | None:
    """That a duo at 10 to 20 % more compute is as accurate as an ensemble of two trainings, at 100 %; None without trainings."""
    pairs = [pair for group in groups_of(own.cards, world.models) for pair in combinations(group.members, 2)]
    if not pairs:
        return None
    systems = [System(pair, "ensemble") for pair in pairs]
    bases = [base for base, _ in world.pairs.index]

    def of(where: LogitSet, splits: Sequence[str], known: Memory) -> Floats:
        found = results(where, systems, splits, memory=known)
        return np.array(
            [_by_base(bases, {s.members: r.judged[one]["softmax"]["accuracy"] for s, r in found.items()}) for one in splits]
        )

    value = world.pairs["accuracy", "duo"].to_numpy(float) - of(own, [split], memory)[0]
    moves = None
    if parts and parts.tables:
        cut = cut_set(own, split, sorted({model for pair in pairs for model in pair}), parts.count)
        names = [name for name in cut.labels if name in set(parts.tables["softmax"]["split"])]
        duos = duos_on_parts(parts, names, world)
        moves, _ = effects(duos - of(cut, names, Memory(memory.calibrated, weighed=memory.weighed)))
    return Statement(
        "duo_against_ensemble",
        "A duo at 10 to 20 % more compute is no less accurate than an ensemble of two trainings of its base, at 100 %.",
        "Zhou et al. 2025", "Accuracy: Duo - Ensemble of two", value, value, moves,
        enough=-world.step, against=-world.step, band=BANDS[1],
    )  # fmt: skip


def _by_base(bases: Sequence[str], accuracy: Mapping[tuple[str, ...], float | None]) -> list[float]:
    """The mean accuracy of the ensembles that hold each base; NaN of one in none."""
    of = {base: [value for members, value in accuracy.items() if base in members and value is not None] for base in set(bases)}
    return [float(np.mean(of[base])) if of[base] else np.nan for base in bases]
