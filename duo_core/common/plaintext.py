"""What others wrote, shown as text: pages, charts, files and terminals read markup, and must find none in it."""

import re
import unicodedata

_ALIKE = str.maketrans("[]<>`*$~\\&|@", "［］＜＞｀＊＄～＼＆｜＠")
_UNDERLINED = re.compile(r"(?<![^\W_])_+|_+(?![^\W_])")
"""Underscores that are not within a word, where they are no emphasis."""
_ADDRESS = re.compile(r"//|@|(?<=www)\.|:(?=[^\s:]+:)", re.IGNORECASE)
"""What makes an address, or a named symbol, of a text."""
_BLOCK = re.compile(r"^(#+|[-+=](?=\s|$|=|-)|\d+[.)](?=\s|$))")
"""What makes a heading, a list or a rule of a text that begins with it."""
_WIDE = 0xFEE0
"""From a character of ASCII to the wide one that looks like it."""


def escaped(text: str) -> str:
    r"""Text as it is, where Markdown is read; addresses, which it makes links whatever stands before them, as what looks like them.

    >>> escaped("![a](b)")
    '\\!\\[a\\]\\(b\\)'
    """
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~<>$:&])", r"\\\1", _ADDRESS.sub(_widened, " ".join(text.split())))


def as_markdown(text: str) -> str:
    r"""Text as it is where Markdown is read, which shows the same; usual names need no escaping.

    >>> as_markdown("resnet18_a1 (tuned)"), as_markdown("a_*b*")
    ('resnet18_a1 (tuned)', 'a\\_\\*b\\*')
    """
    return text if unmarked(text) == text else escaped(text)


def printable(text: str) -> str:
    r"""Text for a terminal, which takes control characters for commands; line ends and tabs stay.

    >>> printable("a\x1b[31m\tb")
    'a�[31m\tb'
    """
    return "".join(letter if letter in "\n\t" or unicodedata.category(letter)[0] != "C" else "\ufffd" for letter in text)


def unmarked(name: str) -> str:
    """A name as it can stand anywhere, in Markdown or a chart: what would be markup is replaced by what looks like it.

    >>> unmarked("resnet18_a1 (tuned)"), unmarked("[a](https://b) <b>"), unmarked("_a_")
    ('resnet18_a1 (tuned)', '［a］(https:／／b) ＜b＞', '＿a＿')
    """
    printable = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in name)
    text = " ".join(printable.split()).translate(_ALIKE)
    for pattern in (_UNDERLINED, _ADDRESS, _BLOCK):
        text = pattern.sub(_widened, text)
    return text


def _widened(found: re.Match[str]) -> str:
    return "".join(chr(ord(letter) + _WIDE) if "!" <= letter <= "~" else letter for letter in found[0])
