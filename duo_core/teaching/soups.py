"""Why models that are averaged need one anchor, and what the angle of Model Stock is: two small examples that are computed."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import torch

from duo_core.common.arrays import Floats, Integers
from duo_core.training.averages import mean_cosine, stock, uniform

CLASSES, HIDDEN = 3, 16
STEPS = {"anchor": 200, "trial": 100}
PLACES = 21
SAME, APART = "Two trials of one anchor", "Two trials of anchors of their own"
Weights = tuple[Floats, Floats]


@dataclass(frozen=True)
class Angle:
    """Two trials and what is made of them, in a plane whose origin is the anchor."""

    trials: tuple[tuple[float, float], tuple[float, float]]
    mean: tuple[float, float]
    stock: tuple[float, float]
    cosine: float
    ratio: float
    """Share t of the mean."""


def angle(degrees: float) -> Angle:
    """Return two trials that moved as far as each other, so many degrees apart, with their mean and their Model Stock.

    >>> found = angle(60.0)
    >>> round(found.cosine, 6), round(found.ratio, 6), [round(part, 6) for part in found.stock]
    (0.5, 0.666667, [0.57735, 0.0])
    """
    half = np.radians(degrees) / 2
    ends = [torch.tensor([np.cos(half), sign * np.sin(half)], dtype=torch.float64) for sign in (1, -1)]
    states = [{"w": end} for end in ends]
    anchor = {"w": torch.zeros(2, dtype=torch.float64)}
    mixed, cosine = stock(states, anchor, {"w"}), mean_cosine(ends)
    first, second, mean, between = (_point(w) for w in (*ends, uniform(states)["w"], mixed.state["w"]))
    return Angle((first, second), mean, between, cosine or 0.0, mixed.ratios["w"])


def _point(tensor: torch.Tensor) -> tuple[float, float]:
    return float(tensor[0]), float(tensor[1])


@cache
def between() -> pd.DataFrame:
    """Accuracy on images that none has seen, on the straight line from one trial's weights to another's.

    A net of one hidden layer is trained on three classes of points in the plane: an anchor, then two trials from it on halves of
    the points, and a third from an anchor of its own, begun with other random numbers.

    Returns
    -------
    DataFrame
        Columns `pair`, `share` of the second trial's weights and `accuracy`; PLACES rows a pair.
    """
    points, labels = _points(600, seed=0)
    unseen, truth = _points(2000, seed=1)
    anchors = [_trained(_random(seed), points, labels, STEPS["anchor"]) for seed in (0, 1)]
    halves = (slice(0, 300), slice(300, 600))
    trials = [_trained(anchors[0], points[half], labels[half], STEPS["trial"]) for half in halves]
    other = _trained(anchors[1], points[halves[1]], labels[halves[1]], STEPS["trial"])
    rows = [
        {"pair": pair, "share": float(share), "accuracy": _accuracy(_mixed(trials[0], second, share), unseen, truth)}
        for pair, second in ((SAME, trials[1]), (APART, other))
        for share in np.linspace(0, 1, PLACES)
    ]
    return pd.DataFrame(rows)


def _points(n: int, seed: int) -> tuple[Floats, Integers]:
    """Points on three arms of a spiral, with a column of ones, and their classes."""
    random = np.random.default_rng(seed)
    labels, radius = random.integers(0, CLASSES, n), random.uniform(0.2, 1, n)
    turn = 2 * np.pi * labels / CLASSES + 4 * radius + random.normal(scale=0.4, size=n)
    return np.column_stack([3 * radius * np.cos(turn), 3 * radius * np.sin(turn), np.ones(n)]), labels


def _random(seed: int) -> Weights:
    random = np.random.default_rng(seed)
    return random.normal(size=(3, HIDDEN)), random.normal(scale=0.5, size=(HIDDEN + 1, CLASSES))


def _trained(start: Weights, points: Floats, labels: Integers, steps: int, rate: float = 1.0) -> Weights:
    """Weights after gradient descent on the cross-entropy, with all points in each step."""
    first, second = start
    target = np.eye(CLASSES)[labels]
    for _ in range(steps):
        hidden, logits = _forward((first, second), points)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = (shifted / shifted.sum(axis=1, keepdims=True) - target) / len(points)
        back = (error @ second[:-1].T) * (1 - hidden[:, :-1] ** 2)
        first, second = first - rate * points.T @ back, second - rate * hidden.T @ error
    return first, second


def _forward(weights: Weights, points: Floats) -> tuple[Floats, Floats]:
    hidden = np.column_stack([np.tanh(points @ weights[0]), np.ones(len(points))])
    return hidden, hidden @ weights[1]


def _mixed(one: Weights, other: Weights, share: float) -> Weights:
    first, second = (float(1 - share) * a + float(share) * b for a, b in zip(one, other, strict=True))
    return first, second


def _accuracy(weights: Weights, points: Floats, labels: Integers) -> float:
    return float((_forward(weights, points)[1].argmax(axis=1) == labels).mean())
