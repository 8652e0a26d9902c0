"""The dashboard's entry point: page, navigation, sidebar."""

import sys
from pathlib import Path

# Streamlit puts this file's folder on the path, not the repository.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import streamlit as st

from app import link
from app.views import explore

st.set_page_config(
    page_title="Asymmetric Duos Explorer",
    page_icon=str(Path(__file__).with_name("icon.png")),  # local: a named icon would be fetched from another machine
    layout="wide",
)
st.sidebar.markdown("**Asymmetric Duos Explorer**")
page = st.navigation([st.Page(explore.show, title="Explore", url_path="explore", default=True)], position="top")
link.follow_link(page.url_path)
page.run()
