"""Cascades that an advisor weighs: a small model answers what it is sure of, and its pair with a dearer one the rest."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from duo_core.analysis.candidates import Bounds, Candidate, known, predicted
from duo_core.common.arrays import Floats, Integers, Predictions, UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.systems.cascades import Cascade, gates_for_shares
from duo_core.systems.enumeration import Results
from duo_core.systems.predicting import BYTES_AN_IMAGE
from duo_core.systems.system import System

SHARES = tuple(share / 20 for share in range(1, 20))
"""Of the images, that the first stage hands on."""
SURE = NormalDist().inv_cdf(0.995)
"""Standard errors by which a cascade must be better than the base on the images that its gate was chosen on."""
PAIRS = 500
"""Pairs up to which every one is tried as the second stage."""
OF_FIRST = 6
"""Of more pairs, those of each model that answers first that are tried, at most."""
BYTES = 256 << 20
"""What predictions may take at once."""


def cascade_candidates(
    logit_set: LogitSet,
    base: str,
    found: Results,
    limit: float,
    *,
    kind: UncertaintyKind = "softmax",
) -> tuple[list[Candidate], Bounds]:
    """Return cascades of a model and its fitted pair with a dearer one, whose pair has less NLL than the base alone.

    Gates are chosen on the fit split so that each of SHARES goes on. Those whose mean cost there is above the limit are left out.
    As they are many, and each answers a large part of the images by a model unlike the base, one is worth taking only where it is
    better than the base by more than SURE standard errors. Of more than PAIRS pairs only those of `_foremost` are tried; the bounds
    say so.
    """
    least = found[System((base,))].nll_fit
    every = [s for s, result in found.items() if s.m == 2 and s.rule == "fitted" and all(result.weights) and result.nll_fit < least]
    cost = {model: logit_set.cards[model].multiply_adds or 0 for pair in every for model in pair.members}
    pairs = every if len(every) <= PAIRS else _foremost(every, found, cost)
    firsts = [System((pair.members[1],)) for pair in pairs]
    once = list(dict.fromkeys([System((base,)), *firsts]))
    alone = dict(zip(once, predicted(logit_set, known(found, once), FIT_SPLIT, kind), strict=True))
    gates = {first: _gates(alone[first]) for first in once}
    made = []
    for start in range(0, len(pairs), size := max(1, BYTES // (BYTES_AN_IMAGE * len(logit_set.labels[FIT_SPLIT])))):
        group = pairs[start : start + size]
        together = predicted(logit_set, known(found, group), FIT_SPLIT, kind)
        for first, pair, both in zip(firsts[start:], group, together, strict=False):
            made += _cascades((first, pair), (alone[first], both), gates[first], alone[once[0]].nll, cost, limit)
    return made, Bounds() if pairs is every else Bounds(cascades=len(pairs), pairs=len(every))


def _foremost(pairs: Sequence[System], found: Results, cost: Mapping[str, int]) -> list[System]:
    """Of each model that answers first, the pairs with it that no cheaper one beats by NLL; of many, OF_FIRST, cheap to dear."""
    fronts: dict[str, list[System]] = {}
    total = {pair: sum(cost[member] for member in pair.members) for pair in pairs}
    for pair in sorted(pairs, key=lambda pair: (total[pair], found[pair].nll_fit)):
        front = fronts.setdefault(pair.members[1], [])
        if not front or found[pair].nll_fit < found[front[-1]].nll_fit:
            front.append(pair)
    kept = {front[round(at)] for front in fronts.values() for at in np.linspace(0, len(front) - 1, min(OF_FIRST, len(front)))}
    return [pair for pair in pairs if pair in kept]


class _Gates(NamedTuple):
    """What a first stage hands on, whatever the second is."""

    order: Integers
    """The images, the least sure first."""
    at: list[tuple[float, int]]
    """By share the gate, and how many images lie above it."""


def _gates(first: Predictions) -> _Gates:
    gates = gates_for_shares(first.uncertainty, SHARES)
    return _Gates(np.argsort(-first.uncertainty, kind="stable"), [(gate, int((first.uncertainty > gate).sum())) for gate in gates])


def _cascades(
    stages: tuple[System, System],
    predicted: tuple[Predictions, Predictions],
    gates: _Gates,
    base: Floats,
    cost: Mapping[str, int],
    limit: float,
) -> list[Candidate]:
    """A model that hands each of SHARES on to its pair; `base` is the NLL of the base alone, image by image."""
    n, order = len(base), gates.order
    small, whole = (sum(cost[member] for member in stage.members) for stage in stages)
    own, others = (stage.nll[order] for stage in predicted)
    apart = [_sums(own - base[order], others - base[order], power) for power in (1, 2)]
    made = []
    for gate, goes_on in gates.at:
        mean = small + (whole - small) * goes_on / n
        if 0 < goes_on < n and mean <= limit * (1 + 1e-12):
            gain, square = (float(sums[goes_on]) / n for sums in apart)
            error = math.sqrt(max(square - gain**2, 0) / n)
            nll = gain + float(base.mean())
            made.append(Candidate(Cascade(stages, (gate,)), "cascade", "cascade", mean, nll, SURE * error))
    return made


def _sums(stays: Floats, goes_on: Floats, power: int) -> Floats:
    """Sums over all images of a power of one column where they stay, another where they go on, by how many go on, (n + 1,)."""
    sums: Floats = (stays**power).sum() + np.append(0.0, np.cumsum(goes_on**power - stays**power))
    return sums
