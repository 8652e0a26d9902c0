"""duo.json as a file: its digest, and reading it back, whole, as it was written, and of either format."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from duo_core.common.arrays import InputError
from duo_core.common.files import read_json
from duo_core.deploy.records import FORMAT
from duo_core.systems.system import System

FILE = "duo.json"
ROLES = ("base", "sidekick")
"""The two models of format 1, which held pairs alone."""
NUMBER = (int, float)
OPTIONAL_NUMBER = (*NUMBER, type(None))

Types = Mapping[str, type | tuple[type, ...]]

SAID: Types = {"uncertainty": str, "classes": list, "threshold": OPTIONAL_NUMBER, "files": dict}
"""What loading relies on in either format."""
TYPES: Mapping[int, Types] = {
    1: {**SAID, "variant": str, "temperatures": dict, "calibration": dict, "models": dict},
    2: {**SAID, "rule": str, "says": (int, type(None)), "temperature": OPTIONAL_NUMBER, "members": list},
}
MEMBER: Types = {
    "name": str,
    "model": str,
    "source": str,
    "weights": (str, type(None)),
    "weights_sha256": (str, type(None)),
    "file": (str, type(None)),
    "arguments": dict,
    "transform": (dict, type(None)),
    "weight": NUMBER,
}


def sealed(record: Mapping[str, Any]) -> str:
    """Return the text of duo.json, with a digest of everything else in it."""
    return json.dumps({**record, "digest": _digest(record)}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read(folder: Path) -> dict[str, Any]:
    """Read a folder's duo.json, seen to be whole and as it was written; one of format 1 is said as format 2 says it.

    Raises
    ------
    InputError
        Where it is missing, of another format or altered.
    """
    file = folder / FILE
    record = read_json(file, "name a folder that duo export wrote")
    form = record.get("format")
    if not isinstance(form, int) or form not in TYPES:
        known = " or ".join(map(str, TYPES))
        raise InputError(f"expected format {known} in '{file}', got {form!r}; export it again with this version")
    wrong, digest = _wrong(record, TYPES[form]), record.pop("digest", None)
    if wrong or digest != _digest(record):
        raise _altered(file, wrong)
    current = record if form == FORMAT else _as_current(record)
    if wrong := _wrong_members(current):
        raise _altered(file, wrong)
    return current


def _altered(file: Path, wrong: list[str]) -> InputError:
    what = f" ({', '.join(wrong)} missing or of another type)" if wrong else ""
    return InputError(
        f"'{file}' was altered after it was exported{what}; export it again, or set another threshold on the duo itself"
    )


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _wrong(record: Any, types: Types) -> list[str]:
    if not isinstance(record, Mapping):
        return list(types)
    return [key for key, kind in types.items() if not isinstance(record.get(key, ...), kind)]


def _wrong_members(record: Mapping[str, Any]) -> list[str]:
    """What is wrong with the members; files that they name lie in the folder itself, and are safetensors."""
    found = [f"members[{place}].{key}" for place, member in enumerate(record["members"]) for key in _wrong(member, MEMBER)]
    if found:
        return found
    System(tuple(member["name"] for member in record["members"]), record["rule"], record["says"])  # says what is wrong with it
    files = {place: member["file"] for place, member in enumerate(record["members"]) if member["file"] is not None}
    return [
        f"members[{place}].file"
        for place, name in files.items()
        if Path(name).name != name or not name.endswith(".safetensors") or not isinstance(record["files"].get(name), str)
    ]


def _as_current(record: Mapping[str, Any]) -> dict[str, Any]:
    """What format 1 says of a pair, as format 2 says it; what only people read stays as it is."""
    models, alone = record["models"], record["calibration"]
    kept = {key: value for key, value in record.items() if key not in ("variant", "temperatures", "calibration", "models")}
    members = [
        {**models[role], "weight": record["temperatures"].get(role), "alone": alone.get(role)}
        if isinstance(models.get(role), Mapping)
        else None
        for role in ROLES
    ]
    says = 0 if record["variant"] == "uq_only" else None
    return {**kept, "format": FORMAT, "rule": "fitted", "says": says, "temperature": None, "members": members}
