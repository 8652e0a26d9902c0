"""Widgets that more than one page uses; they hand out plain values."""

from dataclasses import dataclass
from typing import Any, cast

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import link, state, words
from duo_core.arrays import InputError, UncertaintyKind
from duo_core.logits import FIT_SPLIT
from duo_core.metrics import METRICS

# Streamlit replaces these by the theme's chart colours in the browser, where alone it is known whether the page is dark; their
# order is that of `chartCategoricalColors` in .streamlit/config.toml.
THEMED = {
    "base": "#000001",
    "sidekick": "#000002",
    "duo": "#000003",
    "unweighted": "#000004",
    "uq_only": "#000005",
    "neutral": "#000006",
    "paper": "#000038",
}

UNCERTAINTIES = {"softmax": "1 − max softmax", "entropy": "Entropy"}
MAKE_ONE = "duo logits --set NAME --images val=SOURCE --images test=SOURCE --models MODEL MODEL"


@dataclass(frozen=True)
class Choice:
    """What the sidebar says: one pair of one set, judged on one split."""

    handle: state.Handle
    split: str
    base: str
    sidekick: str
    metric: str
    kind: UncertaintyKind


def sidebar() -> Choice | None:
    """Draw the sidebar; None, with the reason in the page, where there is no pair to show."""
    names = state.set_names()
    if not names:
        _stop("No logit set yet", f"The store `{state.store_path()}` has none. Make one:", MAKE_ONE)
        return None
    link.settle("set", names, names[0])
    with st.sidebar:
        st.selectbox("Logit set", names, key="set", on_change=link.touched)
    try:
        handle = state.open_set(st.session_state["set"])
        return _pair(handle)
    except InputError as error:
        _stop("This logit set cannot be read", str(error))
        return None


def _pair(handle: state.Handle) -> Choice | None:
    own = handle.logit_set
    if FIT_SPLIT not in own.labels or not own.evaluation_splits:
        missing = f"a split `{FIT_SPLIT}` to fit on" if FIT_SPLIT not in own.labels else "a split to judge on, `test` for instance"
        found = ", ".join(f"`{split}`" for split in own.labels)
        _stop("A split is missing", f"**{own.title}** has {found}, but needs {missing}. Add it:", MAKE_ONE)
        return None
    link.settle("split", own.evaluation_splits, own.evaluation_splits[0])
    with st.sidebar:
        st.selectbox("Evaluation split", own.evaluation_splits, key="split", on_change=link.touched)
    split = st.session_state["split"]
    known = state.survey(handle, split)
    _warn_of(known)
    if len(known.accuracy) < 2:
        only = f"only {next(iter(known.accuracy))}" if known.accuracy else "none"
        advice = f"A duo takes two models; on `{split}` **{own.title}** has {only}. Add one:"
        _stop("One more model is needed", advice, MAKE_ONE)
        return None
    with st.sidebar:
        return _models(handle, split, known)


def _models(handle: state.Handle, split: str, known: state.Survey) -> Choice:
    models = list(known.accuracy)
    link.settle("uncertainty", UNCERTAINTIES, "softmax")
    link.settle("base", models, state.first_base(known.accuracy, handle))
    st.selectbox(
        "Base",
        models,
        key="base",
        format_func=lambda name: words.model_label(name, known.accuracy[name]),
        on_change=link.touched,
        help="The larger model that would be used alone. Shown first: the most accurate that has an affordable sidekick.",
    )
    base, kind = st.session_state["base"], cast(UncertaintyKind, st.session_state["uncertainty"])
    others = [model for model in models if model != base]
    link.settle("sidekick", others, state.first_sidekick(state.sidekicks(handle, base, split, kind)))
    st.selectbox(
        "Sidekick",
        others,
        key="sidekick",
        format_func=lambda name: words.model_label(name, known.accuracy[name], handle.logit_set.flops_balance(base, name)),
        on_change=link.touched,
        help=f"The model that is added. Shown first: the lowest AURC at up to {state.AFFORDABLE:.0%} more compute.",
    )
    st.button("Swap base and sidekick", key="swap", on_click=link.swap, width="stretch")
    link.settle("metric", METRICS, "aurc")
    st.selectbox(
        "Metric of the comparison", list(METRICS), key="metric", format_func=lambda key: METRICS[key].label, on_change=link.touched
    )
    st.segmented_control(
        "Uncertainty",
        list(UNCERTAINTIES),
        key="uncertainty",
        format_func=lambda kind: UNCERTAINTIES[kind],
        on_change=link.touched,
        required=True,
        help="What ranks the images from sure to unsure.",
    )
    return Choice(handle, split, base, st.session_state["sidekick"], st.session_state["metric"], kind)


def _warn_of(known: state.Survey) -> None:
    if known.broken:
        count = len(known.broken)
        st.warning(
            f"**{count} model{' is' if count == 1 else 's are'} left out; the others are not affected.**\n\n"
            + "\n".join(f"- {reason}" for reason in known.broken.values())
        )


def _stop(title: str, text: str, command: str = "") -> None:
    """An empty or wrong state: what is so, and what to do."""
    st.header(title, anchor=False)
    st.markdown(text)
    if command:
        st.code(command, language="bash")


def chart(figure: go.Figure, name: str, alt: str, **options: Any) -> None:
    """A chart in the theme's colours that saves itself as SVG under its name."""
    config = {
        "displaylogo": False,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": "svg", "filename": name},
    }
    st.plotly_chart(figure, key=f"chart_{name}", config=config, alt=alt, **options)


def numbers(table: pd.DataFrame, name: str, label: str) -> None:
    """A chart's numbers for the keyboard and the screen reader, and as CSV."""
    with st.expander(label):
        st.dataframe(table, hide_index=True, height=280)
        st.download_button(
            "Download CSV",
            lambda: table.to_csv(index=False),
            file_name=f"{name}.csv",
            mime="text/csv",
            on_click="ignore",
            key=f"csv_{name}",
        )
