"""The fit: optimal, bounded, and obeying its laws; checked against scipy's solver and closed forms."""

import numpy as np
import pytest
import torch
from effort import tried
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from duo_core.common.arrays import InputError
from duo_core.systems.duo import VARIANTS, Fit, Temperatures, combine
from duo_core.systems.fitting import fit
from duo_core.systems.newton import BOUND


def logits(
    seed: int, n: int = 300, k: int = 5, quality: tuple[float, float] = (2.0, 1.0)
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two models that see the label through noise, the first better."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(k, (n,), generator=generator)
    truth = torch.nn.functional.one_hot(labels, k)
    base, sidekick = (q * truth + torch.randn(n, k, generator=generator) for q in quality)
    return base, sidekick, labels


def reference_nll(weights: np.ndarray, base: torch.Tensor, sidekick: torch.Tensor, labels: torch.Tensor) -> float:
    combined = weights[0] * base.double().numpy() + weights[1] * sidekick.double().numpy()
    return float(np.mean(special.logsumexp(combined, 1) - combined[np.arange(len(labels)), labels.numpy()]))


def reference_fit(*data: torch.Tensor) -> tuple[np.ndarray, float]:
    """A bounded quasi-Newton solver with numerical derivatives, from several starts."""
    found = [
        optimize.minimize(
            reference_nll, start, args=data, method="L-BFGS-B", bounds=[(0, None)] * 2, options={"ftol": 1e-14, "gtol": 1e-9}
        )
        for start in ([1.0, 1.0], [0.1, 2.0], [2.0, 0.0])
    ]
    best = min(found, key=lambda f: f.fun)
    return best.x, best.fun


@pytest.mark.parametrize("seed", range(5))
def test_fit_is_the_optimum(seed: int) -> None:
    data = logits(seed, quality=(2.0, 0.4 * seed))
    found = fit(*data)
    weights, nll = reference_fit(*data)
    assert found.temperatures == pytest.approx(weights, abs=2e-4)
    assert found.nll["duo"] <= nll + 1e-12
    assert found.nll["duo"] == pytest.approx(reference_nll(np.array(found.temperatures), *data), abs=1e-12)
    assert found.nll["base"] == pytest.approx(reference_nll(np.array([found.calibration.base, 0]), *data), abs=1e-12)
    assert found.nll["sidekick"] == pytest.approx(reference_nll(np.array([0, found.calibration.sidekick]), *data), abs=1e-12)
    assert found.gradient < 1e-10
    assert found.steps < 15
    assert found.separated == ()


@settings(deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(2, 30),
    st.integers(2, 6),
    st.floats(-1, 3),
    st.floats(-1, 3),
    st.sampled_from([0.01, 1.0, 100.0]),
)
def test_never_above_either_model_alone(seed: int, n: int, k: int, one: float, other: float, scale: float) -> None:
    base, sidekick, labels = logits(seed, n, k, (one, other))
    found = fit(base, sidekick * scale, labels)
    assert found.nll["duo"] <= min(found.nll["base"], found.nll["sidekick"]) + 1e-12
    assert min(found.temperatures) >= 0
    assert found.gradient < 1e-8 or "duo" in found.separated
    uniform = np.log(k)
    assert max(found.nll.values()) <= uniform + 1e-12


def test_single_temperature_of_two_classes_in_closed_form() -> None:
    """Logits +-1 with 9 of 10 right: sigmoid(2 T) = 0.9."""
    base = torch.tensor([[1.0, -1.0]] * 10)
    labels = torch.tensor([0] * 9 + [1])
    found = fit(base, torch.zeros(10, 2), labels)
    assert found.calibration.base == pytest.approx(np.log(9) / 2)
    assert found.temperatures.sidekick == 0
    assert found.calibration.sidekick == 0
    assert found.ratio is None


def test_swapping_the_models_swaps_the_temperatures() -> None:
    base, sidekick, labels = logits(1)
    one, other = fit(base, sidekick, labels), fit(sidekick, base, labels)
    assert one.temperatures == pytest.approx(other.temperatures[::-1], rel=1e-9)
    assert one.calibration == pytest.approx(other.calibration[::-1], rel=1e-12)
    assert one.ratio == pytest.approx(1 / (other.ratio or 0))
    assert other.swapped().nll == pytest.approx(one.nll, rel=1e-9)
    assert other.swapped().swapped() == other


def test_swapped_says_which_is_separated_now() -> None:
    _, sidekick, labels = logits(9)
    found = fit(torch.nn.functional.one_hot(labels, 5) * 3.0, sidekick, labels)
    assert (found.separated, found.swapped().separated) == (("base", "duo"), ("sidekick", "duo"))


def test_a_constant_added_to_an_images_logits_changes_nothing() -> None:
    base, sidekick, labels = logits(2)
    shift = torch.linspace(-50, 50, len(labels), dtype=torch.float64)[:, None]
    assert fit(base.double() + shift, sidekick, labels).temperatures == pytest.approx(
        fit(base, sidekick, labels).temperatures, rel=1e-9
    )


@pytest.mark.parametrize("c", [1e-3, 7.0, 1e4])
def test_scaling_a_models_logits_divides_its_temperature(c: float) -> None:
    base, sidekick, labels = logits(3)
    plain, scaled = fit(base, sidekick, labels), fit(base, sidekick.double() * c, labels)
    assert scaled.temperatures.sidekick * c == pytest.approx(plain.temperatures.sidekick, rel=1e-8)
    assert scaled.temperatures.base == pytest.approx(plain.temperatures.base, rel=1e-8)
    assert scaled.ratio == pytest.approx(plain.ratio, rel=1e-8)
    assert scaled.nll == pytest.approx(plain.nll, rel=1e-12)


def test_noise_gets_little_and_worse_than_noise_exactly_nothing() -> None:
    base, _, labels = logits(4, n=5000)
    noise, against = logits(5, n=5000, quality=(0.0, 0.0))[0], logits(6, n=5000)[0] - 4 * torch.nn.functional.one_hot(labels, 5)
    assert fit(base, noise, labels).temperatures.sidekick < 0.05
    found = fit(base, against, labels)
    assert found.temperatures.sidekick == 0
    assert found.calibration.sidekick == 0
    assert found.temperatures.base == pytest.approx(found.calibration.base, rel=1e-9)
    assert found.nll["duo"] == pytest.approx(found.nll["base"], abs=1e-14)
    assert fit(against, base, labels).temperatures.base == 0


def test_two_models_worse_than_noise_get_nothing() -> None:
    base, sidekick, labels = logits(7, quality=(-2.0, -3.0))
    found = fit(base, sidekick, labels)
    assert found.temperatures == (0, 0)
    assert found.nll["duo"] == pytest.approx(np.log(5))


@pytest.mark.parametrize("c", [1.0, 4.0])
def test_models_that_say_the_same_share_the_weight(c: float) -> None:
    """Only the sum matters; the solution of least norm gives each half."""
    base, _, labels = logits(8)
    found = fit(base, c * base, labels)
    assert found.temperatures.base == pytest.approx(found.calibration.base / 2, rel=1e-6)
    assert found.temperatures.sidekick * c == pytest.approx(found.temperatures.base, rel=1e-6)
    assert found.nll["duo"] == pytest.approx(found.nll["base"], abs=1e-12)


@pytest.mark.parametrize("separated", ["base", "duo"])
def test_a_perfectly_separated_split_stops_at_the_bound_and_says_so(separated: str) -> None:
    base, sidekick, labels = logits(9)
    truth = torch.nn.functional.one_hot(labels, 5).float()
    if separated == "base":
        base = truth * 3
    else:
        base, sidekick = truth * 3 + sidekick, truth * 3 - sidekick
    found = fit(base, sidekick, labels)
    assert separated in found.separated
    assert "duo" in found.separated
    assert all(np.isfinite(found.temperatures))
    assert found.nll["duo"] < 1e-8
    scale = (base - base.mean(1, keepdim=True)).square().mean().sqrt().item()
    assert max(found.temperatures.base, found.calibration.base) * scale <= BOUND * 1.0001


def scaled_reference(models: list[np.ndarray], labels: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """NLL, gradient and diagonal of the Hessian by plain NumPy; a class that any model masks is left out of its row."""
    rows = np.arange(len(labels))
    masked = np.any([np.isneginf(x) for x in models], axis=0)
    away = [np.where(masked, 0.0, x.astype(np.float64)) - x[rows, labels].astype(np.float64)[:, None] for x in models]
    combined = np.where(masked, -np.inf, sum(w * a for w, a in zip(weights, away, strict=True)))
    nll = special.logsumexp(combined, 1)
    p = np.exp(combined - nll[:, None])
    means = [(p * a).sum(1) for a in away]
    second = [((p * a * a).sum(1) - mean**2).mean() for a, mean in zip(away, means, strict=True)]
    return float(nll.mean()), np.array([mean.mean() for mean in means]), np.array(second)


def optimum(models: list[np.ndarray], labels: np.ndarray, near: np.ndarray) -> float:
    """The least NLL that scipy's solver finds from several starts, each weight in units of its own size or curvature."""
    curvature = scaled_reference(models, labels, near)[2]
    unit = np.where(near > 0, near, 1 / np.sqrt(np.maximum(curvature, 1e-300)))

    def nll(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient, _ = scaled_reference(models, labels, x * unit)
        return value, gradient * unit

    bounds, options = [(0, None)] * len(near), {"ftol": 1e-15, "gtol": 1e-12}
    starts = (near / unit, near / unit * 0.5 + 1e-3, near / unit * 1.5 + 1e-2, np.ones(len(near)))
    return min(optimize.minimize(nll, x, jac=True, method="L-BFGS-B", bounds=bounds, options=options).fun for x in starts)


MASKS = {np.float16: (-1e3, -65504.0), np.float32: (-1e3, -1e9, np.finfo("f4").min), np.float64: (-1e3, -1e9, -1e30)}


def masked_column(rng: np.random.Generator, logits: np.ndarray, labels: np.ndarray, low: float) -> np.ndarray:
    """A class that does not occur, masked in every row."""
    return np.c_[logits, np.full(len(logits), low)]


def masked_by_row(rng: np.random.Generator, logits: np.ndarray, labels: np.ndarray, low: float) -> np.ndarray:
    """Some classes of each row, never the label's."""
    out = rng.random(logits.shape) < 0.3
    out[np.arange(len(labels)), labels] = False
    return np.where(out, low, logits)


def outlier(rng: np.random.Generator, logits: np.ndarray, labels: np.ndarray, low: float) -> np.ndarray:
    """One row, right or wrong, with a large margin."""
    logits[rng.integers(len(logits)), rng.integers(logits.shape[1])] += 10 ** rng.uniform(2, 4)
    return logits


def other_scale(rng: np.random.Generator, logits: np.ndarray, labels: np.ndarray, low: float) -> np.ndarray:
    """One row in twenty a thousand times as large."""
    return logits * np.where(rng.random((len(logits), 1)) < 0.05, 1000.0, 1.0)


def other_unit(rng: np.random.Generator, logits: np.ndarray, labels: np.ndarray, low: float) -> np.ndarray:
    return logits * 10 ** rng.uniform(-3, 3)


def whole_numbers(rng: np.random.Generator, logits: np.ndarray, labels: np.ndarray, low: float) -> np.ndarray:
    return np.round(logits)


SPOILED = (masked_column, masked_by_row, outlier, other_scale, other_unit, whole_numbers)


def spoiled(seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Two models as files have them: masked classes, outlying rows, copies; of each dtype."""
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(30, 120)), int(rng.integers(2, 7))
    dtype = (np.float16, np.float32, np.float64)[rng.integers(3)]
    labels, models = rng.integers(0, k, n), []
    for quality in rng.uniform(-0.5, 2, 2):
        logits = rng.normal(size=(n, k)) + quality * np.eye(k)[labels]
        low = rng.choice([*MASKS[dtype], -np.inf])
        models.append(SPOILED[rng.integers(len(SPOILED))](rng, logits, labels, low))
    if rng.random() < 0.15:
        models[1] = models[0] * rng.choice([1.0, 3.0])
    width = max(x.shape[1] for x in models)
    models = [x if x.shape[1] == width else np.c_[x, np.full(n, rng.choice([-np.inf, -1e4]))] for x in models]
    most = float(np.finfo(dtype).max)
    return [np.where(np.isneginf(x), x, np.clip(x, -most, most)).astype(dtype) for x in models], labels


@pytest.mark.parametrize("part", range(tried(1, 8)))
def test_masks_outliers_and_copies_leave_the_optimum(part: int) -> None:
    """250 problems each: the NLL is that of scipy's optimum, of the pair and of each model alone."""
    separated = 0
    for seed in range(250 * part, 250 * (part + 1)):
        models, labels = spoiled(seed)
        with np.errstate(over="ignore"):
            found = fit(*(torch.from_numpy(x) for x in models), torch.from_numpy(labels))
        if found.separated:
            separated += 1
            continue
        weights = np.array(found.temperatures)
        nll, _, _ = scaled_reference(models, labels, weights)
        assert found.nll["duo"] == pytest.approx(nll, abs=1e-9), seed
        assert found.nll["duo"] <= optimum(models, labels, weights) + 1e-9, seed
        for x, weight, name in zip(models, found.calibration, ("base", "sidekick"), strict=True):
            alone, _, _ = scaled_reference([x], labels, np.array([weight]))
            assert found.nll[name] == pytest.approx(alone, abs=1e-9), seed
            assert found.nll[name] <= optimum([x], labels, np.array([weight])) + 1e-9, seed
    assert separated < 25


@pytest.mark.parametrize("low", [-1e3, -1e9, -65504.0, np.finfo("f4").min, np.finfo("f8").min, -np.inf])
@pytest.mark.parametrize("by_row", [False, True])
def test_a_mask_does_not_move_the_fit(low: float, by_row: bool) -> None:
    base, sidekick, labels = (a.double() if a.is_floating_point() else a for a in logits(11))
    if by_row:  # of rows that the models tell apart by the other classes
        column = torch.full((300, 1), low, dtype=torch.float64)
        masked = [torch.cat([x[:, :2], column, x[:, 2:]], 1) for x in (base, sidekick)]
        labels_masked = labels + (labels >= 2)
    else:
        masked = [torch.cat([x, torch.full((300, 2), low, dtype=torch.float64)], 1) for x in (base, sidekick)]
        labels_masked = labels
    plain, found = fit(base, sidekick, labels), fit(*masked, labels_masked)
    assert found.temperatures == pytest.approx(plain.temperatures, rel=1e-9)
    assert found.calibration == pytest.approx(plain.calibration, rel=1e-9)
    assert found.nll == pytest.approx(plain.nll, abs=1e-12)
    assert found.separated == ()


@pytest.mark.parametrize("factor", [1e300, 1e-300, 1e150, -1e300])
def test_any_finite_number_is_a_logit(factor: float) -> None:
    base, sidekick, labels = (a.double() if a.is_floating_point() else a for a in logits(12))
    plain, found = fit(base * np.sign(factor), sidekick, labels), fit(base / 10 * factor, sidekick, labels)
    assert found.temperatures.base * abs(factor) / 10 == pytest.approx(plain.temperatures.base, rel=1e-9)
    assert found.temperatures.sidekick == pytest.approx(plain.temperatures.sidekick, rel=1e-9)
    assert found.nll == pytest.approx(plain.nll, rel=1e-12)


@pytest.mark.parametrize("margin", [1e2, 1e4, 1e6])
def test_separated_is_said_of_the_data_alone(margin: float) -> None:
    """A sure row does not separate the others, however sure it is; and separated rows stay so however slight their margins."""
    base, sidekick, labels = logits(13)
    base[0, labels[0]] += margin
    assert fit(base, sidekick, labels).separated == ()
    right = torch.nn.functional.one_hot(labels, 5) / margin
    found = fit(right, sidekick, labels)
    assert found.separated == ("base", "duo")
    assert found.ratio is None
    assert found.calibration.base == pytest.approx(BOUND * margin)


def test_only_some_weightings_separate() -> None:
    """The second model mends the first's one mistake in a narrow range of ratios, and nowhere else."""
    base = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    sidekick = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.1]])
    assert fit(base, sidekick, torch.tensor([0, 1, 1])).separated == ("duo",)
    assert fit(base, sidekick, torch.tensor([0, 0, 1])).separated == ("duo",)  # at equal weights, where two rows tie
    assert fit(base, sidekick * torch.tensor([[1.0], [1.0], [0.8]]), torch.tensor([0, 0, 1])).separated == ()


def test_minus_infinity_at_the_label_is_refused() -> None:
    base, sidekick, labels = logits(14)
    base[3, labels[3]] = -torch.inf
    with pytest.raises(InputError, match=r"infinite values in 1 rows; -inf is read as a masked class, but not at the label"):
        fit(base, sidekick, labels)


def test_one_image_and_one_class() -> None:
    found = fit(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([0]))
    assert found.temperatures.sidekick == 0
    assert found.separated == ("base", "duo")
    alone = fit(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [0.0]]), torch.tensor([0, 0]))
    assert alone.temperatures == (0, 0)


@pytest.mark.parametrize(
    ("base", "labels", "message"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), r"expected base logits of shape \(n, k\)"),
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), r"n and k at least 1, got \(0, 3\)"),
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64), "got base logits 3, labels 2"),
        (torch.zeros(3, 2), torch.tensor([0, 1, 2]), r"expected labels in 0\.\.1, got 0\.\.2"),
        (torch.tensor([[0.0, float("nan")]] * 3), torch.zeros(3, dtype=torch.int64), "finite base logits.* in 3 rows"),
        (torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64), r"of one shape, got \(3, 4\) and \(3, 2\)"),
    ],
)
def test_wrong_input_is_one_sentence(base: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit(base, torch.zeros(3, 2), labels)


def test_inputs_are_not_changed() -> None:
    data = logits(10)
    copies = [tensor.clone() for tensor in data]
    fit(*data)
    assert all(torch.equal(a, b) for a, b in zip(data, copies, strict=True))


def test_variants_weigh_as_the_paper_says() -> None:
    found = Fit(Temperatures(0.9, 0.3), Temperatures(1.2, 0.8), {}, 0.0, 1)
    weights = {key: variant.weights(found) for key, variant in VARIANTS.items()}
    assert weights == {"base": (1.2, 0), "sidekick": (0, 0.8), "duo": (0.9, 0.3), "unweighted": (0.6, 0.4), "uq_only": (0.9, 0.3)}
    assert [key for key, variant in VARIANTS.items() if variant.classes == "base"] == ["base", "uq_only"]
    assert found.ratio == pytest.approx((0.9 / 1.2) / (0.3 / 0.8))


def test_a_mask_stays_one_in_the_combination() -> None:
    base, sidekick = torch.tensor([[1.0, -torch.inf, 0.0]]), torch.tensor([[0.0, 2.0, -torch.inf]])
    assert combine(base, sidekick, Temperatures(1.0, 1.0)).tolist() == [[1.0, -torch.inf, -torch.inf]]
    assert combine(base, sidekick, Temperatures(2.0, 0.0)).tolist() == [[2.0, -torch.inf, -torch.inf]]


def test_combine_takes_half_precision() -> None:
    combined = combine(torch.tensor([[1.0, 2.0]]).half(), torch.tensor([[1.0, 0.0]]).half(), Temperatures(1.0, 0.1))
    assert combined.dtype == torch.float64
    assert combined.tolist() == [[1.1, 2.0]]
