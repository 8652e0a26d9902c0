"""Claims on tables made by hand: worlds in which each holds, in which each fails, and with too few pairs to tell."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from duo_core.analysis.claims import BANDS, COLUMNS, Claim, claims, reversed_count
from duo_core.analysis.claims import _verdict as verdict
from duo_core.arrays import InputError
from duo_core.duo import VARIANTS
from duo_core.intervals import Interval
from duo_core.metrics import METRICS

MODELS = {f"m{i:02}": 1.5**-i for i in range(12)}
"""Costs. Each is two thirds of the one before: 21 pairs below 10 %, 15 at 10 to 20 %, 30 above."""
BASE = dict.fromkeys(METRICS, 0.5)


def row(base: str, sidekick: str, variant: str, gain: float, **values: float | None) -> dict[str, object]:
    """A sweep's row whose metrics are all better than the base's by the gain."""
    metrics = {key: BASE[key] + (gain if metric.higher_is_better else -gain) for key, metric in METRICS.items()}
    temperatures = {"T_base": 1.0, "T_sidekick": 0.5, "T_ratio": 2.0}
    return {
        "set": "made", "split": "test", "base": base, "sidekick": sidekick, "variant": variant, **temperatures,
        "flops_balance": MODELS[sidekick] / MODELS[base], **metrics, **values,
    }  # fmt: skip


def table(gains: dict[str, float], *, falling: bool = True, ece: float = 0.0, models: int = 12) -> pd.DataFrame:
    rows = []
    for base, sidekick in combinations(list(MODELS)[:models], 2):
        balance = MODELS[sidekick] / MODELS[base]
        ratio = 1 / balance if falling else balance
        rows += [row(base, sidekick, v, gains.get(v, 0.0), T_ratio=ratio, ece=0.5 + ece * (v == "duo")) for v in VARIANTS]
    return pd.DataFrame(rows)


GOOD = table({"duo": 0.04, "uq_only": 0.03, "unweighted": -0.1})
BAD = table({"duo": -0.04, "uq_only": -0.03, "unweighted": 0.1}, falling=False, ece=0.02)


def by_key(found: list[Claim]) -> dict[str, Claim]:
    assert len({claim.key for claim in found}) == len(found)
    return {claim.key: claim for claim in found}


def test_every_claim_holds_in_the_papers_world() -> None:
    found = by_key(claims(GOOD, GOOD))
    assert {claim.verdict for claim in found.values()} == {"holds"}
    assert {claim.share for claim in found.values()} == {1.0}


def test_no_claim_holds_in_the_opposite_world() -> None:
    found = by_key(claims(BAD, BAD))
    kept = {key for key in found if key.startswith("uq_only_keeps")}
    assert {claim.verdict for key, claim in found.items() if key not in kept} == {"does not hold"}
    assert {claim.share for key, claim in found.items() if key not in kept} == {0.0}
    for key in kept:  # no duo gains, so there is nothing to keep
        assert (found[key].verdict, found[key].share, found[key].interval, len(found[key].pairs)) == (
            "too little data",
            None,
            None,
            0,
        )


def test_uq_only_that_gives_little_does_not_keep_the_gain() -> None:
    found = by_key(claims(table({"duo": 0.04, "uq_only": 0.01})))
    for key in ("auroc", "aurc", "sac98"):
        claim = found[f"uq_only_keeps_{key}"]
        assert claim.verdict == "does not hold"
        assert claim.pairs["delta"].tolist() == pytest.approx([0.25] * 66)
        assert found[f"uq_only_{key}"].verdict == "holds"


def test_five_models_are_too_few() -> None:
    for world in (GOOD, BAD):
        few = world[world["base"].isin(list(MODELS)[:5]) & world["sidekick"].isin(list(MODELS)[:5])]
        assert {claim.verdict for claim in claims(few, few)} == {"too little data"}


def test_no_table_is_too_little_data() -> None:
    found = claims(GOOD.iloc[:0], GOOD.iloc[:0])
    assert {(claim.verdict, claim.share, claim.interval, len(claim.pairs)) for claim in found} == {
        ("too little data", None, None, 0)
    }


@pytest.mark.parametrize(
    ("low", "high", "asked", "pairs", "models", "expected"),
    [
        (0.51, 1.0, 0.5, 6, 6, "holds"),
        (0.51, 1.0, 0.5, 5, 6, "too little data"),
        (0.51, 1.0, 0.5, 6, 5, "too little data"),
        (0.91, 1.0, 0.9, 36, 9, "holds"),
        (0.91, 1.0, 0.9, 35, 9, "too little data"),
        (0.5, 0.9, 0.5, 50, 12, "too little data"),
        (0.45, 0.7, 0.5, 50, 12, "does not hold"),
        (0.1, 0.5, 0.5, 50, 12, "does not hold"),
        (0.0, 0.2, 0.5, 50, 12, "does not hold"),
    ],
)
def test_verdicts_follow_the_rule(low: float, high: float, asked: float, pairs: int, models: int, expected: str) -> None:
    names = [f"m{i % (models - 1)}" for i in range(pairs)]
    frame = pd.DataFrame({"base": names, "sidekick": "other"})
    assert verdict(Interval(high, low, high), asked, frame) == expected
    assert verdict(None, asked, frame) == "too little data"


def test_bands_share_out_the_pairs() -> None:
    found = by_key(claims(GOOD))
    sizes = [len(found[f"accuracy_{band.key}"].pairs) for band in BANDS]
    assert sizes == [21, 15, 30]
    assert len(found["accuracy"].pairs) == 66
    for band in BANDS:
        balances = found[f"accuracy_{band.key}"].pairs["flops_balance"]
        assert band.pairs(balances).all()
    edges = pd.Series([0.0999, 0.1, 0.2, 0.2001, None, 1.0])
    assert [band.pairs(edges).tolist() for band in BANDS] == [
        [True, False, False, False, False, False],
        [False, True, True, False, False, False],
        [False, False, False, True, False, True],
    ]


def test_the_pairs_behind_a_claim() -> None:
    """Three pairs lose accuracy, one has the base's own; AUROC is undefined for one."""
    changed = GOOD.copy()
    at = changed.index[changed["variant"] == "duo"]
    changed.loc[at[:3], "accuracy"] = 0.4
    changed.loc[at[3], "accuracy"] = 0.5
    changed.loc[at[4], "auroc"] = None
    found = by_key(claims(changed))
    claim = found["accuracy"]
    assert list(claim.pairs.columns) == COLUMNS
    assert claim.pairs["agrees"].tolist() == [False] * 4 + [True] * 62
    assert claim.pairs["delta"].head(4).tolist() == pytest.approx([0.0, -0.1, -0.1, -0.1])
    assert {(r.base, r.sidekick) for r in claim.pairs.head(4).itertuples()} == {("m00", f"m{i:02}") for i in range(1, 5)}
    assert claim.share == 62 / 66
    assert claim.interval is not None
    assert claim.interval.low < 62 / 66 < claim.interval.high
    assert found["harmless"].share == 63 / 66
    assert len(found["auroc"].pairs) == 65
    assert claim.measured == "Accuracy: Duo - Base"


def test_the_ratio_is_compared_within_a_base() -> None:
    """Ratios that fall for every base but lie the higher the smaller the base: they fall in every comparison all the same."""
    shifted = GOOD.copy()
    shifted["T_ratio"] *= [100.0 ** int(base[1:]) for base in shifted["base"]]
    claim = by_key(claims(shifted))["ratio_falls"]
    assert (claim.share, claim.verdict) == (1.0, "holds")
    assert len(claim.pairs) == 65  # the last base has one sidekick, which compares with none


def test_a_sidekick_without_weight_has_the_largest_ratio() -> None:
    changed = GOOD.copy()
    changed.loc[changed["sidekick"] == "m11", ["T_sidekick", "T_ratio"]] = 0.0, None
    found = by_key(claims(changed))
    assert found["ratio_falls"].share == 1
    assert np.isinf(found["base_leads"].pairs.query("sidekick == 'm11'")["delta"]).all()
    changed.loc[changed["sidekick"] == "m01", ["T_sidekick", "T_ratio"]] = 0.0, None
    assert by_key(claims(changed))["ratio_falls"].share == pytest.approx((220 - 9 - 0.5) / 220)


def test_calibration_may_change_by_a_point() -> None:
    for change, expected in ((0.009, 1.0), (-0.009, 1.0), (0.011, 0.0), (-0.011, 0.0)):
        assert by_key(claims(table({}, ece=change)))["calibration"].share == expected


def test_without_costs_the_bands_are_empty() -> None:
    unknown = GOOD.assign(flops_balance=None)
    found = by_key(claims(unknown))
    assert found["accuracy"].verdict == "holds"
    assert {found[f"accuracy_{band.key}"].share for band in BANDS} == {None}
    assert found["weights_help"].verdict == found["ratio_falls"].verdict == "too little data"


def test_entropy_is_judged_by_its_own_table() -> None:
    assert not [claim.key for claim in claims(GOOD) if claim.key.startswith("entropy")]
    found = by_key(claims(GOOD, BAD))
    assert {found[key].verdict for key in ("auroc", "aurc", "sac98")} == {"holds"}
    assert {found[f"entropy_{key}"].verdict for key in ("auroc", "aurc", "sac98")} == {"does not hold"}


def test_the_order_of_the_rows_changes_nothing(rng: np.random.Generator) -> None:
    noisy = GOOD.copy()
    noisy[list(METRICS)] += rng.normal(size=(len(noisy), len(METRICS))) * 0.05
    for one, other in zip(claims(noisy), claims(noisy.sample(frac=1, random_state=0)), strict=True):
        assert (one.key, one.share, one.verdict, one.interval) == (other.key, other.share, other.verdict, other.interval)


def test_every_claim_says_what_and_where() -> None:
    for claim in claims(GOOD, GOOD):
        assert claim.text.endswith(".")
        assert claim.text[0].isupper()
        assert claim.source.startswith(("Sec.", "Appendix", "Abstract"))
        assert claim.measured
        assert claim.interval
        assert (claim.interval.seed, claim.interval.replicates, claim.interval.level) == (0, 2000, 0.95)


def test_tables_that_cannot_be_judged_are_refused() -> None:
    with pytest.raises(InputError, match="expected the variants base, duo, unweighted, uq_only of every pair, got none of uq_only"):
        claims(GOOD[GOOD["variant"] != "uq_only"])
    with pytest.raises(InputError, match="expected the pairs of one split, got the splits shift, test; take one of them"):
        claims(pd.concat([GOOD, GOOD.assign(split="shift")]))


@pytest.mark.parametrize("gap", [0.02, 0.2, 1e-6])
def test_a_pair_with_the_better_model_as_sidekick_is_left_out(gap: float) -> None:
    """Its gain over the base is the sidekick's own; it counts for nothing, however large it is."""
    ahead = GOOD["base"] == GOOD["base"].iloc[0]
    table = GOOD.copy()
    base = table.loc[table["variant"] == "base"].set_index(["base", "sidekick"])["accuracy"]
    own = table["variant"] == "sidekick"
    pairs = pd.MultiIndex.from_frame(table.loc[own & ahead, ["base", "sidekick"]])
    table.loc[own & ahead, "accuracy"] = base[pairs].to_numpy() + gap
    assert reversed_count(GOOD) == 0
    assert reversed_count(table) == len(pairs)
    others = claims(GOOD[~ahead])
    assert [(one.share, one.verdict) for one in claims(table)] == [(one.share, one.verdict) for one in others]
