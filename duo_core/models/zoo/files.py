"""Files of models, YAML or TOML: a list `models` of entries, every key and type of which is checked."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from duo_core.common.arrays import InputError

SUFFIXES = (".yaml", ".yml", ".toml")
TYPES: Mapping[str, tuple[type, str]] = {
    "model": (str, "text"),
    "name": (str, "text"),
    "checkpoint": (str, "text"),
    "weights": (str, "text"),
    "arguments": (dict, "a mapping"),
    "transform": (dict, "a mapping"),
    "classes": (list, "a list of names"),
    "family": (str, "text"),
    "recipe": (str, "text"),
    "methodology": (str, "text"),
    "data": (str, "text"),
}


def entries(file: Path) -> list[dict[str, Any]]:
    """Read the entries of a models file.

    Raises
    ------
    InputError
        Naming file and entry, where a key is unknown, `model` is missing or a value has another type.
    """
    content = _content(file)
    if not isinstance(content, dict) or list(content) != ["models"] or not isinstance(content["models"], list):
        got = f"the keys {', '.join(map(str, content))}" if isinstance(content, dict) else type(content).__name__
        raise InputError(f"expected one list 'models' in '{file}', got {got}")
    if not content["models"]:
        raise InputError(f"expected at least one entry under 'models' in '{file}', got none")
    for number, entry in enumerate(content["models"], start=1):
        _check(entry, f"entry {number} of '{file}'")
    return content["models"]


def _content(file: Path) -> Any:
    try:
        text = file.read_text(encoding="utf-8")
        return tomllib.loads(text) if file.suffix == ".toml" else yaml.safe_load(text)
    except OSError as error:
        raise InputError(f"expected a file of models at '{file}', but it cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"'{file}' is no {file.suffix[1:].upper()} file: {' '.join(str(error).split())}") from None


def _check(entry: Any, where: str) -> None:
    if not isinstance(entry, dict):
        raise InputError(f"expected a mapping as {where}, got {type(entry).__name__}")
    for key, value in entry.items():
        if key not in TYPES:
            raise InputError(f"expected the keys {', '.join(TYPES)} in {where}, got '{key}'")
        kind, word = TYPES[key]
        if not isinstance(value, kind):
            raise InputError(f"expected {word} as '{key}' in {where}, got {value!r}")
    if "model" not in entry:
        raise InputError(f"expected the key 'model' in {where}, got {', '.join(entry) or 'none'}")
    if not all(isinstance(name, str) for name in entry.get("classes", [])):
        raise InputError(f"expected a list of names as 'classes' in {where}, got {entry['classes']!r}")
