"""The notebook runs from top to bottom as it stands, and prints what is stored in it."""

import contextlib
import io
import json
import re
from pathlib import Path

import plotly.graph_objects as go
import pytest

from app.glossary import terms

FILE = Path(__file__).resolve().parents[1] / "docs" / "learn.ipynb"
CELLS = json.loads(FILE.read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?")


def source(cell):
    return "".join(cell["source"])


def stored(cell):
    return "".join(line for output in cell["outputs"] for line in output["text"])


def last_value(text, namespace):
    """Run a cell; the value of its last line where that is an expression, as a notebook shows it."""
    *_, last = text.splitlines()
    try:
        compile(last, "last line", "eval")
    except SyntaxError:
        exec(compile(text, str(FILE), "exec"), namespace)
        return None
    exec(compile(text.removesuffix(last), str(FILE), "exec"), namespace)
    return eval(last, namespace)


def values(text):
    return [float(number.replace(",", "")) for number in NUMBER.findall(text)]


@pytest.fixture(scope="module")
def run():
    """What each code cell printed and showed, all in one namespace, in order."""
    namespace, found = {"__name__": "learn"}, []
    for cell in CODE:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            shown = last_value(source(cell), namespace)
        found.append((printed.getvalue(), shown))
    return found


def test_the_notebook_is_one_that_readers_open():
    notebook = json.loads(FILE.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)
    assert 18 <= len(CELLS) <= 24
    assert FILE.stat().st_size < 40_000  # outputs are stored sparingly


@pytest.mark.parametrize("place", range(len(CODE)))
def test_a_cell_prints_what_is_stored(place, run):
    said = run[place][0]
    assert NUMBER.sub("#", said) == NUMBER.sub("#", stored(CODE[place]))
    # Another machine may round the last decimals otherwise.
    assert values(said) == pytest.approx(values(stored(CODE[place])), rel=0.01, abs=0.0015)


def test_charts_are_shown(run):
    assert sum(isinstance(shown, go.Figure) for _, shown in run) == 4


def test_it_tells_the_eight_steps_and_ends_on_the_shipped_set():
    prose = "\n".join(source(cell) for cell in CELLS if cell["cell_type"] == "markdown")
    assert re.findall(r"^## (\d)\. ", prose, re.MULTILINE) == [str(step) for step in range(1, 9)]
    assert 'Store().open("cifar10")' in "".join(source(cell) for cell in CODE[-2:])


def test_its_links_lead_somewhere():
    prose = "\n".join(source(cell) for cell in CELLS if cell["cell_type"] == "markdown")
    anchors = {term.anchor for term in terms()}
    for link in re.findall(r"\]\(([^)]+)\)", prose):
        file, _, anchor = link.partition("#")
        assert (FILE.parent / file).exists()
        assert not anchor or anchor in anchors
