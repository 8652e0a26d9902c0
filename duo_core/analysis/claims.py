"""Does it hold? The claims of the paper, each computed over all pairs of a logit set on one split.

A claim is a statement that a pair agrees with or not; its number is the share of pairs that agree, with an interval over models and
images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from duo_core.analysis.parts import FEWEST, LEAST, Parts, steps
from duo_core.analysis.shares import ModelDraws
from duo_core.analysis.statements import BANDS, CALIBRATED, IMPROVED, KEPT, Band, Statement, World, by_entropy, statements
from duo_core.common.arrays import Floats, UncertaintyKind
from duo_core.metrics.intervals import LEVEL, REPLICATES, Interval

__all__ = ["BANDS", "CALIBRATED", "COLUMNS", "KEPT", "MODELS", "RULE", "Band", "Claim", "Verdict", "by_chance", "claims"]

Verdict = Literal["holds", "contradicted", "inconclusive", "too few models"]

MODELS = 6
"""Fewest models among the pairs of a claim that is judged."""
RULE = (
    "Each claim asks that more than a stated share of the pairs agree with it. It holds where the interval of the share that agrees"
    " lies wholly above that, is contradicted where it lies wholly below, and is inconclusive otherwise. A pair whose difference is"
    " one image or none counts neither way. Too few models means fewer than 6, or so few pairs that all would agree by chance more"
    " than once in 40 times. A claim that something stays the same is inconclusive, too, where no improvement over all pairs holds"
    " or is contradicted, as without any change everything stays the same."
)
COLUMNS = ["base", "sidekick", "flops_balance", "delta", "agrees"]


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
    """Of the share, with models and images drawn; None where more than 5 % of the draws have none of the pairs."""
    verdict: Verdict
    """By RULE."""
    pairs: pd.DataFrame
    """The pairs behind it, with COLUMNS; those that do not agree first."""
    measured: str
    """What the column `delta` holds."""
    images: bool
    """Whether the interval covers other images."""
    note: str = ""
    """Why the verdict is not that of the interval; empty where it is."""


def claims(
    table: pd.DataFrame,
    entropy: pd.DataFrame | None = None,
    *,
    parts: Parts | None = None,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> list[Claim]:
    """Judge every claim on pairs of one split.

    Parameters
    ----------
    table
        A sweep's rows, with the variants of NEEDED for each pair; any further rows and columns are left alone. Reversed pairs are
        no duos of the paper: `roles.judged_reversed` names them.
    entropy
        The same with the images ranked by entropy. Without it the claims about entropy are left out.
    parts
        The pairs on parts of the images, for intervals that cover other images too. Without it they cover other models alone.
    replicates, level, seed
        Of the draws of models and images behind the intervals.

    Raises
    ------
    InputError
        Where a variant is missing, or a pair occurs more than once because the table has several splits.
    """
    of_parts: Mapping[UncertaintyKind, pd.DataFrame] = parts.tables if parts else {}
    images = parts.images if parts else None
    world = World(table, of_parts.get("softmax"), images)
    found = [*statements(world)]
    if entropy is not None:
        found += by_entropy(World(entropy, of_parts.get("entropy"), images, world.pairs.index))
    judge = Judge(rows_of(world), parts, replicates=replicates, level=level, seed=seed)
    return _sensitive([judge.judged(statement) for statement in found], {one.key for one in found if one.equal})


def by_chance(found: Sequence[Claim]) -> float:
    """Return how many of the claims that were judged chance alone would have hold, at most: each once in 40 times.

    >>> by_chance([])
    0.0
    """
    judged = [claim.interval for claim in found if claim.verdict != "too few models" and claim.interval]
    return float(sum((1 - interval.level) / 2 for interval in judged))


def _sensitive(found: list[Claim], equal: set[str]) -> list[Claim]:
    """The claims; those that something stays as it is are inconclusive where no improvement over all pairs is decided."""
    if any(claim.key in IMPROVED and claim.verdict in ("holds", "contradicted") for claim in found):
        return found
    unfounded = {claim.key for claim in found if claim.verdict == "holds"} & equal
    note = "on these images no duo is shown to differ from its base, so that something stays the same says nothing"
    return [replace(claim, verdict="inconclusive", note=note) if claim.key in unfounded else claim for claim in found]


def rows_of(world: World) -> pd.DataFrame:
    """Base, sidekick and FLOPs balance of a world's pairs."""
    pairs = world.pairs
    return pairs.index.to_frame(index=False).astype(object).assign(flops_balance=pairs["flops_balance", "duo"].to_numpy())


class Judge:
    """Judges statements about the same rows with the same draws of models and images."""

    def __init__(
        self,
        rows: pd.DataFrame,
        parts: Parts | None,
        *,
        replicates: int = REPLICATES,
        level: float = LEVEL,
        seed: int = 0,
    ) -> None:
        """Of rows with base, sidekick and flops_balance."""
        self._rows = rows
        self._draws = ModelDraws({*rows["base"], *rows["sidekick"]}, replicates=replicates, level=level, seed=seed)
        self._few = parts is not None and not parts.tables
        self._steps = steps(parts.count, replicates, seed + 1) if parts and parts.count else None

    def judged(self, statement: Statement) -> Claim:
        """Judge one statement, whose values stand in the order of the pairs."""
        value = statement.value
        about = ~np.isnan(value)
        if statement.band is not None:
            about &= statement.band.pairs(self._rows["flops_balance"]).to_numpy()
        agrees = statement.supports(value)
        at = np.concatenate([np.flatnonzero(about & ~agrees), np.flatnonzero(about & agrees)])
        found = self._rows.take(at).reset_index(drop=True).assign(delta=statement.delta[at], agrees=agrees[at])
        share, interval, most = self._shares(statement, at)
        few = self._few and interval is not None
        return Claim(
            key=statement.key,
            text=statement.text,
            source=statement.source,
            band=statement.band,
            share=share,
            asked=statement.asked,
            interval=interval,
            verdict="inconclusive" if few else verdict_of(interval, most, statement.asked, found),
            pairs=found,
            measured=statement.measured,
            images=self._steps is not None and statement.moves is not None,
            note=f"fewer than {FEWEST * LEAST} images are too few to judge it" if few else "",
        )

    def _shares(self, statement: Statement, at: np.ndarray) -> tuple[float | None, Interval | None, float]:
        """The share that agrees, its interval, and the upper end of that of pairs that do not speak against the statement."""
        if statement.comparisons is not None:
            *members, agrees = (column.tolist() for _, column in statement.comparisons.items())
            interval = self._draws.interval(members, agrees)
            return (float(np.mean(agrees)) if agrees else None), interval, interval.high if interval else 1.0
        members = [self._rows[column].to_numpy()[at].tolist() for column in ("base", "sidekick")]
        value = self._drawn(statement, at)
        measured = statement.supports(statement.value[at])
        interval = self._draws.interval(members, statement.supports(value))
        fair = self._draws.interval(members, ~statement.denies(value))
        if interval is None or fair is None:
            return (float(measured.mean()) if len(at) else None), None, 1.0
        return float(measured.mean()), replace(interval, estimate=float(measured.mean())), fair.high

    def _drawn(self, statement: Statement, at: np.ndarray) -> Floats:
        """A statement's values at some pairs, on other images by draw where parts of them are known."""
        value: Floats = statement.value[at]
        if statement.moves is None or self._steps is None:
            return value
        moved: Floats = value + self._steps @ statement.moves[:, at]
        return moved


def verdict_of(interval: Interval | None, most: float, asked: float, pairs: pd.DataFrame) -> Verdict:
    """Return the verdict on a claim from its interval, and the upper end of that of pairs that do not speak against it."""
    models = {*pairs["base"], *pairs["sidekick"]}
    if interval is None or len(models) < MODELS or asked ** len(pairs) > 1 / 40:
        return "too few models"
    if interval.low > asked:
        return "holds"
    return "contradicted" if most < asked else "inconclusive"
