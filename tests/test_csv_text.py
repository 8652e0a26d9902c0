"""A CSV that the product writes runs nothing in a spreadsheet, and its numbers stay numbers."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from logit_files import arrays, npz

from duo_core.__main__ import main
from duo_core.common.files import csv_text, guarded, unguarded
from duo_core.formats import Upload, read

ROOT = Path(__file__).resolve().parents[1]
WRITERS = re.compile(r"to_csv|write_csv\(|CSVWriter|csv\.writer|DictWriter|savetxt\(|to_clipboard|to_excel|text/csv")
STARTS = ["=", "+", "-", "@", "\t", "\uff1d", "'=", "''-"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff20", "'="])
def test_no_text_begins_a_formula(start):
    cell = f"{start}HYPERLINK(1)"
    again = pd.read_csv(io.StringIO(csv_text(pd.DataFrame({cell: [cell], "gain": [-0.1]})), newline=""))
    assert again.columns[0].startswith("'")
    assert again.iloc[0, 0].startswith("'")
    assert again["gain"].tolist() == [-0.1]


def test_numbers_and_gaps_stay_as_they_are():
    table = pd.DataFrame({"name": ["a=b", None], "value": [-1.5e-17, 1 / 3], "count": [-3, 4], "yes": [True, False]})
    assert csv_text(table) == table.to_csv(index=False, lineterminator="\n")


def test_no_row_begins_within_a_cell():
    assert len(pd.read_csv(io.StringIO(csv_text(pd.DataFrame({"name": ["a\r=1+1", "b\n=1+1"]})), newline=""))) == 2


def test_no_csv_is_written_elsewhere():
    """A table that leaves the product goes through `duo_core.common.files`, which `app.tables` hands to the browser."""
    files = [*(ROOT / "duo_core").rglob("*.py"), *(ROOT / "app").rglob("*.py")]
    found = {
        (str(file.relative_to(ROOT).as_posix()), line.strip())
        for file in files
        for line in file.read_text(encoding="utf-8").splitlines()
        if WRITERS.search(line)
    }
    own = {place for place in found if place[0] == "duo_core/common/files.py"}
    assert len(own) == 3
    assert found - own == {
        ("app/tables.py", '"csv": ("CSV", csv_text, "text/csv"),'),
        ("duo_core/formats/writing.py", "write_csv(_table(arrays, PurePath(name).stem), file)"),
    }
    writing = (ROOT / "duo_core" / "formats" / "writing.py").read_text(encoding="utf-8")
    assert "from duo_core.common.files import write_csv\n" in writing


@pytest.mark.parametrize("start", STARTS)
def test_a_converted_table_runs_nothing_and_is_read_as_it_was(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members = arrays()
    members["ids"] = np.array([f"{start}{name}" for name in members["ids"]])
    logits = {f"logits/{start.strip()}{name}": members.pop(f"logits/{name}") for name in ("large", "small")}
    Path("a.npz").write_bytes(npz({**members, **logits}))
    assert main(["convert", "a.npz", "--out", "b.csv"]) == 0
    with open("b.csv", encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(tuple("=+@\t\uff1d")) or re.match("-[^0-9]", cell)]
    one, other = (read([Upload(name, Path(name).read_bytes())]).opened() for name in ("a.npz", "b.csv"))
    assert other.ids == one.ids
    assert list(other.cards) == list(one.cards)
    assert all(name.startswith(start) for split in other.ids.values() for name in split)


@pytest.mark.parametrize("text", ["", "'", "'a", "a", "-1", "'-1", "''-1", "=", "'''", "'\t", "-", "\uff0b1"])
def test_what_is_guarded_is_given_back(text):
    assert unguarded(guarded(text)) == text
    assert not re.match(r"[=+\-@\t\r\n\uff0b]", guarded(text))
