"""What is remembered is known by all that it depends on: two sets that differ in one thing are never taken for each other."""

import ast
import dataclasses
import math
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pictures import folder, picture

from app import state
from app.state import bowls, holding, lessons, reports, sets, tables
from app.state import pictures as shown_pictures
from app.state.advice import beside
from app.state.caches import CACHE, Cache, Key
from app.state.systems import every
from duo_core.logits import Card, LogitSet
from duo_core.logits.store import Store
from duo_core.systems import remembered
from duo_core.systems.duo import Temperatures
from duo_core.systems.system import System

MODELS = {"large": 3.0, "middle": 2.0, "small": 1.5}
LABELLED = ("val", "test", "shift")
PAIR = ("large", "small")
ON = (*PAIR, "test", "softmax")
TRIO = ("large", "middle", "small")


def written(store, name, *, relabelled="", cards=None, classes=("a", "b", "c"), scaled="", called="small"):
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
    costs = {"large": 800, "middle": 200, called: 80} | (cards or {})
    logits[called] = logits.pop("small")
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
RENAMED = {"called": "petit"}


def found(handle):
    return state.evaluation(handle, *ON)


ASKED: dict[str, Callable[[state.Handle], Any]] = {
    "fitted": lambda h: state.fitted(h, *PAIR).fit,
    "evaluation": lambda h: found(h).document(),
    "curves": lambda h: state.curves(h, found(h), "softmax").table,
    "by_hand": lambda h: state.by_hand(h, *ON, Temperatures(1.0, 0.5)),
    "suggested": lambda h: state.suggested(h, "large", "test"),
    "sidekicks": lambda h: state.sidekicks(h, "large", "test", "softmax"),
    "all_pairs": lambda h: state.all_pairs(h, "test", "entropy"),
    "gains": lambda h: state.gains(h, found(h), "softmax"),
    "entropy_gains": lambda h: state.entropy_gains(h, found(h)),
    "calibration": lambda h: state.calibration(h, found(h)),
    "moves": lambda h: state.moves(h, found(h), "softmax"),
    "classes": lambda h: state.classes(h, found(h), "accuracy", 10, 12),
    "every_split": lambda h: {split: one.document() for split, one in state.every_split(h, PAIR, "softmax").items()},
    "promised": lambda h: state.promised(h, found(h), "softmax", 0.1, 0.9),
    "exchangeable": lambda h: state.exchangeable(h, found(h), "softmax"),
    "claims": lambda h: state.claims_of(h, "test"),
    "difference": lambda h: state.difference(h, (*PAIR, "duo"), ("large", "middle", "duo"), "test", "softmax", "aurc"),
    "singles": lambda h: state.singles(h, "test"),
    "bowl": lambda h: state.bowl_of(h, *PAIR).table(),
    "marks": lambda h: state.marks_of(h, *PAIR),
    "refits": lambda h: state.refits(h, *PAIR, "test", "softmax", 0),
    "survey": lambda h: state.survey(h, "test"),
    "systems": lambda h: state.systems(h, "test", "softmax", None),
    "together": lambda h: (found := state.together(h, TRIO, "test", "softmax")).metrics | {"weights": found.weights},
    "judged by": lambda h: state.judged_by(h, state.together(h, TRIO, "test", "softmax"), "ensemble", "softmax"),
    "curves of members": lambda h: state.member_curves(h, state.together(h, TRIO, "test", "softmax"), "softmax").table,
    "advice": lambda h: _said(state.advised(h, "large", "test", "softmax", "aurc", cascades=True)),
    "contest": lambda h: [step.difference for step in state.contest_of(_affordable(h), "test", "softmax", "nll").steps],
    "averaged": lambda h: [one.gains for one in state.averaged(_trained(h), "test")],
    "alike": lambda h: state.alike(h, "test").table,
    "two": lambda h: state.two(h, *PAIR, "test").angles,
    "report of a pair": lambda h: state.report_of_pair(h, found(h), "aurc", "softmax")(),
    "report of a set": lambda h: state.report_of_set(h, "test", "aurc", "softmax")(),
}


def _trained(h):
    """The set with a trial and a soup that start from one anchor."""
    said = {"large": {"anchor": "a", "trial": 0}, "middle": {"anchor": "a", "ingredients": [{"kept": True}]}}
    cards = {name: dataclasses.replace(card, training=said.get(name)) for name, card in h.logit_set.cards.items()}
    return dataclasses.replace(h, logit_set=dataclasses.replace(h.logit_set, cards=cards))


def _affordable(h):
    """The set with costs at which two models together cost less than the best."""
    costs = {"large": 1100, "middle": 200, "small": 80}
    cards = {name: dataclasses.replace(card, multiply_adds=costs[name]) for name, card in h.logit_set.cards.items()}
    return dataclasses.replace(h, logit_set=dataclasses.replace(h.logit_set, cards=cards))


def _said(found):
    """What an advice says of every budget, as plain values."""
    return {
        share: (
            one.chosen.members, one.candidates, one.chosen.cost_ratio, one.chosen.candidate.val_nll, one.chosen.metrics["aurc"],
            one.metric,
        )
        for share, one in found.items()
    }  # fmt: skip


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


@pytest.fixture(scope="module", autouse=True)
def few():
    """Six refits of each size, and thirty draws, tell sets, seeds and uncertainties apart as many more do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bowls, "REPEATS", 6)
        for module, name in ((holding, "judged_claims"), (reports, "pair_report"), (reports, "set_report")):
            patch.setattr(module, name, partial(getattr(module, name), replicates=30))
        yield


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A store of the first set and of one that differs from it in each way; what is answered of each, with all in one cache."""
    store, names = tmp_path_factory.mktemp("sets"), {differing: f"other{place}" for place, differing in enumerate(OTHER)}
    written(store, "first")
    for differing, name in names.items():
        written(store, name, **OTHER[differing])
    CACHE.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUO_STORE", str(store))
        patch.setattr(remembered, "swept", computed)
        handles = {name: state.open_set(name) for name in ("first", *names.values())}
        answers = {(name, asked): ask(handle) for asked, ask in ASKED.items() for name, handle in handles.items()}
    return store, {differing: (name, {asked: answers[name, asked] for asked in ASKED}) for differing, name in names.items()}


def computed(own, _, splits, **options):
    """What is remembered elsewhere, computed."""
    return remembered.sweeps(own, splits, **options)


@pytest.mark.parametrize("differing", OTHER)
def test_a_session_on_another_set_is_not_answered_with_the_first_ones_numbers(answered, monkeypatch, differing):
    store, answers = answered
    monkeypatch.setenv("DUO_STORE", str(store))
    monkeypatch.setattr(remembered, "swept", computed)
    CACHE.clear()
    name, given = answers[differing]
    assert [asked for asked, answer in given.items() if not same(answer, ASKED[asked](state.open_set(name)))] == []


class Asks:
    """What asks for a value; of each part of its key, what else to ask for so that nothing but this part differs."""

    def __init__(self, ask, *parts, **options):
        self.ask, self.parts, self.options = ask, parts, options

    def pair(self, part, first, second):
        """Two questions, and the set that each is about."""
        return (first, {}), (second, {}) if part == "names" else (first, self.options[part])


def _classes(h, score="accuracy", least=10, ends=12, names=()):
    return state.classes(h, found(h), score, least, ends)


def _gains(h, kind="softmax", keys=("aurc",)):
    return state.gains(h, state.evaluation(h, *PAIR, "test", kind), kind, keys)


def _kinded(compute):
    return lambda h, kind="softmax", **options: compute(h, state.evaluation(h, *PAIR, "test", kind), kind, **options)


def _difference(h, own="duo", other="duo", kind="softmax", metric="aurc"):
    return state.difference(h, (*PAIR, own), ("large", "middle", other), "test", kind, metric)


def _report(h, base="large", sidekick="small", split="test", metric="aurc", kind="softmax", created="2026-01-01"):
    reports._today = lambda: created
    return state.report_of_pair(h, state.evaluation(h, base, sidekick, split, kind), metric, kind)()


def _report_of_set(h, split="test", metric="aurc", kind="softmax", created="2026-01-01"):
    reports._today = lambda: created
    return state.report_of_set(h, split, metric, kind)()


def _weighed(found):
    return found.metrics, found.weights, found.members


def _beside(h, base="large", split="test"):
    found = beside(h, base, split)
    return found.base, [result.judged for result in found.whole.values()]


def _lesson(_, seed=0, arguments=3):
    return lessons.made_up(seed).once(_counted, seed, arguments)


def _counted(seed, arguments):
    return seed, arguments


def _facts(_, step="ranking", seed=0):
    return dict(lessons.facts_of(SimpleNamespace(key=step), seed))


ENTROPY: dict[str, Any] = {"kind": {"kind": "entropy"}}
CASES: dict[str, Asks] = {
    "fit": Asks(ASKED["fitted"]),
    "evaluation": Asks(lambda h, kind="softmax": state.evaluation(h, *PAIR, "test", kind).document(), "kind", **ENTROPY),
    "curves": Asks(_kinded(lambda h, own, kind: state.curves(h, own, kind).table), "kind", **ENTROPY),
    "bowl": Asks(ASKED["bowl"]),
    "marks": Asks(ASKED["marks"]),
    "refits": Asks(
        lambda h, kind="softmax", seed=0: state.refits(h, *PAIR, "test", kind, seed), "kind", "seed", **ENTROPY, seed={"seed": 1}
    ),
    "draws": Asks(_gains, "kind", "keys", **ENTROPY, keys={"keys": ("nll",)}),
    "entropy gains": Asks(ASKED["entropy_gains"]),
    "calibration": Asks(ASKED["calibration"]),
    "moves": Asks(_kinded(state.moves), "kind", **ENTROPY),
    "classes": Asks(
        _classes, "names", "score", "least", "ends", score={"score": "f1"}, least={"least": 68}, ends={"ends": 1}
    ),
    "promised": Asks(
        _kinded(lambda h, own, kind, target=0.2, confidence=0.9: state.promised(h, own, kind, target, confidence)),
        "kind", "target", "confidence", **ENTROPY, target={"target": 0.3}, confidence={"confidence": 0.5},
    ),
    "on the fit split": Asks(_kinded(lambda h, own, kind: holding._on_fit(h, own, kind)["duo"].uncertainty), "kind", **ENTROPY),
    "claims": Asks(
        lambda h, split="test", reversed_too=False: state.claims_of(h, split, reversed_too=reversed_too),
        "split", "reversed_too", split={"split": "shift"}, reversed_too={"reversed_too": True},
    ),
    "pairs": Asks(
        lambda h, split="test", base=None: tables._table(h, split, "softmax", base),
        "split", "base", split={"split": "shift"}, base={"base": "large"},
    ),
    "suggested": Asks(
        lambda h, base="large", others=("middle", "small"): tables._suggested(h, base, others),
        "base", "others", base={"base": "middle"}, others={"others": ("small",)},
    ),
    "singles": Asks(
        lambda h, split="test", kind="softmax": state.singles(h, split, kind), "split", "kind", split={"split": "shift"}, **ENTROPY
    ),
    "systems": Asks(
        lambda h, split="test", base=None: state.systems(h, split, "softmax", base),
        "split", "base", split={"split": "shift"}, base={"base": "large"},
    ),
    "every system": Asks(
        lambda h, split="test": [result.judged.get(split) for result in every(h, split).values()],
        "split", split={"split": "shift"},
    ),
    "table of systems": Asks(
        lambda h, split="test", base=None, kind="softmax": state.systems(h, split, kind, base),
        "split", "base", "kind", split={"split": "shift"}, base={"base": "large"}, **ENTROPY,
    ),
    "predicted": Asks(
        lambda h, rule="fitted", kind="softmax": state.predicted(h, System(TRIO, rule), "test", kind).uncertainty,
        "rule", "kind", rule={"rule": "ensemble"}, **ENTROPY,
    ),
    "together": Asks(
        lambda h, rule="fitted", kind="softmax": _weighed(state.together(h, TRIO, "test", kind, rule)),
        "rule", "kind", rule={"rule": "ensemble"}, **ENTROPY,
    ),
    "curves of members": Asks(
        lambda h, kind="softmax": state.member_curves(h, state.together(h, TRIO, "test", kind), kind).table, "kind", **ENTROPY
    ),
    "beside": Asks(_beside, "base", "split", base={"base": "middle"}, split={"split": "shift"}),
    "adviser": Asks(
        lambda h, base="large", split="test", kind="softmax", cascades=True: _said(
            state.advised(h, base, split, kind, "aurc", cascades=cascades)
        ),
        "base", "split", "kind", "cascades",
        base={"base": "middle"}, split={"split": "shift"}, **ENTROPY, cascades={"cascades": False},
    ),
    "advice": Asks(
        lambda h, base="large", split="test", kind="softmax", cascades=True, metric="aurc", budgets=(0.0, 0.2): _said(
            state.advised(h, base, split, kind, metric, cascades=cascades, budgets=budgets)
        ),
        "base", "split", "kind", "cascades", "metric", "budgets",
        base={"base": "middle"}, split={"split": "shift"}, **ENTROPY, cascades={"cascades": False}, metric={"metric": "nll"},
        budgets={"budgets": [0.5]},
    ),
    "contest": Asks(
        lambda h, split="test", kind="softmax", metric="aurc": [
            (step.metric, step.difference) for step in state.contest_of(_affordable(h), split, kind, metric).steps
        ],
        "split", "kind", "metric", split={"split": "shift"}, **ENTROPY, metric={"metric": "nll"},
    ),
    "averaged": Asks(
        lambda h, split="test": [one.metrics for one in state.averaged(_trained(h), split)], "split", split={"split": "shift"}
    ),
    "alike": Asks(lambda h, split="test": state.alike(h, split).table, "split", split={"split": "shift"}),
    "authors": Asks(lambda h: shown_pictures.credits_of(h, ["0.jpg"])),
    "two": Asks(lambda h: state.two(h, *PAIR, "test").angles),
    "survey": Asks(lambda h, split="test": state.survey(h, split), "split", split={"split": "shift"}),
    "memory": Asks(lambda h: (state.fitted(h, *PAIR), list(sets.memory(h).calibrated))[1]),
    "difference": Asks(
        _difference, "own", "other", "kind", "metric",
        own={"own": "base"}, other={"other": "sidekick"}, **ENTROPY, metric={"metric": "sac98"},
    ),
    "report of a pair": Asks(
        _report, "base", "sidekick", "split", "metric", "kind", "created", base={"base": "middle"}, sidekick={"sidekick": "middle"},
        split={"split": "shift"}, metric={"metric": "nll"}, **ENTROPY, created={"created": "2026-01-02"},
    ),
    "report of a set": Asks(
        _report_of_set, "split", "metric", "kind", "created",
        split={"split": "shift"}, metric={"metric": "nll"}, **ENTROPY, created={"created": "2026-01-02"},
    ),
    "lesson": Asks(_lesson, "arguments", arguments={"arguments": 4}),
    "facts": Asks(_facts, "step", "seed", step={"step": "temperature"}, seed={"seed": 1}),
}  # fmt: skip
OTHERS = {"set": 1, "source": 1, "places": 1, "picture": 3}
"""Values whose keys are tested below: what is opened."""


def keys_in_the_code() -> dict[str, int]:
    """What is kept, and the number of parts beside what it is of; a lesson's value is named by what computes it."""
    calls = [
        node
        for file in Path(state.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Key"
    ]
    parts: dict[str, int] = {}
    for call in calls:
        by = [*call.args[2:], *(word.value for word in call.keywords)]
        what = call.args[0].value if isinstance(call.args[0], ast.Constant) else "lesson"
        parts[str(what)] = max(parts.get(str(what), 0), len(by[0].elts) if by and isinstance(by[0], ast.Tuple) else 0)
    return parts


def test_every_key_has_its_mutants():
    assert keys_in_the_code() == {what: len(asks.parts) for what, asks in CASES.items()} | OTHERS


@pytest.fixture
def both(tmp_path, monkeypatch):
    """Two sets with the same logits; a model of either costs most and knows least."""
    monkeypatch.setenv("DUO_STORE", str(tmp_path))
    monkeypatch.setattr(remembered, "swept", lambda own, _, splits, **options: remembered.sweeps(own, splits, **options))
    monkeypatch.setattr(reports, "_today", reports._today)
    for name in ("pair_report", "set_report"):
        monkeypatch.setattr(reports, name, lambda *arguments, **said: f"{_shown(arguments)} {_shown(said)}")
    written(tmp_path, "first", cards={"small": 900})
    written(tmp_path, "second", cards={"small": 900}, relabelled="val")
    for name in ("first", "second"):
        (Store(tmp_path).folder(name) / shown_pictures.ATTRIBUTION).write_text(f"file,author\n0.jpg,who made the {name}\n", "utf-8")
    return state.open_set("first"), state.open_set("second")


def _shown(given: Any) -> str:
    """What a report is made of, in words."""
    if isinstance(given, Mapping):
        return " ".join(f"{key} {_shown(value)}" for key, value in given.items() if key != "memory")
    if isinstance(given, tuple):
        return " ".join(map(_shown, given))
    return str(given.document() if hasattr(given, "document") else given.to_dict() if isinstance(given, pd.DataFrame) else given)


def mutated(monkeypatch, mutant: Callable[[Key], Key]):
    """A cache that makes something else of every key."""
    work = Cache._work
    monkeypatch.setattr(Cache, "_work", lambda self, key, **how: work(self, mutant(key), **how))


def name_of(key: Key) -> str:
    return "lesson" if key.what == f"{__name__}._counted" else key.what


@pytest.mark.parametrize(("what", "place"), [(what, place) for what, asks in CASES.items() for place in range(len(asks.parts))])
def test_a_key_that_leaves_a_part_out_gives_wrong_answers(both, monkeypatch, what, place):
    """And with it, right ones."""
    asks = CASES[what]
    part = asks.parts[place]
    second = dataclasses.replace(both[0], logit_set=dataclasses.replace(both[0].logit_set, classes=("x", "y", "z")))
    (one, said), (other, differently) = asks.pair(part, both[0], second)

    def answered_after_the_first():
        CACHE.clear()
        asks.ask(one, **said)
        return asks.ask(other, **differently)

    CACHE.clear()
    right = asks.ask(other, **differently)
    assert same(answered_after_the_first(), right)
    without = lambda by: by[:place] if part == "arguments" else (*by[:place], *by[place + 1 :])  # noqa: E731
    mutated(monkeypatch, lambda key: key._replace(by=without(key.by)) if name_of(key) == what else key)
    assert not same(answered_after_the_first(), right)


@pytest.mark.parametrize("what", [what for what in CASES if what != "facts"])
def test_a_key_that_does_not_say_of_what_gives_wrong_answers(both, monkeypatch, what):
    one, other = both
    if what == "memory":  # one set's models are not the other's
        other = dataclasses.replace(other, stamp="another")
        ask = lambda h: sets.memory(h) is sets.memory(one)  # noqa: E731
    else:
        ask = CASES[what].ask
    said = {"seed": 1} if what == "lesson" else {}
    CACHE.clear()
    right = ask(other, **said)
    CACHE.clear()
    ask(one)
    assert same(ask(other, **said), right)
    mutated(monkeypatch, lambda key: key._replace(of="", by=() if what == "lesson" else key.by) if name_of(key) == what else key)
    CACHE.clear()
    ask(one)
    assert not same(ask(other, **said), right)


def without(*, labels: str = "", logits: str = "", named: bool = True) -> Callable[..., str]:
    """A digest that leaves something out."""

    def digest(handle: state.Handle, *keys: tuple[str, str]) -> str:
        own = [handle.logit_set.digests[key] for key in keys if key[1] != logits]
        names = [f"{model}/{split}" if named else split for model, split in keys]
        return "\n".join([*names, *own, *(handle.labels[split] for split in sorted({s for _, s in keys} - {labels}))])

    return digest


DIGESTS = {
    "nothing": (OTHER["labels of the fit split"], without()),
    "labels of the fit split": (OTHER["labels of the fit split"], without(labels="val")),
    "labels of the split judged on": (OTHER["labels of the split judged on"], without(labels="test")),
    "logits of the fit split": (OTHER["logits of the fit split"], without(logits="val")),
    "logits of the split judged on": (OTHER["logits of the split judged on"], without(logits="test")),
    "names of the models": (RENAMED, without(named=False)),
}


@pytest.mark.parametrize("left_out", DIGESTS)
def test_a_digest_that_leaves_something_out_gives_wrong_answers(tmp_path, monkeypatch, left_out):
    monkeypatch.setenv("DUO_STORE", str(tmp_path))
    other, digest = DIGESTS[left_out]
    written(tmp_path, "first")
    written(tmp_path, "second", **other)

    def answered(name):
        own = state.open_set(name)
        pair = state.evaluation(own, "large", min(set(own.logit_set.cards) - {"large", "middle"}), "test", "softmax")
        return pair.base, pair.sidekick, pair.fit.nll, pair.metrics

    CACHE.clear()
    answers = answered("first"), answered("second")
    assert not same(*answers)
    CACHE.clear()
    monkeypatch.setattr(state.Handle, "digest", digest)
    answered("first")
    assert same(answered("second"), answers[1]) == (left_out == "nothing")


@pytest.mark.parametrize(("left_out", "wrong"), [({}, []), ({"of": ""}, ["set", "files"]), ({"by": ()}, ["store"])])
def test_a_set_is_known_by_its_files_and_the_store_that_asks(tmp_path, monkeypatch, left_out, wrong):
    monkeypatch.setenv("DUO_STORE", str(tmp_path))
    written(tmp_path, "toy")
    written(tmp_path, "other", scaled="test")
    mutated(monkeypatch, lambda key: key._replace(**left_out) if key.what == "set" else key)
    CACHE.clear()
    first, other = state.open_set("toy"), state.open_set("other")
    again = state.open_set("toy")
    monkeypatch.setattr(Store, "folder", lambda _, name: tmp_path / name)  # as of sets that came with the package
    monkeypatch.setenv("DUO_STORE", str(tmp_path / "elsewhere"))
    elsewhere = state.open_set("toy")
    monkeypatch.setenv("DUO_STORE", str(tmp_path))
    shutil.rmtree(tmp_path / "toy")
    written(tmp_path, "toy", relabelled="val")
    changed = state.open_set("toy")
    assert again is first
    found = {
        "set": other.logit_set.name != "other",
        "store": elsewhere.store != tmp_path / "elsewhere",
        "files": changed.labels == first.labels,
    }
    assert [what for what, is_wrong in found.items() if is_wrong] == wrong


@pytest.mark.parametrize(("what", "place"), [("source", 0), ("places", 0), ("picture", 0), ("picture", 1), ("picture", 2)])
def test_a_picture_is_known_by_source_name_and_corruption(tmp_path, monkeypatch, what, place):
    one, other = folder(tmp_path / "one", {"a": 2}), folder(tmp_path / "other", {"a": 3})
    for number in range(2):  # of the same names, and other pictures
        picture(7 + number).save(Path(other) / "a" / f"{number}.png")
    first = (one, "a/0.png", "")
    second = [(other, "a/0.png", ""), (one, "a/1.png", ""), (one, "a/0.png", "gaussian_noise:3")][place]
    ask = {
        "source": lambda path, *_: shown_pictures._source(path).text,
        "places": lambda path, *_: len(shown_pictures._places(path)),
        "picture": shown_pictures._thumbnail,
    }[what]
    CACHE.clear()
    right = ask(*second)
    ask(*first)
    assert ask(*second) == right
    mutated(monkeypatch, lambda key: key._replace(by=(*key.by[:place], *key.by[place + 1 :])) if key.what == what else key)
    CACHE.clear()
    ask(*first)
    assert ask(*second) != right


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
