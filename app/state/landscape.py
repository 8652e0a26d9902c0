"""A whole set: every model alone, how two systems differ, and what averages of trainings buy."""

from math import nan

import pandas as pd

from app.state.caches import Key, awaited, kept
from app.state.once import Progress
from app.state.pairs import evaluation
from app.state.sets import Handle, memory, survey
from duo_core.analysis import trainings
from duo_core.analysis.pairs import UNKNOWN_FAMILY
from duo_core.analysis.trainings import Trained
from duo_core.common.arrays import UncertaintyKind
from duo_core.logits import FIT_SPLIT, Card
from duo_core.metrics.intervals import Interval, differences
from duo_core.systems.kinds import is_soup
from duo_core.systems.sweep import judge_models


def singles(handle: Handle, split: str, kind: UncertaintyKind = "softmax") -> pd.DataFrame:
    """Every model alone after its own temperature scaling, most multiply-adds first, its name as the index.

    Columns: `family`, `temperature`, those of METRICS, and what its card says.
    """
    own, models = handle.logit_set, list(survey(handle, split).accuracy)

    def compute(_: Progress) -> pd.DataFrame:
        known = memory(handle)
        judge_models(own, split, models, known)

        def row(model: str) -> dict[str, object]:
            values = {key: nan if value is None else value for key, value in known.judged[model, split][kind].items()}
            return {"temperature": known.calibrated[model].temperature, **values, **_facts(own.cards[model])}

        return pd.DataFrame.from_dict({model: row(model) for model in models}, orient="index").rename_axis("model")

    return awaited(Key("singles", handle.stamp, (split, kind)), compute, "Judging the models alone")


def _facts(card: Card) -> dict[str, object]:
    return {
        "family": card.family or UNKNOWN_FAMILY,
        "multiply_adds": card.multiply_adds,
        "parameters": card.parameters,
        "images_per_second": card.images_per_second,
        "device": card.device,
        "architecture": card.model,
        "weights": card.weights,
        "weights_sha256": card.weights_sha256,
    }


System = tuple[str, str, str]
"""Base, sidekick, variant."""


def difference(handle: Handle, own: System, other: System, split: str, kind: UncertaintyKind, metric: str) -> Interval | None:
    """Interval of a metric of one system minus that of another, on the same images."""
    of = handle.digest(*((model, part) for system in (own, other) for model in system[:2] for part in (FIT_SPLIT, split)))

    def compute() -> Interval | None:
        one, two = (evaluation(handle, *system[:2], split, kind).predictions[system[2]] for system in (own, other))
        return differences(one, two, keys=[metric])[metric]

    return kept(Key("difference", of, (own[2], other[2], kind, metric)), compute)


def averaged(handle: Handle, split: str) -> list[Trained]:
    """What averaging the trainings of one model buys; empty where the set has no soups."""
    own = handle.logit_set
    if not any(is_soup(card) for card in own.cards.values()):
        return []
    text = f"Judging the soups of {own.title}"
    return awaited(Key("averaged", handle.stamp, (split,)), lambda _: trainings.averaged(own, split), text)
