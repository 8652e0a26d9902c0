"""Duo: two models, their transforms and their temperatures as one torch module, from images to answers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from duo_core.common.arrays import InputError, UncertaintyKind
from duo_core.models.transforms import Transform
from duo_core.systems.duo import Temperatures, combine

VARIANTS = ("duo", "uq_only")
"""Those that run both models: the class is the duo's, or the base's."""

Picture = Image.Image | Tensor | NDArray[np.uint8]


class Answer(NamedTuple):
    """What a duo says of b images."""

    logits: Tensor
    """The combined logits (b, k), float64."""
    predicted: Tensor
    """int64 (b,)."""
    uncertainty: Tensor
    """float64 (b,); larger is less sure."""
    abstain: Tensor | None
    """bool (b,): whether the uncertainty lies above the threshold; None where there is no threshold."""


class Member(nn.Module):
    """A model with its own evaluation transform: uint8 pixels (b, 3, h, w), as `transform.pixels` gives them -> logits (b, k)."""

    def __init__(self, module: nn.Module, transform: Transform) -> None:
        super().__init__()
        self.module, self.transform = module, transform

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise the pixels, resize them where that is the device's work, and run the model."""
        logits: Tensor = self.module(self.transform.batch(pixels))
        return logits

    def of_pictures(self, pictures: Sequence[Image.Image], device: torch.device) -> Tensor:
        """Logits (b, k) of pictures of any sizes."""
        pixels = [self.transform.pixels(picture).to(device) for picture in pictures]
        if all(one.shape == pixels[0].shape for one in pixels):
            return self(torch.stack(pixels))  # type: ignore[no-any-return]
        return torch.cat([self(one[None]) for one in pixels])


class Duo(nn.Module):
    """Base and sidekick with two temperatures that multiply their logits (paper Sec. 3.1).

    Parameters
    ----------
    base, sidekick
        Models of the same classes.
    temperatures
        As `duo_core.systems.fitting.fit` finds them.
    classes
        Names of the k classes; may be empty.
    variant
        `duo` predicts the class of the combined logits, `uq_only` that of the base; the uncertainty is that of this class.
    kind
        `softmax`: 1 - the probability of the class, summed from the other classes so that it does not saturate at 0; `entropy`:
        that of the combined distribution, in nats.
    threshold
        Uncertainty above which it abstains. An attribute: set another one at any time, None for none.

    Examples
    --------
    >>> square = Transform((3, 1, 1), mean=(0.0,) * 3, std=(1.0,) * 3, resize=(1, 1), crop=False)
    >>> member = Member(nn.Flatten(), square)  # the logits are the colours
    >>> duo = Duo(member, member, Temperatures(1.0, 1.0), threshold=0.3)
    >>> answer = duo([Image.new("RGB", (5, 7), "red"), Image.new("RGB", (2, 2), "gray")])
    >>> answer.predicted.tolist(), answer.abstain.tolist()
    ([0, 0], [False, True])
    """

    def __init__(
        self,
        base: Member,
        sidekick: Member,
        temperatures: Temperatures,
        *,
        classes: Sequence[str] = (),
        variant: str = "duo",
        kind: UncertaintyKind = "softmax",
        threshold: float | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        checked_variant(variant)
        self.base, self.sidekick, self.temperatures = base, sidekick, temperatures
        self.classes, self.variant, self.kind, self.threshold = tuple(classes), variant, kind, threshold
        self.record = record
        """What duo.json says, where the duo was loaded from a folder."""

    def forward(self, images: Sequence[Picture] | Tensor) -> Answer:
        """Answer for images; each member sees them through its own transform.

        Parameters
        ----------
        images
            PIL images, uint8 arrays (h, w, 3) or tensors (3, h, w), in one list of any sizes; or a batch (b, 3, h, w). Floats are
            read as pixels in [0, 1] and rounded to the 256 levels that the transforms resize.

        Raises
        ------
        InputError
            Where an image is none of these.
        """
        pictures = [_picture(image) for image in images]
        if not pictures:
            raise InputError("expected at least one image, got none")
        device = next((parameter.device for parameter in self.parameters()), torch.device("cpu"))
        return self.answer(self.base.of_pictures(pictures, device), self.sidekick.of_pictures(pictures, device))

    def answer(self, base: Tensor, sidekick: Tensor) -> Answer:
        """Answer from both members' logits (b, k)."""
        logits, predicted, uncertainty = self.judged(base, sidekick)
        # Written so that an uncertainty that is no number abstains.
        abstain = None if self.threshold is None else ~(uncertainty <= self.threshold)
        return Answer(logits, predicted, uncertainty, abstain)

    def judged(self, base: Tensor, sidekick: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Combined logits, predicted class and uncertainty; what does not depend on the threshold."""
        logits = combine(base, sidekick, self.temperatures)
        predicted = (base if self.variant == "uq_only" else logits).argmax(1)
        uncertainty = doubt(logits, predicted) if self.kind == "softmax" else entropy(logits)
        return logits, predicted, uncertainty


def checked_variant(variant: str) -> None:
    """Raise InputError for a variant that does not run both models with the learned temperatures."""
    if variant not in VARIANTS:
        raise InputError(f"expected the variant {' or '.join(VARIANTS)}, got '{variant}'")


def doubt(logits: Tensor, classes: Tensor) -> Tensor:
    """1 - softmax at the given classes (b,), summed from the other classes.

    >>> f"{doubt(torch.tensor([[100.0, 0.0]]).double(), torch.tensor([0])).item():.4g}"  # exp(-100)
    '3.72e-44'
    """
    exponentials = (logits - logits.amax(1, keepdim=True)).exp()
    return _others(exponentials, classes) / exponentials.sum(1)


def entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax, nats.

    >>> round(entropy(torch.zeros(1, 2).double()).item(), 4)  # log(2)
    0.6931
    """
    shifted = logits - logits.amax(1, keepdim=True)
    exponentials = shifted.exp()
    rest = _others(exponentials, logits.argmax(1))
    weighted = torch.where(exponentials > 0, exponentials * shifted, 0.0)  # a masked class has probability 0 and logit -inf
    return rest.log1p() - weighted.sum(1) / (1 + rest)


def _others(values: Tensor, classes: Tensor) -> Tensor:
    """Sum of each row but for one class."""
    own = torch.arange(values.shape[1], device=values.device) == classes[:, None]
    return torch.where(own, 0.0, values).sum(1)


def _picture(image: Picture) -> Image.Image:
    """One image as the transforms' first stage takes it."""
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, Tensor) and image.ndim == 3 and image.shape[0] == 3:
        return Image.fromarray(_bytes(image).permute(1, 2, 0).numpy(force=True))
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8:
        return Image.fromarray(image)
    shape = f" {image.dtype} of shape {tuple(image.shape)}" if isinstance(image, Tensor | np.ndarray) else ""
    raise InputError(
        "expected PIL images, uint8 arrays (h, w, 3) or tensors (3, h, w) with uint8 or pixels in [0, 1], "
        f"got {type(image).__name__}{shape}"
    )


def _bytes(image: Tensor) -> Tensor:
    if image.dtype == torch.uint8:
        return image
    if not image.is_floating_point() or not 0 <= float(image.min()) <= float(image.max()) <= 1:
        raise InputError(
            f"expected pixels in [0, 1] or uint8, got {image.dtype} from {float(image.min()):.4g} to {float(image.max()):.4g}; "
            "give images as they were decoded, the duo normalises them itself"
        )
    return (image * 255).round().to(torch.uint8)
