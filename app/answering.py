"""The card that answers what to do with more compute, and the ladder of budgets."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from app import controls, finding, members, state, tables
from app.controls import Choice
from duo_core.analysis.advisor import Advice
from duo_core.analysis.offers import name_of
from duo_core.analysis.options import LEVEL, Option
from duo_core.wording import advising, telling
from duo_core.wording import finding as wording

LADDER = "ladder"
"""Key of what unfolds to the other budgets; an answer under one of them is weighed when somebody looks."""


@dataclass(frozen=True)
class Answer:
    """What was asked, and what is advised: None where nobody knows what the base costs, and where it is not there yet."""

    share: float
    advice: Advice | None

    @property
    def options(self) -> list[Option]:
        """Every system that the answer is about."""
        one = self.advice
        return [] if one is None else [of for of in (one.chosen, one.fallback, one.runner_up, one.cheapest) if of is not None]


def card(choice: Choice) -> Answer:
    """Draw the card with its budget."""
    with st.container(border=True, key="advice"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            share = finding.budget()
            cascades = controls.switch("Cascades", "cascades", finding.CASCADES, finding.CASCADE) == "yes"
        if not choice.handle.logit_set.cards[choice.base].multiply_adds:
            st.info(wording.no_budget(choice.base))
        advice = _advised(choice, cascades, [share], finding.SOON)
        if advice is not None:
            _answer(advice[share])
            _ladder(choice, cascades, share)
            _missing(advice[share])
    return Answer(share, None if advice is None else advice[share])


def _advised(choice: Choice, cascades: bool, budgets: Sequence[float], soon: float) -> dict[float, Advice] | None:
    of = choice.handle, choice.base, choice.split, choice.kind, choice.metric
    return state.known(lambda: state.advised(*of, cascades=cascades, budgets=budgets), soon)


def _answer(advice: Advice) -> None:
    first, *rest = advising.sentences_of(advice)
    st.markdown(f"## {first}")
    for line in rest:
        st.markdown(line)
    with st.container(horizontal=True):
        for name, option in wording.offered(advice).items():
            st.button(
                name,
                key=f"open_{name.partition(' ')[2]}",
                on_click=members.open_system,
                args=(option.members,),
                help=f"Open {advising.named(option)} in Explore." + wording.without_gate(option),
            )
    st.caption(telling.draws_line(advice.interval, LEVEL))


def _ladder(choice: Choice, cascades: bool, share: float) -> None:
    with (unfolds := st.expander("The answer under other budgets", key=LADDER, on_change="rerun")):
        if unfolds.open and (every := _advised(choice, cascades, state.BUDGETS, 0)) is not None:
            table = wording.ladder(list(every.values()), share)
            tables.frame(table)
            tables.download(table, "ladder")


def _missing(advice: Advice) -> None:
    """What this set cannot offer, greyed, with the command that would make it."""
    if not advice.missing:
        return
    with st.expander(f"Not offered by this set: {', '.join(one.action for one in advice.missing)}"):
        for one in advice.missing:
            st.caption(f"**{one.action}**: {one.why}. To make it:")
            st.code(one.command, language=None, wrap_lines=True)


def row_of(option: Option) -> tuple[str, str]:
    """Name and rule of a system, as the chart knows it."""
    return name_of(option.candidate.system), option.candidate.rule
