"""What kind of system some members make: named from their cards, as it is nowhere else."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from duo_core.logits import Card
from duo_core.systems.system import RULES, System

Kind = Literal["single", "soup", "duo", "trio", "deep ensemble", "heterogeneous ensemble", "cascade"]
KINDS: tuple[Kind, ...] = get_args(Kind)

AVERAGES = ("uniform soup", "greedy soup", "Model Stock")
"""Methodologies of models whose weights are the average of others'."""


def kind_of(cards: Mapping[str, Card], system: System) -> Kind:
    """Return the kind of a system, given the cards of the models of its set by name.

    Members that differ in their seed alone are a deep ensemble, by whatever rule. Of others two whose weights are fitted are a duo,
    three a trio; more of them, or members that count as much as each other, are a heterogeneous ensemble.

    >>> cards = {name: Card(name, name, "timm") for name in "abc"}
    >>> kind_of(cards, System(("a", "b"))), kind_of(cards, System(("a", "b"), "ensemble")), kind_of(cards, System(("a", "b", "c")))
    ('duo', 'heterogeneous ensemble', 'trio')
    """
    members = [cards[member] for member in system.members]
    if len(members) == 1:
        return "soup" if is_soup(members[0]) else "single"
    if one_group(members):
        return "deep ensemble"
    if not RULES[system.rule].fits_weights:
        return "heterogeneous ensemble"
    return {2: "duo", 3: "trio"}.get(len(members), "heterogeneous ensemble")  # type: ignore[return-value]


def is_soup(card: Card) -> bool:
    """Whether a model is the average of others' weights: one more model, that costs what one of them does."""
    return card.methodology in AVERAGES or bool((card.training or {}).get("ingredients"))


def group_of(card: Card) -> tuple[str, str] | None:
    """Return recipe and architecture, which models share that differ in their seed alone; None where no recipe is stated."""
    return None if card.recipe is None or is_soup(card) else (card.recipe, card.model)


def one_group(cards: Sequence[Card]) -> bool:
    """Whether models are trainings of one recipe: at least two, none with the weights of another."""
    if len(cards) < 2 or any(card.recipe is None for card in cards):  # of most cards, as no recipe is stated
        return False
    groups = {group_of(card) for card in cards}
    return len(groups) == 1 and None not in groups and not same_weights(cards)


def same_weights(cards: Sequence[Card]) -> tuple[str, str] | None:
    """Return the names of two models whose weights have one digest; None where no two have.

    >>> copies = [Card("a", "m", "timm", weights_sha256="1f"), Card("b", "m", "timm", weights_sha256="1f")]
    >>> same_weights(copies), same_weights(copies[:1])
    (('a', 'b'), None)
    """
    seen: dict[str, str] = {}
    for card in cards:
        if card.weights_sha256 is not None:
            if card.weights_sha256 in seen:
                return seen[card.weights_sha256], card.name
            seen[card.weights_sha256] = card.name
    return None
