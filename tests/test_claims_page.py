"""Does it hold, by its widgets: every claim, its verdict in words, why, and the pairs behind it."""

import functools
import re

import numpy as np
import pytest
import streamlit as st
import torch
from browsing import click_point, settle
from dashboard import query, step, text_of
from logit_sets import write_set
from playwright.sync_api import expect

from app.views.claims import open_pair
from duo_core.analysis.claims import RULE
from duo_core.analysis.judged import judged_claims
from duo_core.logits import Card
from duo_core.logits.store import Store
from duo_core.systems.sweep import sweeps
from duo_core.wording import verdicts
from duo_core.wording.sentences import said

PLACE = {"set": "toy", "split": "test"}


@pytest.fixture(scope="module")
def judged(toy_store):
    own = Store(toy_store).open("toy")
    return judged_claims(own, "test", sweeps(own, ["test"])).claims


@pytest.fixture
def open_claims(open_view):
    return functools.partial(open_view, "claims")


def listed(app):
    return app.dataframe[0].value


def test_every_claim_is_a_line_with_its_sentence_source_share_and_verdict(open_claims, judged):
    app = open_claims()
    assert listed(app)["Claim"].tolist() == [claim.text for claim in judged]
    assert listed(app)["Paper"].tolist() == [claim.source for claim in judged]
    assert listed(app)["Pairs"].tolist() == [len(claim.pairs) for claim in judged]
    for line, claim in zip(listed(app).to_dict("records"), judged, strict=True):
        assert line["Verdict"].endswith(claim.verdict)
        assert line["Verdict"][0] in "✓✗?–"
        assert line["Pairs that agree"].startswith("n/a" if claim.share is None else f"{claim.share * 100:.0f} %")
    assert app.title[0].value == "Too few models to judge a claim on The toy set"
    assert query(app) == {}


def write_many(path, models=8, n=600):
    """Eight models, each a little worse and a third cheaper than the one before; the last but one knows more than all."""
    random, names = np.random.default_rng(3), [f"m{at}" for at in range(models)]
    labels = {split: torch.from_numpy(random.integers(5, size=n)) for split in ("val", "test")}
    store = Store(path)
    store.prepare("many", title="Many", classes=list("abcde"), labels=labels)
    for at, name in enumerate(names):
        logits = {split: torch.from_numpy(random.normal(size=(n, 5))).float() for split in labels}
        for split, own in logits.items():
            own[torch.arange(n), labels[split]] += 3 - 0.15 * at if at != models - 2 else 5
        store.write_model("many", Card(name, name, "python", multiply_adds=int(1e6 * 0.65**at)), logits)
    return path


def test_verdicts_chance_and_reversed_pairs_are_said_and_can_be_included(open_claims, tmp_path):
    store = write_many(tmp_path)
    own = Store(store).open("many")
    tables = sweeps(own, ["test"])
    app = open_claims(store)
    found = judged_claims(own, "test", tables)
    assert listed(app)["Pairs that agree"].tolist() == [verdicts.agreement(claim) for claim in found.claims]
    holds = sum(claim.verdict == "holds" for claim in found.claims)
    assert holds > 3
    assert app.title[0].value == f"{holds} of {len(found.claims)} claims hold on Many"
    assert "By chance alone, up to " in text_of(app)
    left_out = f"{found.reversed} of 28 pairs are left out: on val, or clearly on test, their sidekick is more accurate"
    assert found.reversed >= 6
    assert left_out in text_of(app)
    assert len(found.claims[0].pairs) == 28 - found.reversed
    app.button_group(key="with_reversed").set_value("yes").run()
    assert not app.exception
    assert query(app)["with_reversed"] == "yes"
    assert listed(app)["Pairs"].tolist()[0] == 28
    assert left_out not in text_of(app)
    whole = judged_claims(own, "test", tables, reversed_too=True).claims
    assert listed(app)["Verdict"].tolist() == [said(claim.verdict) for claim in whole]


def test_the_rule_and_the_seed_are_said(open_claims):
    text = text_of(open_claims())
    assert RULE in text
    assert "2,000 draws of the models (seed 0)" in text


@pytest.mark.parametrize("band", ["all", "below_10", "10_to_20", "above_20"])
def test_bands_leave_their_claims(open_claims, judged, band):
    app = open_claims(**PLACE)
    app.button_group(key="band").set_value(band).run()
    assert not app.exception
    assert query(app)["band"] == band
    expected = [claim for claim in judged if (claim.band.key if claim.band else "all") == band]
    assert listed(app)["Claim"].tolist() == [claim.text for claim in expected]


def test_a_claim_shows_its_pairs_and_why_it_is_judged_so(open_claims, judged):
    app = open_claims(**PLACE)
    for claim in judged:
        app.selectbox(key="claim").set_value(claim.key).run()
        assert not app.exception
        assert verdicts.why(claim) in text_of(app)
        pairs = app.dataframe[1].value
        assert list(zip(pairs["Base"], pairs["Sidekick"], strict=True)) == list(
            zip(claim.pairs["base"], claim.pairs["sidekick"], strict=True)
        )
    assert query(app)["claim"] == judged[-1].key


def test_an_address_opens_its_claim(open_claims):
    there = PLACE | {"band": "below_10", "claim": "base_leads"}
    app = open_claims(**there)
    assert app.selectbox(key="claim").value == "base_leads"
    assert query(app) == there
    assert open_claims(claim="none", band="x").selectbox(key="claim").value == "accuracy"


def test_another_split_is_judged_anew(open_claims, toy_store):
    app = open_claims(**PLACE)
    app.selectbox(key="split").set_value("shift").run()
    assert not app.exception
    own = Store(toy_store).open("toy")
    there = judged_claims(own, "shift", sweeps(own, ["shift"])).claims
    assert listed(app)["Pairs that agree"].tolist() == [verdicts.agreement(claim) for claim in there]


def test_a_pair_behind_a_claim_opens_in_explore(open_claims):
    app = open_claims(**PLACE, claim="entropy_aurc")
    app.session_state["opening"] = True
    app.session_state["base"], app.session_state["sidekick"] = "middle", "tiny"
    app.run()
    assert not app.exception
    assert "What if the temperatures were different?" in text_of(app)
    assert (app.selectbox(key="base").value, app.selectbox(key="sidekick").value) == ("middle", "tiny")
    assert "opening" not in app.session_state
    assert step(app, "claims").selectbox(key="claim").value == "entropy_aurc"


def test_a_pair_is_opened_with_what_its_claim_measures(monkeypatch, judged):
    by_key = {claim.key: claim for claim in judged}
    session = {"metric": "nll"}
    monkeypatch.setattr(st, "session_state", session)
    open_pair(by_key["entropy_auroc"], None)  # a selection taken back
    assert "opening" not in session
    assert session["metric"] == "nll"
    open_pair(by_key["entropy_auroc"], ["middle", "tiny"])
    expected = {"metric": "auroc", "uncertainty": "entropy", "opening": True, "base": "middle", "sidekick": "tiny"}
    assert {key: session[key] for key in expected} == expected
    open_pair(by_key["base_leads"], ["large", "tiny"])
    assert (session["metric"], session["uncertainty"]) == ("auroc", "softmax")


def test_without_costs_bands_have_no_pairs_and_say_so(open_claims, tmp_path):
    app = open_claims(write_set(tmp_path, costs=False), claim="accuracy_below_10")
    assert "this set has no pair of the kind that it is about" in text_of(app)
    app.selectbox(key="claim").set_value("accuracy").run()
    assert not app.exception


def test_one_model_has_no_pair_to_judge(open_claims, tmp_path):
    assert "No pair to judge" in text_of(open_claims(write_set(tmp_path, models=("large",))))


@pytest.mark.browser
def test_a_click_on_a_point_opens_its_pair_in_explore_and_back_returns_in_one_step(page):
    opened = page("/claims?claim=aurc_above_20")
    # The lowest point, which no other lies over.
    base, sidekick = click_point(opened, "claim_pairs", "Agrees", "t.y.indexOf(Math.min(...t.y))")
    opened.wait_for_url(re.compile(f"/\\?.*base={re.escape(base)}&sidekick={re.escape(sidekick)}"))
    expect(opened.get_by_role("combobox", name="Base", exact=True)).to_have_value(re.compile(f"^{re.escape(base)} · "))
    settle(opened)
    opened.go_back(wait_until="commit")
    opened.wait_for_url(re.compile("/claims"))
    expect(opened.get_by_text("Which pairs are behind it?")).to_be_visible()
    expect(opened.get_by_role("combobox", name="Claim", exact=True)).to_have_value(re.compile("AURC.*more than 20 %"))
