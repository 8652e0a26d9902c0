"""All systems of up to so many members of a set, fitted and judged: the tables `systems` and `weights`."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, groupby
from typing import Any, NamedTuple

import pandas as pd

from duo_core.common.arrays import InputError, UncertaintyKind
from duo_core.common.parallel import in_parallel
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import METRICS, metrics
from duo_core.systems.judging import cost_ratio, multiply_adds
from duo_core.systems.newton import LARGE
from duo_core.systems.pair_judging import CancelledError, Memory, Steps
from duo_core.systems.predicting import BYTES_AN_IMAGE, Asked, predictions
from duo_core.systems.sweep import calibrate_models, check_judged
from duo_core.systems.system import RULES, Fitted, System
from duo_core.systems.weighing import fit_members

SYSTEMS = ["set", "split", "system", "rule", "says", "m", "members", "cost", "cost_ratio", *METRICS]
"""Columns of the table of systems, one row a system and split; what is undefined or unknown is NaN."""
WEIGHTS = ["system", "place", "member", "weight", "alone"]
"""Columns of the table of weights, one row a system and member."""

BYTES = 256 << 20
"""What predictions may take at once."""

Metrics = Mapping[str, float | None]


class SystemTables(NamedTuple):
    """Systems by split, and their members' weights; `system` says which belong together."""

    systems: pd.DataFrame
    weights: pd.DataFrame


def systems_of(
    logit_set: LogitSet,
    size: int = 3,
    splits: Iterable[str] | None = None,
    *,
    rules: Collection[str] = tuple(RULES),
    kind: UncertaintyKind = "softmax",
    memory: Memory | None = None,
    progress: Callable[[int, int], bool | None] | None = None,
) -> SystemTables:
    """Fit and judge every system of up to `size` models of a set, by every rule.

    A system's first member is the one with most multiply-adds. Of two and more members there is one row a rule, and one where the
    first member's class is answered with the weights of `fitted`; one member is the same by every rule, and has one row. `weight`
    is what multiplies the member's logits before a final temperature, `alone` its own temperature.

    Parameters
    ----------
    splits
        Those to judge on; by default every one but the fit split.
    rules
        Keys of RULES.
    kind
        Which uncertainty ranks the images.
    memory
        What was found of the set's models before; what is found now is added.
    progress
        Called with steps done and steps in all; returning True cancels, and what was judged until then is returned.

    Raises
    ------
    InputError
        For a size below 1, and a split that the set does not have or that is fitted on.
    """
    if size < 1:
        raise InputError(f"expected systems of at least 1 member, got {size}")
    chosen = list(splits) if splits is not None else logit_set.evaluation_splits
    for split in chosen:
        check_judged(logit_set, split)
    todo = list(subsets(logit_set.models(FIT_SPLIT, *chosen), size))
    steps = Steps(len(todo) * (1 + len(chosen)), progress)
    judged: list[tuple[str, int, Metrics]] = []
    asked: list[Asked] = []
    with contextlib.suppress(CancelledError):
        fits = _fits(logit_set, todo, rules, memory or Memory(), steps)
        asked = [(system, fits[members]) for members in todo for system in systems_by(members, rules)]
        for split in chosen:
            judged += [(split, *found) for found in _judged(logit_set, split, asked, kind, steps)]
    return _tables(logit_set, asked, judged)


def subsets(models: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """Every choice of up to so many models, in their order, smaller ones first.

    >>> [" ".join(members) for members in subsets(["a", "b", "c"], 2)]
    ['a', 'b', 'c', 'a b', 'a c', 'b c']
    """
    for m in range(1, size + 1):
        yield from combinations(models, m)


def systems_by(members: tuple[str, ...], rules: Collection[str]) -> list[System]:
    """The systems of some members: one a rule, and with the first member's class; of one member one."""
    if len(members) == 1:
        return [System(members)]
    first = [System(members, says=0)] if "fitted" in rules else []
    return [System(members, rule) for rule in rules] + first


def _fits(
    logit_set: LogitSet, todo: Sequence[tuple[str, ...]], rules: Collection[str], memory: Memory, steps: Steps
) -> dict[tuple[str, ...], Fitted]:
    calibrate_models(logit_set, dict.fromkeys(member for members in todo for member in members), memory)

    def fitted(members: tuple[str, ...]) -> Fitted:
        once = sorted(members)
        found = fit_members(once, [memory.calibrated[member] for member in once], rules if len(once) > 1 else ["fitted"])
        steps.advance(1)
        return found.reordered(members)

    # As with pairs: one fit on a large split keeps all cores busy by itself.
    large = len(logit_set.labels[FIT_SPLIT]) * logit_set.k > LARGE
    found = [fitted(members) for members in todo] if large else in_parallel(fitted, todo)
    return dict(zip(todo, found, strict=True))


def _judged(
    logit_set: LogitSet, split: str, asked: Sequence[Asked], kind: UncertaintyKind, steps: Steps
) -> Iterator[tuple[int, Metrics]]:
    """The place of every system and its metrics, as many at once as memory allows."""
    labels, start = logit_set.labels[split], 0
    for part in _groups(asked, max(1, BYTES // (BYTES_AN_IMAGE * max(1, len(labels))))):
        members = dict.fromkeys(member for system, _ in part for member in system.members)
        logits = {member: logit_set.logits(member, split) for member in members}
        values = in_parallel(metrics, predictions(logits, labels, part, kind=kind))
        yield from zip(range(start, start + len(part)), values, strict=True)
        start += len(part)
        steps.advance(len({system.members for system, _ in part}))


def _groups(asked: Sequence[Asked], size: int) -> Iterator[list[Asked]]:
    """The systems in groups of about so many; those of the same members stand together."""
    group: list[Asked] = []
    for _, same in groupby(asked, key=lambda one: one[0].members):
        group += same
        if len(group) >= size:
            yield group
            group = []
    if group:
        yield group


def _tables(logit_set: LogitSet, asked: Sequence[Asked], judged: Sequence[tuple[str, int, Metrics]]) -> SystemTables:
    systems = [
        {"set": logit_set.name, "split": split, "system": at, **_facts(logit_set, asked[at][0]), **values}
        for split, at, values in judged
    ]
    weights = [
        {"system": at, "place": place, "member": member, "weight": weight, "alone": t}
        for at, (system, fitted) in enumerate(asked)
        for place, (member, weight, t) in enumerate(
            zip(fitted.members, RULES[system.rule].weights(fitted), fitted.calibration, strict=True)
        )
    ]
    table = pd.DataFrame(systems, columns=SYSTEMS).astype(dict.fromkeys(["says", "cost", "cost_ratio", *METRICS], float))
    return SystemTables(table, pd.DataFrame(weights, columns=WEIGHTS))


def _facts(logit_set: LogitSet, system: System) -> dict[str, Any]:
    return {
        "rule": system.rule,
        "says": system.says,
        "m": system.m,
        "members": " + ".join(system.members),
        "cost": multiply_adds(logit_set, system.members),
        "cost_ratio": cost_ratio(logit_set, system.members),
    }
