"""Masks, rows of another scale and ties in logits, of any dtype and together."""

import numpy as np
import pytest

from duo_core.formats.oddities import oddities


def logits(rng: np.random.Generator, n: int = 300, k: int = 8) -> np.ndarray:
    return rng.normal(size=(n, k)) * 4


def test_sound_logits_have_nothing_odd(rng: np.random.Generator) -> None:
    found = oddities([logits(rng), logits(rng, 50)])
    assert (found.mask, found.masked, found.masked_classes, found.tied) == (None, 0, 0, 0)
    assert found.extreme.shape == (350,)
    assert not found.extreme.any()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("low", [-1e3, -6e4, -np.inf])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_masks_are_found_beside_rows_of_another_scale(rng: np.random.Generator, dtype: str, low: float, share: float) -> None:
    sound = logits(rng, k=20)
    sound[7] *= 1000
    out = rng.random(sound.shape) < share
    out[:, :2] = False
    found = oddities([np.clip(np.where(out, low, sound), -np.inf, 6.5e4).astype(dtype)])
    if low < -1e4:  # above that, a row of another scale has logits as low as the masks
        assert found.mask == np.asarray(low, dtype)
        assert found.masked == pytest.approx(out.mean())
        assert found.masked_classes == out.any(0).sum()
        assert found.extreme.tolist() == [row == 7 for row in range(300)]


def test_one_low_logit_is_no_mask(rng: np.random.Generator) -> None:
    sound = logits(rng)
    sound[3, 2] = -1e6
    found = oddities([sound])
    assert found.mask is None
    assert np.flatnonzero(found.extreme).tolist() == [3]


@pytest.mark.parametrize("values", [(0.0, 1.0), (-2.5,), tuple(range(4))])
def test_ties_are_counted(rng: np.random.Generator, values: tuple[float, ...]) -> None:
    few = rng.choice(values, size=(100, 5))
    assert oddities([few[:40], few[40:]]).tied == sum((row == row.max()).sum() > 1 for row in few)
