"""Everything about one set on one split: all pairs, which to take, and whether the paper's claims hold."""

from collections.abc import Sequence

import pandas as pd

from duo_core.analysis.advice import mean_gains
from duo_core.analysis.claims import Claim
from duo_core.analysis.judged import Judged, judged_claims
from duo_core.common.arrays import UncertaintyKind
from duo_core.common.numbers import percent
from duo_core.figures.fitting import all_ratios
from duo_core.figures.gains import gains_by_metric
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import REPLICATES
from duo_core.report import words
from duo_core.report.choosing import Whole, advised_pairs, landscape, recommendation, whole_of
from duo_core.report.markup import Content, Html, Number, Section, definitions, folded, joined, paragraph, table, tag
from duo_core.report.page import Charts, page
from duo_core.report.provenance import provenance, settings
from duo_core.systems.duo import VARIANTS
from duo_core.systems.pair_judging import Memory
from duo_core.wording import sentences


def set_report(
    own: LogitSet,
    table: pd.DataFrame,
    *,
    metric: str = "aurc",
    kind: UncertaintyKind = "softmax",
    entropy: pd.DataFrame | None = None,
    judged: Judged | None = None,
    memory: Memory | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
    created: str | None = None,
) -> str:
    """Return an HTML file about all pairs of a set; the same input gives the same text.

    Parameters
    ----------
    table
        A sweep's rows of one split, all variants.
    metric
        Key of the one that pairs are compared by.
    kind
        The uncertainty that the sweep ranked the images by.
    entropy
        The sweep's rows with images ranked by entropy, for the claims about it; those are left out without.
    judged
        What the claims say, where that was found before.
    memory
        What was found of the set before; what is found now is added.
    replicates, seed
        Of the bootstrap behind the intervals.
    created
        A date or time to show; none unless given, so that reports may be compared.

    Raises
    ------
    InputError
        Where the table has no pairs, or those of several splits.
    """
    memory = memory or Memory()
    whole = whole_of(own, table, metric, kind, memory)
    if judged is None:
        tables: dict[UncertaintyKind, pd.DataFrame] = {"softmax": table}
        if entropy is not None:
            tables["entropy"] = entropy
        judged = judged_claims(own, whole.split, tables, memory=memory, replicates=replicates, seed=seed)
    found = judged.claims
    charts = Charts()
    advised = advised_pairs(whole, replicates, seed)
    sections = [
        landscape(whole, advised, charts),
        recommendation(whole, advised, words.draws(replicates, seed)),
        _gains(whole, charts),
        _claims(judged, whole.split),
        _ratios(whole, charts),
        _alone(whole),
        _pairs(whole),
        Section("terms", "What the numbers mean", [_terms()]),
        provenance(own, whole.split, dict.fromkeys(map(str, whole.alone.index), "")),
        _settings(whole, words.draws(replicates, seed), created),
    ]
    name = f"{own.title} · {whole.split}"
    return page(f"All pairs · {name}", _header(whole, found), sections, charts, f"Asymmetric duos: {name}")


def _header(whole: Whole, found: Sequence[Claim]) -> Html:
    own, duos = whole.own, whole.duos
    where = f"{whole.split} · {len(own.labels[whole.split]):,} images · {own.k:,} classes · {len(whole.alone)} models"
    better = int((duos["gain"] > 0).sum())
    contradicted = sum(claim.verdict == "contradicted" for claim in found)
    lead = (
        f"The duo has the better {METRICS[whole.metric].label} than its better member in **{better} of {len(duos)} pairs**, and a "
        f"mean gain of {percent(duos['gain'].mean())} of the way to perfect. {whole.left_out} Of the paper's claims: "
        f"{sentences.claims_that_hold(found)} here, and {contradicted} {'is' if contradicted == 1 else 'are'} contradicted."
    )
    return joined([tag("p", where, class_="eyebrow"), tag("h1", f"{own.title}: all pairs"), paragraph(lead, class_="lead")])


def _gains(whole: Whole, charts: Charts) -> Section:
    shown = whole.table[whole.table["variant"].isin(("duo", "uq_only", "unweighted"))]
    summary = mean_gains(shown, whole.alone)
    said = "Mean relative gain over each pair's better member, with one standard deviation over pairs to either side."
    said = f"{said} {whole.left_out}".strip()
    rows: list[list[Content]] = [
        [
            METRICS[row["metric"]].label,
            VARIANTS[row["variant"]].label,
            *(words.number(row[column], percent(row[column])) for column in ("mean", "std")),
            words.whole(row["pairs"]),
        ]
        for row in summary.to_dict("records")
    ]
    numbers = table("mean_gains", said, ["Metric", "System", "Mean gain", "Standard deviation", "Pairs"], rows)
    chart = charts.add("mean-gains", gains_by_metric(summary), said)
    return Section("gains", "What pairs gain on average", [chart, folded("The gains as numbers", numbers)])


def _claims(judged: Judged, split: str) -> Section:
    found = judged.claims
    columns = ["Claim", "Verdict", "Pairs that agree", "of", "Asked for", "In the paper"]
    listed = table("claims", "The paper's claims, each by the share of pairs that agree", columns, map(_claim_row, found))
    where = f"{FIT_SPLIT}, or clearly on {split},"
    said = [sentences.reversed_pairs(judged.reversed, judged.pairs, where), sentences.claims_by_chance(found)]
    asides = [paragraph(text, class_="aside") for text in (*said, sentences.claims_rule(found)) if text]
    return Section("claims", "Does it hold?", [*asides, tag("div", listed, class_="prose")])


def _claim_row(claim: Claim) -> list[Content]:
    interval = claim.interval
    between = f"[{percent(interval.low, 0)}, {percent(interval.high, 0)}]" if interval else ""
    return [
        claim.text,
        sentences.said(claim.verdict).replace(" ", words.NARROW),
        Number(claim.share, percent(claim.share, 0), between),
        words.whole(len(claim.pairs)),
        words.number(claim.asked, f"> {percent(claim.asked, 0)}"),
        claim.source,
    ]


def _ratios(whole: Whole, charts: Charts) -> Section:
    drawn = words.undrawn(whole.table)
    base = words.plain(str(whole.alone["accuracy"].idxmax()))
    said = "Temperature ratio of every pair against what the sidekick costs: above 1 the base has more say, below 1 the sidekick."
    figure = all_ratios(drawn, base=base, sidekick="")
    return Section("ratios", "How much say does each get?", [charts.add("ratios", figure, said)])


def _alone(whole: Whole) -> Section:
    columns = ["Model", "Family", *map(sentences.label, METRICS)]
    rows: list[list[Content]] = [
        [str(name), whole.own.cards[str(name)].family or "unknown", *(words.measured(key, row[key]) for key in METRICS)]
        for name, row in whole.alone.iterrows()
    ]
    listed = table("models_alone", "Every model alone, calibrated; most expensive first", columns, rows, sortable=True)
    return Section("alone", "The models alone", [tag("div", listed, class_="wide")])


def _pairs(whole: Whole) -> Section:
    higher = METRICS[whole.metric].higher_is_better
    ranked = whole.every[~whole.every["variant"].isin(("base", "sidekick"))]
    ranked = ranked.sort_values(
        [whole.metric, "base", "sidekick", "variant"], ascending=[not higher, True, True, True], kind="stable"
    )
    columns = ["Base", "Sidekick", "System", "Extra compute", *map(sentences.label, METRICS), "T_base", "T_sidekick", "T ratio"]
    rows: list[list[Content]] = [
        [
            row["base"],
            row["sidekick"],
            VARIANTS[row["variant"]].label,
            words.number(row["flops_balance"], words.cost(row["flops_balance"])),
            *(words.measured(key, row[key]) for key in METRICS),
            *(words.number(row[key], decimals=3) for key in ("T_base", "T_sidekick", "T_ratio")),
        ]
        for row in ranked.to_dict("records")
    ]
    caption = f"Best {METRICS[whole.metric].label} first; a column's name sorts by it"
    listed = tag("div", table("pairs", caption, columns, rows, sortable=True), class_="wide")
    return Section("table", "The table", [folded(f"{len(rows):,} rows", listed)])


def _terms() -> Html:
    gain = (
        "Gain",
        "Share of the way from the better member's value to the perfect one: 0 % is that member alone, 100 % perfect. The better "
        "member is the more accurate one: of an asymmetric duo the base.",
    )
    return definitions([*((sentences.label(key), words.MEANINGS[key]) for key in METRICS), gain], class_="terms")


def _settings(whole: Whole, draws: str, created: str | None) -> Section:
    kind = {"softmax": "1 − max softmax", "entropy": "entropy"}[whole.kind]
    entries = [
        ("Logit set", f"{whole.own.title} ({whole.own.name})"),
        ("Split", f"{whole.split}; temperatures fitted on {FIT_SPLIT}"),
        (
            "Pairs",
            f"{len(whole.duos):,}, the base has at least the sidekick's multiply-adds where known. {whole.left_out}".strip(),
        ),
        ("Metric", sentences.label(whole.metric)),
        ("Uncertainty", kind),
        ("Draws", draws),
    ]
    return settings(entries, created)
