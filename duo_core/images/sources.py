"""Image sources: any folder, tar or dataset that timm reads, with labels, ids and class names."""

import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.images import orders
from duo_core.images.listing import Found, Listing, in_folder, in_tar
from duo_core.images.names import shown
from duo_core.images.pixels import decoded, largest_value, opened, reason, rgb

DATASET_OPTIONS = ("root", "split", "download", "input_key", "target_key")
SAMPLE = 32
"""So many images of a source are looked at when it is opened."""


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
        How folders became indices, a key of `orders.ORDERS`.
    dataset
        Where the images are: what was found in a folder or tar, or what timm made of the name.
    others
        Other orders in which the folders might be meant: from each class index to that order's.
    notes
        Sentences on what was chosen or left out.
    how
        How a benchmark's part came about, in words; empty for all that there is.
    """

    text: str
    ids: tuple[str, ...]
    labels: Tensor
    classes: tuple[str, ...] | None
    order: str
    dataset: Any
    others: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    how: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, row: int) -> Image.Image:
        """Decode one image to RGB; raises UnreadableImageError, which names it."""
        try:
            return _image(self.dataset, row)
        except Exception as error:  # a broken file makes Pillow raise almost anything
            raise UnreadableImageError(
                f"the image '{self.ids[row]}' of '{self.text}' cannot be read ({reason(error)}); "
                "replace it or leave such images out"
            ) from None


def open_source(text: str, class_index: str = "auto", class_folder: str = "leaf") -> Source:
    """Find the images of a source and number their classes.

    Parameters
    ----------
    text
        A folder or a tar file with one folder a class, `torch/NAME?root=FOLDER[&split=...]`, `hfds/NAME?split=...`, or a part of a
        benchmark, as `benchmarks.expanded` writes it.
    class_index
        `natural`, `text` or `numeric` (see `orders.ORDERS`); a path: a class map, one name a line (.txt), or a list of names or
        an object of name -> index (.json); `auto`: `numeric` where every name is a number of its own, else `natural`.
    class_folder
        Which folder is the class: `leaf` (the innermost), `top` (the outermost) or `path` (each).

    Raises
    ------
    InputError
        Where there is nothing, nothing readable, or no label.
    """
    from duo_core.images.benchmarks import is_part, open_part  # which makes sources

    prefix = text.partition("/")[0].lower()
    if is_part(text):
        if class_index != "auto":
            raise InputError(f"'{text}' numbers its classes itself, got --class-index {class_index}; leave it out")
        return open_part(text)
    if prefix in ("torch", "hfds"):
        return _dataset(text, prefix, class_index)
    if prefix in ("hfids", "tfds", "wds"):
        raise InputError(f"expected images that can be read in any order, got the stream '{text}'; use a folder, a tar or hfds/")
    listing, name = _listed(text), shown(text)
    outside = [found.identity for found in listing.images if not found.folder]
    if outside:
        raise InputError(f"expected one folder a class in '{name}', got {len(outside)} images in none, such as '{outside[0]}'")
    classes = orders.class_names(name, {found.folder for found in listing.images}, class_folder)
    numbering = orders.numbered(name, classes.values(), class_index)
    labels = torch.tensor([numbering.index[classes[found.folder]] for found in listing.images], dtype=torch.int64)
    ids = _unique(name, [found.identity for found in listing.images])
    left_out = listing.said()
    notes = [
        f"left out of '{name}': {left_out}" if left_out else "",
        orders.nested(classes) if class_folder == "leaf" else "",
        numbering.said(),
        _dark(name, listing.images),
    ]
    return Source(
        name, ids, labels, numbering.classes, numbering.order, listing.images, numbering.others, tuple(filter(None, notes))
    )


def _listed(text: str) -> Listing:
    path, name = Path(text), shown(text)
    if not path.exists():
        raise InputError(f"expected a folder or a .tar file of images, got '{name}', which does not exist")
    tar = path.is_file()
    if tar and path.suffix.lower() != ".tar":
        raise InputError(f"expected a folder or a .tar file of images, got the file '{name}'")
    try:
        listing = in_tar(text) if tar else in_folder(text)
    except (tarfile.TarError, EOFError) as error:
        raise InputError(f"'{name}' cannot be read as a tar file ({error}); make or download it again") from None
    except PermissionError as error:
        raise InputError(f"'{name}' cannot be read ({error.strerror}); allow reading it") from None
    if not listing.images:
        there = listing.said()
        raise InputError(
            f"expected images (.png, .jpg, .tif, .webp, ...) in '{name}', found none{f' but {there}' if there else ''}"
        )
    return listing


def _dark(name: str, images: Sequence[Found]) -> str:
    """Say that images of 16 bits hold values of 14 or fewer, where a sample of them does; else nothing."""
    peaks = []
    for found in images[:: -(-len(images) // SAMPLE)]:
        try:
            with opened(found.read()) as image:
                if image.mode.startswith("I"):
                    peaks.append(np.asarray(image).max() / largest_value(image))
        except Exception:  # what cannot be read is said when its turn comes
            continue
    if not peaks or max(peaks) >= 1 / 4:
        return ""
    return (
        f"images of '{name}' are stored with 16 bits, but none of {len(peaks)} goes beyond {max(peaks):.1%} of white: they are "
        "read as 16 bits, almost black; if their values have fewer bits, scale them to 16 or save them with 8"
    )


def _dataset(text: str, prefix: str, class_index: str) -> Source:
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
    if class_index != "auto":
        raise InputError(f"'{text}' numbers its classes itself, got --class-index {class_index}; leave it out, or name a folder")
    if hasattr(dataset, "loader"):
        dataset.loader = _loaded  # torchvision's own turns images of 16 bits white
    ids = tuple(f"{row:06d}" for row in range(len(labels)))
    return Source(text, ids, labels, classes, "dataset", dataset)


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


def _image(dataset: Any, row: int) -> Image.Image:
    """Decode an image; not through timm's own dataset, which puts the next image in the place of one it cannot read."""
    if isinstance(dataset, list):
        return decoded(dataset[row].read())
    reader = getattr(dataset, "reader", None)
    if reader is None:
        return rgb(dataset[row][0])
    with reader[row][0] as file:
        return decoded(file.read())


def _loaded(file: str) -> Image.Image:
    return decoded(Path(file).read_bytes())


def _unique(text: str, ids: Sequence[str]) -> tuple[str, ...]:
    for name in _repeated(ids):
        raise InputError(f"expected each image once in '{text}', got '{name}' several times; make the tar again")
    return tuple(ids)


def _repeated(names: Sequence[str]) -> Iterator[str]:
    return (name for name, times in Counter(names).items() if times > 1)
