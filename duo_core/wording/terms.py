"""Forms that no text of the dashboard or of a report takes, and what stands there instead."""

import re

INSTEAD = {
    r"\bdear(er|est)?\b": "more expensive",
    r"\b(gain|loss|difference)s?\b[^.:]{0,40}\bstands?\b": "is significant",
    r"\bmay be chance\b": "not significant",
    r"(?i)\bsignificant (gain|loss)": "significantly better, or worse",
    r"(?i)\bselective error": "selective risk",
    r"\bcomputation\b": "compute",
    r"\d points\b": "percentage points",
    r"\d%": "a space before %",
    r"(?<![\w.])[-−]0(\.0+)?(?![.\d])": "0 without a sign",
    r"(?<![\w.\-−/:])-\d": "the minus sign −",
    r"\b(None|nan|NaN|inf)\b": "n/a",
}
"""Patterns of what is not said, in words that practitioners would not choose or as another form of number."""


def faults(text: str) -> list[str]:
    """What is wrong with a text, with what should stand there.

    >>> faults("+3.1 % is significantly better"), faults("dearer by 3%")
    ([], ["'dearer': more expensive", "'3%': a space before %"])
    """
    return [f"'{found[0]}': {better}" for pattern, better in INSTEAD.items() if (found := re.search(pattern, text))]
