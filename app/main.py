"""The dashboard's entry point: page, navigation, and the state that all pages share."""

import sys
from pathlib import Path

# Streamlit puts this file's folder on the path, not the repository.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import streamlit as st

from app import controls, dress, internals, link, welcome
from app.guard import Guard
from app.state.waiting import in_two_steps
from app.views import alike, claims, compare, data, diagnose, explore, find, learn, method, temperatures, training, zoo
from duo_core.common import places, settings
from duo_core.common.arrays import InputError
from duo_core.common.plaintext import escaped

FIRST = "explore"
VIEWS = {
    view.__name__.rpartition(".")[2]: view
    for view in (explore, find, compare, temperatures, diagnose, alike, zoo, training, learn, claims, data, method)
    if view is not training or training.is_for_all_who_come()
}

internals.check()
dress.put_on()
st.set_page_config(
    page_title="Asymmetric Duos Explorer",
    page_icon=str(places.ROOT / "app" / "icon.png"),  # local: a named icon would be fetched from another machine
    layout="wide",
)
pages = {name: st.Page(view.show, title=view.TITLE, url_path=name, default=name == FIRST) for name, view in VIEWS.items()}
carried = link.carry({name: (page, VIEWS[name].LINKED) for name, page in pages.items()})
page = st.navigation(list(pages.values()), position="hidden" if st.context.is_embedded else "top")
name = page.url_path or FIRST
if set(link.SET) <= set(VIEWS[name].LINKED):
    st.sidebar.markdown("**Asymmetric Duos Explorer**")
st.session_state["pages"] = pages
welcome.note(st.query_params, first_page=name == FIRST)
link.keep(name, {key for view in VIEWS.values() for key in view.LINKED})
link.follow_link(name, VIEWS[name].LINKED, carried=carried)
try:
    if settings.is_public() and not Guard.stands:
        raise InputError(
            "expected a guard before a public dashboard, got none; start it with duo app, or streamlit run app/hosted.py"
        )
    with in_two_steps():
        welcome.show()
        page.run()
        link.share(whole=True)
except InputError as error:  # a file that was altered since the page listed its model, say
    controls.stop("This cannot be shown", escaped(str(error)))
    link.share(whole=True)
