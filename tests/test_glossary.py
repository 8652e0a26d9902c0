"""The glossary has an entry for what the code names, and its links lead to entries."""

import re
from pathlib import Path

import pytest

from duo_core.analysis.guarantee import METHODS
from duo_core.metrics import METRICS
from duo_core.systems.duo import VARIANTS

ENTRIES = dict(
    re.findall(
        r"^### (.+?)\n(.+?)(?=^##|\Z)",
        (Path(__file__).resolve().parents[1] / "docs" / "glossary.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
)
TERMS = {"nll": "NLL", "brier": "Brier", "sequence": "Guaranteed threshold", "sgr": "SGR", "empirical": "Empirical threshold"}


def anchor(heading: str) -> str:
    """The address that a Markdown viewer gives a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("key", [*METRICS, *VARIANTS, *METHODS])
def test_what_the_code_names_is_explained(key: str) -> None:
    label = METRICS[key].label if key in METRICS else VARIANTS[key].label if key in VARIANTS else ""
    assert TERMS.get(key, label) in ENTRIES


@pytest.mark.parametrize("term", ENTRIES)
def test_links_lead_to_entries(term: str) -> None:
    assert len(ENTRIES[term].split()) > 10
    linked = re.findall(r"\]\(#(.+?)\)", ENTRIES[term])
    assert {*linked} <= {anchor(other) for other in ENTRIES}


def test_each_term_stands_once() -> None:
    text = (Path(__file__).resolve().parents[1] / "docs" / "glossary.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert len(headings) == len(set(headings)) == len(ENTRIES)
