"""Everything about one pair on one split."""

from duo_core.analysis.bowl import bowl, marks_of
from duo_core.analysis.diagnosis import exchange, mean_gap, reliability
from duo_core.common.numbers import percent
from duo_core.figures.bowl import nll_bowl
from duo_core.figures.charts import risk_coverage as coverage_chart
from duo_core.figures.curves import risk_at, risk_coverage
from duo_core.figures.diagnosis import SYSTEMS, confidence_histogram, reliability_diagram
from duo_core.figures.screen import SCREEN
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import REPLICATES, Interval, differences
from duo_core.report import words
from duo_core.report.markup import Content, Html, Section, definitions, folded, joined, paragraph, table, tag
from duo_core.report.page import Charts, page
from duo_core.report.provenance import provenance, settings
from duo_core.systems.duo import VARIANTS, Temperatures
from duo_core.systems.pair_predicting import pair_predictions
from duo_core.systems.sweep import Evaluation
from duo_core.wording import sentences

CARDS = ("accuracy", "auroc", "aurc", "sac98")
ORDER = ("base", "duo", "uq_only", "unweighted", "sidekick")
"""Of the variants' columns: what matters most stands where a narrow screen begins."""
COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

Gains = dict[str, dict[str, Interval | None]]
"""By variant and metric, the difference to the base."""


def pair_report(
    found: Evaluation, *, metric: str = "aurc", replicates: int = REPLICATES, seed: int = 0, created: str | None = None
) -> str:
    """Return an HTML file about a pair; the same input gives the same text.

    Parameters
    ----------
    found
        With all variants.
    metric
        Key of the one that the head of the report speaks of.
    replicates, seed
        Of the bootstrap behind the intervals.
    created
        A date or time to show; none unless given, so that reports may be compared.
    """
    base = found.predictions["base"]
    gains = {
        key: differences(own, base, replicates=replicates, seed=seed) for key, own in found.predictions.items() if key != "base"
    }
    charts = Charts()
    sections = [
        _numbers(found, gains, words.draws(replicates, seed)),
        _risks(found, charts),
        _temperatures(found, charts),
        _calibration(found, charts),
        _exchange(found, gains["duo"]["accuracy"]),
        Section("terms", "What the numbers mean", [_terms()]),
        provenance(found.logit_set, found.split, {found.base: "base", found.sidekick: "sidekick"}),
        _settings(found, metric, words.draws(replicates, seed), created),
    ]
    title = f"{found.base} + {found.sidekick}"
    name = f"{title} · {found.logit_set.title} · {found.split}"
    over = gains["duo"]
    if found.better == "sidekick":
        over = differences(found.predictions["duo"], found.predictions["sidekick"], replicates=replicates, seed=seed)
    return page(name, _header(found, title, over, metric), sections, charts, f"Asymmetric duo: {name}")


def _header(found: Evaluation, title: str, gains: dict[str, Interval | None], metric: str) -> Html:
    own = found.logit_set
    where = f"{own.title} · {found.split} · {len(own.labels[found.split]):,} images · {own.k:,} classes"
    before, after = (found.metrics[key]["accuracy"] or 0.0 for key in (found.better, "duo"))
    names = {"base": found.base, "sidekick": found.sidekick}
    stands = words.stands(metric, gains[metric], "" if found.better == "base" else f"{found.sidekick} alone")
    lead = f"{sentences.headline(found.flops_balance, before, after, gains['accuracy'])}. {stands}"
    said = sentences.fit_warnings(found.fit, names)
    if found.better == "sidekick":
        said.append(sentences.reversed_line(found.base, found.sidekick, [found.split], found.better))
    warnings = [paragraph(text, class_="warning") for text in said]
    parts = [tag("p", where, class_="eyebrow"), tag("h1", title), paragraph(lead, class_="lead"), *warnings]
    return joined([*parts, _cards(found, gains)])


def _cards(found: Evaluation, gains: dict[str, Interval | None]) -> Html:
    cards = [_card(key, found, gains[key]) for key in CARDS]
    price = tag("dd", words.cost(found.flops_balance), class_="value")
    cards.append(tag("div", tag("dt", "Extra compute"), price, tag("dd", "multiply-adds of the sidekick over the base's")))
    return tag("dl", *cards, class_="cards")


def _card(key: str, found: Evaluation, gain: Interval | None) -> Html:
    duo, alone = (SCREEN[key].text(found.metrics[of][key]) for of in ("duo", found.better))
    lines = [tag("dd", f"{found.better} {alone}")] + ([tag("dd", words.cell(key, gain))] if gain else [])
    return tag("div", tag("dt", sentences.label(key)), tag("dd", duo, class_="value"), *lines)


def _numbers(found: Evaluation, gains: Gains, draws: str) -> Section:
    rows = [[_named(key), *(_value(found, gains, key, variant) for variant in ORDER)] for key in METRICS]
    columns = ["Metric", *(VARIANTS[variant].label for variant in ORDER)]
    caption = "Value of each variant, and its difference to the base"
    about = (
        "Base and sidekick alone are calibrated by temperature scaling. The duo adds their logits with fitted weights; unweighted "
        "averages them; UQ only keeps the base's classes and takes the duo's uncertainty."
    )
    numbers = tag("div", table("metrics", caption, columns, rows), class_="wide")
    return Section("numbers", "What every variant gives", [paragraph(about), numbers, paragraph(draws, class_="aside")])


def _named(key: str) -> Html:
    better = "higher is better" if METRICS[key].higher_is_better else "lower is better"
    return Html(f"{sentences.label(key)} {tag('small', better)}")


def _value(found: Evaluation, gains: Gains, key: str, variant: str) -> Content:
    gain = gains[variant][key] if variant in gains else None
    return words.measured(key, found.metrics[variant][key], words.cell(key, gain))


def _risks(found: Evaluation, charts: Charts) -> Section:
    drawn = risk_coverage(found.predictions, oracle_of="duo")
    duo, base = (risk_at(found.predictions[key], 0.8) for key in ("duo", "base"))
    said = f"Of the 80 % surest images the duo gets {percent(duo, 2)} wrong, the base {percent(base, 2)}."
    figure = coverage_chart(drawn.table, coverage=0.8)
    caption = f"{said} The oracle ranks every right image of the duo before every wrong one: no ranking does better."
    alternative = f"Selective risk against coverage of every variant. {said}"
    rows: list[list[Content]] = [
        [
            words.number(coverage, percent(coverage, 0)),
            *(words.number(risk, percent(risk, 2)) for risk in (risk_at(p, coverage) for p in found.predictions.values())),
        ]
        for coverage in COVERAGES
    ]
    columns = ["Coverage", *(VARIANTS[key].label for key in found.predictions)]
    numbers = table("risk_coverage", "Error among the images kept, by coverage", columns, rows)
    chart = charts.add("risk-coverage", figure, alternative, caption)
    return Section("risk", "How many of the images you keep are wrong?", [chart, folded("The curves as numbers", numbers)])


def _temperatures(found: Evaluation, charts: Charts) -> Section:
    fit, own = found.fit, found.logit_set
    logits = own.logits(found.base, FIT_SPLIT), own.logits(found.sidekick, FIT_SPLIT)
    labels = own.labels[FIT_SPLIT]
    marks = marks_of(*logits, labels, fit)
    figure = nll_bowl(bowl(*logits, labels, fit), marks, names=(words.plain(found.base), words.plain(found.sidekick)))
    rows: list[list[Content]] = [
        [VARIANTS[key].label, words.number(where.base), words.number(where.sidekick), words.number(nll)]
        for key, (where, nll) in marks.items()
    ]
    columns = ["System", "T_base", "T_sidekick", "NLL on the fit split (nats)"]
    alternative = "NLL of the fit split over both temperatures; the fitted ones lie at its lowest point."
    content = [
        paragraph(_ratio(found)),
        table("temperatures", "Temperatures; they multiply the logits", columns, rows),
        charts.add("bowl", figure, alternative, "The NLL of the fit split over both temperatures: the fit finds its lowest point."),
        paragraph(
            f"Fitted on {len(labels):,} images of {FIT_SPLIT} in {fit.steps} Newton steps; gradient {fit.gradient:.0e}.",
            class_="aside",
        ),
    ]
    return Section("temperatures", "Temperatures and fit", content)


def _ratio(found: Evaluation) -> str:
    ratio = found.fit.ratio
    if ratio is None:
        why = "a weight or a calibration is 0, or no finite one is best on a fit split that is separated perfectly"
        return f"The **temperature ratio** is undefined: {why}."
    more = "base has more say" if ratio > 1 else "sidekick has more say" if ratio < 1 else "two have an equal say"
    return (
        f"**Temperature ratio {ratio:.2f}**: base over sidekick, each weight relative to its model's own calibration, so that the "
        f"scale of the logits drops out. The {more}."
    )


def _calibration(found: Evaluation, charts: Charts) -> Section:
    own = found.logit_set
    logits = own.logits(found.base, found.split), own.logits(found.sidekick, found.split)
    raw = pair_predictions(*logits, own.labels[found.split], Temperatures(1.0, 0.0), classes="base")
    systems = {"uncalibrated": raw, "base": found.predictions["base"], "duo": found.predictions["duo"]}
    tables = {key: reliability(p) for key, p in systems.items()}
    said = " · ".join(f"{SYSTEMS[key]} {percent(mean_gap(bins))}" for key, bins in tables.items())
    rows: list[list[Content]] = [
        [
            f"{percent(lower, 0)[:-2]} to {percent(lower + 1 / len(tables['duo']), 0)}",
            *(cell for bins in tables.values() for cell in _bin(bins.iloc[place])),
        ]
        for place, lower in enumerate(tables["duo"]["lower"])
    ]
    columns = ["Confidence", *(f"{SYSTEMS[key]}: {what}" for key in tables for what in ("images", "right"))]
    content = [
        charts.add("reliability", reliability_diagram(tables), f"Accuracy by confidence. ECE: {said}.", f"ECE: {said}."),
        charts.add(
            "confidences",
            confidence_histogram(tables, "wrong"),
            "Number of wrong images by confidence, base and duo.",
            "How sure the wrong images are: the fewer on the right, the better.",
        ),
        folded("The bins as numbers", table("reliability", "Images and share right, by confidence", columns, rows)),
    ]
    return Section("calibration", "Does confidence match accuracy?", content)


def _bin(row: "dict[str, float]") -> list[Content]:
    return [words.whole(int(row["images"])), words.number(row["accuracy"], percent(row["accuracy"]))]


def _exchange(found: Evaluation, gain: Interval | None) -> Section:
    counted = exchange(found.predictions["base"], found.predictions["duo"])
    rows: list[list[Content]] = [
        ["Base right", words.whole(counted.both_right), words.number(counted.harmed, f"{counted.harmed:,} harmed")],
        ["Base wrong", words.number(counted.rescued, f"{counted.rescued:,} rescued"), words.whole(counted.both_wrong)],
    ]
    matrix = table("exchange", "Images by who is right", ["", "Duo right", "Duo wrong"], rows)
    said = f"{sentences.exchanged(counted, found.base)} {words.stands('accuracy', gain)}"
    return Section("exchange", "Rescued and harmed", [paragraph(said), tag("div", matrix, class_="exchange")])


def _terms() -> Html:
    return definitions(((sentences.label(key), words.MEANINGS[key]) for key in METRICS), class_="terms")


def _settings(found: Evaluation, metric: str, draws: str, created: str | None) -> Section:
    kind = {"softmax": "1 − max softmax", "entropy": "entropy"}[found.predictions["duo"].kind]
    entries = [
        ("Logit set", f"{found.logit_set.title} ({found.logit_set.name})"),
        ("Split", f"{found.split}; temperatures fitted on {FIT_SPLIT}"),
        ("Pair", f"base {found.base}, sidekick {found.sidekick}"),
        ("Metric", sentences.label(metric)),
        ("Uncertainty", kind),
        ("Draws", draws),
    ]
    return settings(entries, created)
