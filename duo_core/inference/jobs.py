"""One pass of images through the models that lack them: jobs, their rows, and how far they are."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.images.splits import Split
from duo_core.inference.decoding import Batch, Decoder, View, batches, crew_for, stage
from duo_core.inference.progress import Progress, ProgressCallback
from duo_core.inference.runner import Runner

SAVE_SECONDS = 2.0
"""Rows are made durable at the first batch boundary after so long; a sync for every small batch would cost more than the batch."""
SAVING = 20
"""And not before so many times as long as the last saving took."""
PINNED = ("cuda", "xpu")
"""Devices that fetch pixels from the host's memory themselves."""
Tell = Callable[[str], None]


class Sink(Protocol):
    """Where the rows of a job are kept: a journal, or memory."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, k) when it is full."""

    @property
    def dtype(self) -> torch.dtype:
        """What rows are kept as."""

    @property
    def done(self) -> int:
        """Rows kept so far."""

    def append(self, rows: Tensor) -> None:
        """Keep rows after those done."""


@dataclass
class InMemory:
    """Rows of a job that is done again from its beginning when it is interrupted."""

    shape: tuple[int, int]
    dtype: torch.dtype
    parts: list[Tensor] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Rows kept so far."""
        return sum(len(part) for part in self.parts)

    def append(self, rows: Tensor) -> None:
        """Keep rows after those done."""
        self.parts.append(rows)


@dataclass
class Job:
    """One model on one split: rows kept in its sink, and those that wait to be saved."""

    runner: Runner
    split_name: str
    split: Split
    sink: Sink
    waiting: list[Tensor] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Rows that are kept or wait."""
        return self.sink.done + sum(len(rows) for rows in self.waiting)

    @property
    def view(self) -> tuple[Any, ...]:
        """What other jobs have to share for their pixels to be the same."""
        return self.split.corruption, stage(self.runner.transform)

    def take(self, logits: Tensor, batch: Batch) -> None:
        """Keep the rows of a batch that are not done yet; an image that was left out has a row of NaN."""
        self._check_finite(logits, batch)
        rows = torch.full((batch.stop - batch.start, self.sink.shape[1]), torch.nan)
        rows[batch.kept] = logits
        stored = rows.to(self.sink.dtype)
        if torch.isinf(stored).any():
            raise InputError(
                f"'{self.runner.model.spec.name}' gives logits up to {logits.abs().max():.4g}, but float16 ends at 65504; "
                "store float32"
            )
        self.waiting.append(stored[self.done - batch.start :])

    def save(self) -> None:
        """Keep the rows that wait."""
        if self.waiting:
            rows, self.waiting = torch.cat(self.waiting), []
            self.sink.append(rows)

    def _check_finite(self, logits: Tensor, batch: Batch) -> None:
        finite = torch.isfinite(logits).all(dim=1)
        if not finite.all():
            row = batch.start + batch.kept[int(torch.nonzero(~finite)[0])]
            raise InputError(
                f"expected finite logits, got NaN or infinity from '{self.runner.model.spec.name}' for the image "
                f"'{self.split.ids[row]}' of '{self.split_name}'; check the checkpoint, or compute in float32"
            )


class Meter:
    """Counts what is done and tells whoever asked."""

    def __init__(self, expected: int, callback: ProgressCallback | None = None) -> None:
        self._callback, self._began = callback, time.monotonic()
        self._total = expected
        self._done = self._earlier = self.decoded = 0

    def open(self, jobs: Sequence[Job], expected: int) -> None:
        """Count a group of jobs, of which nothing but a number of predictions was known before."""
        self._total += sum(len(job.split) for job in jobs) - expected
        earlier = sum(job.done for job in jobs)
        self._done, self._earlier = self._done + earlier, self._earlier + earlier

    def add(self, images: int, predictions: int) -> None:
        """Count a batch."""
        self.decoded += images
        self._done += predictions
        if self._callback:
            self._callback(Progress(self._done, self._total, self._earlier, time.monotonic() - self._began))


def passes(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs that see the same images together: those of a split and of its corrupted copies."""
    groups: dict[tuple[int, tuple[int, ...]], list[Job]] = defaultdict(list)
    for job in jobs:
        if job.done < len(job.split):
            groups[id(job.split.source), job.split.rows].append(job)
    return list(groups.values())


def run_pass(jobs: Sequence[Job], size: int, workers: int | None, skip_unreadable: bool, meter: Meter, tell: Tell) -> None:
    """Bring the jobs of a pass to their end; whatever ends it sooner, the rows so far are saved."""
    n = len(jobs[0].split)
    spans = [range(at, min(at + size, n)) for at in range(min(job.done for job in jobs), n, size)]
    views = {job.view: View(job.split, job.runner.transform) for job in jobs}
    decoder = Decoder(list(views.values()), spans, skip_unreadable)
    tell(f"{crew_for(decoder, workers)}: {', '.join(dict.fromkeys(job.split_name for job in jobs))}")
    saved, took = time.monotonic(), 0.0
    try:
        for batch in batches(decoder, workers, jobs[0].runner.device.type in PINNED):
            _take(batch, dict(zip(views, batch.views, strict=False)), jobs, meter)
            if (now := time.monotonic()) - saved > max(SAVE_SECONDS, SAVING * took):
                _save(jobs)
                saved = time.monotonic()
                took = saved - now
    finally:
        _save(jobs)


def _take(batch: Batch, pixels: Mapping[Any, Tensor], jobs: Sequence[Job], meter: Meter) -> None:
    """Run a batch through every model that has not seen it; all models before any logits, so that a GPU need not wait."""
    if batch.problem:
        raise InputError(batch.problem)
    behind = [job for job in jobs if job.done < batch.stop]
    fresh = sum(batch.stop - job.done for job in behind)
    outputs = [job.runner(pixels[job.view]) if batch.kept else torch.empty(0, job.sink.shape[1]) for job in behind]
    for job, logits in zip(behind, outputs, strict=True):
        job.take(logits.cpu(), batch)
    meter.add(batch.stop - batch.start, fresh)


def _save(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.save()


def rows_of(
    split: Split,
    name: str,
    runner: Runner,
    dtype: torch.dtype,
    *,
    size: int,
    workers: int | None = None,
    skip_unreadable: bool = False,
    tell: Tell = lambda _: None,
) -> Tensor:
    """Logits (n, k) of a runner's model on a split of that name, which nothing keeps on the way."""
    sink = InMemory((len(split), runner.model.classes), dtype)
    with runner:
        run_pass([Job(runner, name, split, sink)], size, workers, skip_unreadable, Meter(len(split)), tell)
    return torch.cat(sink.parts)
