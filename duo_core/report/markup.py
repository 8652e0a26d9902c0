"""HTML elements from plain values: what is not markup already is escaped."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


@dataclass(frozen=True)
class Number:
    """A number as a table shows it, and as sorting and CSV take it."""

    value: float | None
    text: str
    note: str = ""
    """Smaller, on a line of its own."""


Content = str | Number


def tag(name: str, *content: Content, **attributes: str) -> Html:
    """Return an element; `class_` is the attribute class, `aria_label` is aria-label.

    >>> tag("p", "a < b", tag("b", "c"), class_="x & y")
    '<p class="x &amp; y">a &lt; b<b>c</b></p>'
    """
    said = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{said}>{''.join(map(markup, content))}</{name}>")


def markup(content: Content) -> Html:
    """Return markup as it is, a number with its value, and any other text escaped."""
    if isinstance(content, Number):
        value = "" if content.value is None or math.isnan(content.value) else repr(float(content.value))
        note = tag("small", content.note) if content.note else ""
        return Html(tag("data", content.text, value=value) + note)
    return content if isinstance(content, Html) else Html(escape(content))


def joined(parts: Iterable[Html]) -> Html:
    """Return elements one after the other, each on its line."""
    return Html("\n".join(parts))


def rich(text: str) -> Html:
    """Return text with **words** made strong and everything else escaped.

    >>> rich("a < b: **it stands**")
    'a &lt; b: <strong>it stands</strong>'
    """
    return Html(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text)))


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading that the contents link to."""

    anchor: str
    title: str
    content: Sequence[Html]

    def html(self) -> Html:
        """The section as an element."""
        heading = tag("h2", self.title, id=f"{self.anchor}-title")
        return tag("section", joined([heading, *self.content]), id=self.anchor, aria_labelledby=f"{self.anchor}-title")


def paragraph(text: str, **attributes: str) -> Html:
    """Return a paragraph in which **words** are strong."""
    return tag("p", rich(text), **attributes)


def definitions(entries: Iterable[tuple[str, str]], **attributes: str) -> Html:
    """Return terms and what they mean."""
    return tag("dl", *(tag("div", tag("dt", term), tag("dd", rich(text))) for term, text in entries), **attributes)


def folded(summary: str, *content: Html) -> Html:
    """Return content that opens on demand, and always on paper."""
    return tag("details", tag("summary", summary), *content)


def table(name: str, caption: str, columns: Sequence[str], rows: Iterable[Sequence[Content]], *, sortable: bool = False) -> Html:
    """Return a table whose first column names its rows; `name` is that of its CSV file.

    It scrolls within itself where the screen is narrow, by keyboard too.
    """
    body = [list(row) for row in rows]
    numeric = {place for row in body for place, cell in enumerate(row) if place and isinstance(cell, Number)}
    look = [{"class_": "number"} if place in numeric else {} for place in range(len(columns))]
    head = tag("tr", *(tag("th", column, scope="col", **look[place]) for place, column in enumerate(columns)))
    lines = [
        tag("tr", tag("th", first, scope="row"), *(tag("td", cell, **look[place]) for place, cell in enumerate(rest, 1)))
        for first, *rest in body
    ]
    parts = tag("caption", tag("span", caption)), tag("thead", head), Html("\n"), tag("tbody", joined(lines))
    kind = {"class_": "sortable"} if sortable else {}
    inner = tag("table", *parts, data_name=name, **kind)
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)
