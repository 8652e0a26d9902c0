"""Checks of values: what logits hold, and what is odd about a set that can be used."""

import itertools
import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duo_core.common.arrays import Floats, Integers
from duo_core.formats.found import ModelFacts
from duo_core.formats.oddities import EXTREME, oddities
from duo_core.formats.problems import Flaw, Report
from duo_core.logits import FIT_SPLIT, LogitSet
from duo_core.metrics import accuracy, ece
from duo_core.systems.duo import Temperatures
from duo_core.systems.pair_predicting import pair_predictions

BLOCK = 1 << 20
FLOOR = 1e-6
"""What stands for smaller probabilities, 0 among them, where a logarithm is taken: so large that float16, whose steps are 6e-8
there, tells probabilities above it apart, and every dtype gives one answer."""
FEW = 200
"""Rows to fit on below which a warning is given."""


def checked_logits(array: NDArray[np.floating], take_log: bool, floor: float = FLOOR) -> NDArray[np.floating]:
    """Return the logits, or the logarithm of probabilities where that is asked for; raise a Flaw where they are neither.

    Probabilities below the floor are taken as the floor, whatever the dtype and whether some are 0 or not: float16 rounds to 0 what
    wider ones hold, so that what is there says nothing of what is meant.
    """
    blocks = list(_blocks(array))
    wrong = [start + np.flatnonzero(~((block < np.inf).all(1) & (block > -np.inf).any(1))) for start, block in blocks]
    rows = np.concatenate(wrong)
    if len(rows):
        raise Flaw("E208", f"{len(rows):,} of {len(array):,} rows have NaN or infinite values, row {rows[0]} first (from 0)")
    if not all(_is_distribution(block) for _, block in blocks):
        return array
    if not take_log:
        raise Flaw("E202", "every row lies in [0, 1] and sums to 1, as probabilities do")
    wide: NDArray[np.floating] = array.astype(np.float64 if array.dtype.itemsize == 8 else np.float32)
    np.maximum(wide, wide.dtype.type(floor), out=wide)
    np.log(wide, out=wide)
    return wide


def floored(array: NDArray[np.floating], labels: Integers | None, floor: float = FLOOR) -> str | None:
    """What is to be said of probabilities (n, k) below the floor; None where there are none."""
    least = np.float64(floor) if array.dtype.itemsize == 8 else np.float32(floor)
    low = sum(int(np.count_nonzero(block < least)) for _, block in _blocks(array)) / array.size
    if not low:
        return None
    zeros = sum(int(np.count_nonzero(block == 0)) for _, block in _blocks(array)) / array.size
    text = f"{low:.3g} of the probabilities are {'0' if low == zeros else f'below {floor:g}'}"
    if 0 < zeros < low:
        text += f" ({zeros:.3g} are 0)"
    if labels is not None:
        text += f", that of the true class in {float(np.mean(array[np.arange(len(labels)), labels] < least)):.2%} of the rows"
    return f"{text}; each is taken as {floor:g}"


def check_unmasked(logits: Tensor, labels: Tensor) -> None:
    """Raise a Flaw where minus infinity, which masks a class, stands at the label."""
    if len(rows := torch.nonzero(logits.gather(1, labels[:, None])[:, 0].isneginf())):
        raise Flaw(
            "E208",
            f"{len(rows):,} rows have -inf at the class of their label, first a row of label {int(labels[rows[0, 0]])}",
            mend="-inf masks a class that cannot be; leave these rows out, or mask other classes",
        )


def _blocks(array: NDArray[np.floating]) -> Iterator[tuple[int, NDArray[np.floating]]]:
    """Rows a block at a time, so that what is computed of them stays small."""
    size = max(1, BLOCK // array.shape[1])
    return ((start, array[start : start + size]) for start in range(0, len(array), size))


def _is_distribution(block: NDArray[np.floating]) -> bool:
    """Whether rows sum to 1, up to the rounding of their dtype, or of three written digits, but never by more than a tenth."""
    near = max(1e-2 if block.dtype.itemsize == 2 else 1e-3, min(6e-4 * block.shape[1], 0.1))
    inside = bool((block >= 0).all() and (block <= 1).all())
    return inside and bool((np.abs(block.sum(1, dtype=np.float64) - 1) < near).all())


def check_range(labels: Integers, k: int, from_one: bool) -> None:
    """Raise a Flaw for labels outside 0..k-1."""
    low, high = int(labels.min()), int(labels.max())
    if low >= 0 and high < k:
        return
    if from_one:
        mend = "untick 'Labels start at 1' (leave --labels-from-one out)"
        raise Flaw("E305", f"labels run from {low} to {high} after 1 was subtracted", last=k - 1, mend=mend)
    if low == 1 and high == k:
        raise Flaw("E305", f"labels run from 1 to {high}, so they look 1-based", last=k - 1)
    raise Flaw("E305", f"labels run from {low} to {high}", last=k - 1, mend="save labels in the order of the logits' classes")


def scores(logit_set: LogitSet, model: str) -> tuple[float, float, float]:
    """Accuracy, NLL and ECE of a model's logits as they are, over the images of all splits."""
    parts = [
        pair_predictions(logits, logits, labels, Temperatures(1.0, 0.0), classes="base")
        for split, labels in logit_set.labels.items()
        for logits in [logit_set.logits(model, split)]
    ]
    correct = np.concatenate([part.correct for part in parts])
    confidence: Floats = np.concatenate([part.confidence for part in parts])
    return accuracy(correct), float(np.concatenate([part.nll for part in parts]).mean()), ece(correct, confidence)


def warn(where: str, logit_set: LogitSet, models: Mapping[str, ModelFacts], pair: tuple[str, str], report: Report) -> None:
    """Note what is odd about a set that can be used."""
    n, chance = sum(map(len, logit_set.labels.values())), 1 / logit_set.k
    likely = chance + 2 * math.sqrt(chance * (1 - chance) / n)
    for name, facts in models.items():
        if facts.accuracy is not None and facts.accuracy <= likely:
            report.add(where, "W02", f"'{name}' is right on {facts.accuracy:.1%} of the images, {chance:.1%} is chance")
    if len(logit_set.labels[FIT_SPLIT]) < FEW:
        report.add(where, "W03", f"there are {len(logit_set.labels[FIT_SPLIT])} rows to fit on")
    if pair[1]:
        _warn_of_order(where, models[pair[0]], models[pair[1]], report)
    for name in models:
        _warn_of_oddities(where, logit_set, name, report)
    for one, other in itertools.combinations(models, 2):
        if all(logit_set.digests[one, split] == logit_set.digests[other, split] for split in logit_set.labels):
            report.add(where, "W06", f"'{other}' has the logits of '{one}'")
    for name in models:
        if _separates(logit_set, name):
            report.add(where, "W07", f"'{name}' is right on all {len(logit_set.labels[FIT_SPLIT])} rows of the fit split")


def _warn_of_oddities(where: str, logit_set: LogitSet, name: str, report: Report) -> None:
    """Masked classes, rows of another scale, and ties for the first place."""
    found = oddities([logit_set.logits(name, split).numpy() for split in logit_set.labels])
    n = len(found.extreme)
    if found.mask is not None:
        classes = f"in {found.masked_classes} of {logit_set.k} classes"
        report.add(where, "W10", f"'{name}' has {found.masked:.1%} of its logits at {found.mask:g}, {classes}")
    if rows := int(found.extreme.sum()):
        text = f"in {rows:,} of {n:,} rows '{name}' has logits that span over {EXTREME:g} times the usual {found.usual:.3g}"
        report.add(where, "W11", text)
    if found.tied:
        report.add(where, "W12", f"in {found.tied:,} of {n:,} rows several classes share the largest logit of '{name}'")


def _warn_of_order(where: str, base: ModelFacts, sidekick: ModelFacts, report: Report) -> None:
    reasons = []
    if base.accuracy is not None and sidekick.accuracy is not None and base.accuracy < sidekick.accuracy:
        reasons.append(f"less accurate ({base.accuracy:.1%} against {sidekick.accuracy:.1%})")
    if base.multiply_adds and sidekick.multiply_adds and base.multiply_adds < sidekick.multiply_adds:
        reasons.append(f"cheaper ({base.multiply_adds:,} against {sidekick.multiply_adds:,} multiply-adds)")
    if reasons:
        report.add(where, "W05", f"the base '{base.name}' is {' and '.join(reasons)} than the sidekick '{sidekick.name}'")


def _separates(logit_set: LogitSet, model: str) -> bool:
    """Whether the label has the largest logit in every row of the fit split, so that a larger temperature is always better."""
    logits, labels = logit_set.logits(model, FIT_SPLIT), logit_set.labels[FIT_SPLIT]
    return bool((logits.gather(1, labels[:, None])[:, 0] >= logits.amax(1)).all() and (logits.amax(1) > logits.amin(1)).any())
