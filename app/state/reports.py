"""Reports as files: made when they are asked for, remembered by what they are about."""

import datetime

from app.state.caches import remembered
from app.state.holding import claims_of
from app.state.sets import Handle, memory
from app.state.tables import all_pairs
from duo_core.arrays import UncertaintyKind
from duo_core.report import pair_report, set_report
from duo_core.sweep import Evaluation


def report_of_pair(handle: Handle, found: Evaluation, metric: str, kind: UncertaintyKind) -> bytes:
    """The HTML file about a pair."""
    return _of_pair(handle.pair(found.base, found.sidekick, found.split), handle.stamp, metric, kind, _today(), found)


# A file is 5 MB: few are kept.
@remembered(max_entries=8)
def _of_pair(
    key: str,  # noqa: ARG001 (the cache's)
    stamp: str,  # noqa: ARG001 (the cache's: names, costs and origin)
    metric: str,
    kind: UncertaintyKind,  # noqa: ARG001 (the cache's)
    created: str,
    _found: Evaluation,
) -> bytes:
    return pair_report(_found, metric=metric, created=created).encode()


def report_of_set(handle: Handle, split: str, metric: str, kind: UncertaintyKind) -> bytes:
    """The HTML file about all pairs of a set."""
    return _of_set(handle.stamp, split, metric, kind, _today(), handle)


@remembered(max_entries=4)
def _of_set(
    stamp: str,  # noqa: ARG001 (the cache's)
    split: str,
    metric: str,
    kind: UncertaintyKind,
    created: str,
    _handle: Handle,
) -> bytes:
    table = all_pairs(_handle, split, kind)
    own, judged = _handle.logit_set, claims_of(_handle, split)
    report = set_report(own, table, metric=metric, kind=kind, judged=judged, memory=memory(_handle), created=created)
    return report.encode()


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
