"""The judged systems that may stand in a base's place; larger ones grow as budgets ask for them."""

import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from duo_core.analysis.candidates import BUDGETS, GROWN_UNDER, Candidate, candidates, enumerated, grown, takes_part
from duo_core.logits import LogitSet
from duo_core.systems.enumeration import Results, results
from duo_core.systems.growing import WHOLE
from duo_core.systems.pair_judging import Memory
from duo_core.systems.remembered_systems import swept_or_judged
from duo_core.systems.system import System


class Beside:
    """Systems that are weighed beside a base, its cascades left out; what grew under one budget does not grow again."""

    def __init__(self, own: LogitSet, base: str, split: str, whole: Results, *, size: int, memory: Memory) -> None:
        """Of every choice of few models and the deep ensembles, judged; the base alone among them."""
        self.own, self.base, self.split, self.whole = own, base, split, whole
        self.found: Results = dict(whole)
        """These and what grew."""
        self.fitted: int | None = None
        """Of `Bounds`."""
        self.memory, self._size = memory, size
        self._grew: dict[System, set[float]] = {}
        self._grown: dict[System, Candidate] = {}
        self._under: set[float] = set()
        self._lock = threading.Lock()

    @cached_property
    def weighed(self) -> dict[System, Candidate]:
        """Those that do not grow, as candidates."""
        return _by_system(self.own, self.base, self.whole)

    def within(self, budget: float) -> list[Candidate]:
        """All candidates for a budget: those that do not grow, and of the others what `takes_part`, whatever grew meanwhile."""
        with self._lock:
            self._grow(budget)
            larger = [one for system, one in self._grown.items() if takes_part(self._grew[system], budget)]
            return [*self.weighed.values(), *larger]

    def _grow(self, budget: float) -> None:
        new = sorted({*(smaller for smaller in GROWN_UNDER if smaller < budget), budget} - self._under)
        if not new:
            return
        grew, self.fitted = grown(self.own, self.base, self.split, new, size=self._size, memory=self.memory, known=self.whole)
        self._under.update(new)
        larger = [system for system in grew if system not in self.found]
        judged = results(self.own, larger, [self.split], memory=self.memory)
        self.found |= judged
        self._grown |= _by_system(self.own, self.base, judged)
        for system, under in grew.items():
            self._grew.setdefault(system, set()).update(under)


def _by_system(own: LogitSet, base: str, found: Results) -> dict[System, Candidate]:
    return {one.system: one for one in candidates(own, base, found) if isinstance(one.system, System)}


def systems_beside(
    logit_set: LogitSet,
    base: str,
    split: str = "test",
    budgets: Sequence[float] = BUDGETS,
    *,
    size: int = WHOLE,
    known: Results | None = None,
    store: Path | None = None,
    memory: Memory | None = None,
    seed: int = 0,
    progress: Callable[[int, int], bool | None] | None = None,
) -> Beside:
    """Return the systems that an advisor weighs beside a base; parameters as of `advisor.advise`.

    Parameters
    ----------
    known
        Systems that were judged on the split before; those of `candidates.enumerated` do not depend on the base.
    """
    memory, known = memory or Memory(), known or {}
    limit = (1 + max([*BUDGETS, *budgets])) * (logit_set.cards[base].multiply_adds or 0)
    systems = enumerated(logit_set, split, size=size, seed=seed, limit=limit, base=base)
    if new := [system for system in systems if system not in known]:
        known = {**known, **swept_or_judged(logit_set, new, split, store, memory, progress)}
    whole = {system: known[system] for system in systems if system in known}
    return Beside(logit_set, base, split, whole, size=size, memory=memory)
