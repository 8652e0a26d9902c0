"""What is remembered is known by all that it depends on: two sets that differ in one thing are never taken for each other."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import streamlit as st
import torch

from app import state
from duo_core.logits import Card, LogitSet
from duo_core.logits.store import Store
from duo_core.systems import remembered
from duo_core.systems.duo import Temperatures

MODELS = {"large": 3.0, "middle": 2.0, "small": 1.5}
LABELLED = ("val", "test", "shift")
PAIR = ("large", "small")
ON = (*PAIR, "test", "softmax")


def written(store, name, *, relabelled="", cards=None, classes=("a", "b", "c"), scaled=""):
    """A set whose logits are the same whatever it is called; what is named differs."""
    random = torch.Generator().manual_seed(3)
    truth = {split: torch.randint(0, 3, (200,), generator=random) for split in LABELLED}
    logits = {model: {split: torch.randn(200, 3, generator=random) for split in LABELLED} for model in MODELS}
    for model, own in logits.items():
        for split, values in own.items():
            values[torch.arange(200), truth[split]] += MODELS[model]
    if scaled:
        logits["small"][scaled] = logits["small"][scaled] * torch.linspace(0.5, 2, 3)
    if relabelled:
        truth[relabelled][:40] = (truth[relabelled][:40] + 1) % 3
    Store(store).prepare(name, title=f"The {name} set", classes=list(classes), labels=truth)
    costs = {"large": 800, "middle": 200, "small": 80} | (cards or {})
    for model, own in logits.items():
        Store(store).write_model(name, Card(model, f"toy/{model}", "python", multiply_adds=costs[model]), own)


OTHER: dict[str, dict[str, Any]] = {
    "labels of the fit split": {"relabelled": "val"},
    "labels of the split judged on": {"relabelled": "test"},
    "logits of the fit split": {"scaled": "val"},
    "logits of the split judged on": {"scaled": "test"},
    "costs": {"cards": {"small": 90}},
    "names of the classes": {"classes": ("x", "y", "z")},
    "name and title": {},
}


def found(handle):
    return state.evaluation(handle, *ON)


ASKED: dict[str, Callable[[state.Handle], Any]] = {
    "fitted": lambda h: state.fitted(h, *PAIR).fit,
    "evaluation": lambda h: found(h).document(),
    "curves": lambda h: state.curves(h, found(h), "softmax").table,
    "by_hand": lambda h: state.by_hand(h, *ON, Temperatures(1.0, 0.5)),
    "sidekicks": lambda h: state.sidekicks(h, "large", "test", "softmax"),
    "all_pairs": lambda h: state.all_pairs(h, "test", "entropy"),
    "gains": lambda h: state.gains(h, found(h), "softmax"),
    "entropy_gains": lambda h: state.entropy_gains(h, found(h)),
    "calibration": lambda h: state.calibration(h, found(h)),
    "moves": lambda h: state.moves(h, found(h), "softmax"),
    "classes": lambda h: state.classes(h, found(h), "accuracy", 10, 12),
    "every_split": lambda h: {split: one.document() for split, one in state.every_split(h, *PAIR, "softmax").items()},
    "promised": lambda h: state.promised(h, found(h), "softmax", 0.1, 0.9),
    "exchangeable": lambda h: state.exchangeable(h, found(h), "softmax"),
    "claims": lambda h: state.claims_of(h, "test"),
    "difference": lambda h: state.difference(h, (*PAIR, "duo"), ("large", "middle", "duo"), "test", "softmax", "aurc"),
    "landscape": lambda h: state.landscape(h, "test", "softmax", "aurc"),
    "singles": lambda h: state.singles(h, "test"),
    "bowl": lambda h: state.bowl_of(h, *PAIR).table(),
    "marks": lambda h: state.marks_of(h, *PAIR),
    "refits": lambda h: state.refits(h, *PAIR, "test", "softmax", 0),
    "survey": lambda h: state.survey(h, "test"),
    "report of a pair": lambda h: state.report_of_pair(h, found(h), "aurc", "softmax")(),
    "report of a set": lambda h: state.report_of_set(h, "test", "aurc", "softmax")(),
}


def same(one: Any, other: Any) -> bool:
    """Whether two answers are equal but for rounding: what is known of single models may come from a sweep."""
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and same(vars(one), vars(other))
    if isinstance(one, pd.DataFrame):
        return same(one.to_dict("list"), other.to_dict("list"))
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list | np.ndarray):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


@pytest.mark.parametrize("differing", OTHER)
def test_a_session_on_another_set_is_not_answered_with_the_first_ones_numbers(tmp_path, monkeypatch, differing):
    monkeypatch.setenv("DUO_STORE", str(tmp_path))
    written(tmp_path, "first")
    written(tmp_path, "second", **OTHER[differing])
    monkeypatch.setattr(remembered, "swept", lambda own, _, splits, **options: remembered.sweeps(own, splits, **options))
    st.cache_resource.clear()
    wrong = []
    first, second = state.open_set("first"), state.open_set("second")
    answers = [(name, ask(first), ask(second)) for name, ask in ASKED.items()]
    st.cache_resource.clear()
    for name, _, answer in answers:
        wrong += [] if same(answer, ASKED[name](state.open_set("second"))) else [name]
    assert wrong == []


@pytest.mark.parametrize("differing", OTHER)
def test_a_set_that_has_changed_is_swept_anew(tmp_path, monkeypatch, differing):
    """Between two runs of the program, under one name."""
    for place, options in (("before", {}), ("after", OTHER[differing])):
        written(tmp_path / place, "toy", **options)
    before, after = (Store(tmp_path / place).open("toy") for place in ("before", "after"))
    expected = remembered.sweeps(after)
    remembered.swept(before, tmp_path / "kept")
    swept = remembered.swept(after, tmp_path / "kept")
    for kind, table in expected.items():
        pd.testing.assert_frame_equal(swept[kind], table, rtol=1e-12)


def key_of(own: LogitSet, split: str) -> str:
    row = pd.DataFrame([{"base": "large", "sidekick": "small", "split": split}])
    return str(remembered._row_keys(row, own).iloc[0])


@pytest.mark.parametrize("differing", list(OTHER)[:5])
def test_the_key_of_a_row_names_all_that_it_depends_on(tmp_path, differing):
    written(tmp_path / "before", "toy")
    written(tmp_path / "after", "toy", **OTHER[differing])
    one, other = (key_of(Store(tmp_path / place).open("toy"), "test") for place in ("before", "after"))
    assert one != other
