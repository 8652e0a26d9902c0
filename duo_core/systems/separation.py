"""Whether some weights give every label the largest logit: then larger ones are better without end, and none are best."""

from itertools import product

import numpy as np

from duo_core.common.arrays import Floats
from duo_core.systems.moments import most_violated
from duo_core.systems.newton import Features, rows_a_block

_CUTS = 200
"""So many that a split which is not told apart by then is taken for one that is not separated."""
_ZERO = 1e-12


def separating(features: Features) -> bool:
    """Whether weights >= 0, not all 0, put no class above its label in any row, and some class below it.

    Each class of each row leaves the weights on one side of a plane through 0. The cone of those that are left is known by its
    edges, at first the axes; a plane that leaves its middle out cuts it, the one that does so most, until the middle stays or
    nothing is left. Where the middle puts every class level with its label, the edges are looked at one by one. Nearly always there
    is a class that every member prefers to the label, and the first look ends it.
    """
    edges = np.eye(len(features.logits))
    planes = -edges
    for _ in range(_CUTS):
        for weights in (edges.sum(0), *edges):
            excess, below, plane = _most_violated(features, weights)
            if excess > 0 or below:
                break
        if excess <= 0:
            return below
        planes = np.vstack([planes, plane / np.abs(plane).max()])
        edges = _cut(edges, planes) if excess < np.inf else edges[:0]
        if not len(edges):
            return False
    return False


def _most_violated(features: Features, middle: Floats) -> tuple[float, bool, Floats]:
    """How far a class exceeds its label by the middle's weights at most, whether any lies below, and how far for each member."""
    m, n = len(middle), len(features.labels)
    rows, weights = max(1, rows_a_block(features.logits[0]) // m), middle / features.scales
    most, below, plane = -np.inf, False, np.zeros(m)
    for start in range(0, n, rows):
        part, apart = slice(start, min(start + rows, n)), np.zeros(m)
        block = np.stack([logits[part] for logits in features.logits])
        excess, some = most_violated(block, features.labels[part], weights, apart)
        below |= some
        if excess > most:
            most, plane = excess, apart / features.scales
        if most == np.inf:
            break
    return most, below, plane


def _cut(edges: Floats, planes: Floats) -> Floats:
    """The edges of a cone on the near side of the last plane, given the planes that bound it (the double description method)."""
    heights = edges @ planes.T
    heights[np.abs(heights) < _ZERO] = 0.0
    above, touching = heights[:, -1], heights[:, :-1] == 0
    made = [
        edges[near] * above[far] - edges[far] * above[near]
        for far, near in product(np.flatnonzero(above > 0), np.flatnonzero(above < 0))
        if (touching[:, touching[far] & touching[near]].all(1)).sum() == 2
    ]
    kept = edges[above <= 0]
    if not made:
        return kept
    new = np.array(made)
    return np.vstack([kept, new / new.max(1, keepdims=True)])
