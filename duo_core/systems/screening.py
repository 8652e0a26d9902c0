"""What one more member promises, before anything is fitted: how far the NLL falls by its slope and curvature at the fit so far."""

from collections.abc import Mapping, Sequence

import numpy as np

from duo_core.common.arrays import Floats
from duo_core.common.parallel import in_parallel
from duo_core.systems.fitting import Single, array_of
from duo_core.systems.moments import one_more
from duo_core.systems.newton import pseudo_inverse
from duo_core.systems.system import Weights
from duo_core.systems.weighing import weighted_sum


def promises(members: Sequence[Single], weights: Weights, others: Mapping[str, Single]) -> dict[str, float] | None:
    """Return by how much the NLL would fall with each other model, nats, to second order in all weights; 0 where it would not.

    The weights are those that the fit found. None where some model masks classes, which no derivative at these weights knows of.
    """
    if any(single.survey.masked for single in (*members, *others.values())):
        return None
    labels = members[0].labels.numpy(force=True)
    p: Floats = weighted_sum([single.logits for single in members], weights).softmax(1).numpy(force=True)
    own = [single for single, weight in zip(members, weights, strict=True) if weight > 0]
    apart = np.stack([_apart(p, single) for single in own]) if own else np.empty((0, *p.shape))

    def sums(single: Single) -> tuple[float, float, Floats]:
        # Not by numpy's products, whose own threads wait for each other where another process is at work: twenty times as long.
        slope, alone, mixed = one_more(array_of(single.logits), labels, p, apart)
        return slope, alone, mixed

    curved = np.array([sums(single)[2] for single in own]).reshape(len(own), len(own))
    inverse = pseudo_inverse(curved) if own else curved

    def promised(single: Single) -> float:
        slope, alone, mixed = sums(single)
        if slope >= 0:
            return 0.0
        curvature = alone - float(mixed @ inverse @ mixed)
        return slope * slope / (2 * curvature * len(labels)) if curvature > 1e-12 * alone else 0.0

    return dict(zip(others, in_parallel(promised, list(others.values())), strict=True))


def _apart(p: Floats, single: Single) -> Floats:
    """A member's logits less their mean under the distribution, times that, (n, k)."""
    logits = array_of(single.logits).astype(np.float64)
    found: Floats = p * (logits - (p * logits).sum(1, keepdims=True))
    return found
