"""Claims on tables made by hand: worlds in which each holds, in which each fails, and with too few pairs to tell."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from duo_core.analysis.claims import BANDS, COLUMNS, Claim, by_chance, claims
from duo_core.analysis.claims import verdict_of as verdict
from duo_core.analysis.parts import Parts
from duo_core.common.arrays import InputError
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval
from duo_core.systems.duo import VARIANTS

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
    assert {claim.verdict for key, claim in found.items() if key not in kept} == {"contradicted"}
    assert {claim.share for key, claim in found.items() if key not in kept} == {0.0}
    for key in kept:  # no duo gains, so there is nothing to keep
        assert (found[key].verdict, found[key].share, found[key].interval, len(found[key].pairs)) == (
            "too few models",
            None,
            None,
            0,
        )


def test_uq_only_that_gives_little_does_not_keep_the_gain() -> None:
    found = by_key(claims(table({"duo": 0.04, "uq_only": 0.01})))
    for key in ("auroc", "aurc", "sac98"):
        claim = found[f"uq_only_keeps_{key}"]
        assert claim.verdict == "contradicted"
        assert claim.pairs["delta"].tolist() == pytest.approx([0.25] * 66)
        assert found[f"uq_only_{key}"].verdict == "holds"


def test_five_models_are_too_few() -> None:
    for world in (GOOD, BAD):
        few = world[world["base"].isin(list(MODELS)[:5]) & world["sidekick"].isin(list(MODELS)[:5])]
        assert {claim.verdict for claim in claims(few, few)} == {"too few models"}


def test_no_table_is_too_little_data() -> None:
    found = claims(GOOD.iloc[:0], GOOD.iloc[:0])
    assert {(claim.verdict, claim.share, claim.interval, len(claim.pairs)) for claim in found} == {
        ("too few models", None, None, 0)
    }


@pytest.mark.parametrize(
    ("low", "high", "most", "asked", "pairs", "models", "expected"),
    [
        (0.51, 1.0, 1.0, 0.5, 6, 6, "holds"),
        (0.51, 1.0, 1.0, 0.5, 5, 6, "too few models"),
        (0.51, 1.0, 1.0, 0.5, 6, 5, "too few models"),
        (0.91, 1.0, 1.0, 0.9, 36, 9, "holds"),
        (0.91, 1.0, 1.0, 0.9, 35, 9, "too few models"),
        (0.5, 0.9, 0.9, 0.5, 50, 12, "inconclusive"),
        (0.45, 0.7, 0.7, 0.5, 50, 12, "inconclusive"),
        (0.1, 0.5, 0.5, 0.5, 50, 12, "inconclusive"),
        (0.0, 0.2, 0.2, 0.5, 50, 12, "contradicted"),
        (0.0, 0.2, 0.6, 0.5, 50, 12, "inconclusive"),  # the others differ by nothing that counts
        (0.0, 0.2, 0.2, 0.5, 3, 12, "too few models"),
    ],
)
def test_verdicts_follow_the_rule(
    low: float, high: float, most: float, asked: float, pairs: int, models: int, expected: str
) -> None:
    names = [f"m{i % (models - 1)}" for i in range(pairs)]
    frame = pd.DataFrame({"base": names, "sidekick": "other"})
    assert verdict(Interval(high, low, high), most, asked, frame) == expected
    assert verdict(None, most, asked, frame) == "too few models"


def parts(world: pd.DataFrame, spread: float, rng: np.random.Generator, *, images: int = 1000, count: int = 20) -> Parts:
    """Pairs on parts of the images, whose duos all move together by so much from part to part, each pair a little by itself."""
    tables = []
    for at, common in enumerate(rng.normal(size=count) * spread):
        part, duo = world.assign(split=f"test {at}"), world["variant"] != "base"
        for key, metric in METRICS.items():
            moved = (common + spread * 0.3 * rng.normal(size=len(part))) * (1 if metric.higher_is_better else -1)
            part[key] += np.where(duo, moved, 0)
        tables.append(part)
    table = pd.concat(tables)
    return Parts({"softmax": table, "entropy": table}, images)


def test_a_gain_that_other_images_would_undo_is_inconclusive(rng: np.random.Generator) -> None:
    """All pairs gain, and would all lose together: models alone would call that certain."""
    slight = table({"duo": 0.004, "uq_only": 0.004, "unweighted": -0.004})
    assert by_key(claims(slight))["nll"].verdict == "holds"
    for spread, expected in ((0.002, "holds"), (0.05, "inconclusive")):
        found = by_key(claims(slight, slight, parts=parts(slight, spread, rng)))
        assert {found[key].verdict for key in ("accuracy", "auroc", "aurc", "nll", "entropy_aurc")} == {expected}
        assert found["nll"].images
        assert not found["base_leads"].images


def test_what_stays_as_it_is_says_nothing_of_copies(rng: np.random.Generator) -> None:
    """That the calibration stays, and nothing is lost, is true of a model and its copy."""
    copies = table({})
    found = by_key(claims(copies, copies, parts=parts(copies, 0.0001, rng)))
    assert found["calibration"].share == found["harmless"].share == 1
    assert {claim.verdict for key, claim in found.items() if key in ("accuracy", "calibration", "harmless")} == {"inconclusive"}


def test_a_difference_of_one_image_is_neither_agreement_nor_disagreement(rng: np.random.Generator) -> None:
    """One image of 1000, two of them, and one of 5000."""
    for gain, images, expected in ((0.001, 1000, 0.0), (0.002, 1000, 1.0), (0.0002, 5000, 0.0), (-0.001, 1000, 0.0)):
        world = table({"duo": gain})
        found = by_key(claims(world, parts=parts(world, 1e-6, rng, images=images)))
        assert found["accuracy"].share == found["sac98"].share == expected
        assert found["harmless"].share == 1.0
    assert found["accuracy"].verdict == "inconclusive"
    lost = table({"duo": -0.002})
    found = by_key(claims(lost, parts=parts(lost, 1e-6, rng)))
    assert (found["accuracy"].verdict, found["harmless"].share) == ("contradicted", 0.0)


def test_too_few_images_leave_everything_open() -> None:
    found = by_key(claims(GOOD, GOOD, parts=Parts({}, 60)))
    assert {claim.verdict for claim in found.values()} == {"inconclusive"}


def test_only_gains_beyond_chance_are_there_to_be_kept(rng: np.random.Generator) -> None:
    """Two models of a gain that images would undo: no pair of theirs is asked for its half."""
    world = table({"duo": 0.04, "uq_only": 0.03})
    small = world["base"].isin(["m00", "m01"]) & world["variant"].isin(["duo", "uq_only"])
    world.loc[small, "aurc"] = 0.4999
    claim = by_key(claims(world, parts=parts(world, 0.01, rng)))["uq_only_keeps_aurc"]
    assert not {"m00", "m01"} & {*claim.pairs["base"]}
    assert len(claim.pairs) == 66 - 21


def test_chance_alone_has_one_claim_in_forty_hold() -> None:
    found = claims(GOOD, GOOD)
    assert by_chance(found) == pytest.approx(len(found) / 40)
    assert by_chance(claims(GOOD[GOOD["base"] == "m10"])) == 0


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
    assert found["weights_help"].verdict == found["ratio_falls"].verdict == "too few models"


def test_entropy_is_judged_by_its_own_table() -> None:
    assert not [claim.key for claim in claims(GOOD) if claim.key.startswith("entropy")]
    found = by_key(claims(GOOD, BAD))
    assert {found[key].verdict for key in ("auroc", "aurc", "sac98")} == {"holds"}
    assert {found[f"entropy_{key}"].verdict for key in ("auroc", "aurc", "sac98")} == {"contradicted"}


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
