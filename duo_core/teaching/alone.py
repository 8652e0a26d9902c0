"""Steps 1 to 3 of the course: the base alone, its confidence, its temperature, its risk-coverage curve."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from duo_core.analysis.diagnosis import reliability
from duo_core.common.arrays import Floats, Predictions
from duo_core.figures.curves import risk_at, risk_coverage
from duo_core.metrics import METRICS, metrics
from duo_core.systems.duo import Temperatures
from duo_core.systems.fitting import calibrate
from duo_core.systems.pair_predicting import pair_predictions
from duo_core.teaching.experts import Drawn, Splits

HALF_BAND = 0.05
"""An image counts as one of confidence c where its own is at most this far from c."""
DOTS = 300


# Step 1: a confidence


def base_alone(split: Drawn, temperature: float = 1.0) -> Predictions:
    """Return what the base predicts by itself, its logits times a temperature; 1 leaves them as they are."""
    return pair_predictions(split.base, split.base, split.labels, Temperatures(temperature, 0.0), classes="base")


@dataclass(frozen=True)
class Image:
    """One image: from logits to a confidence."""

    row: int
    """In the split."""
    label: int
    predicted: int
    logits: Floats
    """(k,)."""
    probabilities: Floats
    """Their softmax, (k,)."""

    @property
    def confidence(self) -> float:
        """The largest probability."""
        return float(self.probabilities[self.predicted])

    @property
    def right(self) -> bool:
        """Whether the predicted class is the label."""
        return self.predicted == self.label


def image(split: Drawn, row: int, temperature: float = 1.0) -> Image:
    """Return the base's view of one image."""
    logits = split.base[row].double() * temperature
    return Image(row, int(split.labels[row]), int(logits.argmax()), logits.numpy(), torch.softmax(logits, 0).numpy())


def dots(predictions: Predictions, most: int = DOTS) -> pd.DataFrame:
    """Return the first images as dots to look at: `row`, `confidence`, `right`, and `height` in [0, 1), which means nothing."""
    n = min(most, len(predictions))
    height = np.random.default_rng(0).random(n)
    return pd.DataFrame(
        {"row": np.arange(n), "confidence": predictions.confidence[:n], "right": predictions.correct[:n], "height": height}
    )


def nearest(table: pd.DataFrame, confidence: float) -> int:
    """Return the row of the dot whose confidence is nearest."""
    return int(table["row"].iloc[(table["confidence"] - confidence).abs().argmin()])


@dataclass(frozen=True)
class Band:
    """Images of about one confidence."""

    low: float
    high: float
    images: int
    right: int
    confidence: float
    """Their mean, NaN where there is none."""

    @property
    def share(self) -> float | None:
        """Fraction of them that is right; None where there is none."""
        return self.right / self.images if self.images else None


def band(predictions: Predictions, confidence: float) -> Band:
    """Count the images, of the whole split, whose confidence is within HALF_BAND of the given one."""
    low, high = max(0.0, confidence - HALF_BAND), min(1.0, confidence + HALF_BAND)
    inside = (predictions.confidence >= low) & (predictions.confidence <= high)
    mean = float(predictions.confidence[inside].mean()) if inside.any() else float("nan")
    return Band(low, high, int(inside.sum()), int(predictions.correct[inside].sum()), mean)


# Step 2: a temperature


@dataclass(frozen=True)
class Tempered:
    """The base alone at one temperature."""

    temperature: float
    accuracy: float
    nll: float
    ece: float
    reliability: pd.DataFrame
    """Of `analysis.diagnosis.reliability`."""


def tempered(splits: Splits, temperature: float) -> Tempered:
    """Judge the base alone on the test images, its logits times a temperature above 0."""
    predictions = base_alone(splits.test, temperature)
    found = {key: float(METRICS[key].value(predictions) or 0.0) for key in ("accuracy", "nll", "ece")}
    return Tempered(temperature, **found, reliability=reliability(predictions))


def own_temperature(splits: Splits) -> float:
    """Return the temperature that minimises the base's NLL on the fit split."""
    return calibrate(splits.fit.base, splits.fit.labels, "base").temperature


def by_temperature(splits: Splits, temperatures: Sequence[float]) -> pd.DataFrame:
    """Return `temperature`, `nll`, `accuracy` and `ece` of the base on the test images."""
    found = [tempered(splits, temperature) for temperature in temperatures]
    return pd.DataFrame([{key: getattr(at, key) for key in ("temperature", "nll", "accuracy", "ece")} for at in found])


# Step 3: saying "I don't know"


@dataclass(frozen=True)
class Abstention:
    """The calibrated base, asked to answer only what it is surest of."""

    predictions: Predictions
    table: pd.DataFrame
    """`coverage` and the selective risk of `base` and `oracle`, for `figures.risk_coverage`."""
    aurc: float
    sac98: float

    def risk(self, coverage: float) -> float:
        """Share of the answers that are wrong at a coverage."""
        return risk_at(self.predictions, coverage)


def abstention(splits: Splits) -> Abstention:
    """Rank the test images by the calibrated base's uncertainty."""
    predictions = base_alone(splits.test, own_temperature(splits))
    found = metrics(predictions)
    table = risk_coverage({"base": predictions}, oracle_of="base").table
    return Abstention(predictions, table, float(found["aurc"] or 0.0), float(found["sac98"] or 0.0))
