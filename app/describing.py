"""The form on which somebody says what the arrays of uploaded files are."""

from collections import Counter
from collections.abc import Iterator, Sequence

import streamlit as st

from app.state import uploads
from duo_core.common.plaintext import escaped
from duo_core.formats import ArrayFacts, Reading

LOGITS = "logits"
CHOICES = {
    "": "left alone",
    LOGITS: "logits of a model",
    "labels": "labels: the true classes",
    "ids": "ids of the images",
    "split": "split",
    "class_names": "names of the classes",
}
"""What an array may be, and how the form says it."""
ASKED = {"E103", "E201", "E205", "E206", "E302", "E304", "W09"}
"""Problems and warnings that it answers."""


def arrays(read: Reading) -> None:
    """Offer every array with its dtype and shape, where what they are is not plain or somebody has said it."""
    codes = {problem.code for problem in (*read.problems, *read.warnings)}
    files = [file for file in read.found.files if file.arrays]
    if not files or not (codes & ASKED or uploads.are_described()):
        return
    problem = bool({"E103", "E201", "E302"} & codes)
    with st.expander("What the arrays are", expanded=problem), st.form("arrays", border=False):
        said = list(_asked((place, file.name, array) for place, file in enumerate(files) for array in file.arrays))
        if not st.form_submit_button("Read the files again"):
            return
        _say(said)


def _asked(offered: Iterator[tuple[int, str, ArrayFacts]]) -> Iterator[tuple[str, str, str]]:
    """The file, the name and the chosen role of each array that is not left alone."""
    for number, (place, file, array) in enumerate(offered):
        left, middle, right = st.columns([2, 1, 1], vertical_alignment="bottom")
        left.markdown(f"{escaped(array.name)}  \n`{array.dtype} {array.shape}` · {escaped(file)}")
        kind, model = (LOGITS, array.role[7:]) if array.role.startswith("logits/") else (array.role, "")
        now = list(CHOICES).index(kind) if kind in CHOICES else 0
        name = escaped(array.name)
        role = middle.selectbox(
            f"What {name} is", CHOICES, now, format_func=CHOICES.__getitem__, key=f"role_{place}_{number}_{array.name}"
        )
        called = right.text_input(f"Model of {name}", model or array.name, key=f"called_{place}_{number}_{array.name}")
        if role:
            yield file, array.name, f"logits/{called.strip()}" if role == LOGITS else role


def _say(said: Sequence[tuple[str, str, str]]) -> None:
    twice = [role for role, times in Counter(role for _, _, role in said).items() if times > 1 and role.startswith("logits/")]
    if twice:
        st.error(
            escaped(
                f"Expected a name of its own for each model, got '{twice[0].removeprefix('logits/')}' twice; nothing was changed."
            )
        )
        return
    uploads.describe({file: {array: role for own, array, role in said if own == file} for file, _, _ in said})
    st.rerun()
