"""Every file that a page offers opens as what it says it is: of a stored set, of a shipped one, of an uploaded one."""

import io
import json
import re
import zipfile

import pandas as pd
import pytest
import streamlit as st
from dashboard import PAIR, open_page, step
from logit_files import arrays, npz

from app.state.caches import CACHE
from app.views import diagnose, temperatures
from duo_core.common.latex import latex_text
from duo_core.logits.store import DEFAULT_STORE

PLACES = [
    *((name, {}) for name in ("explore", "find", "compare", "zoo", "claims", "method", "data")),
    *(("diagnose", {"part": part}) for part in diagnose.PARTS),
    *(("temperatures", {"question": question}) for question in temperatures.QUESTIONS),
    ("learn", {"step": "5"}),
]


@pytest.fixture
def offered(monkeypatch):
    """What pages offer to save: file names and what makes each."""
    found = {}

    def button(label, data, file_name, **options):
        found[file_name] = data

    monkeypatch.setattr(st, "download_button", button)
    return found


def opened(name: str, make) -> None:
    """Open a file as its ending says; an error where it is not what that promises."""
    content = make() if callable(make) else make
    content = content.read() if hasattr(content, "read") else content
    raw = content.encode() if isinstance(content, str) else content
    match name.rpartition(".")[2]:
        case "csv" | "tsv":
            assert len(pd.read_csv(io.BytesIO(raw)).columns) > 0
        case "parquet":
            assert len(pd.read_parquet(io.BytesIO(raw)).columns) > 0
        case "tex":
            balanced(raw.decode())
        case "html":
            assert raw.lower().startswith(b"<!doctype html>")
            assert raw.rstrip().endswith(b"</html>")
        case "zip" | "npz":
            assert zipfile.ZipFile(io.BytesIO(raw)).testzip() is None
        case "json":
            json.loads(raw)
        case _:
            assert raw


def balanced(text: str) -> None:
    """A table of LaTeX has as many cells in each row as its head says, and closes what it opens."""
    sides = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)[1]
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert rows
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(sides) - 1}
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert not re.search(r"(?<!\\)[#_%](?! \\usepackage)", text.partition("\n")[2])
    assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0
    assert text.count(r"\begin{") == text.count(r"\end{")


@pytest.mark.parametrize(("name", "query"), PLACES, ids=lambda value: value if isinstance(value, str) else "".join(value.values()))
def test_every_file_of_every_page_opens(monkeypatch, toy_store, offered, name, query):
    monkeypatch.setenv("DUO_STORE", str(toy_store))
    open_page(name, **({} if name == "learn" else PAIR), **query)
    assert offered
    for file, make in offered.items():
        opened(file, make)


def test_files_of_a_shipped_set_open_all_its_metrics_among_them(monkeypatch, offered):
    monkeypatch.setenv("DUO_STORE", str(DEFAULT_STORE))
    app = open_page(set="imagenet-like", base="mobilenetv2_100", sidekick="mobilenetv1_050")
    app.toggle(key="every_metric").set_value(True).run()
    assert {"metrics.csv", "metrics.tex"} <= set(offered)
    for file, make in offered.items():
        opened(file, make)
    table = pd.read_csv(io.StringIO(offered["metrics.csv"]()))
    assert len(table) == 8
    assert list(table["Against base"].dropna().unique())


def test_files_of_an_uploaded_set_open(monkeypatch, toy_store, offered):
    monkeypatch.setenv("DUO_STORE", str(toy_store))
    app = open_page("data")
    app.file_uploader[0].set_value([("logits.npz", npz(arrays()), "")]).run()
    app.button(key="use_upload").click().run()
    offered.clear()
    for name in ("", "zoo", "diagnose"):
        step(app, name)
        for file, make in offered.items():
            opened(file, make)
    assert len(offered) > 8
    st.cache_resource.clear()
    CACHE.clear()


def test_a_name_is_no_command_of_latex():
    hostile = pd.DataFrame(
        {"a&b": [r"\input{x}", "50% $x$ #1", "{", "~^_", "line\nend"], "n": [1.0, -2.5, float("nan"), 0.0, 1e-9]}
    )
    text = latex_text(hostile)
    balanced(text)
    assert r"\input" not in text
    assert "nan" not in text
