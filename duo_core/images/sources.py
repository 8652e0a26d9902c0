"""Image sources: any folder, tar or dataset that timm reads, with labels, ids and class names."""

import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import torch
from PIL import Image
from torch import Tensor

from duo_core.arrays import InputError

DATASET_OPTIONS = ("root", "split", "download", "input_key", "target_key")
ORDERS = {
    "folders": "the class index is the folder's place in natural order (img2 before img10, case ignored), as timm has it",
    "numeric": "the class index is the folder's name, a number",
    "map": "the class index is the one that the class map gives",
    "dataset": "the class index is the dataset's own",
}


class UnreadableImageError(InputError):
    """An image that cannot be decoded."""


@dataclass(frozen=True)
class Source:
    """Labelled images, decoded one at a time; may be sent to other processes.

    Parameters
    ----------
    text
        What the user called it.
    ids
        A name for each image, unique in the source: its path below the root, `/` between folders.
    labels
        Class index of each image, int64 (n,).
    classes
        Class names by index; None where they are not all known, as where folders are numbered with gaps.
    order
        How folders became indices, a key of `ORDERS`.
    dataset
        What timm made of it.
    """

    text: str
    ids: tuple[str, ...]
    labels: Tensor
    classes: tuple[str, ...] | None
    order: str
    dataset: Any

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, row: int) -> Image.Image:
        """Decode one image to RGB; raises UnreadableImageError, which names it."""
        try:
            return _opened(self.dataset, row).convert("RGB")
        except Exception as error:  # a broken file makes Pillow raise almost anything
            raise UnreadableImageError(
                f"the image '{self.ids[row]}' of '{self.text}' cannot be read ({error}); replace it or leave such images out"
            ) from None


def open_source(text: str, class_index: str = "auto") -> Source:
    """Find the images of a source and number their classes.

    Parameters
    ----------
    text
        A folder or a tar file with one folder a class, `torch/NAME?root=FOLDER[&split=...]` or `hfds/NAME?split=...`.
    class_index
        `folders`: by natural order of the folders' names; `numeric`: the name is the index; a path: a class map, one name a
        line (.txt) or a list of names or an object of name -> index (.json); `auto`: `numeric` where every name is a number.

    Raises
    ------
    InputError
        Where there is nothing, nothing readable, or no label.
    """
    prefix = text.partition("/")[0].lower()
    if prefix in ("torch", "hfds"):
        return _dataset(text, prefix)
    if prefix in ("hfids", "tfds", "wds"):
        raise InputError(f"expected images that can be read in any order, got the stream '{text}'; use a folder, a tar or hfds/")
    dataset = _files(text)
    names, places, ids = _listed(dataset.reader)
    outside = [ids[row] for row, place in enumerate(places) if names[place] in ("", ".")]
    if outside:
        raise InputError(f"expected one folder a class in '{text}', got {len(outside)} images in none, such as '{outside[0]}'")
    order, indices, classes = _numbered(text, names, class_index)
    labels = torch.tensor([indices[place] for place in places], dtype=torch.int64)
    return Source(text, _unique(text, ids), labels, classes, order, dataset)


def _files(text: str) -> Any:
    """Let timm list a folder or tar; it neither searches for sub-folders of a split nor writes its cache beside the tar."""
    from timm.data import create_dataset

    path = Path(text)
    if not path.exists():
        raise InputError(f"expected a folder or a .tar file of images, got '{text}', which does not exist")
    tar = path.is_file()
    if tar and path.suffix != ".tar":
        raise InputError(f"expected a folder or a .tar file of images, got the file '{text}'")
    try:
        if tar:
            return create_dataset("", root=text, cache_tarinfo=False)
        return create_dataset("", root=text, search_split=False)
    except tarfile.TarError as error:
        raise InputError(f"'{text}' cannot be read as a tar file ({error}); make or download it again") from None
    except PermissionError as error:
        raise InputError(f"'{text}' cannot be read ({error.strerror}: '{error.filename}'); allow reading it") from None
    except (RuntimeError, ValueError):  # what timm raises where it finds no image
        raise InputError(f"expected images (.png, .jpg, .jpeg) in '{text}', found none") from None


def _listed(reader: Any) -> tuple[list[str], list[int], list[str]]:
    """Names of the folders, the place of each image's folder among them, and the images' ids."""
    if _in_tar(reader):
        folders, places = reader.class_name_to_idx, [int(place) for place in reader.targets]
        ids = [_tar_id(*sample) for sample in reader.samples]
    else:
        folders, places = reader.class_to_idx, [place for _, place in reader.samples]
        ids = [os.path.relpath(file, reader.root).replace(os.sep, "/") for file, _ in reader.samples]
    return sorted(folders, key=folders.__getitem__), places, ids


def _numbered(text: str, names: Sequence[str], class_index: str) -> tuple[str, list[int], tuple[str, ...] | None]:
    """Return how the folders are numbered, the index of each, and the class names where they are known."""
    digits = [name for name in names if name.isascii() and name.isdecimal()]
    if class_index == "numeric" or (class_index == "auto" and len(digits) == len(names)):
        for name in set(names) - set(digits):
            raise InputError(f"expected folders of '{text}' named by the class index, got '{name}'; number classes by folders")
        return "numeric", [int(name) for name in names], None
    if class_index in ("auto", "folders"):
        return "folders", list(range(len(names))), tuple(names)
    known = class_map(class_index)
    for name in names:
        if name not in known:
            raise InputError(f"expected the classes of '{text}' in the class map '{class_index}', which lacks '{name}'")
    by_index = {index: name for name, index in reversed(known.items())}
    whole = set(by_index) == set(range(len(by_index)))
    return "map", [known[name] for name in names], tuple(by_index[i] for i in range(len(by_index))) if whole else None


def class_map(file: str) -> dict[str, int]:
    """Read class name -> index: one name a line, a JSON list of names, or a JSON object of name -> index."""
    try:
        text = Path(file).read_text(encoding="utf-8")
        content = json.loads(text) if file.endswith(".json") else [line.strip() for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(
            f"expected auto, folders, numeric or a class map (.txt, .json) that can be read, got '{file}' ({error})"
        ) from None
    known = {str(name): index for index, name in enumerate(content)} if isinstance(content, list) else content
    if not isinstance(known, dict) or not known or not all(type(i) is int and i >= 0 for i in known.values()):
        raise InputError(f"expected a class map of names, or of name -> index from 0, in '{file}'")
    return known


def _dataset(text: str, prefix: str) -> Source:
    """Open a dataset of torchvision or of the Hugging Face hub."""
    from timm.data import create_dataset

    name, _, query = text.partition("?")
    options: dict[str, Any] = dict(parse_qsl(query))
    for key in set(options) - set(DATASET_OPTIONS):
        raise InputError(f"expected the options {', '.join(DATASET_OPTIONS)} after '?' in '{text}', got '{key}'")
    if prefix == "torch" and "root" not in options:
        raise InputError(f"expected '{name}?root=FOLDER' with the folder that has the data, got '{text}'")
    options["download"] = options.get("download", "false").lower() in ("true", "1", "yes")
    try:
        dataset = create_dataset(name, **options)
    except ImportError as error:
        raise InputError(f"'{text}' needs a package that is not installed ({error.name}); pip install it") from None
    except (AssertionError, RuntimeError, OSError, ValueError, TypeError) as error:
        raise InputError(f"'{text}' cannot be opened ({error}); check the name, split and root") from None
    labels, classes = _own_labels(text, dataset)
    return Source(text, tuple(f"{row:06d}" for row in range(len(labels))), labels, classes, "dataset", dataset)


def _own_labels(text: str, dataset: Any) -> tuple[Tensor, tuple[str, ...] | None]:
    """Labels of a dataset, read without its images, and its class names."""
    if hasattr(dataset, "reader"):
        labels = list(dataset.reader.iter_targets())
        names: Mapping[str, int] = dataset.reader.class_to_idx or {}
        classes = tuple(sorted(names, key=names.__getitem__))
    else:
        labels = [int(label) for label in getattr(dataset, "targets", ())]
        classes = tuple(name if isinstance(name, str) else ", ".join(name) for name in getattr(dataset, "classes", ()))
    if len(labels) != len(dataset) or not labels or not all(type(label) is int and label >= 0 for label in labels):
        raise InputError(f"expected one class index for each of the {len(dataset)} images of '{text}'; name its target_key")
    return torch.tensor(labels, dtype=torch.int64), classes or None


def _opened(dataset: Any, row: int) -> Image.Image:
    """Open an image; not through timm's own dataset, which puts the next image in the place of one it cannot read."""
    reader = getattr(dataset, "reader", None)
    if reader is None:
        image: Image.Image = dataset[row][0]
        return image
    if _in_tar(reader):
        return Image.open(io.BytesIO(_tar_bytes(reader, row)))
    with reader[row][0] as file:
        return Image.open(io.BytesIO(file.read()))


def _in_tar(reader: Any) -> bool:
    return hasattr(reader, "class_name_to_idx")


def _tar_bytes(reader: Any, row: int) -> bytes:
    """Read a member's bytes where they lie: unlike a shared TarFile, safe in several processes and threads."""
    member, _, inner = reader.samples[row]
    with open(reader.root, "rb") as file:
        file.seek(member.offset_data + (inner.offset_data if inner is not None else 0))
        return file.read(member.size)


def _tar_id(member: tarfile.TarInfo, _: str | None, inner: tarfile.TarInfo | None) -> str:
    names = [inner.name] if inner is not None else []
    return "/".join(name.removeprefix("./") for name in [*names, member.name])


def _unique(text: str, ids: Sequence[str]) -> tuple[str, ...]:
    for name in _repeated(ids):
        raise InputError(f"expected each image once in '{text}', got '{name}' several times; make the tar again")
    return tuple(ids)


def _repeated(names: Sequence[str]) -> Iterator[str]:
    return (name for name, times in Counter(names).items() if times > 1)
