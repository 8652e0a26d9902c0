"""A fitted system as a zip to take away; made when it is asked for, kept by no cache."""

from collections.abc import Callable
from dataclasses import replace

from app.state.sets import Handle
from app.state.turns import at_once
from duo_core.common.arrays import UncertaintyKind
from duo_core.systems.system import System


def exported(
    handle: Handle, system: System, kind: UncertaintyKind, promise: tuple[float, float] | None = None
) -> Callable[[], bytes]:
    """What writes the zip: duo.json, README.md, requirements.txt, code, and the weights where they are on this machine.

    `promise` is the target risk, with its confidence, whose guaranteed threshold is in force; without it none is.
    """
    own, members = handle.as_written(*system.members)
    written = replace(system, members=tuple(members))

    def write() -> bytes:
        # Only now: it brings the rooms that build models.
        from duo_core.deploy import packed
        from duo_core.deploy.records import TARGET_RISKS, Asked

        if promise is None:
            return packed(own, written, Asked(kind=kind))
        target, confidence = promise
        risks = (target, *(risk for risk in TARGET_RISKS if risk != target))
        return packed(own, written, Asked(kind=kind, target_risks=risks, confidence=confidence))

    return at_once(write)
