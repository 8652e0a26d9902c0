"""Training images, step by step: which ones, how they are augmented, and every random number of it from a seed and the step alone.

A generator that runs on would have to be stored with every step, and would depend on how many processes decode. None does here: the
order of an epoch, the augmentation of a batch and what a network draws in a step (dropout) are seeded by (seed, trial, step).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from duo_core.common.arrays import InputError
from duo_core.images.splits import Split
from duo_core.inference.decoding import loader
from duo_core.inference.workers import crew
from duo_core.models.transforms import Transform

ORDER, AUGMENTATION, NETWORK, WEIGHTS = range(4)
"""What random numbers are for, so that no two uses share them."""


def seed_of(seed: int, trial: int, purpose: int, number: int = 0) -> int:
    """Return a seed of 64 bits for one use; other arguments give another that has nothing to do with it."""
    sequence = np.random.SeedSequence([seed, trial], spawn_key=(purpose, number))
    return int(sequence.generate_state(1, np.uint64)[0])


@dataclass(frozen=True)
class Plan:
    """Which images each step of a trial sees."""

    images: int
    batch_size: int
    epochs: int
    seed: int
    trial: int

    @property
    def steps_an_epoch(self) -> int:
        """Batches of an epoch; the last may be smaller, and one of a single image is left out, which BatchNorm cannot normalise."""
        whole, rest = divmod(self.images, self.batch_size)
        return max(1, whole + (rest > 1))

    @property
    def steps(self) -> int:
        """Batches of all epochs."""
        return self.epochs * self.steps_an_epoch

    def rows(self, step: int) -> list[int]:
        """Positions in the split of the images of a step."""
        epoch, place = divmod(step, self.steps_an_epoch)
        order = _order(self.images, seed_of(self.seed, self.trial, ORDER, epoch))
        return [int(row) for row in order[place * self.batch_size : (place + 1) * self.batch_size]]


@lru_cache(maxsize=2)
def _order(images: int, seed: int) -> Any:
    return np.random.default_rng(seed).permutation(images)


class Lesson(NamedTuple):
    """The images of one step."""

    step: int
    pixels: Tensor
    """uint8 (b, 3, h, w)."""
    labels: Tensor
    """int64 (b,)."""
    problem: str
    """Why training has to stop, or nothing."""


class Lessons(Dataset[Lesson]):
    """The images of some steps, decoded, transformed as in evaluation and then augmented."""

    def __init__(self, split: Split, transform: Transform, plan: Plan, augment: bool, steps: range) -> None:
        self.split, self.transform, self.plan, self.steps = split, transform, plan, steps
        self._labels = split.labels
        self._augment = _augmentation() if augment else None

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, number: int) -> Lesson:
        step = self.steps[number]
        rows = self.plan.rows(step)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.plan.seed, self.plan.trial, AUGMENTATION, step))
            try:
                pixels = torch.stack([self._seen(row) for row in rows])
            except InputError as error:
                return Lesson(step, torch.empty(0), torch.empty(0), str(error))
        return Lesson(step, pixels, self._labels[rows], "")

    def _seen(self, row: int) -> Tensor:
        image = self.split.view(self.split.source.image(self.split.rows[row]), row)
        pixels = self.transform.pixels(image)
        if self._augment is None:
            return pixels
        changed = self._augment(Image.fromarray(pixels.permute(1, 2, 0).numpy()))
        return torch.from_numpy(np.array(changed)).permute(2, 0, 1)


def _augmentation() -> Any:
    from torchvision.transforms import v2

    return v2.Compose([v2.RandAugment(num_ops=2, magnitude=9), v2.RandomHorizontalFlip()])


def lessons(
    split: Split, transform: Transform, plan: Plan, augment: bool, steps: range, tell: Callable[[str], None] = lambda _: None
) -> Iterator[Lesson]:
    """Give the lessons of some steps, decoded ahead by as many processes as suit this machine; their number changes nothing."""
    taught = Lessons(split, transform, plan, augment, steps)
    chosen = crew(plan.images, math.prod(transform.input_size), least=plan.batch_size)
    tell(str(chosen))
    for lesson in loader(taught, chosen.workers):
        if lesson.problem:
            raise InputError(lesson.problem)
        yield lesson
