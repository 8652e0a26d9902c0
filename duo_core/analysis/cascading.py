"""Cascades that an advisor weighs: a small model answers what it is sure of, and its pair with a dearer one the rest."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from duo_core.analysis.candidates import Bounds, Candidate, known, lost, predicted
from duo_core.common.arrays import Floats, Integers, Predictions, UncertaintyKind
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.systems.cascades import Cascade, gates_for_shares
from duo_core.systems.enumeration import Results
from duo_core.systems.pair_judging import Memory
from duo_core.systems.system import System

SHARES = tuple(share / 20 for share in range(1, 20))
"""Of the images, that the first stage hands on."""
SURE = NormalDist().inv_cdf(0.995)
"""Standard errors by which a cascade must be better than the base on the images that its gate was chosen on."""
PAIRS = 500
"""Pairs up to which every one is tried as the second stage."""
OF_FIRST = 6
"""Of more pairs, those of each model that answers first that are tried, at most."""
BYTES = 32 << 20
"""What is kept of what pairs lose on every image, whichever base and uncertainty ask for it."""


class Cascades(NamedTuple):
    """Cascades of a model and its fitted pair with a dearer one, as columns (c,)."""

    pairs: Sequence[System]
    """The last stages; the first is each one's second member alone."""
    pair: Integers
    """Place of each cascade's last stage."""
    gate: Floats
    cost: Floats
    """Mean multiply-adds on the fit split."""
    val_nll: Floats
    worth: Floats
    """Both as a candidate's."""
    least: float
    """The base's NLL on the fit split."""
    bounds: Bounds

    def under(self, limit: float) -> tuple[int, list[Candidate]]:
        """How many cost at most so many multiply-adds, and those among them that are worth taking instead of the base."""
        within = self.cost <= limit * (1 + 1e-12)
        better = np.flatnonzero(within & (self.least - self.val_nll > self.worth))
        return int(within.sum()), [self._candidate(at) for at in better.tolist()]

    def _candidate(self, at: int) -> Candidate:
        pair = self.pairs[self.pair[at]]
        cascade = Cascade((_first(pair), pair), (float(self.gate[at]),))
        return Candidate(cascade, "cascade", "cascade", *(float(of[at]) for of in (self.cost, self.val_nll, self.worth)))


def cascades_beside(
    own: LogitSet, base: str, found: Results, *, kind: UncertaintyKind = "softmax", memory: Memory | None = None
) -> Cascades:
    """Return cascades of a model and its fitted pair with a dearer one, whose pair has less NLL than the base alone.

    Gates are chosen on the fit split so that each of SHARES goes on. As they are many, and each answers a large part of the images
    by a model unlike the base, one is worth taking only where it is better than the base by more than SURE standard errors. Of more
    than PAIRS pairs only those of `_foremost` are tried; the bounds say so.
    """
    alone, least = System((base,)), found[System((base,))].nll_fit
    every = [s for s, result in found.items() if s.m == 2 and s.rule == "fitted" and all(result.weights) and result.nll_fit < least]
    cost = {model: own.cards[model].multiply_adds or 0 for pair in every for model in pair.members}
    pairs = sorted(every if len(every) <= PAIRS else _foremost(every, found, cost), key=lambda pair: pair.members[1])
    once = list(dict.fromkeys([alone, *map(_first, pairs)]))
    singles = dict(zip(once, predicted(own, known(found, once), FIT_SPLIT, kind), strict=True))
    gates = {first: _gates(singles[first]) for first in once}
    parts = [_Part(np.empty(0, np.int64), *np.empty((4, 0)))]
    for place, nlls in _lost(own, found, pairs, memory or Memory()):
        first = _first(pairs[place])
        costs = np.array([sum(cost[member] for member in pair.members) for pair in pairs[place : place + len(nlls)]])
        parts.append(_cascades(place, singles[first].nll, nlls, singles[alone].nll, gates[first], cost[first.members[0]], costs))
    columns = _Part(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    bounds = Bounds() if len(pairs) == len(every) else Bounds(cascades=len(pairs), pairs=len(every))
    return Cascades(pairs, *columns, least, bounds)


def _first(pair: System) -> System:
    """The one that answers what it is sure of."""
    return System((pair.members[1],))


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


def _lost(own: LogitSet, found: Results, pairs: Sequence[System], memory: Memory) -> Iterator[tuple[int, Floats]]:
    """The NLL of every image by pairs that one model answers first, (p, n), and the place of the first of them."""
    most = max(1, BYTES // (8 * len(own.labels[FIT_SPLIT])))
    for start in range(0, len(pairs), most):
        group = pairs[start : start + most]
        there = memory.lost.copy()  # other sessions let go of the oldest meanwhile
        if new := [pair for pair in group if pair not in there]:
            new_ones = dict(zip(new, map(np.copy, lost(own, known(found, new), FIT_SPLIT)), strict=True))
            there |= new_ones
            memory.lost.update(new_ones)
        for _, places in groupby(range(len(group)), key=lambda at: group[at].members[1]):
            at = list(places)
            yield start + at[0], np.array([there[group[place]] for place in at])
        for oldest in list(memory.lost)[:-most]:
            memory.lost.pop(oldest, None)


class _Gates(NamedTuple):
    """What a first stage hands on, whatever the second is."""

    order: Integers
    """The images, the least sure first."""
    gate: Floats
    """Those that hand on some of the images, but not all, (g,)."""
    goes_on: Integers
    """How many images lie above each."""


def _gates(first: Predictions) -> _Gates:
    gate = np.array(gates_for_shares(first.uncertainty, SHARES))
    order = np.argsort(-first.uncertainty, kind="stable")
    goes_on = np.searchsorted(-first.uncertainty[order], -gate)
    part = (goes_on > 0) & (goes_on < len(order))
    return _Gates(order, gate[part], goes_on[part])


class _Part(NamedTuple):
    """Columns of `Cascades` of some pairs."""

    pair: Integers
    gate: Floats
    cost: Floats
    val_nll: Floats
    worth: Floats


def _cascades(place: int, own: Floats, pairs: Floats, base: Floats, gates: _Gates, cost: int, costs: Integers) -> _Part:
    """A model that hands each share on to each of p pairs with it, the first of which is at a place.

    The NLL of every image is `own` (n,), `pairs` (p, n) and, by the base alone, `base` (n,); the multiply-adds are `cost` and, of
    the pairs, `costs` (p,).
    """
    n, order = len(base), gates.order
    stays, goes_on = own[order] - base[order], pairs[:, order] - base[order]
    gain, square = ((_sums(stays**power, goes_on**power)[:, gates.goes_on]) / n for power in (1, 2))
    error = np.sqrt(np.maximum(square - gain**2, 0) / n)
    mean = cost + (costs - cost)[:, None] * gates.goes_on / n
    pair = np.repeat(np.arange(place, place + len(pairs)), len(gates.gate))
    gate = np.tile(gates.gate, len(pairs))
    return _Part(pair, gate, mean.ravel(), gain.ravel() + float(base.mean()), SURE * error.ravel())


def _sums(stays: Floats, goes_on: Floats) -> Floats:
    """Sums over all images of one column (n,) where they stay, of others (p, n) where they go on, by how many go on, (p, n + 1)."""
    sums: Floats = stays.sum() + np.concatenate([np.zeros((len(goes_on), 1)), np.cumsum(goes_on - stays, axis=1)], axis=1)
    return sums
