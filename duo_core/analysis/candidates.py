"""What an advisor weighs: every system that a set can offer at a cost, and what each is to the base."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from duo_core.common.arrays import Floats, Predictions, UncertaintyKind
from duo_core.logits import FIT_SPLIT, Card, LogitSet
from duo_core.systems.cascades import Cascade
from duo_core.systems.enumeration import Results, subsets
from duo_core.systems.groups import groups_of
from duo_core.systems.growing import MOST, WHOLE, choices, grow_under
from duo_core.systems.judging import multiply_adds
from duo_core.systems.kinds import Kind, is_soup, kind_of, one_group
from duo_core.systems.pair_judging import Memory
from duo_core.systems.predicting import Asked, losses, predictions
from duo_core.systems.system import Fitted, System

Action = Literal["keep", "soup", "sidekick", "sidekicks", "soup + sidekick", "deep ensemble", "ensemble", "replace", "cascade"]
ACTIONS: tuple[Action, ...] = get_args(Action)
"""What may be done about a base: keep it; take an average of its trainings; add one model, or several, that cost no more than it;
both; add trainings of its own; put several models in its place, or larger ones beside it; put one other in its place; or hand only
the uncertain images on."""

BUDGETS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Shares of the base's multiply-adds that a system may cost more."""
GROWN_UNDER = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
"""Those under which larger systems grow, as far as a budget that is asked for allows them, so that more compute is never worse."""
LARGEST = 6
"""Members of a system that grew from the base, at most."""
MANY, FITTED = 40, 3
"""Models of a set from which on, at each step of what grows, only so many are fitted."""


@dataclass(frozen=True)
class Candidate:
    """One system that may be advised."""

    system: System | Cascade
    kind: Kind
    action: Action
    cost: float
    """Multiply-adds an image; of a cascade the mean on the fit split."""
    val_nll: float
    """On the fit split: what is chosen by, so no result."""
    worth: float
    """What its NLL there must be lower by than the base's to be worth taking: what its weights gain by chance."""

    @property
    def members(self) -> tuple[str, ...]:
        """Names of its models."""
        return self.system.members

    @property
    def rule(self) -> str:
        """Key of RULES, or `cascade`."""
        return self.system.rule if isinstance(self.system, System) else "cascade"


@dataclass(frozen=True)
class Bounds:
    """What was not tried of all that could be, as it would take too long on so many models."""

    fitted: int | None = None
    """Models that were fitted at each step of what grows: those that promise most. None where all were."""
    cascades: int | None = None
    """Pairs that were tried as the second stage of a cascade; None where all were."""
    pairs: int = 0
    """Of so many."""

    def __bool__(self) -> bool:
        return self.fitted is not None or self.cascades is not None


def enumerated(
    logit_set: LogitSet, split: str, *, size: int = WHOLE, seed: int = 0, limit: float = math.inf, base: str | None = None
) -> list[System]:
    """Return the systems that do not depend on what they are compared with, the base alone first where there is one.

    Every choice of up to `size` models with known costs, or of up to two where these would be too many; and deep ensembles of each
    group. None costs more than the limit, in multiply-adds.
    """
    cards = logit_set.cards
    models = affordable_models(logit_set, split)
    found = dict.fromkeys([] if base is None else [System((base,))])
    found |= {_system(cards, members): None for members in subsets(models, whole_size(len(models), size))}
    for group in groups_of(cards, models):
        for m in range(2, len(group.members) + 1):
            found |= {System(_ordered(members, models), "ensemble"): None for members in group.subsets(m, seed)}
    return [system for system in found if (multiply_adds(logit_set, system.members) or 0) <= limit * (1 + 1e-12)]


def grown(
    logit_set: LogitSet,
    base: str,
    split: str,
    budgets: Sequence[float],
    *,
    size: int = WHOLE,
    memory: Memory,
    known: Results | None = None,
) -> tuple[dict[System, set[float]], int | None]:
    """Return the larger systems that grow from the base, and how many models were fitted at each step if not all.

    With each system stand the budgets under which it grew.
    """
    if size <= 1:
        return {}, None
    models, every = affordable_models(logit_set, split), sorted(set(budgets))
    fitted = FITTED if len(models) > MANY else None
    largest = max(size, LARGEST)
    of_each = grow_under(logit_set, base, every, size=largest, models=models, memory=memory, known=known, fitted=fitted)
    whole = whole_size(len(models), size)
    found: dict[System, set[float]] = {}
    for budget, one in zip(every, of_each, strict=True):
        for members in one.path:
            if len(members) > whole:
                found.setdefault(_system(logit_set.cards, _ordered(members, models)), set()).add(budget)
    return found, fitted


def takes_part(under: Collection[float], budget: float) -> bool:
    """Whether what grew under some budgets is weighed for another: if it grew under that, or under a smaller one of GROWN_UNDER.

    >>> takes_part({0.1}, 0.15), takes_part({0.12}, 0.15), takes_part({0.2}, 0.15)
    (True, False, False)
    """
    return budget in under or any(one < budget for one in under if one in GROWN_UNDER)


def affordable_models(logit_set: LogitSet, split: str) -> list[str]:
    """Return the models that can be judged and whose costs are known."""
    return [model for model in logit_set.models(FIT_SPLIT, split) if logit_set.cards[model].multiply_adds]


def whole_size(models: int, size: int = WHOLE) -> int:
    """Return up to how many members every choice of so many models is weighed."""
    return max(m for m in range(1, max(1, min(size, WHOLE)) + 1) if m <= 2 or choices(models, m) <= MOST)


def _system(cards: Mapping[str, Card], members: tuple[str, ...]) -> System:
    """Trainings of one recipe count as much as each other: a deep ensemble; other members are weighed by the fit."""
    return System(members, "ensemble" if one_group([cards[member] for member in members]) else "fitted")


def _ordered(members: Sequence[str], models: Sequence[str]) -> tuple[str, ...]:
    return tuple(model for model in models if model in members)


def candidates(logit_set: LogitSet, base: str, found: Results) -> list[Candidate]:
    """Return judged systems as candidates; those with a member of weight 0, which are smaller ones again, are left out.

    A weight more than the base's one gains 1 / n by chance on the n images that it is fitted to.
    """
    images = len(logit_set.labels[FIT_SPLIT])
    return [
        Candidate(
            system,
            kind_of(logit_set.cards, system),
            action_of(logit_set.cards, base, system.members),
            float(multiply_adds(logit_set, system.members) or 0),
            result.nll_fit,
            (system.m - 1) / images if system.rule == "fitted" else 0.0,
        )
        for system, result in found.items()
        if system.m == 1 or all(result.weights)
    ]


def action_of(cards: Mapping[str, Card], base: str, members: Sequence[str]) -> Action:
    """Return what a system is to the base.

    >>> cards = {name: Card(name, name, "timm", multiply_adds=cost) for name, cost in (("a", 4), ("b", 2), ("c", 1))}
    >>> [action_of(cards, "b", of) for of in (["b"], ["b", "c"], ["a"], ["a", "b"])]
    ['keep', 'sidekick', 'replace', 'ensemble']
    """
    others = [member for member in members if member != base]
    soups = [member for member in others if is_soup_of(cards[member], cards[base])]
    if not others:
        return "keep"
    if base not in members and len(soups) == 1:
        rest = [member for member in others if member not in soups]
        return "soup" if not rest else "soup + sidekick" if _cheap(cards, base, rest) else "ensemble"
    if base not in members:
        return "replace" if len(members) == 1 else "ensemble"
    if one_group([cards[member] for member in members]):
        return "deep ensemble"
    if not _cheap(cards, base, others):
        return "ensemble"
    return "sidekick" if len(others) == 1 else "sidekicks"


def is_soup_of(card: Card, base: Card) -> bool:
    """Whether a model is an average of trainings of the base's architecture, or of the base itself."""
    if not is_soup(card):
        return False
    ingredients = (card.training or {}).get("ingredients") or ()
    of_base = base.weights_sha256 in {one.get("weights_sha256") for one in ingredients if isinstance(one, Mapping)}
    return (of_base and base.weights_sha256 is not None) or (card.model == base.model and not is_soup(base))


def _cheap(cards: Mapping[str, Card], base: str, members: Sequence[str]) -> bool:
    """Whether none of the members costs more than the base."""
    return all((cards[member].multiply_adds or 0) <= (cards[base].multiply_adds or 0) for member in members)


def predicted(logit_set: LogitSet, asked: Sequence[Asked], split: str, kind: UncertaintyKind = "softmax") -> list[Predictions]:
    """Return what fitted systems predict on a split."""
    return predictions(_logits(logit_set, asked, split), logit_set.labels[split], asked, kind=kind)


def lost(logit_set: LogitSet, asked: Sequence[Asked], split: str) -> Floats:
    """Return the NLL of every image of a split by fitted systems, (systems, n)."""
    return losses(_logits(logit_set, asked, split), logit_set.labels[split], asked)


def _logits(logit_set: LogitSet, asked: Sequence[Asked], split: str) -> dict[str, Tensor]:
    return {
        name: logit_set.logits(name, split) for name in dict.fromkeys(member for system, _ in asked for member in system.members)
    }


def known(found: Results, systems: Sequence[System]) -> list[Asked]:
    """Return judged systems with what was found of them, so that nothing is fitted again."""

    def fitted(system: System) -> Fitted:
        result = found[system]
        temperature = {} if result.temperature is None else {system.rule: result.temperature}
        unknown = (math.nan,) * system.m
        return Fitted(system.members, result.weights, result.alone, unknown, temperature, {system.rule: result.nll_fit})

    return [(system, fitted(system)) for system in systems]
