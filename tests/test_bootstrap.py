"""Metrics on counted images against the same images written out; draws that are uniform and the same on any number of cores."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from effort import tried
from hypothesis import given
from hypothesis import strategies as st

from duo_core.common import parallel
from duo_core.common.arrays import InputError, Predictions
from duo_core.metrics import bootstrap
from duo_core.metrics import definitions as m


def images(rng: np.random.Generator, n: int, k: int = 5, accuracy: float = 0.8, digits: int = 17) -> Predictions:
    """Predictions that mean nothing but have the right ranges; few digits make ties. The labels depend on n and k alone."""
    labels = np.random.default_rng(n).integers(k, size=n)
    predicted = np.where(rng.random(n) < accuracy, labels, (labels + 1) % k)
    confidence, entropy = rng.beta(5, 1, n).round(digits), rng.random(n).round(digits)
    return Predictions(labels, predicted, confidence, 1 - confidence, entropy, rng.exponential(size=n), 2 * rng.random(n))


def agree(found: dict[str, float | None], expected: dict[str, float | None]) -> None:
    assert {key: value is None for key, value in found.items()} == {key: value is None for key, value in expected.items()}
    assert {key: value for key, value in found.items() if value is not None} == pytest.approx(
        {key: value for key, value in expected.items() if value is not None}, abs=1e-12, rel=1e-12
    )


def ranked(right: np.ndarray, uncertainty: np.ndarray) -> Predictions:
    zeros = np.zeros(len(right))
    return Predictions(zeros.astype(int), (~right).astype(int), 1 - uncertainty, uncertainty, zeros, zeros, zeros)


SORTS = [(1, 2, 0.5, 17), (2, 2, 0.5, 17), (7, 2, 0.5, 1), (50, 3, 0.0, 17), (50, 3, 1.0, 1), (400, 30, 0.9, 2), (400, 5, 0.8, 0)]


@pytest.mark.parametrize(("n", "k", "accuracy", "digits"), [*SORTS, (20_000, 100, 0.9, 17)])
def test_every_image_once_is_the_metric(rng: np.random.Generator, n: int, k: int, accuracy: float, digits: int) -> None:
    for predictions in (images(rng, n, k, accuracy, digits), images(rng, n, k, accuracy, digits).ranked_by("entropy")):
        agree(bootstrap.weighted_metrics(predictions, np.ones(n, int)), m.metrics(predictions))


@pytest.mark.parametrize(("n", "k", "accuracy", "digits"), SORTS)
def test_a_draw_is_its_images_written_out(rng: np.random.Generator, n: int, k: int, accuracy: float, digits: int) -> None:
    """Ties, one image, one kind of outcome; each of a pair on the same draw."""
    pair = [images(rng, n, k, accuracy, digits), images(rng, n, k, 0.7, 17)]
    replicates = tried(10, 30)
    drawn = bootstrap.metrics_on_draws(pair, tuple(m.METRICS), replicates, seed=3)
    for replicate, taken in enumerate(bootstrap.counts(n, replicates, seed=3)):
        for system, predictions in enumerate(pair):
            expected = m.metrics(predictions.take(np.repeat(np.arange(n), taken)))
            agree(bootstrap.weighted_metrics(predictions, taken), expected)
            found = dict(zip(m.METRICS, drawn[system, replicate].tolist(), strict=True))
            agree({key: None if np.isnan(value) else value for key, value in found.items()}, expected)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.integers(0, 60)), min_size=1, max_size=12))
def test_counts_of_any_size_are_their_images_written_out(rows: list[tuple[bool, float, int]]) -> None:
    right, uncertainty, taken = (np.array(column) for column in zip(*[*rows, (True, 0.0, 1)], strict=True))
    predictions = ranked(right, uncertainty)
    written_out = predictions.take(np.repeat(np.arange(len(right)), taken))
    agree(bootstrap.weighted_metrics(predictions, taken), m.metrics(written_out))


@pytest.mark.parametrize(("taken", "reached"), [([49, 1, 0], 1.0), ([48, 1, 0], 48 / 49), ([48, 1, 1], 1.0), ([0, 1, 49], 1.0)])
def test_sac_compares_counts(taken: list[int], reached: float) -> None:
    """49 right of 50 is 98 % exactly."""
    predictions = ranked(np.array([True, False, True]), np.array([0.1, 0.2, 0.3]))
    assert bootstrap.weighted_metrics(predictions, np.array(taken), ["sac98"]) == {"sac98": reached}


def test_only_the_metrics_asked_for_in_their_order(rng: np.random.Generator) -> None:
    predictions = images(rng, 60)
    whole = bootstrap.metrics_on_draws([predictions], tuple(m.METRICS), 5, seed=0)
    some = bootstrap.metrics_on_draws([predictions], ("sac98", "nll", "macro_f1"), 5, seed=0)
    at = [list(m.METRICS).index(key) for key in ("sac98", "nll", "macro_f1")]
    np.testing.assert_array_equal(some, whole[:, :, at])


def test_draws_do_not_depend_on_the_number_of_threads(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = [images(rng, 300), images(rng, 300)]
    expected = bootstrap.metrics_on_draws(pair, tuple(m.METRICS), 400, seed=1)
    for threads, size in ((1, 300), (3, 1000)):
        with ThreadPoolExecutor(threads) as pool:
            monkeypatch.setattr(parallel, "_pool", lambda _back, pool=pool: pool)
            monkeypatch.setattr(bootstrap, "_IMAGES", size)
            np.testing.assert_array_equal(bootstrap.metrics_on_draws(pair, tuple(m.METRICS), 400, seed=1), expected)


@pytest.mark.parametrize("n", [3, 200])
def test_draws_are_multinomial(n: int) -> None:
    """Each image is drawn once on average with variance 1 - 1/n, two images with covariance -1/n; replicates differ."""
    counts = bootstrap.counts(n, 40_000)
    assert (counts.sum(axis=1) == n).all()
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=5 / np.sqrt(40_000))
    np.testing.assert_allclose(counts.var(axis=0), 1 - 1 / n, atol=0.06)
    assert np.cov(counts[:, 0], counts[:, 1])[0, 1] == pytest.approx(-1 / n, abs=5 / np.sqrt(40_000))
    assert abs(np.corrcoef(counts[:-1, 0], counts[1:, 0])[0, 1]) < 5 / np.sqrt(40_000)


def test_seeds_and_replicates_start_apart() -> None:
    counts = bootstrap.counts(50, 3, seed=0)
    assert len(np.unique(np.concatenate([counts, bootstrap.counts(50, 3, seed=1)]), axis=0)) == 6
    np.testing.assert_array_equal(counts, bootstrap.counts(50, 10, seed=0)[:3])


def test_what_cannot_be_drawn_is_refused(rng: np.random.Generator) -> None:
    predictions = images(rng, 4)
    with pytest.raises(InputError, match=r"expected metrics among accuracy, macro_f1, .*sac98, got speed"):
        bootstrap.metrics_on_draws([predictions], ["speed", "nll"], 5, seed=0)
    with pytest.raises(InputError, match="expected at least one replicate, got 0"):
        bootstrap.metrics_on_draws([predictions], ["nll"], 0, seed=0)
    with pytest.raises(InputError, match="expected at least one image, got none"):
        bootstrap.metrics_on_draws([predictions.take(np.arange(0))], ["nll"], 5, seed=0)
    with pytest.raises(InputError, match="one length, got predictions 4, taken 3"):
        bootstrap.weighted_metrics(predictions, np.ones(3, int))
