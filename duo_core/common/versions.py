"""Versions of what is installed; each is looked up once, through the folders of all packages."""

import functools
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

COMPUTING = ("torch", "torchvision", "timm")
"""What computes logits."""


@functools.cache
def version_of(package: str) -> str | None:
    """Version of a package by its name on the index; None where it is not installed as one.

    >>> version_of("no-such-package") is None
    True
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions by package, of those that are installed.

    >>> list(versions(["numpy", "no-such-package"]))
    ['numpy']
    """
    return {package: found for package in packages if (found := version_of(package)) is not None}
