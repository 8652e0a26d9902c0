"""What commands print: tables for people, one JSON document for programs."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import pandas as pd

from duo_core.common.plaintext import printable


def say(text: str, file: TextIO | None = None) -> None:
    """Print a line; names of others command no terminal."""
    print(printable(text), file=file)


def say_idle(members: Sequence[str], weights: Sequence[float]) -> None:
    """Print a line where some members have no weight."""
    idle = [member for member, weight in zip(members, weights, strict=True) if not weight]
    if idle and len(members) > 1:
        verb = "adds" if len(idle) == 1 else "add"
        say(f"weight 0      {', '.join(idle)} {verb} nothing that the others do not know")


def show(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows as a table, or as JSON."""
    if as_json:
        print_json(rows)
    elif rows:
        say(pd.DataFrame(rows).map(_cell).to_string(index=False))


def print_json(document: Any) -> None:
    """Print one JSON document; what is undefined is null."""
    print(json.dumps(_defined(document), indent=1, allow_nan=False))


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, list):
        return "x".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.4f}" if value <= 1 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _defined(value: Any) -> Any:
    """The same document with None in place of NaN."""
    if isinstance(value, Mapping):
        return {key: _defined(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
