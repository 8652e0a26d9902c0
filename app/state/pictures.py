"""Small pictures of a split's images, where the images are at hand."""

import base64
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from app.state.caches import OWN, Key, awaited, kept
from app.state.sets import Handle
from duo_core.common.arrays import InputError
from duo_core.common.settings import is_public
from duo_core.images import Corruption, Source, open_source
from duo_core.logits import LogitSet

IMAGES = "DUO_IMAGES"
"""Environment variable: folders and tars of images, listed as PATH lists folders."""
PIXELS = 96


def thumbnails(handle: Handle, split: str, rows: Sequence[int]) -> list[str] | None:
    """Pictures of rows of a split as data addresses, as the models saw them; None where the images are not at hand.

    Images are looked for by their ids in the set's source and in what DUO_IMAGES lists; in public mode in the latter alone, and for
    sets of the store alone: what a set or an upload says opens no folder of the server then.
    """
    own = handle.logit_set
    ids = own.ids.get(split)
    if not ids or (is_public() and handle.stamp.startswith(OWN)):
        return None
    names = [ids[row] for row in rows]
    said = "" if is_public() else str(own.about.get("source", ""))
    for path in [said, *os.environ.get(IMAGES, "").split(os.pathsep)]:
        if path and Path(path).exists() and set(names) <= set(_places(path)):
            return [_thumbnail(path, name, _corruption(own, split)) for name in names]
    return None


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
