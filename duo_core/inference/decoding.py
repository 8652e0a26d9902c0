"""Batches of pixels: each image decoded once, for every split and transform that shows it, in other processes."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from duo_core.common.arrays import InputError
from duo_core.images import UnreadableImageError
from duo_core.images.splits import Split
from duo_core.inference.workers import PREFETCHED, Crew, crew
from duo_core.models.transforms import Transform

Pixels = NDArray[np.uint8]
"""Of an image, (h, w, 3)."""


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
    """uint8 (kept, 3, h, w) for each view, channels last in memory."""
    problem: str
    """Why the run has to stop, or nothing; an exception would not come through from another process as it was."""


def stage(transform: Transform) -> tuple[Any, ...]:
    """Return what two transforms have to share for their pixels to be the same."""
    if not transform.antialias:
        return ()
    return transform.input_size, transform.resize, transform.interpolation, transform.crop


class Decoder(Dataset[Batch]):
    """Parts of batches of a pass over rows that all its views share.

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
        self.parts: Sequence[range] = spans

    def cut(self, images: int) -> None:
        """Decode so many images of a batch at once, whatever the size of the batches."""
        self.parts = [span[at : at + images] for span in self.spans for at in range(0, len(span), images)]

    @property
    def image_bytes(self) -> int:
        """Pixels of an image, in all views."""
        return sum(view.transform.input_size[1] * view.transform.input_size[2] * 3 for view in self.views)

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> Batch:
        span = self.parts[number]
        try:
            kept, views = self._decoded(span)
        except InputError as error:
            return Batch(span.start, span.stop, [], [], str(error))
        return Batch(span.start, span.stop, kept, views, "")

    def _decoded(self, span: range) -> tuple[list[int], list[Tensor]]:
        kept: list[int] = []
        pixels: list[list[Pixels]] = [[] for _ in self.views]
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

    def _seen(self, position: int) -> list[Pixels]:
        """Decode one image, corrupt it once a corruption, and give every view its pixels."""
        first = self.views[0].split
        image = first.source.image(first.rows[position])
        corrupted = {view.split.corruption: view.split for view in self.views}
        shown = {corruption: split.view(image, position) for corruption, split in corrupted.items()}
        try:
            return [view.transform.array(shown[view.split.corruption]) for view in self.views]
        except InputError as error:
            raise InputError(f"{error} (image '{first.ids[position]}')") from None

    def _stacked(self, images: list[Pixels], kept: list[int], span: range) -> Tensor:
        for image, place in zip(images, kept, strict=True):
            self.check_size(images[0].shape[:2], image.shape[:2], span[place])
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)

    def check_size(self, first: Sequence[int], own: Sequence[int], position: int) -> None:
        """Raise InputError where an image of a size (height, width) cannot stand in one batch with the first."""
        if tuple(own) != tuple(first):
            raise InputError(
                f"expected images of one size, {first[0]} x {first[1]}, for a transform without antialiasing, got {own[0]} x "
                f"{own[1]} in '{self.views[0].split.ids[position]}'; give the transform antialias true"
            )


def batches(decoder: Decoder, workers: int | None, pinned: bool) -> Iterator[Batch]:
    """Run a decoder ahead of whoever takes the batches, in `workers` processes (None: as many as suit this machine).

    Parts of a batch are copied into place as they come, so that the memory that processes share holds only what is on its way;
    `pinned` puts the batches where a GPU fetches them without waiting.
    """
    whole = {span.start: span for span in decoder.spans}
    filled: _Filled | None = None
    for part in _parts(decoder, crew_for(decoder, workers)):
        if part.problem:
            yield part
            return
        filled = filled or _Filled(decoder, whole[part.start], pinned)
        problem = filled.add(part)
        if problem or part.stop == filled.span.stop:
            yield filled.batch(problem)
            filled = None
        if problem:
            return


def crew_for(decoder: Decoder, workers: int | None) -> Crew:
    """How a decoder is run: so many processes, and images of a part."""
    return crew(sum(map(len, decoder.spans)), decoder.image_bytes, workers)


class _Filled:
    """A batch that fills part by part."""

    def __init__(self, decoder: Decoder, span: range, pinned: bool) -> None:
        self._decoder, self.span, self._pinned = decoder, span, pinned
        self._kept: list[int] = []
        self._views: list[Tensor] = []

    def add(self, part: Batch) -> str:
        """Copy a part into place; say why it cannot be, or nothing."""
        if not part.kept:
            return ""
        if not self._views:
            shapes = [(len(self.span), *view.shape[2:], 3) for view in part.views]
            laid_out = [torch.empty(shape, dtype=torch.uint8, pin_memory=self._pinned) for shape in shapes]
            self._views = [pixels.permute(0, 3, 1, 2) for pixels in laid_out]
        at = len(self._kept)
        for view, pixels in zip(self._views, part.views, strict=True):
            try:
                self._decoder.check_size(view.shape[2:], pixels.shape[2:], part.start + part.kept[0])
            except InputError as error:
                return str(error)
            view[at : at + len(pixels)] = pixels
        self._kept += [part.start - self.span.start + place for place in part.kept]
        return ""

    def batch(self, problem: str) -> Batch:
        views = [view[: len(self._kept)] for view in self._views]
        return Batch(self.span.start, self.span.stop, self._kept, views if self._kept else [], problem)


def _parts(decoder: Decoder, chosen: Crew) -> Iterator[Batch]:
    decoder.cut(chosen.images)
    try:
        yield from loader(decoder, chosen.workers)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            "a process that decodes images was ended, mostly for want of memory; run again with fewer workers, or with none"
        ) from None


def loader(decoder: Dataset[Any], workers: int) -> DataLoader[Any]:
    """Return what gives the items of a decoder in order, from so many processes."""
    ahead = PREFETCHED if workers else None
    # Forked from this process: children of a server that Python may start for them (3.14) would outlive a process that is killed.
    start = "fork" if workers and sys.platform == "linux" else None
    return DataLoader(
        decoder, batch_size=None, num_workers=workers, collate_fn=_as_it_is, prefetch_factor=ahead, multiprocessing_context=start
    )


def _as_it_is(batch: Any) -> Any:
    return batch
