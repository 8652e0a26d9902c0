"""Where a report's numbers come from: images, models, weights, digests, settings, versions."""

import json
import platform
from collections.abc import Iterable, Mapping

from duo_core import __version__
from duo_core.common.versions import version_of
from duo_core.logits import FIT_SPLIT, Card, LogitSet, tensor_digest
from duo_core.report.markup import Content, Html, Number, Section, definitions, folded, table, tag
from duo_core.report.words import whole

PACKAGES = ("torch", "numpy", "numba", "pandas", "safetensors", "plotly", "streamlit")
PAPER = "Zhou, Shelhamer and Pleiss: Asymmetric Duos: Sidekicks Improve Uncertainty (2025), arXiv 2505.18636"
UNSAID = "not said"


def provenance(own: LogitSet, split: str, models: Mapping[str, str]) -> Section:
    """Return what is known of a set and of some of its models; `models` gives each one's part, by name, or nothing."""
    about = own.about
    facts = [
        ("Logit set", f"{own.title} ({own.name}), {own.k:,} classes"),
        ("Images", about.get("source") or UNSAID),
        ("Licence", about.get("licence") or UNSAID),
        ("Made", about.get("created") or UNSAID),
    ]
    content = [
        definitions(facts, class_="terms"),
        _splits(own, split),
        _models(own, models),
        folded("Preprocessing, versions and digests of the logits", _making(own, models), _digests(own, split, models)),
    ]
    return Section("provenance", "Where the numbers come from", content)


def settings(entries: Iterable[tuple[str, str]], created: str | None) -> Section:
    """Return what was chosen for a report, and what computed it."""
    said = [*entries, *([("Created", created)] if created else []), ("Method", PAPER)]
    software = table("versions", "Software that computed this report", ["Package", "Version"], versions())
    return Section("settings", "Settings", [definitions(said, class_="terms"), folded("Versions", software)])


def _splits(own: LogitSet, split: str) -> Html:
    how = own.about.get("how", {})
    part = {FIT_SPLIT: "temperatures are fitted on it", split: "judged here"}
    rows: list[list[Content]] = [
        [name, whole(len(labels)), part.get(name, "not used here"), str(how.get(name, UNSAID)), tag("code", tensor_digest(labels))]
        for name, labels in own.labels.items()
    ]
    return table("splits", "Splits", ["Split", "Images", "Part", "How it was made", "SHA-256 of the labels"], rows)


def _models(own: LogitSet, models: Mapping[str, str]) -> Html:
    said = any(models.values())
    part = ["Part"] if said else []
    columns = [
        "Model",
        *part,
        "Architecture",
        "Weights",
        "SHA-256 of the weights",
        "Multiply-adds",
        "Parameters",
        "Images a second",
    ]
    rows = [[name, *([part] if said else []), *_model(own.cards[name])] for name, part in models.items()]
    return table("models", "Models", columns, rows)


def _model(card: Card) -> list[Content]:
    speed = card.images_per_second
    return [
        f"{card.model}{f', {card.family}' if card.family else ''}",
        card.weights or UNSAID,
        tag("code", card.weights_sha256 or UNSAID),
        whole(card.multiply_adds),
        whole(card.parameters),
        Number(speed, UNSAID if speed is None else f"{speed:,.1f}", card.device or ""),
    ]


def _making(own: LogitSet, models: Mapping[str, str]) -> Html:
    columns = ["Model", "Source", "Input", "Transform", "Made", "With"]
    rows: list[list[Content]] = []
    for name in models:
        card = own.cards[name]
        size = " × ".join(map(str, card.input_size)) if card.input_size else UNSAID
        transform = tag("code", json.dumps(dict(card.transform), sort_keys=True)) if card.transform else UNSAID
        packages = ", ".join(f"{package} {number}" for package, number in (card.versions or {}).items())
        rows.append([name, card.source, size, transform, card.created or UNSAID, packages or UNSAID])
    return table("preprocessing", "How the logits were made", columns, rows)


def _digests(own: LogitSet, split: str, models: Mapping[str, str]) -> Html:
    keys = [(name, of) for name in models for of in (FIT_SPLIT, split)]
    rows: list[list[Content]] = [
        [name, of, tag("code", own.digests.get((name, of)) or tensor_digest(own.logits(name, of)))] for name, of in keys
    ]
    return table("digests", "SHA-256 digests of the logits, type and shape included", ["Model", "Split", "SHA-256"], rows)


def versions() -> list[tuple[str, str]]:
    """What computes here, and in which version."""
    own = [("Python", platform.python_version()), ("asymmetric-duos-explorer", __version__)]
    return [*own, *((package, version_of(package) or "not installed as a package") for package in PACKAGES)]
