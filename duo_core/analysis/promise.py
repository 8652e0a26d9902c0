"""What a threshold promises, whether it is met on another split, and whether it could be expected to be."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import betaln, softmax

from duo_core.analysis.guarantee import applied, thresholds
from duo_core.common.arrays import Predictions

COLUMNS = [
    "system", "target_risk", "method", "threshold", "bound", "fit_coverage", "fit_risk", "judged_coverage", "judged_risk", "met",
]  # fmt: skip
AS_LIKELY = 1e-7
"""Relative rounding of a chance: ways to part the images that differ by less are as likely as each other."""


def promises(
    fitted: Mapping[str, Predictions], judged: Mapping[str, Predictions], targets: Sequence[float], confidence: float
) -> pd.DataFrame:
    """Choose each system's thresholds on the fit split, and see what they give on another.

    Parameters
    ----------
    fitted, judged
        By system, of the fit split and of the split judged on; systems that only `judged` has are left out.
    targets
        Risks that are promised, in (0, 1).
    confidence
        Of the guarantee, in (0, 1).

    Returns
    -------
    pandas.DataFrame
        COLUMNS, a row a system, target and method of `guarantee.METHODS`. `met` says whether the risk on the judged split is at
        most the target; it is missing where nothing is answered there.
    """
    parts = []
    for system, predictions in fitted.items():
        chosen = thresholds(predictions, targets, confidence)
        there = applied(chosen, judged[system])
        risk = there["risk"]
        parts.append(
            chosen.rename(columns={"coverage": "fit_coverage", "risk": "fit_risk"}).assign(
                system=system,
                judged_coverage=there["coverage"],
                judged_risk=risk,
                met=(risk <= chosen["target_risk"]).where(risk.notna(), None),
            )
        )
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def chance_of_difference(one: Predictions, other: Predictions) -> float:
    """How often exchangeable images would fall into two splits whose error rates differ as much as these do, or more.

    Of images that are exchangeable every way to part them is as likely as any other, so the wrong images of one split are
    hypergeometric given those of both (Fisher's exact test, two-sided). That asks for predictions that were fitted on neither
    split: the classes of a single model, which its temperature does not change.

    >>> import numpy as np
    >>> def with_errors(wrong): return Predictions(np.arange(10) < wrong, np.zeros(10, int), *[np.zeros(10)] * 5)
    >>> chance_of_difference(with_errors(3), with_errors(3)), round(chance_of_difference(with_errors(0), with_errors(10)), 6)
    (1.0, 1.1e-05)
    """
    wrong, n, m = int((~one.correct).sum()), len(one), len(other)
    wrongs = wrong + int((~other.correct).sum())
    possible = np.arange(max(0, wrongs - m), min(n, wrongs) + 1)
    # C(a, b) is 1 / ((a + 1) B(a - b + 1, b + 1)), and a + 1 the same for all. scipy.stats has the whole test, and takes half a
    # second to import, which a page would spend before its first line.
    ways = -betaln(n - possible + 1, possible + 1) - betaln(m - wrongs + possible + 1, wrongs - possible + 1)
    chances = softmax(ways)
    seen = chances[wrong - possible[0]]
    return float(min(1.0, chances[chances <= seen * (1 + AS_LIKELY)].sum()))
