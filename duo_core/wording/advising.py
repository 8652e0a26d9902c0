"""What to do with so much more compute, in words."""

from duo_core.analysis.candidates import Action
from duo_core.analysis.choice import Advice
from duo_core.analysis.offers import name_of
from duo_core.analysis.options import Option
from duo_core.common.numbers import number, share
from duo_core.figures.screen import SCREEN
from duo_core.metrics import METRICS
from duo_core.wording.sentences import SIGNIFICANT, UNCLEAR, difference, effect, label

DOES: dict[Action, str] = {
    "keep": "keep {base}",
    "soup": "take the average of its trainings, {members}",
    "sidekick": "add {others}",
    "sidekicks": "add {others}",
    "soup + sidekick": "take the average of its trainings with a sidekick, {members}",
    "deep ensemble": "add other trainings of it, {others}",
    "ensemble": "take {members} together",
    "replace": "take {members} instead",
    "cascade": "let {first} answer the images it is sure of, and {members} the rest",
}
"""What each action says to do."""


def named(option: Option) -> str:
    """A system by its members; of a cascade, which stage hands on to which."""
    return name_of(option.candidate.system)


def _first(option: Option) -> str:
    stages = getattr(option.candidate.system, "stages", ())
    return " + ".join(stages[0].members) if stages else ""


def does(advice: Advice, option: Option) -> str:
    """What an option says to do."""
    others = [member for member in option.members if member != advice.base]
    return DOES[option.candidate.action].format(
        base=advice.base, members=" + ".join(option.members), others=" + ".join(others), first=_first(option)
    )


def cost_of(option: Option) -> str:
    """What an option costs against the base.

    An average over images has its interval.
    """
    more = option.cost_ratio - 1
    said = "at no more compute" if abs(more) < 5e-4 else f"for {share(abs(more))} {'more' if more > 0 else 'less'} compute"
    if option.cost_interval is None:
        return said
    low, high = (number((end - 1) * 100, 0, sign=True) for end in (option.cost_interval.low, option.cost_interval.high))
    return f"{said} on average ({low} to {high} %)"


def sentences_of(advice: Advice) -> list[str]:
    """What to do, and why, in whole sentences; the first is the answer."""
    said = [_answer(advice)]
    if advice.chosen.candidate.action != "keep":
        said.append(_lost(advice))
    if advice.stands and advice.cheapest is not None:
        said.append(_cheaper(advice, advice.cheapest))
    said.append(_how(advice))
    if advice.bounds:
        said.append(_bounded(advice))
    return said


def _answer(advice: Advice) -> str:
    budget = "With no more compute" if advice.budget == 0 else f"With up to {advice.budget * 100:g} % more compute"
    chosen, fallback = advice.chosen, advice.fallback
    if chosen.candidate.action == "keep":
        return f"{budget}: keep {advice.base}; {_nothing(advice)}."
    if advice.stands:
        return f"{budget}: {_done(advice, chosen)}. {_values(advice, chosen)}."
    best = f"The best on {advice.chosen_on} would be to {_done(advice, chosen)}: {_values(advice, chosen)}."
    if fallback is not None:
        more = "Nothing that costs more is significantly better."
        return f"{budget}: {_done(advice, fallback)}. {_values(advice, fallback)}. {more} {best}"
    return f"{budget}: keep {advice.base}; no gain is significant. {best}"


def _done(advice: Advice, option: Option) -> str:
    return f"{does(advice, option)}, {cost_of(option)}"


def _nothing(advice: Advice) -> str:
    if advice.candidates == 1:
        larger = "the set has no average of its trainings, and other systems are considered for budgets above 0"
        return "nothing else costs that little" if advice.budget else larger
    return (
        f"none of the {advice.candidates - 1:,} other systems within the budget lowers the NLL (cross-entropy) on "
        f"{advice.chosen_on} by more than extra weights do by chance"
    )


def _values(advice: Advice, option: Option) -> str:
    """The metric of the base and of an option, the interval of the difference, and what that comes to."""
    key = advice.metric
    base, own, gain = advice.reference.metrics[key], option.metrics[key], option.gain.get(key)
    if base is None or own is None:
        return f"{label(key)} is undefined on {advice.judged_on}: no interval"
    said = f"{label(key)} on {advice.judged_on} goes from {SCREEN[key].text(base)} to {SCREEN[key].text(own)}"
    return f"{said}: no interval" if gain is None else f"{said} ({difference(key, gain)}): {SIGNIFICANT[effect(key, gain)]}"


def _lost(advice: Advice) -> str:
    """What is worse than the base's, and whether that is significant."""
    worse = []
    for key in advice.lost:
        gain, own, base = advice.told.gain.get(key), advice.told.metrics[key], advice.reference.metrics[key]
        verdict = "no interval" if gain is None else SIGNIFICANT[effect(key, gain)]
        worse.append(f"{METRICS[key].label} ({SCREEN[key].text(base)} → {SCREEN[key].text(own)}, {verdict})")
    if not worse:
        return f"No metric is worse than with {advice.base} alone."
    return f"Worse than with {advice.base} alone: {', '.join(worse)}."


def _cheaper(advice: Advice, cheapest: Option) -> str:
    apart = "" if cheapest.apart is None else f"; {difference('nll', cheapest.apart)}"
    return (
        f"The cheapest system with {UNCLEAR} from it in NLL (cross-entropy{apart}): {does(advice, cheapest)}, {cost_of(cheapest)}. "
        "Take it where compute matters most."
    )


def _how(advice: Advice) -> str:
    second = advice.runner_up
    nll = advice.chosen.candidate.val_nll
    said = f"Chosen from {advice.candidates:,} system{'s' * (advice.candidates != 1)} by the lowest NLL on {advice.chosen_on}"
    said += f" ({nll:.4f}; the next best, {named(second)}, has {second.candidate.val_nll:.4f})" if second else f" ({nll:.4f})"
    unknown = f"; {advice.unknown} model{'s' * (advice.unknown != 1)} of unknown cost took no part" if advice.unknown else ""
    if not advice.corrected:
        return f"{said}, then judged on {advice.judged_on}{unknown}."
    return (
        f"{said}{unknown}. As it is the only split, it judges as well: each image is predicted by a fit on other images, and the "
        "values are those of choices judged on images that took no part in them (bootstrap bias correction)."
    )


def _bounded(advice: Advice) -> str:
    """What was not tried of all that could be."""
    bounds = advice.bounds
    tried = []
    if bounds.fitted is not None:
        tried.append(
            f"systems of three and more grew one member at a time, and each step fitted the {bounds.fitted} most promising models"
        )
    if bounds.cascades is not None:
        tried.append(
            f"cascades were tried with {bounds.cascades:,} of {bounds.pairs:,} pairs, the best of each first model by cost"
        )
    return f"With so many models the search is not exhaustive: {'; '.join(tried)}."


def missing_lines(advice: Advice) -> list[str]:
    """What could not be weighed, and the command that would make it."""
    return [f"not offered: {one.action} ({one.why}); {one.command}" for one in advice.missing]
