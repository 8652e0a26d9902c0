"""The form that makes a set of the store of what somebody has uploaded."""

import streamlit as st

from app.state import saving
from duo_core.common.arrays import InputError
from duo_core.common.plaintext import escaped
from duo_core.formats import Reading
from duo_core.logits.store import safe_name


def save(read: Reading) -> None:
    """Ask what the set and its models are to be called, and write it into the store when that is asked for."""
    if read.logit_set is None or not saving.may_save():
        return
    with st.expander("Save this set"), st.form("save", border=False):
        st.markdown(
            "It is written into the store of this dashboard, stays when you leave, and **whoever opens this dashboard sees it**. "
            "Costs and class names are saved as they stand above."
        )
        left, right = st.columns(2)
        name = left.text_input("Name of the set", safe_name(read.logit_set.name), key="save_name").strip()
        title = right.text_input("Title", read.logit_set.title, key="save_title").strip()
        models = [facts.name for facts in read.found.models]
        called = {
            model: st.text_input(f"Name of {escaped(model)} in the set", safe_name(model), key=f"save_model_{place}").strip()
            for place, model in enumerate(models)
        }
        if st.form_submit_button("Save"):
            _save(read, name, title, called)


def _save(read: Reading, name: str, title: str, called: dict[str, str]) -> None:
    try:
        made = saving.save(read, name, title, called)
    except InputError as error:
        st.error(escaped(f"{error}."))
        return
    what = ", ".join(made.written) or "nothing new"
    rounded = f" The float64 logits of {', '.join(made.rounded)} were rounded to float32." if made.rounded else ""
    st.success(escaped(f"Saved in the set {name}: {what}.{rounded} It stands under Logit set on every page."))
