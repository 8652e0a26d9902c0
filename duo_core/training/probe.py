"""The linear probe: L2-regularised logistic regression on a trunk's features, solved exactly over a grid of penalties.

The problem is convex, so that it needs no epochs, no learning rate and no seed (Kumar et al. 2022 probe in the same way).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

from duo_core.common.arrays import InputError
from duo_core.training.scores import Metric, Score, score

PENALTIES = tuple(10.0 ** (-step / 2) for step in range(13))
"""1 to 1e-6, in units of the features' mean variance, so that no scale of the features matters."""
PATIENCE = 2
"""So many penalties in a row that are no better than the best end the search: weaker ones overfit, and take longest."""
ROWS = 8192
"""Features that are held in float64 at once."""
TOLERANCE = 1e-6
"""Of the largest part of the gradient, in directions that are scaled to a curvature of about 1."""
MOST_STEPS = 5000


@dataclass(frozen=True)
class Solved:
    """The regression of one penalty."""

    penalty: float
    """p in mean NLL + p / 2 |W|^2; the bias is free. scikit-learn's C is 1 / (p n)."""
    loss: float
    """That sum, at its minimum, on the training features."""
    weight: Tensor
    """float64 (k, d)."""
    bias: Tensor
    """float64 (k,)."""


@dataclass(frozen=True)
class Probe:
    """The best of the grid, and how every penalty did on the validation images."""

    solved: Solved
    score: Score
    path: tuple[tuple[float, float, Score], ...]
    """Penalty, training loss and validation score, strongest penalty first."""

    @property
    def note(self) -> str:
        """What is to be said of the choice; nothing where it lies inside the grid."""
        penalties = [penalty for penalty, _, _ in self.path]
        ends = {penalties[0]: "strongest", penalties[-1]: "weakest"}
        end = ends.get(self.solved.penalty) if len(penalties) > 1 else None
        return f"the best penalty of the linear probe is the {end} of those tried, {self.solved.penalty:.3g}" if end else ""


def probe(
    train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], k: int, metric: Metric, grid: Sequence[float] = PENALTIES
) -> Probe:
    """Fit one penalty after another, from strong to weak, each from the solution before; the best on `val` is the probe.

    Parameters
    ----------
    train, val
        Features (n, d) with labels (n,) of each.
    k
        Number of classes.
    metric
        What penalties are compared by on `val`, then by NLL; of equal ones the stronger is taken.
    grid
        Penalties in units of the mean variance of the training features.
    """
    for name, (values, _) in (("train", train), ("val", val)):
        if not torch.isfinite(values).all():
            raise InputError(f"expected finite features of '{name}', got NaN or infinity from the trunk; check the checkpoint")
    problem = Regression(*train, k)
    found: list[tuple[Solved, Score]] = []
    for penalty in sorted((share * problem.variance for share in grid), reverse=True):
        solved = problem.solve(penalty, found[-1][0] if found else None)
        head = solved.weight.float(), solved.bias.float()
        found.append((solved, score(functional.linear(val[0].float(), *head), val[1], metric)))
        best = min(found, key=lambda one: one[1].loss)
        if best not in found[-PATIENCE:]:
            break
    return Probe(*best, tuple((solved.penalty, solved.loss, judged) for solved, judged in found))


class Regression:
    """Multinomial logistic regression on features (n, d): minimise mean NLL + p / 2 |W|^2 over W (k, d) and a free bias.

    The features are centred and turned into the directions of their principal components on the way, which changes neither the
    problem nor the norm of W; there each direction has a curvature of its own that is known about, and dividing by its root lets
    L-BFGS arrive in some dozens of steps.
    """

    def __init__(self, values: Tensor, labels: Tensor, k: int) -> None:
        self._values, self._labels, self._k = values, labels, k
        self._centre = values.double().mean(0)
        covariance = sum((part.T @ part for part in self._centred()), torch.zeros(values.shape[1], values.shape[1]).double())
        spread, self._turn = torch.linalg.eigh(covariance / len(values))
        self._spread = spread.clamp(min=0)
        self.variance = self._spread.mean().item() or 1.0
        """Mean variance of a feature."""

    def solve(self, penalty: float, start: Solved | None = None) -> Solved:
        """Return the minimum for one penalty, by L-BFGS, from another solution or from zero."""
        curvature = (1 - 1 / self._k) / self._k  # of the loss where all classes are as likely
        scale = torch.cat([self._spread * curvature + penalty, torch.tensor([curvature or 1.0]).double()]).sqrt()
        at = torch.zeros(self._k, len(scale), dtype=torch.float64)
        if start is not None:
            at = torch.column_stack([start.weight @ self._turn, start.bias + start.weight @ self._centre]) * scale
        found = minimize(
            self._objective(penalty, scale),
            at.flatten().numpy(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MOST_STEPS, "maxfun": 2 * MOST_STEPS, "maxcor": 20, "ftol": 0.0, "gtol": TOLERANCE},
        )
        at = torch.from_numpy(found.x).view(self._k, -1) / scale
        weight = at[:, :-1] @ self._turn.T
        return Solved(penalty, float(found.fun), weight, at[:, -1] - weight @ self._centre)

    def _objective(self, penalty: float, scale: Tensor) -> Callable[[Any], tuple[float, Any]]:
        """Loss and gradient at (k, d + 1) numbers, the bias last, each times its scale."""
        turn = self._turn / scale[:-1]
        shares = penalty / scale[:-1] ** 2

        def loss(flat: Any) -> tuple[float, Any]:
            at = torch.from_numpy(np.asarray(flat)).view(self._k, -1)
            inner, bias = at[:, :-1], at[:, -1] / scale[-1]
            weight = inner @ turn.T
            total, slope, shift = 0.5 * (shares * inner**2).sum(), torch.zeros_like(weight), torch.zeros_like(bias)
            for values, labels in zip(self._centred(), torch.split(self._labels, ROWS), strict=True):
                logs = functional.log_softmax(values @ weight.T + bias, 1)
                total = total + functional.nll_loss(logs, labels, reduction="sum") / len(self._values)
                wrong = (logs.exp() - functional.one_hot(labels, self._k)) / len(self._values)
                slope += wrong.T @ values
                shift += wrong.sum(0)
            gradient = torch.column_stack([slope @ turn + shares * inner, shift / scale[-1]])
            return total.item(), gradient.flatten().numpy()

        return loss

    def _centred(self) -> Iterator[Tensor]:
        return (part.double() - self._centre for part in torch.split(self._values, ROWS))
