"""What the steps of Learn stand on: made-up experts from a seed, or a pair of a set in the store; computed once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import pandas as pd

from app.state.caches import Key, kept
from app.state.sets import Handle, open_set, set_names, survey
from app.state.tables import all_pairs
from duo_core.teaching import together
from duo_core.teaching.experts import Splits, classroom, real
from duo_core.teaching.facts import facts
from duo_core.teaching.handout import handout
from duo_core.teaching.steps import Step

SEEDS = range(100)
"""Of the made-up experts."""
LETTERS = ("A", "B", "C")
"""The classes of the made-up experts."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Real:
    """A pair of a set's models, and where they are judged."""

    handle: Handle
    split: str
    base: str
    sidekick: str


@dataclass(frozen=True)
class Scene:
    """What a step shows: two models on images to fit on and to judge on."""

    key: str
    """Says all that the rest depends on."""
    splits: Splits
    seed: int
    real: Real | None = None
    """None for made-up experts."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return LETTERS if self.real is None else tuple(self.real.handle.logit_set.classes)

    def once(self, compute: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What a function makes of the scene, computed once; its arguments must follow from the scene or be numbers or text."""
        plain = [value for value in (*args, *kwargs.values()) if isinstance(value, int | float | str)]
        return kept(Key(f"{compute.__module__}.{compute.__qualname__}", self.key, (*plain,)), lambda: compute(*args, **kwargs))


def made_up(seed: int) -> Scene:
    """The two experts drawn from a seed."""
    return Scene(f"experts {seed}", classroom(seed=seed), seed)


def missing(place: Mapping[str, str]) -> str:
    """Why the set, split and models that a place names cannot be shown, as half a sentence; nothing where they can."""
    name = place["set"]
    if name not in set_names():
        return f"The store has no set `{name}`"
    handle = open_set(name)
    if place["split"] not in handle.logit_set.evaluation_splits:
        return f"The set `{name}` has no split `{place['split']}`"
    known = survey(handle, place["split"]).accuracy
    lost = [place[role] for role in ("base", "sidekick") if place[role] not in known]
    return f"The set `{name}` has no logits of `{lost[0]}` that can be read" if lost else ""


def of_models(place: Mapping[str, str], seed: int) -> Scene:
    """The pair that a place names, where nothing is `missing`."""
    found = _pair_of(place)
    key = "/".join((found.handle.stamp, found.split, found.base, found.sidekick))
    return Scene(key, real(found.handle.logit_set, found.base, found.sidekick, found.split), seed, found)


def _pair_of(place: Mapping[str, str]) -> Real:
    return Real(open_set(place["set"]), place["split"], place["base"], place["sidekick"])


def offers(found: Real) -> pd.DataFrame:
    """What every pair of a real set costs and gains."""
    return together.offers(all_pairs(found.handle, found.split, "softmax"))


def partners(found: Real) -> list[str]:
    """The other models that the base can be paired with."""
    return [model for model in survey(found.handle, found.split).accuracy if model != found.base]


def facts_of(step: Step, seed: int) -> dict[str, str]:
    """The numbers in the answer to a step's question; none where they are of real models that are not there."""
    if step.key != "budget":
        return kept(Key("facts", by=(step.key, seed)), lambda: facts(step.key, seed=seed))
    found = _offers_of(step)
    return {} if found is None else facts(step.key, offers=found)


def handout_of(last: Step, seed: int, *, answers: bool) -> bytes:
    """The course on paper, with or without its answers; `last` is the step about real models."""
    return handout(answers=answers, seed=seed, offers=_offers_of(last)).encode()


def _offers_of(step: Step) -> pd.DataFrame | None:
    if missing(step.explore):
        return None
    found = offers(_pair_of(step.explore))
    return None if found.empty else found
