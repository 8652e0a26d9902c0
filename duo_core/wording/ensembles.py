"""Deep ensembles, and ensembles against large models, in words."""

from collections.abc import Sequence

import pandas as pd

from duo_core.analysis.ensembles import Contest, Step
from duo_core.common.numbers import significant
from duo_core.metrics import METRICS
from duo_core.wording.sentences import SIGNIFICANT, difference, effect, label

OVERLAP = "Subsets share members, so their spread is no standard error."


def deep_table(found: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Deep ensembles as people read them: mean ± spread over subsets."""
    rows = []
    for row in found.to_dict("records"):
        values = {
            METRICS[key].label: f"{row[key]:.4f}" + (f" ± {row[f'{key}_spread']:.4f}" if row["subsets"] > 1 else "") for key in keys
        }
        of = f"{row['subsets']:,}" if row["subsets"] == row["of"] else f"{row['subsets']:,} of {row['of']:,}"
        rows.append({"model": row["model"], "recipe": row["recipe"], "m": row["m"], "subsets": of, **values})
    return pd.DataFrame(rows)


def contest_lines(found: Contest) -> list[str]:
    """Whether ensembles of smaller models beat a large one, from which cost on, and by how much at most."""
    if not found.steps:
        return [
            "No two smaller models together cost as little as a larger one, so ensembles cannot be compared with single models."
        ]
    crossing, widest, metric = found.crossing, found.widest, found.steps[0].metric
    if crossing is None:
        last = found.steps[-1]
        said = [
            f"At {_cost(last)}, the largest cost with both an ensemble and a single model, ensembles do not clearly win in "
            f"{label(metric)}: {_step(last)}."
        ]
    else:
        said = [f"From {_cost(crossing)} on, ensembles win in {label(metric)} at every cost. There: {_step(crossing)}."]
    if widest is None:
        return [*said, "On the fit split they are ahead at none of the costs."]
    return [*said, f"On the fit split they are furthest ahead at {_cost(widest)}: {_step(widest)}."]


def _cost(step: Step) -> str:
    """Multiply-adds.

    >>> from types import SimpleNamespace
    >>> _cost(SimpleNamespace(cost=1.05e8)), _cost(SimpleNamespace(cost=4.1e9))
    ('105 M multiply-adds', '4.1 G multiply-adds')
    """
    size, unit = next(((size, f" {unit}") for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if step.cost >= size), (1, ""))
    return f"{significant(step.cost / size, 3)}{unit} multiply-adds"


def _step(step: Step) -> str:
    kind = "deep ensemble" if step.deep else "heterogeneous ensemble"
    gain = step.difference
    key = step.metric
    said = "undefined" if gain is None else f"{difference(key, gain)}, {SIGNIFICANT[effect(key, gain)]}"
    return f"{' + '.join(step.ensemble.members)} ({kind}) against {step.single.members[0]}: {said}"
