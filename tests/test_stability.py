"""Refits on fewer images: each is a fit of its own rows, judged on all of the other split."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from duo_core.analysis.stability import JUDGED, stability, work
from duo_core.analysis.subsets import stratified_sample
from duo_core.metrics import aurc
from duo_core.systems.fitting import fit


@pytest.fixture(scope="module")
def splits():
    random = torch.Generator().manual_seed(3)

    def drawn(n):
        labels = torch.randint(0, 4, (n,), generator=random)
        shared = torch.randn(n, 4, generator=random)
        base, sidekick = (shared + torch.randn(n, 4, generator=random) for _ in range(2))
        base[range(n), labels] += 2.0
        sidekick[range(n), labels] += 1.0
        return base, sidekick, labels

    return drawn(150), drawn(400)


@pytest.fixture(scope="module")
def table(splits):
    return stability(*splits, fit(*splits[0]), repeats=6)


def test_every_size_has_its_repeats_and_the_whole_split_one(table):
    assert table.groupby("size").size().to_dict() == {25: 6, 50: 6, 100: 6, 150: 1}
    assert set(JUDGED) <= set(table)


def test_a_row_is_the_fit_of_its_rows_judged_on_the_other_split(splits, table):
    (base, sidekick, labels), (judged_base, judged_sidekick, truth) = splits
    rows = stratified_sample(labels, 50, seed=2)
    found = fit(base[rows], sidekick[rows], labels[rows]).temperatures
    row = table.query("size == 50 and repeat == 2").iloc[0]
    assert (row["T_base"], row["T_sidekick"]) == pytest.approx(tuple(found), rel=1e-6)
    logits = found.base * judged_base.double() + found.sidekick * judged_sidekick.double()
    p = logits.softmax(1)
    assert row["nll"] == pytest.approx(cross_entropy(logits, truth).item(), rel=1e-6)
    assert row["accuracy"] == pytest.approx((logits.argmax(1) == truth).double().mean().item())
    assert row["aurc"] == pytest.approx(aurc((logits.argmax(1) == truth).numpy(), 1 - p.amax(1).numpy()), rel=1e-6)


def test_the_last_row_is_the_given_fit(splits, table):
    whole = fit(*splits[0]).temperatures
    last = table.iloc[-1]
    assert (last["size"], last["T_base"], last["T_sidekick"]) == (150, whole.base, whole.sidekick)


def test_more_images_scatter_less(table):
    spread = table[table["size"] < 150].groupby("size")[["T_base", "nll"]].agg(lambda values: values.max() - values.min())
    assert (spread.loc[25] > spread.loc[100]).all()


def test_the_seed_decides(splits, table):
    whole = fit(*splits[0])
    again = stability(*splits, whole, repeats=6)
    assert again.equals(table)
    other = stability(*splits, whole, repeats=6, seed=1)
    assert not set(other["nll"].iloc[:-1]) & set(table["nll"].iloc[:-1])


def test_samples_that_are_separated_say_so(splits):
    base, sidekick, labels = splits[0]
    easy = base.clone()
    easy[range(len(labels)), labels] += 3.0
    table = stability((easy, sidekick, labels), splits[1], fit(easy, sidekick, labels), repeats=6)
    assert table.query("size == 25")["separated"].any()
    assert not table["separated"].iloc[-1]


def test_entropy_ranks_by_entropy(splits, table):
    entropy = stability(*splits, fit(*splits[0]), repeats=1, kind="entropy")
    assert entropy["nll"].iloc[0] == table["nll"].iloc[0]
    assert entropy["aurc"].iloc[0] != table["aurc"].iloc[0]


def test_work_counts_what_is_read():
    assert work(100, judged=10, k=3, repeats=2) == 2 * 3 * (10 * (25 + 50) + 2 * 10)
