"""Asymmetric duos: a large classifier and a small sidekick, their logits added with two learned weights.

What most users need stands here by name, and is loaded when it is first asked for. Logits come from a `Store` or are put into a
`LogitSet`; a pair is judged by `evaluate`, all pairs of a set by `sweep`, systems of any number of members by `judge_members` and
`systems_of`; `advise` says what to do with so much more compute. `fit` and `fit_members` find the weights, and `deploy.export`
writes what was fitted as a folder that runs. `METRICS` are the metrics by key, `RULES` how members are put together, `VARIANTS` the
systems of a pair that the paper compares; `FIT_SPLIT` is the split that is fitted on. Input that does not fit raises `InputError`
with one sentence.

>>> from duo_core import METRICS, Store, evaluate
>>> found = evaluate(Store().open("cifar10"), "resnet56", "resnet20")
>>> round(found.metrics["duo"]["accuracy"], 4), METRICS["accuracy"].label
(0.9397, 'Accuracy')
"""

import importlib
from typing import Any

__version__ = "1.0.0"

_PUBLIC = {
    "Advice": "analysis.choice",
    "Card": "logits",
    "Evaluation": "systems.sweep",
    "FIT_SPLIT": "logits",
    "Fit": "systems.duo",
    "Fitted": "systems.system",
    "InputError": "common.arrays",
    "LogitSet": "logits",
    "METRICS": "metrics",
    "MembersJudged": "systems.judging",
    "Predictions": "common.arrays",
    "RULES": "systems.system",
    "Store": "logits.store",
    "System": "systems.system",
    "SystemTables": "systems.enumeration",
    "Temperatures": "systems.duo",
    "VARIANTS": "systems.duo",
    "advise": "analysis.advisor",
    "best_under": "analysis.advice",
    "calibrate": "systems.fitting",
    "combine": "systems.duo",
    "deploy": "",
    "differences": "metrics.intervals",
    "evaluate": "systems.sweep",
    "figures": "",
    "fit": "systems.fitting",
    "fit_members": "systems.weighing",
    "fit_system": "systems.judging",
    "import_set": "logits.store",
    "judge_members": "systems.judging",
    "pair_predictions": "systems.pair_predicting",
    "pair_report": "report",
    "predictions": "systems.predicting",
    "set_report": "report",
    "sweep": "systems.sweep",
    "systems_of": "systems.enumeration",
    "thresholds": "analysis.guarantee",
    "variant_predictions": "systems.pair_predicting",
}
"""Where each name is defined; nothing for a room. `__init__.pyi` says the same to type checkers."""

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Load a public name the first time that it is asked for: torch alone takes seconds."""
    if name not in _PUBLIC:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    room = _PUBLIC[name]
    value = getattr(importlib.import_module(f"{__name__}.{room}"), name) if room else importlib.import_module(f"{__name__}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
