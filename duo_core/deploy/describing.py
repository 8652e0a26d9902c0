"""Sentences for README.md of how a folder's models are put together, what is answered and how sure it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from duo_core.common.plaintext import as_markdown

NUMBERS = {2: "Two", 3: "Three", 4: "Four", 5: "Five"}
AVERAGED = "probabilities"
"""The rule that averages softmaxes; all others add logits."""


def names_of(record: Mapping[str, Any]) -> list[str]:
    """Return the members' names as they may stand in Markdown."""
    return [as_markdown(model["name"]) for model in record["members"]]


def made_of(record: Mapping[str, Any]) -> str:
    """Return what is done with the models' logits."""
    names, k = names_of(record), f"{len(record['classes']):,}"
    weights = [model["weight"] for model in record["members"]]
    if len(names) == 1:
        return f"An image classifier of {k} classes whose logits are multiplied by {weights[0]:.6g}."
    each = listed([f"those of {name} times {weight:.6g}" for name, weight in zip(names, weights, strict=True)])
    many = f"{NUMBERS.get(len(names), len(names))} image classifiers of {k} classes"
    averaged = record["rule"] == AVERAGED
    said = f"{many}: the softmaxes of their logits are averaged, {each}" if averaged else f"{many} whose logits are added, {each}"
    final = "" if record["temperature"] is None else f"; what comes out is multiplied by {record['temperature']:.6g}"
    return f"{said}{final}.{_idle(names, weights)}"


def _idle(names: Sequence[str], weights: Sequence[float]) -> str:
    idle = [name for name, weight in zip(names, weights, strict=True) if not weight]
    return f" A weight of 0 adds nothing: {listed(idle)} can be left out." if idle else ""


def prediction(record: Mapping[str, Any]) -> str:
    """Return whose class is answered, and what the uncertainty is."""
    names = names_of(record)
    if len(names) == 1:
        whose, softmax = "that model", "the softmax"
    else:
        together = "the mean" if record["rule"] == AVERAGED else "the sum"
        whose = together if record["says"] is None else f"{names[record['says']]} alone"
        softmax = together if record["rule"] == AVERAGED else f"the softmax of {together}"
    how = f"1 minus {softmax} at that class" if record["uncertainty"] == "softmax" else f"the entropy of {softmax}, in nats"
    return f"The class is that of {whose}, the uncertainty {how}."


def listed(parts: Sequence[str]) -> str:
    """Return parts of a sentence with commas and a last `and`.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
