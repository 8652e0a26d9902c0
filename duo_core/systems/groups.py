"""Deep ensembles: which models are trainings of one recipe by other seeds, and which of them are put together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from duo_core.common.arrays import InputError
from duo_core.logits import Card
from duo_core.systems.kinds import group_of, same_weights

MOST = 32
"""Subsets of one size up to which all are taken; else so many are drawn."""


@dataclass(frozen=True)
class Group:
    """Trainings of one architecture and recipe by other seeds."""

    recipe: str
    model: str
    """The architecture, as its card says it."""
    members: tuple[str, ...]
    """In alphabetical order."""

    def subsets(self, m: int, seed: int = 0) -> list[tuple[str, ...]]:
        """Return the choices of m members: all if these are at most MOST, else so many different ones, drawn by the seed.

        Raises
        ------
        InputError
            Where there are not so many trainings.

        Examples
        --------
        >>> Group("scratch", "cifar/resnet20", ("a", "b", "c")).subsets(2)
        [('a', 'b'), ('a', 'c'), ('b', 'c')]
        """
        if not 1 <= m <= len(self.members):
            raise InputError(
                f"expected a deep ensemble of 1 to {len(self.members)} trainings of '{self.model}' ({self.recipe}), as many as "
                f"there are, got {m}; train more seeds"
            )
        if math.comb(len(self.members), m) <= MOST:
            return list(combinations(self.members, m))
        random, drawn = np.random.default_rng([seed, m]), dict[tuple[str, ...], None]()
        while len(drawn) < MOST:
            places = np.sort(random.choice(len(self.members), m, replace=False))
            drawn[tuple(self.members[place] for place in places)] = None
        return sorted(drawn)


def groups_of(cards: Mapping[str, Card], models: Sequence[str] | None = None) -> list[Group]:
    """Return the groups of at least two trainings among models of a set; a copy, by its weights' digest, is no training."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in sorted(models if models is not None else cards):
        key = group_of(cards[name])
        if key is not None:
            there = found.setdefault(key, [])
            if same_weights([cards[other] for other in (*there, name)]) is None:
                there.append(name)
    return [Group(*key, tuple(members)) for key, members in sorted(found.items()) if len(members) > 1]


def check_deep_ensemble(cards: Mapping[str, Card], members: Sequence[str]) -> None:
    """Raise InputError where members are no deep ensemble: two of equal weights, or of several recipes or architectures.

    >>> cards = {name: Card(name, "cifar/resnet20", "cifar", recipe="scratch", weights_sha256="1f") for name in "ab"}
    >>> check_deep_ensemble(cards, ["a", "b"])
    Traceback (most recent call last):
    duo_core.common.arrays.InputError: expected trainings of different weights, got 'a' and 'b' with the same (SHA-256 1f); leave \
one out
    """
    twice = same_weights([cards[member] for member in members])
    if twice:
        sha256 = (cards[twice[0]].weights_sha256 or "")[:12]
        raise InputError(
            f"expected trainings of different weights, got '{twice[0]}' and '{twice[1]}' with the same (SHA-256 {sha256}); "
            "leave one out"
        )
    first, *others = members
    for other in others:
        if group_of(cards[other]) is None or group_of(cards[other]) != group_of(cards[first]):
            raise InputError(
                f"expected trainings of one architecture and recipe, got '{first}' and '{other}'; what they make together is a "
                "heterogeneous ensemble"
            )
