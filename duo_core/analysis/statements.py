"""What the paper claims, each as a number by pair that supports the claim where it is large enough."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from duo_core.analysis.parts import effects, standard_error
from duo_core.common.arrays import Booleans, Floats, InputError
from duo_core.metrics import METRICS
from duo_core.systems.duo import VARIANTS

MOST = 0.5
"""Share of pairs that a claim asks for, where it does not say more."""
ALMOST_ALL = 0.9
"""Share asked for where the paper says `almost never harms`."""
CALIBRATED = 0.01
"""Largest change of the ECE that counts as none."""
KEPT = 0.5
"""Smallest part of the duo's gain that counts as comparable."""
GAINED = 2.0
"""Standard errors, over parts of the images, from which on there is a gain to keep."""
ONE_IMAGE = 1.5
"""Images by which a count must differ: a difference of one is none."""
COUNTS = ("accuracy", "sac98")
"""Metrics that are a number of images over all."""
NEEDED = ("base", "duo", "unweighted", "uq_only")
"""Variants that the claims compare."""
_VARIANTS = (*NEEDED, "sidekick")
"""Those that a world has, as far as its table does."""


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
class Statement:
    """A claim before it is judged."""

    key: str
    text: str
    source: str
    measured: str
    delta: Floats
    """What is shown of each pair, (p,); NaN where it is undefined."""
    value: Floats
    """What is judged, (p,): NaN for pairs that the statement is not about."""
    moves: Floats | None = None
    """By how much each part of the images lies from the mean of `value`, (parts, p); None where no images are behind it."""
    score: Callable[[Floats], Floats] = lambda value: value
    """Of values: what supports the statement from `enough` on, and speaks against it below `against`."""
    enough: float = 1e-12
    against: float = -1e-12
    asked: float = MOST
    band: Band | None = None
    comparisons: pd.DataFrame | None = None
    """Where the share is not of pairs: base, one, other and whether they agree (0, 1/2 or 1)."""
    equal: bool = False
    """Whether it says that something stays as it is, as it does for any model and its copy."""

    def supports(self, value: Floats) -> Booleans:
        """Which values agree."""
        return np.asarray(self.score(value) >= self.enough)

    def denies(self, value: Floats) -> Booleans:
        """Which values speak against it; there may be values that do neither."""
        return np.asarray(self.score(value) < self.against)


class World:
    """All pairs of a split in one row each, and the same on every part of its images."""

    def __init__(self, table: pd.DataFrame, parts: pd.DataFrame | None, images: int | None, pairs: pd.Index | None = None) -> None:
        """Of the pairs that are named, in their order; by default of all, those of a base together, the cheapest sidekick first."""
        wide = _by_pair(table)
        self.pairs = wide.sort_values(["base", ("flops_balance", "duo")]) if pairs is None else wide.reindex(pairs)
        self.step = ONE_IMAGE / images if images else 1e-12
        self._parts = None if parts is None else _by_part(parts, self.pairs.index)

    @property
    def models(self) -> list[str]:
        """All that are in a pair, in alphabetical order."""
        return sorted({model for pair in self.pairs.index for model in pair})

    def number(self, of: Callable[[pd.DataFrame], pd.Series]) -> tuple[Floats, Floats | None]:
        """A number by pair, (p,), and its effects by part, (parts, p); NaN where parts leave it open how far to trust it."""
        value = of(self.pairs).to_numpy(float)
        if self._parts is None:
            return value, None
        moves, trusted = effects(of(self._parts).to_numpy(float).reshape(-1, len(value)))
        return np.where(trusted, value, np.nan), moves

    def gain(self, key: str, own: str, other: str) -> Callable[[pd.DataFrame], pd.Series]:
        """By how much one variant is better than another in a metric, of each row."""
        sign = 1 if METRICS[key].higher_is_better else -1
        return lambda rows: sign * (rows[key, own] - rows[key, other])


def statements(world: World) -> Iterator[Statement]:
    """Every statement but those about entropy."""
    yield from _improvements(world)
    yield from _weighting(world)
    yield from _uncertainty(world)
    yield from _temperatures(world)
    yield _calibration(world)


def by_entropy(world: World) -> Iterator[Statement]:
    """What is said of rankings by entropy, of a table that has these."""
    for key in ("auroc", "aurc", "sac98"):
        text = f"With images ranked by entropy, too, the duo has a better {METRICS[key].label} than its base."
        yield _compared(world, key, "duo", "base", name=f"entropy_{key}", text=text, source="Appendix C, Figure 9")


_COLUMNS = [*METRICS, "T_base", "T_sidekick", "T_ratio", "flops_balance"]


def _by_pair(table: pd.DataFrame) -> pd.DataFrame:
    """One row a pair, one column a (metric, variant)."""
    missing = {*NEEDED} - {*table["variant"]} if len(table) else set()
    if missing:
        raise InputError(f"expected the variants {', '.join(NEEDED)} of every pair, got none of {', '.join(sorted(missing))}")
    rows = table[table["variant"].isin(_VARIANTS)]
    if rows.duplicated(["base", "sidekick", "variant"]).any():
        raise InputError(f"expected the pairs of one split, got the splits {', '.join(sorted({*rows['split']}))}; take one of them")
    return _wide(rows, ["base", "sidekick"])


def _by_part(parts: pd.DataFrame, pairs: pd.Index) -> pd.DataFrame:
    """One row a (part, pair), part by part in the order of the pairs."""
    wide = _wide(parts[parts["variant"].isin(_VARIANTS)], ["split", "base", "sidekick"])
    names = parts["split"].unique()
    return wide.reindex(pd.MultiIndex.from_tuples([(name, *pair) for name in names for pair in pairs], names=wide.index.names))


def _wide(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    wide = rows.set_index([*by, "variant"])[_COLUMNS].astype(float).unstack("variant")
    return wide.reindex(columns=pd.MultiIndex.from_product([_COLUMNS, _VARIANTS]))


def _compared(
    world: World, key: str, own: str, other: str, *, name: str, text: str, source: str, band: Band | None = None
) -> Statement:
    """The statement that one variant is better than another in a metric."""
    measured = f"{METRICS[key].label}: {VARIANTS[own].label} - {VARIANTS[other].label}"
    value, moves = world.number(world.gain(key, own, other))
    delta = (world.pairs[key, own] - world.pairs[key, other]).to_numpy(float)
    step = world.step if key in COUNTS else 1e-12
    return Statement(name, text, source, measured, delta, value, moves, enough=step, against=-step, band=band)


IMPROVED = {
    "accuracy": ("The duo is more accurate than its base", "Sec. 5.1, Figure 3"),
    "auroc": ("The duo's uncertainty tells right from wrong better than its base's (AUROC)", "Sec. 5.2, Figure 4"),
    "aurc": ("The duo errs less than its base on what it answers, over all coverages (AURC)", "Sec. 5.3, Figure 5"),
    "sac98": ("The duo answers more images than its base at an accuracy of 98 % (SAC@98)", "Sec. 5.4, Figure 6"),
    "nll": ("The duo's probabilities fit the labels better than its base's (NLL)", "Sec. 5.1, Appendix E"),
    "brier": ("The duo's probabilities are nearer to the labels than its base's (Brier score)", "Sec. 5.1, Appendix E"),
}


def _improvements(world: World) -> Iterator[Statement]:
    for key, (text, source) in IMPROVED.items():
        yield _compared(world, key, "duo", "base", name=key, text=f"{text}.", source=source)
        for band in BANDS:
            words = f"{text}, where the sidekick adds {band.words} compute."
            yield _compared(world, key, "duo", "base", name=f"{key}_{band.key}", text=words, source=source, band=band)
    value, moves = world.number(world.gain("accuracy", "duo", "base"))
    text = "The sidekick almost never makes the duo less accurate than its base."
    own = {"enough": -world.step, "against": -world.step, "asked": ALMOST_ALL, "equal": True}
    yield Statement("harmless", text, "Abstract, Sec. 3.1", "Accuracy: Duo - Base", value, value, moves, **own)  # type: ignore[arg-type]


def _weighting(world: World) -> Iterator[Statement]:
    small, source = BANDS[0], "Sec. 5.1, Figure 3"
    text = "Where the sidekick adds less than 10 % compute, fitted weights make the duo more accurate than equal ones."
    yield _compared(world, "accuracy", "duo", "unweighted", name="weights_help", text=text, source=source, band=small)
    text = "Where the sidekick adds less than 10 % compute, equal weights make the pair less accurate than its base alone."
    yield _compared(world, "accuracy", "base", "unweighted", name="equal_weights_harm", text=text, source=source, band=small)


def _uncertainty(world: World) -> Iterator[Statement]:
    """UQ only against the base, whose accuracy it has by definition, and against the full duo."""
    sources = {"auroc": "Sec. 5.2, Figure 4", "aurc": "Sec. 5.3, Figure 5", "sac98": "Sec. 5.4, Figure 6"}
    for key, source in sources.items():
        text = f"With the base's classes, and so its accuracy, the duo's uncertainty has the better {METRICS[key].label}."
        yield _compared(world, key, "uq_only", "base", name=f"uq_only_{key}", text=text, source=source)
    for key, source in sources.items():
        yield _kept(world, key, source)


def _kept(world: World, key: str, source: str) -> Statement:
    """The statement that UQ only keeps enough of the duo's gain, of pairs that have a gain which other images would not undo."""
    gain, whole = world.gain(key, "uq_only", "base"), world.gain(key, "duo", "base")
    value, moves = world.number(lambda rows: gain(rows) - KEPT * whole(rows))
    gained, spread = world.number(whole)
    least = 0.0 if spread is None else GAINED * standard_error(spread)
    about = gained > least
    label = METRICS[key].label
    with np.errstate(divide="ignore", invalid="ignore"):
        delta = np.where(about, gain(world.pairs).to_numpy(float) / gained, np.nan)
    return Statement(
        f"uq_only_keeps_{key}",
        f"Where the duo has the better {label}, its uncertainty with the base's classes gives at least half of the gain.",
        source,
        f"{label}: gain of UQ only / gain of Duo",
        delta,
        np.where(about, value, np.nan),
        moves,
        enough=-1e-12,
    )


def _temperatures(world: World) -> Iterator[Statement]:
    """What the fit alone says, on its own split; no images that are judged are behind it."""
    pairs = world.pairs
    weights = pairs["T_base", "duo"], pairs["T_sidekick", "duo"]
    ratio = pairs["T_ratio", "duo"].mask((weights[0] > 0) & (weights[1] == 0), np.inf)
    source, label = "Appendix D, Figure 10", "Temperature ratio"
    text = "Where the sidekick adds less than 10 % compute, the base has the larger weight."
    yield Statement("base_leads", text, source, label, ratio.to_numpy(), ratio.to_numpy() - 1, band=BANDS[0])
    found = _orders(ratio, pairs["flops_balance", "duo"])
    twice = pd.concat([found, found.rename(columns={"one": "other", "other": "one"})])
    delta = twice.groupby(["base", "one"])["agrees"].mean().reindex(pairs.index).to_numpy()
    text = (
        "Of two sidekicks of one base, the cheaper one has the larger temperature ratio: the weights become more even as it grows."
    )
    label = "Share of the base's other sidekicks that are in this order with it"
    yield Statement("ratio_falls", text, source, label, delta, delta - 0.5, comparisons=found)


def _orders(ratio: pd.Series, balance: pd.Series) -> pd.DataFrame:
    """Every two sidekicks of one base of different balance, and whether the cheaper has the larger ratio; equal ratios half."""
    known = pd.DataFrame({"ratio": ratio, "balance": balance}).dropna().reset_index()
    both = known.merge(known, on="base", suffixes=("", "_other"))
    both = both[both["balance"] < both["balance_other"]]
    agrees = (both["ratio"] > both["ratio_other"]) + 0.5 * (both["ratio"] == both["ratio_other"])
    return pd.DataFrame({"base": both["base"], "one": both["sidekick"], "other": both["sidekick_other"], "agrees": agrees})


def _calibration(world: World) -> Statement:
    value, moves = world.number(lambda rows: rows["ece", "duo"] - rows["ece", "base"])
    text = "The duo is calibrated as its base is: the ECE changes by at most one percentage point."
    measured, source = "ECE: Duo - Base", "Sec. 5.2, Appendix E"
    return Statement(
        "calibration", text, source, measured, value, value, moves, lambda change: CALIBRATED - np.abs(change), enough=0, equal=True
    )
