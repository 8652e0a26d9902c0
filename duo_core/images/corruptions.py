"""Corruptions of decoded images, after ImageNet-C and CIFAR-10-C: repeatable, of five severities."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from duo_core.common.arrays import Floats, InputError

SMALL = 64
"""Images whose shorter side has at most this many pixels take CIFAR-10-C's strengths, larger ones ImageNet-C's."""


@dataclass(frozen=True)
class Corruption:
    """A stated corruption of RGB images.

    Strengths by severity are those of Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions
    and Perturbations" (2019); unlike theirs, large images are corrupted at the size they are stored in, before any resize.

    | kind | what it does, for values in [0, 1] |
    |---|---|
    | `gaussian_noise` | adds normal noise of this standard deviation to each value |
    | `gaussian_blur` | blurs with Pillow's `GaussianBlur` of this standard deviation, in pixels |
    | `contrast` | multiplies the distance from each channel's mean over the image |
    | `brightness` | adds to V in HSV |
    | `jpeg` | stores as JPEG of this quality |
    | `pixelate` | shrinks to this fraction of either side and enlarges again, both with Pillow's `BOX` |

    Noise is seeded by the image's id, so neither the order of the images nor the process that reads them matters.

    Parameters
    ----------
    kind
        One of the six above.
    severity
        1 (weak) to 5 (strong).

    Examples
    --------
    >>> grey = Image.new("RGB", (8, 8), (100, 100, 100))
    >>> Corruption("brightness", 1)(grey, "a.png").getpixel((0, 0))
    (113, 113, 113)
    """

    kind: str
    severity: int

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise InputError(f"expected one of the corruptions {', '.join(_KINDS)}, got '{self.kind}'")
        if self.severity not in range(1, 6):
            raise InputError(f"expected a severity from 1 to 5 for the corruption '{self.kind}', got {self.severity}")

    def __call__(self, image: Image.Image, identity: str) -> Image.Image:
        """Return the corrupted image, RGB and as large as before."""
        corrupted, small, large = _KINDS[self.kind]
        strengths = small if min(image.size) <= SMALL else large
        return corrupted(image.convert("RGB"), strengths[self.severity - 1], _seed(self.kind, identity))

    def __str__(self) -> str:
        return f"{self.kind}:{self.severity}"

    @classmethod
    def parse(cls, text: str) -> "Corruption":
        """Read KIND:SEVERITY.

        >>> Corruption.parse("jpeg:3")
        Corruption(kind='jpeg', severity=3)
        """
        kind, _, severity = text.partition(":")
        if not severity.isdecimal():
            raise InputError(f"expected KIND:SEVERITY such as gaussian_noise:3 for a corruption, got '{text}'")
        return cls(kind, int(severity))


def _seed(kind: str, identity: str) -> int:
    """All severities share a seed, so that a stronger one is the same noise, larger."""
    return int.from_bytes(hashlib.sha256(f"{kind}\n{identity}".encode()).digest()[:8], "big")


def _gaussian_noise(image: Image.Image, deviation: float, seed: int) -> Image.Image:
    values = _values(image)
    return _image(values + np.random.default_rng(seed).normal(scale=deviation, size=values.shape))


def _gaussian_blur(image: Image.Image, deviation: float, _: int) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(deviation))


def _contrast(image: Image.Image, factor: float, _: int) -> Image.Image:
    values = _values(image)
    means = values.mean(axis=(0, 1))
    return _image((values - means) * factor + means)


def _brightness(image: Image.Image, added: float, _: int) -> Image.Image:
    """With hue and saturation kept, all channels scale with V, their maximum; black has neither and becomes grey."""
    values = _values(image)
    largest = values.max(axis=2, keepdims=True)
    raised = np.minimum(largest + added, 1)
    return _image(np.where(largest > 0, values * raised / np.where(largest > 0, largest, 1), raised))


def _jpeg(image: Image.Image, quality: float, _: int) -> Image.Image:
    stored = io.BytesIO()
    image.save(stored, "JPEG", quality=int(quality))
    return Image.open(stored).convert("RGB")


def _pixelate(image: Image.Image, fraction: float, _: int) -> Image.Image:
    width, height = (max(1, int(side * fraction)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX).resize(image.size, Image.Resampling.BOX)


def _values(image: Image.Image) -> Floats:
    return np.asarray(image, dtype=np.float64) / 255


def _image(values: Floats) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8))


_Strengths = tuple[float, float, float, float, float]
_KINDS: dict[str, tuple[Callable[[Image.Image, float, int], Image.Image], _Strengths, _Strengths]] = {
    # kind: (function, strengths of small images, strengths of large ones)
    "gaussian_noise": (_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)),
    "gaussian_blur": (_gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1), (1, 2, 3, 4, 6)),
    "contrast": (_contrast, (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "brightness": (_brightness, (0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "jpeg": (_jpeg, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
    "pixelate": (_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),
}
CORRUPTIONS = tuple(_KINDS)
