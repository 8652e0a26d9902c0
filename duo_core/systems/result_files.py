"""Tables of results that lie beside a store: read only as they were written, added to by several processes at once."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from duo_core.common.files import locked, replaced

DIGEST = "rows_sha256"
"""What a file calls the digest of its rows."""


def read(file: Path, columns: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """The file's rows; none where it is not there, or not as it was written: it is then made anew.

    `numbers` are those of the columns that are float64 in a table of no rows, too.
    """
    with contextlib.suppress(Exception):  # bytes that are no table make the library raise anything
        table = pd.read_parquet(file)
        if list(table.columns) == list(columns) and table.attrs.get(DIGEST) == _digest(table):
            return table
    return pd.DataFrame(columns=list(columns)).astype(dict.fromkeys(numbers, float))


def add(file: Path, rows: pd.DataFrame, others: Callable[[], pd.DataFrame], of: Sequence[str]) -> None:
    """Put rows into the file, beside the others that are there by now; of two about the same, as `of` says, the new one stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with locked(file.parent):
        there = others()
        table = pd.concat([rows, *([there] if len(there) else [])]).drop_duplicates(list(of), ignore_index=True)
        table = table[list(rows.columns)]
        table.attrs = {DIGEST: _digest(table)}
        with replaced(file) as beside:
            table.to_parquet(beside, index=False)


def _digest(table: pd.DataFrame) -> str:
    """SHA-256 of the rows, in their order."""
    return hashlib.sha256(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes()).hexdigest()
