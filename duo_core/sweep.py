"""One pair evaluated, and all pairs of a logit set as one tidy table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from duo_core.arrays import InputError, Predictions, UncertaintyKind
from duo_core.duo import VARIANTS, Fit, fit
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import METRICS, metrics
from duo_core.predictions import variant_predictions

COLUMNS = ["set", "split", "base", "sidekick", "variant", "T_base", "T_sidekick", "T_ratio", "flops_balance", *METRICS]
"""Columns of the sweep's table; undefined values are NaN there."""

SINGLE = ("base", "sidekick")
"""Variants that depend on one model alone."""


@dataclass(frozen=True)
class Evaluation:
    """One pair on one split: what each variant predicts, and its metrics."""

    logit_set: LogitSet
    base: str
    sidekick: str
    split: str
    fit: Fit
    predictions: dict[str, Predictions]
    metrics: dict[str, dict[str, float | None]]

    @property
    def flops_balance(self) -> float | None:
        """Multiply-adds of the sidekick over those of the base; None where unknown."""
        return self.logit_set.flops_balance(self.base, self.sidekick)

    def document(self) -> dict[str, Any]:
        """Return everything but the images as what `duo fit --json` prints."""
        return {
            "set": self.logit_set.name,
            "base": self.base,
            "sidekick": self.sidekick,
            "split": self.split,
            "n_fit": len(self.logit_set.labels[FIT_SPLIT]),
            "n_eval": len(self.logit_set.labels[self.split]),
            "k": self.logit_set.k,
            "temperatures": self.fit.temperatures._asdict(),
            "calibration": self.fit.calibration._asdict(),
            "nll_fit": self.fit.nll,
            "T_ratio": self.fit.ratio,
            "flops_balance": self.flops_balance,
            "variants": self.metrics,
        }


def fit_pair(logit_set: LogitSet, base: str, sidekick: str) -> Fit:
    """Fit the temperatures of a pair on the set's fit split."""
    if FIT_SPLIT not in logit_set.labels:
        raise InputError(
            f"expected a split '{FIT_SPLIT}' to fit on in the set '{logit_set.name}', got {', '.join(logit_set.labels)}"
        )
    return fit(logit_set.logits(base, FIT_SPLIT), logit_set.logits(sidekick, FIT_SPLIT), logit_set.labels[FIT_SPLIT])


def evaluate(
    logit_set: LogitSet,
    base: str,
    sidekick: str,
    split: str = "test",
    *,
    kind: UncertaintyKind = "softmax",
    fitted: Fit | None = None,
    variants: Iterable[str] = tuple(VARIANTS),
) -> Evaluation:
    """Fit a pair on the fit split (or take the given fit) and judge its variants on another split.

    Raises
    ------
    InputError
        For a model or split that the set does not have, and for judging on the fit split.
    """
    _check_judged(logit_set, split)
    pair = logit_set.logits(base, split), logit_set.logits(sidekick, split)
    found = fitted or fit_pair(logit_set, base, sidekick)
    predicted = variant_predictions(*pair, logit_set.labels[split], found, variants=variants, kind=kind)
    return Evaluation(logit_set, base, sidekick, split, found, predicted, {key: metrics(p) for key, p in predicted.items()})


def _check_judged(logit_set: LogitSet, split: str) -> None:
    if split not in logit_set.evaluation_splits:
        why = ", which temperatures are fitted on" if split == FIT_SPLIT else ""
        others = ", ".join(logit_set.evaluation_splits) or "none"
        raise InputError(f"expected a split to judge on, got '{split}'{why}; the set '{logit_set.name}' has {others}")


def pairs(logit_set: LogitSet, *splits: str) -> list[tuple[str, str]]:
    """Every (base, sidekick) with logits of the splits; the base has at least the sidekick's multiply-adds where both are known."""
    models = logit_set.models(*splits)
    return [
        (base, other) for base in models for other in models if base != other and (logit_set.flops_balance(base, other) or 0) <= 1
    ]


def sweep(
    logit_set: LogitSet,
    splits: Iterable[str] | None = None,
    *,
    kind: UncertaintyKind = "softmax",
    progress: Callable[[int, int], bool | None] | None = None,
) -> pd.DataFrame:
    """Evaluate all pairs: one row a (base, sidekick, variant, split), with the columns of COLUMNS.

    Parameters
    ----------
    splits
        Those to judge on; by default every one but the fit split.
    kind
        Which uncertainty ranks the images.
    progress
        Called with pairs done and pairs in all; returning True cancels, and the pairs done so far are returned.
    """
    chosen = list(splits) if splits is not None else logit_set.evaluation_splits
    for split in chosen:
        _check_judged(logit_set, split)
    todo = {split: set(pairs(logit_set, FIT_SPLIT, split)) for split in chosen}
    every = sorted(set().union(*todo.values()))
    alone: dict[tuple[str, str, str], dict[str, float | None]] = {}
    rows: list[dict[str, Any]] = []
    for done, pair in enumerate(every, 1):
        found = fit_pair(logit_set, *pair)
        for split in chosen:
            if pair in todo[split]:
                rows += _rows(logit_set, pair, split, found, kind, alone)
        if progress and progress(done, len(every)):
            break
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COLUMNS[5:], float))


def _rows(
    logit_set: LogitSet,
    pair: tuple[str, str],
    split: str,
    found: Fit,
    kind: UncertaintyKind,
    alone: dict[tuple[str, str, str], dict[str, float | None]],
) -> list[dict[str, Any]]:
    """The rows of one pair on one split; what depends on one model is computed once and kept in `alone`."""
    named = dict(zip(SINGLE, pair, strict=True))
    new = [key for key in VARIANTS if key not in SINGLE or (key, named[key], split) not in alone]
    values = evaluate(logit_set, *pair, split, kind=kind, fitted=found, variants=new).metrics
    for key in SINGLE:
        values[key] = alone.setdefault((key, named[key], split), values.get(key, {}))
    shared = {
        "set": logit_set.name,
        "split": split,
        "base": pair[0],
        "sidekick": pair[1],
        "T_base": found.temperatures.base,
        "T_sidekick": found.temperatures.sidekick,
        "T_ratio": found.ratio,
        "flops_balance": logit_set.flops_balance(*pair),
    }
    return [{**shared, "variant": variant, **values[variant]} for variant in VARIANTS]
