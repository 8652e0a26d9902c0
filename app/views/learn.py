"""Learn: why a sidekick helps, in ten steps of one idea, one control, one chart and one question."""

import re

import streamlit as st

from app import classroom, controls, glossary, lessons, link
from app.state import lessons as scenes
from duo_core.teaching.experts import SEED
from duo_core.teaching.steps import MODEL, STEPS, Step

TITLE = "Learn"
OWN = ("step", "data", "seed", "answers")
LINKED = (*OWN, *lessons.LINKED)

DATA = {"toy": "Made-up experts", "real": "Real models"}
ROWS = 20
"""Of the lesson's cell: many, since its height is shared by its rows, of which the text beside it is the first."""


def show() -> None:
    """Draw the page."""
    link.settle("step", range(1, len(STEPS) + 1), 1)
    link.settle("data", DATA, "toy")
    link.settle("seed", scenes.SEEDS, SEED)
    link.settle("answers", classroom.ANSWERS, "shown")
    step = STEPS[st.session_state["step"] - 1]
    # The controls of the other steps are kept by the session; the address is about this one.
    st.session_state["linked"] = (*OWN, *lessons.MODULES[step.key].LINKED)
    _way(step)
    # Text and question stand left of the lesson; where there is room for one column, they come in the order written here.
    grid = st.grid(2, min_column_width=280, gap=("small", "large"))
    with grid.cell():
        st.markdown(step.idea)
        st.markdown(f"**Try it.** {step.try_it}")
    with grid.cell(row_span=ROWS):
        _lesson(step)
    with grid.cell():
        _question(step)
        _terms(step)


def _way(step: Step) -> None:
    """The title, where one is, and the way on."""
    at, last = st.session_state["step"], len(STEPS)
    with st.container(horizontal=True, vertical_alignment="center", key="way"):
        st.title(step.title, anchor=False, width="content")
        st.space("stretch")
        st.button("Back", key="back", shortcut="Left", disabled=at == 1, on_click=_go, args=(-1,))
        st.button("Next", key="next", shortcut="Right", disabled=at == last, on_click=_go, args=(1,))
        st.selectbox(
            "Step",
            range(1, last + 1),
            key="step",
            format_func=lambda place: f"{place} of {last} · {STEPS[place - 1].title}",
            label_visibility="collapsed",
            on_change=link.touched,
            width=300,
        )


def _go(steps: int) -> None:
    link.touched()
    link.take({"step": link.held("step") + steps})


def _terms(step: Step) -> None:
    """The terms of the text; a link of the text opens its own."""
    known = {term.name: term for term in glossary.terms()}
    with st.container(gap=None, key="terms"):
        for name in step.terms:
            with st.expander(name, type="compact"):
                st.header(name, anchor=known[name].anchor)
                st.markdown(elsewhere(known[name].text, {known[other].anchor for other in step.terms}))


def elsewhere(text: str, here: set[str]) -> str:
    """The text with its links to terms that are not here leading to the page that has them all.

    >>> elsewhere("[NLL](#nll) and [ECE](#ece)", {"nll"})
    '[NLL](#nll) and [ECE](method#ece)'
    """
    return re.sub(r"\]\(#([\w-]+)\)", lambda found: found[0] if found[1] in here else f"](method#{found[1]})", text)


def _data(step: Step) -> None:
    """The switch between made-up experts and real models, where a step has both."""
    with st.container(horizontal=True):
        if step.key not in lessons.REAL_ONLY:
            st.segmented_control(
                "Data",
                list(DATA),
                key="data",
                format_func=lambda key: DATA[key],
                label_visibility="collapsed",
                required=True,
                on_change=link.touched,
            )
        st.space("stretch")
        if not st.context.is_embedded:
            classroom.popover()


def _lesson(step: Step) -> None:
    _data(step)
    wanted = step.key in lessons.REAL_ONLY or st.session_state["data"] == "real"
    reason = scenes.missing(step.explore) if wanted else ""
    if reason and step.key in lessons.REAL_ONLY:
        controls.stop("This step needs real models", f"{reason}.")
        return
    if reason:
        st.info(f"{reason}, so these are the made-up experts.")
    seed = st.session_state["seed"]
    scene = scenes.of_models(step.explore, seed) if wanted and not reason else scenes.made_up(seed)
    lessons.MODULES[step.key].show(scene)
    st.caption(about(scene, step), help=MODEL if scene.real is None else None)
    if not st.context.is_embedded:
        _explore(step)


def about(scene: scenes.Scene, step: Step) -> str:
    """What the chart is of."""
    splits, models = scene.splits, scene.real
    counted = f"{len(splits.test.labels):,} images to judge on, {len(splits.fit.labels):,} to fit on"
    if models is None:
        return f"Two made-up experts and three classes, drawn with seed {scene.seed}: {counted}."
    pair = "" if step.key in lessons.REAL_ONLY else f"{models.base} and {models.sidekick}, "
    return f"{models.handle.logit_set.title}, {models.split}: {pair}{counted}."


@st.fragment
def _question(step: Step) -> None:
    asked = step.question
    if st.session_state["answers"] == "hidden":
        st.markdown("\n".join([f"**{asked.text}**\n", *(f"- {option}" for option in asked.options)]))
        return
    guess = st.radio(
        f"**{asked.text}**",
        range(len(asked.options)),
        index=None,
        format_func=lambda option: asked.options[option],
        key=f"guess_{step.key}",
        persist_state="session",
    )
    if guess is None:
        st.caption("Guess, then read why.")
    else:
        _answer(step, guess)


def _answer(step: Step, guess: int) -> None:
    asked = step.question
    numbers = scenes.facts_of(step, st.session_state["seed"])
    why = asked.because.format(**numbers) if numbers else ""
    if guess == asked.right:
        st.success(f"**Right.** {why}")
    else:
        st.warning(f"**Not quite.** *{asked.options[asked.right]}.* {why}")
    if step.key not in lessons.REAL_ONLY and st.session_state["data"] == "real":  # only there the choice is drawn
        st.caption(f"The numbers are those of the made-up experts, seed {st.session_state['seed']}.")


def _explore(step: Step) -> None:
    query = {key: value for key, value in step.explore.items() if key != "page"}
    page = st.session_state["pages"][step.explore["page"]]
    st.page_link(page, label=f"The same with real models, in {page.title} →", query_params=query)
