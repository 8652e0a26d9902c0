"""Many models over one pass of the images -> logits in a store; what is there already is not computed again."""

import contextlib
import errno
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.images.splits import Split
from duo_core.inference.decoding import Batch, Decoder, View, batches, stage
from duo_core.inference.filling import Filling
from duo_core.inference.progress import Progress, ProgressCallback
from duo_core.inference.runner import PRECISIONS, Runner, compute_device, fitting_classes
from duo_core.logits.store import Store
from duo_core.logits.store.journal import Journal

if TYPE_CHECKING:  # only the record's shape is needed, not torchvision and timm
    from duo_core.models.zoo import LoadedModel

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
BATCH_SIZE = {"cpu": 64, "cuda": 256}
SAVE_SECONDS = 2.0
"""Rows are made durable at the first batch boundary after so long; a sync for every small batch would cost more than the batch."""


@dataclass(frozen=True)
class Summary:
    """What a run did."""

    computed: tuple[str, ...]
    """Models that now stand in the set for all splits and did not before."""
    present: tuple[str, ...]
    """Models that stood there already."""
    left_out: Mapping[str, Sequence[str]]
    """Images of each split that could not be read."""
    decoded: int
    """Images that were decoded, each once for all models, transforms and corruptions."""


def compute(
    models: Sequence["LoadedModel"],
    splits: Mapping[str, Split],
    store: Store,
    set_name: str,
    *,
    title: str | None = None,
    source: str = "",
    licence: str = "",
    device: str = "auto",
    precision: str = "float32",
    batch_size: int | None = None,
    dtype: torch.dtype = torch.float32,
    workers: int | None = None,
    skip_unreadable: bool = False,
    progress: ProgressCallback | None = None,
    costs: Callable[["LoadedModel"], Mapping[str, Any]] | None = None,
) -> Summary:
    """Compute the logits that a set lacks and leave each model whole in the store.

    Stopped at any moment and called again, it goes on where it was. Batches lie at fixed places and rows are kept as they
    come, so the result is the same, bit for bit, as without the stop (on the same machine, with the same batch size).

    Parameters
    ----------
    device
        `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`.
    precision
        `float32`, or `bfloat16` for autocast. On CUDA, torch's own setting of TF32 rules the convolutions of `float32`.
    batch_size
        Images a batch; default 64 on a CPU, 256 on CUDA. One that does not fit is halved for the model in question.
    dtype
        What the logits are stored as, float32 or float16.
    workers
        Processes that decode; default one a core, or none for few images.
    skip_unreadable
        Leave out an image that cannot be decoded, for all models, instead of ending.
    progress
        Called after every batch.
    costs
        Returns what a model's card says of `multiply_adds`, `parameters`, `images_per_second`, `device`; asked at the start.

    Raises
    ------
    InputError
        Before anything is computed where models, images and set do not fit together; later where an image cannot be read,
        logits are not finite or do not fit float16, or the disk is full. What was computed by then is kept.
    """
    where, size = _checked(device, precision, dtype, batch_size)
    filling = Filling(store, set_name, splits, fitting_classes(models, splits), title or set_name, source, licence)
    missing = filling.missing(models)
    todo = [model for model in models if missing[model.spec.name]]
    filling.check(skip_unreadable)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_full_disk(store))
        cards = [filling.card(model, costs(model) if costs else {}) for model in todo]
        runners = [stack.enter_context(Runner(model, where, precision, size)) for model in todo]
        jobs = []
        for runner in runners:
            for split in missing[runner.model.spec.name]:
                journal = filling.journal(runner.model, split, dtype, precision)
                stack.callback(journal.close)
                jobs.append(_Job(runner, split, splits[split], journal))
        meter = _Meter(jobs, progress)
        for together in _passes(jobs):
            _run(together, size, workers, skip_unreadable, meter)
        journals = {(job.runner.model.spec.name, job.split_name): job.journal for job in jobs}
        left_out = filling.finish(cards, journals, skip_unreadable)
    present = tuple(model.spec.name for model in models if not missing[model.spec.name])
    return Summary(tuple(card.name for card in cards), present, left_out, meter.decoded)


@dataclass
class _Job:
    """One model on one split: rows kept in its journal, and those that wait to be saved."""

    runner: Runner
    split_name: str
    split: Split
    journal: Journal
    waiting: list[Tensor] = field(default_factory=list)

    @property
    def done(self) -> int:
        return self.journal.done + sum(len(rows) for rows in self.waiting)

    def take(self, logits: Tensor, batch: Batch) -> None:
        """Keep the rows of a batch that are not done yet; an image that was left out has a row of NaN."""
        self._check_finite(logits, batch)
        rows = torch.full((batch.stop - batch.start, self.journal.shape[1]), torch.nan)
        rows[batch.kept] = logits
        stored = rows.to(self.journal.dtype)
        if torch.isinf(stored).any():
            raise InputError(
                f"'{self.runner.model.spec.name}' gives logits up to {logits.abs().max():.4g}, but float16 ends at 65504; "
                "store float32"
            )
        self.waiting.append(stored[self.done - batch.start :])

    def save(self) -> None:
        if self.waiting:
            rows, self.waiting = torch.cat(self.waiting), []
            self.journal.append(rows)

    def _check_finite(self, logits: Tensor, batch: Batch) -> None:
        finite = torch.isfinite(logits).all(dim=1)
        if not finite.all():
            row = batch.start + batch.kept[int(torch.nonzero(~finite)[0])]
            raise InputError(
                f"expected finite logits, got NaN or infinity from '{self.runner.model.spec.name}' for the image "
                f"'{self.split.ids[row]}' of '{self.split_name}'; check the checkpoint, or compute in float32"
            )


class _Meter:
    """Counts what is done and tells whoever asked."""

    def __init__(self, jobs: Sequence[_Job], callback: ProgressCallback | None) -> None:
        self._callback, self._began = callback, time.monotonic()
        self._total = sum(len(job.split) for job in jobs)
        self._done = self._earlier = sum(job.done for job in jobs)
        self.decoded = 0

    def add(self, images: int, predictions: int) -> None:
        self.decoded += images
        self._done += predictions
        if self._callback:
            self._callback(Progress(self._done, self._total, self._earlier, time.monotonic() - self._began))


def _passes(jobs: Sequence[_Job]) -> list[list[_Job]]:
    """Jobs that see the same images together: those of a split and of its corrupted copies."""
    groups: dict[tuple[int, tuple[int, ...]], list[_Job]] = defaultdict(list)
    for job in jobs:
        if job.done < len(job.split):
            groups[id(job.split.source), job.split.rows].append(job)
    return list(groups.values())


def _run(jobs: Sequence[_Job], size: int, workers: int | None, skip_unreadable: bool, meter: _Meter) -> None:
    """Bring the jobs of a pass to their end; whatever ends it sooner, the rows so far are saved."""
    n = len(jobs[0].split)
    spans = [range(at, min(at + size, n)) for at in range(min(job.done for job in jobs), n, size)]
    views = {_view(job): View(job.split, job.runner.transform) for job in jobs}
    decoder = Decoder(list(views.values()), spans, skip_unreadable)
    saved = time.monotonic()
    try:
        for batch in batches(decoder, workers, jobs[0].runner.device.type == "cuda"):
            _take(batch, dict(zip(views, batch.views, strict=False)), jobs, meter)
            if time.monotonic() - saved > SAVE_SECONDS:
                _save(jobs)
                saved = time.monotonic()
    finally:
        _save(jobs)


def _take(batch: Batch, pixels: Mapping[Any, Tensor], jobs: Sequence[_Job], meter: _Meter) -> None:
    """Run a batch through every model that has not seen it; all models before any logits, so that a GPU need not wait."""
    if batch.problem:
        raise InputError(batch.problem)
    behind = [job for job in jobs if job.done < batch.stop]
    fresh = sum(batch.stop - job.done for job in behind)
    outputs = [job.runner(pixels[_view(job)]) if batch.kept else torch.empty(0, job.journal.shape[1]) for job in behind]
    for job, logits in zip(behind, outputs, strict=True):
        job.take(logits.cpu(), batch)
    meter.add(batch.stop - batch.start, fresh)


def _view(job: _Job) -> tuple[Any, ...]:
    return job.split.corruption, stage(job.runner.transform)


def _save(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job.save()


def _checked(device: str, precision: str, dtype: torch.dtype, batch_size: int | None) -> tuple[torch.device, int]:
    """Return the device and the batch size, once the options are seen to make sense."""
    if precision not in PRECISIONS:
        raise InputError(f"expected the precision {' or '.join(PRECISIONS)}, got '{precision}'")
    if dtype not in DTYPES:
        raise InputError(f"expected logits stored as float32, float16 or bfloat16, got {dtype}")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"expected a batch of at least one image, got {batch_size}")
    where = compute_device(device)
    return where, batch_size or BATCH_SIZE[where.type]


@contextlib.contextmanager
def _full_disk(store: Store) -> Iterator[None]:
    """Say in a sentence that the disk is full."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in str(error)
        if not full:
            raise
        raise InputError(
            f"the disk of '{store.path}' is full; what was computed is kept: free some space and run the same command again"
        ) from None
