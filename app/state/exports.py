"""The duo of a pair as a zip to take away; made when it is asked for, kept by no cache."""

from app.state.sets import Handle
from duo_core.arrays import UncertaintyKind


def exported(handle: Handle, base: str, sidekick: str, kind: UncertaintyKind) -> bytes:
    """Bytes of a zip: duo.json, README.md, requirements.txt, and the weights where they are on this machine."""
    # Only now: it brings the rooms that build models.
    from duo_core.deploy import packed
    from duo_core.deploy.records import Asked

    return packed(handle.logit_set, base, sidekick, Asked(kind=kind))
