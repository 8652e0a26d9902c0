"""What one file contributes: its members sorted by role and checked, its logits not yet read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from duo_core.common.arrays import Integers
from duo_core.formats.limits import SPLITS, Limits
from duo_core.formats.naming import ROWS, is_role
from duo_core.formats.problems import UNREAD_LOGITS, Flaw, Report, listed, shown
from duo_core.formats.uploads import Member
from duo_core.logits import FIT_SPLIT


class Cost(NamedTuple):
    """What is known of a model's cost; None where unknown."""

    multiply_adds: int | None = None
    parameters: int | None = None


@dataclass
class Part:
    """One file's members by role; None where it has no such member."""

    file: str
    n: int = 0
    """Rows; 0 where no member says so."""
    models: dict[str, Member] = field(default_factory=dict)
    labels: Integers | None = None
    has_labels: bool = False
    """Whether it has labels at all, wrong ones too."""
    labels_are_text: bool = False
    """Whether its only labels are names in a column `label`, which timm writes for predicted classes."""
    split: NDArray[Any] | None = None
    """Names of splits, (n,)."""
    ids: list[str] | None = None
    classes: tuple[str, ...] | None = None
    costs: dict[str, Cost] = field(default_factory=dict)


def part_of(file: str, members: Sequence[Member], limits: Limits, report: Report) -> Part:
    """Check a file's members, which stand under their roles; all that is wrong is reported, too much in all is raised."""
    part = Part(file)
    by_name = _by_name(file, members, report)
    for name, member in by_name.items():
        if name.startswith("logits/"):
            with report.at(f"{file}, {member.label}"):
                _check_logits(member, limits)
                part.models[name.removeprefix("logits/")] = member
    limits.check_decoded(sum(member.size * member.dtype.itemsize for member in part.models.values()))
    part.n = _rows(part, [by_name[name] for name in ROWS if name in by_name], report)
    for name, member in by_name.items():
        with report.at(f"{file}, {member.label}"):
            _fill(part, name, member, limits)
    return part


def _by_name(file: str, members: Sequence[Member], report: Report) -> dict[str, Member]:
    """Members by their role; unknown and repeated ones are reported, unless the file has nothing that is known."""
    known = {member.name: member for member in members if is_role(member.name)}
    if not any(name.startswith("logits/") or name == "labels" for name in known):
        if not report.has(UNREAD_LOGITS, file):
            there = [_described(member) for member in members]
            report.add(file, "E201", f"the file has {', '.join(there[:6])}" if there else "the file has no array that can be read")
        return {}
    named = [member for member in members if not member.offered]
    unknown = [member.label for member in named if member.name not in known]
    if unknown:
        report.add(file, "E103", f"{listed(unknown)} {'is' if len(unknown) == 1 else 'are'} not known")
    for name, times in Counter(member.name for member in named).items():
        if times > 1 and name in known:
            mend = "leave all but one out"
            report.add(f"{file}, {shown(name)}", "E103", f"'{shown(name)}' is there {times} times, under several names", mend=mend)
    return known


def _described(member: Member) -> str:
    return f"'{shown(member.given)}' {dtype_name(member)} {member.shape}"


def _check_logits(member: Member, limits: Limits) -> None:
    if len(member.shape) != 2:
        raise Flaw("E205", f"logits have the shape {member.shape}", need="one row an image and one column a class, (N, K)")
    if member.dtype.kind != "f":
        raise Flaw("E206", f"logits have the dtype {dtype_name(member)}", need="float16, float32 or float64", dtype="float32")
    limits.check_logits(member.shape)
    if not member.shape[0]:
        raise Flaw("E205", f"logits have the shape {member.shape}", need="at least one row", mend="save the rows too")
    if member.shape[1] < 2:
        raise Flaw("E207", f"logits have the shape {member.shape}")


def dtype_name(member: Member) -> str:
    """The dtype as a message shows it."""
    return "text" if member.is_text else str(member.dtype.newbyteorder("="))


def _rows(part: Part, others: Sequence[Member], report: Report) -> int:
    """The file's number of rows: that of its first logits, else of what else it has; differing ones are reported."""
    counts = {member.label: member.shape[0] for member in (*part.models.values(), *others) if member.shape}
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{shown(name)} {n:,}" for name, n in list(counts.items())[:8])
        report.add(part.file, "E303", f"the arrays have different numbers of rows: {text}")
        return 0
    return next(iter(counts.values()), 0)


def _fill(part: Part, name: str, member: Member, limits: Limits) -> None:
    """Read one member that is no logits into its part."""
    if name in ROWS and member.shape:
        limits.check_rows(member.shape[0])
    if name == "labels":
        part.labels_are_text = member.is_text and member.label == "column 'label'"
        part.has_labels = not part.labels_are_text
        part.labels = _labels(member) if part.has_labels else None
    elif name == "ids":
        part.ids = _names(member, "one text an image, shape (N,)")
    elif name == "split":
        part.split = _split(member)
    elif name == "class_names":
        part.classes = _class_names(part, member, limits)
    elif not name.startswith("logits/"):
        kind, model = name.split("/", 1)
        if model not in part.models:
            raise Flaw("E103", f"there are no logits of '{shown(model)}'", mend=f"name it as one of {listed(list(part.models))}")
        known = part.costs.get(model, Cost())
        part.costs[model] = known._replace(**{"multiply_adds" if kind == "flops" else "parameters": _count(member)})


def _labels(member: Member) -> Integers:
    if len(member.shape) != 1:
        one_hot = len(member.shape) == 2 and member.shape[1] > 1
        raise Flaw("E304", f"labels have the shape {member.shape}", mend=f"save labels.{'argmax(1)' if one_hot else 'reshape(-1)'}")
    if member.dtype.kind not in "iu":
        mend = "save [class_names.index(label) for label in labels]" if member.is_text else "save labels.astype('int64')"
        raise Flaw("E304", f"labels have the dtype {dtype_name(member)}", mend=mend)
    values = member.read()
    largest = np.iinfo(np.int64).max
    # What only uint64 can hold stays too large to be a class.
    return (np.minimum(values, np.uint64(largest)) if values.dtype == np.uint64 else values).astype(np.int64)


def _names(member: Member, need: str) -> list[str]:
    if len(member.shape) != 1:
        raise Flaw("E205", f"it has the shape {member.shape}", need=need)
    if not (member.is_text or member.dtype.kind in "iu"):
        raise Flaw("E206", f"it has the dtype {dtype_name(member)}", need="text or integers", dtype="str")
    return _texts(member)


def _texts(member: Member) -> list[str]:
    """The values as text that can be written anywhere, which halves of surrogate pairs cannot."""
    values = [str(value) for value in member.read().tolist()]
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        raise Flaw("E206", "it holds text that is no Unicode", need="text or integers", dtype="str") from None
    return values


def _class_names(part: Part, member: Member, limits: Limits) -> tuple[str, ...]:
    k = next((logits.shape[1] for logits in part.models.values()), None)
    if (len(member.shape) == 1 and member.shape[0] not in (k, None)) or member.size > limits.classes:
        raise Flaw("E205", f"there are {member.size:,} names", need=f"one name for each of the {k} classes", mend="save them all")
    return tuple(_names(member, "one text a class, shape (K,)"))


def _split(member: Member) -> NDArray[Any]:
    """Names of splits, (n,): 0 is `val`, 1 is `test`, 2 and up are `test2`, `test3`, ..."""
    if len(member.shape) != 1 or not (member.is_text or member.dtype.kind in "iu"):
        raise Flaw("E405", f"split has the shape {member.shape} and the dtype {dtype_name(member)}")
    rows = _texts(member) if member.is_text else member.read().tolist()
    values = sorted(set(rows))
    if len(values) > SPLITS:
        raise Flaw("E405", f"split has {len(values):,} different values")
    odd = [str(value) for value in values if not _is_split(value)]
    if odd:
        raise Flaw("E405", f"split has {listed(odd)}")
    numbers = {0: FIT_SPLIT, 1: "test"}
    names = {value: value if isinstance(value, str) else numbers.get(value, f"test{value}") for value in values}
    return np.array([names[value] for value in rows], dtype=object)


def _is_split(value: Any) -> bool:
    return 0 < len(value) <= 60 and value.isprintable() if isinstance(value, str) else value >= 0


def _count(member: Member) -> int:
    value = member.read().reshape(-1)[0] if member.size == 1 and member.dtype.kind in "iuf" else None
    if value is None or not np.isfinite(value) or value <= 0:
        raise Flaw("E206", f"it is {'no single number' if value is None else value}", need="one number above 0", dtype="int64")
    return int(value)
