"""What the page `Find a system` is asked: which systems, by what and at what cost; and the rows that this leaves."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from app import controls, link, state
from app.controls import Choice
from duo_core.analysis.offers import beside, with_options
from duo_core.analysis.options import Option
from duo_core.metrics import METRICS
from duo_core.wording import finding as wording

LINKED = ("chart", "show", "cost", "scale", "scope", "only", "budget", "cascades", "reversed")

CHARTS = {"systems": "All systems", "sizes": "Small ones or one large?", "gains": "Pairs on average"}
SHOWN = {"value": "Value", "gain": "Gain toward perfect"}
COSTS = {"compute": "total_multiply_adds", "time": "total_seconds", "parameters": "total_parameters"}
SAYS = {"compute": "multiply_adds", "time": "images_per_second", "parameters": "parameters"}
"""What of a model's card each cost rests on."""
SCALES = {"relative": "Relative", "absolute": "Absolute"}
SCOPES = {"one": "This base", "all": "All bases"}
MEANING = {
    "Systems": "This base: every single model, all systems that contain the base, and deep ensembles. All bases: every system.",
    "Pairs": "This base: its pairs with every model that costs no more. All bases: every pair of the set.",
}
BUDGETS = tuple(round(share * 100) for share in state.BUDGETS)
"""Percent of the base's cost that may be added."""
SOON = 0.1
"""Seconds that the page waits for its systems, and for its answer, before it is drawn without them: most often they are there."""
CASCADES = {"yes": "Considered", "no": "Left out"}
CASCADE = "In a cascade a small system answers the images it is sure of and hands the rest on to a larger one."


@dataclass(frozen=True)
class Asked:
    """What the page's own controls say."""

    of_base: bool
    """Whether only systems of the base are asked for."""
    models: list[str]
    """The only models that are; all where there are none."""
    gain: bool
    cost: str
    """A column of `systems.AXES`."""
    relative: bool


@dataclass(frozen=True)
class View:
    """The rows that the page's own controls leave, and how they are compared."""

    table: pd.DataFrame
    """Of `offers.beside`."""
    metric: str
    gain: bool
    cost: str
    """A column of `systems.AXES`."""
    relative: bool

    @property
    def value(self) -> str:
        """The column that systems are compared by."""
        return "gain" if self.gain else self.metric

    @property
    def higher_is_better(self) -> bool:
        """Which end of it is good."""
        return self.gain or METRICS[self.metric].higher_is_better


def which() -> str:
    """Draw the choice of the chart."""
    return controls.switch("Chart", "chart", CHARTS)


def of_base(what: str) -> bool:
    """Draw the choice of whose systems or pairs are meant; whether the base's alone."""
    return controls.switch(f"{what} of", "scope", SCOPES, MEANING[what]) == "one"


def asked(choice: Choice, chart: str) -> Asked:
    """Draw the page's own controls; what an answer is about is among the rows, ensembles beside large models are of every base."""
    singles = state.singles(choice.handle, choice.split, choice.kind)
    known = [label for label, column in SAYS.items() if pd.notna(singles.loc[choice.base, column])]
    one = chart == "systems" and of_base("Systems")
    with st.popover("Axes and models"):
        shown = controls.switch("Show", "show", SHOWN, f"Gain: how much of the way from {choice.base} alone to a perfect value.")
        cost = COSTS[controls.switch("Cost", "cost", {label: label.title() for label in known})] if known else "m"
        scale = (
            controls.switch("Cost axis", "scale", SCALES, f"Relative: in multiples of the cost of {choice.base}.")
            if known
            else "absolute"
        )
        if hidden := [label for label in COSTS if label not in known]:
            st.caption(wording.hidden_costs(hidden, choice.base))
        models = _models(list(singles.index))
    return Asked(one, models, shown == "gain", cost, scale == "relative")


def _models(names: Sequence[str]) -> list[str]:
    """Draw the choice of models."""
    link.settle_many("only", names)
    st.multiselect("Only of these models", names, key="only", placeholder="All models of the set", on_change=link.touched)
    return list(st.session_state["only"])


def view_of(choice: Choice, what: Asked, options: Iterable[Option]) -> View | None:
    """The rows that are asked for; None where they are not there yet."""
    base = choice.base
    table = state.known(lambda: state.systems(choice.handle, choice.split, choice.kind, base if what.of_base else None), SOON)
    if table is None:
        return None
    table = _of_models(with_options(table, choice.handle.logit_set, base, options), {*what.models, base} if what.models else None)
    return View(beside(table, base, what.cost, choice.metric), choice.metric, what.gain, what.cost, what.relative)


def _of_models(table: pd.DataFrame, chosen: Collection[str] | None) -> pd.DataFrame:
    """The systems of some models, the base alone among them in any case; of all where none is chosen."""
    return table if chosen is None else table[[set(members) <= set(chosen) for members in table["members"]]]


def budget() -> float:
    """Draw the slider; the share of the base's multiply-adds that may be added."""
    link.settle("budget", BUDGETS, 15)
    st.select_slider("Extra compute you can spend", BUDGETS, key="budget", format_func=lambda b: f"+{b} %", on_change=link.touched)
    return float(st.session_state["budget"] / 100)
