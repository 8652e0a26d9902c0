"""What is said of systems of more than two members."""

from collections.abc import Sequence

OF_RULES = (
    "Fitted: each member's logits have a fitted weight. Equal: the plain average of the calibrated logits. Ensemble: that average, "
    "calibrated again. The last two rows, means of uncalibrated logits and of probabilities, are for comparison only."
)


def names(members: Sequence[str]) -> str:
    """The members as coloured words, the first as the base.

    >>> names(["a", "b", "c"])
    ':blue-background[a] + :orange-background[b] + :violet-background[c]'
    """
    hues = ("blue", "orange", *("violet",) * len(members))
    return " + ".join(f":{hue}-background[{name}]" for name, hue in zip(members, hues, strict=False))


def nothing(name: str) -> str:
    """What a weight of 0 says."""
    return f"**{name}** has a weight of 0: it adds nothing that the others do not know. Take it away, and its cost is saved."


def called_duo(better: str) -> str:
    """How charts that know of pairs speak of more members."""
    return f"Below, “duo” is the whole system, and “base” its most accurate member alone, {better}."
