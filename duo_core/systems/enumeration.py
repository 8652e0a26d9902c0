"""Many systems of a set fitted and judged: the tables `systems`, `weights` and `fits`."""

import contextlib
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, groupby
from typing import Any, NamedTuple

import pandas as pd

from duo_core.common.arrays import InputError, UncertaintyKind
from duo_core.common.parallel import in_parallel
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import METRICS
from duo_core.systems.judging import cost_ratio, multiply_adds, weighed
from duo_core.systems.newton import LARGE
from duo_core.systems.pair_judging import CancelledError, Memory, Metrics, Steps
from duo_core.systems.scoring import bytes_a_system, judge_systems
from duo_core.systems.sweep import calibrate_models, check_judged
from duo_core.systems.system import RULES, Fitted, System, Weights

SYSTEMS = ["set", "split", "system", "rule", "says", "m", "members", "cost", "cost_ratio", *METRICS]
"""Columns of the table of systems, one row a system and split; what is undefined or unknown is NaN."""
WEIGHTS = ["system", "place", "member", "weight", "alone"]
"""Columns of the table of weights, one row a system and member."""
FITS = ["system", "nll_fit", "temperature", "separated"]
"""Columns of the table of fits, one row a system: what is chosen is chosen by the NLL on the fit split, so it is no result."""

BYTES = 640 << 20
"""What classes and scores may take at once, as in a sweep over pairs."""


class SystemTables(NamedTuple):
    """Systems by split, their members' weights, and their fits; `system` says which belong together."""

    systems: pd.DataFrame
    weights: pd.DataFrame
    fits: pd.DataFrame


@dataclass(frozen=True)
class Result:
    """What is known of one system."""

    weights: Weights
    """What multiplies each member's logits before a final temperature."""
    alone: Weights
    """Each member's own temperature."""
    nll_fit: float
    """NLL on the fit split, nats."""
    temperature: float | None
    """The final one, where the rule has one."""
    separated: bool
    """Whether no finite weights, or no finite temperature, are best."""
    judged: dict[str, Metrics] = field(default_factory=dict)
    """Metrics by split and uncertainty."""


Results = dict[System, Result]


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
        Called with steps done and steps in all; returning True cancels, and the groups of systems judged so far are returned.

    Raises
    ------
    InputError
        For a size below 1, and a split that the set does not have or that is fitted on.
    """
    if size < 1:
        raise InputError(f"expected systems of at least 1 member, got {size}")
    chosen = list(splits) if splits is not None else logit_set.evaluation_splits
    asked = every_system(subsets(logit_set.models(FIT_SPLIT, *chosen), size), rules)
    return tables(logit_set, results(logit_set, asked, chosen, memory=memory, progress=progress), kind)


def subsets(models: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """Every choice of up to so many models, in their order, smaller ones first.

    >>> [" ".join(members) for members in subsets(["a", "b", "c"], 2)]
    ['a', 'b', 'c', 'a b', 'a c', 'b c']
    """
    for m in range(1, size + 1):
        yield from combinations(models, m)


def every_system(members: Iterable[tuple[str, ...]], rules: Collection[str]) -> list[System]:
    """The systems of each of some choices of members, those of the same members together."""
    return [system for chosen in members for system in systems_by(chosen, rules)]


def systems_by(members: tuple[str, ...], rules: Collection[str]) -> list[System]:
    """The systems of some members: one a rule, and with the first member's class; of one member one."""
    if len(members) == 1:
        return [System(members)]
    first = [System(members, says=0)] if "fitted" in rules else []
    return [System(members, rule) for rule in rules] + first


def results(
    logit_set: LogitSet,
    systems: Sequence[System],
    splits: Sequence[str],
    *,
    memory: Memory | None = None,
    progress: Callable[[int, int], bool | None] | None = None,
) -> Results:
    """Fit systems on the set's fit split and judge them on others, as many at once as memory allows.

    Those of the same members should stand together. Cancelled, it returns the groups of systems that are whole.
    """
    for split in splits:
        check_judged(logit_set, split)
    memory, found = memory or Memory(), Results()
    steps = Steps(len({system.members for system in systems}) * (1 + len(splits)), progress)
    n = max([len(logit_set.labels[split]) for split in splits], default=1)
    with contextlib.suppress(CancelledError):
        calibrate_models(logit_set, dict.fromkeys(member for system in systems for member in system.members), memory)
        for group in _groups(systems, max(1, BYTES // bytes_a_system(max(1, n), logit_set.k))):
            fits = fit_all(logit_set, group, memory, steps)
            part = {system: _result(system, fits[system.members]) for system in group}
            for split in splits:
                logits = {member: logit_set.logits(member, split) for system in group for member in system.members}
                asked = [(system, fits[system.members]) for system in group]
                judged = judge_systems(logits, logit_set.labels[split], asked, steps, len(fits))
                for system, values in zip(group, judged, strict=True):
                    part[system].judged[split] = values
            found |= part
    return found


def fit_all(logit_set: LogitSet, systems: Iterable[System], memory: Memory, steps: Steps) -> dict[tuple[str, ...], Fitted]:
    """The fit of each choice of members, calibrated before, by the rules that its systems ask for."""
    rules: dict[tuple[str, ...], list[str]] = {}
    for system in systems:
        rules.setdefault(system.members, []).append(system.rule)

    def fitted(members: tuple[str, ...]) -> Fitted:
        found = weighed(members, memory, dict.fromkeys(rules[members]))
        steps.advance(1)
        return found

    # As with pairs: one fit on a large split keeps all cores busy by itself.
    large = len(logit_set.labels[FIT_SPLIT]) * logit_set.k > LARGE
    found = [fitted(members) for members in rules] if large else in_parallel(fitted, list(rules))
    return dict(zip(rules, found, strict=True))


def _result(system: System, fitted: Fitted) -> Result:
    rule = system.rule
    temperature = fitted.temperature.get(rule) if RULES[rule].tempered else None
    return Result(RULES[rule].weights(fitted), fitted.calibration, fitted.nll[rule], temperature, rule in fitted.separated)


def _groups(systems: Sequence[System], size: int) -> Iterator[list[System]]:
    """The systems in groups of about so many; those of the same members stand together."""
    group: list[System] = []
    for _, same in groupby(systems, key=lambda system: system.members):
        group += same
        if len(group) >= size:
            yield group
            group = []
    if group:
        yield group


def tables(logit_set: LogitSet, found: Mapping[System, Result], kind: UncertaintyKind = "softmax") -> SystemTables:
    """Results as tables, in their order; rows of one split stand together."""
    splits = dict.fromkeys(split for result in found.values() for split in result.judged)
    facts = functools.cache(lambda members: _facts(logit_set, members))
    systems = [
        {"set": logit_set.name, "split": split, "system": at, "rule": system.rule, "says": system.says}
        | facts(system.members)
        | result.judged[split][kind]
        for split in splits
        for at, (system, result) in enumerate(found.items())
        if split in result.judged
    ]
    weights = [
        (at, place, member, result.weights[place], result.alone[place])
        for at, (system, result) in enumerate(found.items())
        for place, member in enumerate(system.members)
    ]
    fits = [(at, result.nll_fit, result.temperature, result.separated) for at, result in enumerate(found.values())]
    return SystemTables(
        pd.DataFrame(systems, columns=SYSTEMS).astype(dict.fromkeys(["says", "cost", "cost_ratio", *METRICS], float)),
        pd.DataFrame(weights, columns=WEIGHTS),
        pd.DataFrame(fits, columns=FITS).astype({"nll_fit": float, "temperature": float, "separated": bool}),
    )


def _facts(logit_set: LogitSet, members: tuple[str, ...]) -> dict[str, Any]:
    cost, ratio = multiply_adds(logit_set, members), cost_ratio(logit_set, members)
    return {"m": len(members), "members": " + ".join(members), "cost": cost, "cost_ratio": ratio}
