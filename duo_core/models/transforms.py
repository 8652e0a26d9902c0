"""The evaluation transform of a model as a plain record: image -> uint8 pixels -> normalised float batch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from duo_core.common.arrays import InputError
from duo_core.images.pixels import rgb

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
WITHOUT_ANTIALIASING = ("nearest", "bilinear", "bicubic")


@dataclass(frozen=True)
class Transform:
    """The evaluation transform of a model, in two stages: PIL image -> uint8 (3, h, w), then batch -> float32.

    Between the stages lie uint8 pixels, a quarter of the floats' bytes, so that decoding can be done by other
    processes and the arithmetic on the model's device. The same record gives the same numbers as torchvision's presets
    and as timm's own evaluation transforms.

    Parameters
    ----------
    input_size
        (3, height, width) that the model sees.
    mean, std
        Of each channel, for pixels in [0, 1].
    resize
        Length of the shorter side, or exactly (height, width), or None for none.
    interpolation
        nearest, bilinear, bicubic, lanczos, box or hamming.
    crop
        Whether the centre is cut out after resizing; smaller images are padded with black.
    antialias
        False where the resize is done on the normalised float batch, without antialiasing, to exactly (height, width);
        all images of a batch then have one size.

    Examples
    --------
    >>> square = Transform((3, 2, 2), mean=(0.5,) * 3, std=(0.5,) * 3, resize=(2, 2), crop=False)
    >>> square.batch(square.pixels(Image.new("RGB", (5, 7), "white"))[None]).unique()
    tensor([1.])
    """

    input_size: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: int | tuple[int, int] | None
    interpolation: str = "bilinear"
    crop: bool = True
    antialias: bool = True

    def __post_init__(self) -> None:
        for complaint in _complaints(self):
            raise InputError(f"expected a transform with {complaint}")

    def pixels(self, image: Image.Image) -> Tensor:
        """Resize and crop one image: uint8 (3, h, w); what is left for `batch` is arithmetic."""
        return torch.from_numpy(np.array(self.array(image))).permute(2, 0, 1)

    def array(self, image: Image.Image) -> NDArray[np.uint8]:
        """The same pixels as they lie in the image: uint8 (h, w, 3), perhaps only to be read."""
        image = rgb(image)
        if self.antialias and self.resize is not None:
            width, height = _resized(image.size, self.resize)
            image = image.resize((width, height), INTERPOLATIONS[self.interpolation])
        if self.antialias and self.crop:
            image = _centre(image, self.input_size[1:])
        if self.antialias and (image.height, image.width) != self.input_size[1:]:
            raise InputError(
                f"expected images of {self.input_size[1]} x {self.input_size[2]} pixels for a transform that neither resizes "
                f"nor crops, got {image.height} x {image.width}; give the transform a resize"
            )
        return np.asarray(image)

    def constants(self, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """Mean and deviation (3, 1, 1) on a device, for many batches there: bringing them to a GPU waits for all that it does."""
        mean, std = (torch.tensor(numbers, device=device).view(3, 1, 1) for numbers in (self.mean, self.std))
        return mean, std

    def batch(self, pixels: Tensor, constants: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Normalise pixels, uint8 (b, 3, h, w) on any device -> float32 (b, *input_size), channels last."""
        values = pixels.to(torch.float32, memory_format=torch.channels_last) / 255
        mean, std = constants or self.constants(pixels.device)
        values = (values - mean) / std
        if not self.antialias:
            corners = {} if self.interpolation == "nearest" else {"align_corners": False}
            values = functional.interpolate(values, self.resize, mode=self.interpolation, **corners)
        return values.contiguous(memory_format=torch.channels_last)

    def at(self, height: int, width: int) -> "Transform":
        """Return the transform for another input size, the image resized in proportion.

        >>> Transform((3, 224, 224), (0.5,) * 3, (0.5,) * 3, resize=256).at(448, 448).resize
        512
        """
        if self.crop and isinstance(self.resize, int):
            resize: int | tuple[int, int] | None = math.floor(max(height, width) * self.resize / max(self.input_size[1:]))
        elif isinstance(self.resize, tuple):
            resize = tuple(  # type: ignore[assignment]
                math.floor(new * was / old) for new, was, old in zip((height, width), self.resize, self.input_size[1:], strict=True)
            )
        else:
            resize = self.resize
        return replace(self, input_size=(3, height, width), resize=resize)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON holds it; `from_dict` reads it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], default: "Transform | None" = None) -> "Transform":
        """Read a record, from JSON or YAML for instance; keys that it lacks are those of `default`.

        Raises
        ------
        InputError
            Where a key is unknown, missing without a default, or has a value of another type.
        """
        names = [f.name for f in fields(cls)]
        unknown = [str(key) for key in record if key not in names]
        if unknown:
            raise InputError(f"expected the keys {', '.join(names)} in a transform, got '{unknown[0]}'")
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
        if default is not None:
            return replace(_at_size(default, values), **values)
        missing = [name for name in names[:4] if name not in record]
        if missing:
            raise InputError(f"expected a transform with {', '.join(names[:4])}, got one without {', '.join(missing)}")
        return cls(**values)


def _at_size(transform: Transform, values: Mapping[str, Any]) -> Transform:
    """A default for what else was given: another input size asks for another resize."""
    size = values.get("input_size", transform.input_size)
    if "resize" in values or size == transform.input_size or not _integers(size, 3):
        return transform
    return transform.at(size[1], size[2])


def _complaints(transform: Transform) -> list[str]:
    """What is wrong with a record, each the end of a sentence that begins with what was expected."""
    size, resize = transform.input_size, transform.resize
    rules = {
        f"input_size (3, height, width), got {size!r}": _integers(size, 3) and size[0] == 3,
        f"mean of three numbers, got {transform.mean!r}": _numbers(transform.mean),
        f"std of three numbers above 0, got {transform.std!r}": _numbers(transform.std) and min(transform.std) > 0,
        f"resize of a positive integer, two of them (height, width) or null, got {resize!r}": resize is None
        or _integers((resize,), 1)
        or _integers(resize, 2),
        f"interpolation {', '.join(INTERPOLATIONS)}, got {transform.interpolation!r}": str(transform.interpolation)
        in INTERPOLATIONS,
        f"crop true or false, got {transform.crop!r}": isinstance(transform.crop, bool),
        f"antialias true or false, got {transform.antialias!r}": isinstance(transform.antialias, bool),
    }
    wrong = [complaint for complaint, holds in rules.items() if not holds]
    return wrong or _contradictions(transform)


def _contradictions(transform: Transform) -> list[str]:
    """What is wrong between fields that are each right by themselves."""
    size, resize = transform.input_size[1:], transform.resize
    if not transform.antialias and (transform.crop or resize != size):
        return [f"crop false and resize {size} where antialias is false, got crop {transform.crop} and resize {resize}"]
    if not transform.antialias and transform.interpolation not in WITHOUT_ANTIALIASING:
        return [f"interpolation {', '.join(WITHOUT_ANTIALIASING)} where antialias is false, got {transform.interpolation!r}"]
    if not transform.crop and resize is not None and resize != size:
        return [f"resize {size} like its input_size where crop is false, got {resize}"]
    return []


def _integers(values: object, n: int) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) == n
        and all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in values)
    )


def _numbers(values: object) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) == 3
        and all(isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) for value in values)
    )


def _resized(size: tuple[int, int], resize: int | tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) after the resize; the longer side is rounded down, as torchvision does."""
    if isinstance(resize, tuple):
        return resize[1], resize[0]
    width, height = size
    if width <= height:
        return resize, int(resize * height / width)
    return int(resize * width / height), resize


def _centre(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Cut out the centre (height, width), padding with black where the image is smaller; rounds as torchvision does."""
    left, top = (_start(have, want) for have, want in zip(image.size, (size[1], size[0]), strict=True))
    return image.crop((left, top, left + size[1], top + size[0]))


def _start(have: int, want: int) -> int:
    return round((have - want) / 2) if have >= want else -((want - have) // 2)
