"""Shares of pairs with models drawn, against the draws written out pair by pair."""

from itertools import combinations

import numpy as np
import pytest

from duo_core.analysis.shares import ModelDraws


def written_out(members: list[tuple[str, ...]], agrees: list[float], seed: int) -> list[float]:
    """The share on each of 200 draws: of every way to pick a pair (or triple) out of the models drawn."""
    models = sorted("abcdef")
    shares = []
    for counts in np.random.default_rng(seed).multinomial(6, np.full(6, 1 / 6), size=200):
        drawn = np.repeat(models, counts)
        found = [
            value
            for names, value in zip(members, agrees, strict=True)
            for _ in range(np.prod([(drawn == name).sum() for name in names]))
        ]
        shares += [np.mean(found)] if found else []
    return shares


PAIRS = [("a", "b"), ("a", "c"), ("b", "c"), ("b", "f"), ("c", "d"), ("d", "e"), ("d", "f"), ("a", "f"), ("c", "e"), ("b", "d")]
TRIPLES = [(base, *rest) for base in "abcd" for rest in ("ef", "cf", "bd", "ac", "bf", "de", "ad", "ce") if base not in rest]


@pytest.mark.parametrize("members", [PAIRS, TRIPLES])
def test_a_draw_counts_each_pair_as_often_as_its_models(rng: np.random.Generator, members: list[tuple[str, ...]]) -> None:
    agrees = (rng.integers(3, size=len(members)) / 2).tolist()
    columns = [list(column) for column in zip(*members, strict=True)]
    found = ModelDraws("fedcba", replicates=200, level=0.8, seed=4).interval(columns, agrees)
    assert found is not None
    assert found.estimate == np.mean(agrees)
    assert [found.low, found.high] == pytest.approx(np.quantile(written_out(members, agrees, 4), [0.1, 0.9]))
    assert (found.level, found.replicates, found.seed) == (0.8, 200, 4)


def test_pairs_that_share_models_say_less() -> None:
    """28 pairs of 8 models, of which those with a or b disagree, against as many pairs that have no model in common."""
    shared = list(combinations("abcdefgh", 2))
    agrees = [float(not {"a", "b"} & {*pair}) for pair in shared]
    apart = [(f"{i}", f"{i} too") for i in range(28)]
    widths = []
    for pairs in (shared, apart):
        found = ModelDraws({name for pair in pairs for name in pair}).interval(list(zip(*pairs, strict=True)), agrees)
        assert found is not None
        assert found.estimate == 15 / 28
        widths.append(found.high - found.low)
    assert widths[0] > 1.3 * widths[1]


def test_an_interval_needs_pairs_in_nearly_all_draws() -> None:
    assert ModelDraws("ab").interval([[], []], []) is None
    assert ModelDraws([]).interval([[], []], []) is None
    assert ModelDraws("abcdef").interval([["a"], ["b"]], [1]) is None
