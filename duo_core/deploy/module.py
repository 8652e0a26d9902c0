"""Duo: models, their transforms and their weights as one torch module, from images to answers."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from duo_core.common.arrays import InputError, UncertaintyKind
from duo_core.models.transforms import Transform

Picture = Image.Image | Tensor | NDArray[np.uint8]


class Answer(NamedTuple):
    """What a duo says of b images."""

    logits: Tensor
    """What the members say together (b, k), float64: logits, or for the rule `probabilities` logarithms of probabilities."""
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
    """A system of one model or more: a duo where there are two; their logits are added, each times its weight (paper Sec. 3.1).

    Parameters
    ----------
    members
        Models of the same classes.
    weights
        What multiplies the logits of each, as `duo_core.systems.weighing.fit_members` finds them.
    temperature
        What multiplies all that comes out; it changes no class.
    pooled
        Whether it is the members' softmaxes that are averaged, each of weighted logits, not the logits added.
    says
        Place of the member whose class is answered, None for the system's own; the uncertainty is that of this class.
    names
        The members' names: sums are taken in the order of these, so that the members' order changes no bit.
    classes
        Names of the k classes; may be empty.
    kind
        `softmax`: 1 - the probability of the class, summed from the other classes so that it does not saturate at 0; `entropy`:
        that of the combined distribution, in nats.
    threshold
        Uncertainty above which it abstains. An attribute: set another one at any time, None for none.
    record
        What duo.json says, where it was loaded from a folder.

    Examples
    --------
    >>> square = Transform((3, 1, 1), mean=(0.0,) * 3, std=(1.0,) * 3, resize=(1, 1), crop=False)
    >>> member = Member(nn.Flatten(), square)  # the logits are the colours
    >>> duo = Duo([member, member], [1.0, 1.0], threshold=0.3)
    >>> answer = duo([Image.new("RGB", (5, 7), "red"), Image.new("RGB", (2, 2), "gray")])
    >>> answer.predicted.tolist(), answer.abstain.tolist()
    ([0, 0], [False, True])
    """

    def __init__(
        self,
        members: Sequence[Member],
        weights: Sequence[float],
        *,
        temperature: float = 1.0,
        pooled: bool = False,
        says: int | None = None,
        names: Sequence[str] = (),
        classes: Sequence[str] = (),
        kind: UncertaintyKind = "softmax",
        threshold: float | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not members or len(members) != len(weights):
            raise InputError(f"expected a weight for each of one member or more, got {len(members)} and {len(weights)}")
        self.members, self.weights = nn.ModuleList(members), tuple(weights)
        self.temperature, self.pooled, self.classes, self.kind = temperature, pooled, tuple(classes), kind
        self.says = 0 if len(members) == 1 else says  # the class of one model is its own, even where its weight is 0
        self.order = sorted(range(len(members)), key=lambda place: names[place] if names else "")
        self.threshold, self.record = threshold, record

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
        return self.answer(*(member.of_pictures(pictures, device) for member in self.all_members()))

    def all_members(self) -> list[Member]:
        """Return the members in their order."""
        return [cast(Member, member) for member in self.members]

    def answer(self, *logits: Tensor) -> Answer:
        """Answer from the logits (b, k) of each member."""
        together, predicted, uncertainty = self.judged(*logits)
        # Written so that an uncertainty that is no number abstains.
        abstain = None if self.threshold is None else ~(uncertainty <= self.threshold)
        return Answer(together, predicted, uncertainty, abstain)

    def judged(self, *logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Combined logits, predicted class and uncertainty; what does not depend on the threshold."""
        join = mean_of_softmaxes if self.pooled else weighted_sum
        together = join([logits[place] for place in self.order], [self.weights[place] for place in self.order])
        predicted = (together if self.says is None else logits[self.says]).argmax(1)
        together = times(together, self.temperature)
        uncertainty = doubt(together, predicted) if self.kind == "softmax" else entropy(together)
        return together, predicted, uncertainty


def weighted_sum(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the members' logits (b, k), each times its weight, added; float64. A class that one masks stays masked.

    Nothing in it depends on the numbers, so that it can be traced.

    >>> weighted_sum([torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, -torch.inf]])], [2.0, 0.5]).tolist()
    [[2.0, -inf]]
    """
    masked = _masked(logits)
    parts = [own.double().masked_fill(masked, 0.0) * weight for own, weight in zip(logits, weights, strict=True)]
    return functools.reduce(torch.add, parts).masked_fill(masked, -math.inf)


def mean_of_softmaxes(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the logarithm of the mean of the softmaxes (b, k) of weighted logits; a class that one masks is left out of all.

    >>> sure, lost = torch.tensor([[100.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    >>> [round(p, 3) for p in mean_of_softmaxes([sure, lost], [1.0, 1.0]).exp()[0].tolist()]
    [0.75, 0.25]
    """
    masked = _masked(logits)
    parts = [weighted_sum([own.masked_fill(masked, -math.inf)], [w]) for own, w in zip(logits, weights, strict=True)]
    return torch.stack([part.log_softmax(1) for part in parts]).logsumexp(0) - math.log(len(parts))


def _masked(logits: Sequence[Tensor]) -> Tensor:
    return functools.reduce(torch.logical_or, (own.isneginf() for own in logits))


def times(logits: Tensor, temperature: float) -> Tensor:
    """Return logits (b, k) times a temperature; a masked class stays masked whatever it is.

    >>> times(torch.tensor([[2.0, -torch.inf]]), 0.0).tolist()
    [[0.0, -inf]]
    """
    return torch.where(logits.isneginf(), logits, logits * temperature)


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
