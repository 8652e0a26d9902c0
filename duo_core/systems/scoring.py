"""Many systems of one split judged from one pass over their members' logits, with no more held of each than metrics need."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from duo_core.common.arrays import Floats, Integers
from duo_core.common.parallel import in_parallel
from duo_core.metrics import Judged, metrics_by_kind
from duo_core.systems import loops
from duo_core.systems.pair_judging import Metrics, Steps
from duo_core.systems.pair_predicting import WIDE, Reduced, precision
from duo_core.systems.predicting import Asked, Work, reduce_works, work_of
from duo_core.systems.system import System

_AT = {name: place for place, name in enumerate(loops.COLUMNS)}


def bytes_a_system(n: int, k: int) -> int:
    """What is held of a system of n images and k classes at most: its class, two scores, and what is said of another's class."""
    real = 8 if k <= WIDE else 4
    return n * (4 + 3 * real)


def judge_systems(
    logits: Mapping[str, Tensor], labels: Tensor, asked: Sequence[Asked], steps: Steps, worth: float
) -> list[Metrics]:
    """Return the metrics of every system with either uncertainty, in the order asked.

    `steps` is advanced by `worth` in all. Above 128 classes scores are kept in single precision, as those of pairs are.
    """
    names = sorted({member for system, _ in asked for member in system.members})
    works = [work_of(system, fitted, names) for system, fitted in asked]
    once = sorted(dict.fromkeys(works), key=lambda work: work.as_pair is None)  # those of one pass stand together
    spoken = {work for (system, _), work in zip(asked, works, strict=True) if _says(system)}
    kept = _Kept(len(names), once, spoken, labels, precision(*(logits[name] for name in names)))

    def keep(rows: slice | Integers, places: Integers, block: Reduced) -> None:
        kept.keep(rows, places, block)
        if isinstance(rows, slice):
            steps.advance(worth / 2 * len(places) / len(once) * (rows.stop - rows.start) / len(labels))

    reduce_works([logits[name] for name in names], labels, once, keep)
    places = {work: place for place, work in enumerate(once)}

    def judged(at: int) -> Metrics:
        found = kept.judged(places[works[at]], works[at].said if _says(asked[at][0]) else None)
        steps.advance(worth / 2 / len(asked))
        return found

    return in_parallel(judged, range(len(asked)))


def _says(system: System) -> bool:
    """Whether it is one member's own class that is answered: a single model answers its own, also at a temperature of 0."""
    return system.says is not None or system.m == 1


class _Kept:
    """What metrics need of every piece of work: the class and the scores of every image, the sums of what is only averaged."""

    def __init__(self, m: int, works: Sequence[Work], spoken: set[Work], labels: Tensor, real: np.dtype[Any]) -> None:
        n = len(labels)
        self._labels = labels.numpy(force=True)
        self._own = np.empty((m, n), dtype=np.int32)
        self._predicted = np.empty((len(works), n), dtype=np.int32)
        self._doubt, self._entropy = (np.empty((len(works), n), dtype=real) for _ in range(2))
        self._spoken = np.array([work in spoken for work in works])
        self._row = np.cumsum(self._spoken) - 1
        self._of_said = np.empty((int(self._spoken.sum()), n), dtype=real)
        self._sums: dict[tuple[int, int], tuple[Integers, Floats]] = {}

    def keep(self, rows: slice | Integers, places: Integers, block: Reduced) -> None:
        """Take a block; several threads may do so for different rows. Rows that come again add nothing to what is averaged."""
        self._own[:, rows] = block.own
        part, spoken = slice(places[0], places[-1] + 1), self._spoken[places]
        self._predicted[part, rows] = block.predicted
        self._doubt[part, rows], self._entropy[part, rows] = block.columns[_AT["doubt"]], block.columns[_AT["entropy"]]
        first = self._row[part.start] + 1 - spoken[0]
        self._of_said[first : first + spoken.sum(), rows] = block.columns[_AT["doubt_of_said"]][spoken]
        if isinstance(rows, slice):
            self._sums[part.start, rows.start] = places, block.columns[[_AT["nll"], _AT["brier"]]].sum(2)

    @cached_property
    def _means(self) -> Floats:
        """Mean NLL and Brier score by piece of work, (2, works); added in the order of the rows, whichever thread came first."""
        total = np.zeros((2, len(self._predicted)))
        for key in sorted(self._sums):
            places, sums = self._sums[key]
            total[:, places] += sums
        means: Floats = total / len(self._labels)
        return means

    def judged(self, place: int, said: int | None) -> Metrics:
        """Metrics of a piece of work, for its own class or that of the model who says."""
        predicted = self._predicted[place] if said is None else self._own[said]
        doubt: NDArray[Any] = self._doubt[place] if said is None else self._of_said[self._row[place]]
        nll, brier = self._means[:, place].tolist()
        found = Judged(self._labels, predicted, 1 - doubt.astype(np.float64), doubt, nll, brier)
        return metrics_by_kind(found, self._entropy[place])
