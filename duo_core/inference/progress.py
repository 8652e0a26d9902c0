"""How far a computation is: done, rate, time left; and the line that says so on a terminal."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TextIO


@dataclass(frozen=True)
class Progress:
    """A moment of a computation that may have begun in an earlier run.

    >>> Progress(done=600, total=1000, earlier=500, seconds=2.0).rate
    50.0
    """

    done: int
    """Predictions there are: images times models, over all splits."""
    total: int
    earlier: int
    """Those among them that an earlier run left."""
    seconds: float
    """Since this run began."""

    @property
    def rate(self) -> float:
        """Predictions a second in this run; 0 before the first."""
        return (self.done - self.earlier) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Expected time to the end; None while there is no rate to tell it by."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f", {clock(self.seconds_left)} left"
        part = self.done / self.total if self.total else 1.0
        return f"{part:4.0%}  {self.done:,} of {self.total:,} predictions, {self.rate:,.0f}/s{left}"


class Shown(Protocol):
    """What a Printer shows: how far something is, and a line that says it."""

    @property
    def done(self) -> int:
        """What is done."""

    @property
    def total(self) -> int:
        """What there is to do."""


ProgressCallback = Callable[[Progress], None]


class Printer:
    """Shows progress on a stream: one line written over on a terminal, else a new line every so many seconds.

    Parameters
    ----------
    stream
        Standard error, so that standard output stays free for results.
    every
        Seconds between lines where the stream is no terminal; the last one is always written.
    """

    def __init__(self, stream: TextIO, every: float = 10.0) -> None:
        self._stream, self._terminal = stream, stream.isatty()
        self._every = 0.1 if self._terminal else every
        self._last = time.monotonic() - (self._every if self._terminal else 0)
        self._width = 0

    def __call__(self, progress: Shown) -> None:
        """Show this moment, unless the one before was shown only just now."""
        ended = progress.done >= progress.total
        if not ended and time.monotonic() - self._last < self._every:
            return
        self._last = time.monotonic()
        text = str(progress)
        self._stream.write(f"\r{text.ljust(self._width)}{chr(10) if ended else ''}" if self._terminal else f"{text}\n")
        self._stream.flush()
        self._width = len(text)


def clock(seconds: float) -> str:
    """Seconds as minutes, or hours, and seconds.

    >>> clock(75), clock(3675)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
