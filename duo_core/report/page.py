"""The whole page: head, contents, sections, charts, and the two scripts that alone may run.

A content security policy forbids every request and every script but these two, by their digests.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from html import escape

import plotly.graph_objects as go
import plotly.io
from plotly.offline import get_plotlyjs

from duo_core.common import places
from duo_core.figures.screen import DARK, LIGHT
from duo_core.report.markup import Html, Section, joined, tag

UNSEEN = "These charts need JavaScript; every number stands in the tables."


class Charts:
    """The charts of a page, gathered while its sections are written."""

    def __init__(self) -> None:
        self.figures: dict[str, go.Figure] = {}

    def add(self, name: str, figure: go.Figure, alternative: str, caption: str = "") -> Html:
        """Return the place of a figure; the alternative says in words what the chart shows."""
        anchor = f"chart-{name}"
        self.figures[anchor] = figure
        place = tag("div", id=anchor, class_="chart", role="img", aria_label=alternative)
        return tag("figure", place, tag("figcaption", caption or alternative))


def page(title: str, header: Html, sections: Sequence[Section], charts: Charts, footer: str) -> str:
    """Return the document."""
    scripts = [get_plotlyjs(), _file("page.js")]
    contents = tag("ul", *(tag("li", tag("a", part.title, href=f"#{part.anchor}")) for part in sections))
    body = [
        tag("header", header, tag("nav", contents, aria_label="Contents")),
        tag("noscript", tag("p", UNSEEN, class_="warning")),
        tag("main", joined(part.html() for part in sections)),
        tag("footer", tag("p", footer)),
        Html(f'<script type="application/json" id="figures">{_data(charts)}</script>'),
        *(Html(f"<script>{script}</script>") for script in scripts),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy(scripts)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_file('style.css')}</style>\n</head>\n<body>\n{joined(body)}\n</body>\n</html>\n"
    )


def policy(scripts: list[str]) -> str:
    """Return the content security policy under which only these scripts run and nothing is fetched."""
    digests = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    rest = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {digests}; {rest}"


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _file(name: str) -> str:
    return places.text(__package__, name)


def _data(charts: Charts) -> str:
    """The figures as JSON that no text in them can end."""
    drawn = {name: json.loads(_json(figure)) for name, figure in charts.figures.items()}
    document = {"figures": drawn, "palettes": {"light": LIGHT, "dark": DARK}}
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")


def _json(figure: go.Figure) -> str:
    """A figure without plotly's own look: the page has its own, light and dark."""
    text: str = plotly.io.to_json(go.Figure(figure).update_layout(template=None), engine="json")
    return text
