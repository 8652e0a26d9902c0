"""Files joined into rows of the same images, in an order that does not depend on theirs, and divided into splits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duo_core.common.arrays import InputError, Integers
from duo_core.formats.naming import ROWS
from duo_core.formats.parts import Part
from duo_core.formats.problems import UNREAD, Flaw, Report, listed
from duo_core.images.draws import drawn
from duo_core.logits import FIT_SPLIT

FRACTION, LEAST, MOST = 0.2, 200, 5000
"""Share of the rows that is drawn for fitting, and its bounds."""


@dataclass
class Joined:
    """Which row of each file is which image."""

    rows: list[Integers]
    """For each file, the row of every joined image; images in one order."""
    ids: list[str] | None
    labels: Integers
    split: NDArray[Any]
    """Name of each image's split."""
    seed: int | None
    """Of the draw, None where the files name their splits."""
    left_out: int
    """Images that are not in every file."""
    splits: dict[str, Integers] = field(init=False)
    """Images of each split, the fit split first."""

    def __post_init__(self) -> None:
        names = sorted(set(self.split.tolist()), key=lambda name: (name != FIT_SPLIT, name != "test", name))
        self.splits = {name: np.flatnonzero(self.split == name) for name in names}


def joined(parts: Sequence[Part], seed: int, report: Report, fit: int | float | None = None) -> Joined | None:
    """Join the files' rows; None where something that is reported stands in the way.

    Raises InputError where `fit`, rows to draw for fitting, are more than there are, or the files name their splits.
    """
    before = len(report.problems)
    where = ", ".join(part.file for part in parts)
    for part in parts:
        repeated = _repeated(part.ids or [])
        if repeated:
            report.add(part.file, "W04", f"{len(repeated):,} ids occur more than once, {listed(repeated, 2)} among them")
    if not report.has({*UNREAD, "E201"}):
        with report.at(where):
            _check_labels(parts)
    if not all(part.n for part in parts):
        return None
    with report.at(where):
        rows, ids, left_out = _rows(parts)
        labels = split = None
        with report.at(where):
            labels = _common(parts, rows, "labels")
        with report.at(where):
            split = _common(parts, rows, "split")
            _check_split(split)
        if labels is None or len(report.problems) > before:
            return None
        if split is not None:
            check_unnamed(split, fit)
            return Joined(rows, ids, labels, split, None, left_out)
        split = drawn_split(labels, ids, seed, fit)
        _check_split(split)
        return Joined(rows, ids, labels, split, seed, left_out)
    return None


def _repeated(ids: list[str]) -> list[str]:
    return [name for name, times in Counter(ids).items() if times > 1]


def _rows(parts: Sequence[Part]) -> tuple[list[Integers], list[str] | None, int]:
    """For each file its rows in the joined order, the ids in that order, and how many images were left out.

    With ids the order is theirs, so that a shuffled file gives the same set; without, it is the files' own.
    """
    named = [part.ids for part in parts if part.ids is not None]
    differ = any(ids != named[0] for ids in named)
    if differ and len(named) == len(parts):
        return _matched(parts)
    if differ or len({part.n for part in parts}) > 1:
        text = ", ".join(f"{part.file} {part.n:,}" for part in parts)
        raise Flaw("E404", f"not all files have ids, and their rows ({text}) are not the same")
    ids = named[0] if named else None
    if not ids:
        return [np.arange(parts[0].n)] * len(parts), None, 0
    order = np.argsort(np.array(ids, dtype=object), kind="stable")
    return [order] * len(parts), [ids[row] for row in order], 0


def _matched(parts: Sequence[Part]) -> tuple[list[Integers], list[str], int]:
    """Rows of the images that every file has."""
    for part in parts:
        if _repeated(part.ids or []):
            raise Flaw("E402", f"ids of {part.file} occur more than once, so its rows cannot be found by them")
    places = [{name: row for row, name in enumerate(part.ids or [])} for part in parts]
    common = sorted(set.intersection(*(set(place) for place in places)))
    if not common:
        examples = listed([next(iter(place), "") for place in places], 3)
        raise Flaw("E402", f"no id is in every file ({examples})")
    left_out = len(set().union(*places)) - len(common)
    return [np.array([place[name] for name in common], dtype=np.int64) for place in places], common, left_out


def _common(parts: Sequence[Part], rows: Sequence[Integers], what: str) -> NDArray[Any] | None:
    """Labels or splits in the joined order; every file that has them must say the same."""
    found = [
        (part.file, getattr(part, what)[row]) for part, row in zip(parts, rows, strict=True) if getattr(part, what) is not None
    ]
    for file, values in found[1:]:
        differ = np.flatnonzero(values != found[0][1])
        if len(differ):
            raise Flaw("E403", f"{what} of {found[0][0]} and {file} disagree on {len(differ):,} of {len(values):,} rows")
    return found[0][1] if found else None


def _check_labels(parts: Sequence[Part]) -> None:
    """Some file must have labels; wrong ones have been reported."""
    if any(part.has_labels for part in parts):
        return
    named = [part.file for part in parts if part.labels_are_text]
    if named:
        raise Flaw("E301", f"`label` of {named[0]} holds text")
    raise Flaw("E302", "no array or column of labels was found")


def check_unnamed(split: NDArray[Any], fit: int | float | None) -> None:
    """Raise InputError where rows are to be drawn although the files name their splits."""
    if fit is not None:
        names = ", ".join(f"'{name}'" for name in sorted(map(str, set(split.tolist()))))
        raise InputError(f"expected --fit only where files name no splits, got {fit} and the splits {names}; leave --fit out")


def drawn_split(labels: Integers, ids: Sequence[str] | None, seed: int, fit: int | float | None = None) -> NDArray[Any]:
    """Return the name of each row's split, drawn stratified by class.

    `fit` is how many rows, or what share of them, to fit on; by default a fifth, within bounds, and no more than half of them.
    """
    n = len(labels)
    split: NDArray[Any] = np.full(n, "test", dtype=object)
    size = min(max(round(FRACTION * n), LEAST), MOST, n // 2) if fit is None else round(fit * n) if isinstance(fit, float) else fit
    if fit is not None and not 0 < size < n:
        raise InputError(f"expected to fit on 1 to {n - 1:,} of the {n:,} rows, got {fit}; give another number or share with --fit")
    if size:
        names = ids or [str(row) for row in range(n)]
        split[drawn(labels.tolist(), names, size, seed)[0]] = FIT_SPLIT
    return split


def together(files: Sequence[tuple[str, Mapping[str, NDArray[Any]]]], report: Report) -> tuple[dict[str, NDArray[Any]], int]:
    """Return the arrays of several files, each named with its arrays by role, as those of one, and how many images were left out.

    Rows are those of the first file, joined on ids where all files of rows have some that differ.

    Raises
    ------
    InputError
        Where the files' rows cannot be joined, or two of them have one thing and mean another.
    """
    ids = {path: [str(name) for name in arrays["ids"].tolist()] for path, arrays in files if "ids" in arrays}
    left = 0
    if any(own != next(iter(ids.values())) for own in ids.values()):
        files, left = _aligned(files, ids)
    elif ids and (unnamed := [path for path, arrays in files if path not in ids and any(map(_has_rows, arrays))]):
        report.add(", ".join(unnamed), "W13", "not all files name their rows, so rows are joined in the order in which they stand")
    found: dict[str, NDArray[Any]] = {}
    for path, arrays in files:
        for role, values in arrays.items():
            if role in found and not np.array_equal(found[role], values):
                raise InputError(f"expected one '{role}', got another in '{path}'; {_distinct(role)}")
        found |= arrays
    return found, left


def _aligned(
    files: Sequence[tuple[str, Mapping[str, NDArray[Any]]]], ids: Mapping[str, list[str]]
) -> tuple[list[tuple[str, Mapping[str, NDArray[Any]]]], int]:
    """The files with the rows that all of them have, in the order of the first."""
    without = [path for path, arrays in files if path not in ids and any(_has_rows(role) for role in arrays)]
    if without:
        raise InputError(
            f"expected ids in every file, since those of {listed(list(ids))} differ, got none in {listed(without)}; add them"
        )
    try:
        rows, _, left = _matched([Part(path, ids=own) for path, own in ids.items()])
    except Flaw as flaw:
        raise InputError(str(flaw.problem(", ".join(ids)))) from None
    order = np.argsort(rows[0], kind="stable")
    places = dict(zip(ids, rows, strict=True))
    return [
        (
            path,
            {
                role: values[places[path][order]] if _has_rows(role) and len(values) == len(ids[path]) else values
                for role, values in arrays.items()
            },
        )
        for path, arrays in files
    ], left


def _has_rows(role: str) -> bool:
    return role in ROWS or role.startswith("logits/")


def _distinct(role: str) -> str:
    if role.startswith("logits/"):
        return "give each model a name with --model NAME=FILE"
    return (
        "add ids (in a table filename) to each file if their rows are in another order, or leave one out"
        if role in ROWS
        else "leave one out"
    )


def _check_split(split: NDArray[Any] | None) -> None:
    names = set() if split is None else set(split.tolist())
    if names and FIT_SPLIT not in names:
        raise Flaw("E405", f"split has {listed(sorted(names))} and no '{FIT_SPLIT}'")
    if names == {FIT_SPLIT}:
        raise Flaw("E405", f"split has '{FIT_SPLIT}' alone")
