"""What the page about hosting says is what the code does."""

import re

from browsing import ROOT

from duo_core.common.settings import NUMBERS

PAGE = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")


def test_the_table_of_numbers_is_that_of_the_code():
    rows = re.findall(r"^\| `(DUO_\w+)` \| (\S+) \| (\S+) \| (.+) \|$", PAGE, flags=re.MULTILINE)
    expected = [
        (name, "-" if setting.default is None else str(setting.default), str(setting.public), setting.what)
        for name, setting in NUMBERS.items()
    ]
    assert rows == expected


def test_every_variable_that_the_dashboard_reads_is_on_the_page():
    sources = [file for folder in ("app", "duo_core") for file in (ROOT / folder).rglob("*.py")]
    read = {name for file in sources for name in re.findall(r'"(DUO_[A-Z_]+)"', file.read_text(encoding="utf-8"))}
    assert read - {"DUO_RUNS"} <= set(re.findall(r"DUO_[A-Z_]+", PAGE))
