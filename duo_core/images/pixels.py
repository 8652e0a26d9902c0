"""From an image as it is stored to RGB of 8 bits: what has more bits is scaled, what has no stated range is refused."""

import functools
import io
import re

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from duo_core.common.arrays import InputError

WHITE_IS_ZERO, PHOTOMETRIC, BITS = 0, 262, 258
"""A TIFF's tags, and the one value that turns black and white around."""


JPEG, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"


def opened(content: bytes) -> Image.Image:
    """Open an encoded image."""
    if not content:
        raise InputError("the file is empty")
    return Image.open(io.BytesIO(content))


def decoded(content: bytes) -> Image.Image:
    """Decode an encoded image to RGB of 8 bits: a JPEG by torchvision, which is faster, where it gives Pillow's pixels."""
    return _jpeg(content) or rgb(opened(content))


def _jpeg(content: bytes) -> Image.Image | None:
    """A JPEG of one or three channels, whole to its end; None for all that Pillow is to decode, or to say what is wrong with."""
    if not content.startswith(JPEG) or JPEG_END not in content[-64:] or not same_jpeg():
        return None
    try:
        channels = _by_torchvision(content)
    except RuntimeError:
        return None
    if channels.shape[2] == 1:
        return Image.fromarray(channels[:, :, 0]).convert("RGB")
    return Image.fromarray(channels) if channels.shape[2] == 3 else None


@functools.cache
def same_jpeg() -> bool:
    """Whether torchvision decodes JPEGs here, and to the bits that Pillow gives of a picture: each brings a libjpeg of its own."""
    y, x = np.mgrid[0:45, 0:61]
    waves = [127 + 127 * np.sin(x * y / 90 + x / (3 + channel) + 2 * channel) for channel in range(3)]
    encoded = io.BytesIO()
    Image.fromarray(np.stack(waves, 2).astype(np.uint8)).save(encoded, "JPEG", quality=85)
    try:
        theirs = _by_torchvision(encoded.getvalue())
    except (AttributeError, ImportError, RuntimeError):  # it says that it will leave this to another package
        return False
    return np.array_equal(theirs, np.asarray(Image.open(encoded)))


def _by_torchvision(content: bytes) -> NDArray[np.uint8]:
    """Pixels (h, w, channels) as they are stored; its operator itself, whose wrapper warns of its end at every call."""
    import torchvision.io  # noqa: F401  (registers the operator)

    pixels = torch.ops.image.decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), 0, False)
    found: NDArray[np.uint8] = pixels.permute(1, 2, 0).numpy()
    return found


def rgb(image: Image.Image) -> Image.Image:
    """Return an image in RGB of 8 bits, the same one where it is; transparency is dropped, as torchvision and timm do.

    Raises
    ------
    InputError
        Where the values have no stated range: floats, and whole numbers beyond 16 bits.

    Examples
    --------
    >>> rgb(Image.fromarray(np.array([[0, 0x8080, 0xFFFF]], dtype=np.uint16))).tobytes().hex()
    '000000808080ffffff'
    """
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode == "F":
        raise InputError("it holds floating-point values (mode F), whose range nothing states; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        return _of_more_bits(image)
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the same colours; Pillow warns of the direct way
    return image.convert("RGB")


def _of_more_bits(image: Image.Image) -> Image.Image:
    values, peak = np.asarray(image), largest_value(image)
    if values.min() < 0 or values.max() > peak:
        raise InputError(
            f"it holds whole numbers from {values.min()} to {values.max()} (mode {image.mode}), which are no pixels of 16 bits; "
            "save it with 8 or 16 bits"
        )
    if _tag(image, PHOTOMETRIC, 1) == WHITE_IS_ZERO:
        values = peak - values
    return Image.fromarray(np.rint(values * (255 / peak)).astype(np.uint8)).convert("RGB")


def largest_value(image: Image.Image) -> int:
    """Return the value that stands for white in an image of more than 8 bits: a TIFF may have fewer than 16 of them."""
    return int(2 ** min(_tag(image, BITS, 16), 16) - 1)


def _tag(image: Image.Image, tag: int, default: int) -> int:
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def reason(error: Exception) -> str:
    """Say why an image cannot be read, in words that mean the same in every run."""
    if isinstance(error, UnidentifiedImageError):
        return "its bytes are no image that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return re.sub(r"\s*<[^<>]* at 0x[0-9a-f]+>", "", " ".join(str(error).split())) or type(error).__name__
