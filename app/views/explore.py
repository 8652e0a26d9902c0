"""Explore: one pair, what it buys and what it costs."""

from collections.abc import Mapping
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import controls, link, manual, state, tables, taking, together
from app.controls import THEMED, Choice
from duo_core import figures
from duo_core.analysis.guarantee import ASSUMPTION
from duo_core.figures.curves import parting, risk_at
from duo_core.figures.screen import LABELS, SCREEN, cost_column
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval
from duo_core.systems.sweep import Evaluation
from duo_core.wording import promising, telling, words

TITLE = "Explore"
LINKED = (*link.CHOICE, "members", *together.LINKED, "coverage", "range", "target", "confidence", *manual.LINKED)
RANGES = {"parting": "Where curves separate", "whole": "Whole range"}

CARDS = {
    "accuracy": "Share of images classified right.",
    "auroc": "How well uncertainty tells right from wrong: the chance that a right prediction is surer than a wrong one, both "
    "drawn at random.",
    "aurc": "Area under the risk-coverage curve below, times 1000: the share of wrong images among those kept, averaged over all "
    "shares kept. Lower is better.",
    "sac98": "Selective accuracy constraint: the largest share of images that can be kept with at least 98 % of them right.",
}

MEMBERS: tuple[Literal["base", "sidekick"], ...] = ("base", "sidekick")
COVERED = (
    "The intervals cover which images the systems are judged on, not which images the temperatures were fitted on, nor how the "
    "models were trained."
)


def show() -> None:
    """Draw the page."""
    choice = controls.sidebar(more=True)
    if choice is None:
        return
    if len(choice.members) > 2:
        together.show(choice)
        return
    found = state.evaluation(choice.handle, choice.base, choice.sidekick, choice.split, choice.kind)
    better = found.better
    title = _heading(choice)
    _reversed(choice, found)
    _fit_warnings(choice)
    cards = st.container(key="cards").empty()
    known = all(work.done(0) for work in state.begin_gains(choice.handle, found, choice.kind, state.ON_CARDS, better))
    gains = state.gains(choice.handle, found, choice.kind, state.ON_CARDS, better) if known else {}
    _cards(found, gains, title, cards)  # the pair at once; its intervals take longest and come last where they are new
    left, right = st.columns([3, 2], gap="large")
    with left:
        _curves(choice, found)
    with right:
        _sidekicks(choice, found)
    with st.container(key="standing"):
        said = st.empty()
    _standing(found, gains, said)
    _every_metric(choice, found)
    _fit(choice)
    st.space("medium")
    _promise(choice, found)
    st.space("medium")
    left, right = st.columns([3, 2], gap="large")
    with left:
        _temperatures(choice, found)
    with right:
        _ratios(choice)
    if not known:
        gains = state.gains(choice.handle, found, choice.kind, state.ON_CARDS, better)  # before the cards are taken away
        _cards(found, gains, title, cards)
        _standing(found, gains, said)


def _heading(choice: Choice) -> DeltaGenerator:
    """Draw what the page is about; the place of its title."""
    own = choice.handle.logit_set
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f":blue-background[{choice.base}] + :orange-background[{choice.sidekick}]", width="content")
        st.caption(
            f"{own.title} · {choice.split} · {len(own.labels[choice.split]):,} images · {own.k:,} classes",
            help="More compute: the sidekick's multiply-adds for one image, as a share of the base's (FLOPs balance).",
            width="content",
        )
    return st.empty()


def _reversed(choice: Choice, found: Evaluation) -> None:
    """Say where the sidekick is the better member, and offer to swap the two."""
    table = state.sidekicks(choice.handle, choice.base, choice.split, choice.kind)
    on_fit = bool(table.loc[table["sidekick"] == choice.sidekick, "reversed"].any())
    if not on_fit and found.better == "base":
        return
    splits = [FIT_SPLIT] * on_fit + [choice.split] * (found.better == "sidekick")
    st.warning(words.reversed_line(found.base, found.sidekick, splits, found.better))
    if on_fit:
        st.button("Swap: make it the base", key="swap_reversed", on_click=link.swap)


def _fit_warnings(choice: Choice) -> None:
    fit = state.fitted(choice.handle, choice.base, choice.sidekick).fit
    for warning in words.fit_warnings(fit, {"base": choice.base, "sidekick": choice.sidekick}):
        st.warning(warning)


def _cards(found: Evaluation, gains: Mapping[str, Interval | None], title: DeltaGenerator, place: DeltaGenerator) -> None:
    """The duo beside its better member: the title and the cards say what the intervals say."""
    duo, base = found.metrics["duo"], found.metrics[found.better]
    before, after = (metrics["accuracy"] or 0.0 for metrics in (base, duo))
    title.title(words.headline(found.flops_balance, before, after, gains.get("accuracy")), anchor=False)
    with place.container():
        for column, (key, meaning) in zip(st.columns(len(CARDS), gap="small"), CARDS.items(), strict=True):
            with column:
                controls.difference_card(
                    words.card_label(key),
                    key,
                    duo[key],
                    base[key],
                    gain=gains.get(key),
                    beside=words.within(key, gains.get(key)) or words.beside(key, duo[key], base[key], found.better),
                    help=f"{meaning} {LABELS[found.better]} alone: {SCREEN[key].text(base[key])}.",
                    height="stretch",
                )


def _standing(found: Evaluation, gains: Mapping[str, Interval | None], place: DeltaGenerator) -> None:
    """The same in a sentence, and how the intervals came about."""
    with place.container():
        st.markdown(words.standing(gains, found.better) if gains else "Drawing other images of this kind…")
        st.caption(f"{telling.draws_line(gains.get('accuracy'))} {COVERED}")


@st.fragment
def _every_metric(choice: Choice, found: Evaluation) -> None:
    """All metrics of the pair in one table, computed when somebody asks."""
    if not st.toggle("All metrics, with intervals against base and sidekick", key="every_metric"):
        return
    gains: dict[str, Mapping[str, Interval | None]]
    gains = {over: state.gains(choice.handle, found, choice.kind, over=over) for over in MEMBERS}
    table = telling.every_metric(found.metrics, gains)
    numbers = [name for name in table if table[name].dtype.kind == "f"]
    tables.frame(table, columns=dict.fromkeys(numbers, st.column_config.NumberColumn(format="%.3f")))
    tables.downloads(table, "metrics")


def _fit(choice: Choice) -> None:
    timed = state.fitted(choice.handle, choice.base, choice.sidekick)
    st.markdown(words.weights_line(timed.fit))
    with st.expander("How it was fitted"):
        st.markdown(words.fit_line(timed.fit, len(choice.handle.logit_set.labels[FIT_SPLIT]), timed.seconds))


@st.fragment
def _curves(choice: Choice, found: Evaluation) -> None:
    st.header("How many of the images you keep are wrong?", anchor=False)
    link.settle("coverage", range(1, 101), 80)
    coverage = st.session_state["coverage"] / 100
    link.settle("range", RANGES, "parting")
    duo, alone = (risk_at(found.predictions[key], coverage) for key in ("duo", found.better))
    st.markdown(words.operating_point(coverage, duo, alone, found.better))
    drawn = state.curves(choice.handle, found, choice.kind)
    whole = st.session_state["range"] == "whole"
    start = 0.0 if whole else min(parting(drawn.table, of=found.better), coverage)
    controls.chart(
        figures.risk_coverage(drawn.table, coverage=coverage, start=start, colours=THEMED).update_layout(height=320),
        "risk_coverage",
        f"Selective risk against coverage of {choice.base}, {choice.sidekick} and their duo",
        on_select=lambda: link.choose_coverage("chart_risk_coverage"),
        selection_mode="points",
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.slider("Coverage: keep the surest (or click the chart)", 1, 100, key="coverage", format="%d %%", on_change=link.touched)
        controls.switch("Coverages shown", "range", RANGES)
    about = f"Lines lie within {words.points(drawn.error)} of the exact curves."
    controls.numbers(drawn.table, "risk_coverage", "The curves as numbers", about)
    link.share()


def _sidekicks(choice: Choice, found: Evaluation) -> None:
    st.header("Which sidekick?", anchor=False)
    table = state.sidekicks(choice.handle, choice.base, choice.split, choice.kind)
    st.markdown("Click a point to load its pair.")
    if words.no_costs(cost_column(table)):
        st.info(words.no_costs(cost_column(table)))
    controls.chart(
        figures.metric_by_cost(
            table, choice.metric, base=found.metrics["base"][choice.metric], chosen=choice.sidekick, colours=THEMED
        ).update_layout(height=320),
        "sidekicks",
        f"{METRICS[choice.metric].label} of {choice.base} with every sidekick, against the cost of the sidekick",
        on_select=lambda: link.choose_sidekick("chart_sidekicks"),
        selection_mode="points",
    )
    controls.numbers(table, "sidekicks", "The sidekicks as numbers")


@st.fragment
def _promise(choice: Choice, found: Evaluation) -> None:
    st.header("Answer only when sure", anchor=False)
    target, confidence = taking.goal()
    table = state.promised(choice.handle, found, choice.kind, target, confidence)
    for line in promising.promise_lines(table, target, choice.split):
        st.markdown(f"- {line}")
    st.table(promising.promise_table(table, FIT_SPLIT, choice.split))
    rates = state.exchangeable(choice.handle, found, choice.kind)
    st.caption(f"{ASSUMPTION} {promising.exchangeable_line(rates, choice.base, FIT_SPLIT, choice.split)}")
    controls.download(table, "thresholds")
    st.space("medium")
    taking.take_home(choice, found, table, target, confidence)
    link.share()


@st.fragment
def _temperatures(choice: Choice, found: Evaluation) -> None:
    st.header("What if the temperatures were different?", anchor=False)
    with st.container(horizontal=True):
        chosen = manual.sliders(choice, found)
    manual.consequences(choice, found, chosen)


def _ratios(choice: Choice) -> None:
    st.header("How much say does each model have?", anchor=False)
    table = state.sidekicks(choice.handle, choice.base, choice.split, choice.kind)
    controls.chart(
        figures.ratio_by_cost(table, chosen=choice.sidekick, colours=THEMED).update_layout(height=320),
        "ratios",
        f"Temperature ratio of {choice.base} with every sidekick, against the cost of the sidekick",
        on_select=lambda: link.choose_sidekick("chart_ratios"),
        selection_mode="points",
    )
    st.caption(words.RATIO)
    duos = table[table["variant"] == "duo"]
    columns = ["sidekick", "T_base", "T_sidekick", "T_ratio", "flops_balance"]
    controls.numbers(duos[columns], "ratios", "The ratios as numbers")
