"""Explore, for a system of more than two members: what it buys and costs, and how much say each member has."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from app import controls, link, state, tables, taking
from app.controls import THEMED, Choice
from duo_core.analysis.guarantee import ASSUMPTION
from duo_core.figures import members as figures
from duo_core.figures.curves import risk_at
from duo_core.figures.screen import SCREEN
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval
from duo_core.systems.judging import cost_ratio
from duo_core.systems.system import RULES
from duo_core.wording import promising, telling, words
from duo_core.wording import together as wording

LINKED = ("rule",)
RULES_SHOWN = {key: rule.label for key, rule in RULES.items() if rule.recommended}
MEANING = (
    "Fitted: each member's logits have a fitted weight. Equal: the plain average of the calibrated logits. Ensemble: that average, "
    "calibrated again."
)


def evaluated(choice: Choice) -> state.Together:
    """Draw the choice of the rule; the system by it."""
    rule = controls.switch("Weights", "rule", RULES_SHOWN, MEANING)
    found = state.together(choice.handle, choice.members, choice.split, choice.kind, rule)
    if not isinstance(found, state.Together):
        raise TypeError(f"expected a system of more than two members, got {choice.members}")
    return found


def show(choice: Choice) -> None:
    """Draw the page."""
    own = choice.handle.logit_set
    title = st.container()
    found = evaluated(choice)
    gains = state.gains(choice.handle, found, choice.kind, state.ON_CARDS)
    ratio = cost_ratio(own, choice.members)
    with title:
        st.markdown(wording.names(choice.members))
        before, after = (found.metrics[key]["accuracy"] or 0.0 for key in ("base", "duo"))
        st.title(words.headline(None if ratio is None else ratio - 1, before, after, gains["accuracy"]), anchor=False)
        st.caption(
            f"{own.title} · {choice.split} · {len(own.labels[choice.split]):,} images · {own.k:,} classes · costs are relative to "
            f"{choice.base}, gains to {found.base}, the most accurate member"
        )
    _cards(found, gains)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _curves(choice, found)
    with right:
        _weights(found)
    _rules(choice, found)
    _promise(choice, found)


def _cards(found: state.Together, gains: Mapping[str, Interval | None]) -> None:
    system, better = found.metrics["duo"], found.metrics["base"]
    with st.container(horizontal=True):
        for key in state.ON_CARDS:
            controls.difference_card(
                words.card_label(key),
                key,
                system[key],
                better[key],
                gain=gains.get(key),
                beside=words.within(key, gains.get(key)) or words.beside(key, system[key], better[key], found.base),
                help=f"{found.base} alone: {SCREEN[key].text(better[key])}.",
                height="stretch",
            )
    st.markdown(words.standing(gains, "best member"))
    st.caption(telling.draws_line(gains.get("accuracy")))


@st.fragment
def _curves(choice: Choice, found: state.Together) -> None:
    st.header("How many of the images you keep are wrong?", anchor=False)
    link.settle("coverage", range(1, 101), 80)
    coverage = st.session_state["coverage"] / 100
    system, alone = (risk_at(found.predictions[key], coverage) for key in ("duo", "base"))
    st.markdown(words.operating_point(coverage, system, alone, "best member", "system"))
    drawn = state.member_curves(choice.handle, found, choice.kind)
    controls.chart(
        figures.members_risk_coverage(drawn.table, found.members, coverage=coverage, colours=THEMED),
        "risk_coverage",
        f"Selective risk against coverage of {', '.join(found.members)} and of their system",
        on_select=lambda: link.choose_coverage("chart_risk_coverage"),
        selection_mode="points",
    )
    st.slider("Coverage: keep the surest (or click the chart)", 1, 100, key="coverage", format="%d %%", on_change=link.touched)
    tables.numbers(drawn.table.rename(columns={"duo": "system"}), "risk_coverage", "The curves as numbers")
    link.share()


def _weights(found: state.Together) -> None:
    st.header("How much say does each member have?", anchor=False)
    fitted, weights = found.fitted, found.weights
    alone = dict(zip(fitted.members, fitted.calibration, strict=True)) if fitted else {}
    controls.chart(figures.say(weights, alone, colours=THEMED), "weights", f"Weights of {', '.join(weights)}")
    for name in found.without():
        st.warning(wording.nothing(name))
    table = pd.DataFrame({"member": list(weights), "weight": list(weights.values()), "alone": [alone[name] for name in weights]})
    tables.numbers(table, "weights", "The weights as numbers")


def _rules(choice: Choice, found: state.Together) -> None:
    """Every member, and every rule, in all metrics."""
    st.header("Each member, and every rule", anchor=False)
    rows = {name: state.judged_alone(found, name) for name in found.members}
    rows |= {RULES[rule].label: state.judged_by(choice.handle, found, rule, choice.kind) for rule in RULES}
    said = {name: {METRICS[key].label: SCREEN[key].text(value) for key, value in of.items()} for name, of in rows.items()}
    table = pd.DataFrame.from_dict(said, orient="index").rename_axis("system").reset_index()
    tables.frame(table)
    st.caption(wording.OF_RULES)
    tables.download(table, "members")


@st.fragment
def _promise(choice: Choice, found: state.Together) -> None:
    st.header("Answer only when sure", anchor=False)
    target, confidence = taking.goal()
    table = state.promised(choice.handle, found, choice.kind, target, confidence)
    st.table(promising.promise_table(table, FIT_SPLIT, choice.split, {"duo": "System", "base": found.base}))
    rates = state.exchangeable(choice.handle, found, choice.kind)
    st.caption(f"{ASSUMPTION} {promising.exchangeable_line(rates, found.base, FIT_SPLIT, choice.split)}")
    tables.download(table, "thresholds")
    taking.take_home(choice, found, table, target, confidence)
    link.share()
