"""What is said of systems of more than two members."""

from collections.abc import Sequence

from duo_core.common.numbers import percent, share

OF_RULES = (
    "Fitted has a weight for each member; Equal averages calibrated logits, Ensemble calibrates that average again. The two means, "
    "of logits as they are and of probabilities, stand beside them and are never recommended."
)


def names(members: Sequence[str]) -> str:
    """The members as coloured words, the first as the base.

    >>> names(["a", "b", "c"])
    ':blue-background[a] + :orange-background[b] + :violet-background[c]'
    """
    hues = ("blue", "orange", *("violet",) * len(members))
    return " + ".join(f":{hue}-background[{name}]" for name, hue in zip(members, hues, strict=False))


def headline(ratio: float | None, better: float, system: float) -> str:
    """What a system buys, for how much, given the accuracy of its best member and its own.

    >>> headline(1.5, 0.9, 0.92), headline(None, 0.9, 0.9)
    ('+50 % compute, errors down from 10.0 % to 8.0 %', 'Unknown compute, errors stay at 10.0 %')
    """
    cost = "Unknown compute" if ratio is None else f"+{share(ratio - 1)} compute"
    before, after = percent(1 - better), percent(1 - system)
    if before == after:
        return f"{cost}, errors stay at {before}"
    return f"{cost}, errors {'down' if system > better else 'up'} from {before} to {after}"


def nothing(name: str) -> str:
    """What a weight of 0 says."""
    return f"**{name}** has a weight of 0: it adds nothing that the others do not know. Take it away, and its cost is saved."


def called_duo(better: str) -> str:
    """How charts that know of pairs speak of more members."""
    return f"Below, “duo” is the whole system, and “base” its most accurate member alone, {better}."
