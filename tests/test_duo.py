"""The fit: optimal, bounded, and obeying its laws; checked against scipy's solver and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from duo_core.arrays import InputError
from duo_core.duo import BOUND, VARIANTS, Fit, Temperatures, combine, fit


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


def test_combine_takes_half_precision() -> None:
    combined = combine(torch.tensor([[1.0, 2.0]]).half(), torch.tensor([[1.0, 0.0]]).half(), Temperatures(1.0, 0.1))
    assert combined.dtype == torch.float64
    assert combined.tolist() == [[1.1, 2.0]]
