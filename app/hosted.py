"""The dashboard as it is served: `app/main.py` behind its guard. `duo app` runs this, and so does `streamlit run app/hosted.py`."""

import sys
from pathlib import Path

# Streamlit puts this file's folder on the path, not the repository.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import streamlit as st
from starlette.middleware import Middleware

from app.guard import Guard
from duo_core.common import settings

settings.check()
app = st.App("main.py", middleware=[Middleware(Guard)])
