"""Tables: which columns are the logits of which model, and which say what the rows are."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duo_core.formats.naming import NOT_TRUE, are_classes, is_truth, models_alike
from duo_core.formats.problems import Flaw, Report, listed, shown
from duo_core.formats.uploads import TEXT, Member, Upload

LOGIT = re.compile(r"(?:(.+)\.)?(logit|prob)_(\d{1,6})")
"""As timm writes them; `MODEL.logit_0` where one table holds several models."""
LIST = re.compile(r"(?:.+\.)?(?:logits?|probs?)")
NUMBERED = re.compile(r"(.*?)(\d{1,6})")
INDEX = re.compile(r"Unnamed: \d+|__index_level_\d+__")
"""Columns that pandas makes of an index without a name."""
ROLES = {
    "labels": ("target", "labels", "label"),
    "ids": ("filename", "ids", "Unnamed: 0", "__index_level_0__"),
    "split": ("split",),
}
"""Columns that say what a row is, by what they become; the first that is there is read, of labels the first with numbers."""
KINDS = {"i": np.dtype(np.int64), "f": np.dtype(np.float64), "U": TEXT, "": np.dtype("V1")}
"""What columns hold, in a letter: whole numbers, numbers, text, other or unknown things."""
OFFERED = 100
"""Columns that nothing asks for and that are named where somebody may."""


Logits = tuple[tuple[int, int], np.dtype[Any], Callable[[], NDArray[Any]]]
"""Shape and dtype of a model's logits, and what reads them."""


@dataclass(frozen=True)
class Columns:
    """What a table has: columns by role, and those of each model in the order of the classes."""

    roles: Mapping[str, str]
    models: Mapping[str, Sequence[str]]
    others: Mapping[str, np.dtype[Any]]
    """Columns that nothing asks for; of those that are numbered alike the first."""
    guess: str | None = None
    """The column of labels, where only what it holds can tell."""

    @property
    def texts(self) -> list[str]:
        """Columns that may hold text."""
        return list(self.roles.values())


def columns(upload: Upload, names: Sequence[str], kinds: Sequence[str], report: Report) -> Columns:
    """Sort the columns of a table, each of one of KINDS; other columns than those it knows are left alone.

    A model's logits come in `logit_0`, `logit_1`, ... (timm's inference.py), or `prob_0`, ... where it has no others. Where there
    are none, columns that are numbered alike are taken for logits, and where none is called labels, the one that can be.
    """
    repeated = [name for name, times in Counter(names).items() if times > 1 and name]
    if repeated:
        raise Flaw("E103", f"the columns {listed(repeated)} are there more than once", mend="leave all but one out")
    models = _named(upload, names, report)
    broken, lists = report.has({"E203"}, upload.label), [name for name in names if LIST.fullmatch(name)]
    alike = _numbered(names, kinds)
    models = _told(upload, models, alike)
    if lists and not models and not broken:
        report.add(f"{upload.label}, {shown(lists[0])}", "E204", f"all logits of a row stand in the column '{shown(lists[0])}'")
    elif not (models or broken):
        models = _guessed(upload, alike, report)
    of_models = {name for own in models.values() for name in own}
    free = {name: kind for name, kind in zip(names, kinds, strict=True) if name not in of_models}
    roles, guess = _roles(upload, free, bool(models), report)
    if not (models or broken or lists or "labels" in roles):
        report.add(upload.label, "E201", f"the table has the columns {listed(list(names))}")
    known = {*roles.values(), *(name for own in alike.values() for name in own[1:])}
    left = [name for name in free if name not in known and not LOGIT.fullmatch(name)]
    return Columns(roles, models, {name: KINDS[free[name]] for name in left[:OFFERED]}, guess)


def _named(upload: Upload, names: Iterable[str], report: Report) -> dict[str, list[str]]:
    """Columns of the models that name theirs as timm does."""
    found: dict[str, dict[str, list[tuple[int, str]]]] = defaultdict(lambda: defaultdict(list))
    for name in names:
        if part := LOGIT.fullmatch(name):
            found[part[1] or upload.stem][part[2]].append((int(part[3]), name))
    models = {}
    for model, kinds in found.items():
        with report.at(f"{upload.label}, {model}"):
            models[model] = _complete(kinds.get("logit") or kinds["prob"])
    return models


def _complete(numbered: list[tuple[int, str]]) -> list[str]:
    """Names of the logit columns in the order of their numbers, which must be 0, 1, ..."""
    ordered = sorted(numbered)
    last = ordered[-1][0]
    missing = sorted(set(range(min(last + 1, 100_000))) - {i for i, _ in ordered})
    if missing or len(ordered) != last + 1:
        odd = f"logit_{missing[0]} is missing" if missing else "a number is there twice"
        raise Flaw("E203", f"of logit_0 to logit_{last} there are {len(ordered)} columns: {odd}", last=last)
    return [name for _, name in ordered]


def _numbered(names: Sequence[str], kinds: Sequence[str]) -> dict[str, list[str]]:
    """Columns of numbers that are numbered 0, 1, ... or 1, 2, ... behind the same text, by that text; not all whole."""
    found: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for name, kind in zip(names, kinds, strict=True):
        part = NUMBERED.fullmatch(name)
        if part and kind in "if" and not (LOGIT.fullmatch(name) or INDEX.fullmatch(name)):
            found[part[1]].append((int(part[2]), name, kind))
    families = {}
    for text, own in found.items():
        numbers = [number for number, _, _ in sorted(own)]
        if (
            numbers in [list(range(start, start + len(own))) for start in (0, 1)]
            and len(own) > 1
            and {k for _, _, k in own} - {"i"}
        ):
            families[text] = [name for _, name, _ in sorted(own)]
    return families


def _told(upload: Upload, models: dict[str, list[str]], alike: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The models with the names that a person gives them, who names the first of their columns."""
    by_first = {own[0]: own for own in (*models.values(), *alike.values())}
    said = {
        role.removeprefix("logits/"): by_first[name]
        for name, role in upload.names.items()
        if role.startswith("logits/") and name in by_first
    }
    return {**{model: own for model, own in models.items() if own not in said.values()}, **said}


def _guessed(upload: Upload, alike: Mapping[str, list[str]], report: Report) -> dict[str, list[str]]:
    """Columns that are numbered alike as logits, where all of them can be."""
    models = models_alike(upload.stem, {text: (0, len(own)) for text, own in alike.items()})
    for text, model in models.items():
        own = [shown(name) for name in alike[text]]
        report.add(upload.label, "W09", f"the columns '{own[0]}' to '{own[-1]}' are read as logits/{shown(model)}")
    return {model: alike[text] for text, model in models.items()}


def _roles(upload: Upload, kinds: Mapping[str, str], logits: bool, report: Report) -> tuple[dict[str, str], str | None]:
    """Columns by role, and that of the labels where it is a guess."""
    roles = {role: name for name, role in upload.names.items() if role in ROLES and name in kinds}
    for role, choice in ROLES.items():
        there = [name for name in choice if name in kinds and name not in upload.names]
        numbers = [name for name in there if kinds[name] in ("i", "f")] if role == "labels" else []
        if role not in roles and (numbers or there):
            roles[role] = (numbers or there)[0]
    if kinds.get(roles.get("labels", ""), "") in ("i", "f") or "labels" in upload.names.values():
        return roles, None
    free = {name: kind for name, kind in kinds.items() if name not in roles.values() and kind in ("i", "f")}
    truth = [name for name in free if is_truth(name)]
    if not (logits or "ids" in roles or len(kinds) == 1):
        return roles, None
    if len(truth) == 1:
        report.add(upload.label, "W09", f"the column '{shown(truth[0])}' is read as labels")
        return {**roles, "labels": truth[0]}, None
    whole = [name for name in truth or free if free[name] == "i" and (truth or not NOT_TRUE.search(name))]
    if len(whole) != 1 or "labels" in roles:
        return roles, None
    return {**roles, "labels": whole[0]}, whole[0]


def column_members(
    upload: Upload, found: Columns, rows: Mapping[str, NDArray[Any]], logits: Mapping[str, Logits], report: Report
) -> list[Member]:
    """Return members as an archive has them: the columns of each role, each model's logits (n, k), and what else is there."""
    members = []
    k = next(iter({shape[1] for shape, _, _ in logits.values()}), None)
    n = next((len(values) for values in rows.values()), next((shape[0] for shape, _, _ in logits.values()), 0))
    others = dict(found.others)
    for role, name in found.roles.items():
        values = rows[name]
        if name == found.guess:
            if not are_classes(values, k):
                others[name] = values.dtype
                continue
            report.add(upload.label, "W09", f"the column '{shown(name)}' is read as labels, as the only one that can be")
        dtype = TEXT if values.dtype == object else values.dtype
        members.append(Member(role, values.shape, dtype, partial(np.asarray, values), f"column '{shown(name)}'", name))
    for model, (shape, dtype, read) in logits.items():
        members.append(Member(f"logits/{model}", shape, dtype, read, f"columns of '{shown(model)}'", found.models[model][0]))
    members += [Member(f"column {name}", (n,), kind, _unread, array=name, offered=True) for name, kind in others.items()]
    return members


def _unread() -> NDArray[Any]:
    raise ValueError("a column that nothing asked for was not read")
