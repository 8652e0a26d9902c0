"""What is said of all systems of a set: where they stand, what is faded, and what ensembles of smaller models win."""

from collections.abc import Collection, Sequence

import pandas as pd

from duo_core.analysis.advisor import Advice
from duo_core.analysis.options import Option
from duo_core.figures.screen import SCREEN
from duo_core.metrics import METRICS
from duo_core.wording.advising import does
from duo_core.wording.sentences import SIGNIFICANT, difference, effect


def counted(table: pd.DataFrame) -> str:
    """How many systems there are, by kind.

    >>> counted(pd.DataFrame({"kind": ["single", "single", "duo"]}))
    '3 systems: 2 single, 1 duo'
    """
    kinds = table["kind"].value_counts(sort=False)
    return f"{len(table):,} system{'s' * (len(table) != 1)}: " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())


def hidden_costs(hidden: Collection[str], base: str) -> str:
    """Why costs are not offered.

    >>> hidden_costs(["time"], "large")
    'Not offered, as the set does not say it of large: time (images per second).'
    """
    needs = {"compute": "compute (multiply-adds)", "time": "time (images per second)", "parameters": "parameters"}
    return f"Not offered, as the set does not say it of {base}: {', '.join(needs[cost] for cost in hidden)}."


def faded(fit_split: str, split: str) -> str:
    """How the front came about."""
    return (
        f"Full and named: the front, chosen on {fit_split} by NLL and drawn as it is on {split}. Faded: another costs no more and "
        f"has as low an NLL on {fit_split}, so that no budget chooses it. Drag to zoom, double-click to go back, click to open."
    )


def sizes_caption(grouped: bool, fit_split: str) -> str:
    """What the lines are of."""
    if grouped:
        return (
            "Deep ensembles: at each number of trainings the mean over which of them are taken, with one standard deviation; these "
            f"choices overlap, so that it is no standard error. Single models: those that none beats on {fit_split}."
        )
    return (
        "This set has one training a model, so its ensembles are heterogeneous: different models, weighed by the fit. "
        f"Lines go through those that none beats on {fit_split} among as many members."
    )


def no_budget(base: str) -> str:
    """Why there is no answer."""
    return f"Nobody knows how many multiply-adds {base} takes: there is no budget to answer for. The chart compares what is known."


def offered(advice: Advice) -> dict[str, Option]:
    """The systems of an answer that can be opened, by what a button says."""
    options = {"Open the answer": advice.chosen, "Open the cheaper one": advice.cheapest, "Open the runner-up": advice.runner_up}
    return {name: option for name, option in options.items() if option is not None and option.candidate.action != "keep"}


def without_gate(option: Option) -> str:
    """What is said of a cascade, whose gate Explore does not draw."""
    return " Without the gate: all members answer every image." if option.candidate.kind == "cascade" else ""


def _verdict(advice: Advice) -> str:
    if advice.chosen.candidate.action == "keep":
        return ""
    return "no interval" if advice.interval is None else SIGNIFICANT[effect(advice.metric, advice.interval)]


def ladder(every: Sequence[Advice], share: float) -> pd.DataFrame:
    """The choice under each budget in a row; the one that is asked for is marked."""
    key = every[0].metric
    rows = [
        {
            "Budget": f"+{advice.budget * 100:.0f} %{' ←' if advice.budget == share else ''}",
            "Do": "keep the base" if advice.chosen.candidate.action == "keep" else does(advice, advice.chosen),
            "Cost": f"{advice.chosen.cost_ratio:.2f} ×",
            METRICS[key].label: SCREEN[key].text(advice.chosen.metrics[key]),
            "Gain": "" if advice.interval is None else difference(key, advice.interval),
            "Verdict": _verdict(advice),
            "Weighed": f"{advice.candidates:,}",
        }
        for advice in every
    ]
    return pd.DataFrame(rows)
