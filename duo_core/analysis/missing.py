"""Kinds of system that a set cannot offer beside a base, and the command that would make each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from duo_core.analysis.candidates import Action, is_soup_of
from duo_core.logits import Card
from duo_core.systems.kinds import one_group


@dataclass(frozen=True)
class Missing:
    """What cannot be weighed, why, and what would change that."""

    action: Action
    why: str
    command: str
    """What stands in it in capitals is for the reader to fill in."""


def missing_kinds(cards: Mapping[str, Card], base: str, models: Sequence[str]) -> tuple[Missing, ...]:
    """Return the kinds that some models of a set do not allow beside a base, in the order of their training cost."""
    own = cards[base]
    others = [cards[model] for model in models if model != base and cards[model].multiply_adds]
    cost = own.multiply_adds or 0
    reference, logits = own.model, "duo logits --set SET --images val=VAL test=TEST --models"
    train = f"duo finetune --name RUN --model {reference} --images train=TRAIN val=VAL"
    lacking: list[tuple[bool, Action, str, str]] = [
        (
            not any((card.multiply_adds or 0) <= cost for card in others),
            "sidekick",
            f"no other model costs as little as {base}",
            f"{logits} SMALLER",
        ),
        (
            sum((card.multiply_adds or 0) < cost for card in others) < 2,
            "ensemble",
            f"fewer than two models cost less than {base}",
            f"{logits} SMALLER ANOTHER",
        ),
        (
            not any((card.multiply_adds or 0) > cost for card in others),
            "replace",
            f"no model costs more than {base}",
            f"{logits} LARGER",
        ),
        (
            not any(is_soup_of(card, own) for card in others),
            "soup",
            f"the set has no average of several trainings of {base}",
            f"{train} && duo soup --run RUN --method greedy --images val=VAL",
        ),
        (
            not any(one_group([own, card]) for card in others),
            "deep ensemble",
            f"the set has no training of {base} with another seed"
            + ("" if own.recipe else f"; the recipe of {base} is not stated"),
            f"{train} --recipe scratch --trials 3",
        ),
    ]
    return tuple(Missing(action, why, command) for is_missing, action, why, command in lacking if is_missing)
