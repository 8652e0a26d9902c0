"""What one more member promises, before anything is fitted: how far the NLL falls by its slope and curvature at the fit so far."""

from collections.abc import Mapping, Sequence

import numpy as np

from duo_core.common.arrays import Floats
from duo_core.common.parallel import in_parallel
from duo_core.systems.fitting import Single
from duo_core.systems.newton import pseudo_inverse
from duo_core.systems.system import Weights
from duo_core.systems.weighing import weighted_sum


def promises(members: Sequence[Single], weights: Weights, others: Mapping[str, Single]) -> dict[str, float] | None:
    """Return by how much the NLL would fall with each other model, nats, to second order in all weights; 0 where it would not.

    The weights are those that the fit found. None where some model masks classes, which no derivative at these weights knows of.
    """
    if any(single.survey.masked for single in (*members, *others.values())):
        return None
    labels, rows = members[0].labels.numpy(force=True), np.arange(len(members[0].labels))
    p: Floats = weighted_sum([single.logits for single in members], weights).softmax(1).numpy(force=True)
    slopes = p.copy()
    slopes[rows, labels] -= 1
    own = [_wide(single) for single, weight in zip(members, weights, strict=True) if weight > 0]
    apart = [p * (logits - (p * logits).sum(1, keepdims=True)) for logits in own]
    curved = np.array([[float(np.vdot(one, other)) for other in own] for one in apart]).reshape(len(own), len(own))
    inverse = pseudo_inverse(curved) if own else curved

    def promised(single: Single) -> float:
        logits = _wide(single)
        slope = float(np.vdot(slopes, logits))
        if slope >= 0:
            return 0.0
        weighted = p * logits
        mean = weighted.sum(1)
        mixed = np.array([float(np.vdot(one, logits)) for one in apart])
        alone = float(np.vdot(weighted, logits)) - float(mean @ mean)
        curvature = alone - float(mixed @ inverse @ mixed)
        return slope * slope / (2 * curvature * len(rows)) if curvature > 1e-12 * alone else 0.0

    return dict(zip(others, in_parallel(promised, list(others.values())), strict=True))


def _wide(single: Single) -> Floats:
    found: Floats = single.logits.numpy(force=True).astype(np.float64)
    return found
