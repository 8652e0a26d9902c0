"""What a browser is told to fetch while the first page is still being made: code that every page needs, and large code first."""

import functools
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

DRAWN = ("/rehype-raw/index.js", "/PlotlyChart/PlotlyChart.tsx")
"""Ends of the names of modules that Streamlit's page asks for only when the first style, or chart, arrives. No more of them: all
headers of an answer have to fit into the 4 KB that a proxy reads."""


def links(manifest: Mapping[str, Any]) -> str:
    """The value of a `Link` header that names the modules of DRAWN with what they import, given the list of a page's modules.

    >>> chart = {"file": "chart.js", "imports": ["index.html"]}
    >>> links({"index.html": {"file": "index.js"}, "src/PlotlyChart/PlotlyChart.tsx": chart})
    '<./chart.js>; rel=modulepreload; crossorigin'
    """
    there = _imported(manifest, "index.html")
    wanted = [name for name in manifest if name.endswith(DRAWN)]
    modules = dict.fromkeys(manifest[each]["file"] for name in wanted for each in _imported(manifest, name) if each not in there)
    return ", ".join(f"<./{module}>; rel=modulepreload; crossorigin" for module in modules)


def _imported(manifest: Mapping[str, Any], name: str) -> list[str]:
    """A module and all that it imports at once."""
    found = [name]
    for module in found:
        found += [other for other in manifest[module].get("imports", ()) if other not in found]
    return found


@functools.cache
def header() -> bytes:
    """The header for the page that is installed; nothing where that says otherwise what it is made of: it opens later then."""
    try:
        manifest = files("streamlit").joinpath("static", "manifest.json").read_text(encoding="utf-8")
        return links(json.loads(manifest)).encode("latin-1")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return b""
