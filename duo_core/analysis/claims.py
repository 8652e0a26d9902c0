"""Does it hold? The claims of the paper, each computed over all pairs of a logit set on one split.

A claim is a statement that a pair agrees with or not; its number is the share of pairs that agree, with an interval over models.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from duo_core.analysis.advice import PAIR, reversed_pairs
from duo_core.analysis.shares import ModelDraws
from duo_core.arrays import InputError
from duo_core.duo import VARIANTS
from duo_core.intervals import LEVEL, REPLICATES, Interval
from duo_core.metrics import METRICS

Verdict = Literal["holds", "does not hold", "too little data"]

MOST = 0.5
"""Share of pairs that a claim asks for, where it does not say more."""
ALMOST_ALL = 0.9
"""Share asked for where the paper says `almost never harms`."""
MODELS = 6
"""Fewest models among the pairs of a claim that is judged."""
CALIBRATED = 0.01
"""Largest change of the ECE that counts as none."""
KEPT = 0.5
"""Smallest part of the duo's gain that counts as comparable."""
WIDE = 0.3
"""Width of an interval that decides nothing if the share asked for lies in it."""
RULE = (
    "A claim holds where the whole interval of the share of pairs that agree lies above the share that it asks for. There is too"
    " little data where the interval holds the share asked for and is wider than 30 points, with fewer than 6 models, and with so"
    " few pairs that chance alone would have them all agree more than once in 40 times. Otherwise the claim does not hold."
)
NEEDED = ("base", "duo", "unweighted", "uq_only")
"""Variants that the claims compare."""
COLUMNS = ["base", "sidekick", "flops_balance", "delta", "agrees"]


@dataclass(frozen=True)
class Band:
    """Pairs by FLOPs balance; pairs of unknown balance lie in none."""

    key: str
    words: str
    low: float
    high: float
    closed: Literal["left", "both", "neither"]

    def pairs(self, balance: pd.Series) -> pd.Series:
        """Which balances lie in the band."""
        return balance.astype(float).between(self.low, self.high, inclusive=self.closed)


BANDS = (
    Band("below_10", "less than 10 %", 0.0, 0.1, "left"),
    Band("10_to_20", "10 to 20 %", 0.1, 0.2, "both"),
    Band("above_20", "more than 20 %", 0.2, np.inf, "neither"),
)


@dataclass(frozen=True, eq=False)
class Claim:
    """One claim as it was computed."""

    key: str
    text: str
    """The claim in one sentence."""
    source: str
    """Where the paper makes it."""
    band: Band | None
    """The pairs that it is about; None for all."""
    share: float | None
    """Share of the pairs that agree (for `ratio_falls`, of comparisons between two sidekicks of one base); None without any."""
    asked: float
    """The share above which the claim holds."""
    interval: Interval | None
    """Of the share, with models drawn; None where more than 5 % of the draws have none of the pairs."""
    verdict: Verdict
    """By RULE."""
    pairs: pd.DataFrame
    """The pairs behind it, with COLUMNS; those that do not agree first."""
    measured: str
    """What the column `delta` holds."""


@dataclass(frozen=True)
class _Statement:
    """A claim before it is judged."""

    key: str
    text: str
    source: str
    measured: str
    delta: pd.Series
    """By pair; NaN where it is undefined."""
    agrees: pd.Series
    """By pair, bool."""
    asked: float = MOST
    band: Band | None = None
    comparisons: pd.DataFrame | None = None
    """Where the share is not of pairs: base, one, other and whether they agree (0, 1/2 or 1)."""


def claims(
    table: pd.DataFrame, entropy: pd.DataFrame | None = None, *, replicates: int = REPLICATES, level: float = LEVEL, seed: int = 0
) -> list[Claim]:
    """Judge every claim on the pairs of one split whose base is at least as accurate as the sidekick.

    The paper pairs no others: of a reversed pair the sidekick alone is the better model, and every gain over the base is its.
    `reversed_count` says how many are left out.

    Parameters
    ----------
    table
        A sweep's rows, with the variants of NEEDED for each pair; any further rows and columns are left alone.
    entropy
        The same with the images ranked by entropy. Without it the claims about entropy are left out.
    replicates, level, seed
        Of the draws of models behind the intervals.

    Raises
    ------
    InputError
        Where a variant is missing, or a pair occurs more than once because the table has several splits.
    """
    table = table[~reversed_pairs(table)]
    pairs = _by_pair(table).sort_values(["base", ("flops_balance", "duo")])
    models = {name for pair in pairs.index for name in pair}
    draws = ModelDraws(models, replicates=replicates, level=level, seed=seed)
    statements = [*_improvements(pairs), *_weighting(pairs), *_uncertainty(pairs), *_temperatures(pairs), *_calibration(pairs)]
    if entropy is not None:
        statements += _entropy(_by_pair(entropy).reindex(pairs.index))
    rows = pairs.index.to_frame(index=False).astype(object).assign(flops_balance=pairs["flops_balance", "duo"].to_numpy())
    return [_judged(statement, rows, draws) for statement in statements]


def reversed_count(table: pd.DataFrame) -> int:
    """How many pairs of a sweep's rows are reversed."""
    return len(table[reversed_pairs(table)].drop_duplicates(PAIR))


def _by_pair(table: pd.DataFrame) -> pd.DataFrame:
    """One row a pair, one column a (metric, variant)."""
    missing = {*NEEDED} - {*table["variant"]} if len(table) else set()
    if missing:
        raise InputError(f"expected the variants {', '.join(NEEDED)} of every pair, got none of {', '.join(sorted(missing))}")
    rows = table[table["variant"].isin(NEEDED)]
    if rows.duplicated(["base", "sidekick", "variant"]).any():
        raise InputError(f"expected the pairs of one split, got the splits {', '.join(sorted({*rows['split']}))}; take one of them")
    columns = [*METRICS, "T_base", "T_sidekick", "T_ratio", "flops_balance"]
    wide = rows.set_index(["base", "sidekick", "variant"])[columns].astype(float).unstack("variant")
    return wide.reindex(columns=pd.MultiIndex.from_product([columns, NEEDED]))


def _compared(
    pairs: pd.DataFrame, key: str, own: str, other: str, *, name: str, text: str, source: str, band: Band | None = None
) -> _Statement:
    """The statement that one variant is better than another in a metric."""
    metric = METRICS[key]
    delta = pairs[key, own] - pairs[key, other]
    better = delta > 0 if metric.higher_is_better else delta < 0
    measured = f"{metric.label}: {VARIANTS[own].label} - {VARIANTS[other].label}"
    return _Statement(name, text, source, measured, delta, better, band=band)


_IMPROVED = {
    "accuracy": ("The duo is more accurate than its base", "Sec. 5.1, Figure 3"),
    "auroc": ("The duo's uncertainty tells right from wrong better than its base's (AUROC)", "Sec. 5.2, Figure 4"),
    "aurc": ("The duo errs less than its base on what it answers, over all coverages (AURC)", "Sec. 5.3, Figure 5"),
    "sac98": ("The duo answers more images than its base at an accuracy of 98 % (SAC@98)", "Sec. 5.4, Figure 6"),
    "nll": ("The duo's probabilities fit the labels better than its base's (NLL)", "Sec. 5.1, Appendix E"),
    "brier": ("The duo's probabilities are nearer to the labels than its base's (Brier score)", "Sec. 5.1, Appendix E"),
}


def _improvements(pairs: pd.DataFrame) -> Iterator[_Statement]:
    for key, (text, source) in _IMPROVED.items():
        yield _compared(pairs, key, "duo", "base", name=key, text=f"{text}.", source=source)
        for band in BANDS:
            words = f"{text}, where the sidekick adds {band.words} computation."
            yield _compared(pairs, key, "duo", "base", name=f"{key}_{band.key}", text=words, source=source, band=band)
    delta = pairs["accuracy", "duo"] - pairs["accuracy", "base"]
    text = "The sidekick almost never makes the duo less accurate than its base."
    yield _Statement("harmless", text, "Abstract, Sec. 3.1", "Accuracy: Duo - Base", delta, delta >= 0, ALMOST_ALL)


def _weighting(pairs: pd.DataFrame) -> Iterator[_Statement]:
    small, source = BANDS[0], "Sec. 5.1, Figure 3"
    text = "Where the sidekick adds less than 10 % computation, learned weights make the duo more accurate than equal ones."
    yield _compared(pairs, "accuracy", "duo", "unweighted", name="weights_help", text=text, source=source, band=small)
    text = "Where the sidekick adds less than 10 % computation, equal weights make the pair less accurate than its base alone."
    yield _compared(pairs, "accuracy", "base", "unweighted", name="equal_weights_harm", text=text, source=source, band=small)


def _uncertainty(pairs: pd.DataFrame) -> Iterator[_Statement]:
    """UQ only against the base, whose accuracy it has by definition, and against the full duo."""
    sources = {"auroc": "Sec. 5.2, Figure 4", "aurc": "Sec. 5.3, Figure 5", "sac98": "Sec. 5.4, Figure 6"}
    for key, source in sources.items():
        label = METRICS[key].label
        text = f"With the base's own classes, and so its accuracy, the duo's uncertainty has the better {label}."
        yield _compared(pairs, key, "uq_only", "base", name=f"uq_only_{key}", text=text, source=source)
    for key, source in sources.items():
        gain, whole = (pairs[key, variant] - pairs[key, "base"] for variant in ("uq_only", "duo"))
        kept = gain / whole.where(whole > 0 if METRICS[key].higher_is_better else whole < 0)
        label = METRICS[key].label
        text = f"Where the duo has the better {label}, its uncertainty with the base's own classes gives at least half of the gain."
        yield _Statement(f"uq_only_keeps_{key}", text, source, f"{label}: gain of UQ only / gain of Duo", kept, kept >= KEPT)


def _temperatures(pairs: pd.DataFrame) -> Iterator[_Statement]:
    weights = pairs["T_base", "duo"], pairs["T_sidekick", "duo"]
    ratio = pairs["T_ratio", "duo"].mask((weights[0] > 0) & (weights[1] == 0), np.inf)
    source, label = "Appendix D, Figure 10", "Temperature ratio"
    text = "Where the sidekick adds less than 10 % computation, the base has the larger weight."
    yield _Statement("base_leads", text, source, label, ratio, ratio > 1, band=BANDS[0])
    found = _orders(ratio, pairs["flops_balance", "duo"])
    twice = pd.concat([found, found.rename(columns={"one": "other", "other": "one"})])
    delta = twice.groupby(["base", "one"])["agrees"].mean().reindex(pairs.index)
    text = (
        "Of two sidekicks of one base, the cheaper one has the larger temperature ratio: the weights become more even as it grows."
    )
    label = "Share of the base's other sidekicks that are in this order with it"
    yield _Statement("ratio_falls", text, source, label, delta, delta > 0.5, comparisons=found)


def _orders(ratio: pd.Series, balance: pd.Series) -> pd.DataFrame:
    """Every two sidekicks of one base of different balance, and whether the cheaper has the larger ratio; equal ratios half."""
    known = pd.DataFrame({"ratio": ratio, "balance": balance}).dropna().reset_index()
    both = known.merge(known, on="base", suffixes=("", "_other"))
    both = both[both["balance"] < both["balance_other"]]
    agrees = (both["ratio"] > both["ratio_other"]) + 0.5 * (both["ratio"] == both["ratio_other"])
    return pd.DataFrame({"base": both["base"], "one": both["sidekick"], "other": both["sidekick_other"], "agrees": agrees})


def _calibration(pairs: pd.DataFrame) -> Iterator[_Statement]:
    delta = pairs["ece", "duo"] - pairs["ece", "base"]
    text = "The duo is calibrated as its base is: the ECE changes by at most one percentage point."
    yield _Statement("calibration", text, "Sec. 5.2, Appendix E", "ECE: Duo - Base", delta, delta.abs() <= CALIBRATED)


def _entropy(pairs: pd.DataFrame) -> Iterator[_Statement]:
    for key in ("auroc", "aurc", "sac98"):
        text = f"Ranked by entropy, too, the duo has the better {METRICS[key].label} than its base."
        yield _compared(pairs, key, "duo", "base", name=f"entropy_{key}", text=text, source="Appendix C, Figure 9")


def _judged(statement: _Statement, rows: pd.DataFrame, draws: ModelDraws) -> Claim:
    """Judge a statement about pairs whose names and balances are given in the order of its `delta`, those of a base together."""
    delta, agrees = statement.delta.to_numpy(float), statement.agrees.to_numpy(bool)
    about = ~np.isnan(delta)
    if statement.band is not None:
        about &= statement.band.pairs(rows["flops_balance"]).to_numpy()
    at = np.concatenate([np.flatnonzero(about & ~agrees), np.flatnonzero(about & agrees)])
    found = rows.take(at).reset_index(drop=True).assign(delta=delta[at], agrees=agrees[at])
    counted = found[["base", "sidekick", "agrees"]] if statement.comparisons is None else statement.comparisons
    *members, shares = (column.tolist() for _, column in counted.items())
    interval = draws.interval(members, shares)
    return Claim(
        key=statement.key,
        text=statement.text,
        source=statement.source,
        band=statement.band,
        share=float(np.mean(shares)) if shares else None,
        asked=statement.asked,
        interval=interval,
        verdict=_verdict(interval, statement.asked, found),
        pairs=found,
        measured=statement.measured,
    )


def _verdict(interval: Interval | None, asked: float, pairs: pd.DataFrame) -> Verdict:
    models = {*pairs["base"], *pairs["sidekick"]}
    if interval is None or len(models) < MODELS or asked ** len(pairs) > 1 / 40:
        return "too little data"
    if interval.low > asked:
        return "holds"
    return "too little data" if interval.high > asked and interval.high - interval.low > WIDE else "does not hold"
