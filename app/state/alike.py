"""How alike the models of an open set are, and what each of two is good at."""

from dataclasses import dataclass

import pandas as pd

from app.state.caches import Key, awaited, kept
from app.state.once import Progress
from app.state.sets import Handle, memory
from app.state.systems import digest_of, predicted, readable
from duo_core.analysis.categories import category
from duo_core.analysis.correlations import Correlation, correlations
from duo_core.analysis.diversity import Diversity, by_class, diversity, specialisation
from duo_core.common.arrays import Booleans, Floats, Integers
from duo_core.systems.system import System

REPLICATES, MOST = 1000, 500
"""Draws of the images behind the intervals, and pairs up to which they are drawn."""


@dataclass(frozen=True, eq=False)
class Alike:
    """Every two models of a set, with what goes with what over all of them."""

    found: Diversity
    table: pd.DataFrame
    """Of `diversity.TABLE`, with the `category` of each pair."""
    correlations: list[Correlation]


def alike(handle: Handle, split: str) -> Alike:
    """Compare every two models of a set on a split."""

    def compute(progress: Progress) -> Alike:
        own = readable(handle, split)
        pairs = len(own.cards) * (len(own.cards) - 1) // 2
        draws = REPLICATES if pairs <= MOST else 0
        found = diversity(own, split, memory=memory(handle), replicates=draws, progress=progress)
        rows = zip(found.table["first"], found.table["second"], strict=True)
        table = found.table.assign(category=[category(own.cards[one], own.cards[other]) for one, other in rows])
        return Alike(found, table, correlations(found))

    return awaited(Key("alike", handle.stamp, (split,)), compute, "Comparing every two models")


@dataclass(frozen=True, eq=False)
class Two:
    """Two models image by image, each calibrated by itself."""

    angles: Floats
    """How much surer the first is, (n,)."""
    first: Booleans
    """Images that the first alone gets right, (n,)."""
    second: Booleans
    classes: pd.DataFrame
    """Of `diversity.by_class`."""
    said: tuple[Integers, Integers]
    """What each predicts, (n,)."""


def two(handle: Handle, first: str, second: str, split: str) -> Two:
    """Compare two models image by image."""

    def compute() -> Two:
        own, other = (predicted(handle, System((name,)), split, "softmax") for name in (first, second))
        alone = own.correct & ~other.correct, other.correct & ~own.correct
        return Two(specialisation(own, other), *alone, by_class(own, other), (own.predicted, other.predicted))

    return kept(Key("two", digest_of(handle, (first, second), split)), compute)
