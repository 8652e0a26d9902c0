"""The surface against an exact sum at every grid point; its bottom against the fit; marks where the variants are."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import duo_core.analysis.bowl
from duo_core.analysis.bowl import bowl, reach
from duo_core.common.arrays import InputError
from duo_core.systems.duo import Fit, Temperatures
from duo_core.systems.fitting import fit


@pytest.fixture
def pair(rng):
    labels = torch.from_numpy(rng.integers(0, 6, 500))
    shared = rng.normal(size=(500, 6))
    logits = [torch.from_numpy(shared + rng.normal(size=(500, 6))) * scale for scale in (3.0, 0.4)]
    for one, strength in zip(logits, (6.0, 0.6), strict=True):
        one[range(500), labels] += strength
    return (*logits, labels)


def exact(base, sidekick, labels, surface):
    """The definition, one grid point after the other."""
    return np.array(
        [[cross_entropy(s * base.double() + t * sidekick.double(), labels).item() for s in surface.base] for t in surface.sidekick]
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_every_grid_point_is_the_nll_there(pair, dtype):
    base, sidekick, labels = pair[0].to(dtype), pair[1].to(dtype), pair[2]
    surface = bowl(base, sidekick, labels, fit(base, sidekick, labels), points=7)
    assert surface.nll.shape == (7, 7)
    np.testing.assert_allclose(surface.nll, exact(base, sidekick, labels, surface), atol=1e-5)


def test_rows_are_the_sidekicks_temperatures_and_columns_the_bases(pair):
    found = fit(*pair)
    surface = bowl(*pair, found, points=5)
    assert surface.base[-1] == pytest.approx(reach(found, "base"))
    assert surface.sidekick[-1] == pytest.approx(reach(found, "sidekick"))
    alone = cross_entropy(surface.base[-1] * pair[0], pair[2]).item()
    assert surface.nll[0, -1] == pytest.approx(alone, abs=1e-5)
    assert surface.nll[0, 0] == pytest.approx(np.log(6))


def test_no_grid_point_lies_below_the_learned_temperatures_and_the_nearest_is_close(pair):
    found = fit(*pair)
    surface = bowl(*pair, found)
    assert surface.nll.min() >= found.nll["duo"] - 1e-5
    lowest = np.unravel_index(surface.nll.argmin(), surface.nll.shape)
    assert abs(surface.base[lowest[1]] - found.temperatures.base) <= surface.base[1]
    assert abs(surface.sidekick[lowest[0]] - found.temperatures.sidekick) <= surface.sidekick[1]


def test_the_surface_is_convex_along_every_row_column_and_diagonal(pair):
    nll = bowl(*pair, fit(*pair)).nll
    for lines in (nll, nll.T, [nll.diagonal(d) for d in range(-30, 31)], [nll[::-1].diagonal(d) for d in range(-30, 31)]):
        for line in lines:
            assert (np.diff(line, 2) > -1e-6).all()


def test_a_constant_added_to_an_images_logits_changes_nothing(pair, rng):
    base, sidekick, labels = pair
    found = fit(*pair)
    moved = bowl(base + torch.from_numpy(rng.normal(size=(500, 1))) * 100, sidekick - 50, labels, found, points=5)
    np.testing.assert_allclose(moved.nll, bowl(*pair, found, points=5).nll, atol=1e-5)


def test_blocks_do_not_matter(pair, monkeypatch):
    found = fit(*pair)
    whole = bowl(*pair, found, points=5).nll
    monkeypatch.setattr(duo_core.analysis.bowl, "_BLOCK", 60)
    np.testing.assert_allclose(bowl(*pair, found, points=5).nll, whole, atol=1e-9)


def test_models_that_are_sure_of_different_classes_do_not_overflow():
    """Each rules out the other's class by e^-4000: every product of two exponentials is 0, even in double precision."""
    base = torch.tensor([[4000.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    sidekick = torch.tensor([[0.0, 4000.0, 0.0], [0.0, 1.0, 0.0]])
    labels = torch.tensor([2, 0])
    found = Fit(Temperatures(1.0, 1.0), Temperatures(1.0, 1.0), {}, 0.0, 1)
    surface = bowl(base, sidekick, labels, found, points=5)
    np.testing.assert_allclose(surface.nll, exact(base, sidekick, labels, surface), rtol=1e-6, atol=1e-6)
    assert surface.nll.max() == pytest.approx(4000, rel=1e-3)


def test_a_large_split_is_sampled_by_class_and_says_how_many_images_counted(pair, monkeypatch):
    monkeypatch.setattr(duo_core.analysis.bowl, "LOGITS", 6 * 60)
    base, sidekick, labels = pair
    found = fit(*pair)
    surface = bowl(*pair, found, points=3)
    assert surface.images == 60
    rows = duo_core.analysis.bowl.stratified_sample(labels, 60, duo_core.analysis.bowl.SEED)
    np.testing.assert_allclose(surface.nll, exact(base[rows], sidekick[rows], labels[rows], surface), atol=1e-5)
    np.testing.assert_array_equal(surface.nll, bowl(*pair, found, points=3).nll)


@pytest.mark.parametrize(
    ("temperatures", "calibration", "far"),
    [((0.5, 0.2), (0.8, 0.1), (1.6, 0.4)), ((0.0, 0.3), (0.0, 0.3), (1.0, 0.6))],
)
def test_the_grid_holds_every_variant_at_half_its_length_or_less(temperatures, calibration, far):
    found = Fit(Temperatures(*temperatures), Temperatures(*calibration), {}, 0.0, 1)
    assert (reach(found, "base"), reach(found, "sidekick")) == pytest.approx(far)


def test_wrong_input_is_named(pair):
    found = fit(*pair)
    with pytest.raises(InputError, match="expected at least 2 grid points along an axis, got 1"):
        bowl(*pair, found, points=1)
    with pytest.raises(InputError, match="got base 500, sidekick 500, labels 400"):
        bowl(pair[0], pair[1], pair[2][:400], found)
