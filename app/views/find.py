"""Find a system: what more compute buys, of every system that a set can offer."""

from typing import Any

import pandas as pd
import streamlit as st

from app import answering, controls, finding, link, members, state, tables
from app.controls import THEMED, Choice
from app.finding import View
from duo_core import figures
from duo_core.analysis.advice import PAIR, mean_gains
from duo_core.analysis.advisor import Advice
from duo_core.analysis.sizes import lines
from duo_core.figures.screen import SCREEN, metric_title, on_screen
from duo_core.figures.systems import AXES, Marks
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import METRICS
from duo_core.systems.groups import groups_of
from duo_core.wording import finding as wording
from duo_core.wording import recommendation, words
from duo_core.wording.ensembles import contest_lines
from duo_core.wording.sentences import reversed_pairs

TITLE = "Find a system"
LINKED = (*link.CHOICE, "members", *finding.LINKED)
REVERSED = {"no": "Left out", "yes": "Shown"}


def show() -> None:
    """Draw the page."""
    members.go()
    choice = controls.sidebar(more=True)
    if choice is None:
        return
    own = choice.handle.logit_set
    st.title("What would you do with more compute?", anchor=False)
    st.caption(f"{own.title} · {choice.split} · {len(own.labels[choice.split]):,} images · costs are relative to {choice.base}")
    answer = answering.card(choice)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chart = finding.which()
        asked = None if chart == "gains" else finding.asked(choice, chart)
        of_base = finding.of_base("Pairs") if asked is None else asked.of_base
    if asked is None:
        _mean_gains(choice, answer.share, of_base)
    elif (view := finding.view_of(choice, asked, answer.options)) is not None:
        _systems(choice, view, answer.advice) if chart == "systems" else _sizes(choice, view)
        _table(view)
    controls.report(f"{own.name}-{choice.split}", state.report_of_set(choice.handle, choice.split, choice.metric, choice.kind))


def _systems(choice: Choice, view: View, advice: Advice | None) -> None:
    """Every system on a cost axis."""
    figure = figures.systems_by_cost(
        view.table,
        choice.metric,
        cost=view.cost,
        relative=view.relative,
        gain=view.gain,
        marks=Marks(
            base=choice.base,
            budget=advice.budget if advice and view.cost == "total_multiply_adds" else None,
            advised=answering.row_of(advice.advised) if advice else None,
            chosen=" + ".join(choice.members),
        ),
        colours=THEMED,
    )
    what = f"{'Gain in ' if view.gain else ''}{METRICS[choice.metric].label}"
    controls.chart(
        figure,
        "systems",
        f"{what} of {len(view.table):,} systems against the {AXES[view.cost].label.lower()} of all their members",
        zooms=True,
        on_select=lambda: members.open_point("chart_systems"),
        selection_mode="points",
    )
    st.caption(f"{wording.counted(view.table)}. {wording.faded(FIT_SPLIT, choice.split)}")
    unknown = int(view.table[[view.value, view.cost]].isna().any(axis=1).sum())
    if unknown and unknown < len(view.table):
        st.caption(f"{unknown} of {len(view.table)} systems are not drawn: their value or cost is unknown.")


def _sizes(choice: Choice, view: View) -> None:
    """Ensembles of smaller models beside larger single ones."""
    own = choice.handle.logit_set
    chart = st.container()
    found = state.known(lambda: state.contest_of(choice.handle, choice.split, choice.kind, choice.metric))
    crossing = found.crossing.cost if found and found.crossing and view.cost == "total_multiply_adds" else None
    groups = groups_of(own.cards, list(view.table.loc[view.table["m"] == 1, "name"]))
    with chart:
        controls.chart(
            figures.ensembles_by_cost(
                lines(view.table, choice.metric, view.cost, groups),
                choice.metric,
                cost=view.cost,
                crossing=crossing,
                colours=THEMED,
            ),
            "sizes",
            f"{METRICS[choice.metric].label} of single models and of ensembles of smaller ones, against what they cost",
            zooms=True,
            on_select=lambda: members.open_point("chart_sizes"),
            selection_mode="points",
        )
    if found is not None:
        st.markdown(" ".join(contest_lines(found)))
    st.caption(wording.sizes_caption(bool(groups), FIT_SPLIT))


def _table(view: View) -> None:
    """The same rows; selecting one does what a click does."""
    st.header("The same systems as a table", anchor=False)
    st.markdown("Best first. Select a row to open its system in Explore, as a click on its point does.")
    rows = view.table.sort_values(view.value, ascending=not view.higher_is_better, kind="stable").reset_index(drop=True)
    systems = rows["members"].to_list()
    tables.frame(
        _readable(rows, view),
        shares={"gain": "Gain"},
        columns=COLUMNS,
        key="table_systems",
        on_select=lambda: members.open_row("table_systems", systems),
        selection_mode="single-row",
    )
    saved = rows.drop(columns="members")
    with st.container(horizontal=True):
        tables.download(saved, "systems", "csv")
        tables.download(saved, "systems", "parquet")


def _mean_gains(choice: Choice, share: float, of_base: bool) -> None:
    """What the pairs within the budget gain on average."""
    table = state.known(lambda: _pairs(choice, of_base))
    if table is None:
        return
    kept, left_out = _not_reversed(table[table["variant"].isin(("duo", "uq_only", "unweighted"))])
    within = kept[kept["flops_balance"] <= share] if kept["flops_balance"].notna().any() and share else kept
    pairs = f"pairs of {choice.base if of_base else 'all bases'}"
    if within is kept:
        what = f"all {pairs}"
    else:
        what = pairs = f"{pairs} under +{words.percent(share, 0)}"
    st.header(f"What do {what} gain on average?", anchor=False)
    if within.empty:
        st.info(wording.no_pairs(pairs))
        return
    st.markdown(
        f"Mean and standard deviation over {recommendation.counted_pairs(within)}, each compared with the better of "
        f"its two members alone. {left_out}"
    )
    summary = mean_gains(within, state.singles(choice.handle, choice.split, choice.kind))
    controls.chart(
        figures.gains_by_metric(summary, colours=THEMED),
        "mean_gains",
        f"Mean relative gain of {what} in every metric, with one standard deviation",
    )
    tables.numbers(summary, "mean_gains", "The gains as numbers")


def _pairs(choice: Choice, of_base: bool) -> pd.DataFrame:
    """Pairs whose base costs at least what its sidekick does: those of one base, or all."""
    if not of_base:
        return state.all_pairs(choice.handle, choice.split, choice.kind)
    table = state.sidekicks(choice.handle, choice.base, choice.split, choice.kind)
    return table[~(table["flops_balance"] > 1)]


def _not_reversed(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The pairs whose base is the better member, unless the others are asked for too; and what is left out, in words."""
    count, every = (len(rows.drop_duplicates(PAIR)) for rows in (table[table["reversed"]], table))
    if not count:
        return table, ""
    asked = controls.switch(
        "Reversed pairs", "reversed", REVERSED, f"Their sidekick is more accurate than their base on {FIT_SPLIT}."
    )
    return (table, "") if asked == "yes" else (table[~table["reversed"]], reversed_pairs(count, every, FIT_SPLIT))


COLUMNS: dict[str, Any] = {
    "name": "Members",
    "kind": st.column_config.TextColumn("Kind", width="medium"),
    "ratio": st.column_config.NumberColumn("Cost", format="%.3g ×"),
    "nll_fit": st.column_config.NumberColumn(f"NLL on {FIT_SPLIT}", format="%.4f"),
    "front": "On the front",
    **{key: st.column_config.NumberColumn(axis.unit, format="%.4g") for key, axis in AXES.items() if key != "m"},
    **{
        key: st.column_config.NumberColumn(metric_title(key).partition(",")[0], format=f"%.{screen.decimals}f")
        for key, screen in SCREEN.items()
    },
}


def _readable(rows: pd.DataFrame, view: View) -> pd.DataFrame:
    """The columns that the table shows, what is compared first."""
    first = ["name", "kind", "ratio", view.metric, "gain", "nll_fit", "front"]
    rest = [column for column in COLUMNS if column not in first and rows[column].notna().any()]
    costs = {key: rows[key] * AXES[key].factor for key in AXES if key in rest}
    return on_screen(rows[[*first, *rest]].assign(**costs))
