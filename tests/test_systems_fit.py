"""The fit of any number of weights: optimal by its conditions and by scipy, and obeying its laws, each of which a mutant fails."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from test_duo import MASKS, SPOILED, optimum, scaled_reference

from duo_core.common.arrays import InputError
from duo_core.systems import search
from duo_core.systems.fitting import Single, calibrate, features_of, fit_calibrated, masked_alike
from duo_core.systems.newton import BOUND, LARGE, Point
from duo_core.systems.separation import separating
from duo_core.systems.system import RULES, Fitted
from duo_core.systems.weighing import fit_members

Arrays = list[np.ndarray]


def models_of(seed: int, m: int, n: int = 300, k: int = 5) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Models that see the label through noise, some of it common to all, the first best and the last hardly better than chance."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(k, (n,), generator=generator)
    truth, common = torch.nn.functional.one_hot(labels, k), torch.randn(n, k, generator=generator)
    return [q * truth + common + torch.randn(n, k, generator=generator) for q in np.linspace(2, 0.1, m)], labels


def alone(models: Sequence[torch.Tensor], labels: torch.Tensor) -> list[Single]:
    return [calibrate(logits, labels) for logits in models]


def names(m: int) -> tuple[str, ...]:
    return tuple(f"model{i}" for i in range(m))


def fitted(models: Sequence[torch.Tensor], labels: torch.Tensor, rules: Sequence[str] = ("fitted",)) -> Fitted:
    return fit_members(names(len(models)), alone(models, labels), rules)


def spoiled(seed: int) -> tuple[Arrays, np.ndarray]:
    """One to eight models as files have them: masked classes, outlying rows, copies; of each dtype."""
    rng = np.random.default_rng(seed)
    m, n, k = int(rng.integers(1, 9)), int(rng.integers(40, 160)), int(rng.integers(2, 7))
    dtype = (np.float16, np.float32, np.float64)[rng.integers(3)]
    labels, models = rng.integers(0, k, n), []
    for quality in rng.uniform(-0.5, 2, m):
        logits = rng.normal(size=(n, k)) + quality * np.eye(k)[labels]
        low = rng.choice([*MASKS[dtype], -np.inf])
        models.append(SPOILED[rng.integers(len(SPOILED))](rng, logits, labels, low) if rng.random() < 0.5 else logits)
    if m > 1 and rng.random() < 0.3:
        models[rng.integers(1, m)] = models[0] * rng.choice([1.0, 2.0, 0.25])
    width = max(x.shape[1] for x in models)
    models = [x if x.shape[1] == width else np.c_[x, np.full(n, rng.choice([-np.inf, -1e4]))] for x in models]
    most = float(np.finfo(dtype).max)
    return [np.where(np.isneginf(x), x, np.clip(x, -most, most)).astype(dtype) for x in models], labels


def assert_optimal(models: Arrays, labels: np.ndarray, found: Fitted) -> None:
    """No slope along a weight above 0, none downwards along one at 0; the NLL is what is said, and scipy finds none lower."""
    weights, said = np.array(found.weights), found.nll["fitted"]
    assert (weights >= 0).all()
    nll, gradient, curvature = scaled_reference(models, labels, weights)
    assert said == pytest.approx(nll, abs=1e-12)
    slope = np.where(weights > 0, np.abs(gradient), -gradient) / np.sqrt(np.maximum(curvature, 1e-300))
    assert slope.max() < 1e-8
    assert said <= optimum(models, labels, weights) + 1e-12


@pytest.mark.parametrize("part", range(10))
def test_the_optimum_is_scipys(part: int) -> None:
    """300 problems of one to eight members: masks, outlying rows, copies, every dtype; many weights are exactly 0."""
    separated = zeros = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for seed in range(30 * part, 30 * (part + 1)):
            models, labels = spoiled(seed)
            found = fitted([torch.from_numpy(x) for x in models], torch.from_numpy(labels))
            if found.separated:
                separated += 1
                continue
            zeros += found.weights.count(0.0)
            assert_optimal(models, labels, found)
    assert separated < 12
    assert zeros > 5


def helped() -> tuple[list[torch.Tensor], torch.Tensor]:
    """Three models, the last of no use alone, so that its weight starts at 0, and of much use to the first."""
    models, labels = models_of(1, 3)
    truth, (noise, own) = torch.nn.functional.one_hot(labels, 5), torch.randn(2, 300, 5, generator=torch.Generator().manual_seed(2))
    return [3 * truth + 3 * noise, models[1], own - 3 * noise - truth], labels


def test_a_weight_that_starts_at_0_may_leave_it() -> None:
    models, labels = helped()
    found = fitted(models, labels)
    assert found.calibration[2] == 0
    assert found.weights[2] > 0.1
    assert_optimal([x.numpy() for x in models], labels.numpy(), found)


def stuck_at_0(here: Point) -> np.ndarray:
    return np.where(here.weights == 0, 0.0, search.newton_step(here))


@pytest.mark.parametrize(
    ("name", "mutant"), [("_direction", stuck_at_0), ("DECREASE", 1e-3), ("_moved", lambda _, here, *__: here)]
)
def test_the_conditions_catch_a_flawed_search(name: str, mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that never frees a weight, one that ends early, one that does not move."""
    monkeypatch.setattr(search, name, mutant)
    monkeypatch.setattr(search, "_one_by_one", lambda _, here: here)
    models, labels = helped()
    with pytest.raises(AssertionError):
        assert_optimal([x.numpy() for x in models], labels.numpy(), fitted(models, labels))


def test_where_newtons_method_finds_no_way_on_one_weight_after_the_other_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_moved", lambda _, here, *__: here)
    models, labels = models_of(1, 3)
    found = fitted(models, labels)
    monkeypatch.undo()
    assert found.nll["fitted"] == pytest.approx(fitted(models, labels).nll["fitted"], abs=1e-9)


def test_a_class_that_one_member_masks_is_left_out_for_all() -> None:
    models, labels = models_of(2, 3)
    models[1][torch.arange(300), (labels + 1) % 5] = -torch.inf
    assert_optimal([x.numpy() for x in models], labels.numpy(), fitted(models, labels))


@pytest.mark.parametrize("m", [1, 2])
def test_one_member_and_two_are_what_they_were(m: int) -> None:
    models, labels = models_of(3, m)
    singles = alone(models, labels)
    found = fit_members(names(m), singles)
    if m == 1:
        assert found.weights == found.calibration == (singles[0].temperature,)
        assert found.nll["fitted"] == singles[0].nll
        assert found.temperature == {"ensemble": 1.0, "probabilities": 1.0}
        assert found.gradient < 1e-10
    else:
        pair = fit_calibrated(*singles)
        assert found.weights == pair.temperatures
        assert found.calibration == pair.calibration
        assert (*found.nll_alone, found.nll["fitted"]) == tuple(pair.nll.values())
        assert (found.gradient, found.steps) == (pair.gradient, pair.steps)


def test_a_large_split_is_begun_on_some_of_it() -> None:
    """In single precision and on every eighth image first; the end is as exact."""
    models, labels = models_of(4, 3, n=700, k=800)
    assert models[0].numel() > LARGE
    found = fitted(models, labels)
    assert found.gradient < 1e-10
    weights = np.array(found.weights)
    nll, gradient, _ = scaled_reference([x.numpy() for x in models], labels.numpy(), weights)
    assert found.nll["fitted"] == pytest.approx(nll, abs=1e-12)
    assert np.where(weights > 0, np.abs(gradient), -gradient).max() < 1e-10


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(20, 60))
def test_no_subset_and_no_other_rule_is_better_on_the_fit_split(seed: int, m: int, n: int) -> None:
    models, labels = models_of(seed, m, n)
    found = fitted(models, labels, tuple(RULES))
    if found.separated:
        return
    others = [fitted([models[i] for i in part], labels) for size in range(1, m) for part in combinations(range(m), size)]
    assert found.nll["fitted"] <= min(other.nll["fitted"] for other in others) + 1e-12
    assert found.nll["fitted"] <= min(found.nll[rule] for rule in ("equal", "ensemble", "mean")) + 1e-12
    assert found.nll["ensemble"] <= found.nll["equal"] + 1e-12
    assert found.nll["fitted"] <= min(found.nll_alone) + 1e-12


def test_the_law_of_subsets_is_broken_by_another_rule() -> None:
    models, labels = models_of(5, 3)
    found = fitted(models, labels, tuple(RULES))
    assert found.nll["equal"] > found.nll_alone[0]


def test_rules_are_their_formulas() -> None:
    """Final temperatures and NLL on the fit split by plain NumPy."""
    models, labels = models_of(6, 3)
    found = fitted(models, labels, tuple(RULES))
    plain = [x.double().numpy() for x in models]
    scaled = [t * x for t, x in zip(found.calibration, plain, strict=True)]
    pooled = np.mean(scaled, 0)
    chances = np.log(np.mean([torch.from_numpy(x).softmax(1).numpy() for x in scaled], 0))
    y = labels.numpy()
    for key, logits in {"equal": pooled, "mean": np.mean(plain, 0)}.items():
        assert found.nll[key] == pytest.approx(scaled_reference([logits], y, np.ones(1))[0], abs=1e-12)
    for key, logits in {"ensemble": pooled, "probabilities": chances}.items():
        t = np.array([found.temperature[key]])
        nll, gradient, _ = scaled_reference([logits], y, t)
        assert found.nll[key] == pytest.approx(nll, abs=1e-12)
        assert abs(gradient[0]) < 1e-9
    assert set(found.temperature) == {"ensemble", "probabilities"}
    assert list(found.nll) == list(RULES)


@pytest.mark.parametrize("order", [(2, 0, 1), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_the_order_of_members_changes_nothing(order: tuple[int, ...]) -> None:
    models, labels = models_of(7, len(order))
    found, other = fitted(models, labels), fitted([models[i] for i in order], labels)
    assert other.weights == pytest.approx([found.weights[i] for i in order], rel=1e-9)
    assert other.nll["fitted"] == pytest.approx(found.nll["fitted"], abs=1e-14)


@pytest.mark.parametrize("c", [1.0, 4.0])
def test_copies_share_the_weight_of_one(c: float) -> None:
    models, labels = models_of(8, 3)
    plain = fitted(models, labels)
    found = fitted([models[0], models[1], c * models[0], models[2]], labels)
    assert found.weights[0] == pytest.approx(plain.weights[0] / 2, rel=1e-6)
    assert found.weights[2] * c == pytest.approx(found.weights[0], rel=1e-6)
    assert found.weights[1::2] == pytest.approx(plain.weights[1:], rel=1e-6)
    assert found.nll["fitted"] == pytest.approx(plain.nll["fitted"], abs=1e-13)


@pytest.mark.parametrize("c", [1e-3, 7.0, 1e4])
def test_scaling_a_members_logits_divides_its_weight(c: float) -> None:
    models, labels = models_of(9, 4)
    found = fitted(models, labels)
    scaled = fitted([models[0], c * models[1].double(), *models[2:]], labels)
    assert scaled.weights[1] * c == pytest.approx(found.weights[1], rel=1e-8)
    assert scaled.weights[2:] == pytest.approx(found.weights[2:], rel=1e-8)


def test_a_constant_added_to_an_images_logits_changes_nothing() -> None:
    models, labels = models_of(10, 3)
    shift = torch.linspace(-50, 50, len(labels), dtype=torch.float64)[:, None]
    assert fitted([models[0].double() + shift, models[1], models[2].double() - 2 * shift], labels).weights == pytest.approx(
        fitted(models, labels).weights, rel=1e-9
    )


@pytest.mark.parametrize("low", [-1e3, -1e9, -65504.0, np.finfo("f4").min, np.finfo("f8").min, -np.inf])
def test_a_mask_does_not_move_the_fit(low: float) -> None:
    models, labels = models_of(11, 3)
    masked = [torch.cat([x.double(), torch.full((300, 2), low, dtype=torch.float64)], 1) for x in models]
    plain, found = fitted(models, labels), fitted(masked, labels)
    assert found.weights == pytest.approx(plain.weights, rel=1e-9)
    assert found.nll["fitted"] == pytest.approx(plain.nll["fitted"], abs=1e-12)


@pytest.mark.parametrize("factor", [1e300, 1e-300, -1e300])
def test_any_finite_number_is_a_logit(factor: float) -> None:
    models, labels = (([x.double() for x in part] if isinstance(part, list) else part) for part in models_of(12, 3))
    plain = fitted([models[0] * np.sign(factor), *models[1:]], labels, tuple(RULES))
    found = fitted([models[0] / 10 * factor, *models[1:]], labels, tuple(RULES))
    assert found.weights[0] * abs(factor) / 10 == pytest.approx(plain.weights[0], rel=1e-9)
    assert found.weights[1:] == pytest.approx(plain.weights[1:], rel=1e-9)
    assert found.nll["ensemble"] == pytest.approx(plain.nll["ensemble"], rel=1e-9)


def test_members_worse_than_noise_get_nothing() -> None:
    models, labels = models_of(13, 4)
    found = fitted([-x for x in models], labels, tuple(RULES))
    assert found.weights == (0, 0, 0, 0)
    assert found.nll["fitted"] == pytest.approx(np.log(5))
    assert found.temperature == {"ensemble": 0, "probabilities": 0}


def linear_program(models: Sequence[np.ndarray], labels: np.ndarray, scales: np.ndarray) -> float:
    """How far weights that add up to 1 can have every class lie below its label, in units of its largest difference."""
    rows, masked = np.arange(len(labels)), np.any([np.isneginf(x) for x in models], axis=0)
    apart = np.stack([x.astype(float) - x[rows, labels].astype(float)[:, None] for x in models], -1)[~masked] / scales
    largest = np.abs(apart).max(1)
    apart, m = apart[largest > 0] / largest[largest > 0, None], len(models)
    found = linprog(
        np.r_[np.zeros(m), -1], np.c_[apart, np.ones(len(apart))], np.zeros(len(apart)), [np.r_[np.ones(m), 0]], [1],
        [(0, None)] * m + [(None, None)],
    )  # fmt: skip
    return float(-found.fun)


def test_what_is_separated_is_what_a_linear_program_finds() -> None:
    separated = 0
    for seed in range(1000, 1150):
        models, labels = spoiled(seed)
        singles = masked_alike(*alone([torch.from_numpy(x) for x in models], torch.from_numpy(labels)))
        features = features_of([one.logits for one in singles], singles[0].labels, [one.survey for one in singles])
        margin = linear_program([one.logits.numpy() for one in singles], labels, np.array([one.scale for one in singles]))
        found = separating(features)
        separated += found
        assert abs(margin) < 1e-7 or found == (margin > 0), seed
    assert separated > 5


def test_a_separated_split_stops_at_the_bound_and_says_so() -> None:
    """Each of three members errs on an image of its own, by more than one other makes up for and by less than two do."""
    labels = torch.zeros(3, dtype=torch.int64)
    models = [torch.tensor([[0.0, 1.5 if row == i else -1.0] for row in range(3)]) for i in range(3)]
    assert all(fitted([models[i], models[j]], labels).separated == () for i, j in combinations(range(3), 2))
    found = fitted(models, labels, tuple(RULES))
    assert found.separated == ("fitted", "ensemble", "probabilities")
    assert all(np.isfinite(found.weights))
    assert max(w * s.scale for w, s in zip(found.weights, alone(models, labels), strict=True)) == pytest.approx(BOUND)


@pytest.mark.parametrize("c", [1.0, 3.0])
def test_a_ratio_that_alone_separates_is_found_among_three(c: float) -> None:
    """At equal weights of the first two, where two rows tie, and with nothing of the third."""
    first, second = torch.tensor([[1.0, 0], [0, 1], [1, 0]]), torch.tensor([[0.0, 1], [1, 0], [0, 1.1]])
    third = torch.tensor([[0.0, 1], [0, 1], [0, 1]])
    labels = torch.tensor([0, 0, 1])
    assert fitted([first, c * second, third], labels).separated == ("fitted",)
    assert fitted([first, second * torch.tensor([[1.0], [1.0], [0.8]]), third], torch.tensor([0, 0, 1])).separated == ()


def test_a_middle_that_says_nothing_hides_no_edge_that_separates() -> None:
    """The first member alone is right, the second undoes it at equal weights, and the third knows nothing."""
    models = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2)]
    assert fitted(models, torch.tensor([0])).separated == ("model0", "fitted")
    assert fitted([torch.zeros(4, 2)] * 3, torch.tensor([0, 1, 0, 1])).separated == ()


def test_a_member_that_is_separated_alone_is_named() -> None:
    models, labels = models_of(14, 3)
    models[1] = 3.0 * torch.nn.functional.one_hot(labels, 5)
    found = fitted(models, labels, tuple(RULES))
    assert found.separated[:2] == ("model1", "fitted")
    assert found.reordered(("model2", "model1", "model0")).separated[:2] == ("model1", "fitted")
    assert found.nll["fitted"] < 1e-8


def test_a_search_that_knows_no_separation_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    models, labels = models_of(14, 3)
    models[1] = 3.0 * torch.nn.functional.one_hot(labels, 5)
    monkeypatch.setattr(search, "separating", lambda _: False)
    assert "fitted" not in fitted(models, labels).separated


def test_logits_of_other_shapes_are_refused() -> None:
    models, labels = models_of(15, 3)
    with pytest.raises(InputError, match=r"expected members' logits of one shape, got \(300, 4\) and \(300, 5\)"):
        fitted([models[0], models[1][:, :4].contiguous(), models[2]], labels.clip(max=3))


def test_inputs_are_not_changed() -> None:
    models, labels = models_of(16, 3)
    models[0][labels != 1, 1] = -torch.inf
    copies = [x.clone() for x in models]
    fitted(models, labels, tuple(RULES))
    assert all(torch.equal(a, b) for a, b in zip(models, copies, strict=True))
