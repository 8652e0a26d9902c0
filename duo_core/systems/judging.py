"""Systems of one logit set fitted on its fit split and judged on another."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from duo_core.common.arrays import InputError, Predictions, UncertaintyKind
from duo_core.common.parallel import in_parallel
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import metrics
from duo_core.systems.pair_judging import Memory
from duo_core.systems.predicting import Asked, predictions
from duo_core.systems.sweep import calibrate_models, check_judged
from duo_core.systems.system import RULES, Fitted, System, check_members
from duo_core.systems.weighing import fit_members

UQ_ONLY = "uq_only"
"""The weights of `fitted` with the first member's class."""


@dataclass(frozen=True)
class MembersJudged:
    """Some members alone and together by every rule, on one split."""

    logit_set: LogitSet
    split: str
    fitted: Fitted
    predictions: Mapping[str, Predictions]
    """By member, by rule, and `uq_only`."""
    metrics: Mapping[str, Mapping[str, float | None]]

    @property
    def multiply_adds(self) -> int | None:
        """Of all members together; None where one is unknown."""
        return multiply_adds(self.logit_set, self.fitted.members)

    @property
    def cost_ratio(self) -> float | None:
        """Multiply-adds of all members over those of the first; None where unknown."""
        return cost_ratio(self.logit_set, self.fitted.members)

    def document(self) -> dict[str, Any]:
        """Return everything but the images as what `duo fit --members --json` prints."""
        of = self.fitted
        return {
            "set": self.logit_set.name,
            "members": list(of.members),
            "split": self.split,
            "n_fit": len(self.logit_set.labels[FIT_SPLIT]),
            "n_eval": len(self.logit_set.labels[self.split]),
            "k": self.logit_set.k,
            "weights": dict(zip(of.members, of.weights, strict=True)),
            "calibration": dict(zip(of.members, of.calibration, strict=True)),
            "temperature": dict(of.temperature),
            "nll_fit": dict(zip(of.members, of.nll_alone, strict=True)) | dict(of.nll),
            "separated": list(of.separated),
            "multiply_adds": self.multiply_adds,
            "cost_ratio": self.cost_ratio,
            "systems": {key: dict(values) for key, values in self.metrics.items()},
        }


def multiply_adds(logit_set: LogitSet, members: Sequence[str]) -> int | None:
    """Return the multiply-adds of members together, each counted once; None where one is unknown."""
    costs = [logit_set.cards[member].multiply_adds for member in dict.fromkeys(members)]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def cost_ratio(logit_set: LogitSet, members: Sequence[str]) -> float | None:
    """Return the multiply-adds of members together over those of the first; None where one is unknown, or the first has none."""
    total, first = multiply_adds(logit_set, members), logit_set.cards[members[0]].multiply_adds
    return total / first if total is not None and first else None


def fit_system(
    logit_set: LogitSet, members: Sequence[str], memory: Memory | None = None, rules: Collection[str] = tuple(RULES)
) -> Fitted:
    """Fit members on the set's fit split, with what is known of its models already; the order changes nothing."""
    check_members(tuple(members))
    memory = memory or Memory()
    calibrate_models(logit_set, members, memory)
    return weighed(members, memory, rules)


def weighed(members: Sequence[str], memory: Memory, rules: Collection[str] = tuple(RULES)) -> Fitted:
    """Fit calibrated members together, as far as they were not before; `memory` has it then."""
    once = tuple(sorted(members))
    known = memory.weighed.get(once)
    if known is None or not known.nll.keys() >= set(rules):
        every = [rule for rule in RULES if rule in {"fitted", *rules, *(known.nll if known else ())}]
        known = memory.weighed[once] = fit_members(once, [memory.calibrated[member] for member in once], every, known)
    return known.of_rules(rules).reordered(tuple(members))


def alone(fitted: Fitted, member: str) -> Fitted:
    """Return what a fit of that member by itself would have found."""
    at = fitted.members.index(member)
    t, nll = fitted.calibration[at], fitted.nll_alone[at]
    separated = (member, "fitted") if member in fitted.separated else ()
    return Fitted((member,), (t,), (t,), (nll,), nll={"fitted": nll}, separated=separated)


def judge_members(
    logit_set: LogitSet,
    members: Sequence[str],
    split: str = "test",
    *,
    kind: UncertaintyKind = "softmax",
    rules: Collection[str] = tuple(RULES),
) -> MembersJudged:
    """Fit members on the fit split and judge each alone, and together by every rule, on another.

    Raises
    ------
    InputError
        For a model or split that the set does not have, a member twice or called as a rule is, and for judging on the fit split.
    """
    check_members(tuple(members))
    _check_names(members)
    check_judged(logit_set, split)
    logits = {member: logit_set.logits(member, split) for member in members}
    fitted = fit_system(logit_set, members, rules=rules)
    asked: dict[str, Asked] = {member: (System((member,)), alone(fitted, member)) for member in members}
    asked |= {rule: (System(fitted.members, rule), fitted) for rule in rules}
    if "fitted" in rules:
        asked[UQ_ONLY] = System(fitted.members, says=0), fitted
    found = predictions(logits, logit_set.labels[split], list(asked.values()), kind=kind)
    values = in_parallel(metrics, found)
    return MembersJudged(logit_set, split, fitted, dict(zip(asked, found, strict=True)), dict(zip(asked, values, strict=True)))


def _check_names(members: Sequence[str]) -> None:
    """Where results stand by name, a model that is called as a rule would hide it, or be hidden."""
    if hidden := [member for member in members if member in (*RULES, UQ_ONLY)]:
        raise InputError(f"expected members whose names are no rule's, got '{hidden[0]}'; its numbers would hide the rule's")
