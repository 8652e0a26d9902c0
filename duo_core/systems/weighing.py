"""The exact fit of any number of members: a weight each, and the final temperatures of the rules that have one."""

import dataclasses
import functools
import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.systems.fitting import Single, calibrate, features_of, fit_calibrated, masked_alike, projected
from duo_core.systems.newton import Features
from duo_core.systems.search import least, point_at
from duo_core.systems.system import RULES, Fitted, Weights, check_members


class _Weighed(NamedTuple):
    """The weights of the rule `fitted`, in units of the logits, and what the search for them says."""

    weights: Weights
    nll: float
    gradient: float
    steps: int
    separated: bool

    @classmethod
    def of(cls, known: Fitted) -> "_Weighed":
        """The same of what was found before."""
        return cls(known.weights, known.nll["fitted"], known.gradient, known.steps, "fitted" in known.separated)


def fit_members(
    members: Sequence[str], alone: Sequence[Single], rules: Collection[str] = tuple(RULES), known: Fitted | None = None
) -> Fitted:
    """Fit members on the images that each was calibrated on.

    One member gets what `calibrate` finds and two what `fit_calibrated` finds, to the last bit. More are weighed by Newton's method
    with an active set at 0: the NLL is convex in the weights, so it is least where it has no slope along a weight above 0 and none
    downwards along one at 0. Copies of a member share its weight.

    Parameters
    ----------
    members
        Their names.
    alone
        The members themselves.
    rules
        Keys of the rules whose NLL and final temperature are found.
    known
        What fitting the same members found before, `fitted` among the rules: only what it lacks is computed.

    Raises
    ------
    InputError
        Where there is no member, one twice, or members differ in shape.
    """
    names = tuple(members)
    check_members(names)
    if len(shapes := {tuple(single.logits.shape) for single in alone}) > 1:
        raise InputError(f"expected members' logits of one shape, got {' and '.join(map(str, sorted(shapes)))}")
    alike = masked_alike(*alone)
    features = features_of([single.logits for single in alike], alike[0].labels, [single.survey for single in alike])
    found = _Weighed.of(known) if known else _weighed(alone, alike, features)
    separated = [name for name, single in zip(names, alone, strict=True) if single.separated]
    fitted = Fitted(
        members=names,
        weights=found.weights,
        calibration=tuple(single.temperature for single in alone),
        nll_alone=tuple(single.nll for single in alone),
        gradient=found.gradient,
        steps=found.steps,
        separated=(*separated, *(["fitted"] if found.separated and "fitted" in rules else [])),
    )
    return _with_rules(fitted, alike, features, found.nll, rules, known)


def _weighed(alone: Sequence[Single], alike: Sequence[Single], features: Features) -> _Weighed:
    if len(alone) == 1:
        (one,) = alone
        slope = point_at(features, np.array([one.weight])).gradient * one.scale
        return _Weighed((one.temperature,), one.nll, abs(float(slope[0])), one.steps, one.separated)
    if len(alone) == 2:
        pair = fit_calibrated(*alone)
        return _Weighed(tuple(pair.temperatures), pair.nll["duo"], pair.gradient, pair.steps, "duo" in pair.separated)
    best = least(features, np.array([single.weight for single in alike]) / len(alike))
    scales = np.array([single.scale for single in alike])
    slopes = projected(best.weights, best.gradient * scales)
    return _Weighed(tuple((best.weights / scales).tolist()), best.nll, math.hypot(*slopes), best.steps, best.separated)


def _with_rules(
    fitted: Fitted, alike: Sequence[Single], features: Features, nll_fitted: float, rules: Collection[str], known: Fitted | None
) -> Fitted:
    """The same with the NLL of each rule, and the final temperatures; those known are taken over."""
    temperature, nll, separated = dict[str, float](), dict[str, float](), list(fitted.separated)
    scales = np.array([single.scale for single in alike])
    for key in rules:
        rule = RULES[key]
        if key == "fitted":
            nll[key] = nll_fitted
        elif known and key in known.nll:
            nll[key] = known.nll[key]
            temperature |= {key: known.temperature[key]} if rule.tempered else {}
            separated += [key] if key in known.separated else []
        elif not rule.tempered:
            nll[key] = point_at(features, np.array(rule.weights(fitted)) * scales).nll
        elif len(alike) == 1:  # is calibrated already
            temperature[key], nll[key] = 1.0, nll_fitted
        else:
            logits = [single.logits for single in alike]
            pool = log_mean if rule.pools_probabilities else weighted_sum
            found = calibrate(pool(logits, rule.weights(fitted)), alike[0].labels, key)
            temperature[key], nll[key] = found.temperature, found.nll
            separated += [key] if found.separated else []
    return dataclasses.replace(fitted, temperature=temperature, nll=nll, separated=tuple(separated))


def weighted_sum(logits: Sequence[Tensor], weights: Weights) -> Tensor:
    """Return the members' logits (n, k), each times its weight, added; float64.

    Minus infinity, a class that a member masks, stays so whatever the weights.

    >>> one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    >>> weighted_sum([one, other, one], (1.0, 0.5, 1.0)).tolist()
    [[2.0, 1.0]]
    """
    masked = _masked(logits)
    total = torch.zeros(logits[0].shape, dtype=torch.float64, device=logits[0].device)
    for own, weight in zip(logits, weights, strict=True):
        total.add_(own if masked is None else own.masked_fill(masked, 0.0), alpha=weight)
    return total if masked is None else total.masked_fill_(masked, -math.inf)


def _masked(logits: Sequence[Tensor]) -> Tensor | None:
    """Where some member masks a class, (n, k); None where none does."""
    some = [own.isneginf() for own in logits if bool(own.min() == -math.inf)]
    return functools.reduce(torch.logical_or, some) if some else None


def log_mean(logits: Sequence[Tensor], temperatures: Weights) -> Tensor:
    """Return the logarithm of the mean of the members' softmaxes, each at its temperature, (n, k); float64.

    A class that a member masks is left out of all of them.

    >>> sure, lost = torch.tensor([[100.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    >>> [round(p, 3) for p in log_mean([sure, lost], (1.0, 1.0)).exp()[0].tolist()]
    [0.75, 0.25]
    """
    masked = _masked(logits)
    total = torch.full(logits[0].shape, -math.inf, dtype=torch.float64, device=logits[0].device)
    for own, t in zip(logits, temperatures, strict=True):
        alike = own if masked is None else own.masked_fill(masked, -math.inf)
        total = torch.logaddexp(total, weighted_sum([alike], (t,)).log_softmax(1))
    return total - math.log(len(logits))
