"""Small pictures of a split's images, where the images are at hand."""

import base64
import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from app.state.caches import OWN, Key, awaited, kept
from app.state.sets import Handle
from duo_core.common.arrays import InputError
from duo_core.common.plaintext import unmarked
from duo_core.common.settings import is_public
from duo_core.images import Corruption, Source, open_source
from duo_core.logits import LogitSet
from duo_core.logits.store import Store

VARIABLE = "DUO_IMAGES"
"""Environment variable: folders and tars of images, listed as PATH lists folders."""
PHOTOGRAPHS, ATTRIBUTION = "photographs", "attribution.csv"
"""Beside a set's logits: a few of its images, small, and who made them."""
PIXELS = 96


def thumbnails(handle: Handle, split: str, rows: Sequence[int], folder: str = "") -> list[str] | None:
    """Pictures of rows of a split as data addresses, as the models saw them, "" for one that is missing; None where all are.

    Images are looked for by their ids in the photographs that lie beside a stored set, in a `folder` (or tar) that whoever looks
    named, and in what DUO_IMAGES lists; in public mode in no named one, and for sets of the store alone. What a set or an upload
    says opens none.
    """
    own = handle.logit_set
    ids = own.ids.get(split)
    if not ids or (is_public() and handle.stamp.startswith(OWN)):
        return None
    paths = [path for path in _paths(handle, folder) if Path(path).exists()]
    found = {name: next((path for path in paths if name in _places(path)), "") for name in (ids[row] for row in rows)}
    corruption = _corruption(own, split)
    return [path and _thumbnail(path, name, corruption) for name, path in found.items()] if any(found.values()) else None


def trouble(handle: Handle, split: str, folder: str) -> str:
    """Say what is wrong with a folder of images that was named; nothing where it has some of the split's."""
    if not Path(folder).exists():
        return f"expected a folder or a tar of images, got '{folder}', which this machine does not have"
    if set(handle.logit_set.ids.get(split, ())).isdisjoint(_places(folder)):
        return f"expected images of {split} by their names in the set, got none in '{folder}'; name the folder above the classes"
    return ""


def credits_of(handle: Handle, names: Sequence[str]) -> list[str]:
    """Authors of the photographs among some images, which a set's attribution.csv names; they are text of others."""
    if handle.stamp.startswith(OWN):
        return []
    file = Store().folder(handle.logit_set.name) / ATTRIBUTION

    def compute() -> dict[str, str]:
        try:
            with file.open(encoding="utf-8", newline="") as lines:
                return {row.get("file") or "": row.get("author") or "" for row in csv.DictReader(lines)}
        except (OSError, UnicodeDecodeError, csv.Error):  # a set need not credit anyone
            return {}

    authors = kept(Key("authors", handle.stamp), compute)
    return sorted({unmarked(authors[name]) for name in names if authors.get(name)})


def _paths(handle: Handle, folder: str) -> list[str]:
    beside = [] if handle.stamp.startswith(OWN) else [str(Store().folder(handle.logit_set.name) / PHOTOGRAPHS)]
    named = [folder] if folder and not is_public() else []
    return [*named, *beside, *filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))]


def _corruption(own: LogitSet, split: str) -> str:
    """What was done to the images of a split, as KIND:SEVERITY; nothing where they were left as they are."""
    made = re.match(r"test after (\w+:\d)", str(own.about.get("how", {}).get(split, "")))
    return made[1] if made else ""


def _source(path: str) -> Source | None:
    def compute() -> Source | None:
        try:
            return open_source(path)
        except InputError:
            return None

    return awaited(Key("source", by=(path,)), lambda _: compute(), "Looking through the images")


def _places(path: str) -> Mapping[str, int]:
    """Rows of a source by the images' ids."""
    source = _source(path)
    return kept(Key("places", by=(path,)), lambda: {name: row for row, name in enumerate(source.ids)} if source else {})


def _thumbnail(path: str, name: str, corruption: str) -> str:
    return kept(Key("picture", by=(path, name, corruption)), lambda: _picture(path, name, corruption))


def _picture(path: str, name: str, corruption: str) -> str:
    source = _source(path)
    try:
        image = source.image(_places(path)[name]) if source else None
    except InputError:  # one broken file costs one picture
        image = None
    if image is None:
        return ""
    if corruption:
        image = Corruption.parse(corruption)(image, name)
    return _address(image)


def _address(image: Image.Image) -> str:
    """A picture with its longer side at PIXELS, pixels kept as they are where it is smaller than that."""
    scale = PIXELS / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    file = io.BytesIO()
    image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
