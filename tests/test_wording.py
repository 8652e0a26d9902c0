"""What every page and every chart says takes the forms of `duo_core.wording.terms`."""

import json
import re
from collections.abc import Iterator

import pytest
from browsing import ROOT
from dashboard import open_page

from app.controls import THEMED
from app.views import diagnose, temperatures
from duo_core.figures.screen import DARK, LIGHT
from duo_core.logits.store import DEFAULT_STORE
from duo_core.teaching.steps import STEPS
from duo_core.wording.terms import faults

PAIR = {"set": "imagenet-like", "base": "mobilenetv2_100", "sidekick": "mobilenetv1_050"}
PLACES = [
    *((view.stem, {}) for view in sorted((ROOT / "app" / "views").glob("[a-z]*.py")) if view.stem != "learn"),
    *(("diagnose", {"part": part}) for part in diagnose.PARTS),
    *(("temperatures", {"question": question}) for question in temperatures.QUESTIONS),
    *(("learn", {"step": str(place), "data": data}) for place in range(1, len(STEPS) + 1) for data in ("toy", "real")),
]
SPOKEN = {"label", "body", "help", "value", "delta", "delta_description", "text", "options", "format", "placeholder"}
"""Fields of an element that a person reads."""
FORMULA = re.compile(r"\$\$.*?\$\$|`[^`]*`", re.DOTALL)
"""Has forms of its own."""
CODE = {"code", "html", "arrow_data_frame", "plotly_chart", "latex"}
"""Elements that are read otherwise, or whose text is not prose."""


def said(element, kind: str) -> Iterator[str]:
    """All texts of an element's message that a person reads."""
    for field, value in element.ListFields():
        if field.message_type is not None:
            for each in value if field.is_repeated else [value]:
                if hasattr(each, "ListFields"):
                    yield from said(each, field.name)
        elif field.type == field.TYPE_STRING and field.name in SPOKEN and kind not in CODE:
            yield from (FORMULA.sub("", each).replace("\\", "") for each in ([value] if isinstance(value, str) else value))


def strings(value) -> Iterator[str]:
    """All texts of a chart that are read: names, titles, labels and what hovering says."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key not in {"customdata", "template", "marker", "line", "font", "type", "mode"}:
                yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
    elif isinstance(value, str):
        yield value


def texts(app) -> Iterator[str]:
    for element in app._tree:
        proto = getattr(element, "proto", None)
        if proto is None or getattr(proto, "body", "").startswith("<style>"):
            continue
        if element.type == "plotly_chart":
            yield from strings(json.loads(proto.spec))
        elif element.type == "arrow_data_frame":
            table = element.value
            yield from (str(cell) for column in table for cell in table[column] if isinstance(cell, str))
            yield from map(str, table.columns)
        elif hasattr(proto, "ListFields") and element.type not in CODE:
            yield from said(proto, element.type)


@pytest.fixture
def shipped(monkeypatch):
    monkeypatch.setenv("DUO_STORE", str(DEFAULT_STORE))


@pytest.mark.parametrize(("name", "query"), PLACES, ids=lambda value: value if isinstance(value, str) else "-".join(value.values()))
def test_no_page_says_what_practitioners_would_not(shipped, name, query):
    app = open_page(name, **({} if name == "learn" else PAIR), **query)
    found = list(texts(app))
    assert len(found) > (2 if name == "training" else 10)  # without runs that page says only how to begin one
    assert [(text[:120], wrong) for text in found if (wrong := faults(text))] == []
    config = [element.proto.columns for element in app.dataframe]
    assert not [columns for columns in config if '"percent"' in columns]  # which has no space before its sign


def luminance(colour: str) -> float:
    """Relative luminance of a colour as six digits (WCAG 2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_the_colour_of_axes_has_a_contrast_of_4_5_to_the_page(palette):
    low, high = sorted(luminance(palette[key]) for key in ("neutral", "paper"))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_every_axis_has_that_colour(shipped):
    charts = [json.loads(element.proto.spec)["layout"] for element in open_page("explore", **PAIR).get("plotly_chart")]
    assert len(charts) == 3
    for layout in charts:
        for axis in ("xaxis", "yaxis"):
            assert layout[axis]["tickfont"]["color"] == layout[axis]["title"]["font"]["color"] == THEMED["neutral"]
