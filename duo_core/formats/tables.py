"""Tables: which columns are the logits of which model, and which say what the rows are."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duo_core.formats.naming import LABELS
from duo_core.formats.problems import Flaw, Report, listed, shown
from duo_core.formats.uploads import TEXT, Member, Upload

LOGIT = re.compile(r"(?:(.+)\.)?(logit|prob)_(\d{1,6})")
"""As timm writes them; `MODEL.logit_0` where one table holds several models."""
LIST = re.compile(r"(?:.+\.)?(?:logits?|probs?)")
ROLES = {"labels": ("target", "labels", "label"), "ids": ("filename", "ids"), "split": ("split",)}
"""Columns that say what a row is, by what they become; the first that is there is read."""


Logits = tuple[tuple[int, int], np.dtype[Any], Callable[[], NDArray[Any]]]
"""Shape and dtype of a model's logits, and what reads them."""


@dataclass(frozen=True)
class Columns:
    """What a table has: columns by role, and those of each model in the order of the classes."""

    roles: Mapping[str, str]
    models: Mapping[str, Sequence[str]]

    @property
    def texts(self) -> list[str]:
        """Columns that may hold text."""
        return list(self.roles.values())


def columns(upload: Upload, names: Sequence[str], report: Report) -> Columns:
    """Sort the columns of a table; other columns than those it knows are left alone.

    A model's logits come in `logit_0`, `logit_1`, ... (timm's inference.py), or `prob_0`, ... where it has no others.
    """
    if names and all(_is_number(name) for name in names):
        last = len(names) - 1
        raise Flaw(
            "E201",
            f"the first line holds numbers ({listed(list(names), 2)}) and no names of columns",
            mend=f"put a line of names above it: logit_0, ..., logit_{last} where all {last + 1} columns are logits, target over "
            "the true class, filename over the images' names",
        )
    repeated = [name for name, times in Counter(names).items() if times > 1 and name]
    if repeated:
        raise Flaw("E103", f"the columns {listed(repeated)} are there more than once", mend="leave all but one out")
    found: dict[str, dict[str, list[tuple[int, str]]]] = defaultdict(lambda: defaultdict(list))
    own = upload.stem
    for name in names:
        if part := LOGIT.fullmatch(name):
            found[part[1] or own][part[2]].append((int(part[3]), name))
    models = {}
    for model, kinds in found.items():
        with report.at(f"{upload.label}, {model}"):
            models[model] = _complete(kinds.get("logit") or kinds["prob"])
    lists = [name for name in names if LIST.fullmatch(name)]
    if lists and not found:
        report.add(f"{upload.label}, {shown(lists[0])}", "E204", f"all logits of a row stand in the column '{shown(lists[0])}'")
    roles = {role: next((name for name in choice if name in names), None) for role, choice in ROLES.items()}
    if roles["labels"] is None and len(called := [name for name in names if name.strip().lower() in LABELS]) == 1:
        roles["labels"] = called[0]
        report.add(upload.label, "W09", f"the column '{shown(called[0])}' is read as the labels")
    if not (found or lists or roles["labels"]):
        raise Flaw("E201", f"the table has the columns {listed(list(names))}")
    return Columns({role: name for role, name in roles.items() if name}, models)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _complete(numbered: list[tuple[int, str]]) -> list[str]:
    """Names of the logit columns in the order of their numbers, which must be 0, 1, ..."""
    ordered = sorted(numbered)
    last = ordered[-1][0]
    missing = sorted(set(range(min(last + 1, 100_000))) - {i for i, _ in ordered})
    if missing or len(ordered) != last + 1:
        odd = f"logit_{missing[0]} is missing" if missing else "a number is there twice"
        raise Flaw("E203", f"of logit_0 to logit_{last} there are {len(ordered)} columns: {odd}", last=last)
    return [name for _, name in ordered]


def column_members(
    found: Columns,
    rows: Mapping[str, NDArray[Any]],
    logits: Mapping[str, Logits],
) -> list[Member]:
    """Return members as an archive has them: the columns of each role, and each model's logits (n, k)."""
    members = []
    for role, name in found.roles.items():
        values = rows[name]
        dtype = TEXT if values.dtype == object else values.dtype
        members.append(Member(role, values.shape, dtype, partial(np.asarray, values), f"column '{shown(name)}'"))
    for model, (shape, dtype, read) in logits.items():
        members.append(Member(f"logits/{model}", shape, dtype, read, f"columns of '{shown(model)}'"))
    return members
