"""Recipes of training: named presets, every number of which can be set; and the random search that draws from them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from duo_core.common.arrays import InputError
from duo_core.training.norms import STATISTICS

Range = tuple[float, float]
PASSES = 3
"""Forward and backward, in forward passes: the backward pass computes gradients of inputs and of weights."""


@dataclass(frozen=True)
class Recipe:
    """How the models of a run are trained: AdamW on the cross-entropy, a linear warm-up, then a cosine to 0, step by step."""

    name: str
    probe: bool
    """Whether all trials start from one linear probe of trained weights (LP-FT); else each from random weights of its own."""
    trials: int
    epochs: int
    learning_rate: Range
    """Drawn log-uniformly between these, for each trial."""
    weight_decay: Range
    """Likewise; below 1e-4 it does nothing at such rates, and is kept to be true to the paper."""
    batch_size: int = 128
    warm_up: float = 0.1
    """Share of the steps in which the rate rises, from `warm_up_from` times its height."""
    warm_up_from: float = 0.1
    augment: bool = True
    """RandAugment (2 operations of magnitude 9), then a horizontal flip of every second image."""
    statistics: str = "frozen"
    """Of BatchNorm: frozen, or train, where every batch is normalised by its own."""

    def __post_init__(self) -> None:
        for complaint in _complaints(self):
            raise InputError(f"expected a recipe with {complaint}")

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON holds it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def with_options(self, options: Mapping[str, Any]) -> "Recipe":
        """Return the recipe with the options that are not None in place of its own."""
        return replace(self, **{key: value for key, value in options.items() if value is not None})


@dataclass(frozen=True)
class Draw:
    """What one trial is trained with."""

    trial: int
    learning_rate: float
    weight_decay: float


def draw(recipe: Recipe, seed: int, trial: int) -> Draw:
    """Return the draw of a trial, which depends on the seed and its number alone: a search resumes, and extends, without a state.

    >>> draw(RECIPES["paper"], seed=0, trial=3) == draw(RECIPES["paper-v1"], seed=0, trial=3)
    True
    """
    generator = np.random.default_rng([seed, trial])
    rate, decay = (_log_uniform(bounds, generator.random()) for bounds in (recipe.learning_rate, recipe.weight_decay))
    return Draw(trial, rate, decay)


def _log_uniform(bounds: Range, share: float) -> float:
    low, high = bounds
    return float(low * (high / low) ** share)


def cost_of_trial(known: Mapping[str, Any]) -> int | None:
    """Multiply-adds of one trial of a run, by what run.json says of it; None where those of an image are unknown.

    >>> cost_of_trial({"multiply_adds": 10, "images": {"train": {"images": 7}}, "recipe": {"epochs": 2}})
    420
    """
    once, seen = known["multiply_adds"], known["images"]["train"]["images"] * known["recipe"]["epochs"]
    return None if once is None else PASSES * once * seen


def _complaints(recipe: Recipe) -> list[str]:
    rates = {"learning rates": recipe.learning_rate, "weight decays": recipe.weight_decay}
    rules = {
        f"at least one trial, got {recipe.trials}": recipe.trials >= 1,
        f"at least one epoch, got {recipe.epochs}": recipe.epochs >= 1,
        f"batches of at least 2 images, got {recipe.batch_size}": recipe.batch_size >= 2,
        f"statistics {' or '.join(STATISTICS)}, got '{recipe.statistics}'": recipe.statistics in STATISTICS,
        f"a warm-up between 0 and 1, got {recipe.warm_up} from {recipe.warm_up_from}": 0 <= recipe.warm_up <= 1
        and 0 <= recipe.warm_up_from <= 1,
    }
    ranges = {f"{name} from a number above 0 to one as high, got {pair}": 0 < pair[0] <= pair[1] for name, pair in rates.items()}
    return [complaint for complaint, holds in {**rules, **ranges}.items() if not holds]


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("paper", True, trials=16, epochs=16, learning_rate=(1e-6, 3e-4), weight_decay=(1e-8, 1e-5)),
        Recipe("paper-v1", True, trials=32, epochs=20, learning_rate=(1e-6, 3e-4), weight_decay=(1e-8, 1e-5)),
        Recipe("scratch", False, trials=4, epochs=100, learning_rate=(1e-3, 1e-3), weight_decay=(0.05, 0.05), statistics="train"),
    )
}
"""`paper-v1` is App. A.2 and A.4 of Zhou, Shelhamer and Pleiss (2025), `paper` a later version; `scratch` makes deep ensembles."""
