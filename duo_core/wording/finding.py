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
    '3 systems: 2 single models, 1 duo'
    """
    kinds = table["kind"].value_counts(sort=False)
    parts = [f"{count:,} {kind}{' model' * (kind == 'single')}{'s' * (count != 1)}" for kind, count in kinds.items()]
    return f"{len(table):,} system{'s' * (len(table) != 1)}: {', '.join(parts)}"


def hidden_costs(hidden: Collection[str], base: str) -> str:
    """Why costs are not offered.

    >>> hidden_costs(["time"], "large")
    'Not offered, as the set does not state it for large: time (images per second).'
    """
    needs = {"compute": "compute (multiply-adds)", "time": "time (images per second)", "parameters": "parameters"}
    return f"Not offered, as the set does not state it for {base}: {', '.join(needs[cost] for cost in hidden)}."


def faded(fit_split: str, split: str) -> str:
    """How the front came about."""
    return (
        f"Named points form the Pareto front: every other system costs more or has a higher NLL (cross-entropy) on {fit_split}. "
        f"Faded points do not lie on it, so no budget chooses them. All are drawn at their values on {split}. Drag to zoom, "
        "double-click to go back, click to open."
    )


def sizes_caption(grouped: bool, fit_split: str) -> str:
    """What the lines are of."""
    if grouped:
        return (
            "Deep ensembles are several trainings of one model. At each number of trainings the chart has the mean over the "
            "possible choices of them, with one standard deviation; the choices overlap, so this is not a standard error. Of "
            f"single models it has those that no other beats on {fit_split} at no more cost."
        )
    return (
        "This set has one training of each model, so its ensembles are heterogeneous: different models with fitted weights. Each "
        f"line joins the ensembles of one size that no other of that size beats on {fit_split} at no more cost."
    )


def no_pairs(what: str) -> str:
    """Why there is nothing to average.

    >>> no_pairs("pairs of small under +5 %")
    'There are no pairs of small under +5 %. Choose a larger budget, another base, or all bases.'
    """
    return f"There are no {what}. Choose a larger budget, another base, or all bases."


def no_budget(base: str) -> str:
    """Why there is no answer."""
    no_answer = f"The set does not say how many multiply-adds {base} takes, so there is no budget to answer for"
    return f"{no_answer}. The chart compares what is known."


def offered(advice: Advice) -> dict[str, Option]:
    """The systems of an answer that can be opened, by what a button says; a cheaper one where the sentences speak of it."""
    cheaper = advice.cheapest if advice.stands else None
    options = {"Open the answer": advice.told, "Open the cheaper one": cheaper, "Open the runner-up": advice.runner_up}
    return {name: option for name, option in options.items() if option is not None and option.candidate.action != "keep"}


def without_gate(option: Option) -> str:
    """What is said of a cascade, whose gate Explore does not draw."""
    return " There all members answer every image: Explore has no cascades." if option.candidate.kind == "cascade" else ""


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
            "Answer": "keep the base" if advice.chosen.candidate.action == "keep" else does(advice, advice.chosen),
            "Cost": f"{advice.chosen.cost_ratio:.2f} ×",
            METRICS[key].label: SCREEN[key].text(advice.chosen.metrics[key]),
            "Gain": "" if advice.interval is None else difference(key, advice.interval),
            "Verdict": _verdict(advice),
            "Systems considered": f"{advice.candidates:,}",
        }
        for advice in every
    ]
    return pd.DataFrame(rows)
