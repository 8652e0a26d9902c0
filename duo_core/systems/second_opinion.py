"""Metrics a second time, by scikit-learn and from whole distributions: a check of the first at hand, not a way to compute them."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duo_core.common.arrays import UncertaintyKind
from duo_core.systems.duo import VARIANTS, Fit, Temperatures, Variant, combine

ROWS = 4096
"""Images whose distributions are held at a time."""

KEYS = ("accuracy", "macro_f1", "nll", "brier", "auroc")
"""The metrics that scikit-learn has as well."""


def second_opinion(
    base: Tensor, sidekick: Tensor, labels: Tensor, fit: Fit, kind: UncertaintyKind = "softmax"
) -> dict[str, dict[str, float | None]]:
    """Return what scikit-learn finds of every variant: its KEYS in double precision; None where undefined.

    The NLL is None too where a label's probability is so small that scikit-learn counts a larger one.

    Parameters
    ----------
    base, sidekick
        Logits (n, k).
    labels
        int64 (n,).
    fit
        Temperatures found on the fit split.
    kind
        The uncertainty that the AUROC ranks by.
    """
    return {key: _judged(base, sidekick, labels, variant, fit, kind) for key, variant in VARIANTS.items()}


def largest_differences(
    found: dict[str, dict[str, float | None]], seconds: dict[str, dict[str, float | None]]
) -> dict[str, float | None]:
    """Largest difference of each of KEYS over the variants; None where neither side has one to compare.

    >>> largest_differences({"duo": {"nll": 0.5, "auroc": None}}, {"duo": {"nll": 0.75, "auroc": None}})
    {'nll': 0.25, 'auroc': None}
    """
    keys = [key for key in KEYS if any(key in values for values in seconds.values())]
    pairs = {key: [(found[variant][key], values[key]) for variant, values in seconds.items()] for key in keys}
    apart = {key: [abs(a - b) for a, b in both if a is not None and b is not None] for key, both in pairs.items()}
    return {key: max(values) if values else None for key, values in apart.items()}


def _judged(
    base: Tensor, sidekick: Tensor, labels: Tensor, variant: Variant, fit: Fit, kind: UncertaintyKind
) -> dict[str, float | None]:
    from sklearn import metrics

    n, k = base.shape
    true, predicted = labels.numpy(force=True), np.empty(n, dtype=np.int64)
    uncertainty, nll, brier = np.empty(n), 0.0, 0.0
    for start in range(0, n, ROWS):
        rows = slice(start, start + ROWS)
        p, predicted[rows] = _distribution(base[rows], sidekick[rows], variant, variant.weights(fit))
        uncertainty[rows] = _uncertainty(p, predicted[rows], kind)
        nll += metrics.log_loss(true[rows], p, labels=range(k), normalize=False)
        nll += math.inf if p[np.arange(len(p)), true[rows]].min() < np.finfo(p.dtype).eps else 0.0
        brier += len(p) * metrics.brier_score_loss(true[rows], p, labels=range(k), scale_by_half=False)
    wrong = predicted != true
    return {
        "accuracy": float(metrics.accuracy_score(true, predicted)),
        "macro_f1": float(metrics.f1_score(true, predicted, average="macro")),
        "nll": float(nll / n) if math.isfinite(nll) else None,
        "brier": float(brier / n),
        "auroc": float(metrics.roc_auc_score(wrong, uncertainty)) if 0 < wrong.sum() < n else None,
    }


def _distribution(
    base: Tensor, sidekick: Tensor, variant: Variant, weights: Temperatures
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities (n, k) under a variant's weights, and the class (n,) that it answers."""
    alone, weight = {"base": (base, weights.base), "sidekick": (sidekick, weights.sidekick)}.get(variant.classes, (base, None))
    combined = combine(alone, alone, weights) if weight == sum(weights) else combine(base, sidekick, weights)  # as of one model
    says = combined if variant.classes == "combined" else alone
    return torch.softmax(combined, 1).numpy(force=True), says.argmax(1).numpy(force=True)


def _uncertainty(p: NDArray[np.float64], predicted: NDArray[np.int64], kind: UncertaintyKind) -> NDArray[Any]:
    if kind == "entropy":
        return np.asarray(-np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=1))
    others = p.copy()
    others[np.arange(len(p)), predicted] = 0.0
    return np.asarray(others.sum(1))  # 1 - p would lose the digits of those that are nearly sure
