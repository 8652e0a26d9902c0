"""Folders of known data sets as their makers ship them: images, labels and classes of one part, or what was expected where."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.images.draws import drawn
from duo_core.images.listing import Found
from duo_core.images.names import extension, extensions, few, hidden, natural, shown

CALTECH_CLASSES = 257
"""With the class of clutter."""
FIT_SHARE = 0.05
"""Of ImageNet's validation images, to fit temperatures on (paper, Sec. 4)."""
WILDS_SPLITS = {"train": "train", "val": "id_val", "test": "id_test", "ood": "test"}


@dataclass(frozen=True)
class Pool:
    """Images of one part of a data set."""

    images: Sequence[Found]
    labels: Tensor
    """int64 (n,)."""
    classes: tuple[str, ...]
    how: str
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """A name for each image, unique in the data set."""
        return tuple(found.identity for found in self.images)


def imagenet(root: Path, part: str, options: Mapping[str, str]) -> Pool:
    """ILSVRC 2012: FOLDER/train/n01440764/*.JPEG and FOLDER/val/n01440764/*.JPEG; classes by their WordNet ids."""
    where = root / ("train" if part == "train" else "val")
    folders = _folders(where, f"ImageNet's {where.name} images as FOLDER/{where.name}/n01440764/*.JPEG, a folder a class")
    known = {name: place for place, name in enumerate(_wnids())}
    if odd := [folder.name for folder in folders if folder.name not in known]:
        raise InputError(
            f"expected folders named by ImageNet's 1,000 WordNet ids (n01440764, ...) in '{shown(str(where))}', got "
            f"'{shown(odd[0])}'; sort the images into such folders"
        )
    images = _images(folders)
    labels = [known[found.folder[-1]] for found in images]
    notes = _absent(len(known) - len(folders), "folders of the 1,000 classes", where)
    if part == "train":
        return Pool(images, torch.tensor(labels), _wnids(), f"all {len(images):,} training images there", notes)
    taken, left = drawn(labels, [found.identity for found in images], FIT_SHARE, seed := int(options["seed"]))
    chosen = taken if part == "val" else left
    how = f"{len(chosen):,} of the {len(images):,} validation images, "
    how += f"{'5 %, drawn' if part == 'val' else 'what is left of a draw of 5 %'} stratified by class with seed {seed}"
    return _pick(Pool(images, torch.tensor(labels), _wnids(), how, notes), chosen)


def imagenetv2(root: Path, _: str, __: Mapping[str, str]) -> Pool:
    """ImageNetV2: folders 0 to 999, named by the class index, in FOLDER or in one folder imagenetv2-... of it."""
    variants = sorted(path for path in _subfolders(root) if path.name.startswith("imagenetv2"))
    if len(variants) > 1:
        raise InputError(
            f"expected one variant of ImageNetV2, got {few(path.name for path in variants)} in '{shown(str(root))}'; name one"
        )
    where = variants[0] if variants else root
    folders = _folders(where, "ImageNetV2 as FOLDER/0/*.jpeg to FOLDER/999/*.jpeg, folders named by the class index")
    if odd := [folder.name for folder in folders if folder.name not in set(map(str, range(1000)))]:
        raise InputError(
            f"expected folders 0 to 999 in '{shown(str(where))}', got '{shown(odd[0])}'; name the folder that has them"
        )
    images = _images(folders)
    labels = torch.tensor([int(found.folder[-1]) for found in images])
    how = f"all {len(images):,} images of {shown(where.name)}, their folders being class indices"
    return Pool(images, labels, _wnids(), how, _absent(1000 - len(folders), "folders of the 1,000 classes", where))


def caltech256(root: Path, part: str, options: Mapping[str, str]) -> Pool:
    """Caltech-256: 256_ObjectCategories/001.ak47/001_0001.jpg to 257.clutter, divided 70 / 15 / 15 by a seed."""
    inner = root / "256_ObjectCategories"
    where = inner if inner.is_dir() else root
    folders = _folders(where, "Caltech-256 as FOLDER/256_ObjectCategories/001.ak47/001_0001.jpg to 257.clutter")
    if odd := [folder.name for folder in folders if not folder.name.partition(".")[0].isdecimal()]:
        raise InputError(
            f"expected folders 001.ak47 to 257.clutter in '{shown(str(where))}', got '{shown(odd[0])}'; name another folder"
        )
    notes = _absent(CALTECH_CLASSES - len(folders), f"of the {CALTECH_CLASSES} folders", where)
    clutter = [folder for folder in folders if folder.name.partition(".")[2] == "clutter"]
    out = options["clutter"] == "out"
    kept = [folder for folder in folders if not (out and folder in clutter)]
    images = _images(kept)
    classes = tuple(shown(folder.name) for folder in kept)
    index = {folder.name: place for place, folder in enumerate(kept)}
    labels = [index[found.folder[-1]] for found in images]
    chosen = _parted(labels, [found.identity for found in images], seed := int(options["seed"]))[part]
    said = "without clutter" if out else "clutter a class of its own" if clutter else "no clutter there"
    share = "70 %" if part == "train" else "15 %"
    how = f"{share}, {len(chosen):,} of {len(images):,} images ({said}), drawn stratified by class with seed {seed}"
    return _pick(Pool(images, torch.tensor(labels), classes, how, notes), chosen)


def _parted(labels: Sequence[int], ids: Sequence[str], seed: int) -> dict[str, list[int]]:
    """Rows of 70 / 15 / 15 percent: those that are not trained on are drawn first, then halved."""
    held, train = drawn(labels, ids, 0.3, seed)
    first, second = drawn([labels[row] for row in held], [ids[row] for row in held], 0.5, seed)
    return {"train": train, "val": [held[place] for place in first], "test": [held[place] for place in second]}


def iwildcam(root: Path, part: str, _: Mapping[str, str]) -> Pool:
    """iWildCam as WILDS has it: metadata.csv with the columns filename, y and split, and the images in train/."""
    where = root if (root / "metadata.csv").is_file() else next(iter(sorted(root.glob("iwildcam_v*"))), root)
    rows = _table(where / "metadata.csv", ("filename", "y", "split"), "iWildCam's list of images")
    split = WILDS_SPLITS[part]
    own = [row for row in rows if row["split"] == split]
    if not own:
        raise InputError(
            f"expected images of the split '{split}' in '{shown(str(where / 'metadata.csv'))}', got those of "
            f"{few(sorted({row['split'] for row in rows})) or 'none'}; take the file as WILDS ships it"
        )
    there = _names(where / "train")
    if missing := [row["filename"] for row in own if row["filename"] not in there]:
        raise InputError(
            f"expected the {len(own):,} images of '{split}' in '{shown(str(where / 'train'))}', {len(missing):,} are missing, such "
            f"as '{shown(missing[0])}'; unpack the archive again"
        )
    classes = _species(where, {_index(row["y"], where) for row in rows})
    images = [Found(shown(row["filename"]), ("train",), str(where / "train" / row["filename"])) for row in own]
    labels = torch.tensor([_index(row["y"], where) for row in own])
    return Pool(images, labels, classes, f"all {len(own):,} images that metadata.csv has as {split}")


def _species(where: Path, indices: set[int]) -> tuple[str, ...]:
    """Names of the classes by categories.csv, where it is there; else their numbers."""
    names = {str(index): f"class {index}" for index in range(max(indices) + 1)}
    if (where / "categories.csv").is_file():
        rows = _table(where / "categories.csv", ("y", "name"), "the names of iWildCam's classes")
        names |= {row["y"]: shown(row["name"]) for row in rows if row["y"] in names}
    return tuple(names.values())


def _index(text: str, where: Path) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise InputError(f"expected class indices in the column y of '{shown(str(where / 'metadata.csv'))}', got '{shown(text)}'")
    return int(text)


def _table(file: Path, columns: Sequence[str], what: str) -> list[dict[str, str]]:
    """Rows of a CSV file, its cells as text."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(csv.DictReader(opened))
    except (OSError, ValueError, csv.Error) as error:
        said = "no file there" if isinstance(error, FileNotFoundError) else str(error)
        raise InputError(f"expected {what} at '{shown(str(file))}', got {said}; name the folder that has it") from None
    lacking = [column for column in columns if not rows or rows[0].get(column) is None]
    if lacking or any(row[column] is None for row in rows for column in columns):
        lacked = ", ".join(lacking) or "a row cut off"
        raise InputError(
            f"expected the columns {', '.join(columns)} in '{shown(str(file))}', got none for {lacked}; take it as it ships"
        )
    return rows


def _names(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise InputError(
            f"expected iWildCam's images in the folder '{shown(str(folder))}', got none there; unpack the archive again"
        )
    return {entry.name for entry in folder.iterdir()}


@cache
def _wnids() -> tuple[str, ...]:
    """ImageNet's WordNet ids by class index."""
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo().label_names())


def _subfolders(root: Path) -> list[Path]:
    try:
        found = [path for path in root.iterdir() if path.is_dir() and not hidden(path.name)]
    except OSError:
        return []
    return sorted(found, key=lambda path: (natural(path.name), path.name))


def _folders(root: Path, expected: str) -> list[Path]:
    """The folders of a folder, in natural order, that hold images; InputError where there are none."""
    folders = [folder for folder in _subfolders(root) if any(_pictures(folder))]
    if not folders:
        raise InputError(f"expected {expected}, got no such folder in '{shown(str(root))}'; name the folder that has them")
    return folders


def _pictures(folder: Path) -> Iterable[Path]:
    return (path for path in folder.iterdir() if extension(path.name) in extensions() and not hidden(path.name))


def _images(folders: Sequence[Path]) -> list[Found]:
    """Images that lie in the folders themselves, in natural order."""
    found = [
        Found(shown(f"{folder.name}/{path.name}"), (folder.name,), str(path)) for folder in folders for path in _pictures(folder)
    ]
    return sorted(found, key=lambda one: (natural(one.identity), one.identity))


def _pick(pool: Pool, rows: Sequence[int]) -> Pool:
    images = [pool.images[row] for row in rows]
    return Pool(images, pool.labels[list(rows)], pool.classes, pool.how, pool.notes)


def _absent(count: int, what: str, where: Path) -> tuple[str, ...]:
    return (f"{count:,} {what} are missing in '{shown(str(where))}'",) if count > 0 else ()
