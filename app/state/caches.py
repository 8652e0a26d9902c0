"""What is computed is kept: one place for all sessions, bounded in bytes, where each value is computed once for all who ask."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

from app.budget import budget
from app.state.once import Compute, Follow, Work
from app.state.sizes import Ledger, pieces
from app.state.turns import in_turn
from app.state.waiting import hurried, patiently, there, told

OWN = "upload:"
"""What the stamp of an uploaded set begins with, and so every key of what is computed from it."""
SPARE = 4
"""Uploads cannot be computed again and stay however large they are; a 1/SPARE of the budget is left to the rest even then."""
ENTRY = 2048
"""Bytes of a value's key and of what is noted of it."""

T = TypeVar("T")
WAIT = told("Waiting for what another session has begun")


class Key(NamedTuple):
    """All that a value depends on."""

    what: str
    """What is computed."""
    of: str = ""
    """A Handle's stamp, or its digest of logits and labels; of an upload's both begin with its stamp."""
    by: tuple[Hashable, ...] = ()
    """Everything else: the uncertainty, a metric, a seed."""

    @property
    def upload(self) -> str:
        """The stamp of the upload that it belongs to; empty where it belongs to none.

        >>> Key("bowl", "upload:0123/abcd").upload, Key("bowl", "abcd").upload
        ('upload:0123', '')
        """
        return self.of.partition("/")[0] if self.of.startswith(OWN) else ""


class Cache:
    """Values by all that they depend on.

    A value is computed by whoever asks first; who asks meanwhile waits for the same. An error is raised for those who wait and
    forgotten. What was used least recently goes where the bytes of all exceed the budget. What belongs to an upload is kept between
    `admit` and `forget`, and otherwise only handed over.
    """

    def __init__(self, budget: Callable[[], int]) -> None:
        self._budget, self._lock = budget, threading.Lock()
        self._works: OrderedDict[Key, Work[Any]] = OrderedDict()
        self._ledger, self._lasting = Ledger(), Ledger()
        self._uploads: set[str] = set()
        self._growing: dict[Key, bool] = {}
        """Values that are added to by those who use them, and whether one was used since it was measured."""

    def value(self, key: Key, compute: Compute[T], follow: Follow = WAIT, *, apart: bool = False, grows: bool = False) -> T:
        """The value, computed where it is asked for, or `apart` on a thread of its own.

        While another computes it, `follow` may say how far it is, and raise, which is to leave. What is computed apart and all have
        left is told to stop, and what it made of that is not kept. A value that `grows` is measured again when it was used.
        """
        while True:
            work: Work[T]
            work, mine = self._work(key, join=True, grows=grows)
            try:
                if mine:
                    work.start(in_turn(compute)) if apart else work.run(patiently(compute))
                follow(work)
                if mine or not (work.done() and work.abandoned):
                    return work.result()
            finally:
                work.leave()

    def begin(self, key: Key, compute: Compute[T]) -> Work[T]:
        """Have the value computed beside what else is done, unless it is under way."""
        work, mine = self._work(key, join=False)
        if mine:
            work.start(in_turn(compute))
        return work

    def joined(self, key: Key) -> Work[Any] | None:
        """What computes the value or has computed it, joined; None where nothing does."""
        with self._lock:
            work = self._works.get(key)
            return work if work is not None and work.join() else None

    def under_way(self, key: Key) -> bool:
        """Whether the value is there or being computed."""
        with self._lock:
            return key in self._works and not self._works[key].lost

    def _work(self, key: Key, *, join: bool, grows: bool = False) -> tuple[Work[Any], bool]:
        """What computes the value or has computed it, and whether it is to be begun."""
        with self._lock:
            work = self._works.get(key)
            if mine := work is None or not (work.join() if join else not work.lost):
                work = Work(lambda work, value: self._keep(key, work, value), lambda work: self._drop(key, work))
                if join:
                    work.join()
                if self._may_keep(key):
                    self._works[key] = work
            if key in self._works:
                self._works.move_to_end(key)
                if grows:
                    self._growing[key] = True
            return work, mine

    def _may_keep(self, key: Key) -> bool:
        return not key.upload or key.upload in self._uploads

    def _keep(self, key: Key, work: Work[Any], value: object) -> None:
        known = self._ledger.sizes
        measured = {other: (grown, pieces(grown.result(), known)) for other, grown in self._grown().items()}
        measured[key] = work, pieces(value, known)
        with self._lock:
            for each, (kept, held) in measured.items():
                if self._works.get(each) is kept:
                    self._ledger.enter(each, {**held, ("entry", each): ENTRY})
            self._shrink()

    def _grown(self) -> dict[Key, Work[Any]]:
        """What was added to, perhaps, since it was measured."""
        with self._lock:
            used = [key for key, was_used in self._growing.items() if was_used and key in self._ledger]
            self._growing.update(dict.fromkeys(used, False))
            return {key: self._works[key] for key in used}

    def _shrink(self) -> None:
        """Let go of what was used least recently until the rest fits."""
        budget = self._budget()
        allowed = max(budget, self._lasting.total + budget // SPARE)
        for key in [key for key in self._works if key in self._ledger]:
            if self._ledger.total <= allowed:
                break
            self._let_go(key)

    def _drop(self, key: Key, work: Work[Any]) -> None:
        with self._lock:
            if self._works.get(key) is work:
                self._let_go(key)

    def _let_go(self, key: Key) -> None:
        self._works.pop(key, None)
        self._growing.pop(key, None)
        self._ledger.strike(key)

    def admit(self, upload: str, value: object) -> None:
        """Keep what belongs to an upload from now on; what is uploaded itself takes its part of the budget and stays."""
        held = pieces(value)
        with self._lock:
            self._uploads.add(upload)
            for ledger in (self._ledger, self._lasting):
                ledger.enter(upload, held)
            self._shrink()

    def forget(self, upload: str) -> None:
        """Let go of an upload and of all that was computed from it; what is still being computed from it is kept no more."""
        with self._lock:
            self._uploads.discard(upload)
            for ledger in (self._ledger, self._lasting):
                ledger.strike(upload)
            for key in [key for key in self._works if key.upload == upload]:
                self._let_go(key)

    def clear(self) -> None:
        """Let go of all that can be computed again."""
        with self._lock:
            for key in list(self._works):
                self._let_go(key)

    def keys(self) -> list[Key]:
        """What is held or being computed, the least recently used first."""
        with self._lock:
            return list(self._works)

    @property
    def uploaded(self) -> int:
        """Bytes of what all sessions have uploaded."""
        return self._lasting.total

    def held_by(self, *uploads: str) -> int:
        """Bytes of some uploads, without what was computed from them."""
        with self._lock:
            return self._lasting.of(*uploads)

    @property
    def bytes(self) -> int:
        """What all that is held takes, uploads included."""
        return self._ledger.total


CACHE = Cache(budget)
"""Of all sessions."""


def kept(key: Key, compute: Callable[[], T], *, grows: bool = False) -> T:
    """A value that is quickly computed: by whoever asks first, there and then."""
    return CACHE.value(key, lambda _: compute(), grows=grows)


def awaited(key: Key, compute: Compute[T], text: str) -> T:
    """A value that takes a while: computed on a thread of its own, while those who wait are told the text and how far it is.

    Of a page that can be drawn without it (`waiting.known`), that is when the page has been drawn.
    """
    if (soon := hurried()) is not None:
        if soon:
            CACHE.begin(key, compute)
        there(CACHE.joined(key), text)
    return CACHE.value(key, compute, told(text), apart=True)
