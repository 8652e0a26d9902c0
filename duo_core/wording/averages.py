"""What averaging the trainings of one model buys, in a table and a sentence."""

from collections.abc import Sequence

import pandas as pd

from duo_core.analysis.trainings import KEYS, Trained
from duo_core.common.numbers import UNDEFINED, number
from duo_core.metrics import METRICS
from duo_core.wording.sentences import effect, label
from duo_core.wording.telling import with_gain

ABOUT = (
    "Trials are several trainings of one model. A soup averages their weights into one model, an ensemble averages their logits; "
    "both stand alone and with a sidekick. In brackets: the difference from the best trial alone, * where significant. Costs are "
    "relative to that trial. Trials and soups were chosen on the run's own validation images, weights of systems on the fit split."
)


def title_of(one: Trained) -> str:
    """What a way of averaging is called, with its sidekick."""
    return one.name if one.sidekick is None else f"{one.name} + {one.sidekick}"


def averages_table(lines: Sequence[Trained]) -> pd.DataFrame:
    """A row a system: what it is, its cost an image and in training, and each metric with its difference to the best trial."""
    rows = [
        {
            "System": title_of(one),
            "Cost": UNDEFINED if one.cost_ratio is None else f"{number(one.cost_ratio, 2)} ×",
            "Training (trillion multiply-adds)": UNDEFINED
            if one.training_multiply_adds is None
            else number(one.training_multiply_adds / 1e12, 2),
            **{label(key): with_gain(key, one.metrics[key], one.gains.get(key)) for key in KEYS},
        }
        for one in lines
    ]
    return pd.DataFrame(rows)


def averages_line(lines: Sequence[Trained]) -> str:
    """Which of them are significantly better than the best trial alone, metric by metric."""
    told = []
    for key in KEYS:
        better = [title_of(one) for one in lines if effect(key, one.gains.get(key)) == "better"]
        told.append(f"by {METRICS[key].label}: {', '.join(better) if better else 'none'}")
    return f"Significantly better than the best trial alone, {'; '.join(told)}."
