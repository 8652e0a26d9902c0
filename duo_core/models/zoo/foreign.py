"""Models that a file names: a set's header, an uploaded file, an exported folder. What they say is data and never code.

A library's own models are built by name. `module:callable` would run whatever it names, a file of models would be opened, and some
constructor arguments have a library read or download files; all of these are rights of the person at the command line.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from duo_core.common.arrays import InputError
from duo_core.models.zoo.specs import ModelSpec

READING = {
    "cache_dir",
    "checkpoint_path",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "pretrained_custom_load",
    "pretrained_strict",
    "weights",
    "weights_backbone",
}
"""Constructor arguments by which timm and torchvision read or download files."""


def is_own_code(reference: str) -> bool:
    """Whether building the model means importing a module of somebody's own.

    >>> is_own_code("os:system"), is_own_code("torchvision/resnet18:DEFAULT"), is_own_code("resnet18")
    (True, False, False)
    """
    return ":" in reference and "/" not in reference


def foreign_spec(reference: str, arguments: Mapping[str, Any]) -> ModelSpec:
    """Return the spec of a library's model that a file names, with the constructor arguments that the file states.

    Raises
    ------
    InputError
        Where the name is that of own code or of no library's model, or an argument is more than a plain value.
    """
    if not isinstance(reference, str) or is_own_code(reference):
        raise InputError(f"expected the name of a library's model, got {reference!r}; a file may not say which code is run")
    for key, value in arguments.items():
        if key in READING or not _is_plain(value):
            raise InputError(
                f"expected arguments of '{reference}' that are plain values, got {key}={value!r:.80}; "
                "a file may not say what is read"
            )
    from duo_core.models.zoo.references import spec_of  # which reads headers, and so asks this module

    return replace(spec_of(reference), arguments=dict(arguments))


def _is_plain(value: Any) -> bool:
    """A number, a word without a path in it, nothing, or a list of such."""
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    if isinstance(value, str):
        return value.isidentifier()
    return value is None or isinstance(value, bool | int | float)
