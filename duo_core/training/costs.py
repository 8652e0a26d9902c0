"""What training costs: multiply-adds, and the time that they take on this device."""

import math
from dataclasses import dataclass

from duo_core.common.arrays import InputError
from duo_core.inference.progress import clock
from duo_core.models.cost import cost, throughput
from duo_core.training.finetune import Job
from duo_core.training.recipes import PASSES


@dataclass(frozen=True)
class TrainingCost:
    """Of a run: every trial, the linear probe and the validation after each epoch."""

    multiply_adds: int
    """Of one image, once through the model."""
    a_trial: int
    """Multiply-adds of one trial: three passes, times training images, times epochs."""
    trials: int
    images: int
    """Images, counted in forward passes, that all of it comes to."""
    images_per_second: float | None = None
    """Measured here, forward; None where it was not."""

    def __str__(self) -> str:
        total = self.a_trial * self.trials
        time = "" if not self.images_per_second else f"; about {clock(self.images / self.images_per_second)} on this device"
        return (
            f"{self.trials:,} trials of {_short(self.a_trial)} multiply-adds ({PASSES} x {_short(self.multiply_adds)} x images x "
            f"epochs), {_short(total)} together{time}"
        )


def training_cost(job: Job, measured: bool) -> TrainingCost:
    """Count what a run costs, and measure how fast the model is here where asked for."""
    size, recipe = job.model.transform.input_size, job.recipe
    once = cost(job.model.module, size).multiply_adds
    seen = PASSES * len(job.train) * recipe.epochs
    passes = recipe.trials * (seen + len(job.val) * recipe.epochs) + recipe.probe * (len(job.train) + len(job.val))
    speed = throughput(job.model.module, size, device=job.device, seconds=1.0).images_per_second if measured else None
    return TrainingCost(once, once * seen, recipe.trials, passes, speed)


def multiply_adds(job: Job) -> int | None:
    """Multiply-adds of one image; None where an operator of the model is unknown."""
    try:
        return cost(job.model.module, job.model.transform.input_size).multiply_adds
    except InputError:
        return None


def _short(number: float) -> str:
    """Three digits and a prefix.

    >>> _short(1_234_000_000), _short(12)
    ('1.23 G', '12')
    """
    power = min(6, int(math.log10(number) // 3)) if number >= 1000 else 0
    return f"{number / 1000**power:.3g}{'' if not power else ' ' + 'kMGTPE'[power - 1]}"
