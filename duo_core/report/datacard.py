"""The card that is pushed with a logit set: what it holds, of what, under which licence, and what its models cost, as Markdown."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from duo_core.common.plaintext import escaped
from duo_core.logits import FIT_SPLIT, LogitSet

TAGS = ["image-classification", "logits", "uncertainty", "asymmetric-duos"]
LICENCES = {"mit", "apache-2.0", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "bsd-3-clause"}
"""Names that hubs of data sets know; any other is given as it is."""
EXPLAINED = """\
Logits of image classifiers on the same images, one float tensor (images, classes) a split in each `MODEL.safetensors`, with the
labels in `labels.safetensors`. `files.json` lists the files with their SHA-256. They are data: reading them runs no code.
"""


def datacard(own: LogitSet, accuracies: Mapping[tuple[str, str], float], url: str) -> str:
    """Return the card of a set; `accuracies` by model and split, `url` is where it can be pulled from.

    What others wrote in the set stands in it as text.
    """
    about = own.about
    lines = [
        _front(own),
        f"# {escaped(own.title)}",
        EXPLAINED,
        "```\n" + f"duo sets pull {url}\nduo app".replace("`", "") + "\n```\n",
        _facts(
            {
                "Classes": f"{own.k:,}",
                "Images": ", ".join(f"{escaped(split)} {len(labels):,}" for split, labels in own.labels.items()),
                "Fitted on": escaped(FIT_SPLIT),
                "Source": escaped(str(about.get("source") or "not said")),
                "Licence of the images": escaped(str(about.get("licence") or "not said")),
                "Created": escaped(str(about.get("created") or "not said")),
                **{f"How {escaped(split)} was made": escaped(str(how)) for split, how in about.get("how", {}).items()},
            }
        ),
        "## Models\n",
        _models(own, accuracies),
        "Weights of models have licences of their own, which these logits do not change.\n",
        "## Where each model is from\n",
        _table(["Model", "Built as", "Weights", "SHA-256 of the weights", "Input"], [_provenance(own, name) for name in own.cards]),
    ]
    return "\n".join(lines)


def _front(own: LogitSet) -> str:
    """What hubs read: JSON is YAML, and has no letter that would end a value."""
    said = str(own.about.get("licence") or "")
    licence = {"license": said.lower()} if said.lower() in LICENCES else {"license": "other", "license_name": said or "not said"}
    facts = {**licence, "pretty_name": own.title, "tags": TAGS, "size_categories": None}
    lines = [f"{key}: {json.dumps(value)}" for key, value in facts.items() if value is not None]
    return "\n".join(["---", *lines, "---", ""])


def _facts(rows: Mapping[str, str]) -> str:
    return _table(["", ""], list(map(list, rows.items())))


def _models(own: LogitSet, accuracies: Mapping[tuple[str, str], float]) -> str:
    splits = list(own.labels)
    head = ["Model", "GFLOPs", "M parameters", "Images a second", *(f"Accuracy, {escaped(split)}" for split in splits)]
    rows = []
    for name, card in own.cards.items():
        speed = f"{card.images_per_second:,.0f} on {escaped(card.device or 'an unnamed device')}" if card.images_per_second else "-"
        found = [accuracies.get((name, split)) for split in splits]
        costs = [_scaled(card.multiply_adds, 1e9), _scaled(card.parameters, 1e6)]
        rows.append([escaped(name), *costs, speed, *("-" if value is None else f"{value:.4f}" for value in found)])
    return _table(head, rows)


def _provenance(own: LogitSet, name: str) -> list[str]:
    card = own.cards[name]
    size = "x".join(map(str, card.input_size)) if card.input_size else "-"
    return [escaped(name), escaped(card.model), escaped(card.weights or "-"), escaped(card.weights_sha256 or "-"), size]


def _scaled(count: int | None, unit: float) -> str:
    return "-" if count is None else f"{count / unit:,.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"
