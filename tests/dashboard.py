"""What the tests of the dashboard's pages share: a page opened without a browser, and what it says."""

import functools

import pandas as pd
from browsing import ROOT
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from app import dress

# Every page that is opened would read again what each installed library says of itself, which takes longer than most pages.
manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)

# No browser lays anything out between the style and what it dresses.
dress.BEFORE = 0.0

SECONDS = 180
"""For one run; the first of a test session may compile loops."""
PAIR = {"set": "toy", "split": "test", "base": "large", "sidekick": "small"}
"""An address on the store of `toy_store`."""


def open_page(name: str = "explore", **query: str) -> AppTest:
    """Open a page at an address, as the first of a session."""
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=SECONDS)
    app.query_params.update(query)
    return go(app, name)


def go(app: AppTest, name: str) -> AppTest:
    """Go to a page, by its place in the address; AppTest's own way knows pages that are files only."""
    app._page_hash = calc_hash(name)
    app.run()
    assert not app.exception
    return app


def step(app: AppTest, name: str) -> AppTest:
    """Go to a page as the navigation does: with an empty address."""
    app.query_params.clear()
    return go(app, name)


def table(app: AppTest, label: str) -> pd.DataFrame:
    """The numbers under a chart."""
    return labelled(app.expander, label).dataframe[0].value


def labelled(elements, label):
    return next(element for element in elements if element.label == label)


def query(app: AppTest) -> dict[str, str]:
    """The address that the app has written."""
    return {key: values[0] if isinstance(values, list) else values for key, values in app.query_params.items()}


def text_of(app: AppTest) -> str:
    """Everything the page says."""
    kinds = (app.title, app.header, app.subheader, app.markdown, app.caption, app.info, app.warning, app.code, app.latex)
    said = [str(element.value) for kind in kinds for element in kind]
    return "\n".join(text for text in said if not text.startswith("<style>"))
