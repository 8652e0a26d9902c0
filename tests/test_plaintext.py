"""Names that others chose are text: on every page, in the README of an exported duo, on the command line."""

import io
import json
import re
import zipfile
from pathlib import Path

import pytest
import torch
from dashboard import go, open_page
from hostile import MARKUP, hostile_store, written_names

from app.shown import shown_set
from duo_core.__main__ import main
from duo_core.common.plaintext import as_markdown, escaped, unmarked
from duo_core.deploy import packed
from duo_core.logits import Card, LogitSet
from duo_core.logits.store import Store
from duo_core.systems.system import System

PAGES = ("explore", "find", "compare", "temperatures", "claims", "diagnose", "alike", "zoo", "training", "learn", "method")
TEXTS = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success", "metric", "expander")


def rendered(text: str) -> str:
    """What Markdown may read as markup: escaped characters are none."""
    return re.sub(r"\\.", "", text)


@pytest.mark.parametrize("markup", MARKUP)
def test_markup_is_replaced_or_escaped(markup: str) -> None:
    assert markup not in unmarked(f"a {markup} b")
    assert markup not in rendered(escaped(f"a {markup} b"))


@pytest.mark.parametrize(
    "name",
    ["resnet18", "vit_base_patch16_224.augreg", "n01440764", "tench, Tinca tinca", "crane (bird)", "jack-o'-lantern", "1 to 2"],
)
def test_usual_names_stay(name: str) -> None:
    assert unmarked(name) == name


@pytest.mark.parametrize(
    "name", ["a\nb", "a\x1b[31mb", "a\u202eb", "a\u2028b", "# a", "- a", "1. a", "__a__", "www.a.b", "x@y.z", ":a:"]
)
def test_a_name_begins_no_block_ends_no_line_and_turns_no_text(name: str) -> None:
    found = unmarked(name)
    assert found != name
    assert found.isprintable()
    assert not re.match(r"[#+-] |\d+\. ", found)


def test_names_that_look_alike_stay_apart_and_logits_are_found_under_what_is_shown() -> None:
    names, splits = ("a[", "a\uff3b", "a[ (2)"), ("val", "t[", "t\uff3b")
    arrays = {(name, split): torch.full((2, 2), 10.0 * i + j) for i, name in enumerate(names) for j, split in enumerate(splits)}
    labels = {split: torch.tensor([j, j]) for j, split in enumerate(splits)}
    own = LogitSet("own", "Own", ("x[", "y"), labels, {name: Card(name, name, "upload") for name in names}, arrays)
    shown = shown_set(own)
    assert len(shown.cards) == len(shown.labels) == 3
    for i, model in enumerate(shown.cards):
        for j, split in enumerate(shown.labels):
            assert shown.arrays[model, split][0, 0] == 10 * i + j
    assert shown.models("val") == list(shown.cards)
    arrays.clear()
    assert not shown.models("val")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_store(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("name", PAGES)
def test_no_page_finds_markup_in_a_set(name: str, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUO_STORE", str(store))
    app = open_page(name, set="hostile", data="real")
    texts = [element.value if kind != "expander" else element.label for kind in TEXTS for element in app.get(kind)]
    texts += [element.help for kind in TEXTS for element in app.get(kind) if getattr(element, "help", None)]
    charts = [chart.proto.spec for chart in app.get("plotly_chart")]
    for markup in MARKUP:
        assert [text for text in texts if markup in rendered(str(text))] == []
        assert [chart for chart in charts if json.dumps(markup)[1:-1] in chart] == []
    assert "evil" in " ".join(map(str, texts)) or name in ("temperatures", "learn", "training")  # it is shown


def test_a_set_that_cannot_be_read_is_said_without_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile_store(tmp_path)
    file = tmp_path / "hostile" / "set.json"
    about = json.loads(file.read_text())
    about.pop("digest")
    file.write_text(json.dumps({**about, "splits": {f"{markup} ": "many" for markup in MARKUP}}))
    monkeypatch.setenv("DUO_STORE", str(tmp_path))
    app = go(open_page("explore"), "explore")
    said = " ".join(element.value for kind in ("title", "markdown", "warning") for element in app.get(kind))
    assert "This logit set cannot be read" in said
    assert not [markup for markup in MARKUP if markup in rendered(said)]


def test_an_exported_duo_has_the_names_as_they_are_and_a_readme_without_markup(store: Path) -> None:
    own = Store(store).open("hostile")
    with zipfile.ZipFile(io.BytesIO(packed(own, System(tuple(own.cards)[:2])))) as archive:
        texts = {Path(name).name: archive.read(name).decode() for name in archive.namelist()}
    assert json.loads(texts["duo.json"])["classes"] == list(own.classes) == written_names("class")
    for markup in MARKUP:
        assert markup not in rendered(texts["README.md"])


@pytest.mark.parametrize("name", ["resnet18_a1", "mobilenetv2_100", "vit_b_16"])
def test_usual_names_need_no_escaping_in_a_readme(name: str) -> None:
    assert as_markdown(name) == name


@pytest.mark.parametrize("text", ["a\x1b[31mb", "a\x9b2Jb", "a\rb", "\x1b]0;title\x07"])
def test_what_commands_print_commands_no_terminal(text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = Store(tmp_path)
    labels = {split: torch.tensor([0, 1]) for split in ("val", "test")}
    store.prepare("own", title=text, classes=["a", "b"], labels=labels, source=text)
    assert main(["sets", "--store", str(tmp_path)]) == 0
    assert main(["sets", text, "--store", str(tmp_path)]) == 2
    found = capsys.readouterr()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", found.out + found.err)
    assert "own" in found.out
