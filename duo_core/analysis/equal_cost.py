"""Do two smaller models together beat a larger one that costs as much as both (Kondratyuk et al. 2020)?

With other models the best two would be others, so that on every draw of the models they are chosen anew, by the fit split.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from duo_core.analysis.claims import COLUMNS, Claim, verdict_of
from duo_core.analysis.parts import FEWEST, LEAST, Parts, effects, steps
from duo_core.analysis.roles import alone
from duo_core.analysis.shares import ModelDraws
from duo_core.analysis.statements import MOST, World
from duo_core.common.arrays import Floats, Integers
from duo_core.logits import LogitSet
from duo_core.metrics.intervals import LEVEL, UNDEFINED, Interval

RIVALS = 50
"""Pairs that are held against a model at most, the best on the fit split: of so many, nearly every draw of models has one."""


@dataclass(frozen=True, eq=False)
class _Rivals:
    """The pairs that cost no more than a model, the best on the fit split first."""

    model: str
    at: Integers
    """Their places among the pairs."""
    value: Floats
    """Accuracy of each duo less the model's."""
    moves: Floats | None
    """By how much each part of the images lies from the mean of that, (parts, pairs)."""


def equal_cost(
    own: LogitSet, world: World, nll_fit: pd.Series, accuracy: pd.Series, parts: Parts | None, replicates: int, seed: int
) -> Claim | None:
    """Judge the claim on a world of pairs; None where no two models cost as little as a third.

    Parameters
    ----------
    nll_fit
        Of the world's pairs on the fit split, which chooses.
    accuracy
        Of single models on the judged split.
    """
    cost = {model: own.cards[model].multiply_adds or np.nan for model in world.models}
    both = np.array([cost[base] + cost[other] for base, other in world.pairs.index])
    rivals = _rivals(world, cost, both, nll_fit.to_numpy(float), accuracy, parts)
    if not rivals:
        return None
    value = np.array([one.value[0] for one in rivals])
    agrees = value >= world.step
    order = np.argsort(agrees, kind="stable")
    rows = {
        "base": [one.model for one in rivals],
        "sidekick": [" + ".join(world.pairs.index[one.at[0]]) for one in rivals],
        "flops_balance": [both[one.at[0]] / cost[one.model] for one in rivals],
        "delta": value,
        "agrees": agrees,
    }
    found = pd.DataFrame(rows)[COLUMNS].take(order).reset_index(drop=True)
    share = float(agrees.mean())
    interval, most = _interval(world, rivals, share, parts, replicates, seed)
    few = parts is not None and not parts.tables and interval is not None
    return Claim(
        key="smaller_at_equal_cost",
        text="Two smaller models together are more accurate than a larger one that costs as much as both.",
        source="Kondratyuk et al. 2020",
        band=None,
        share=share,
        asked=MOST,
        interval=interval,
        verdict="inconclusive" if few else verdict_of(interval, most, MOST, found),
        pairs=found,
        measured="Accuracy: Two smaller - One large",
        images=bool(parts and parts.tables),
        note=f"fewer than {FEWEST * LEAST} images are too few to judge it" if few else "",
    )


def _rivals(
    world: World, cost: dict[str, float], both: Floats, nll: Floats, accuracy: pd.Series, parts: Parts | None
) -> list[_Rivals]:
    """Of every model that two others cost as little as; the models themselves are smaller then."""
    names = list(parts.tables["softmax"]["split"].unique()) if parts and parts.tables else []
    duos, singles = _on_parts(parts, names, world) if parts and names else (None, None)
    own = world.pairs["accuracy", "duo"].to_numpy(float)
    found = []
    for place, model in enumerate(world.models):
        within = np.flatnonzero(both <= cost[model])
        at = within[np.argsort(nll[within], kind="stable")][:RIVALS]
        if len(at):
            moves = None if duos is None or singles is None else effects(duos[:, at] - singles[:, [place]])[0]
            found.append(_Rivals(model, at, own[at] - float(accuracy[model]), moves))
    return found


def _on_parts(parts: Parts, names: Sequence[str], world: World) -> tuple[Floats, Floats]:
    """Accuracy of duos, (parts, pairs), and of single models, (parts, models), on each part of the images."""
    table = parts.tables["softmax"]
    singles = [alone(table[table["split"] == name])["accuracy"].reindex(world.models).to_numpy(float) for name in names]
    return duos_on_parts(parts, names, world), np.array(singles)


def duos_on_parts(parts: Parts, names: Sequence[str], world: World) -> Floats:
    """Accuracy of the duos of a world's pairs on each part of the images, (parts, pairs)."""
    table = parts.tables["softmax"]
    wide = table[table["variant"] == "duo"].set_index(["split", "base", "sidekick"])["accuracy"].astype(float)
    pairs = wide.unstack("split").reindex(world.pairs.index)
    found: Floats = pairs[list(names)].to_numpy(float).T
    return found


def _interval(
    world: World, rivals: Sequence[_Rivals], share: float, parts: Parts | None, replicates: int, seed: int
) -> tuple[Interval | None, float]:
    """The interval of the share of models that are beaten, and its upper end where those not clearly better count, too."""
    draws = ModelDraws(world.models, replicates=replicates, seed=seed)
    taken = steps(parts.count, replicates, seed + 1) if parts and parts.count else None
    there = np.array([(draws.counts(base) > 0) & (draws.counts(other) > 0) for base, other in world.pairs.index])
    total, agreed, fair = np.zeros((3, replicates))
    for one in rivals:
        mine = there[one.at]
        first = mine.argmax(axis=0)
        value = one.value[first]
        if taken is not None and one.moves is not None:
            value = value + (taken * one.moves[:, first].T).sum(axis=1)
        weight = draws.counts(one.model) * mine.any(axis=0)
        total += weight
        agreed += weight * (value >= world.step)
        fair += weight * ~(value < -world.step)
    some = total > 0
    if some.mean() < 1 - UNDEFINED:
        return None, 1.0
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(agreed[some] / total[some], ends)
    return Interval(share, float(low), float(high), LEVEL, replicates, seed), float(np.quantile(fair[some] / total[some], ends[1]))
