"""Find a pair: all pairs on a cost axis, and the best under a budget."""

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import controls, finding, link, state
from app.controls import THEMED, Choice
from app.finding import Budget, View
from duo_core import figures
from duo_core.analysis.advice import Advice, Row, chosen_under, mean_gains
from duo_core.figures.landscape import BY_COLUMN, Marks
from duo_core.figures.screen import SCREEN, metric_title, on_screen
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval
from duo_core.systems.duo import VARIANTS
from duo_core.wording import recommendation, telling, words
from duo_core.wording.sentences import chosen_and_judged

TITLE = "Find a pair"
LINKED = (*link.CHOICE, *finding.LINKED)


def show() -> None:
    """Draw the page."""
    choice = controls.sidebar()
    if choice is None:
        return
    own = choice.handle.logit_set
    st.title("Which pair is worth its cost?", anchor=False)
    table = state.landscape(choice.handle, choice.split, choice.kind, choice.metric)
    pairs = recommendation.counted_pairs(table)
    st.caption(f"{own.title} · {choice.split} · {len(own.labels[choice.split]):,} images · {pairs} in all, the base the dearer one")
    left, right = st.columns([5, 3], gap="large")
    with left:
        view = finding.view_of(choice, table)
    with right:
        budget = finding.budget_of(choice, view)
    found = chosen_under(view.table[view.table[choice.metric].notna()], view.cost, budget.most)
    with right:
        _advice(choice, view, budget, found)
    with left:
        _landscape(choice, view, budget, found)
    _table(choice, view)
    _mean_gains(view, budget)
    controls.report(f"{own.name}-{choice.split}", state.report_of_set(choice.handle, choice.split, choice.metric, choice.kind))


def _landscape(choice: Choice, view: View, budget: Budget, found: Advice | None) -> None:
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
            budget=None if math.isinf(budget.most) else budget.most,
            limit=f"Budget {budget.words}",
        ),
        logarithmic=view.logarithmic,
        colours=THEMED,
    )
    what = f"{'Gain in ' if view.gain else ''}{METRICS[choice.metric].label}"
    controls.chart(
        figure,
        "landscape",
        f"{what} of the pairs that are shown, against their cost",
        on_select=lambda: link.choose_point("chart_landscape"),
        selection_mode="points",
    )
    controls.open_page("explore", f"Open {choice.base} + {choice.sidekick} in Explore →")
    if view.left_out:
        st.caption(view.left_out)
    unknown = int(view.table[[view.value, view.cost]].isna().any(axis=1).sum())
    if unknown and unknown < len(view.table):
        st.caption(f"{unknown} of {len(view.table)} points are not drawn: their value or cost is unknown.")


def _advice(choice: Choice, view: View, budget: Budget, found: Advice | None) -> None:
    """The card that recommends."""
    with st.container(border=True, key="advice"):
        st.header("Recommended" if math.isinf(budget.most) else f"Recommended under {budget.words}", anchor=False)
        if found is None:
            st.markdown(recommendation.none_within(view.table, view.cost, budget.most))
            return
        best, better = found.best, view.better(found.best)
        alone = view.alone.loc[better].to_dict()
        st.markdown(f":blue-background[{best['base']}] + :orange-background[{best['sidekick']}]")
        if warning := recommendation.warning(best, better, len(choice.handle.logit_set.labels[FIT_SPLIT]), FIT_SPLIT, choice.split):
            st.warning(warning)
        gain = _difference(choice, best, {**best, "variant": "base" if better == best["base"] else "sidekick"})
        st.markdown(f"**Why.** {recommendation.why(found, view.metric, view.cost, alone[view.metric], FIT_SPLIT)}")
        st.markdown(recommendation.stands(view.metric, gain, f"{better} alone"))
        st.markdown(f"**What it would lose.** {recommendation.given_up(found, view.metric, view.cost, FIT_SPLIT)}")
        if found.binds:
            st.markdown(
                recommendation.stands(view.metric, _difference(choice, best, found.overall), recommendation.system(found.overall))
            )
        st.markdown(recommendation.lost_to(better, best, alone))
        st.button("Take this pair", key="take", on_click=link.choose_pair, args=(best["base"], best["sidekick"]))
        st.caption(f"{chosen_and_judged(FIT_SPLIT, choice.split)} {telling.draws_line(gain)}")


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


def _mean_gains(view: View, budget: Budget) -> None:
    """What the pairs within the budget gain on average."""
    within = view.table if math.isinf(budget.most) else view.table[view.table[view.cost] <= budget.most]
    what = "all pairs" if math.isinf(budget.most) else f"pairs under +{words.percent(budget.share, 0)}"
    st.header(f"What do {what} gain on average?", anchor=False)
    st.markdown(
        f"Mean and standard deviation over {recommendation.counted_pairs(within)}, each against the better of its members alone. "
        f"{view.left_out}"
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
    "reversed": "Reversed",
    "nll_fit": st.column_config.NumberColumn(f"NLL on {FIT_SPLIT}", format="%.4f"),
    **{key: st.column_config.NumberColumn(label, format="percent") for key, label in PERCENT.items()},
    **{key: st.column_config.NumberColumn(total.title.partition(",")[0], format="%.4g") for key, total in BY_COLUMN.items()},
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
    totals = {key: rows[key] * total.factor for key, total in BY_COLUMN.items()}
    return on_screen(rows[first + rest].assign(**totals)).assign(variant=rows["variant"].map(labels))
