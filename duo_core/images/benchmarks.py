"""The data sets of the paper, laid out as their makers ship them: which part of a folder is which split.

`imagenet=FOLDER` means several splits at once. Each is written as a source of its own, `benchmark/NAME?root=FOLDER&part=PART`, so
that whatever opens images opens it, on any machine, and what is drawn depends on the seed in that text alone.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from duo_core.common.arrays import InputError
from duo_core.images.layouts import Pool, caltech256, imagenet, imagenetv2, iwildcam
from duo_core.images.names import shown
from duo_core.images.sources import Source

PREFIX = "benchmark/"
SEED = "0"
TRAIN = "train"


@dataclass(frozen=True)
class Benchmark:
    """A data set whose layout is known."""

    title: str
    parts: Mapping[str, str]
    """By the split that a set calls it, what of the data set that is, in words."""
    opened: Callable[[Path, str, Mapping[str, str]], Pool]
    """Takes the folder, a part and the options."""
    options: Mapping[str, str]
    """What may be said of it after `?`, and what holds where nothing is."""
    metric: str = "accuracy"
    """What its models are judged by."""


BENCHMARKS = {
    "imagenet": Benchmark(
        "ImageNet",
        {TRAIN: "its training images", "val": "5 % of its validation images", "test": "the other 95 %"},
        imagenet,
        {"seed": SEED},
    ),
    "imagenetv2": Benchmark("ImageNetV2", {"imagenetv2": "all images"}, imagenetv2, {}),
    "caltech256": Benchmark(
        "Caltech-256",
        {TRAIN: "70 % of the images", "val": "15 %", "test": "15 %"},
        caltech256,
        {"seed": SEED, "clutter": "out"},
    ),
    "iwildcam": Benchmark(
        "iWildCam (WILDS)",
        {TRAIN: "train", "val": "id_val", "test": "id_test", "ood": "test, other cameras"},
        iwildcam,
        {},
        metric="macro_f1",
    ),
}


def expanded(images: Mapping[str, str], wanted: Collection[str] | None = None) -> tuple[dict[str, str], list[str]]:
    """Write each benchmark among sources as the sources of its splits.

    Parameters
    ----------
    images
        Sources by split, or folders by the name of a benchmark: `FOLDER`, or `FOLDER?seed=1&clutter=in`.
    wanted
        Splits that are taken of a benchmark; None: all but the training images.

    Returns
    -------
    dict, list
        Sources by split, and a sentence on what each benchmark was taken for.

    Examples
    --------
    >>> expanded({"test": "a.tar"})
    ({'test': 'a.tar'}, [])
    """
    found: dict[str, str] = {}
    notes = []
    for name, text in images.items():
        sources = {name: text} if name not in BENCHMARKS else _parts(name, text, wanted)
        if twice := set(sources) & set(found):
            raise InputError(f"expected one source of images for '{min(twice)}', got another from '{name}={text}'; leave one out")
        found |= sources
        notes += [_said(name, text, sources)] if name in BENCHMARKS else []
    return found, notes


def metric_of(images: Mapping[str, str]) -> str:
    """What models of these images are judged by, where nobody says otherwise."""
    return next((BENCHMARKS[name].metric for name in images if name in BENCHMARKS), "accuracy")


def is_part(text: str) -> bool:
    """Whether a text is a source that `expanded` wrote.

    >>> is_part("benchmark/caltech256?root=/a&part=val&seed=0&clutter=out"), is_part("benchmark/caltech256")
    (True, False)
    """
    name, sign, _ = text.removeprefix(PREFIX).partition("?")
    return text.startswith(PREFIX) and bool(sign) and name in BENCHMARKS


def open_part(text: str) -> Source:
    """Open a source that `expanded` wrote."""
    name, _, query = text.removeprefix(PREFIX).partition("?")
    known, said = BENCHMARKS[name], dict(parse_qsl(query))
    root, part = said.pop("root", ""), said.pop("part", "")
    if not root or part not in known.parts:
        raise InputError(f"expected root=FOLDER and part={'|'.join(known.parts)} in '{text}', got other values; correct them")
    pool = known.opened(Path(root), part, {**known.options, **_checked(name, said)})
    return Source(
        text=f"{name}={shown(root)} ({part})",
        ids=pool.ids,
        labels=pool.labels,
        classes=pool.classes,
        order="dataset",
        dataset=list(pool.images),
        notes=pool.notes,
        how=f"{known.title}: {pool.how}",
    )


def _parts(name: str, text: str, wanted: Collection[str] | None) -> dict[str, str]:
    """Sources of a benchmark's splits, by split."""
    known = BENCHMARKS[name]
    folder, options = _divided(name, text)
    taken = [part for part in known.parts if (part != TRAIN if wanted is None else part in wanted)]
    if not taken:
        raise InputError(f"expected images for {' or '.join(wanted or ())}, got {known.title}, which has {', '.join(known.parts)}")
    if not Path(folder).is_dir():
        raise InputError(f"expected the folder of {known.title} in --images {name}=FOLDER, got '{shown(folder)}', which is none")
    same = {"root": str(Path(folder).resolve()), **known.options, **options}
    return {part: f"{PREFIX}{name}?{urlencode({**same, 'part': part})}" for part in taken}


def _divided(name: str, text: str) -> tuple[str, dict[str, str]]:
    """The folder and what is said after the last `?`; a folder may have one in its name."""
    folder, sign, query = text.rpartition("?")
    return (text, {}) if not sign or Path(text).exists() else (folder, dict(_checked(name, dict(parse_qsl(query, True)))))


def _checked(name: str, options: Mapping[str, str]) -> Mapping[str, str]:
    known = BENCHMARKS[name].options
    for key, value in options.items():
        if key not in known:
            raise InputError(f"expected the options {', '.join(known) or 'none'} after '?' of {name}, got '{key}'")
        if key == "seed" and not (value.isascii() and value.isdecimal()):
            raise InputError(f"expected a whole number from 0 as the seed of {name}, got '{value}'")
        if key == "clutter" and value not in ("in", "out"):
            raise InputError(f"expected clutter=in or clutter=out of {name}, got '{value}'")
    return options


def _said(name: str, text: str, sources: Mapping[str, str]) -> str:
    """One line on what was taken for what, and with which of the choices that can be made."""
    known = BENCHMARKS[name]
    chosen = {**known.options, **_divided(name, text)[1]}
    parts = ", ".join(f"{split} is {known.parts[split]}" for split in sources)
    choices = ", ".join(f"{key}={value}" for key, value in chosen.items())
    judged = "; macro F1 is what its models are judged by" if known.metric == "macro_f1" else ""
    other = f" ({choices}; {name}=FOLDER?{choices.replace(', ', '&')} sets it)" if choices else ""
    return f"{known.title}: {parts}{other}{judged}"
