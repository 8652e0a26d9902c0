"""A CSV that the product writes runs nothing in a spreadsheet, and its numbers stay numbers."""

import io

import pandas as pd
import pytest

from duo_core.files import csv_text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
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
