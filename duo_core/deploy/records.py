"""What duo.json says of a fitted system: everything that is known of it, as a document of plain values."""

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from duo_core.analysis.guarantee import ASSUMPTION, COLUMNS, CONFIDENCE, GUARANTEED, applied, check_goals, thresholds
from duo_core.common.arrays import InputError, Predictions, UncertaintyKind
from duo_core.common.versions import versions
from duo_core.deploy.members import Source
from duo_core.logits import FIT_SPLIT, LogitSet, tensor_digest
from duo_core.metrics import metrics, tie_blocks
from duo_core.systems.judging import alone, cost_ratio, fit_system
from duo_core.systems.predicting import predictions
from duo_core.systems.system import RULES, Fitted, System

FORMAT = 2
TARGET_RISKS = (0.01, 0.02, 0.05, 0.1)
"""What thresholds are listed for where none is asked for."""
COVERAGES = (0.8, 0.9, 0.95)
PACKAGES = ("torch", "torchvision", "timm", "safetensors", "onnx", "onnxruntime", "numpy", "pillow")


@dataclass(frozen=True)
class Asked:
    """How an exported system is to answer."""

    kind: UncertaintyKind = "softmax"
    target_risks: Sequence[float] = ()
    """Of what is answered, so much may be wrong; the first is in force, with the guarantee."""
    coverages: Sequence[float] = ()
    """Shares of the fit split to answer; the first is in force where no target risk is given."""
    confidence: float = CONFIDENCE

    def __post_init__(self) -> None:
        check_goals(self.target_risks, self.confidence)
        for coverage in self.coverages:
            if not 0 < coverage <= 1:
                raise InputError(f"expected a coverage in (0, 1], got {coverage:g}; 0.9 is 90 %")


def document(logit_set: LogitSet, system: System, sources: Sequence[Source], asked: Asked) -> dict[str, Any]:
    """Return what duo.json says of a system, but for the files that are written beside it."""
    splits = judged_on(logit_set)
    fitted = fit_system(logit_set, system.members, rules=[system.rule])
    found = {split: _predicted(logit_set, split, system, fitted, asked.kind) for split in (FIT_SPLIT, *splits)}
    entries = list(_entries(found[FIT_SPLIT][0], {split: found[split][0] for split in splits}, asked))
    rule = RULES[system.rule]
    members = [
        {**source.record(place), "weight": weight, "alone": temperature}
        for place, (source, weight, temperature) in enumerate(zip(sources, rule.weights(fitted), fitted.calibration, strict=True))
    ]
    whole: dict[str, Any] = _plain(
        {
            "format": FORMAT,
            "rule": system.rule,
            "says": system.says,
            "members": members,
            "temperature": fitted.temperature[system.rule] if rule.tempered and system.m > 1 else None,
            "uncertainty": asked.kind,
            "classes": list(logit_set.classes),
            "threshold": _in_force(entries, asked, len(logit_set.labels[FIT_SPLIT])),
            "thresholds": {
                "chosen_on": FIT_SPLIT,
                "confidence": asked.confidence,
                "assumption": ASSUMPTION,
                "entries": entries,
            },
            "metrics": {split: _judged(found[split]) for split in splits},
            "provenance": _provenance(logit_set, system, fitted),
        }
    )
    return whole


def judged_on(logit_set: LogitSet) -> list[str]:
    """Return the splits that a system is judged on; InputError where the set has none."""
    splits = logit_set.evaluation_splits
    if not splits:
        raise InputError(f"expected a split to judge on in the set '{logit_set.name}', got {', '.join(logit_set.labels)}")
    return splits


def _predicted(logit_set: LogitSet, split: str, system: System, fitted: Fitted, kind: UncertaintyKind) -> list[Predictions]:
    """What the system predicts of a split, then what each member does alone."""
    logits = {member: logit_set.logits(member, split) for member in system.members}
    alike = [(System((member,)), alone(fitted, member)) for member in system.members]
    return predictions(logits, logit_set.labels[split], [(system, fitted), *alike], kind=kind)


def _judged(found: Sequence[Predictions]) -> dict[str, Any]:
    whole, *members = (metrics(predicted) for predicted in found)
    return {"system": whole, "members": members}


def _entries(own: Predictions, judged: Mapping[str, Predictions], asked: Asked) -> Iterator[dict[str, Any]]:
    """One threshold a goal and method: what it gives on the fit split, and on the others."""
    by_risk = thresholds(own, asked.target_risks or TARGET_RISKS, asked.confidence)
    by_coverage = _for_coverages(own, asked.coverages or COVERAGES)
    table = pd.concat([by_risk.assign(goal="target_risk"), by_coverage.assign(goal="coverage")], ignore_index=True)
    table["value"] = [*by_risk["target_risk"], *(asked.coverages or COVERAGES)]
    elsewhere = {split: applied(table, predictions) for split, predictions in judged.items()}
    for row, entry in enumerate(table.to_dict("records")):
        yield {
            **{str(key): entry[key] for key in ("goal", "value", "method", "threshold", "bound", "coverage", "risk")},
            "judged": {split: {key: float(t[key].iloc[row]) for key in ("coverage", "risk")} for split, t in elsewhere.items()},
        }


def _for_coverages(own: Predictions, coverages: Sequence[float]) -> pd.DataFrame:
    """The smallest thresholds that answer at least so much of the fit split, as rows of `guarantee.COLUMNS`."""
    ordered, blocks = np.sort(own.uncertainty), tie_blocks(own.correct, own.uncertainty)
    counts = [math.ceil(Fraction(str(coverage)) * len(own)) for coverage in coverages]
    at = np.searchsorted(blocks.ends, counts)
    columns = (
        math.nan,
        "empirical",
        ordered[np.array(counts) - 1],
        blocks.ends[at] / len(own),
        blocks.errors[at] / blocks.ends[at],
    )
    return pd.DataFrame({**dict(zip(COLUMNS, columns, strict=False)), "bound": math.nan})


def _in_force(entries: Sequence[Mapping[str, Any]], asked: Asked, n: int) -> float | None:
    """The threshold of the first goal that was asked for."""
    if not asked.target_risks:
        return next((e["threshold"] for e in entries if e["goal"] == "coverage"), None) if asked.coverages else None
    threshold = float(next(e["threshold"] for e in entries if e["method"] == GUARANTEED))
    if math.isnan(threshold):
        raise InputError(
            f"expected a target risk that {n:,} images of '{FIT_SPLIT}' can guarantee with a confidence of {asked.confidence:g}, "
            f"got {asked.target_risks[0]:g}, which no threshold reaches; ask for a larger one, or for a coverage"
        )
    return threshold


def _provenance(logit_set: LogitSet, system: System, fitted: Fitted) -> dict[str, Any]:
    """Where the numbers come from: the set and the digests of what was read of it."""
    splits = [FIT_SPLIT, *judged_on(logit_set)]
    keys = [(model, split) for model in system.members for split in splits]
    return {
        "set": logit_set.name,
        "title": logit_set.title,
        "source": logit_set.about.get("source"),
        "licence": logit_set.about.get("licence"),
        "how": logit_set.about.get("how"),
        "images": {split: len(logit_set.labels[split]) for split in splits},
        "digests": {
            "logits": {f"{m}/{s}": logit_set.digests.get((m, s)) or tensor_digest(logit_set.logits(m, s)) for m, s in keys},
            "labels": {split: tensor_digest(logit_set.labels[split]) for split in splits},
        },
        "nll_fit": {"system": fitted.nll[system.rule], "members": fitted.nll_alone},
        "separated": fitted.separated,
        "cost_ratio": cost_ratio(logit_set, system.members),
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": versions(PACKAGES),
    }


def _plain(value: Any) -> Any:
    """The same document of JSON's own types, with None for what is undefined."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
