"""Systems by name: what they are, what members of a set make together, and `duo fit --members`."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import logit_files
import numpy as np
import pytest
import torch

from duo_core.__main__ import main
from duo_core.common.arrays import InputError
from duo_core.logits import Card, LogitSet
from duo_core.logits.store import Store
from duo_core.metrics import METRICS
from duo_core.systems import judging
from duo_core.systems.fitting import calibrate
from duo_core.systems.judging import alone, cost_ratio, fit_system, judge_members, multiply_adds
from duo_core.systems.sweep import evaluate, fit_pair
from duo_core.systems.system import RULES, Fitted, System
from duo_core.systems.weighing import log_mean

TRIO = ("resnet20", "resnet32", "resnet44")


@pytest.fixture(scope="module")
def shipped() -> LogitSet:
    return Store(Path(__file__).resolve().parents[1] / "data").open("cifar10")


@pytest.fixture
def toys(toy_store: Path) -> LogitSet:
    return Store(toy_store).open("toy")


# What a system is.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((),), "expected at least one member, got none; name a model"),
        ((("a", "b", "a"),), "expected different members, got 'a' twice; name each once"),
        ((("a",), "best"), r"expected a rule \(fitted, equal, ensemble, mean, probabilities\), got 'best'"),
        ((("a", "b"), "equal", 2), r"expected the place of a member in 0\.\.1 as whose class is answered, got 2"),
        ((("a",), "equal", -1), r"expected the place of a member in 0\.\.0 as whose class is answered, got -1"),
    ],
)
def test_a_system_that_cannot_be_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        System(*arguments)


def test_systems_are_equal_by_what_they_are() -> None:
    assert len({System(("a", "b")), System(("a", "b"), "fitted", None), System(("b", "a")), System(("a", "b"), says=0)}) == 3


def test_rules_say_what_they_make_of_a_fit() -> None:
    found = Fitted(("a", "b"), (0.9, 0.3), (1.2, 0.8), (0.5, 0.6), {"ensemble": 1.1, "probabilities": 1.3})
    assert {key: rule.weights(found) for key, rule in RULES.items()} == {
        "fitted": (0.9, 0.3),
        "equal": (0.6, 0.4),
        "ensemble": (0.6, 0.4),
        "mean": (0.5, 0.5),
        "probabilities": (1.2, 0.8),
    }
    assert [key for key, rule in RULES.items() if rule.tempered] == ["ensemble", "probabilities"]
    assert [key for key, rule in RULES.items() if rule.recommended] == ["fitted", "equal", "ensemble"]


def test_a_fit_can_be_read_in_another_order() -> None:
    found = Fitted(("a", "b", "c"), (3.0, 2.0, 1.0), (6.0, 5.0, 4.0), (9.0, 8.0, 7.0), separated=("a", "c", "fitted"))
    other = found.reordered(("c", "a", "b"))
    assert (other.weights, other.calibration, other.nll_alone) == ((1.0, 3.0, 2.0), (4.0, 6.0, 5.0), (7.0, 9.0, 8.0))
    assert other.separated == ("c", "a", "fitted")
    assert other.reordered(("a", "b", "c")) == found


# What members of a set make together.


def nll(document: dict, key: str) -> float:
    return round(document["systems"][key]["nll"], 4)


def test_three_shipped_models_have_the_numbers_of_an_independent_computation(shipped: LogitSet) -> None:
    found = judge_members(shipped, TRIO).document()
    expected = {"mean": 0.2448, "equal": 0.1742, "ensemble": 0.1722, "fitted": 0.1718, "probabilities": 0.1762}
    assert {key: nll(found, key) for key in expected} == expected
    assert round(found["systems"]["fitted"]["accuracy"], 4) == 0.9424
    assert {key: round(t, 2) for key, t in found["temperature"].items()} == {"ensemble": 1.12, "probabilities": 1.33}


def test_means_of_probabilities_otherwise(shipped: LogitSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of members that are not calibrated, with a final temperature; and of calibrated ones, without it."""
    raw = {split: log_mean([shipped.logits(name, split) for name in TRIO], (1.0,) * 3) for split in ("val", "test")}
    final = calibrate(raw["val"], shipped.labels["val"]).temperature
    assert round(torch.nn.functional.cross_entropy(final * raw["test"], shipped.labels["test"]).item(), 4) == 0.1893
    cold = replace(fit_system(shipped, TRIO), temperature={"probabilities": 1.0})
    monkeypatch.setattr(judging, "fit_system", lambda *_, **__: cold)
    assert nll(judge_members(shipped, TRIO, rules=["probabilities"]).document(), "probabilities") == 0.1876


@pytest.mark.parametrize(
    ("members", "accuracy", "loss"), [(TRIO[:2], 0.9374, 0.1927), (TRIO[1:], 0.9409, 0.1801)], ids=["20+32", "32+44"]
)
def test_two_shipped_models(shipped: LogitSet, members: tuple[str, ...], accuracy: float, loss: float) -> None:
    found = judge_members(shipped, members)
    assert round(found.metrics["fitted"]["accuracy"] or 0, 4) == accuracy
    assert round(found.metrics["fitted"]["nll"] or 0, 4) == loss


def test_of_thirteen_shipped_models_seven_add_nothing(shipped: LogitSet) -> None:
    found = judge_members(shipped, sorted(shipped.cards), rules=["fitted"])
    assert found.fitted.weights.count(0.0) == 7
    assert found.fitted.gradient < 1e-8
    assert round(found.metrics["fitted"]["nll"] or 0, 4) == 0.1618


def test_unlike_members_need_weights(shipped: LogitSet) -> None:
    found = judge_members(shipped, ("resnet56", "mobilenetv3_small_050"))
    assert [round(found.metrics[key]["accuracy"] or 0, 4) for key in ("fitted", "equal")] == [0.9353, 0.9210]


@pytest.mark.parametrize("split", ["test", "shift"])
def test_two_members_are_the_pair_to_the_last_bit(toys: LogitSet, split: str) -> None:
    for pair in (("large", "small"), ("small", "large")):
        expected, found = evaluate(toys, *pair, split), judge_members(toys, pair, split)
        assert found.fitted.weights == expected.fit.temperatures == fit_pair(toys, *pair).temperatures
        variants = {pair[0]: "base", pair[1]: "sidekick", "fitted": "duo", "equal": "unweighted", "uq_only": "uq_only"}
        assert {key: found.metrics[key] for key in variants} == {key: expected.metrics[of] for key, of in variants.items()}


def test_the_order_of_members_changes_only_whose_class_uq_only_answers(toys: LogitSet) -> None:
    found = [judge_members(toys, order) for order in permutations(("large", "middle", "tiny"))]
    for other in found[1:]:
        assert all(other.metrics[key] == found[0].metrics[key] for key in ("large", "middle", "tiny", *RULES))
        assert dict(zip(other.fitted.members, other.fitted.weights, strict=True)) == dict(
            zip(found[0].fitted.members, found[0].fitted.weights, strict=True)
        )
    assert len({one.metrics["uq_only"]["accuracy"] for one in found}) == 3


def test_one_member_is_temperature_scaling(toys: LogitSet) -> None:
    found = judge_members(toys, ("small",))
    expected = evaluate(toys, "small", "tiny")
    assert all(found.metrics[key] == expected.metrics["base"] for key in ("small", "fitted", "equal", "ensemble", "probabilities"))
    assert found.metrics["mean"]["accuracy"] == expected.metrics["base"]["accuracy"]
    assert found.cost_ratio == 1


def test_entropy_ranks_when_asked(toys: LogitSet) -> None:
    one, other = (judge_members(toys, ("large", "small", "tiny"), kind=kind) for kind in ("softmax", "entropy"))
    assert one.metrics["fitted"]["nll"] == other.metrics["fitted"]["nll"]
    assert one.metrics["fitted"]["aurc"] != other.metrics["fitted"]["aurc"]


def test_a_set_without_a_fit_split_is_refused(toys: LogitSet) -> None:
    labels = {"test": toys.labels["test"]}
    with pytest.raises(InputError, match="expected a split 'val' to fit on in the set 'toy', got test"):
        judge_members(LogitSet("toy", "", toys.classes, labels, toys.cards, toys.arrays), ("large", "small", "tiny"))


def test_costs_of_members_together(toys: LogitSet) -> None:
    assert multiply_adds(toys, ("large", "small", "tiny")) == 920
    assert cost_ratio(toys, ("small", "large")) == 880 / 80
    unknown = LogitSet(toys.name, "", toys.classes, toys.labels, {**toys.cards, "small": Card("small", "x", "x")}, toys.arrays)
    assert multiply_adds(unknown, ("large", "small")) is None
    assert cost_ratio(unknown, ("large", "small")) is None
    assert cost_ratio(unknown, ("small", "large")) is None


def test_what_a_member_alone_would_have_been_fitted_as() -> None:
    found = Fitted(("a", "b"), (0.9, 0.3), (1.2, 0.8), (0.5, 0.6), separated=("b", "fitted"))
    assert alone(found, "a") == Fitted(("a",), (1.2,), (1.2,), (0.5,), nll={"fitted": 0.5})
    assert alone(found, "b").separated == ("b", "fitted")


# The command line.


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    try:
        status = main(arguments)
    except SystemExit as end:  # argparse
        status = int(str(end.code))
    said = capsys.readouterr()
    assert (status, said.out, said.err.count("\n")) == (2, "", 1)
    return said.err


def fit(toy_store: Path, *arguments: str) -> tuple[str, ...]:
    return ("fit", "--store", str(toy_store), "--set", "toy", *arguments)


def test_the_document_of_members(toy_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(fit(toy_store, "--members", "large", "small", "tiny", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    members, rules = ["large", "small", "tiny"], ["fitted", "equal", "ensemble", "mean", "probabilities"]
    assert {key: found[key] for key in ("set", "members", "split", "n_fit", "n_eval", "k", "multiply_adds", "cost_ratio")} == {
        "set": "toy",
        "members": members,
        "split": "test",
        "n_fit": 300,
        "n_eval": 300,
        "k": 5,
        "multiply_adds": 920,
        "cost_ratio": 1.15,
    }
    assert list(found["weights"]) == list(found["calibration"]) == members
    assert list(found["temperature"]) == ["ensemble", "probabilities"]
    assert list(found["nll_fit"]) == [*members, *rules]
    assert list(found["systems"]) == [*members, *rules, "uq_only"]
    assert all(list(values) == list(METRICS) for values in found["systems"].values())
    assert found["separated"] == []


def test_one_rule_by_itself(toy_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(fit(toy_store, "--members", "large", "small", "tiny", "--rule", "ensemble", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["systems"]) == ["large", "small", "tiny", "ensemble"]
    assert list(found["temperature"]) == ["ensemble"]
    assert list(found["nll_fit"]) == ["large", "small", "tiny", "ensemble"]


def test_a_table_of_members(toy_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(fit(toy_store, "--members", "large", "small", "tiny", "--split", "shift")) == 0
    said = capsys.readouterr().out
    assert said.startswith("large + small + tiny on toy/shift; 15.0% more multiply-adds\n")
    assert all(rule.label in said for rule in RULES.values())
    assert all(metric.label in said for metric in METRICS.values())
    assert "UQ only" in said


def stored(path: Path, models: Callable[[torch.Tensor], dict[str, torch.Tensor]]) -> Path:
    """A store with one set, `odd`, of models made from the labels."""
    store = Store(path)
    labels = {split: torch.arange(60) % 3 for split in ("val", "test")}
    store.prepare("odd", title="Odd", classes=["a", "b", "c"], labels=labels)
    for name in models(labels["val"]):
        store.write_model("odd", Card(name, f"timm/{name}", "timm"), {split: models(y)[name] for split, y in labels.items()})
    return path


def noisy(labels: torch.Tensor, strength: float, seed: int) -> torch.Tensor:
    noise = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed))
    return strength * torch.nn.functional.one_hot(labels, 3) + noise


def test_what_is_unknown_or_undefined_is_null_and_what_is_separated_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stored(
        tmp_path, lambda y: {"right": 9.0 * torch.nn.functional.one_hot(y, 3), "one": noisy(y, 1, 0), "two": noisy(y, 1, 1)}
    )
    assert main(("fit", "--store", str(path), "--set", "odd", "--members", "right", "one", "two", "--json")) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["multiply_adds"] is found["cost_ratio"] is None
    assert found["systems"]["right"]["auroc"] is None
    assert found["separated"][:2] == ["right", "fitted"]
    assert said.err.startswith("the fit split is separated perfectly by the member 'right': no finite temperature is best")


def test_a_member_that_adds_nothing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored(
        tmp_path, lambda y: {"good": noisy(y, 2, 0), "also": noisy(y, 2, 1), "worse": noisy(y, -2, 2), "worst": noisy(y, -3, 3)}
    )
    command = ("fit", "--store", str(path), "--set", "odd", "--members", "good", "also", "worse")
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "multiply-adds unknown" in said
    assert "weight 0      worse adds nothing that the others do not know" in said
    assert main((*command, "worst")) == 0
    assert "weight 0      worse, worst add nothing that the others do not know" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--members", "large", "huge"), "expected a model of the set 'toy', got 'huge'; it has large, middle, small, tiny"),
        (("--members", "large", "small", "large"), "expected different members, got 'large' twice; name each once"),
        (
            ("--members", "large", "--base", "small"),
            "expected --members, or --base and --sidekick, got --members and --base; leave one of them out",
        ),
        (("--base", "large"), "expected --members, or --base and --sidekick, got --base alone"),
        ((), "expected --members, or --base and --sidekick, got none of them"),
        (("--base", "large", "--sidekick", "tiny", "--rule", "mean"), "expected --rule with --members only"),
        (("--members", "large", "--rule", "best"), "argument --rule: invalid choice: 'best'"),
        (("--members", "large", "--split", "val"), "expected a split to judge on, got 'val', which temperatures are fitted on"),
        (("--members",), "argument --members: expected at least one argument"),
    ],
)
def test_wrong_input_is_one_line(
    toy_store: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert message in refused(capsys, *fit(toy_store, *arguments))


def test_a_model_that_is_called_as_a_rule_would_hide_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored(tmp_path, lambda y: {"mean": noisy(y, 2, 0), "other": noisy(y, 1, 1)})
    said = refused(capsys, "fit", "--store", str(path), "--set", "odd", "--members", "mean", "other")
    assert said == "duo fit: expected members whose names are no rule's, got 'mean'; its numbers would hide the rule's\n"


def test_any_other_name_will_do(toys: LogitSet) -> None:
    called = {"large": "labels", "small": "fitted ", "tiny": "0"}
    arrays = {(called[name], split): own for (name, split), own in toys.arrays.items() if name in called}
    cards = {called[name]: toys.cards[name] for name in called}
    found = judge_members(LogitSet("toy", "", toys.classes, toys.labels, cards, arrays), list(called.values()))
    assert found.metrics["fitted"] == judge_members(toys, list(called)).metrics["fitted"]


def test_members_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = (("large", 3.0), ("small", 2.0), ("tiny", 1.0))
    np.savez(tmp_path / "three.npz", **logit_files.arrays(models=models))
    file = ("fit", "--file", str(tmp_path / "three.npz"), "--fit", "200")
    assert main((*file, "--members", "large", "small", "tiny", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_fit"], found["cost_ratio"]) == (200, None)
    assert main((*file, "--cost", "large=4e9", "small=1e9", "tiny=1e9", "--members", "large", "small", "tiny", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["cost_ratio"] == 1.5
    np.savez(tmp_path / "one.npz", **logit_files.arrays(models=models[:1]))
    assert main(("fit", "--file", str(tmp_path / "one.npz"), "--members", "large", "--json")) == 0
    assert list(json.loads(capsys.readouterr().out)["weights"]) == ["large"]
    assert "expected a model" in refused(capsys, *file, "--members", "large", "huge")
