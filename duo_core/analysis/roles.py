"""Which pairs are asymmetric duos: those whose base is the better member; the others are reversed.

What is chosen is chosen by the fit split, where `sweep.on_fit` says which pairs are reversed. Claims about another split leave out
those that are clearly reversed there, too: after a shift the other model may be the better one by far.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd

from duo_core.common.arrays import Booleans
from duo_core.systems.pair_judging import Pair

CLEAR = 2.0
"""Standard errors by which a sidekick is clearly more accurate than its base; those of two models that err on other images."""


def alone(table: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics of every model of a sweep's rows alone, on one split, its name as the index."""
    rows = {role: table[table["variant"] == role].drop(columns="variant") for role in ("base", "sidekick")}
    return (
        pd.concat([part.rename(columns={role: "model"}) for role, part in rows.items()]).drop_duplicates("model").set_index("model")
    )


def better_members(table: pd.DataFrame, accuracy: pd.Series) -> pd.Series:
    """Return the more accurate model of each row's pair, given the accuracy by model; the base where both are as accurate.

    >>> pairs = pd.DataFrame({"base": ["a", "a"], "sidekick": ["b", "c"]})
    >>> better_members(pairs, pd.Series({"a": 0.8, "b": 0.9, "c": 0.8})).tolist()
    ['b', 'a']
    """
    reversed_here = table["sidekick"].map(accuracy) > table["base"].map(accuracy)
    return table["base"].mask(reversed_here, table["sidekick"])


def clearly_reversed(base: pd.Series, sidekick: pd.Series, images: int) -> Booleans:
    """Whether sidekicks are more accurate than bases by more than CLEAR standard errors, given accuracies on so many images.

    >>> clearly_reversed(pd.Series([0.5, 0.5]), pd.Series([0.6, 0.51]), 1000).tolist()
    [True, False]
    """
    error = np.sqrt((base * (1 - base) + sidekick * (1 - sidekick)) / images)
    return np.asarray(sidekick - base > CLEAR * error)


def judged_reversed(table: pd.DataFrame, on_fit: pd.DataFrame, images: int) -> set[Pair]:
    """Return which pairs of a split's rows are reversed on the fit split, or clearly so on the so many images of their own."""
    accuracy = alone(table)["accuracy"]
    pairs = table[["base", "sidekick"]].drop_duplicates()
    there = clearly_reversed(pairs["base"].map(accuracy), pairs["sidekick"].map(accuracy), images)
    return {*named(on_fit[on_fit["reversed"]]), *named(pairs[there])} & {*named(pairs)}


def without(table: pd.DataFrame, left_out: Collection[Pair]) -> pd.DataFrame:
    """Return the rows of all other pairs."""
    return table[[pair not in left_out for pair in named(table)]] if left_out else table


def named(table: pd.DataFrame) -> list[Pair]:
    """Base and sidekick of every row."""
    return list(zip(table["base"].tolist(), table["sidekick"].tolist(), strict=True))
