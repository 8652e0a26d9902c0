"""How far a run is: trial, epoch, images a second, time left, best score so far; and the line that says so."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from duo_core.inference.progress import Shown, clock
from duo_core.training.finetune import Job, Moment
from duo_core.training.lessons import Plan
from duo_core.training.scores import Score


@dataclass(frozen=True)
class RunProgress:
    """A moment of a run.

    >>> print(RunProgress(10, 40, trial=0, trials=2, epoch=1, epochs=2, rate=50.0, seconds_left=90.0, best="0.5000 (trial 0)"))
     25%  trial 0 of 0..1, epoch 1 of 2, 50 images/s, 1:30 left, best 0.5000 (trial 0)
    """

    done: int
    """Steps, over all trials."""
    total: int
    trial: int
    trials: int
    epoch: int
    epochs: int
    rate: float
    """Training images a second in this run."""
    seconds_left: float | None
    best: str

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f", {clock(self.seconds_left)} left"
        best = f", best {self.best}" if self.best else ""
        return (
            f"{self.done / self.total:4.0%}  trial {self.trial} of 0..{self.trials - 1}, epoch {self.epoch} of {self.epochs}, "
            f"{self.rate:,.0f} images/s{left}{best}"
        )


class Meter:
    """Counts the steps of a run and shows them.

    Parameters
    ----------
    job
        The run.
    show
        Takes each moment, a Printer for instance.
    best
        The best score of the trials that have ended, and its trial.
    """

    def __init__(self, job: Job, show: Callable[[Shown], None], best: tuple[Score, int] | None = None) -> None:
        self._job, self._show, self._best = job, show, best
        self._plan = Plan(len(job.train), job.recipe.batch_size, job.recipe.epochs, job.seed, 0)
        self._first: tuple[float, int] | None = None

    def __call__(self, trial: int, moment: Moment) -> None:
        """Take a moment of a trial; the rate is that since the first, so that neither the probe nor earlier runs count."""
        recipe, steps = self._job.recipe, self._plan.steps
        done, total = trial * steps + moment.step, recipe.trials * steps
        if moment.best is not None and (self._best is None or moment.best.loss < self._best[0].loss):
            self._best = moment.best, trial
        began, earlier = self._first = self._first or (time.monotonic(), done)
        rate = (done - earlier) / max(time.monotonic() - began, 1e-9)
        self._show(
            RunProgress(
                done=done,
                total=total,
                trial=trial,
                trials=recipe.trials,
                epoch=min(recipe.epochs, moment.step // self._plan.steps_an_epoch + 1),
                epochs=recipe.epochs,
                rate=rate * len(self._job.train) / self._plan.steps_an_epoch,
                seconds_left=(total - done) / rate if rate else None,
                best=f"{self._best[0].value:.4f} (trial {self._best[1]})" if self._best else "",
            )
        )
