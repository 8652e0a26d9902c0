"""Batches of pixels: each image decoded once, for every split and transform that shows it, in other processes."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from duo_core.common.arrays import InputError
from duo_core.images import UnreadableImageError
from duo_core.images.splits import Split
from duo_core.models.transforms import Transform

FEW_IMAGES = 256
"""So few are decoded before worker processes have started."""
PREFETCHED = 2
"""Batches that each worker holds ready."""


class View(NamedTuple):
    """How some models see the images of a pass: a split of them, and the first stage of a transform."""

    split: Split
    transform: Transform


class Batch(NamedTuple):
    """Pixels of some rows of a split."""

    start: int
    stop: int
    kept: list[int]
    """Which of them could be read, counted from `start`."""
    views: list[Tensor]
    """uint8 (kept, 3, h, w) for each view."""
    problem: str
    """Why the run has to stop, or nothing; an exception would not come through from another process as it was."""


def stage(transform: Transform) -> tuple[Any, ...]:
    """Return what two transforms have to share for their pixels to be the same."""
    if not transform.antialias:
        return ()
    return transform.input_size, transform.resize, transform.interpolation, transform.crop


class Decoder(Dataset[Batch]):
    """Batches of a pass over rows that all its views share.

    Parameters
    ----------
    views
        All over the same rows of one source.
    spans
        Rows of each batch.
    skip_unreadable
        Leave out an image that cannot be decoded instead of ending.
    """

    def __init__(self, views: Sequence[View], spans: Sequence[range], skip_unreadable: bool) -> None:
        self.views, self.spans, self.skip_unreadable = views, spans, skip_unreadable

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, number: int) -> Batch:
        span = self.spans[number]
        try:
            kept, views = self._decoded(span)
        except InputError as error:
            return Batch(span.start, span.stop, [], [], str(error))
        return Batch(span.start, span.stop, kept, views, "")

    def _decoded(self, span: range) -> tuple[list[int], list[Tensor]]:
        kept: list[int] = []
        pixels: list[list[Tensor]] = [[] for _ in self.views]
        for position in span:
            try:
                seen = self._seen(position)
            except UnreadableImageError:
                if not self.skip_unreadable:
                    raise
                continue
            kept.append(position - span.start)
            for into, image in zip(pixels, seen, strict=True):
                into.append(image)
        return kept, [self._stacked(images, kept, span) for images in pixels] if kept else []

    def _seen(self, position: int) -> list[Tensor]:
        """Decode one image, corrupt it once a corruption, and give every view its pixels."""
        first = self.views[0].split
        image = first.source.image(first.rows[position])
        corrupted = {view.split.corruption: view.split for view in self.views}
        shown = {corruption: split.view(image, position) for corruption, split in corrupted.items()}
        try:
            return [view.transform.pixels(shown[view.split.corruption]) for view in self.views]
        except InputError as error:
            raise InputError(f"{error} (image '{first.ids[position]}')") from None

    def _stacked(self, images: list[Tensor], kept: list[int], span: range) -> Tensor:
        for image, place in zip(images, kept, strict=True):
            if image.shape != images[0].shape:
                raise InputError(
                    f"expected images of one size, {images[0].shape[1]} x {images[0].shape[2]}, for a transform without "
                    f"antialiasing, got {image.shape[1]} x {image.shape[2]} in '{self.views[0].split.ids[span[place]]}'; "
                    "give the transform antialias true"
                )
        return torch.stack(images)


def batches(decoder: Decoder, workers: int | None, pinned: bool) -> Iterator[Batch]:
    """Run a decoder ahead of whoever takes the batches, in `workers` processes (None: as many as suit this machine)."""
    try:
        yield from loader(decoder, workers, pinned)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            "a process that decodes images was ended, mostly for want of memory; run again with fewer workers, or with none"
        ) from None


def loader(decoder: Decoder, workers: int | None, pinned: bool) -> DataLoader[Batch]:
    """Return the loader that `batches` takes from."""
    count = _workers(decoder) if workers is None else workers
    return DataLoader(
        decoder,
        batch_size=None,
        num_workers=count,
        collate_fn=_as_it_is,
        pin_memory=pinned,
        prefetch_factor=PREFETCHED if count else None,
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def _workers(decoder: Decoder) -> int:
    largest = max((len(span) for span in decoder.spans), default=0)
    pixels = sum(view.transform.input_size[1] * view.transform.input_size[2] * 3 for view in decoder.views)
    return workers_for(sum(len(span) for span in decoder.spans), len(decoder), pixels * largest)


def workers_for(images: int, tasks: int, task_bytes: int) -> int:
    """One a core, none for few images or where the memory shared between processes is too small, as in many containers."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(cores, 16, tasks)
    return 0 if images <= FEW_IMAGES or not _room(task_bytes, count) else count


def _room(task_bytes: int, workers: int) -> bool:
    shared = Path("/dev/shm")
    return not shared.exists() or shutil.disk_usage(shared).free > 2 * task_bytes * workers * (PREFETCHED + 1)
