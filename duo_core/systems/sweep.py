"""One pair evaluated, and all pairs of a logit set as one tidy table."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from duo_core.common.arrays import KINDS, InputError, Predictions, UncertaintyKind
from duo_core.common.parallel import in_parallel
from duo_core.logits import FIT_SPLIT, LogitSet, check_pair
from duo_core.metrics import METRICS, metrics
from duo_core.systems.duo import VARIANTS, Fit, Temperatures
from duo_core.systems.fitting import Single, calibrate, fit_calibrated
from duo_core.systems.newton import LARGE
from duo_core.systems.pair_judging import SINGLE, CancelledError, Memory, Metrics, OnFit, Pair, Steps, bytes_a_pair, judge_pairs
from duo_core.systems.pair_predicting import precision, variant_predictions

COLUMNS = ["set", "split", "base", "sidekick", "variant", "T_base", "T_sidekick", "T_ratio", "flops_balance", *METRICS]
"""Columns of the sweep's table; undefined values, and temperatures that a variant does not have, are NaN there."""

LEARNED = ("duo", "uq_only")
"""Variants whose temperatures were learned together."""

ON_FIT = ["nll_fit", *(f"{role}_{what}" for role in SINGLE for what in ("nll_fit", "accuracy_fit")), "reversed"]
"""What `on_fit` says of pairs beside their names."""

BYTES = 640 << 20
"""What a sweep may hold beside the logits: enough for all 435 pairs of thirty models on 47,500 images at once."""


@dataclass(frozen=True)
class Evaluation:
    """One pair on one split: what each variant predicts, and its metrics."""

    logit_set: LogitSet
    base: str
    sidekick: str
    split: str
    fit: Fit
    predictions: dict[str, Predictions]
    metrics: dict[str, dict[str, float | None]]

    @property
    def flops_balance(self) -> float | None:
        """Multiply-adds of the sidekick over those of the base; None where unknown."""
        return self.logit_set.flops_balance(self.base, self.sidekick)

    @property
    def better(self) -> Literal["base", "sidekick"]:
        """The more accurate member on this split, over which a gain is one; the base where both are as accurate."""
        own, other = (self.metrics[role]["accuracy"] or 0.0 for role in SINGLE)
        return "sidekick" if other > own else "base"

    def on_fit(self, variants: Collection[str], kind: UncertaintyKind) -> dict[str, Predictions]:
        """Return what some variants predict of the fit split."""
        own = self.logit_set
        pair = own.logits(self.base, FIT_SPLIT), own.logits(self.sidekick, FIT_SPLIT)
        return variant_predictions(*pair, own.labels[FIT_SPLIT], self.fit, variants=variants, kind=kind)

    def document(self) -> dict[str, Any]:
        """Return everything but the images as what `duo fit --json` prints."""
        return {
            "set": self.logit_set.name,
            "base": self.base,
            "sidekick": self.sidekick,
            "split": self.split,
            "n_fit": len(self.logit_set.labels[FIT_SPLIT]),
            "n_eval": len(self.logit_set.labels[self.split]),
            "k": self.logit_set.k,
            "temperatures": self.fit.temperatures._asdict(),
            "calibration": self.fit.calibration._asdict(),
            "nll_fit": self.fit.nll,
            "T_ratio": self.fit.ratio,
            "separated": list(self.fit.separated),
            "flops_balance": self.flops_balance,
            "variants": self.metrics,
        }


def fit_pair(logit_set: LogitSet, base: str, sidekick: str, memory: Memory | None = None) -> Fit:
    """Fit the temperatures of a pair on the set's fit split, with what is known of its models already.

    The other way round it is the same to the last bit.
    """
    memory = memory or Memory()
    calibrate_models(logit_set, (base, sidekick), memory)
    found = _fit_once(_once(base, sidekick), memory)
    return found if (base, sidekick) == _once(base, sidekick) else found.swapped()


def _once(one: str, other: str) -> Pair:
    """Both ways of a pair under one name."""
    return (one, other) if one < other else (other, one)


def _fit_once(pair: Pair, memory: Memory) -> Fit:
    """The fit of two models in alphabetical order; where they were weighed as a system, that is it, to the last bit."""
    base, sidekick = (memory.calibrated[model] for model in pair)
    before = memory.weighed.get(pair)
    if before is None or "fitted" not in before.nll or "fitted" in pair:
        return fit_calibrated(base, sidekick)
    runs_off = {"base": base.separated, "sidekick": sidekick.separated, "duo": "fitted" in before.separated}
    return Fit(
        temperatures=Temperatures(*before.weights),
        calibration=Temperatures(base.temperature, sidekick.temperature),
        nll={"base": base.nll, "sidekick": sidekick.nll, "duo": before.nll["fitted"]},
        gradient=before.gradient,
        steps=before.steps,
        separated=tuple(name for name, does in runs_off.items() if does),
    )


def calibrate_models(logit_set: LogitSet, models: Iterable[str], memory: Memory) -> None:
    """Calibrate the models that were not yet on the set's fit split; InputError where it has none."""
    check_fit_split(logit_set)

    def calibrated(model: str) -> Single:
        return calibrate(logit_set.logits(model, FIT_SPLIT), logit_set.labels[FIT_SPLIT], model)

    new = [model for model in dict.fromkeys(models) if model not in memory.calibrated]
    memory.calibrated.update(zip(new, in_parallel(calibrated, new), strict=True))


def evaluate(
    logit_set: LogitSet,
    base: str,
    sidekick: str,
    split: str = "test",
    *,
    kind: UncertaintyKind = "softmax",
    fitted: Fit | None = None,
    variants: Collection[str] = tuple(VARIANTS),
    memory: Memory | None = None,
) -> Evaluation:
    """Fit a pair on the fit split (or take the given fit) and judge its variants on another split.

    `memory` is what was found of the set's models before; what is found now is added.

    Raises
    ------
    InputError
        For a model or split that the set does not have, one model as both, and for judging on the fit split.
    """
    check_judged(logit_set, split)
    pair = logit_set.logits(base, split), logit_set.logits(sidekick, split)
    check_pair(base, sidekick)
    memory = memory or Memory()
    found = fitted or fit_pair(logit_set, base, sidekick, memory)
    single = {role: (model, split, at) for role, model, at in zip(SINGLE, (base, sidekick), found.calibration, strict=True)}
    there = {role: memory.predicted.get(key) for role, key in single.items() if role in variants}
    known = {role: predictions for role, predictions in there.items() if predictions is not None}
    predicted = variant_predictions(*pair, logit_set.labels[split], found, variants=variants, kind=kind, known=known)
    for role in SINGLE:
        if role in predicted:
            memory.keep(*single[role], predicted[role])
    values = in_parallel(metrics, list(predicted.values()))
    return Evaluation(logit_set, base, sidekick, split, found, predicted, dict(zip(predicted, values, strict=True)))


def check_fit_split(logit_set: LogitSet) -> None:
    """Raise InputError for a set without the split that temperatures are fitted on."""
    if FIT_SPLIT not in logit_set.labels:
        raise InputError(
            f"expected a split '{FIT_SPLIT}' to fit on in the set '{logit_set.name}', got {', '.join(logit_set.labels)}"
        )


def check_judged(logit_set: LogitSet, split: str) -> None:
    """Raise InputError for a split that the set does not have, or that temperatures are fitted on."""
    if split not in logit_set.evaluation_splits:
        why = ", which temperatures are fitted on" if split == FIT_SPLIT else ""
        others = ", ".join(logit_set.evaluation_splits) or "none"
        raise InputError(f"expected a split to judge on, got '{split}'{why}; the set '{logit_set.name}' has {others}")


def pairs(logit_set: LogitSet, *splits: str, memory: Memory | None = None) -> list[Pair]:
    """Every (base, sidekick) with logits of the splits; the base has at least the sidekick's multiply-adds.

    Where either's are unknown the base is the model that is more accurate on the fit split, of equal ones the first, so that every
    two models are a pair once.
    """
    models = logit_set.models(*splits)
    cost = {model: logit_set.cards[model].multiply_adds for model in models}
    alone = alone_on_fit(logit_set, models, memory or Memory()) if None in cost.values() else {}

    def leads(base: str, other: str) -> bool:
        own, others = cost[base], cost[other]
        if own is not None and others is not None:
            return own >= others
        return (-alone[base].accuracy, base) < (-alone[other].accuracy, other)

    return [(base, other) for base in models for other in models if base != other and leads(base, other)]


def alone_on_fit(logit_set: LogitSet, models: Iterable[str], memory: Memory) -> dict[str, OnFit]:
    """What each model alone is on the fit split; `memory` has it then."""
    models = list(models)
    new = [model for model in models if model not in memory.on_fit]
    calibrate_models(logit_set, new, memory)
    for model in new:
        right = logit_set.logits(model, FIT_SPLIT).argmax(1) == logit_set.labels[FIT_SPLIT]
        memory.on_fit[model] = OnFit(right.double().mean().item(), memory.calibrated[model].nll)
    return {model: memory.on_fit[model] for model in models}


def on_fit(
    logit_set: LogitSet,
    of: Collection[Pair],
    memory: Memory | None = None,
    progress: Callable[[int, int], bool | None] | None = None,
) -> pd.DataFrame:
    """Return what the fit split says of pairs, one row each in their order: they are chosen by it, so it is no result.

    Columns: `base`, `sidekick`, and ON_FIT: the NLL of the duo, and of either model after its own temperature scaling, in nats;
    either's accuracy; and whether the pair is `reversed`: its sidekick is the more accurate, so that it is no asymmetric duo.
    `progress` is called with pairs fitted and pairs in all; returning True cancels, by CancelledError.
    """
    memory = memory or Memory()
    new = [pair for pair in dict.fromkeys(_once(*pair) for pair in of) if pair not in memory.nll_fit]
    fits = _fits(logit_set, new, Steps(len(new), progress), memory)
    memory.nll_fit.update({pair: fit.nll["duo"] for pair, fit in fits.items()})
    alone = alone_on_fit(logit_set, dict.fromkeys(model for pair in of for model in pair), memory)

    def row(base: str, sidekick: str) -> list[Any]:
        own, other, found = alone[base], alone[sidekick], memory.nll_fit[_once(base, sidekick)]
        return [base, sidekick, found, own.nll, own.accuracy, other.nll, other.accuracy, other.accuracy > own.accuracy]

    table = pd.DataFrame([row(*pair) for pair in of], columns=["base", "sidekick", *ON_FIT])
    return table.astype({**dict.fromkeys(ON_FIT, float), "reversed": bool})


def sweep(
    logit_set: LogitSet,
    splits: Iterable[str] | None = None,
    *,
    kind: UncertaintyKind = "softmax",
    only: Collection[Pair] | None = None,
    memory: Memory | None = None,
    progress: Callable[[int, int], bool | None] | None = None,
) -> pd.DataFrame:
    """Evaluate all pairs with the images ranked by one uncertainty: the table that `sweeps` gives for it."""
    return sweeps(logit_set, splits, only=only, memory=memory, progress=progress)[kind]


def sweeps(
    logit_set: LogitSet,
    splits: Iterable[str] | None = None,
    *,
    only: Collection[Pair] | None = None,
    memory: Memory | None = None,
    progress: Callable[[int, int], bool | None] | None = None,
) -> dict[UncertaintyKind, pd.DataFrame]:
    """Evaluate all pairs: for each uncertainty one row a (base, sidekick, variant, split), with the columns of COLUMNS.

    Every model's logits are read once a split, block by block, and all pairs evaluated on a block while it is in the cache.
    Beyond the logits themselves, at most about BYTES are held; where that is not enough for all pairs, they are taken in groups.

    Parameters
    ----------
    splits
        Those to judge on; by default every one but the fit split.
    only
        The pairs to evaluate; by default those that `pairs` gives. A pair both ways costs little more than one way.
    memory
        What earlier sweeps of the same logits found; what this one finds is added, save the pairs' metrics.
    progress
        Called with steps done and steps in all; returning True cancels, and the groups of pairs done so far are returned.
    """
    chosen = list(splits) if splits is not None else logit_set.evaluation_splits
    for split in chosen:
        check_judged(logit_set, split)
    memory = memory or Memory()
    todo = {s: sorted(only) if only is not None else pairs(logit_set, FIT_SPLIT, s, memory=memory) for s in chosen}
    every = sorted(set().union(*todo.values()))
    groups = [(split, group) for split in chosen for group in _groups(logit_set, split, todo[split])]
    steps = Steps(len({_once(*pair) for pair in every}) + sum(2 * len(group) for _, group in groups), progress)
    found: dict[tuple[str, str, str], tuple[Fit, dict[str, Metrics]]] = {}
    with contextlib.suppress(CancelledError):
        fits = _fits(logit_set, every, steps, memory)
        for split, group in groups:
            models = dict.fromkeys(model for pair in group for model in pair)
            values = _judged(logit_set, split, models, {pair: fits[pair] for pair in group}, steps, memory)
            found |= {(*pair, split): (fits[pair], of) for pair, of in values.items()}
    order = sorted(found, key=lambda key: (key[0], key[1], chosen.index(key[2])))
    return {kind: table_of([row for key in order for row in rows_of(logit_set, *key, *found[key], kind)]) for kind in KINDS}


def judge_models(logit_set: LogitSet, split: str, models: Collection[str], memory: Memory) -> None:
    """Calibrate models and judge each alone, where that was not done before; `memory` has it then."""
    calibrate_models(logit_set, models, memory)
    new = [model for model in models if (model, split) not in memory.judged]
    if new:
        _judged(logit_set, split, new, {}, Steps(0, None), memory)


def _judged(
    logit_set: LogitSet,
    split: str,
    names: Iterable[str],
    fits: Mapping[Pair, Fit],
    steps: Steps,
    memory: Memory,
) -> dict[Pair, dict[str, Metrics]]:
    """The metrics of a group of pairs of calibrated models; the models' own are noted."""
    models = {model: logit_set.logits(model, split) for model in names}
    temperatures = {model: memory.calibrated[model].temperature for model in models}
    judged = {model: memory.judged[model, split] for model in models if (model, split) in memory.judged}
    classes = {model: memory.classes[model, split] for model in models if (model, split) in memory.classes}
    found = judge_pairs(models, logit_set.labels[split], temperatures, fits, judged, classes, steps)
    memory.judged.update({(model, split): values for model, values in judged.items()})
    memory.classes.update({(model, split): predicted for model, predicted in classes.items()})
    return found


def _groups(logit_set: LogitSet, split: str, todo: list[Pair]) -> list[list[Pair]]:
    """The pairs in groups that may be judged at once; those of one base stand together, and a pair with its other way."""
    if not todo:
        return []
    logits = logit_set.logits(todo[0][0], split)
    size = max(1, BYTES // bytes_a_pair(len(logits), precision(logits)))
    asked, once = set(todo), _one_way(todo)
    groups = [once[start : start + size] for start in range(0, len(once), size)]
    return [[way for pair in group for way in (pair, pair[::-1]) if way in asked] for group in groups]


def _one_way(asked: Sequence[Pair]) -> list[Pair]:
    """The pairs, one way where both are asked for."""
    known = set(asked)
    return [pair for pair in asked if pair < pair[::-1] or pair[::-1] not in known]


def _fits(logit_set: LogitSet, every: Sequence[Pair], steps: Steps, memory: Memory) -> dict[Pair, Fit]:
    """The fit of each pair; each model is calibrated once, and a pair fitted one way."""
    calibrate_models(logit_set, [model for pair in every for model in pair], memory)

    def fitted(pair: Pair) -> None:
        if pair not in memory.fitted:
            memory.fitted[pair] = _fit_once(pair, memory)
        steps.advance(1)

    # One fit on a large split keeps all cores busy by itself, and two at once would push each other out of the cache.
    large = len(logit_set.labels.get(FIT_SPLIT, ())) * logit_set.k > LARGE
    once = sorted({_once(*pair) for pair in every})
    if large:
        for pair in once:
            fitted(pair)
    else:
        in_parallel(fitted, once)
    return {pair: memory.fitted[pair] if pair in memory.fitted else memory.fitted[pair[::-1]].swapped() for pair in every}


def rows_of(
    logit_set: LogitSet, base: str, sidekick: str, split: str, found: Fit, values: Mapping[str, Metrics], kind: UncertaintyKind
) -> list[dict[str, Any]]:
    """The rows of one pair on one split, each with its variant's own temperatures."""
    shared = {
        "set": logit_set.name,
        "split": split,
        "base": base,
        "sidekick": sidekick,
        "flops_balance": logit_set.flops_balance(base, sidekick),
    }
    return [{**shared, "variant": key, **_temperatures(key, found), **values[key][kind]} for key in VARIANTS]


def _temperatures(variant: str, found: Fit) -> dict[str, float | None]:
    """What weights a variant's logits: None for the model that a single one leaves out, and for a ratio that nothing learned."""
    weights = zip(SINGLE, VARIANTS[variant].weights(found), strict=True)
    own = {f"T_{role}": weight if variant == role or variant not in SINGLE else None for role, weight in weights}
    return {**own, "T_ratio": found.ratio if variant in LEARNED else None}


def table_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of pairs as a table of COLUMNS."""
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COLUMNS[5:], float))
