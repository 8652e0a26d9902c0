"""Reports as files: made when they are asked for, remembered by what they are about."""

import datetime
from collections.abc import Callable

from app.state.caches import kept
from app.state.holding import claims_work
from app.state.once import Once
from app.state.sets import Handle, memory
from app.state.tables import all_pairs
from duo_core.common.arrays import UncertaintyKind
from duo_core.report import pair_report, set_report
from duo_core.systems.sweep import Evaluation

Writer = Callable[[], bytes]
"""Gives a file's bytes on any thread: a download is made on one that belongs to no session, and finds none of its caches."""


def report_of_pair(handle: Handle, found: Evaluation, metric: str, kind: UncertaintyKind) -> Writer:
    """What writes the HTML file about a pair."""
    created = _today()
    place = _of_pair(handle.pair(found.base, found.sidekick, found.split), handle.stamp, metric, kind, created)
    return lambda: place.value(lambda _: pair_report(found, metric=metric, created=created).encode())


# A file is 5 MB: few are kept.
@kept(max_entries=8)
def _of_pair(key: str, stamp: str, metric: str, kind: UncertaintyKind, created: str) -> Once[bytes]:  # noqa: ARG001 (a cache's key)
    return Once()


def report_of_set(handle: Handle, split: str, metric: str, kind: UncertaintyKind) -> Writer:
    """What writes the HTML file about all pairs of a set."""
    own, table, known, created = handle.logit_set, all_pairs(handle, split, kind), memory(handle), _today()
    claims, judge = claims_work(handle, split)

    def write() -> bytes:
        judged = claims.value(judge)
        return set_report(own, table, metric=metric, kind=kind, judged=judged, memory=known, created=created).encode()

    place = _of_set(handle.stamp, split, metric, kind, created)
    return lambda: place.value(lambda _: write())


@kept(max_entries=4)
def _of_set(stamp: str, split: str, metric: str, kind: UncertaintyKind, created: str) -> Once[bytes]:  # noqa: ARG001 (a cache's key)
    return Once()


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
