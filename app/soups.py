"""Soups as pages show them: what each is of, and what became of every trial that it looked at."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import tables
from duo_core.common.plaintext import unmarked
from duo_core.wording import training as wording

COLUMNS: dict[str, Any] = {
    "trial": "Trial",
    "kept": st.column_config.TextColumn("Kept", help="Copies of an earlier trial are not tried."),
    "right": st.column_config.NumberColumn("Right", format="localized", help="Validation images that it alone gets right."),
    "n": st.column_config.NumberColumn("Of", format="localized"),
    "nll": st.column_config.NumberColumn("NLL (nats)", format="%.4f"),
    "drop": st.column_config.NumberColumn(
        "Drop (pp)",
        format="%.2f",
        help="How much lower the metric was with the trial than without it; negative where the soup gained.",
    ),
    "learning_rate": st.column_config.NumberColumn("Learning rate", format="%.3g"),
    "weights_sha256": "SHA-256",
}


def soup(name: str, training: Mapping[str, Any]) -> None:
    """Draw one; `training` is what its header or its card says."""
    st.subheader(unmarked(name), anchor=False)
    st.markdown(wording.soup_line(training))
    rows = wording.ingredients(training)
    tables.frame(rows, columns=COLUMNS)
    tables.download(rows, f"soup_{unmarked(name)}")
