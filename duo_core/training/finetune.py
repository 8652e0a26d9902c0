"""One trial: a model trained on images step by step, stored so that it goes on after any interruption as if there had been none."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from duo_core.common.arrays import InputError
from duo_core.images.splits import Split
from duo_core.models.devices import computing, current, empty_cache, out_of_memory, tf32
from duo_core.models.zoo import LoadedModel
from duo_core.training.heads import blank
from duo_core.training.lessons import NETWORK, WEIGHTS, Lesson, Plan, lessons, seed_of
from duo_core.training.norms import to_training
from duo_core.training.passes import logits_of
from duo_core.training.recipes import Draw, Recipe
from duo_core.training.resuming import Saved, Stored
from duo_core.training.scores import Metric, Score, score

SAVE_SECONDS = 120.0
"""Within an epoch, the state is stored at the first step after so long; it is at the end of every epoch."""
LEAST_CHUNK = 8
"""Images below which a batch that does not fit is not divided further."""
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What all trials of a run share."""

    model: LoadedModel
    """Of the run's classes, on the CPU, with the weights of the anchor where there is one."""
    train: Split
    val: Split
    recipe: Recipe
    seed: int
    metric: Metric
    device: torch.device
    precision: str
    """float32, tf32, or bfloat16 for autocast; scores are always float32."""


@dataclass
class Moment:
    """Where a trial is."""

    step: int = 0
    loss: float = 0.0
    """Sum over the images of this epoch."""
    images: int = 0
    """Of this epoch."""
    curve: list[dict[str, Any]] = field(default_factory=list)
    """One record an epoch: training loss, learning rate at its end, validation score."""
    best: Score | None = None
    best_epoch: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a trial came to: weights, or why there are none."""

    moment: Moment
    state: dict[str, Tensor]
    threads: tuple[int, ...]
    """Numbers of threads that it was trained with; of more than one, the last bits are those of no single number."""
    failed: str = ""


class FailedError(Exception):
    """A trial that cannot go on, for a reason of its own."""


def schedule(recipe: Recipe, steps: int) -> Callable[[int], float]:
    """Return the share of the learning rate at each step: a linear warm-up, then a cosine that would be 0 after the last step.

    >>> from duo_core.training.recipes import RECIPES
    >>> [round(schedule(RECIPES["paper"], steps=20)(step), 3) for step in (0, 1, 2, 11, 20)]
    [0.1, 0.55, 1.0, 0.5, 0.0]
    """
    rising = round(recipe.warm_up * steps)

    def share(step: int) -> float:
        if step < rising:
            return recipe.warm_up_from + (1 - recipe.warm_up_from) * step / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    return share


class Trial:
    """One trial of a run, on its device.

    Parameters
    ----------
    job
        The run.
    draw
        The trial's number, learning rate and weight decay.
    """

    def __init__(self, job: Job, draw: Draw) -> None:
        self.job, self.draw, self.moment = job, draw, Moment()
        self.plan = Plan(len(job.train), job.recipe.batch_size, job.recipe.epochs, job.seed, draw.trial)
        self._module = self._built().to(device=job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = torch.optim.AdamW(self._module.parameters(), lr=draw.learning_rate, weight_decay=draw.weight_decay)
        self._scheduler = LambdaLR(self._optimizer, schedule(job.recipe, self.plan.steps))
        self._constants = job.model.transform.constants(job.device)
        self._chunk = self.plan.batch_size
        self._best: dict[str, Tensor] = {}
        self._threads: tuple[int, ...] = (torch.get_num_threads(),)

    def _built(self) -> nn.Module:
        if self.job.recipe.probe:
            return copy.deepcopy(self.job.model.module)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.job.seed, self.draw.trial, WEIGHTS))
            return blank(self.job.model, self.job.model.class_names or ()).module

    def train(self, stored: Stored, tell: Tell, progress: Callable[[Moment], None]) -> Outcome:
        """Train from where the trial was left to its end; what is stored on the way is enough to go on from."""
        self._resume(stored, tell)
        saved, devices = time.monotonic(), [self.job.device] if self.job.device.type == "cuda" else []
        todo = range(self.moment.step, self.plan.steps)
        try:
            with current(self.job.device), torch.random.fork_rng(devices=devices):
                for lesson in lessons(self.job.train, self.job.model.transform, self.plan, self.job.recipe.augment, todo, tell):
                    self._learn(lesson, tell)
                    if self.moment.step % self.plan.steps_an_epoch == 0:
                        self._end_epoch()
                    elif time.monotonic() - saved < SAVE_SECONDS:
                        progress(self.moment)
                        continue
                    stored.write(self._saved())
                    saved = time.monotonic()
                    progress(self.moment)
        except FailedError as error:
            return Outcome(self.moment, {}, self._threads, str(error))
        return Outcome(self.moment, self._best, self._threads)

    def _learn(self, lesson: Lesson, tell: Tell) -> None:
        """Take one step."""
        to_training(self._module, self.job.recipe.statistics)
        loss = self._gradients(lesson, tell)
        if not math.isfinite(loss):
            raise FailedError(f"the loss was {loss} at step {self.moment.step + 1:,} of {self.plan.steps:,}")
        self._optimizer.step()
        self._scheduler.step()
        self.moment.step += 1
        self.moment.loss += loss * len(lesson.labels)
        self.moment.images += len(lesson.labels)

    def _gradients(self, lesson: Lesson, tell: Tell) -> float:
        """Leave the gradients of a batch's mean loss in the parameters, and return it; in parts where the batch does not fit."""
        while True:
            self._optimizer.zero_grad(set_to_none=True)
            torch.manual_seed(seed_of(self.job.seed, self.draw.trial, NETWORK, lesson.step))
            parts = zip(torch.split(lesson.pixels, self._chunk), torch.split(lesson.labels, self._chunk), strict=True)
            try:
                return sum(self._backward(*part, len(lesson.labels)) for part in parts)
            except (RuntimeError, MemoryError) as error:
                if self.job.device.type == "cpu" or not out_of_memory(error):
                    raise
            self._halve(len(lesson.labels), tell)

    def _backward(self, pixels: Tensor, labels: Tensor, images: int) -> float:
        """Add a part's share of the gradient; return its share of the loss."""
        where = self.job.device
        inputs = self.job.model.transform.batch(pixels.to(where, non_blocking=True), self._constants)
        with computing(where, self.job.precision):
            logits = self._module(inputs)
        loss = functional.cross_entropy(logits.float(), labels.to(where), reduction="sum") / images
        with tf32(self.job.precision == "tf32"):
            loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    def _halve(self, images: int, tell: Tell) -> None:
        tried = min(self._chunk, images)
        if tried <= LEAST_CHUNK:
            raise InputError(
                f"'{self.job.model.spec.name}' cannot be trained in the memory of {self.job.device} with {tried} images at once; "
                "use another device, or smaller images"
            )
        self._chunk = max(LEAST_CHUNK, tried // 2)
        empty_cache(self.job.device)
        tell(f"{tried} images do not fit into memory: {self._chunk} at once, added up to batches of {self.plan.batch_size}")

    def _end_epoch(self) -> None:
        """Judge the weights on the validation images; keep them where they are the best so far."""
        moment = self.moment
        logits = logits_of(self._module, self.job.val, self.job.model.transform)
        if not torch.isfinite(logits).all():
            raise FailedError(f"the logits were not finite after epoch {len(moment.curve) + 1}")
        found = score(logits, self.job.val.labels, self.job.metric)
        epoch = len(moment.curve) + 1
        record = {
            "epoch": epoch,
            "train_loss": moment.loss / moment.images,
            "learning_rate": self._scheduler.get_last_lr()[0],
            "accuracy": found.right / found.n,
            "macro_f1": found.macro_f1,
            "nll": found.nll,
        }
        moment.curve, moment.loss, moment.images = [*moment.curve, record], 0.0, 0
        if moment.best is None or found.loss < moment.best.loss:
            moment.best, moment.best_epoch = found, epoch
            self._best = self._weights()

    def _weights(self) -> dict[str, Tensor]:
        return {key: value.detach().cpu().clone().contiguous() for key, value in self._module.state_dict().items()}

    def _saved(self) -> Saved:
        moments = {
            f"{number}.{name}": value.detach().cpu()
            for number, values in self._optimizer.state_dict()["state"].items()
            for name, value in values.items()
        }
        return Saved(vars(self.moment), self._weights(), self._best, moments, self._threads)

    def _resume(self, stored: Stored, tell: Tell) -> None:
        """Go on from what was stored, if anything was."""
        saved = stored.read(tell)
        if saved is None:
            return
        self.moment, self._best = Moment(**saved.moment), dict(saved.best)
        with torch.no_grad():
            for key, value in self._module.state_dict().items():
                value.copy_(saved.weights[key])
        for number, parameter in enumerate(self._optimizer.param_groups[0]["params"]):
            names = [key.partition(".")[2] for key in saved.moments if key.partition(".")[0] == str(number)]
            self._optimizer.state[parameter] = {name: _like(parameter, name, saved.moments[f"{number}.{name}"]) for name in names}
        self._scheduler.last_epoch = self.moment.step
        for group, rate in zip(self._optimizer.param_groups, self._scheduler.base_lrs, strict=True):
            group["lr"] = rate * self._scheduler.lr_lambdas[0](self.moment.step)
        self._scheduler._last_lr = [group["lr"] for group in self._optimizer.param_groups]
        (now,), before = self._threads, saved.threads
        self._threads = tuple(dict.fromkeys((*before, now)))
        tell(f"trial {self.draw.trial} goes on at step {self.moment.step:,} of {self.plan.steps:,}{_changed(before, now)}")


def _changed(before: Sequence[int], now: int) -> str:
    """Say that a trial's steps were taken with other numbers of threads, or nothing.

    >>> _changed((2,), 4), _changed((2,), 2)
    (', with 4 threads where it began with 2: the last bits may differ', '')
    >>> _changed((2, 4), 2)
    ', with 2 threads after steps with 4: the last bits may differ'
    """
    others = [number for number in before if number != now]
    if not others:
        return ""
    earlier = f"where it began with {before[0]}" if before[0] != now else f"after steps with {others[-1]}"
    return f", with {now} thread{'s' * (now != 1)} {earlier}: the last bits may differ"


def _like(parameter: Tensor, name: str, value: Tensor) -> Tensor:
    """A moment laid out in memory as its parameter is, so that arithmetic on it gives the same bits; a counter stays as it is."""
    return value.clone() if name == "step" else torch.zeros_like(parameter).copy_(value)
