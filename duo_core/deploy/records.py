"""duo.json: everything that is known of an exported duo, as a document of plain values; its digest, and reading it back."""

import contextlib
import datetime
import hashlib
import importlib.metadata
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from duo_core.analysis.guarantee import ASSUMPTION, COLUMNS, CONFIDENCE, GUARANTEED, applied, check_goals, thresholds
from duo_core.common.arrays import InputError, Predictions, UncertaintyKind
from duo_core.common.files import read_json
from duo_core.deploy.members import ROLES, Source
from duo_core.deploy.module import checked_variant
from duo_core.logits import FIT_SPLIT, LogitSet, tensor_digest
from duo_core.metrics import tie_blocks
from duo_core.systems.pair_predicting import variant_predictions
from duo_core.systems.sweep import Evaluation, evaluate, fit_pair

FORMAT = 1
FILE = "duo.json"
TARGET_RISKS = (0.01, 0.02, 0.05, 0.1)
"""What thresholds are listed for where none is asked for."""
COVERAGES = (0.8, 0.9, 0.95)
PACKAGES = ("torch", "torchvision", "timm", "safetensors", "onnx", "onnxruntime", "numpy", "pillow")
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "variant": str,
    "uncertainty": str,
    "temperatures": dict,
    "classes": list,
    "models": dict,
    "threshold": (int, float, type(None)),
    "files": dict,
}
"""What loading relies on."""


@dataclass(frozen=True)
class Asked:
    """How an exported duo is to answer."""

    variant: str = "duo"
    kind: UncertaintyKind = "softmax"
    target_risks: Sequence[float] = ()
    """Of what is answered, so much may be wrong; the first is in force, with the guarantee."""
    coverages: Sequence[float] = ()
    """Shares of the fit split to answer; the first is in force where no target risk is given."""
    confidence: float = CONFIDENCE

    def __post_init__(self) -> None:
        checked_variant(self.variant)
        check_goals(self.target_risks, self.confidence)
        for coverage in self.coverages:
            if not 0 < coverage <= 1:
                raise InputError(f"expected a coverage in (0, 1], got {coverage:g}; 0.9 is 90 %")


def document(logit_set: LogitSet, sources: Mapping[str, Source], asked: Asked) -> dict[str, Any]:
    """Return what duo.json says of a pair, but for the files that are written beside it."""
    base, sidekick = (sources[role].card.name for role in ROLES)
    fitted = fit_pair(logit_set, base, sidekick)
    found = {split: evaluate(logit_set, base, sidekick, split, kind=asked.kind, fitted=fitted) for split in _judged(logit_set)}
    own = variant_predictions(
        logit_set.logits(base, FIT_SPLIT),
        logit_set.logits(sidekick, FIT_SPLIT),
        logit_set.labels[FIT_SPLIT],
        fitted,
        variants=[asked.variant],
        kind=asked.kind,
    )[asked.variant]
    judged = {split: evaluation.predictions[asked.variant] for split, evaluation in found.items()}
    entries = list(_entries(own, judged, asked))
    whole: dict[str, Any] = _plain(
        {
            "format": FORMAT,
            "variant": asked.variant,
            "uncertainty": asked.kind,
            "temperatures": fitted.temperatures._asdict(),
            "calibration": fitted.calibration._asdict(),
            "classes": list(logit_set.classes),
            "models": {role: source.record(role) for role, source in sources.items()},
            "threshold": _in_force(entries, asked, len(own)),
            "thresholds": {
                "chosen_on": FIT_SPLIT,
                "confidence": asked.confidence,
                "assumption": ASSUMPTION,
                "entries": entries,
            },
            "metrics": {split: evaluation.metrics for split, evaluation in found.items()},
            "provenance": _provenance(logit_set, base, sidekick, next(iter(found.values()))),
        }
    )
    return whole


def _judged(logit_set: LogitSet) -> list[str]:
    splits = logit_set.evaluation_splits
    if not splits:
        raise InputError(f"expected a split to judge on in the set '{logit_set.name}', got {', '.join(logit_set.labels)}")
    return splits


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


def _provenance(logit_set: LogitSet, base: str, sidekick: str, found: Evaluation) -> dict[str, Any]:
    """Where the numbers come from: the set and the digests of what was read of it."""
    splits = [FIT_SPLIT, *_judged(logit_set)]
    keys = [(model, split) for model in (base, sidekick) for split in splits]
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
        "nll_fit": found.fit.nll,
        "T_ratio": found.fit.ratio,
        "flops_balance": found.flops_balance,
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that an exported duo is made with or runs on."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def sealed(record: Mapping[str, Any]) -> str:
    """Return the text of duo.json, with a digest of everything else in it."""
    return json.dumps({**record, "digest": _digest(record)}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read(folder: Path) -> dict[str, Any]:
    """Read a folder's duo.json, seen to be whole and as it was written.

    Raises
    ------
    InputError
        Where it is missing, of another format or altered.
    """
    file = folder / FILE
    record = read_json(file, "name a folder that duo export wrote")
    if record.get("format") != FORMAT:
        raise InputError(f"expected format {FORMAT} in '{file}', got {record.get('format')!r}; export it again with this version")
    wrong = [key for key, kind in TYPES.items() if not isinstance(record.get(key, ...), kind)]
    digest = record.pop("digest", None)
    if wrong or digest != _digest(record):
        what = f" ({', '.join(wrong)} missing or of another type)" if wrong else ""
        raise InputError(
            f"'{file}' was altered after it was exported{what}; export it again, or set another threshold on the duo itself"
        )
    return record


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """The same document of JSON's own types, with None for what is undefined."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
