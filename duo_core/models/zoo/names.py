"""Names of models: what a reference says, whether there is such a model, and what may have been meant."""

import contextlib
import difflib
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from duo_core.common.arrays import InputError
from duo_core.models.zoo.cifar_resnet import DEPTHS

SOURCES = ("torchvision", "timm", "cifar")


def parted(reference: str) -> tuple[str, str, str | None]:
    """Split a reference into source, name and weights.

    >>> parted("torchvision/resnet50:IMAGENET1K_V1"), parted("timm/resnet18"), parted("mine.nets:small")
    (('torchvision', 'resnet50', 'IMAGENET1K_V1'), ('timm', 'resnet18', None), ('python', 'mine.nets:small', None))
    """
    source, slash, name = reference.partition("/")
    if not slash:
        return "python", reference, None
    if source == "torchvision":
        name, _, weights = name.partition(":")
        return source, name, weights or None
    return source, name, None


def installed(source: str) -> bool:
    """Whether the library of a source is here: an installation that only looks at sets has none."""
    return source not in ("torchvision", "timm") or find_spec(source) is not None


def known(source: str) -> list[str]:
    """Names of the models that a source has."""
    if source == "cifar":
        return [f"resnet{depth}" for depth in DEPTHS]
    if source == "timm":
        import timm

        return [*timm.list_models(), *timm.list_pretrained()]
    from torchvision import models

    return list(models.list_models(module=models))


def check(reference: str) -> None:
    """Raise InputError, with close matches, unless the reference names a model that can be built."""
    source, name, weights = parted(reference)
    if source == "python":
        python_callable(name)
    elif source not in SOURCES:
        raise InputError(
            f"expected a model as torchvision/NAME, timm/NAME, cifar/NAME or module:callable, "
            f"got '{reference}'{close(reference, SOURCES)}"
        )
    elif not installed(source):  # it is checked where it is built
        return
    elif name not in known(source):
        raise InputError(f"expected a model of {source}, got '{name}'{close(name, known(source))}")
    elif weights is not None and weights != "DEFAULT":
        from torchvision import models

        names = [entry.name for entry in models.get_model_weights(name)]
        if weights not in names:
            raise InputError(f"expected weights of torchvision/{name}, got '{weights}'; it has {', '.join(names)}")


def close(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence that names the likely meant, or nothing."""
    matches = difflib.get_close_matches(name, list(names), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(matches)}?" if matches else "; duo zoo lists the models known by name"


def family(reference: str) -> str:
    """Return a word for the family of a model that is not in the table: the module that defines it."""
    source, name, _ = parted(reference)
    if not installed(source):
        return ""
    if source == "timm":
        from timm.models import model_entrypoint

        return str(model_entrypoint(name.partition(".")[0]).__module__.rpartition(".")[2])
    if source == "torchvision":
        from torchvision import models

        return str(models.get_model_builder(name).__module__.rpartition(".")[2])
    return "CIFAR ResNet" if source == "cifar" else ""


def python_callable(reference: str) -> Callable[..., Any]:
    """Import `package.module:callable`, from the current directory too.

    Raises
    ------
    InputError
        Where there is no such module, or it has no such callable.
    """
    module_name, _, name = reference.partition(":")
    if not module_name or not name:
        raise InputError(f"expected a model as module:callable, got '{reference}'")
    try:
        with _current_directory_first():
            module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(f"cannot import '{module_name}' of the model '{reference}' from here: {error}") from error
    found = getattr(module, name, None)
    if not callable(found):
        callables = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise InputError(f"expected a callable '{name}' in the module '{module_name}', found none{close(name, callables)}")
    return found  # type: ignore[no-any-return]


@contextlib.contextmanager
def _current_directory_first() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
