"""Tables as the pages show them: shares in percent, one word for what is missing, and a file of each."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import pandas as pd
import streamlit as st

from duo_core.common.files import csv_text
from duo_core.common.latex import latex_text
from duo_core.common.numbers import UNDEFINED

Kind = Literal["csv", "tex", "parquet"]
FORMATS: dict[Kind, tuple[str, Callable[[pd.DataFrame], str | bytes], str]] = {
    "csv": ("CSV", csv_text, "text/csv"),
    "tex": ("LaTeX", latex_text, "application/x-tex"),
    "parquet": ("Parquet", lambda table: table.to_parquet(index=False), "application/vnd.apache.parquet"),
}


def frame(
    data: pd.DataFrame, *, shares: Mapping[str, str] | None = None, columns: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """A table; the columns of `shares` hold fractions and stand in percent, under the titles that it gives."""
    shares = shares or {}
    percents = {column: st.column_config.NumberColumn(title, format="%.1f %%") for column, title in shares.items()}
    shown = data.assign(**{column: data[column].astype(float) * 100 for column in shares})
    return st.dataframe(shown, hide_index=True, placeholder=UNDEFINED, column_config={**(columns or {}), **percents}, **options)


def numbers(table: pd.DataFrame, name: str, label: str, about: str = "") -> None:
    """A chart's numbers for the keyboard and the screen reader, and as files."""
    with st.expander(label):
        if about:
            st.caption(about)
        frame(table, height=280)
        downloads(table, name)


def downloads(table: pd.DataFrame, name: str) -> None:
    """Buttons that save a table for a spreadsheet and for a paper."""
    with st.container(horizontal=True):
        download(table, name, "csv")
        download(table, name, "tex")


def download(table: pd.DataFrame, name: str, kind: Kind = "csv") -> None:
    """A button that saves a table; it is written only when pressed."""
    label, write, mime = FORMATS[kind]
    st.download_button(
        f"Download {label}",
        lambda: write(table),
        file_name=f"{name}.{kind}",
        mime=mime,
        on_click="ignore",
        key=f"{kind}_{name}",
    )
