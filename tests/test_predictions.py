"""Predictions against a plain softmax in exact or double arithmetic, and the laws that every metric and variant obeys.

Each law has a mutant, a metric or a reduction with a known flaw, that fails it.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import special

from duo_core.common.arrays import InputError, Predictions
from duo_core.metrics import definitions as m
from duo_core.systems import pair_predicting as p
from duo_core.systems.duo import VARIANTS, Fit, Temperatures

FIT = Fit(Temperatures(0.9, 0.4), Temperatures(1.3, 0.7), {}, 0.0, 1)


def data(
    n: int = 400, k: int = 6, seed: int = 0, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(k, (n,), generator=generator)
    truth = torch.nn.functional.one_hot(labels, k)
    return *((q * truth + torch.randn(n, k, generator=generator)).to(dtype) for q in (3, 1)), labels  # type: ignore[return-value]


def reference(base: torch.Tensor, sidekick: torch.Tensor, labels: torch.Tensor, variant: str) -> dict[str, np.ndarray]:
    """The paper's formulas, an image at a time."""
    b, s = base.double().numpy(), sidekick.double().numpy()
    f = {
        "base": FIT.calibration.base * b,
        "sidekick": FIT.calibration.sidekick * s,
        "duo": FIT.temperatures.base * b + FIT.temperatures.sidekick * s,
        "unweighted": (FIT.calibration.base * b + FIT.calibration.sidekick * s) / 2,
        "uq_only": FIT.temperatures.base * b + FIT.temperatures.sidekick * s,
    }[variant]
    rows, y = np.arange(len(labels)), labels.numpy()
    probability = special.softmax(f, 1)
    predicted = {"base": b, "uq_only": b, "sidekick": s}.get(variant, f).argmax(1)
    others = [np.delete(row, c).sum() for row, c in zip(probability, predicted, strict=True)]
    return {
        "predicted": predicted,
        "confidence": probability[rows, predicted],
        "doubt": np.array(others),
        "entropy": special.entr(probability).sum(1),
        "nll": -special.log_softmax(f, 1)[rows, y],
        "brier": ((probability - np.eye(f.shape[1])[y]) ** 2).sum(1),
    }


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_every_variant_is_its_formula(variant: str, dtype: torch.dtype) -> None:
    arrays = data(dtype=dtype)
    found = p.variant_predictions(*arrays, FIT, variants=[variant])[variant]
    for name, expected in reference(*arrays, variant).items():
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-11, atol=1e-14, err_msg=name)


def many_classes(n: int = 300, k: int = 1000) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """So many that sums are single precision, of confident and of lost images."""
    base, sidekick, labels = data(n, k)
    strength = torch.linspace(0, 5, n)[:, None]
    return base * strength, sidekick * strength, labels


@pytest.mark.parametrize("variant", VARIANTS)
def test_single_precision_is_the_formula_within_a_millionth(variant: str) -> None:
    arrays = many_classes()
    found = p.variant_predictions(*arrays, FIT, variants=[variant])[variant]
    expected = reference(*arrays, variant)
    np.testing.assert_array_equal(found.predicted, expected.pop("predicted"))
    for name, column in expected.items():
        # What is summed are the exponentials of distances; a large one carries its own rounding.
        np.testing.assert_allclose(getattr(found, name), column, rtol=4e-6, atol=1e-9, err_msg=name)


def test_metrics_in_single_precision_are_those_in_double() -> None:
    base, sidekick, labels = many_classes(2000)
    single = p.variant_predictions(base, sidekick, labels, FIT)
    for key, found in p.variant_predictions(base.double(), sidekick.double(), labels, FIT).items():
        assert m.metrics(single[key]) == pytest.approx(m.metrics(found), rel=1e-6)
        np.testing.assert_array_equal(single[key].predicted, found.predicted)


@pytest.mark.parametrize("k", [6, 1000])
def test_near_and_true_ties_are_told_apart_in_any_precision(k: int) -> None:
    """Combined logits that differ by less than single precision sees, or not at all: the class is that of the double sum."""
    generator = torch.Generator().manual_seed(3)
    base, sidekick = (torch.randint(0, 3, (500, k), generator=generator).float() for _ in range(2))
    base[::2] += torch.randn(250, k, generator=generator) * 1e-7
    labels = torch.randint(k, (500,), generator=generator)
    for weights in (
        Temperatures(1.0, 1.0),
        Temperatures(0.3, 0.3),
        Temperatures(0.7, 0.1),
        Temperatures(0.0, 1.0),
        Temperatures(0.0, 0.0),
    ):
        found = p.pair_predictions(base, sidekick, labels, weights)
        combined = weights.base * base.double().numpy() + weights.sidekick * sidekick.double().numpy()
        np.testing.assert_array_equal(found.predicted, combined.argmax(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_and_minus_zero_tie(dtype: torch.dtype) -> None:
    base = torch.tensor([[-1.0, -0.0, 0.0], [-1.0, 0.0, -0.0], [-2.0, -1.0, -1.0]], dtype=dtype)
    found = p.variant_predictions(base, base, torch.tensor([1, 1, 1]), FIT)
    assert all(one.predicted.tolist() == [1, 1, 1] for one in found.values())


@pytest.mark.parametrize("bad", [torch.nan, -torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("k", [6, 1000])
def test_no_infinite_logit_slips_through(bad: float, k: int) -> None:
    """Minus infinity is a masked class, which that of the label cannot be."""
    base, sidekick, labels = data(k=k)
    labels[7] = k - 1
    sidekick[7, k - 1] = bad
    with pytest.raises(InputError, match="in row 7"):
        p.pair_predictions(base, sidekick, labels, Temperatures(1.0, 1.0))


@pytest.mark.parametrize("k", [6, 1000])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_masked_class_is_left_out_of_its_row(k: int, dtype: torch.dtype) -> None:
    """By every system that has the model, whatever its weight; a model alone knows nothing of the other's masks."""
    base, sidekick, labels = (a.to(dtype) if a.is_floating_point() else a for a in data(k=k))
    masks = [torch.rand(base.shape, generator=torch.Generator().manual_seed(i)) < 0.3 for i in (1, 2)]
    for logits, mask in zip((base, sidekick), masks, strict=True):
        mask[torch.arange(len(labels)), labels] = False
        logits[mask] = -torch.inf
    for key, one in p.variant_predictions(base, sidekick, labels, FIT).items():
        weights, whose = VARIANTS[key].weights(FIT), VARIANTS[key].classes
        both = key in ("duo", "unweighted", "uq_only")
        members = [x.double() * w for x, w in zip((base, sidekick), weights, strict=True) if both or w]
        logits = sum(members[1:], members[0])
        probabilities = logits.softmax(1).numpy()
        predicted = (base if whose == "base" else logits).argmax(1).numpy()
        np.testing.assert_array_equal(one.predicted, predicted)
        rows = np.arange(len(labels))
        np.testing.assert_allclose(one.confidence, probabilities[rows, predicted], rtol=1e-5, atol=1e-12)
        np.testing.assert_allclose(one.nll, -np.log(probabilities[rows, labels]), rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(one.entropy, special.entr(probabilities).sum(1), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("k", [5, 200])
@pytest.mark.parametrize("values", [(0.1, 0.7), (-3.3, 0.2, 2.9), tuple(range(7)), (0.1,)])
def test_a_permutation_of_classes_changes_nothing(k: int, values: tuple[float, ...]) -> None:
    """Few different logits make many rows that differ in the order of classes alone; they tie to the last bit."""
    rng = np.random.default_rng(k)
    labels = rng.integers(0, k, 900)
    models = []
    for quality, lead in ((0.8, 9.1), (0.6, 1.1)):
        logits = rng.choice(values, size=(900, k)).astype(float)
        said = np.where(rng.random(900) < quality, labels, rng.integers(0, k, 900))
        # One class leads: of tied ones the lowest is predicted, which is a matter of order.
        logits[np.arange(900), said] = max(values) + lead
        models.append(logits)
    order = rng.permutation(k)
    at = np.argsort(order)
    found = p.variant_predictions(*(torch.from_numpy(x) for x in models), torch.from_numpy(labels), FIT)
    other = p.variant_predictions(*(torch.from_numpy(x[:, order].copy()) for x in models), torch.from_numpy(at[labels]), FIT)
    for key, one in found.items():
        for kind in ("softmax", "entropy"):
            ranked = [x.ranked_by(kind) for x in (one, other[key])]
            assert m.metrics(ranked[0]) == pytest.approx(m.metrics(ranked[1]), rel=1e-13, abs=1e-15)
            assert len(np.unique(ranked[0].uncertainty)) == len(np.unique(ranked[1].uncertainty))


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = data()
    whole = p.variant_predictions(*arrays, FIT)
    monkeypatch.setattr(p, "_ELEMENTS", 84)
    for key, found in p.variant_predictions(*arrays, FIT).items():
        assert m.metrics(found) == pytest.approx(m.metrics(whole[key]), rel=1e-12)
        np.testing.assert_array_equal(found.predicted, whole[key].predicted)


def test_doubt_does_not_saturate() -> None:
    """Where 1 - p rounds to 0, the images are still told apart."""
    base = torch.tensor([[60.0, 0.0], [80.0, 0.0], [600.0, 0.0]])
    found = p.pair_predictions(base, base, torch.tensor([0, 0, 1]), Temperatures(1.0, 0.0))
    assert (found.confidence == 1).all()
    np.testing.assert_allclose(found.doubt, np.exp([-60.0, -80.0, -600.0]))
    np.testing.assert_allclose(found.nll, [np.exp(-60.0), np.exp(-80.0), 600.0])
    np.testing.assert_allclose(found.brier, [2 * np.exp(-120.0), 2 * np.exp(-160.0), 2.0])


def test_ties_go_to_the_lowest_class() -> None:
    base = torch.tensor([[1.0, 3.0, 3.0], [0.0, 0.0, 0.0]])
    found = p.variant_predictions(base, base, torch.tensor([2, 0]), FIT)
    assert all(one.predicted.tolist() == [1, 0] for one in found.values())
    np.testing.assert_allclose(found["base"].doubt[1], 2 / 3)


def test_adjacent_floats_are_no_tie() -> None:
    """A temperature must not round two different logits into one."""
    low = np.float32(1.1)
    base = torch.tensor([[low, np.nextafter(low, np.float32(2))]])
    found = p.variant_predictions(base, base, torch.tensor([1]), FIT)
    assert {key: one.predicted.item() for key, one in found.items()} == dict.fromkeys(VARIANTS, 1)


def test_a_calibration_of_zero_keeps_the_class() -> None:
    zero = Fit(Temperatures(1.0, 0.0), Temperatures(1.0, 0.0), {}, 0.0, 1)
    base, sidekick, labels = data()
    found = p.variant_predictions(base, sidekick, labels, zero)
    np.testing.assert_array_equal(found["sidekick"].predicted, sidekick.argmax(1))
    np.testing.assert_allclose(found["sidekick"].doubt, 5 / 6)


def test_entropy_ranks_when_asked() -> None:
    found = p.variant_predictions(*data(), FIT, kind="entropy")["duo"]
    np.testing.assert_array_equal(found.uncertainty, found.entropy)
    np.testing.assert_array_equal(found.ranked_by("softmax").uncertainty, found.doubt)


def test_values_that_are_no_numbers_are_refused() -> None:
    base, sidekick, labels = data()
    base[3, 1] = torch.nan
    with pytest.raises(InputError, match="NaN or an infinite value in row 3"):
        p.variant_predictions(base, sidekick, labels, FIT)


def test_lengths_must_agree() -> None:
    base, sidekick, labels = data()
    with pytest.raises(InputError, match="one length, got base 400, sidekick 399, labels 400"):
        p.pair_predictions(base, sidekick[1:], labels, FIT.temperatures)


# The laws, over every variant and every metric.

Metric = Callable[[Predictions], float | None]
Law = Callable[[str, Metric], None]


def value(metric: Metric, variant: str, arrays: tuple[torch.Tensor, torch.Tensor, torch.Tensor], fit: Fit = FIT) -> float | None:
    return metric(p.variant_predictions(*arrays, fit, variants=[variant])[variant])


def same(one: float | None, other: float | None) -> None:
    assert one == pytest.approx(other, rel=1e-9, abs=1e-12)


def tied(arrays: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of the first 25 images over and over, with the labels of all: blocks of ties that hold right and wrong images."""
    again = torch.arange(len(arrays[2])) % 25
    return arrays[0][again], arrays[1][again], arrays[2]


def order_of_images(variant: str, metric: Metric) -> None:
    arrays = tied(data())
    shuffled = torch.randperm(len(arrays[2]), generator=torch.Generator().manual_seed(1))
    same(value(metric, variant, arrays), value(metric, variant, tuple(a[shuffled] for a in arrays)))  # type: ignore[arg-type]


def permutation_of_classes(variant: str, metric: Metric) -> None:
    base, sidekick, labels = data()
    places = torch.tensor([3, 0, 5, 1, 4, 2])
    same(
        value(metric, variant, (base, sidekick, labels)),
        value(metric, variant, (base[:, places], sidekick[:, places], places.argsort()[labels])),
    )


def constant_added_to_a_row(variant: str, metric: Metric) -> None:
    base, sidekick, labels = data(dtype=torch.float64)
    shift = torch.linspace(-40, 40, len(labels))[:, None]
    same(value(metric, variant, (base, sidekick, labels)), value(metric, variant, (base + shift, sidekick - 3 * shift, labels)))


def scale_of_a_model(variant: str, metric: Metric) -> None:
    base, sidekick, labels = data(dtype=torch.float64)
    scaled = replace(FIT, temperatures=Temperatures(0.9, 0.4 / 8), calibration=Temperatures(1.3, 0.7 / 8))
    same(value(metric, variant, (base, sidekick, labels)), value(metric, variant, (base, 8 * sidekick, labels), scaled))


def inputs_stay(variant: str, metric: Metric) -> None:
    arrays = data()
    found = p.variant_predictions(*arrays, FIT, variants=[variant])[variant]
    columns = {
        name: getattr(found, name).copy() for name in ("labels", "predicted", "confidence", "doubt", "entropy", "nll", "brier")
    }
    metric(found)
    assert all(torch.equal(a, b) for a, b in zip(arrays, data(), strict=True))
    assert all((getattr(found, name) == column).all() for name, column in columns.items())


def repeated_images(variant: str, metric: Metric) -> None:
    """Every image twice: fractions and ranks stay. AURC has steps of 1/n, so it stays within 1/n."""
    arrays = data()
    doubled = tuple(a.repeat_interleave(2, 0) for a in arrays)
    assert value(metric, variant, arrays) == pytest.approx(value(metric, variant, doubled), abs=0.5 / 400)  # type: ignore[arg-type]


LAWS: list[Law] = [order_of_images, permutation_of_classes, constant_added_to_a_row, scale_of_a_model, inputs_stay, repeated_images]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("key", m.METRICS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_laws_hold(variant: str, key: str, law: Law) -> None:
    law(variant, m.METRICS[key].value)


def order_dependent_aurc(found: Predictions) -> float:
    wrong = ~found.correct[np.argsort(found.uncertainty, kind="stable")]
    return float(np.mean(np.cumsum(wrong) / np.arange(1, len(wrong) + 1)))


def sorting_in_place(found: Predictions) -> float:
    found.doubt.sort()
    return 0.0


MUTANTS: list[tuple[Law, Metric]] = [
    (order_of_images, order_dependent_aurc),
    (permutation_of_classes, lambda found: float(found.predicted.mean())),
    (inputs_stay, sorting_in_place),
    (repeated_images, lambda found: float(found.nll.sum())),
]


@pytest.mark.parametrize(("law", "mutant"), MUTANTS, ids=lambda part: getattr(part, "__name__", "mutant"))
def test_laws_catch_their_mutants(law: Law, mutant: Metric) -> None:
    with pytest.raises(AssertionError):
        law("duo", mutant)


@pytest.mark.parametrize("law", [constant_added_to_a_row, scale_of_a_model], ids=lambda law: law.__name__)
def test_laws_catch_a_flawed_reduction(law: Law, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reduction that clips the logits sees neither shifts nor scales rightly."""
    real = p._copy

    def clipped(logits: torch.Tensor, own: np.ndarray) -> None:
        real(logits.clip(max=2.0), own)

    monkeypatch.setattr(p, "_copy", clipped)
    with pytest.raises(AssertionError):
        law("duo", m.METRICS["nll"].value)


@pytest.mark.parametrize("key", ["auroc", "aurc", "sac98"])
def test_ranking_sees_only_the_order(key: str) -> None:
    found = p.variant_predictions(*data(), FIT)["duo"]
    for increasing in (np.cbrt, np.exp, lambda u: 3 * u - 1):
        assert m.METRICS[key].value(replace(found, doubt=increasing(found.doubt))) == m.METRICS[key].value(found)
    decreasing = m.METRICS[key].value(replace(found, doubt=-found.doubt))
    assert decreasing != m.METRICS[key].value(found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_values_lie_in_their_ranges(variant: str) -> None:
    for seed in range(5):
        values = m.metrics(p.variant_predictions(*data(50, seed=seed), FIT, variants=[variant])[variant])
        assert values["nll"] is not None
        assert values["nll"] >= 0
        assert values["brier"] is not None
        assert 0 <= values["brier"] <= 2
        assert all(v is None or 0 <= v <= 1 for key, v in values.items() if key not in {"nll", "brier"})


def test_a_perfect_model_has_perfect_scores() -> None:
    _, sidekick, labels = data()
    truth = 1000.0 * torch.nn.functional.one_hot(labels, 6)
    values = m.metrics(p.variant_predictions(truth, sidekick, labels, FIT)["base"])
    assert values == {key: None if key == "auroc" else metric.perfect for key, metric in m.METRICS.items()}
