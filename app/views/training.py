"""Training: the trials of runs while they run and after, the soups made of them, and what it all costs."""

import streamlit as st

from app import controls, link, soups, tables
from app.controls import THEMED
from duo_core.common import places
from duo_core.common.arrays import InputError
from duo_core.common.plaintext import escaped, unmarked
from duo_core.common.settings import is_public
from duo_core.figures import training as figures
from duo_core.training.folders import Run
from duo_core.training.watching import Watched, runs_of, watched
from duo_core.wording import training as wording

TITLE = "Training"
LINKED = ("run", "curve")
CURVES = {"nll": "Validation NLL", "train_loss": "Training loss", "score": "Score"}
SECONDS = 5
"""After so many the page looks again, while somebody trains."""


def is_for_all_who_come() -> bool:
    """Whether the page is offered: runs lie beside the store, and strangers see nothing of them."""
    try:
        return not is_public()
    except InputError:  # which the page says
        return False


def show() -> None:
    """Draw the page."""
    folder = places.runs()
    runs = {run.name: run for run in runs_of(folder)}
    if not runs:
        controls.stop("No run yet", f"The folder of runs `{folder}` has none. Start one:", wording.START)
        st.markdown(
            "The command trains one model several times (trials), each from the same start: a linear probe, the model with only "
            "its last layer trained. It can be stopped at any moment and goes on when started again. The environment variable "
            "`DUO_RUNS` names another folder of runs."
        )
        return
    link.settle("run", list(runs), next(iter(runs)))
    st.title("How did the trials do?", anchor=False)
    with st.container(horizontal=True):
        st.selectbox(
            "Run", list(runs), key="run", format_func=unmarked, on_change=link.touched, help="The last to change is first."
        )
        curve = controls.switch("By epoch", "curve", CURVES)
    run = runs[st.session_state["run"]]
    try:
        live = watched(run).is_live
    except InputError as error:
        st.warning(escaped(str(error)))
        return
    st.fragment(_run, run_every=SECONDS if live else None)(run, curve)


def _run(run: Run, curve: str) -> None:
    """Draw a run as it is now."""
    try:
        found = watched(run)
    except InputError as error:  # it was taken away meanwhile
        st.warning(escaped(str(error)))
        return
    st.caption(wording.facts(found))
    st.markdown(wording.standing(found))
    for problem in found.problems:
        st.warning(escaped(problem))
    left, right = st.columns(2, gap="large")
    with left:
        _scores(found)
    with right:
        _curves(found, curve)
    _trials(found)
    _soups(found)


def _scores(found: Watched) -> None:
    st.header("Which learning rate?", anchor=False)
    label = wording.LABELS[found.metric]
    figure = figures.score_by_rate(found.finished, found.metric, probe=found.probe.get(found.metric), colours=THEMED)
    controls.chart(figure, "trials", f"{label} of every trial on the validation images against its learning rate")
    st.caption(wording.CHOSEN)


def _curves(found: Watched, curve: str) -> None:
    st.header("How did they get there?", anchor=False)
    done, under_way = found.finished["trial"], found.trials.loc[found.trials["state"] == "under way", "trial"]
    figure = figures.curves_by_epoch(
        found.epochs,
        curve,
        found.metric,
        best=None if done.empty else int(done.iloc[0]),
        running=None if under_way.empty else int(under_way.iloc[-1]),
        colours=THEMED,
    )
    controls.chart(figure, "epochs", f"{CURVES[curve]} of every trial, by epoch")
    tables.numbers(found.epochs, "epochs", "The epochs as numbers")


def _trials(found: Watched) -> None:
    st.header("The trials", anchor=False)
    tables.frame(found.trials, shares={"accuracy": "Accuracy", "macro_f1": "Macro F1"}, columns=COLUMNS)
    tables.download(found.trials, "trials")
    st.markdown(wording.cost(found))
    st.caption(wording.DECAY)


def _soups(found: Watched) -> None:
    st.header("The soups", anchor=False)
    if not found.soups:
        st.markdown(
            "None yet. A soup is one model whose weights are the average of trials that began from one model, their anchor. "
            "Make one:"
        )
        st.code(f"duo soup --run {found.name} --method greedy --images train=FOLDER val=FOLDER", language=None, wrap_lines=True)
    for name, about in found.soups:
        soups.soup(name, about)


COLUMNS = {
    "trial": "Trial",
    "state": "State",
    "learning_rate": st.column_config.NumberColumn("Learning rate", format="%.3g"),
    "weight_decay": st.column_config.NumberColumn("Weight decay", format="%.2g"),
    "best_epoch": "Best epoch",
    "nll": st.column_config.NumberColumn("NLL (nats)", format="%.4f"),
    "reason": "Why it failed",
}
