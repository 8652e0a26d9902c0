"""Splits of a logit set: given sources, a stratified draw for fitting, and corrupted copies."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.images.corruptions import Corruption
from duo_core.images.draws import drawn
from duo_core.images.sources import Source
from duo_core.logits import FIT_SPLIT


@dataclass(frozen=True)
class Split:
    """Some rows of a source, perhaps corrupted."""

    source: Source
    rows: tuple[int, ...]
    corruption: Corruption | None = None
    how: str = ""
    """How the split came about, a sentence to keep beside it."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> Tensor:
        """Class index of each image, int64 (n,)."""
        return self.source.labels[list(self.rows)]

    @property
    def ids(self) -> list[str]:
        """Names of the images, unique in the source."""
        return [self.source.ids[row] for row in self.rows]

    def view(self, image: Image.Image, position: int) -> Image.Image:
        """Return the decoded image at a position of the split as the split shows it."""
        return self.corruption(image, self.source.ids[self.rows[position]]) if self.corruption else image


def splits(
    sources: Mapping[str, Source],
    *,
    fit: int | float | None = None,
    seed: int = 0,
    corrupt: Mapping[str, Corruption] | None = None,
) -> dict[str, Split]:
    """Lay out the splits of a set.

    Parameters
    ----------
    sources
        The images of each split that has its own.
    fit
        Draw `val` out of `test`: that many images, or that fraction of them; what is left stays `test`.
    seed
        Of the draw.
    corrupt
        Further splits: `test`'s images, after the draw, each after a corruption.

    Raises
    ------
    InputError
        Where splits would share rows, clash in name, disagree on the classes, or lack the `test` they are made from.
    """
    _agreeing(sources)
    made = {
        name: Split(source, tuple(range(len(source))), how=source.how or f"all of {source.text}")
        for name, source in sources.items()
    }
    if fit is not None:
        if FIT_SPLIT in made:
            raise InputError(f"expected either images for '{FIT_SPLIT}' or a draw (--fit), got both; leave one out")
        made = {**_divided(_test(made, "draw from (--fit)"), fit, seed), **{k: v for k, v in made.items() if k != "test"}}
    for name, corruption in (corrupt or {}).items():
        if name in made or name == FIT_SPLIT:
            raise InputError(f"expected a new name for the split of {corruption}, got '{name}'; call it test-{corruption.kind}")
        made[name] = replace(_test(made, "corrupt"), corruption=corruption, how=f"test after {corruption}")
    return made


def fit_size(text: str) -> int | float:
    """Read N or a FRACTION.

    >>> fit_size("2000"), fit_size("0.2")
    (2000, 0.2)
    """
    if text.isdecimal() and int(text) > 0:
        return int(text)
    try:
        fraction = float(text)
    except ValueError:
        fraction = 0.0
    if not 0 < fraction < 1 or text.isdecimal():
        raise InputError(f"expected a number of images, or a fraction between 0 and 1, to draw for fitting, got '{text}'")
    return fraction


def _divided(test: Split, fit: int | float, seed: int) -> dict[str, Split]:
    taken, left = drawn(test.labels.tolist(), test.ids, fit, seed)
    how = f"{len(taken)} of the {len(test)} images of {test.source.text}, drawn stratified by class with seed {seed}"
    return {
        FIT_SPLIT: replace(test, rows=tuple(test.rows[i] for i in taken), how=how),
        "test": replace(test, rows=tuple(test.rows[i] for i in left), how=f"all of {test.source.text} but {FIT_SPLIT}'s images"),
    }


def _test(made: Mapping[str, Split], purpose: str) -> Split:
    if "test" not in made:
        raise InputError(f"expected images for 'test' to {purpose}, got images for {', '.join(made) or 'no split'} only")
    return made["test"]


def _composed(names: Sequence[str] | None) -> list[str]:
    """Names with accents as one character; macOS writes them as two."""
    return [unicodedata.normalize("NFC", name) for name in names or ()]


def _agreeing(sources: Mapping[str, Source]) -> None:
    """Refuse one source under two names, and sources whose folders were numbered differently."""
    seen: dict[Path, str] = {}
    for name, source in sources.items():
        other = seen.setdefault(Path(source.text).resolve(), name)
        if other != name:
            raise InputError(f"expected other images for '{name}' than for '{other}', got '{source.text}' for both; use --fit")
    orders = {source.order: name for name, source in sources.items() if source.order != "dataset"}
    if len(orders) > 1:
        said = " and ".join(f"'{name}' {order}" for order, name in orders.items())
        raise InputError(f"expected classes numbered in one way, got {said}; say --class-index natural or text for all")
    named = [(name, source) for name, source in sources.items() if source.classes is not None]
    for name, source in named[1:]:
        first, reference = named[0]
        if _composed(source.classes) != _composed(reference.classes):
            odd = sorted(set(_composed(source.classes)) ^ set(_composed(reference.classes)))
            raise InputError(
                f"expected the same classes in '{first}' and '{name}', got {len(reference.classes or ())} and "
                f"{len(source.classes or ())}{f', with {odd[0]!r} in only one' if odd else ' in another order'}; give a class map"
            )
