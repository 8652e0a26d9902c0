"""What an advisor weighs: every system that a set can offer at a cost, and what each is to the base."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np

from duo_core.common.arrays import Floats, Predictions, UncertaintyKind
from duo_core.logits import FIT_SPLIT, Card, LogitSet
from duo_core.systems.cascades import Cascade, gate_for_share
from duo_core.systems.enumeration import Results, subsets
from duo_core.systems.groups import groups_of
from duo_core.systems.growing import MOST, WHOLE, choices, grow
from duo_core.systems.judging import multiply_adds
from duo_core.systems.kinds import Kind, is_soup, kind_of, one_group
from duo_core.systems.pair_judging import Memory
from duo_core.systems.predicting import BYTES_AN_IMAGE, Asked, predictions
from duo_core.systems.system import Fitted, System

Action = Literal["keep", "soup", "sidekick", "sidekicks", "soup + sidekick", "deep ensemble", "ensemble", "replace", "cascade"]
ACTIONS: tuple[Action, ...] = get_args(Action)
"""What may be done about a base: keep it; take an average of its trainings; add one model, or several, that cost no more than it;
both; add trainings of its own; put several models in its place, or larger ones beside it; put one other in its place; or hand only
the uncertain images on."""

BUDGETS = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Shares of the base's multiply-adds that a system may cost more."""
LARGEST = 6
"""Members of a system that grew from the base, at most."""
SHARES = tuple(share / 20 for share in range(1, 20))
"""Of the images, that the first stage of a cascade hands on."""
SURE = NormalDist().inv_cdf(0.995)
"""Standard errors by which a cascade must be better than the base on the images that its gate was chosen on."""
BYTES = 256 << 20
"""What predictions may take at once."""


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


def candidate_systems(
    logit_set: LogitSet, base: str, split: str, budgets: Sequence[float], *, size: int = WHOLE, memory: Memory, seed: int = 0
) -> list[System]:
    """Return the systems that cost at most the largest budget more than the base, the base alone first.

    Every choice of up to `size` models with known costs, or of up to two where these would be too many; what grows from the base
    under each budget; and deep ensembles of each group. Of the budgets only those count that are none of BUDGETS, so that an answer
    is the same whichever others are asked for with it.
    """
    cards = logit_set.cards
    models = [model for model in logit_set.models(FIT_SPLIT, split) if cards[model].multiply_adds]
    every = sorted({*BUDGETS, *budgets})
    limit = (1 + every[-1]) * (cards[base].multiply_adds or 0)
    whole = max(m for m in range(1, max(1, min(size, WHOLE)) + 1) if m <= 2 or choices(len(models), m) <= MOST)
    found = {System((base,)): None}
    found |= {_system(cards, members): None for members in subsets(models, whole)}
    for budget in every if size > 1 else ():
        grown = grow(logit_set, base, budget=budget, size=max(size, LARGEST), models=models, memory=memory)
        found |= {_system(cards, _ordered(members, models)): None for members in grown.path if len(members) > whole}
    for group in groups_of(cards, models):
        for m in range(2, len(group.members) + 1):
            found |= {System(_ordered(members, models), "ensemble"): None for members in group.subsets(m, seed)}
    return [system for system in found if (multiply_adds(logit_set, system.members) or 0) <= limit * (1 + 1e-12)]


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
    ingredients = (card.training or {}).get("ingredients") or ()
    of_base = base.weights_sha256 in {one.get("weights_sha256") for one in ingredients if isinstance(one, Mapping)}
    return is_soup(card) and ((of_base and base.weights_sha256 is not None) or (card.model == base.model and not is_soup(base)))


def _cheap(cards: Mapping[str, Card], base: str, members: Sequence[str]) -> bool:
    """Whether none of the members costs more than the base."""
    return all((cards[member].multiply_adds or 0) <= (cards[base].multiply_adds or 0) for member in members)


def cascade_candidates(
    logit_set: LogitSet,
    base: str,
    found: Results,
    limit: float,
    *,
    kind: UncertaintyKind = "softmax",
) -> list[Candidate]:
    """Return cascades of a model and its fitted pair with a dearer one, whose pair has less NLL than the base alone.

    Gates are chosen on the fit split so that each of SHARES goes on. Those whose mean cost there is above the limit are left out.
    As they are many, and each answers a large part of the images by a model unlike the base, one is worth taking only where it is
    better than the base by more than SURE standard errors.
    """
    least = found[System((base,))].nll_fit
    pairs = [s for s, result in found.items() if s.m == 2 and s.rule == "fitted" and all(result.weights) and result.nll_fit < least]
    cost = {model: logit_set.cards[model].multiply_adds or 0 for pair in pairs for model in pair.members}
    firsts = [System((pair.members[1],)) for pair in pairs]
    once = list(dict.fromkeys([System((base,)), *firsts]))
    alone = dict(zip(once, predicted(logit_set, known(found, once), FIT_SPLIT, kind), strict=True))
    made = []
    for start in range(0, len(pairs), size := max(1, BYTES // (BYTES_AN_IMAGE * len(logit_set.labels[FIT_SPLIT])))):
        group = pairs[start : start + size]
        together = predicted(logit_set, known(found, group), FIT_SPLIT, kind)
        for first, pair, both in zip(firsts[start:], group, together, strict=False):
            made += _cascades((first, pair), (alone[first], both), alone[once[0]].nll, cost, limit)
    return made


def _cascades(
    stages: tuple[System, System], predicted: tuple[Predictions, Predictions], base: Floats, cost: Mapping[str, int], limit: float
) -> list[Candidate]:
    """A model that hands each of SHARES on to its pair; `base` is the NLL of the base alone, image by image."""
    first, n = predicted[0], len(base)
    small, whole = (sum(cost[member] for member in stage.members) for stage in stages)
    order = np.argsort(-first.uncertainty, kind="stable")
    own, others = (stage.nll[order] for stage in predicted)
    apart = [_sums(own - base[order], others - base[order], power) for power in (1, 2)]
    made = []
    for share in SHARES:
        gate = gate_for_share(first.uncertainty, share)
        goes_on = int((first.uncertainty > gate).sum())
        mean = small + (whole - small) * goes_on / n
        if 0 < goes_on < n and mean <= limit * (1 + 1e-12):
            gain, square = (float(sums[goes_on]) / n for sums in apart)
            error = math.sqrt(max(square - gain**2, 0) / n)
            nll = gain + float(base.mean())
            made.append(Candidate(Cascade(stages, (gate,)), "cascade", "cascade", mean, nll, SURE * error))
    return made


def _sums(stays: Floats, goes_on: Floats, power: int) -> Floats:
    """Sums over all images of a power of one column where they stay, another where they go on, by how many go on, (n + 1,)."""
    sums: Floats = (stays**power).sum() + np.append(0.0, np.cumsum(goes_on**power - stays**power))
    return sums


def predicted(logit_set: LogitSet, asked: Sequence[Asked], split: str, kind: UncertaintyKind = "softmax") -> list[Predictions]:
    """Return what fitted systems predict on a split."""
    names = dict.fromkeys(member for system, _ in asked for member in system.members)
    logits = {name: logit_set.logits(name, split) for name in names}
    return predictions(logits, logit_set.labels[split], asked, kind=kind)


def known(found: Results, systems: Sequence[System]) -> list[Asked]:
    """Return judged systems with what was found of them, so that nothing is fitted again."""

    def fitted(system: System) -> Fitted:
        result = found[system]
        temperature = {} if result.temperature is None else {system.rule: result.temperature}
        unknown = (math.nan,) * system.m
        return Fitted(system.members, result.weights, result.alone, unknown, temperature, {system.rule: result.nll_fit})

    return [(system, fitted(system)) for system in systems]
