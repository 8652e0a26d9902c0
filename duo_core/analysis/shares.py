"""The share of pairs that agree with a statement, and how far it would move with other models.

Pairs share models, so models are drawn with replacement, not pairs: a pair counts as often as its base was drawn times as often as
its sidekick was (the pigeonhole bootstrap, Owen 2007, which errs on the wide side).
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from duo_core.common.arrays import Floats
from duo_core.metrics.intervals import LEVEL, REPLICATES, UNDEFINED, Interval


class ModelDraws:
    """Draws of models with replacement, to be shared by all statements about them.

    Examples
    --------
    >>> draws = ModelDraws(["a", "b", "c", "d"], replicates=100)
    >>> draws.interval([["a", "a", "a", "b", "b", "c"], ["b", "c", "d", "c", "d", "d"]], [1, 1, 1, 1, 1, 1])
    Interval(estimate=1.0, low=1.0, high=1.0, level=0.95, replicates=100, seed=0, p_value=None)
    """

    def __init__(self, models: Iterable[str], *, replicates: int = REPLICATES, level: float = LEVEL, seed: int = 0) -> None:
        self._place = {name: at for at, name in enumerate(sorted({*models}))}
        m = max(1, len(self._place))
        self._counts = np.random.default_rng(seed).multinomial(m, np.full(m, 1 / m), size=replicates).astype(float)
        self._level, self._seed = level, seed

    def counts(self, model: str) -> Floats:
        """How often each draw takes a model, (replicates,)."""
        found: Floats = self._counts[:, self._place[model]]
        return found

    def interval(self, members: Sequence[Sequence[str]], agrees: ArrayLike) -> Interval | None:
        """Percentile interval of the mean of `agrees`.

        Parameters
        ----------
        members
            Two columns of models for pairs (p,), three for triples; no pair or triple twice.
        agrees
            Whether each does, (p,), in [0, 1]; or, for pairs, on each draw by itself, (replicates, p).

        Returns
        -------
        Interval or None
            None without members, and where more than 5 % of the draws hold none of them.
        """
        if not len(members[0]):
            return None
        at, shares = tuple(np.array([self._place[name] for name in column]) for column in members), np.asarray(agrees, dtype=float)
        there, agreed = (self._totals(at, weights) for weights in (np.ones(len(members[0])), shares))
        if np.mean(there > 0) < 1 - UNDEFINED:
            return None
        low, high = np.quantile(agreed[there > 0] / there[there > 0], [(1 - self._level) / 2, (1 + self._level) / 2])
        return Interval(float(shares.mean()), float(low), float(high), self._level, len(there), self._seed)

    def _totals(self, at: tuple[np.ndarray, ...], weights: Floats) -> Floats:
        """Sum of the weights on each draw, (replicates,), each times the product of its models' counts."""
        if weights.ndim == 2:
            return np.asarray((self._counts[:, at[0]] * self._counts[:, at[1]] * weights).sum(axis=1))
        dense = np.zeros([len(self._place)] * len(at))
        dense[at] = weights
        return self._contracted(dense)

    def _contracted(self, weights: Floats) -> Floats:
        if weights.ndim == 2:
            return np.asarray(((self._counts @ weights) * self._counts).sum(axis=1))
        return np.asarray(sum(self._counts[:, at] * self._contracted(one) for at, one in enumerate(weights)))
