"""The card that answers what to do with more compute, and the ladder of budgets."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from app import controls, finding, members, state, tables
from app.controls import Choice
from duo_core.analysis.advisor import Advice
from duo_core.analysis.offers import name_of
from duo_core.analysis.options import LEVEL, Option
from duo_core.wording import advising, telling
from duo_core.wording import finding as wording


@dataclass(frozen=True)
class Answer:
    """What was asked, and what is advised under every budget; None where nobody knows what the base costs."""

    share: float
    every: Mapping[float, Advice] | None
    """None as well where it is not there yet."""

    @property
    def advice(self) -> Advice | None:
        """The answer under the budget that was asked for."""
        return None if self.every is None else self.every[self.share]

    @property
    def options(self) -> list[Option]:
        """Every system that an answer is about."""
        found = [(one.chosen, one.runner_up, one.cheapest) for one in (self.every or {}).values()]
        return [option for options in found for option in options if option is not None]


def card(choice: Choice) -> Answer:
    """Draw the card with its budget."""
    with st.container(border=True, key="advice"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            share = finding.budget()
            cascades = controls.switch("Cascades", "cascades", finding.CASCADES, finding.CASCADE)
        if not choice.handle.logit_set.cards[choice.base].multiply_adds:
            st.info(wording.no_budget(choice.base))
        of = choice.handle, choice.base, choice.split, choice.kind, choice.metric
        found = state.known(lambda: state.advised(*of, cascades=cascades == "yes"))
        if found is not None:
            _answer(found[share])
            _ladder(list(found.values()), share)
            _missing(found[share])
    return Answer(share, found)


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


def _ladder(every: list[Advice], share: float) -> None:
    with st.expander("The answer under other budgets"):
        table = wording.ladder(every, share)
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
    """Name and rule of what was chosen, as the chart knows it."""
    return name_of(option.candidate.system), option.candidate.rule
