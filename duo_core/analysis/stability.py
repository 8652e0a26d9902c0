"""How much the fit, and what it brings, hangs on how many images the temperatures were fitted on."""

from typing import Any

import pandas as pd
from torch import Tensor

from duo_core.analysis.subsets import stratified_sample, stratified_samples
from duo_core.common.arrays import UncertaintyKind
from duo_core.common.parallel import in_parallel
from duo_core.metrics import METRICS
from duo_core.systems.duo import Fit
from duo_core.systems.fitting import fit
from duo_core.systems.pair_predicting import pair_predictions

SIZES = (25, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
REPEATS = 20
SEED = 0
JUDGED = ("nll", "aurc", "accuracy")
"""Metrics that a fit is judged by."""


def sizes(n: int) -> list[int]:
    """Those of SIZES below n.

    >>> sizes(300)
    [25, 50, 100, 200]
    """
    return [size for size in SIZES if size < n]


def stability(
    fit_split: tuple[Tensor, Tensor, Tensor],
    judged: tuple[Tensor, Tensor, Tensor],
    whole: Fit,
    *,
    repeats: int = REPEATS,
    seed: int = SEED,
    kind: UncertaintyKind = "softmax",
) -> pd.DataFrame:
    """Fit again and again on fewer images and judge each fit on the whole other split.

    The samples of a size share no image where the fit split has enough for all of them; larger ones overlap, which makes them more
    alike than samples of new images would be: `largest_apart` says up to where they do not.

    Parameters
    ----------
    fit_split, judged
        Logits of base and sidekick, (n, k), and labels, (n,), of the split to fit on and of the one to judge on.
    whole
        The fit on every image; it is the table's last row.
    repeats, seed
        That many stratified samples of each size are drawn from the fit split: apart with the seed `seed * repeats`, overlapping
        ones with seeds from there up.
    kind
        Which uncertainty ranks the images.

    Returns
    -------
    DataFrame
        One row a (size, repeat): `size`, `repeat`, `T_base`, `T_sidekick`, `separated` (no finite temperatures were best) and the
        metrics of JUDGED.
    """
    base, sidekick, labels = fit_split

    def refit(at: tuple[int, int]) -> dict[str, Any]:
        size, repeat = at
        part = samples[size][repeat]
        found = fit(base[part], sidekick[part], labels[part])
        return {"size": size, "repeat": repeat} | _judged(found, judged, kind)

    samples = {size: _samples(labels, size, repeats, seed * repeats) for size in sizes(len(labels))}
    rows = in_parallel(refit, [(size, repeat) for size in sizes(len(labels)) for repeat in range(repeats)])
    return pd.DataFrame([*rows, {"size": len(labels), "repeat": 0} | _judged(whole, judged, kind)])


def largest_apart(n: int, repeats: int = REPEATS) -> int | None:
    """The largest of the sizes whose samples share no image; None where there is none.

    >>> largest_apart(2000), largest_apart(499)
    (100, None)
    """
    return max((size for size in sizes(n) if size * repeats <= n), default=None)


def _samples(labels: Tensor, size: int, repeats: int, seed: int) -> list[Tensor]:
    if size * repeats <= len(labels):
        return stratified_samples(labels, size, seed, repeats)
    return [stratified_sample(labels, size, seed + repeat) for repeat in range(repeats)]


def _judged(found: Fit, judged: tuple[Tensor, Tensor, Tensor], kind: UncertaintyKind) -> dict[str, float | bool | None]:
    predictions = pair_predictions(*judged, found.temperatures, kind=kind)
    return {
        "T_base": found.temperatures.base,
        "T_sidekick": found.temperatures.sidekick,
        "separated": "duo" in found.separated,
        **{key: METRICS[key].value(predictions) for key in JUDGED},
    }


def work(n: int, judged: int, k: int, repeats: int = REPEATS) -> int:
    """Logits of each model that `stability` reads on n images to fit on: fits read theirs about ten times."""
    fitted = sizes(n)
    return repeats * k * (10 * sum(fitted) + len(fitted) * judged)


def enough(table: pd.DataFrame, key: str, base: float, share: float = 0.9) -> int | None:
    """Return the fewest images from which on at least that share of the refits of every size beat the base; None where none do.

    `base` is the base's own value of the metric `key` on the judged split.

    >>> refits = pd.DataFrame({"size": [25, 25, 50, 50, 90], "nll": [0.9, 0.3, 0.3, 0.2, 0.2]})
    >>> enough(refits, "nll", base=0.4), enough(refits, "nll", base=0.1)
    (50, None)
    """
    better = table[key] > base if METRICS[key].higher_is_better else table[key] < base
    good = better.groupby(table["size"]).mean() >= share
    from_here = good[::-1].cummin()
    return int(from_here[from_here].index.min()) if from_here.any() else None
