"""Widgets that more than one page uses; they hand out plain values."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import plotly.graph_objects as go
import streamlit as st

from app import link, members, state, tables
from app.figure import buttons
from app.filling import watch
from duo_core.analysis.advice import AFFORDABLE
from duo_core.common.arrays import InputError, UncertaintyKind
from duo_core.common.numbers import MINUS, percent
from duo_core.common.plaintext import escaped
from duo_core.figures.screen import SCREEN
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import METRICS
from duo_core.metrics.intervals import Interval
from duo_core.wording import words
from duo_core.wording.sentences import Effect, chosen_and_judged, effect

# Streamlit replaces these by the theme's chart colours in the browser, where alone it is known whether the page is dark; their
# order is that of `chartCategoricalColors` in .streamlit/config.toml.
THEMED = {
    "base": "#000001",
    "sidekick": "#000002",
    "duo": "#000003",
    "unweighted": "#000004",
    "uq_only": "#000005",
    "neutral": "#000006",
    "olive": "#000007",
    "green": "#000008",
    "pink": "#000009",
    "paper": "#000038",
}

EFFECTS: dict[Effect, Literal["green", "red", "gray"]] = {"better": "green", "worse": "red", "unclear": "gray"}
"""Colour of a difference on a card."""
UNCERTAINTIES = {"softmax": "1 − max softmax", "entropy": "Entropy"}
numbers, download = tables.numbers, tables.download
MAKE_ONE = "duo logits --set NAME --images val=SOURCE --images test=SOURCE --models MODEL MODEL"


@dataclass(frozen=True)
class Place:
    """One split of one set, and the models that can be judged there."""

    handle: state.Handle
    split: str
    known: state.Survey


@dataclass(frozen=True)
class Choice:
    """What the sidebar says: one pair of one set, judged on one split."""

    handle: state.Handle
    split: str
    base: str
    sidekick: str
    metric: str
    kind: UncertaintyKind
    members: tuple[str, ...] = ()
    """All members of the system, base and sidekick first; of a page about pairs these two alone."""


def sidebar(*, more: bool = False) -> Choice | None:
    """Draw the sidebar of a page about a pair, or about a system that may have more members; None where there is none to show.

    The reason stands in the page then.
    """
    place = set_sidebar()
    if place is None or not _two_models(place):
        return None
    for role in ("base", "sidekick"):
        _say_unknown(role, role, place.known.accuracy)
    with st.sidebar:
        return _pair(place, more=more)


def set_sidebar() -> Place | None:
    """Draw the sidebar of a page about a whole set; None, with the reason in the page, where there is nothing to judge."""
    sets = state.choices()
    if not sets:
        stop("No logit set yet", f"The store `{state.store_path()}` has none. Make one:", MAKE_ONE)
        return None
    wanted = st.session_state.get("set")
    link.settle("set", sets, next(iter(sets)))
    if wanted not in sets and state.is_upload(str(wanted)):
        st.info(
            f"This link is about logits that were uploaded in one browser session: only that session sees them, and until it "
            f"ends. Shown instead: **{sets[st.session_state['set']]}**."
        )
    elif wanted not in sets:
        _say_unknown("set", "logit set", sets)
    with st.sidebar:
        st.selectbox("Logit set", list(sets), key="set", format_func=lambda name: sets[name], on_change=link.touched)
        watch(st.session_state["set"])
    try:
        handle = state.opened(st.session_state["set"])
        return _place(handle)
    except InputError as error:
        stop("This logit set cannot be read", escaped(str(error)))
        return None


def _place(handle: state.Handle) -> Place | None:
    own = handle.logit_set
    if FIT_SPLIT not in own.labels or not own.evaluation_splits:
        missing = f"a split `{FIT_SPLIT}` to fit on" if FIT_SPLIT not in own.labels else "a split to judge on, `test` for instance"
        found = ", ".join(f"`{split}`" for split in own.labels)
        stop("A split is missing", f"**{own.title}** has {found}, but needs {missing}. Add it:", MAKE_ONE)
        return None
    link.settle("split", own.evaluation_splits, own.evaluation_splits[0])
    _say_unknown("split", "split", own.evaluation_splits)
    with st.sidebar:
        st.selectbox("Evaluation split", own.evaluation_splits, key="split", on_change=link.touched)
    split = st.session_state["split"]
    known = state.survey(handle, split)
    _warn_of(known)
    return Place(handle, split, known)


def _say_unknown(key: str, what: str, options: Collection[str]) -> None:
    """Say where a link names what is not here; what is shown instead stands in the sidebar."""
    if told := link.unknown(key, options):
        st.info(f"This link names the {what} **{escaped(told[:80])}**, which is not here. The sidebar has what is shown instead.")


def _two_models(place: Place) -> bool:
    accuracy = place.known.accuracy
    if len(accuracy) < 2:
        only = f"only {next(iter(accuracy))}" if accuracy else "none"
        title = place.handle.logit_set.title
        advice = f"A duo takes two models; on `{place.split}` **{title}** has {only}. Add one:"
        stop("One more model is needed", advice, MAKE_ONE)
    return len(accuracy) >= 2


def _pair(place: Place, *, more: bool) -> Choice:
    handle, accuracy = place.handle, place.known.accuracy
    if more:
        members.follow(accuracy)
    link.settle("uncertainty", UNCERTAINTIES, "softmax")
    link.settle("metric", METRICS, "aurc")
    short = words.short_names(list(accuracy))
    link.settle("base", list(accuracy), state.first_base(place.known, handle), renamed=True)
    st.selectbox(
        "Base",
        list(accuracy),
        key="base",
        format_func=lambda name: words.model_label(short[name], accuracy[name]),
        on_change=link.touched,
        help="The larger model, which would otherwise be used alone, with its accuracy. At first: the most accurate one on "
        f"{FIT_SPLIT} that has a sidekick for at most {percent(AFFORDABLE, 0)} more compute.",
    )
    base = st.session_state["base"]
    offered = state.suggested(handle, base, place.split)
    others = [model for model in accuracy if model != base]
    link.settle("sidekick", others, offered.first, renamed=True)
    st.selectbox(
        "Sidekick",
        others,
        key="sidekick",
        format_func=lambda name: words.model_label(short[name], accuracy[name], handle.logit_set.flops_balance(base, name)),
        on_change=link.touched,
        help="The model that is added, with the compute that it adds and its accuracy alone. At first: the one whose duo has the "
        f"lowest NLL (cross-entropy) on {FIT_SPLIT}, for at most {percent(AFFORDABLE, 0)} more compute.",
    )
    together = members.settled(base, st.session_state["sidekick"], others)
    if more:
        members.controls(together, list(accuracy))
    _presets(offered.presets, place.split)
    st.button("Swap base and sidekick", key="swap", on_click=link.swap, width="stretch")
    st.selectbox("Metric", list(METRICS), key="metric", format_func=lambda key: METRICS[key].label, on_change=link.touched)
    pair = base, st.session_state["sidekick"]
    return Choice(handle, place.split, *pair, st.session_state["metric"], uncertainty(), together if more else pair)


def _presets(sidekicks: Mapping[str, str], split: str) -> None:
    """Draw the presets; the one that the pair happens to be is on."""
    link.show("preset", next((name for name, other in sidekicks.items() if other == st.session_state["sidekick"]), None))
    st.pills(
        "Sidekick by preset",
        list(sidekicks),
        key="preset",
        on_change=link.take_preset,
        args=(sidekicks,),
        help=f"Among the sidekicks of this base. {chosen_and_judged(FIT_SPLIT, split)} Costs are multiply-adds.",
    )


def uncertainty() -> UncertaintyKind:
    """Draw the switch between uncertainties."""
    return cast(
        UncertaintyKind,
        switch("Uncertainty", "uncertainty", UNCERTAINTIES, "The number that ranks the images from sure to unsure."),
    )


def switch(label: str, key: str, options: Mapping[str, str], meaning: str | None = None) -> str:
    """Draw a row of options of which one is on; they stand in the address under their key."""
    link.settle(key, options, next(iter(options)))
    st.segmented_control(
        label,
        list(options),
        key=key,
        format_func=lambda option: options[option],
        on_change=link.touched,
        required=True,
        help=meaning,
    )
    chosen: str = st.session_state[key]
    return chosen


def _warn_of(known: state.Survey) -> None:
    if known.broken:
        count = len(known.broken)
        st.warning(
            f"**{count} model{' is' if count == 1 else 's are'} left out; the others are not affected.**\n\n"
            + "\n".join(f"- {escaped(reason)}" for reason in known.broken.values())
        )


def stop(title: str, text: str, command: str = "") -> None:
    """An empty or wrong state: what is so, and what to do."""
    st.title(title, anchor=False)
    st.markdown(text)
    if command:
        st.code(command, language=None, wrap_lines=True)  # the colours of bash are too pale to read


def chart(figure: go.Figure, name: str, alt: str, *, zooms: bool = False, **options: Any) -> None:
    """A chart in the theme's colours that saves itself as SVG under its name, and may be zoomed into and back."""
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):  # Streamlit's own grey has a contrast of 3 to the page
        axis.tickfont = axis.title.font = {"color": THEMED["neutral"]}
    config = {
        "displaylogo": False,
        "modeBarButtons": [["zoom2d", "resetScale2d"] * zooms + ["toImage"]],
        "toImageButtonOptions": {"format": "svg", "filename": name},
    }
    st.plotly_chart(figure, key=f"chart_{name}", config=config, alt=alt, **options)
    buttons(name, alt)


def difference_card(
    label: str,
    key: str,
    value: float | None,
    other: float | None,
    *,
    gain: Interval | None = None,
    beside: str | None = None,
    **options: Any,
) -> None:
    """A metric and its difference to another system's: green or red where that is significant, else grey and without an arrow."""
    found, delta = effect(key, gain), words.delta(key, value, other)
    st.metric(
        label,
        SCREEN[key].text(value),
        delta,
        delta_color=EFFECTS[found],
        delta_arrow="off" if found == "unclear" or delta is None else "down" if delta.startswith(MINUS) else "up",
        delta_description=beside,
        border=True,
        **options,
    )


def report(name: str, write: Callable[[], bytes]) -> None:
    """A button that saves a report; it is written only when pressed."""
    st.download_button(
        "Download report (HTML)",
        write,
        file_name=f"{name}.html",
        mime="text/html",
        on_click="ignore",
        key=f"report_{name}",
        help="One file with every figure, table and setting, for readers who have nothing installed.",
    )


def open_page(name: str, label: str) -> None:
    """A link to another page of the dashboard; the session goes along."""
    st.page_link(st.session_state["pages"][name], label=label)
