"""What the page `Find a pair` is asked: which pairs, by what and at what cost; and the rows that this leaves."""

import math
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from app import controls, link, state
from app.controls import Choice
from duo_core.analysis.advice import PAIR, Row, seconds
from duo_core.analysis.roles import better_members
from duo_core.figures.landscape import AXES, BY_COLUMN, FILLS, Look, comparable_cost, look_of
from duo_core.figures.screen import cost_column
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import METRICS
from duo_core.systems.duo import VARIANTS
from duo_core.wording import words
from duo_core.wording.sentences import reversed_pairs

LINKED = ("show", "cost", "scale", "systems", "budget", "scope", "bases", "families", "reversed")

SHOWN = {"value": "Value", "gain": "Gain toward perfect"}
COSTS = {"flops_balance": "Compute", "throughput_balance": "Time", "parameter_balance": "Parameters"}
SCALES = {"log": "Log", "linear": "Linear"}
SCOPES = {"one": "This base", "all": "All bases"}
REVERSED = {"no": "Left out", "yes": "Shown"}


@dataclass(frozen=True)
class View:
    """What the page's own controls say, and the rows that they leave."""

    table: pd.DataFrame
    left_out: str
    """What of reversed pairs is left out, in words."""
    alone: pd.DataFrame
    """Every model alone."""
    metric: str
    gain: bool
    cost: str
    logarithmic: bool
    look: Look

    def better(self, row: Row) -> str:
        """The better member of a row's pair."""
        return str(better_members(pd.DataFrame([row]), self.alone["accuracy"]).iloc[0])

    @property
    def value(self) -> str:
        """The column that pairs are compared by."""
        return "gain" if self.gain else self.metric

    @property
    def higher_is_better(self) -> bool:
        """Which end of it is good."""
        return self.gain or METRICS[self.metric].higher_is_better


def view_of(choice: Choice, table: pd.DataFrame) -> View:
    """Draw the page's own controls."""
    known = [cost for cost in AXES if table[cost].notna().any()]
    alone = state.singles(choice.handle, choice.split, choice.kind)
    with st.container(horizontal=True):
        shown = controls.switch("Show", "show", SHOWN)
        cost = controls.switch("Cost", "cost", {cost: COSTS[cost] for cost in known}) if known else cost_column(table)
        scale = controls.switch("Cost axis", "scale", SCALES) if known else "linear"
        scope = controls.switch(
            "Pairs of", "scope", SCOPES, "Costs of several bases are compared by what both models cost together."
        )
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
    kept = _filtered(table if scope == "all" else table[table["base"] == choice.base], scope)
    kept, left_out = _not_reversed(kept)
    bases = [base for base in alone.sort_values("accuracy", ascending=False, kind="stable").index if base in set(table["base"])]
    chosen = st.session_state["bases"] if scope == "all" else [choice.base]
    look = look_of(bases, sorted(set(table["family"])), chosen=chosen)
    return View(kept, left_out, alone, choice.metric, shown == "gain", comparable_cost(kept, cost), scale == "log", look)


def _not_reversed(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The pairs whose base is the better member, unless the others are asked for too; and what is left out, in words."""
    count, every = (len(rows.drop_duplicates(PAIR)) for rows in (table[table["reversed"]], table))
    if not count:
        return table, ""
    asked = controls.switch(
        "Reversed pairs", "reversed", REVERSED, f"Their sidekick is more accurate than their base on {FIT_SPLIT}."
    )
    return (table, "") if asked == "yes" else (table[~table["reversed"]], reversed_pairs(count, every, FIT_SPLIT))


def _filtered(table: pd.DataFrame, scope: str) -> pd.DataFrame:
    """Draw the filters; nothing chosen leaves everything."""
    kept = table[table["variant"].isin(st.session_state["systems"])]
    every = (("bases", "base", "Bases"), ("families", "family", "Families of sidekicks"))
    filters = [each for each in every if scope == "all" or each[0] != "bases"]
    for place, (key, column, label) in zip(st.columns(len(filters)), filters, strict=True):
        options = list(dict.fromkeys(table[column])) if key == "bases" else sorted(set(table[column]))
        link.settle_many(key, options)
        place.multiselect(label, options, key=key, placeholder="All", on_change=link.touched)
        chosen = st.session_state[key]
        kept = kept[kept[column].isin(chosen)] if chosen else kept
    return kept


@dataclass(frozen=True)
class Budget:
    """What a pair may cost."""

    share: float
    """Of what the sidebar's base costs alone, beside it; infinite where costs are unknown."""
    most: float = math.inf
    """The same in the unit that the pairs are compared in."""
    words: str = ""


def budget_of(choice: Choice, view: View) -> Budget:
    """Draw the slider, where the pairs' costs and the base's are known."""
    if view.cost in AXES:
        share = _slider("Budget: the sidekick may add up to")
        return Budget(share, share, f"+{words.percent(share, 0)}")
    card = choice.handle.logit_set.cards[choice.base]
    own = {"total_multiply_adds": card.multiply_adds, "total_parameters": card.parameters, "total_seconds": seconds(card)}.get(
        view.cost
    )
    if own is None:
        return Budget(math.inf)
    share = _slider(f"Budget: both models may cost as much as {choice.base} alone and")
    most = own * (1 + share)
    return Budget(share, most, f"{choice.base} +{words.percent(share, 0)}: {BY_COLUMN[view.cost].text(most)}")


def _slider(label: str) -> float:
    link.settle("budget", range(1, 101), 15)
    st.slider(label, 1, 100, key="budget", format="+%d %%", on_change=link.touched)
    return float(st.session_state["budget"] / 100)
