"""The compiled loops by themselves: the exponential, the sort, and the counts, against numpy and plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numba import njit

from duo_core.metrics import loops
from duo_core.systems import pair_loops


@njit
def powers(x, out):
    for i in range(len(x)):
        out[i] = pair_loops.exp2(x[i])


@pytest.mark.parametrize(("dtype", "reach", "error"), [(np.float32, 126, 3e-7), (np.float64, 1022, 5e-16)])
def test_powers_of_two(dtype, reach, error):
    x = np.linspace(-reach, reach, 200_001).astype(dtype)
    out = np.empty_like(x)
    powers(x, out)
    np.testing.assert_allclose(out, np.exp2(x.astype(np.float64)), rtol=error)


@pytest.mark.parametrize(("dtype", "reach"), [(np.float32, 128), (np.float64, 1024)])
def test_powers_beyond_the_range_are_zero_or_large(dtype, reach):
    x = np.array([-4 * reach, -reach, reach, 4 * reach, 1000 * reach, -1000 * reach], dtype=dtype)
    out = np.empty_like(x)
    powers(x, out)
    assert (out[[0, 1, 5]] == 0).all()
    assert (out[2:5] >= 2.0 ** (reach - 3)).all()


@given(arrays.arrays(st.sampled_from([np.uint32, np.uint64]), st.integers(1, 60)))
def test_keys_are_sorted(keys):
    np.testing.assert_array_equal(loops.sorted_keys(keys.copy()), np.sort(keys))


@given(arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1) | st.sampled_from([i / 15 for i in range(16)])))
def test_bins_are_those_of_a_search_among_the_edges(confidence):
    edges = np.linspace(0, 1, 16)
    correct = np.arange(len(confidence)) % 3 == 0
    index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, 14)
    expected = np.bincount(index, correct - confidence, 15)
    np.testing.assert_allclose(loops.bin_gaps(correct, confidence, edges), expected, atol=1e-12)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30), st.integers(1, 10))
def test_blocks_of_equal_values_and_what_is_counted_in_them(images, tenths):
    """Against every pair of images, and every threshold, looked at one by one."""
    values, correct = np.array([v for v, _ in images], np.uint64), np.array([c for _, c in images])
    ends, errors = loops.tie_ends(values, correct)
    thresholds = np.unique(values)
    assert ends.tolist() == [(values <= t).sum() for t in thresholds]
    assert errors.tolist() == [(values[~correct] <= t).sum() for t in thresholds]
    surer = sum((r < w) + (r == w) / 2 for r in values[correct].tolist() for w in values[~correct].tolist())
    assert loops.surer_right(ends, errors) == surer
    reached = [(values <= t).sum() for t in thresholds if 10 * correct[values <= t].sum() >= tenths * (values <= t).sum()]
    assert loops.most_covered(ends, errors, tenths, 10) == max(reached, default=0)


def test_classes_are_counted(rng):
    labels, predicted = rng.integers(0, 7, 50), rng.integers(0, 7, 50)
    hits, true, said = loops.class_counts(labels, predicted, 9)
    assert hits.tolist() == np.bincount(labels[labels == predicted], minlength=9).tolist()
    assert true.tolist() == np.bincount(labels, minlength=9).tolist()
    assert said.tolist() == np.bincount(predicted, minlength=9).tolist()
