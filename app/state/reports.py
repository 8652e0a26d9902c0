"""Reports as files: made when they are asked for, remembered by what they are about."""

import datetime
from collections.abc import Callable

from app.state.caches import Key, kept
from app.state.holding import claims_of
from app.state.sets import Handle, memory
from app.state.tables import all_pairs
from app.state.turns import at_once
from duo_core.common.arrays import UncertaintyKind
from duo_core.report import pair_report, set_report
from duo_core.systems.sweep import Evaluation

Writer = Callable[[], bytes]
"""Gives a file's bytes on any thread: a download is made on one that belongs to no session."""


def report_of_pair(handle: Handle, found: Evaluation, metric: str, kind: UncertaintyKind) -> Writer:
    """What writes the HTML file about a pair."""
    created = _today()
    key = Key("report of a pair", handle.stamp, (found.base, found.sidekick, found.split, metric, kind, created))
    return at_once(lambda: kept(key, lambda: pair_report(found, metric=metric, created=created).encode()))


def report_of_set(handle: Handle, split: str, metric: str, kind: UncertaintyKind) -> Writer:
    """What writes the HTML file about all pairs of a set."""
    own, created = handle.logit_set, _today()

    def write() -> bytes:
        table, judged, known = all_pairs(handle, split, kind), claims_of(handle, split), memory(handle)
        return set_report(own, table, metric=metric, kind=kind, judged=judged, memory=known, created=created).encode()

    return at_once(lambda: kept(Key("report of a set", handle.stamp, (split, metric, kind, created)), write))


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
