"""What systems of any number of members answer: against plain softmaxes in double precision, and the laws of every rule.

Each law has a mutant, a rule or a reduction with a known flaw, that fails it.
"""

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy import special

from duo_core.common.arrays import InputError, Predictions
from duo_core.metrics import definitions as m
from duo_core.systems import loops, moments, pair_loops, predicting
from duo_core.systems import pair_predicting as p
from duo_core.systems.duo import Fit, Temperatures
from duo_core.systems.fitting import calibrate
from duo_core.systems.predicting import losses, predictions
from duo_core.systems.system import RULES, Fitted, Rule, System
from duo_core.systems.weighing import fit_members

FIELDS = ("confidence", "doubt", "entropy", "nll", "brier")
Models = dict[str, torch.Tensor]


def data(
    members: int = 3, n: int = 400, k: int = 6, seed: int = 0, dtype: torch.dtype = torch.float32, strength: float = 1.0
) -> tuple[Models, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(k, (n,), generator=generator)
    truth = torch.nn.functional.one_hot(labels, k)
    strengths = strength * np.linspace(3, 1, members)
    return {f"m{i}": (q * truth + torch.randn(n, k, generator=generator)).to(dtype) for i, q in enumerate(strengths)}, labels


def many_classes(members: int = 3, n: int = 300, k: int = 1000) -> tuple[Models, torch.Tensor]:
    """So many that sums are single precision, of confident and of lost images."""
    models, labels = data(members, n, k)
    strength = torch.linspace(0, 5, n)[:, None]
    return {name: logits * strength for name, logits in models.items()}, labels


def given(members: int = 3) -> Fitted:
    """Weights and temperatures that no fit found."""
    names = tuple(f"m{i}" for i in range(members))
    weights, alone = (0.7, 0.4, 0.3, 0.0, 0.2)[:members], (1.3, 0.8, 0.6, 0.9, 0.5)[:members]
    return Fitted(names, weights, alone, alone, {"ensemble": 1.4, "probabilities": 1.7})


def predicted(models: Models, labels: torch.Tensor, rule: str, says: int | None = None, of: Fitted | None = None) -> Predictions:
    fitted = of or given(len(models))
    return predictions(models, labels, [(System(fitted.members, rule, says), fitted)])[0]


def distribution(models: Sequence[np.ndarray], fitted: Fitted, rule: str) -> tuple[np.ndarray, np.ndarray]:
    """What a rule's class is the largest of, before a final temperature, and its logits."""
    alone, share = fitted.calibration, 1 / len(models)
    before = {
        "fitted": lambda: sum(w * x for w, x in zip(fitted.weights, models, strict=True)),
        "equal": lambda: sum(share * t * x for t, x in zip(alone, models, strict=True)),
        "ensemble": lambda: sum(share * t * x for t, x in zip(alone, models, strict=True)),
        "mean": lambda: sum(share * x for x in models),
        "probabilities": lambda: np.log(np.mean([special.softmax(t * x, 1) for t, x in zip(alone, models, strict=True)], 0)),
    }[rule]()
    return before, fitted.temperature.get(rule, 1.0) * before


def reference(models: Models, labels: torch.Tensor, rule: str, says: int | None) -> dict[str, np.ndarray]:
    """The definitions, an image at a time; a class that a member masks is left out."""
    plain, rows, y = [x.double().numpy() for x in models.values()], np.arange(len(labels)), labels.numpy()
    masked = np.any([np.isneginf(x) for x in plain], axis=0)
    with np.errstate(divide="ignore"):
        before, logits = distribution([np.where(masked, -1e5, x) for x in plain], given(len(models)), rule)
    before, logits = (np.where(masked, -np.inf, x) for x in (before, logits))
    probability = special.softmax(logits, 1)
    classes = before.argmax(1) if says is None else plain[says].argmax(1)
    with np.errstate(invalid="ignore"):
        return {
            "predicted": classes,
            "confidence": probability[rows, classes],
            "doubt": np.array([np.delete(row, c).sum() for row, c in zip(probability, classes, strict=True)]),
            "entropy": special.entr(probability).sum(1),
            "nll": special.logsumexp(logits, 1) - logits[rows, y],
            "brier": ((probability - np.eye(logits.shape[1])[y]) ** 2).sum(1),
        }


def assert_reference(found: Predictions, expected: dict[str, np.ndarray], rtol: float, atol: float) -> None:
    np.testing.assert_array_equal(found.predicted, expected["predicted"])
    for name in FIELDS:
        np.testing.assert_allclose(getattr(found, name), expected[name], rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("says", [None, 0, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_every_rule_is_its_formula(rule: str, says: int | None, dtype: torch.dtype) -> None:
    models, labels = data(dtype=dtype)
    assert_reference(predicted(models, labels, rule, says), reference(models, labels, rule, says), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("members", [2, 4, 5])
def test_with_two_members_and_with_more(rule: str, members: int) -> None:
    models, labels = data(members)
    for says in (None, members - 1):
        assert_reference(predicted(models, labels, rule, says), reference(models, labels, rule, says), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("members", [3, 5])
def test_single_precision_is_the_formula_within_a_millionth(rule: str, members: int) -> None:
    models, labels = many_classes(members)
    for says in (None, 1):
        assert_reference(predicted(models, labels, rule, says), reference(models, labels, rule, says), rtol=4e-6, atol=1e-9)


def test_metrics_in_single_precision_are_those_in_double() -> None:
    models, labels = many_classes(n=2000)
    for rule in RULES:
        single, double = (predicted({a: x.to(d) for a, x in models.items()}, labels, rule) for d in (torch.float32, torch.float64))
        assert m.metrics(single) == pytest.approx(m.metrics(double), rel=1e-5)  # two images may change places
        np.testing.assert_array_equal(single.predicted, double.predicted)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("k", [6, 1000])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_class_that_a_member_masks_is_left_out_of_its_row(rule: str, k: int, dtype: torch.dtype) -> None:
    models, labels = data(k=k, dtype=dtype)
    for i, logits in enumerate(models.values()):
        mask = torch.rand(logits.shape, generator=torch.Generator().manual_seed(i)) < 0.2
        mask[torch.arange(len(labels)), labels] = False
        logits[mask] = -torch.inf
    assert_reference(predicted(models, labels, rule), reference(models, labels, rule, None), rtol=1e-5, atol=1e-9)
    said = predicted(models, labels, rule, 1)
    expected = reference(models, labels, rule, 1)
    np.testing.assert_allclose(said.confidence, expected["confidence"], rtol=1e-5, atol=1e-9)


PAIR = Fit(Temperatures(0.7, 0.4), Temperatures(1.3, 0.8), {}, 0.0, 1)


@pytest.mark.parametrize("k", [6, 1000])
@pytest.mark.parametrize(
    ("variant", "asked"), [("duo", ("fitted", None)), ("unweighted", ("equal", None)), ("uq_only", ("fitted", 0))]
)
def test_two_members_are_the_pair_to_the_last_bit(k: int, variant: str, asked: tuple[str, int | None]) -> None:
    models, labels = data(2, k=k)
    expected = p.variant_predictions(models["m0"], models["m1"], labels, PAIR, variants=[variant])[variant]
    found = predicted(models, labels, *asked)
    assert all((getattr(found, name) == getattr(expected, name)).all() for name in ("predicted", *FIELDS))


@pytest.mark.parametrize("rule", ["fitted", "equal", "ensemble", "probabilities"])
def test_one_member_is_the_model_calibrated_to_the_last_bit(rule: str) -> None:
    models, labels = data(2)
    expected = p.variant_predictions(models["m0"], models["m1"], labels, PAIR, variants=["base"])["base"]
    alone = Fitted(("m0",), (1.3,), (1.3,), (0.4,))
    found = predicted({"m0": models["m0"]}, labels, rule, of=alone)
    assert all((getattr(found, name) == getattr(expected, name)).all() for name in ("predicted", *FIELDS))


def test_many_systems_from_one_pass_are_each_by_itself() -> None:
    """Of other members, in another order, with who says: pairs and the others by turns."""
    models, labels = data(5)
    whole = given(5)
    asked = []
    for members in (("m0", "m1", "m2"), ("m3",), ("m4", "m2"), ("m4", "m0", "m3", "m1")):
        at = [whole.members.index(name) for name in members]
        part = [tuple(of[i] for i in at) for of in (whole.weights, whole.calibration, whole.nll_alone)]
        fitted = Fitted(members, *part, temperature={"ensemble": 1.4, "probabilities": 1.7})
        asked += [(System(members, rule, says), fitted) for rule in RULES for says in (None, len(members) - 1)]
    for (system, fitted), found in zip(asked, predictions(models, labels, asked), strict=True):
        alone = predictions({name: models[name] for name in system.members}, labels, [(system, fitted)])[0]
        assert all((getattr(found, name) == getattr(alone, name)).all() for name in ("predicted", *FIELDS)), system
    assert (losses(models, labels, asked) == [one.nll for one in predictions(models, labels, asked)]).all()


@pytest.mark.parametrize("tied", [False, True])
def test_losses_are_those_of_the_predictions_where_rows_are_of_the_same_logits(tied: bool) -> None:
    """In another order, when they are summed again."""
    models, labels = data(2)
    if tied:
        models["m0"][1] = models["m0"][0].flip(0)
    asked = [(System(("m0", "m1"), rule), fit_members(("m0", "m1"), [calibrate(models[name], labels) for name in ("m0", "m1")]))
             for rule in RULES]  # fmt: skip
    assert (losses(models, labels, asked) == [one.nll for one in predictions(models, labels, asked)]).all()
    with pytest.raises(InputError, match="expected logits of every member, got none of 'm1'"):
        losses({"m0": models["m0"]}, labels, asked)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    models, labels = data()
    whole = [predicted(models, labels, rule) for rule in RULES]
    monkeypatch.setattr(p, "_ELEMENTS", 84)
    for rule, before in zip(RULES, whole, strict=True):
        found = predicted(models, labels, rule)
        assert all((getattr(found, name) == getattr(before, name)).all() for name in ("predicted", *FIELDS))


@pytest.mark.parametrize("k", [6, 1000])
def test_near_and_true_ties_are_told_apart_in_any_precision(k: int) -> None:
    """Weighted sums that differ by less than single precision sees, or not at all: the class is that of the double sum."""
    generator = torch.Generator().manual_seed(3)
    models = {f"m{i}": torch.randint(0, 3, (500, k), generator=generator).float() for i in range(4)}
    models["m0"][::2] += torch.randn(250, k, generator=generator) * 1e-7
    labels = torch.randint(k, (500,), generator=generator)
    for weights in ((1.0, 1.0, 1.0, 1.0), (0.5, 0.25, 0.5, 2.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 0.0)):
        found = predicted(models, labels, "fitted", of=replace(given(4), weights=weights))
        total = sum(w * x.double().numpy() for w, x in zip(weights, models.values(), strict=True))
        np.testing.assert_array_equal(found.predicted, total.argmax(1))


@pytest.mark.parametrize("rule", RULES)
def test_doubt_and_nll_do_not_saturate(rule: str) -> None:
    """Where 1 - p rounds to 0 the images are still told apart, and where p does the loss is finite."""
    logits = torch.tensor([[60.0, 0.0], [80.0, 0.0], [600.0, 0.0], [9000.0, 0.0]])
    ones = Fitted(("m0", "m1", "m2"), (1 / 3,) * 3, (1.0,) * 3, (0.0,) * 3, {"ensemble": 1.0, "probabilities": 1.0})
    found = predicted(dict.fromkeys(ones.members, logits), torch.tensor([0, 0, 1, 1]), rule, of=ones)
    np.testing.assert_allclose(found.doubt[:3], np.exp([-60.0, -80.0, -600.0]), rtol=1e-12)
    np.testing.assert_allclose(found.nll, [np.exp(-60.0), np.exp(-80.0), 600.0, 9000.0], rtol=1e-12)


@pytest.mark.parametrize("values", [(0.1, 0.7), (-3.3, 0.2, 2.9)])
@pytest.mark.parametrize("k", [5, 200])
def test_a_permutation_of_classes_changes_nothing(k: int, values: tuple[float, ...]) -> None:
    """Few different logits make many rows that differ in the order of classes alone; they tie to the last bit."""
    rng = np.random.default_rng(k)
    labels = rng.integers(0, k, 600)
    models = {}
    for i, (quality, lead) in enumerate(((0.8, 25.1), (0.6, 12.3), (0.5, 5.1))):
        logits = rng.choice(values, size=(600, k)).astype(float)
        said = np.where(rng.random(600) < quality, labels, rng.integers(0, k, 600))
        logits[np.arange(600), said] = max(values) + lead  # one class leads: of tied ones the lowest is predicted
        models[f"m{i}"] = logits
    order = rng.permutation(k)
    at = np.argsort(order)
    for rule in RULES:
        one = predicted({name: torch.from_numpy(x) for name, x in models.items()}, torch.from_numpy(labels), rule)
        other = predicted(
            {name: torch.from_numpy(x[:, order].copy()) for name, x in models.items()}, torch.from_numpy(at[labels]), rule
        )
        for kind in ("softmax", "entropy"):
            ranked = [found.ranked_by(kind) for found in (one, other)]
            assert m.metrics(ranked[0]) == pytest.approx(m.metrics(ranked[1]), rel=1e-13, abs=1e-15)
            assert len(np.unique(ranked[0].uncertainty)) == len(np.unique(ranked[1].uncertainty))


# The laws, over the rules that obey them.

Law = Callable[[str], None]
ALL = tuple(RULES)


def really_fitted(models: Models, labels: torch.Tensor) -> Fitted:
    return fit_members(tuple(models), [calibrate(logits, labels) for logits in models.values()])


def same(one: Predictions, other: Predictions, rel: float = 1e-9) -> None:
    np.testing.assert_array_equal(one.predicted, other.predicted)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=rel, atol=1e-11, err_msg=name)


def order_of_members(rule: str) -> None:
    models, labels = data(4)
    found, turned = (really_fitted(dict(part), labels) for part in (models.items(), reversed(models.items())))
    same(predicted(models, labels, rule, of=found), predicted(models, labels, rule, of=turned), rel=1e-7)


def order_of_equal_members(rule: str) -> None:
    """Given the same fit, to the last bit."""
    models, labels = data(4)
    found = really_fitted(models, labels)
    turned = System(found.members[::-1], rule)
    one, other = predictions(models, labels, [(System(found.members, rule), found), (turned, found)])
    same(one, other, rel=0)


def copy_of_a_member(rule: str) -> None:
    models, labels = data(3)
    more = {"m0": models["m0"], "copy": models["m0"].clone(), "m1": models["m1"], "m2": models["m2"]}
    one, other = (predicted(own, labels, rule, of=really_fitted(own, labels)) for own in (models, more))
    same(one, other, rel=1e-7)


def constant_added_to_a_row(rule: str) -> None:
    models, labels = data(dtype=torch.float64)
    shift = torch.linspace(-40, 40, len(labels))[:, None]
    moved = {name: logits + (i - 1) * shift for i, (name, logits) in enumerate(models.items())}
    same(predicted(models, labels, rule), predicted(moved, labels, rule))


def scale_of_a_member(rule: str) -> None:
    models, labels = data(dtype=torch.float64)
    scaled = models | {"m1": 8 * models["m1"]}
    one, other = (predicted(own, labels, rule, of=really_fitted(own, labels)) for own in (models, scaled))
    same(one, other, rel=1e-7)


def agreement(rule: str) -> None:
    """Where all members with a weight answer one class, the system does."""
    for models, labels in (data(4), data(4, k=200, strength=3)):
        found = predicted(models, labels, rule).predicted
        own = np.array(
            [x.argmax(1).numpy() for x, w in zip(models.values(), given(4).weights, strict=True) if w or rule != "fitted"]
        )
        agreed = (own == own[0]).all(0)
        assert 0.05 < agreed.mean() < 1
        np.testing.assert_array_equal(found[agreed], own[0][agreed])


def final_temperature(rule: str) -> None:
    """It changes no class; it does change how sure the system is."""
    models, labels = data(4)
    some = [replace(given(4), temperature={"ensemble": t, "probabilities": t}) for t in (0.0, 0.3, 1.0, 2.5)]
    found = [predicted(models, labels, rule, of=of) for of in some]
    assert all((one.predicted == found[0].predicted).all() for one in found)
    assert found[1].nll.mean() != found[2].nll.mean()


LAWS: list[tuple[Law, tuple[str, ...]]] = [
    (order_of_members, ALL),
    (order_of_equal_members, ALL),
    (copy_of_a_member, ("fitted",)),
    (constant_added_to_a_row, ALL),
    (scale_of_a_member, ("fitted", "equal", "ensemble", "probabilities")),
    (agreement, ALL),
    (final_temperature, ("ensemble", "probabilities")),
]


@pytest.mark.parametrize(("law", "rule"), [(law, rule) for law, rules in LAWS for rule in rules])
def test_laws_hold(law: Law, rule: str) -> None:
    law(rule)


def mutant(weights: Callable[[Fitted], tuple[float, ...]], tempered: bool = False) -> Rule:
    return Rule("Mutant", weights, tempered=tempered)


MUTANTS: list[tuple[Law, Rule]] = [
    (order_of_members, mutant(lambda fitted: tuple(0.9**i for i in range(len(fitted.members))))),
    (copy_of_a_member, RULES["equal"]),
    (scale_of_a_member, RULES["mean"]),
    (agreement, mutant(lambda fitted: tuple(-w for w in fitted.weights))),
    (final_temperature, mutant(lambda fitted: tuple(w + fitted.temperature["ensemble"] * (w == 0.3) for w in fitted.weights))),
]


@pytest.mark.parametrize(("law", "flawed"), MUTANTS)
def test_laws_catch_their_mutants(law: Law, flawed: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "fitted", flawed)
    with pytest.raises(AssertionError):
        law("fitted")


def test_the_law_of_constants_catches_a_reduction_that_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    real = p._copy
    monkeypatch.setattr(p, "_copy", lambda logits, own: real(logits.clip(max=2.0), own))
    with pytest.raises(AssertionError):
        constant_added_to_a_row("fitted")


def test_the_law_of_order_catches_weights_that_stay_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    real = predicting.work_of

    def unturned(system: System, fitted: Fitted, names: Sequence[str]) -> predicting.Work:
        work = real(system, fitted, names)
        return work._replace(weights=tuple(sorted(work.weights, reverse=system.members[0] == "m0")))

    monkeypatch.setattr(predicting, "work_of", unturned)
    with pytest.raises(AssertionError):
        order_of_equal_members("fitted")


@pytest.mark.parametrize("key", m.METRICS)
@pytest.mark.parametrize("rule", RULES)
def test_the_order_of_images_changes_no_metric(rule: str, key: str) -> None:
    models, labels = data()
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    one = m.METRICS[key].value(predicted(models, labels, rule))
    other = m.METRICS[key].value(predicted({name: x[shuffled] for name, x in models.items()}, labels[shuffled], rule))
    assert one == pytest.approx(other, rel=1e-12)


@pytest.mark.parametrize("file", [loops, moments])
def test_compiled_loops_know_the_powers_they_were_compiled_with(file: ModuleType) -> None:
    """Where this fails, write the new word into the file's POWERS: it has changed then, and is compiled anew everywhere."""
    source = "".join(
        inspect.getsource(function) for function in (pair_loops._exp2, pair_loops._clamped, pair_loops._near_two_to_the)
    )
    assert hashlib.sha256(source.encode()).hexdigest()[:8] == file.POWERS


def test_logarithms_are_exact_to_rounding() -> None:
    rng = np.random.default_rng(0)
    near_one = np.r_[1 + np.linspace(-1e-3, 1e-3, 2001), 1 - 2.0 ** -np.arange(1, 53)]
    x = np.r_[rng.uniform(1e-9, 1, 20_000), 10.0 ** rng.uniform(-300, 300, 20_000), near_one]
    found = x.copy()
    loops.logarithms(found)
    np.testing.assert_allclose(found, np.log2(x), rtol=1e-15)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_no_infinite_logit_slips_through(bad: float) -> None:
    models, labels = data()
    models["m2"][7, labels[7]] = bad
    with pytest.raises(InputError, match="in row 7"):
        predicted(models, labels, "fitted")


def test_wrong_input_is_one_sentence() -> None:
    models, labels = data()
    with pytest.raises(InputError, match=r"expected logits of every member, got none of 'm2'$"):
        predictions({"m0": models["m0"], "m1": models["m1"]}, labels, [(System(given().members), given())])
    with pytest.raises(InputError, match=r"expected a fit of m0, m1, got one of m0, m1, m2$"):
        predictions(models, labels, [(System(("m0", "m1")), given())])
    with pytest.raises(InputError, match="one length, got labels 399, logits of m0 400"):
        predicted(models, labels[1:], "fitted")


def test_inputs_are_not_changed() -> None:
    models, labels = data()
    for rule in RULES:
        predicted(models, labels, rule)
    assert all(torch.equal(logits, other) for logits, other in zip(models.values(), data()[0].values(), strict=True))
