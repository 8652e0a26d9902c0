"""How many processes decode images, and how many images each takes at once: as many as the memory that they share holds."""

import shutil
from pathlib import Path
from typing import NamedTuple

from duo_core.common.parallel import cores

FEW_IMAGES = 256
"""So few are decoded before worker processes have started."""
MOST_WORKERS = 16
PREFETCHED = 2
"""Tasks that each worker holds ready."""
MOST_IMAGES = 64
"""Of a task: larger ones only make the others wait."""
IN_FLIGHT = 4 << 30
"""Bytes of pixels that are on their way at once, at most: more than a batch of all the zoo's views on a GPU."""


class Crew(NamedTuple):
    """How images are decoded."""

    workers: int
    """Processes; 0 for this one."""
    images: int
    """Of a task."""
    why: str
    """What kept the processes fewer than the cores, or nothing."""

    def __str__(self) -> str:
        who = "this process" if not self.workers else f"{self.workers} process{'es' if self.workers > 1 else ''}"
        return f"images are decoded by {who}, {self.images} at a time{f' ({self.why})' if self.why else ''}"


def crew(images: int, image_bytes: int, asked: int | None = None, *, least: int = 1) -> Crew:
    """Return the largest crew whose pixels fit.

    A worker decodes into memory that processes share (/dev/shm on Linux), where PREFETCHED tasks wait beside the one that it is at.
    Half of that memory is left to others, and tasks get smaller before workers get fewer.

    >>> str(crew(images=10_000, image_bytes=3 * 224 * 224, asked=4))
    'images are decoded by 4 processes, 64 at a time'

    Parameters
    ----------
    images
        To decode in all.
    image_bytes
        Pixels of an image, in all views of it.
    asked
        Workers that somebody asked for, who get them.
    least
        Images of the smallest task; what is larger than all of them, a batch that cannot be divided for instance.
    """
    if asked == 0:
        return Crew(0, MOST_IMAGES, "")
    if asked is None and images <= FEW_IMAGES:
        return Crew(0, max(least, MOST_IMAGES), f"{images:,} images are few")
    shared = shared_memory()
    room = IN_FLIGHT if shared is None else min(IN_FLIGHT, shared // 2)
    wanted = asked or min(cores(), MOST_WORKERS, -(-images // least))
    fits = room // ((PREFETCHED + 1) * max(1, image_bytes) * least)
    said = f"/dev/shm has {(shared or 0) / 1e6:,.0f} MB free, and an image takes {image_bytes / 1e6:.1f} MB"
    workers = asked or min(wanted, fits)
    if not workers:
        return Crew(0, max(least, MOST_IMAGES), said)
    each = room // ((PREFETCHED + 1) * max(1, image_bytes) * workers)
    return Crew(workers, max(least, min(MOST_IMAGES, each)), said if workers < wanted else "")


def shared_memory() -> int | None:
    """Bytes that are free in the memory that processes share; None where it has no bound of its own."""
    place = Path("/dev/shm")
    return shutil.disk_usage(place).free if place.exists() else None
