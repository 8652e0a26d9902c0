"""A report is one file that asks for nothing, lets no name become markup, and says the numbers that were computed."""

import argparse
import base64
import hashlib
import json
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile import ATTACK, IMAGE, MODELS, PAIR, hostile_pair_report, hostile_set, hostile_set_report
from logit_sets import write_set
from plotly.offline import get_plotlyjs

from duo_core.analysis.advice import chosen_under
from duo_core.analysis.judged import judged_claims
from duo_core.cli.reporting import report
from duo_core.common.arrays import InputError
from duo_core.figures.screen import LIGHT, SCREEN
from duo_core.logits import FIT_SPLIT, tensor_digest
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import differences
from duo_core.report import pair_report, set_report, words
from duo_core.report.markup import Html, Number, rich, table, tag
from duo_core.report.page import policy
from duo_core.report.pair import ORDER
from duo_core.systems.sweep import evaluate, on_fit, pairs, sweep, sweeps
from duo_core.wording.sentences import label

VOID = {"meta", "link"}
OUTSIDE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)


class Page(HTMLParser):
    """What a document holds, read as strictly as it is written: every element is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self._open.append(name)

    def handle_endtag(self, name):
        assert self._open.pop() == name

    def handle_data(self, text):
        self.texts.append((tuple(self._open), text))

    def all(self, name):
        return [attributes for own, attributes in self.elements if own == name]

    def inside(self, name):
        return [text for place, text in self.texts if place and place[-1] == name]

    @property
    def attributes(self):
        return [(key, value) for _, attributes in self.elements for key, value in attributes.items()]


@pytest.fixture(scope="module")
def documents():
    return {"pair": hostile_pair_report(), "set": hostile_set_report()}


@pytest.fixture(params=["pair", "set"])
def document(request, documents):
    return documents[request.param]


@pytest.fixture
def parsed(document):
    return Page(document)


def figures(page):
    texts = [text for place, text in page.texts if place[-1:] == ("script",)]
    return json.loads(texts[0])["figures"]


def strings(value):
    """Every string in a JSON document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for own in value.values():
            yield from strings(own)
    elif isinstance(value, list):
        for own in value:
            yield from strings(own)


def test_nothing_points_outside(parsed):
    """No attribute holds an address but empty data and places in the page; styles fetch nothing; scripts lie inside."""
    links = [
        value for key, value in parsed.attributes if key in {"href", "src", "srcset", "action", "data", "poster", "xlink:href"}
    ]
    assert links
    assert all(link == "data:," or link.startswith("#") for link in links)
    names = set(MODELS) | {IMAGE}
    spoken = [value for key, value in parsed.attributes if key not in {"aria-label"} and OUTSIDE.search(value)]
    assert spoken == [], names
    assert not re.search(r"url\(|@import|//", "".join(parsed.inside("style")))
    assert not {name for name, _ in parsed.elements} & {"img", "iframe", "object", "embed", "base", "form", "audio", "video"}


def test_three_scripts_and_plotly_once(parsed):
    assert parsed.all("script") == [{"type": "application/json", "id": "figures"}, {}, {}]
    scripts = parsed.inside("script")
    assert "".join(scripts[1:-1]) == get_plotlyjs()
    assert "http" not in scripts[-1]


def test_the_policy_lets_only_these_scripts_run(document, parsed):
    given = next(a["content"] for a in parsed.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert given.startswith("default-src 'none';")
    scripts = re.findall(r"<script>(.*?)</script>", document, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert re.findall(r"'sha256-([^']+)'", given) == digests
    assert "unsafe-inline" not in given.split("style-src")[0]
    assert policy(["a"]) != policy(["b"])


def test_the_parser_sees_what_points_outside():
    assert Page('<p><a href="https://x.example">x</a></p>').attributes == [("href", "https://x.example")]
    with pytest.raises(AssertionError):
        Page("<p><b></p></b>")


def test_names_stay_text(document, parsed):
    assert ATTACK not in document
    assert IMAGE not in document
    assert all(not key.startswith("on") for key, _ in parsed.attributes)
    assert any(ATTACK in text for text in parsed.inside("h1"))
    assert any(IMAGE in text for place, text in parsed.texts if place[-1:] in {("th",), ("td",), ("dd",)})


def test_charts_are_given_names_that_they_show_as_text(parsed):
    """Charts take some tags for markup, so that names reach them escaped; the tags left are the charts' own."""
    found = [text for own in figures(parsed).values() for text in strings(own)]
    assert any("&lt;" in text for text in found)
    tags = {name for text in found for name in re.findall(r"</?(\w+)", text)}
    assert tags <= {"b", "br", "extra"}
    assert not any("<b> " in text or "tiny <b>" in text for text in found)


def test_figures_are_in_the_light_colours(parsed):
    colours = {text for own in figures(parsed).values() for text in strings(own) if re.fullmatch("#[0-9a-f]{6}", text)}
    assert colours
    assert colours <= set(LIGHT.values())


def test_the_page_is_in_the_colours_of_the_dashboard():
    root = Path(__file__).resolve().parents[1]
    style = (root / "duo_core" / "report" / "style.css").read_text(encoding="utf-8")
    themes = tomllib.loads((root / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"]
    same = {"paper": "backgroundColor", "ink": "textColor", "tint": "secondaryBackgroundColor", "accent": "linkColor"}
    for look in ("light", "dark"):
        for own, theirs in same.items():
            assert f"--{look}-{own}: {themes[look][theirs]};" in style


def test_it_is_semantic(parsed):
    assert parsed.all("html") == [{"lang": "en"}]
    assert len(parsed.all("h1")) == len(parsed.all("main")) == len(parsed.all("title")) == 1
    assert all(attributes.get("scope") in {"col", "row"} for attributes in parsed.all("th"))
    assert len(parsed.all("caption")) == len(parsed.all("table"))
    assert len(parsed.all("figcaption")) == len(parsed.all("figure")) == len(figures(parsed))
    charts = [attributes for attributes in parsed.all("div") if attributes.get("class") == "chart"]
    assert [chart["id"] for chart in charts] == list(figures(parsed))
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in charts)


def test_links_and_labels_lead_somewhere(parsed):
    ids = [value for key, value in parsed.attributes if key == "id"]
    assert len(ids) == len(set(ids))
    targets = [value.removeprefix("#") for key, value in parsed.attributes if key == "aria-labelledby" or value.startswith("#")]
    assert len(targets) == 2 * len(parsed.all("section"))
    assert set(targets) <= set(ids)


@pytest.mark.parametrize("make", [hostile_pair_report, hostile_set_report])
def test_the_same_input_gives_the_same_bytes(make, documents):
    own = documents["pair" if make is hostile_pair_report else "set"]
    assert make() == own
    dated = make(created="2031-02-03")
    assert "2031-02-03" in dated
    assert dated.replace("<div><dt>Created</dt><dd>2031-02-03</dd></div>", "") == own
    assert make(seed=1) != own


def cells(document, name):
    """The rows of a table by its name, each cell its number, or its text where it is none."""
    body = re.search(rf'<table data-name="{name}".*?<tbody>(.*?)</tbody>', document, re.DOTALL)[1]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [[_cell(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def _cell(markup):
    value = re.search(r'<data value="([^"]*)"', markup)
    return re.sub("<[^>]*>", "", markup) if value is None else None if value[1] == "" else float(value[1])


def test_every_number_of_every_variant_with_its_interval(documents):
    found = evaluate(hostile_set(), *PAIR)
    rows = cells(documents["pair"], "metrics")
    assert [row[1:] for row in rows] == [[found.metrics[variant][key] for variant in ORDER] for key in METRICS]
    for variant in set(found.predictions) - {"base"}:
        gains = differences(found.predictions[variant], found.predictions["base"], replicates=50)
        for key, gain in gains.items():
            assert words.cell(key, gain) in documents["pair"]


def test_the_pair_report_says_fit_settings_and_origin(documents):
    own = hostile_set()
    fit, text = evaluate(own, *PAIR).fit, documents["pair"]
    assert cells(text, "temperatures")[0][1:] == [*fit.temperatures, pytest.approx(fit.nll["duo"])]
    assert fit.separated
    assert "temperature ratio</strong> is undefined" in text
    for model in PAIR:
        for split in (FIT_SPLIT, "test"):
            assert tensor_digest(own.logits(model, split)) in text
    assert tensor_digest(own.labels["test"]) in text
    assert "50 times (seed 0)" in text
    for said in ("AURC × 1000", "1 − max softmax", "temperatures fitted on val"):
        assert f"<dd>{said}" in text or said in text


def test_entropy_is_said(documents):
    text = pair_report(evaluate(hostile_set(), *PAIR, kind="entropy"), replicates=50)
    assert "<dt>Uncertainty</dt><dd>entropy</dd>" in text
    assert "<dt>Uncertainty</dt><dd>1 − max softmax</dd>" in documents["pair"]


def test_every_pair_stands_in_the_table_best_first(documents):
    swept = sweep(hostile_set(), ["test"])
    ablations = swept[~swept["variant"].isin(("base", "sidekick"))]
    rows = cells(documents["set"], "pairs")
    place = 4 + list(METRICS).index("aurc")
    assert [row[place] for row in rows] == sorted(ablations["aurc"])
    assert sorted(row[4] for row in rows) == sorted(ablations["accuracy"])
    assert len(cells(documents["set"], "models_alone")) == len(MODELS)


def test_the_recommendation_is_that_of_advice(documents):
    """Of the most accurate base on the fit split, by the NLL there."""
    own = hostile_set()
    swept = sweep(own, ["test"])
    duos = swept[swept["variant"] == "duo"].merge(on_fit(own, pairs(own, "val")), on=["base", "sidekick"])
    duos = duos[~duos["reversed"]]
    affordable = duos[duos["flops_balance"] <= 0.35] if (duos["flops_balance"] <= 0.35).any() else duos
    duos = duos[duos["base"] == affordable.loc[affordable["base_accuracy_fit"].idxmax(), "base"]]
    best = chosen_under(duos, "flops_balance", float("inf")).best
    last = cells(documents["set"], "advice")[-1]
    assert last[3] == best["aurc"]
    assert last[2] == best["flops_balance"]


def test_the_claims_are_those_of_claims(documents):
    own = hostile_set()
    found = judged_claims(own, "test", sweeps(own, ["test"]), replicates=50).claims
    rows = cells(documents["set"], "claims")
    assert [row[2] for row in rows] == [claim.share for claim in found]
    assert [row[3] for row in rows] == [len(claim.pairs) for claim in found]
    assert all(row[1].replace(words.NARROW, " ").endswith(claim.verdict) for row, claim in zip(rows, found, strict=True))


@pytest.mark.parametrize("metric", METRICS)
def test_any_metric_may_lead(metric):
    own = hostile_set(n=80)
    text = pair_report(evaluate(own, *PAIR), metric=metric, replicates=20)
    assert f"<dt>Metric</dt><dd>{label(metric)}</dd>" in text
    assert f"<dt>Metric</dt><dd>{label(metric)}</dd>" in set_report(own, sweep(own, ["test"]), metric=metric, replicates=20)


def test_unknown_costs_and_undefined_metrics_are_said():
    own = hostile_set(costs=False, certain=True, n=60)
    found = evaluate(own, *PAIR)
    text = pair_report(found, metric="auroc", replicates=20)
    Page(text)
    assert "Cost unknown" in text
    assert "AUROC is undefined here." in text
    assert "and the duo can get every image right (perfect separation)" in text
    assert ">nan<" not in text.lower().replace(get_plotlyjs().lower(), "")
    for metric in ("auroc", "aurc"):
        whole = set_report(own, sweep(own, ["test"]), metric=metric, replicates=20)
        Page(whole)
        assert ">nan" not in whole.replace(get_plotlyjs(), "").lower()
    assert "No pair has a defined AUROC." in set_report(own, sweep(own, ["test"]), metric="auroc", replicates=20)


def test_a_set_report_takes_one_split():
    own = hostile_set(n=60)
    swept = sweep(own)
    with pytest.raises(InputError, match="expected the pairs of one split, got test, shift"):
        set_report(own, swept)
    with pytest.raises(InputError, match="got no pairs"):
        set_report(own, swept[:0])


def test_elements_escape_what_is_not_markup():
    assert tag("td", "<", Html("<br>"), title='"') == '<td title="&quot;">&lt;<br></td>'
    assert rich("**<b>**") == "<strong>&lt;b&gt;</strong>"
    assert tag("td", Number(float("nan"), "n/a")) == '<td><data value="">n/a</data></td>'
    assert '<th scope="col" class="number">b</th>' in table("x", "y", ["a", "b"], [["one", Number(0.1, "10 %")]])


def options(store: Path, out: Path, **given):
    said = {"set": "toy", "file": None, "store": store, "base": None, "sidekick": None, "split": "test", "metric": "aurc"}
    return argparse.Namespace(
        **{**said, "uncertainty": "softmax", "bootstrap_seed": 0, "out": out, "force": False, "command": "report", **given}
    )


def test_the_command_writes_a_pair_or_all_pairs(tmp_path, capsys):
    store = write_set(tmp_path / "store")
    report(options(store, tmp_path / "pair.html", base="large", sidekick="small", split="shift"))
    assert "<h1>large + small</h1>" in (tmp_path / "pair.html").read_text(encoding="utf-8")
    report(options(store, tmp_path / "set.html"))
    assert "<h1>The toy set: all pairs</h1>" in (tmp_path / "set.html").read_text(encoding="utf-8")
    said = capsys.readouterr().out
    assert said.count("opens in any browser") == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"base": "large"}, "expected both --base and --sidekick, or neither for all pairs, got only one of them"),
        ({"out": Path("report.pdf")}, "expected a file ending in .html for --out, got 'report.pdf'"),
        ({"split": "nowhere"}, "expected a split to judge on, got 'nowhere'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(tmp_path, given, message):
    store = write_set(tmp_path / "store")
    with pytest.raises(InputError, match=re.escape(message)):
        report(options(store, **{"out": tmp_path / "report.html", **given}))
    assert list(tmp_path.glob("*.html")) == []


def test_the_dashboard_remembers_a_report(tmp_path, monkeypatch):
    from app import state
    from app.state import reports

    monkeypatch.setenv("DUO_STORE", str(write_set(tmp_path)))
    handle = state.open_set("toy")
    found = state.evaluation(handle, "large", "small", "test", "softmax")
    own = reports.report_of_pair(handle, found, "aurc", "softmax")()
    assert reports.report_of_pair(handle, found, "aurc", "softmax")() is own
    assert reports.report_of_pair(handle, found, "nll", "softmax")() != own
    assert b"<h1>large + small</h1>" in own
    whole = reports.report_of_set(handle, "test", "aurc", "softmax")()
    assert reports.report_of_set(handle, "test", "aurc", "softmax")() is whole
    assert SCREEN["aurc"].text(found.metrics["duo"]["aurc"]).encode() in whole
