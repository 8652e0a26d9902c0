"""Method: what is computed and where it is from, and that the page and the glossary say the same."""

import re

import pytest
from dashboard import open_page, text_of
from logit_sets import write_set

from app import glossary
from app.views.method import CITATION
from duo_core.common.plaintext import escaped
from duo_core.logits import tensor_digest
from duo_core.logits.store import DEFAULT_STORE, Store
from duo_core.metrics import METRICS
from duo_core.systems.duo import VARIANTS


@pytest.fixture
def open_method(monkeypatch):
    def opened(store):
        monkeypatch.setenv("DUO_STORE", str(store))
        return open_page("method")

    return opened


def test_every_metric_and_variant_has_its_term_and_every_metric_its_formula():
    names = {term.name for term in glossary.terms()}
    labels = {"Brier score": "Brier"}
    for metric in METRICS.values():
        assert labels.get(metric.label, metric.label) in names & set(glossary.FORMULAS)
    assert {variant.label for variant in VARIANTS.values()} <= names
    assert set(glossary.FORMULAS) <= names


def test_a_formula_stands_once_and_its_block_of_plain_text_is_gone():
    for term in glossary.terms():
        assert term.text.count("$$") == 2 * (term.name in glossary.FORMULAS)
        assert not (term.name in glossary.FORMULAS and re.search(r"^    ", term.text, flags=re.MULTILINE))


def test_every_link_of_the_glossary_leads_to_a_term():
    anchors = {term.anchor for term in glossary.terms()}
    links = re.findall(r"\]\(#([\w-]+)\)", "\n".join(term.text for term in glossary.terms()))
    assert links
    assert set(links) <= anchors


def test_the_page_says_every_term_under_its_anchor(open_method, tmp_path):
    app = open_method(write_set(tmp_path))
    headings = {heading.value: heading.anchor for heading in app.subheader}
    for term in glossary.terms():
        assert headings[term.name] == term.anchor
    text = text_of(app)
    assert "Expected calibration error" in text
    assert r"\frac{T_\text{base} / t_\text{base}}{T_\text{sidekick} / t_\text{sidekick}}" in text


def test_links_at_the_top_lead_to_the_headings(open_method, tmp_path):
    app = open_method(write_set(tmp_path))
    linked = dict(re.findall(r"\[([^]]+)\]\(#([\w-]+)\)", next(m.value for m in app.markdown if "](#" in m.value)))
    assert {heading.value: heading.anchor for heading in app.header} == linked


def test_provenance_names_source_licence_splits_and_digests(open_method):
    app = open_method(DEFAULT_STORE)
    text = text_of(app)
    for name in Store(DEFAULT_STORE).names():
        own = Store(DEFAULT_STORE).open(name)
        assert escaped(own.about["source"]) in text
        assert escaped(own.about["licence"]) in text
        for split, how in own.about["how"].items():
            assert f"`{split}`: {len(own.labels[split]):,} images, {escaped(how)}" in text
    tables = {e.label: [x.dataframe[0].value for x in app.expander if x.label == e.label] for e in app.expander if e.dataframe}
    weights, digests = tables["Models and the SHA-256 digests of their weights"], tables["SHA-256 digests of logits and labels"]
    own = Store(DEFAULT_STORE).open("cifar10")
    assert dict(zip(weights[0]["name"], weights[0]["weights_sha256"], strict=True)) == {
        name: card.weights_sha256 for name, card in own.cards.items()
    }
    said = {(row.file, row.split): row.sha256 for row in digests[0].itertuples()}
    assert said["labels", "test"] == tensor_digest(own.labels["test"])
    assert said["resnet20", "test"] == tensor_digest(own.logits("resnet20", "test"))


def test_what_a_set_does_not_say_is_said(open_method, tmp_path):
    assert "Licence: not said" in text_of(open_method(write_set(tmp_path)))


def test_an_empty_store_and_a_broken_set_are_said(open_method, tmp_path):
    assert "has no logit set" in text_of(open_method(tmp_path))
    (write_set(tmp_path) / "toy" / "set.json").write_text("{}")
    app = open_method(tmp_path)
    assert escaped("set.json") in app.warning[0].value


def test_the_citation_is_the_papers(open_method, tmp_path):
    app = open_method(write_set(tmp_path))
    assert CITATION in [block.value for block in app.code]
    for part in ("2505.18636", "Zhou, Tim G. and Shelhamer, Evan and Pleiss, Geoff", "Sidekicks Improve Uncertainty"):
        assert part in CITATION
    assert CITATION.count("{") == CITATION.count("}")


def test_versions_are_those_that_run(open_method, tmp_path):
    import numpy as np

    table = open_method(write_set(tmp_path)).dataframe[-1].value
    assert dict(zip(table["Package"], table["Version"], strict=True))["numpy"] == np.__version__
