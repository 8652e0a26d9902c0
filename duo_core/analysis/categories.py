"""How far apart two trainings lie, by their cards: seed, settings, architecture, method or data (Gontijo-Lopes et al. 2022)."""

from duo_core.logits import Card
from duo_core.systems.kinds import one_group

CATEGORIES = ("other seed", "other settings", "other architecture", "other method or data")
"""From near to far; where cards do not say how a model learned or from what, nothing farther than the architecture is known."""


def category(one: Card, other: Card) -> str:
    """Return the farthest of CATEGORIES that the cards of two models say.

    >>> a, b = Card("a", "cifar/resnet20", "cifar"), Card("b", "cifar/resnet32", "cifar")
    >>> category(a, b), category(a, Card("c", "cifar/resnet20", "cifar"))
    ('other architecture', 'other settings')
    """
    if one_group([one, other]):
        return CATEGORIES[0]
    told = ((one.methodology, other.methodology), (one.data, other.data))
    if any(None not in pair and pair[0] != pair[1] for pair in told):
        return CATEGORIES[3]
    return CATEGORIES[1] if one.model == other.model else CATEGORIES[2]
