"""Find a pair: all pairs on a cost axis, and the best under a budget."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import controls, link, recommendation, state, telling, words
from app.controls import THEMED, Choice
from duo_core import figures
from duo_core.analysis.advice import PAIR, Advice, Row, best_under, mean_gains
from duo_core.duo import VARIANTS
from duo_core.figures.landscape import AXES, FILLS, Look, Marks, look_of
from duo_core.figures.screen import SCREEN, cost_column, metric_title, on_screen
from duo_core.intervals import Interval
from duo_core.metrics import METRICS
from duo_core.sentences import flattered

TITLE = "Find a pair"
LINKED = (*link.CHOICE, "show", "cost", "scale", "systems", "budget", "bases", "families", "reversed")

SHOWN = {"value": "Value", "gain": "Gain toward perfect"}
COSTS = {"flops_balance": "Compute", "throughput_balance": "Time", "parameter_balance": "Parameters"}
SCALES = {"log": "Log", "linear": "Linear"}


@dataclass(frozen=True)
class View:
    """What the page's own controls say, and the rows that they leave."""

    table: pd.DataFrame
    alone: pd.DataFrame
    """Every model alone."""
    metric: str
    gain: bool
    cost: str
    logarithmic: bool
    look: Look

    @property
    def value(self) -> str:
        """The column that pairs are compared by."""
        return "gain" if self.gain else self.metric

    @property
    def higher_is_better(self) -> bool:
        """Which end of it is good."""
        return self.gain or METRICS[self.metric].higher_is_better


def show() -> None:
    """Draw the page."""
    choice = controls.sidebar()
    if choice is None:
        return
    own = choice.handle.logit_set
    st.title("Which pair is worth its cost?", anchor=False)
    table = state.landscape(choice.handle, choice.split, choice.kind, choice.metric)
    pairs = recommendation.counted_pairs(table)
    st.caption(f"{own.title} · {choice.split} · {len(own.labels[choice.split]):,} images · {pairs}, the base the dearer one")
    left, right = st.columns([5, 3], gap="large")
    with left:
        view = _view(choice, table)
    with right:
        budget = _budget() if view.cost in AXES else math.inf
    found = best_under(view.table, view.value, view.cost, budget, higher_is_better=view.higher_is_better)
    with right:
        _advice(choice, view, budget, found)
    with left:
        _landscape(choice, view, budget, found)
    _table(choice, view)
    _mean_gains(view, budget)
    controls.report(f"{own.name}-{choice.split}", state.report_of_set(choice.handle, choice.split, choice.metric, choice.kind))


def _view(choice: Choice, table: pd.DataFrame) -> View:
    """Draw the page's own controls."""
    known = [cost for cost in AXES if table[cost].notna().any()]
    with st.container(horizontal=True):
        shown = controls.switch("Show", "show", SHOWN)
        cost = controls.switch("Cost", "cost", {cost: COSTS[cost] for cost in known}) if known else cost_column(table)
        scale = controls.switch("Cost axis", "scale", SCALES) if known else "linear"
        link.settle_many("systems", tuple(FILLS), ("duo",))
        st.pills(
            "Systems",
            list(FILLS),
            selection_mode="multi",
            key="systems",
            format_func=lambda key: VARIANTS[key].label,
            on_change=link.touched,
            help="The full symbol is the duo; its ablations are open: UQ only, and Unweighted with a dot.",
        )
    if known and len(known) < len(AXES):
        st.caption(words.hidden_costs([cost for cost in AXES if cost not in known]))
    if not known:
        st.info(words.no_costs(cost))
    kept = _filtered(table)
    alone = state.singles(choice.handle, choice.split, choice.kind)
    bases = [base for base in alone.sort_values("accuracy", ascending=False, kind="stable").index if base in set(table["base"])]
    look = look_of(bases, sorted(set(table["family"])), chosen=st.session_state["bases"])
    return View(kept, alone, choice.metric, shown == "gain", cost, scale == "log", look)


def _filtered(table: pd.DataFrame) -> pd.DataFrame:
    """Draw the filters; nothing chosen leaves everything."""
    kept = table[table["variant"].isin(st.session_state["systems"])]
    if reverse := len(table[table["reversed"]].drop_duplicates(PAIR)):
        link.settle("reversed", ("off", "on"), "off")
        controls.switch(
            "Pairs whose sidekick is the more accurate model", "reversed", {"off": f"Left out ({reverse})", "on": "Shown"}
        )
        if st.session_state["reversed"] == "off":
            kept = kept[~kept["reversed"]]
    filters = (("bases", "base", "Bases"), ("families", "family", "Families of sidekicks"))
    for place, (key, column, label) in zip(st.columns(2), filters, strict=True):
        options = list(dict.fromkeys(table[column])) if key == "bases" else sorted(set(table[column]))
        link.settle_many(key, options)
        place.multiselect(label, options, key=key, placeholder="All", on_change=link.touched)
        chosen = st.session_state[key]
        kept = kept[kept[column].isin(chosen)] if chosen else kept
    return kept


def _budget() -> float:
    link.settle("budget", range(1, 101), 15)
    st.slider("Budget: the sidekick may add up to", 1, 100, key="budget", format="+%d %%", on_change=link.touched)
    return float(st.session_state["budget"] / 100)


def _landscape(choice: Choice, view: View, budget: float, found: Advice | None) -> None:
    figure: go.Figure = figures.pairs_by_cost(
        view.table,
        choice.metric,
        cost=view.cost,
        gain=view.gain,
        look=view.look,
        marks=Marks(
            base=(choice.base, view.alone.loc[choice.base, choice.metric]),
            chosen=(choice.base, choice.sidekick),
            advised=(found.best["base"], found.best["sidekick"], found.best["variant"]) if found else None,
            budget=None if math.isinf(budget) else budget,
        ),
        logarithmic=view.logarithmic,
        colours=THEMED,
    )
    what = f"{'Gain in ' if view.gain else ''}{METRICS[choice.metric].label}"
    controls.chart(
        figure,
        "landscape",
        f"{what} of all pairs, against the cost of the sidekick",
        on_select=lambda: link.choose_point("chart_landscape"),
        selection_mode="points",
    )
    controls.open_page("explore", f"Open {choice.base} + {choice.sidekick} in Explore →")
    unknown = int(view.table[[view.value, view.cost]].isna().any(axis=1).sum())
    if unknown and unknown < len(view.table):
        st.caption(f"{unknown} of {len(view.table)} points are not drawn: their value or cost is unknown.")


def _advice(choice: Choice, view: View, budget: float, found: Advice | None) -> None:
    """The card that recommends."""
    what = f"{'Largest gain in' if view.gain else 'Best'} {METRICS[view.metric].label}"
    with st.container(border=True, key="advice"):
        st.header(what if math.isinf(budget) else f"{what} under +{words.percent(budget, 0)}", anchor=False)
        if found is None:
            st.markdown(recommendation.none_within(view.table, view.cost, budget))
            return
        best, alone = found.best, view.alone.loc[found.best["base"]].to_dict()
        st.markdown(f":blue-background[{best['base']}] + :orange-background[{best['sidekick']}]{recommendation.variant_of(best)}")
        if not best["gain"] > 0:
            st.warning(f"Within this budget {best['base']} alone is as good or better: leave the sidekick out.")
        gain = _difference(choice, best, {**best, "variant": "base"})
        st.markdown(f"**Why.** {recommendation.why(found, view.metric, view.cost, alone[view.metric], by_gain=view.gain)}")
        st.markdown(recommendation.stands(view.metric, gain, f"{best['base']} alone"))
        st.markdown(f"**What it would lose.** {recommendation.given_up(found, view.metric, view.cost, by_gain=view.gain)}")
        if found.binds and not view.gain:
            st.markdown(
                recommendation.stands(view.metric, _difference(choice, best, found.overall), recommendation.system(found.overall))
            )
        st.markdown(recommendation.lost_to_base(best, alone))
        st.button("Take this pair", key="take", on_click=link.choose_pair, args=(best["base"], best["sidekick"]))
        st.caption(f"{telling.draws_line(gain)} {flattered(found)}")


def _difference(choice: Choice, own: Row, other: Row) -> Interval | None:
    one, two = ((row["base"], row["sidekick"], row["variant"]) for row in (own, other))
    return state.difference(choice.handle, one, two, choice.split, choice.kind, choice.metric)


def _table(choice: Choice, view: View) -> None:
    """The same rows; selecting one does what a click does."""
    st.header("The same pairs as a table", anchor=False)
    st.markdown("Best first. To select a row loads its pair, as a click on its point does.")
    rows = view.table.sort_values(view.value, ascending=not view.higher_is_better, kind="stable").reset_index(drop=True)
    pairs = list(zip(rows["base"], rows["sidekick"], strict=True))
    link.select_row("table_pairs", pairs.index(pair) if (pair := (choice.base, choice.sidekick)) in pairs else None)
    st.dataframe(
        _readable(rows, view),
        hide_index=True,
        key="table_pairs",
        column_config=COLUMNS,
        on_select=lambda: link.choose_row("table_pairs", pairs),
        selection_mode="single-row",
    )
    with st.container(horizontal=True):
        controls.download(rows, "pairs", "csv")
        controls.download(rows, "pairs", "parquet")


def _mean_gains(view: View, budget: float) -> None:
    """What the pairs within the budget gain on average."""
    within = view.table if math.isinf(budget) else view.table[view.table[view.cost] <= budget]
    what = "all pairs" if math.isinf(budget) else f"pairs under +{words.percent(budget, 0)}"
    st.header(f"What do {what} gain on average?", anchor=False)
    st.markdown(
        f"Mean and standard deviation over {recommendation.counted_pairs(within)}, each against the better of its two models alone."
    )
    summary = mean_gains(within, view.alone)
    controls.chart(
        figures.gains_by_metric(summary, colours=THEMED),
        "mean_gains",
        f"Mean relative gain of {what} in every metric, with one standard deviation",
    )
    controls.numbers(summary, "mean_gains", "The gains as numbers")


PERCENT = {"flops_balance": "FLOPs balance", "throughput_balance": "Throughput balance", "parameter_balance": "Parameter balance"}
COLUMNS: dict[str, Any] = {
    "base": "Base",
    "sidekick": "Sidekick",
    "variant": "System",
    "family": "Sidekick's family",
    "gain": st.column_config.NumberColumn("Gain", format="percent"),
    "T_base": st.column_config.NumberColumn("T_base", format="%.3f"),
    "T_sidekick": st.column_config.NumberColumn("T_sidekick", format="%.3f"),
    "T_ratio": st.column_config.NumberColumn("Temperature ratio", format="%.2f"),
    **{key: st.column_config.NumberColumn(label, format="percent") for key, label in PERCENT.items()},
    **{
        key: st.column_config.NumberColumn(metric_title(key).partition(",")[0], format=f"%.{screen.decimals}f")
        for key, screen in SCREEN.items()
    },
}


def _readable(rows: pd.DataFrame, view: View) -> pd.DataFrame:
    """The columns that the table shows, what is compared first."""
    first = ["base", "sidekick", "variant", view.cost, view.metric, "gain"]
    rest = [column for column in COLUMNS if column in rows and column not in first]
    labels = {key: variant.label for key, variant in VARIANTS.items()}
    return on_screen(rows[first + rest]).assign(variant=rows["variant"].map(labels))
