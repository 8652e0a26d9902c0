"""Your data: logit files of one's own, checked, completed and used on every other page."""

from dataclasses import replace
from functools import partial

import pandas as pd
import streamlit as st

from app import controls, describing, link, saving, tables, uploading
from app.state import uploads
from duo_core.common.plaintext import escaped, unmarked
from duo_core.formats import CODES, FLOOR, OPENERS, WRITTEN, FileFacts, Found, Options, Problem, Reading, template
from duo_core.formats.limits import words as size_words

TITLE = "Your data"
LINKED: tuple[str, ...] = ()

PROMISE = (
    "What you drop here stays in this browser session: it is held in the server's memory, **not written to disk** and **not "
    "shown to others**, unless you press *Save*. It is gone as soon as you press *Forget*, close or reload this page, or lose "
    "the connection."
)
NEEDED = """
| what | arrays | tables |
|---|---|---|
| logits of two or more models | `logits/MODEL` (N images, K classes) | `logit_0`, `logit_1`, ... in a file named after its model |
| the true classes | `labels` (N,) from 0 to K-1 | `target` |
| *split*: where temperatures are fitted | `split`: `val`, `test`, ... | `split` |
| *image ids*: join files in any order | `ids` (N,) | `filename` |
| *class names, costs* | `class_names`, `flops/MODEL`, `parameters/MODEL` | asked for once the file is read |

Arrays go into one `.npz` or `.safetensors` file, or each into a `.npy` file named after its model (or `labels`); tables are
`.parquet`, `.csv` or `.tsv` files. If your arrays have other names, this page asks what each of them is. What is in *italics* may
be left out. Limits: {file} a file, {rows:,} images and {classes:,} classes.
"""
TICKS = {"take_log": ("Take the logarithm", "E202"), "labels_from_one": ("Labels start at 1", "E305")}
"""What a person may say where a problem asks for it: the tick's label, and the problem's code."""


FLOOR_LABEL = "Smallest probability: what is below, 0 included, is raised to it"


def show() -> None:
    """Draw the page."""
    st.title("Would a sidekick help your own model?", anchor=False)
    st.markdown(PROMISE)
    if found := uploads.used():
        _in_use(found)
    _drop()
    with st.spinner("Reading the files"):
        read = uploads.reading()
    if said := uploads.refused():
        st.error(said)
    if read:
        _files(read)
        _problems(read)
        _ticks(read)
        describing.arrays(read)
        if read.logit_set:
            _found(read.found)
        _actions(read)
        if read.logit_set:
            _first_rows(read.found)
            uploading.answers(read.found)
            saving.save(read)
    st.space("medium")
    st.header("What a file holds", anchor=False)
    _templates()
    st.header("No logits yet?", anchor=False)
    uploading.commands()


def _in_use(found: Reading) -> None:
    with st.container(border=True, key="in_use"):
        st.header("Your logits are in use", anchor=False)
        st.markdown(f"{_summary(found.found)} Every page shows them: *your upload* under *Logit set*.")
        _models(found.found)
        with st.container(horizontal=True, vertical_alignment="center"):
            for name, label in {"explore": "Explore the pair", "find": "Find a system", "temperatures": "Temperatures"}.items():
                controls.open_page(name, label)
            _forget_button()


def _forget_button() -> None:
    if st.button("Forget", key="forget", help="Delete all that this session has uploaded and all that was computed from it."):
        uploads.forget()
        link.forget(*link.PAIR, "arrived")
        st.toast("Forgotten: this session has no upload any more.")
        st.rerun()


def _drop() -> None:
    """An uploader that hands its files over and starts anew, so that they lie in one place only."""
    turn = st.session_state.setdefault("drops", 0)
    key = f"drop_{turn}"
    st.file_uploader(
        f"Drop logit files: {', '.join(OPENERS)}",
        accept_multiple_files=True,
        key=key,
        on_change=_put,
        args=(key,),
        help="Several files are joined by the ids of their images. A file replaces an earlier one of the same name.",
    )


def _put(key: str) -> None:
    if files := st.session_state[key]:
        uploads.put(files)
        st.session_state["drops"] += 1


def _files(read: Reading) -> None:
    st.header("What was found", anchor=False)
    for place, file in enumerate(read.found.files):
        _file(place, file)
    for name in uploads.displaced():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{escaped(name)}** replaced an earlier file of the same name with other contents.",
                width="content",
            )
            st.button("Keep both", key=f"both_{name}", on_click=uploads.keep_both, args=(name,))


def _file(place: int, file: FileFacts) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{escaped(file.name)}** · {size_words(file.size)}", width="content")
        st.button("Remove", key=f"remove_{place}", type="tertiary", on_click=uploads.put_back, args=(place,))
    st.caption(escaped(" · ".join(file.members)))


def _ticks(read: Reading) -> None:
    """Offer what mends probabilities and labels from 1, where they were found or said."""
    now, codes = uploads.said(), {problem.code for problem in read.problems}
    for name, (label, code) in TICKS.items():
        if getattr(now, name) or code in codes:
            st.checkbox(label, value=getattr(now, name), key=f"say_{name}", on_change=_say, args=(name,))
    if now.take_log:
        st.number_input(
            FLOOR_LABEL,
            1e-30,
            0.1,
            now.floor,
            placeholder=f"{FLOOR:g}",
            format="%.1e",
            key="say_floor",
            on_change=_say,
            args=("floor",),
        )


def _say(name: str) -> None:
    said: Options = uploads.said()
    uploads.say(replace(said, **{name: st.session_state[f"say_{name}"]}))


def _problems(read: Reading) -> None:
    if read.problems:
        count = len(read.problems)
        st.markdown(f"**{count} problem{'s' if count > 1 else ''} to mend before these files can be used.**")
    for problem in read.problems:
        st.error(_sentence(problem))
    for warning in read.warnings:
        st.warning(_sentence(warning))


def _sentence(problem: Problem) -> str:
    """A problem with its code, its title and its place above what was found, is needed and mends it."""
    return f"**{problem.code} · {CODES[problem.code].title}**  \n{escaped(problem.where)}: {escaped(problem.message)}"


def _summary(found: Found) -> str:
    splits = ", ".join(f"`{unmarked(split)}` {n:,}" for split, n in found.splits.items())
    drawn = (
        "" if found.seed is None else f" The fit split `val` was drawn at random, each class in proportion, with seed {found.seed}."
    )
    left = f" {found.left_out:,} images are not in every file and were left out." if found.left_out else ""
    return f"**{found.n:,} images, {found.k:,} classes**: {splits}.{drawn}{left}"


def _found(found: Found) -> None:
    st.markdown(_summary(found))
    _models(found)
    st.caption("Scores of the logits as uploaded, not calibrated by any temperature, over the images of all splits.")


def _first_rows(found: Found) -> None:
    with st.expander("The first rows"):
        rows = [
            {key: row[key] for key in ("id", "split", "label")}
            | {f"logits of {model}": " ".join(f"{value:.3g}" for value in values) + " …" for model, values in row["logits"].items()}
            for row in found.rows
        ]
        tables.frame(pd.DataFrame(rows))


def _models(found: Found) -> None:
    rows = [
        {
            "Model": facts.name,
            "File": facts.file,
            "Logits": f"{facts.n:,} × {facts.k:,} {facts.dtype}",
            "Accuracy": facts.accuracy,
            "NLL": facts.nll,
            "ECE": facts.ece,
            "GFLOPs": None if facts.multiply_adds is None else facts.multiply_adds / 1e9,
            "M parameters": None if facts.parameters is None else facts.parameters / 1e6,
        }
        for facts in found.models
    ]
    table = pd.DataFrame(rows).dropna(axis="columns", how="all")
    columns = {name: st.column_config.NumberColumn(format="%.3f") for name in ("NLL", "GFLOPs", "M parameters")}
    tables.frame(table, shares={name: name for name in ("Accuracy", "ECE") if name in table}, columns=columns)


def _actions(read: Reading) -> None:
    with st.container(horizontal=True):
        wanted = read.logit_set is not None and st.button("Use this set", type="primary", key="use_upload")
        if not uploads.used():
            _forget_button()
    if wanted:
        _use(read.found)


def _use(found: Found) -> None:
    handle = uploads.use()
    link.forget(*link.PAIR)
    shown = dict(zip(handle.as_written()[0].cards, handle.logit_set.cards, strict=True))
    base, sidekick = (shown.get(name or "", "") for name in (found.base, found.sidekick))
    st.session_state.update(set=handle.stamp, split=handle.logit_set.evaluation_splits[0], base=base, sidekick=sidekick)
    st.switch_page(st.session_state["pages"]["explore"])


def _templates() -> None:
    limits = uploads.said().limits
    st.markdown(NEEDED.format(file=size_words(limits.file_bytes), rows=limits.rows, classes=limits.classes))
    st.markdown("A tiny example in each format; any of them can be dropped above as it is.")
    with st.container(horizontal=True):
        for suffix in WRITTEN:
            kind = suffix.removeprefix(".")
            st.download_button(
                f"template{suffix}",
                partial(template, kind),
                file_name=f"template{suffix}",
                on_click="ignore",
                key=f"template_{kind}",
            )
