"""Which folder is which class: the folders that are classes, the orders in which they can be numbered, and class maps."""

import json
import re
import shlex
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from duo_core.common.arrays import InputError
from duo_core.images.names import few, natural, shown

Parts = tuple[str, ...]

ORDERS = {
    "natural": "the class index is the folder's place in natural order (img2 before img10, case ignored), as timm has it",
    "text": "the class index is the folder's place in the order of its characters (img10 before img2), as torchvision has it",
    "numeric": "the class index is the folder's name, a number",
    "map": "the class index is the one that the class map gives",
    "dataset": "the class index is the dataset's own",
}
CLASS_FOLDERS = ("leaf", "top", "path")
SAID = {
    "natural": "in natural order",
    "text": "in text order, as torchvision's ImageFolder has it",
    "numeric": "by their folders' names",
}
SPLITS = re.compile(r"(train|val|valid|dev|test|eval)(ing|idation|uation)?([-_ ]?(set|data|images?|split))?", re.IGNORECASE)
DIGITS = 9
"""Longer numbers are no class indices."""


@dataclass(frozen=True)
class Numbering:
    """How names of classes became indices."""

    order: str
    """A key of `ORDERS`."""
    index: Mapping[str, int]
    classes: tuple[str, ...] | None
    """By index; None where they are not all known."""
    others: Mapping[str, Mapping[int, int]]
    """Other orders in which these folders might be meant: from an index to that order's."""

    def said(self) -> str:
        """Say which order is used, where another one would give another index; else nothing."""
        if self.order not in SAID or set(self.index.values()) != set(range(len(self.index))):
            return ""
        names = {index: name for name, index in self.index.items()}
        other = [
            f"--class-index {order} gives {_begin({names[own]: index for own, index in places.items()})}"
            for order, places in self.others.items()
        ]
        return f"classes are numbered {SAID[self.order]}: {_begin(self.index)}; {'; '.join(other)}" if other else ""


def _begin(index: Mapping[str, int]) -> str:
    return few(f"{place}={shown(name)}" for name, place in sorted(index.items(), key=lambda item: item[1]))


def class_names(text: str, folders: Iterable[Parts], how: str = "leaf") -> dict[Parts, str]:
    """Return the class that each folder of images belongs to.

    Parameters
    ----------
    text
        What the user called the source.
    folders
        Paths of the folders that hold images, below the root.
    how
        `leaf`: a class is the innermost folder, as timm has it; `top`: the outermost in which the paths differ, as
        torchvision has it; `path`: each folder, by its path.

    Raises
    ------
    InputError
        Where the folders are those of several splits, or two branches have folders of one name.
    """
    paths = sorted(folders)
    shared = _shared(paths)
    _refuse_splits(text, paths, shared)
    if how == "leaf":
        _refuse_repeated(text, paths)
    return {path: {"leaf": path[-1], "top": path[shared], "path": "/".join(path[shared:])}[how] for path in paths}


def nested(names: Mapping[Parts, str]) -> str:
    """Say that torchvision would take other folders as classes, where it would; else nothing."""
    tops = {path[_shared(sorted(names))] for path in names}
    if tops == set(names.values()):
        return ""
    innermost, outermost = (few(map(shown, sorted(found))) for found in (set(names.values()), tops))
    return f"classes are the innermost folders ({innermost}); --class-folder top takes the outermost ({outermost})"


def _shared(paths: list[Parts]) -> int:
    """How many folders lie around all of the classes."""
    first, last = paths[0], paths[-1]
    most = min(map(len, paths)) - 1
    return next((depth for depth in range(most) if first[depth] != last[depth]), most)


def _refuse_splits(text: str, paths: list[Parts], shared: int) -> None:
    """Refuse a folder above folders that are called as splits are and hold classes of their own."""
    tops = sorted({path[shared] for path in paths if SPLITS.fullmatch(path[shared])})
    if len(tops) < 2 or not any(len(path) > shared + 1 for path in paths if path[shared] in tops):
        return
    branches = {"/".join(map(shown, (*paths[0][:shared], top))): _split(top) for top in reversed(tops)}
    meant = {split: branch for branch, split in branches.items() if split != "train"}
    listed = " and ".join(f"'{shown(top)}'" for top in tops)
    inner = [{path[shared + 1 :] for path in paths if path[shared] == top} for top in tops]
    classes = "the same classes" if all(one == inner[0] for one in inner) else "classes of its own"
    raise InputError(f"'{text}' has the folders {listed}, each with {classes}; {_alone(text, meant)}")


def _split(name: str) -> str:
    """Return the split that a folder's name says: train, val or test."""
    word = name.lower()
    return "train" if word.startswith("tr") else "test" if word.startswith(("te", "e")) else "val"


def _alone(text: str, branches: Mapping[str, str]) -> str:
    """Advise to name one branch, or the one to fit on and the one to judge on."""
    if not Path(text).is_dir():
        return f"name one: make a tar of '{next(iter(branches.values()))}' alone, or unpack it"
    given = branches if "test" in branches else {"test": next(iter(branches.values()))}
    sources = (shlex.quote(f"{split}={text.rstrip('/')}/{branch}") for split, branch in sorted(given.items(), reverse=True))
    return f"name {'each' if len(given) > 1 else 'one'}: --images {' '.join(sources)}"


def _refuse_repeated(text: str, paths: list[Parts]) -> None:
    """Refuse folders of one name in several places: one class, or several, or several splits."""
    places = defaultdict(list)
    for path in paths:
        places[path[-1]].append(path)
    name, where = max(places.items(), key=lambda item: len(item[1]))
    if len(where) == 1:
        return
    several = {"test": "/".join(map(shown, where[0][:-1]))} if all(len(path) > 1 for path in where) else {}
    listed = few("'" + "/".join(map(shown, path)) + "'" for path in where)
    raise InputError(
        f"'{text}' has {len(where)} folders '{shown(name)}' ({listed}); {_alone(text, several) + ', or ' if several else ''}"
        "say what a class is: --class-folder path (each folder), or top (the outermost, as torchvision's ImageFolder has it)"
    )


def numbered(text: str, names: Iterable[str], how: str = "auto") -> Numbering:
    """Number classes.

    Parameters
    ----------
    text
        What the user called the source.
    names
        Names of the classes, as the system spells them.
    how
        `natural` (also `folders`), `text`, `numeric`, the file of a class map, or `auto`: `numeric` where every name is a
        number and no two are the same one, else `natural`.

    Raises
    ------
    InputError
        Where names are no numbers or lack in the map.
    """
    known = _orders(set(names))
    if how == "auto":
        how = "numeric" if "numeric" in known else "natural"
    how = {"folders": "natural"}.get(how, how)
    if how == "numeric" and "numeric" not in known:
        raise InputError(f"expected folders of '{text}' named by the class index, got {_odd(known['text'])}; number them natural")
    if how in known:
        index = known[how]
        classes = None if how == "numeric" else tuple(map(shown, index))
    else:
        index, classes = _mapped(text, known["natural"], how)
    others = {order: {index[name]: place for name, place in places.items()} for order, places in known.items() if places != index}
    return Numbering(how if how in known else "map", index, classes, others)


def _orders(names: set[str]) -> dict[str, dict[str, int]]:
    """Every order that these names can have; ties of the natural order are broken by the name itself."""
    numbers = {name: int(name) for name in names if name.isascii() and name.isdecimal() and len(name) <= DIGITS}
    whole = len(numbers) == len(names) == len(set(numbers.values()))
    return {
        "natural": {name: place for place, name in enumerate(sorted(names, key=lambda name: (natural(name), name)))},
        "text": {name: place for place, name in enumerate(sorted(names))},
        **({"numeric": numbers} if whole else {}),
    }


def _odd(names: Iterable[str]) -> str:
    """Say which names are no class index of their own."""
    seen: dict[int, str] = {}
    for name in names:
        if not (name.isascii() and name.isdecimal() and len(name) <= DIGITS):
            return f"'{shown(name)}'"
        if int(name) in seen:
            return f"'{seen[int(name)]}' and '{name}' for one"
        seen[int(name)] = name
    return "none"


def _mapped(text: str, names: Iterable[str], file: str) -> tuple[dict[str, int], tuple[str, ...] | None]:
    known = class_map(file)
    plain = {unicodedata.normalize("NFC", name): index for name, index in known.items()}  # as macOS does not write them
    found = {name: plain.get(unicodedata.normalize("NFC", shown(name))) for name in names}
    lacking = [f"'{shown(name)}'" for name, index in found.items() if index is None]
    if lacking:
        many = f" ({len(lacking)} of {len(found)})" if len(lacking) > 1 else ""
        raise InputError(
            f"expected the classes of '{text}' in the class map '{file}', which lacks {few(lacking)}{many}; it has {few(known)}"
        )
    by_index = {index: name for name, index in reversed(known.items())}
    whole = set(by_index) == set(range(len(by_index)))
    index = {name: place for name, place in found.items() if place is not None}
    return index, tuple(by_index[i] for i in range(len(by_index))) if whole else None


def class_map(file: str) -> dict[str, int]:
    """Read class name -> index: one name a line, a JSON list of names, or a JSON object of name -> index or index -> name."""
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
        content = json.loads(text) if file.endswith(".json") else [line.strip() for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"expected auto, natural, text, numeric or a class map (.txt, .json) that can be read, got '{file}' ({error})"
        ) from None
    pairs = _pairs(content)
    known = dict(pairs)
    if not known or not all(type(index) is int and 0 <= index < 10**DIGITS for index in known.values()):
        raise InputError(f"expected a class map of names, or of name -> index from 0, in '{file}'")
    if len(known) < len(pairs):
        twice = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise InputError(f"expected each class once in the class map '{file}', got '{twice}' again; leave all but one out")
    return known


def _pairs(content: object) -> list[tuple[str, int]]:
    """Return name and index of each entry; what is none of the forms of a class map gives an index that is refused."""
    if isinstance(content, list):
        return [(str(name), index) for index, name in enumerate(content)]
    if not isinstance(content, dict):
        return []
    if content and all(key.isascii() and key.isdecimal() and isinstance(name, str) for key, name in content.items()):
        return [(name, int(key)) for key, name in content.items()]
    return list(content.items())
