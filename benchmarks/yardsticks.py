"""What the project is compared with: the floor of the hardware, the definitions written out in torch, and torch's own solver."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from duo_core.common.parallel import cores, in_parallel
from duo_core.systems.duo import VARIANTS, Fit, Temperatures


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The quickest of some runs, after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


@dataclass(frozen=True)
class Floor:
    """What one model's array costs at least, on all cores."""

    read: float
    exponential: float


def floor(logits: Tensor) -> Floor:
    """Time to read every logit once, and to take one exponential of each: the quickest that torch offers, in cache."""
    n, k = logits.shape
    rows = np.array_split(np.arange(n), cores())
    parts = [logits[part[0] : part[-1] + 1] for part in rows]
    buffer = torch.randn(32, k)

    def exponentials(part: Tensor, function: Callable[..., Tensor]) -> None:
        out = torch.empty_like(buffer)
        for _ in range(math.ceil(len(part) / 32)):
            function(buffer, out=out)

    best = min(
        seconds(lambda f=function: in_parallel(lambda part: exponentials(part, f), parts), 3)
        for function in (torch.exp, torch.exp2)
    )
    return Floor(seconds(lambda: in_parallel(torch.sum, parts)), best)


def naive_pair(base: Tensor, sidekick: Tensor, labels: Tensor, found: Fit) -> dict[str, dict[str, float]]:
    """Every variant and metric as the definitions read, a whole array at a time."""
    return {key: _naive(base, sidekick, labels, variant.weights(found), variant.classes) for key, variant in VARIANTS.items()}


def _naive(base: Tensor, sidekick: Tensor, labels: Tensor, weights: Temperatures, classes: str) -> dict[str, float]:
    logits = weights.base * base + weights.sidekick * sidekick
    probability = torch.softmax(logits, 1)
    predicted = {"combined": logits, "base": base, "sidekick": sidekick}[classes].argmax(1)
    confidence = probability.gather(1, predicted[:, None])[:, 0]
    correct = predicted == labels
    order = (1 - confidence).argsort()
    risks = (~correct[order]).double().cumsum(0) / torch.arange(1, len(labels) + 1)
    ranks = torch.empty_like(order, dtype=torch.double).index_put_((order,), torch.arange(1, len(labels) + 1).double())
    right = correct.sum()
    bins = torch.bucketize(confidence, torch.linspace(0, 1, 16)).clamp(1, 15) - 1
    gap = torch.bincount(bins, correct.double() - confidence.double(), 15)
    f1_sums = torch.bincount(labels, minlength=base.shape[1]) + torch.bincount(predicted, minlength=base.shape[1])
    hits = torch.bincount(labels[correct], minlength=base.shape[1])
    reached = torch.nonzero(risks <= 0.02)
    return {
        "accuracy": correct.double().mean().item(),
        "macro_f1": (2 * hits[f1_sums > 0] / f1_sums[f1_sums > 0]).mean().item(),
        "nll": functional.cross_entropy(logits, labels).item(),
        "brier": (probability - functional.one_hot(labels, base.shape[1])).square().sum(1).mean().item(),
        "ece": (gap.abs().sum() / len(labels)).item(),
        "auroc": (1 - (ranks[correct].sum() - right * (right + 1) / 2) / right / (len(labels) - right)).item(),
        "aurc": risks.mean().item(),
        "sac98": (reached.max().item() + 1) / len(labels) if len(reached) else 0.0,
        "entropy": -(probability * torch.log_softmax(logits, 1)).sum(1).mean().item(),
    }


def lbfgs(models: Sequence[Tensor], labels: Tensor) -> Tensor:
    """The weights by torch's own solver, in double precision, which a gradient of 1e-8 takes."""
    weights = torch.ones(len(models), dtype=torch.double, requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=200, tolerance_grad=1e-8, tolerance_change=0, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        logits = sum((w * model for w, model in zip(weights[1:], models[1:], strict=True)), weights[0] * models[0])
        loss = functional.cross_entropy(logits, labels)
        loss.backward()
        return loss

    solver.step(closure)
    return weights.detach()
