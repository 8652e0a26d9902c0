"""What the arrays of a file are: as a person says, as their names say, else as they look, where that leaves one reading."""

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duo_core.common.arrays import InputError
from duo_core.formats.fd_shifts import fd_shifts
from duo_core.formats.limits import Limits
from duo_core.formats.problems import Flaw, Report, listed, shown
from duo_core.formats.uploads import Member, Upload

ALIASES = {
    "target": "labels",
    "filename": "ids",
    "base_logits": "logits/base",
    "sidekick_logits": "logits/sidekick",
}
OF_MODEL = re.compile(r"(logits|flops|parameters)[/.](.+)", re.DOTALL)
LONGEST = 120
"""Characters of a member's name."""
ROWS = ("labels", "ids", "split")

TRUTH = re.compile(
    r"(the_)?(true|truth|ground_?truth|gt|gold)(_?(label|class|target|id|idx|index|y))?s?|y(_?(true|test|val|gt))?", re.I
)
TRUE_LABELS = re.compile(r"(\w+_)?(labels?|targets?)|(label|target|class)(_?(id|idx|index|ids|true|gt))?|classes", re.I)
"""Names under which people keep true classes."""
NOT_TRUE = re.compile(
    r"pred|argmax|top_?k|rank|correct|hit|ind(ex|ices)|(^|_)idx|(^|_)i?ds?(_|$)|fold|split|part|domain|group|env|source|seed|epoch|step|"
    r"batch|count|num|width|height|size|length|year|month|day|frame|worker|version|^unnamed|^__",
    re.I,
)
"""Names of whole numbers that are no true classes; what names them as such goes before."""
MOST = 10_000_000
"""Values of an array that is looked through for classes."""
FEATURES = re.compile(r"feat|embed|hidden|latent|repr", re.I)
PROBABILITIES = re.compile(r"prob|softmax|(^|_)p(_|$)|score|conf", re.I)
AFFIX = re.compile(r"^(logits?|probs?|probabilit(y|ies)|scores?)[_./ -]+|[_./ -]+(logits?|probs?|probabilit(y|ies)|scores?)$", re.I)


def role_of(name: str) -> str:
    """The role that a name says, or the name as it is.

    >>> role_of("target"), role_of("logits.resnet18"), role_of("arr_0")
    ('labels', 'logits/resnet18', 'arr_0')
    """
    name = ALIASES.get(name, name)
    part = OF_MODEL.fullmatch(name)
    return f"{part[1]}/{part[2]}" if part else name


def is_role(name: str) -> bool:
    """Whether a name is that of a role."""
    of_model = OF_MODEL.fullmatch(name)
    return name in (*ROWS, "class_names") or (bool(of_model) and name.isprintable() and len(name) <= LONGEST)


def role_alone(name: str, shape: Sequence[int], dtype: np.dtype[Any]) -> str:
    """The role of the only array of a file that has no name for it, but that of the file.

    >>> role_alone("resnet18", (9, 3), np.dtype("f4")), role_alone("y", (9,), np.dtype("i8"))
    ('logits/resnet18', 'labels')
    """
    if is_role(role := role_of(name)):
        return role
    if dtype.kind == "f" and len(shape) == 2 and not is_truth(name):
        return f"logits/{name}"
    classes = is_truth(name) or (dtype.kind in "iu" and not NOT_TRUE.search(name))
    return "labels" if classes and dtype.kind != "U" else name


def addressed(files: Sequence[Upload], names: Sequence[tuple[str, str]]) -> list[Upload]:
    """Return the files with what `names` says of each: a role, and `ARRAY`, of any file that has it, or `FILE:ARRAY`.

    >>> files = [Upload("a.npz", b""), Upload("b.npz", b"")]
    >>> [dict(file.names) for file in addressed(files, [("labels", "y"), ("logits/a", "b.npz:arr_0")])]
    [{'y': 'labels'}, {'y': 'labels', 'arr_0': 'logits/a'}]

    Raises
    ------
    InputError
        Where a role is unknown, or one array is to be two things.
    """
    for role, _ in names:
        if not is_role(role_of(role)):
            known = "logits/MODEL, labels, ids, split, class_names, flops/MODEL or parameters/MODEL"
            raise InputError(f"expected {known} as what an array is, got '{shown(role)}'; give --name ROLE=ARRAY")
    places = {where for file in files for where in (file.path, file.name) if where}
    return [replace(file, names={**file.names, **_said_of(file, names, places)}) for file in files]


def _said_of(file: Upload, names: Sequence[tuple[str, str]], places: Collection[str]) -> dict[str, str]:
    """The roles of a file's arrays by their names."""
    said: dict[str, str] = {}
    for role, target in names:
        where = max((place for place in places if target.startswith(f"{place}:")), key=len, default=None)
        if where not in (None, file.path, file.name):
            continue
        array = target.removeprefix(f"{where}:") if where else target
        if array in said:
            raise InputError(f"expected one role for '{shown(array)}', got {said[array]} and {role_of(role)}; leave one out")
        said[array] = role_of(role)
    return said


def check_found(names: Sequence[tuple[str, str]], members: Mapping[str, Sequence[Member]]) -> None:
    """Raise InputError for an array that was named and is in none of the files, given by name with their members."""
    found = {(member.name, member.given) for file in members.values() for member in file}
    for role, target in names:
        if not any(name == role_of(role) and (target == given or target.endswith(f":{given}")) for name, given in found):
            there = "; ".join(f"{shown(file)} has {listed([m.given for m in own], 12)}" for file, own in members.items())
            raise InputError(f"expected an array '{shown(target, 120)}' for --name {shown(role)}, got none; {there}")


def named(upload: Upload, members: Sequence[Member], limits: Limits, report: Report, lenient: bool = False) -> list[Member]:
    """Return a file's members under their roles.

    What a person says goes before what a name says, and that before what an array looks like: arrays (N, K) of floats alike are
    logits where no others are named so, one array of whole numbers is the labels. What is taken so is noted. Then, or where a
    person has said something, or a caller is `lenient`, arrays without a role are left out; else they stay, to be refused.
    """
    said = {member.given: upload.names[member.given] for member in members if member.given in upload.names}
    members = list(members) if said else fd_shifts(upload, members, limits, report)
    told = [_told(member, said) for member in members]
    if report.has({"E203", "E204"}, upload.label):
        return told
    guessed = _guessed(upload, told)
    read = [replace(member, name=guessed.get(place, member.name)) for place, member in enumerate(told)]
    if guessed:
        lines = [f"'{shown(told[place].given)}' {told[place].shape} is read as {shown(role)}" for place, role in guessed.items()]
        report.add(upload.label, "W09", ", ".join(lines[:8]))
    if not any(is_role(member.name) and not member.name.startswith(("flops", "param")) for member in read):
        return read
    left = [member for member in read if not (is_role(member.name) or member.offered)]
    if left and (guessed or said or lenient):
        if not lenient:
            report.add(upload.label, "W09", f"{listed([member.label for member in left])} left out, since nothing says what it is")
        read = [member for member in read if member not in left]
    return read


def _told(member: Member, names: Mapping[str, str]) -> Member:
    """A member under the role that a person gives it, or its own name says; an array that a person renames is not what it was."""
    known = replace(member, shown=member.label, array=member.given)
    if member.given in names:
        return replace(known, name=names[member.given])
    role = role_of(member.name)
    return replace(known, name=f"other {member.name}" if role in names.values() else role)


def _guessed(upload: Upload, members: Sequence[Member]) -> dict[int, str]:
    """Roles of members, by their places, that their looks alone leave no doubt of."""
    named = {member.name for member in members}
    logits = [member for member in members if member.name.startswith("logits/")]
    wide = {} if logits else _wide(upload, members)
    k = {members[place].shape[1] for place in wide} or {member.shape[1] for member in logits if len(member.shape) == 2}
    n = {members[place].shape[0] for place in wide} or {member.shape[0] for member in logits if member.shape}
    found = {} if "labels" in named or max(len(k), len(n)) > 1 else _labels(members, next(iter(n), None), next(iter(k), None))
    return {**wide, **found}


def _wide(upload: Upload, members: Sequence[Member]) -> dict[int, str]:
    """The arrays that can be logits, if all of them can be those of models of the same images and classes."""
    free = {member.given: place for place, member in enumerate(members) if _is_free(member) and _is_wide(member)}
    models = models_alike(upload.stem, {given: members[place].shape for given, place in free.items()})
    return {free[given]: f"logits/{model}" for given, model in models.items()}


def models_alike(stem: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Names of models for arrays of floats, given with their shapes, that can all be logits of the same images; else none.

    A single one is called as its file is. What is named as features is left out; probabilities beside logits are likely those of
    the same models, so that somebody has to say.

    >>> models_alike("net", {"predictions": (9, 3), "features": (9, 512)})
    {'predictions': 'net'}
    >>> models_alike("both", {"vit_logits": (9, 3), "resnet_logits": (9, 3)})
    {'vit_logits': 'vit', 'resnet_logits': 'resnet'}
    >>> models_alike("net", {"logits": (9, 3), "probs": (9, 3)}), models_alike("net", {"val": (5, 3), "test": (9, 3)})
    ({}, {})
    """
    names = [name for name in shapes if not FEATURES.search(name)] or list(shapes)
    mixed = {bool(PROBABILITIES.search(name)) for name in names}
    if len({shapes[name] for name in names}) != 1 or len(mixed) != 1:
        return {}
    if len(names) == 1:
        return {names[0]: stem}
    bare = [AFFIX.sub("", name).strip("_.-/ ") or name for name in names]
    return dict(zip(names, bare if len(set(bare)) == len(bare) else names, strict=True))


def _is_free(member: Member) -> bool:
    """Whether nothing has said what an array is; columns of a table have been looked through when it was opened."""
    return not (is_role(member.name) or member.offered)


def _is_wide(member: Member) -> bool:
    """Whether an array may be logits: one or more rows of at least two floats, and no true classes one-hot."""
    one = member.dtype.kind == "f" and len(member.shape) == 2 and member.shape[0] > 0 and member.shape[1] > 1
    return one and not is_truth(member.given)


def is_truth(name: str) -> bool:
    """Whether people call true classes so.

    >>> [name for name in ("targets", "y_true", "ground_truth", "test_labels", "index", "predictions") if is_truth(name)]
    ['targets', 'y_true', 'ground_truth', 'test_labels']
    """
    return bool(TRUTH.fullmatch(name) or TRUE_LABELS.fullmatch(name)) and not name.lower().startswith("pred")


def _labels(members: Sequence[Member], n: int | None, k: int | None) -> dict[int, str]:
    """The array of true classes: the only one that is called so, else the only one that can be."""
    free = {
        place: member
        for place, member in enumerate(members)
        if _is_free(member) and member.shape and not member.is_text and member.shape[:1] == (n or member.shape[0],)
    }
    truth = [place for place, member in free.items() if is_truth(member.given) and not _is_wide(member)]
    if len(truth) != 1:
        alike = truth or [place for place, member in free.items() if not NOT_TRUE.search(member.given)]
        truth = [place for place in alike if _may_be_classes(free[place], k)]
    return {truth[0]: "labels"} if len(truth) == 1 else {}


def _may_be_classes(member: Member, k: int | None) -> bool:
    """Whether an array may hold true classes; one that cannot be read is left to whoever reads it."""
    if len(member.shape) != 1 or member.size > MOST:
        return False
    with contextlib.suppress(Flaw):
        return are_classes(member.read(), k)
    return False


def are_classes(values: NDArray[Any], k: int | None) -> bool:
    """Whether whole numbers (n,), not all the same, can be classes 0..k-1 or 1..k, where k is known.

    >>> are_classes(np.array([0, 2, 1]), 3), are_classes(np.array([0, 1, 2, 3]), 3), are_classes(np.array([7, 7]), None)
    (True, False, False)
    """
    if values.dtype.kind not in "iu" or not values.size:
        return False
    low, high = int(values.min()), int(values.max())
    return low in (0, 1) and low < high and (k is None or high - low < k)
