"""Averages of weights: the uniform soup, the greedy soup and Model Stock, as their papers define them.

Weights are state dicts (name -> tensor) of one architecture. Sums are float64 and are cast back once; they do not depend on the
order of the models, to the bit. Tensors of whole numbers (BatchNorm's counters) are those of the first model, never averaged.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.logits import tensor_digest
from duo_core.training.scores import Score

State = Mapping[str, Tensor]
CHUNK = 1 << 22
"""Numbers that are held in float64 at once, over all models."""


@dataclass(frozen=True)
class Stocked:
    """Weights by Model Stock, and how each tensor came about."""

    state: dict[str, Tensor]
    ratios: dict[str, float]
    """Share t of the mean in each tensor of parameters that some model moved; the rest is the anchor's."""
    clamped: tuple[str, ...]
    """Tensors whose t was below 0, where the models moved apart from each other, and is now 0."""


@dataclass(frozen=True)
class Step:
    """What became of one candidate of a greedy soup."""

    name: str
    alone: Score
    """Its own score."""
    kept: bool
    tried: Score | None
    """Score of the soup with it; None for a copy of a candidate before it, which is not tried."""
    drop: float | None = None
    """How much lower the metric of the soup was with it than without; None for the first, and for a copy."""


@dataclass(frozen=True)
class Greedy:
    """A greedy soup: its weights, its score, and every candidate in the order in which they were looked at."""

    state: dict[str, Tensor]
    score: Score
    steps: tuple[Step, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the ingredients."""
        return tuple(step.name for step in self.steps if step.kept)


@dataclass(frozen=True)
class Candidate:
    """A model that may become part of a soup; of equal scores the lower number comes first."""

    name: str
    number: int
    score: Score
    state: State


def check_alike(states: Mapping[str, State]) -> None:
    """Raise InputError unless all weights have the same tensors, of the same shapes and types, with finite numbers.

    Parameters
    ----------
    states
        Weights by the name of their model; the first is what the others are compared with.
    """
    if not states:
        raise InputError("expected the weights of at least one model to average, got none")
    (first, reference), *others = states.items()
    for name, state in others:
        differing = [key for key in {**reference, **state} if _form(reference, key) != _form(state, key)]
        if differing:
            said = "; ".join(f"{key}: {_form(reference, key)} and {_form(state, key)}" for key in differing[:3])
            raise InputError(
                f"expected the weights of one architecture, got '{first}' and '{name}', which differ in {len(differing)} "
                f"tensors ({said}); average models of one run"
            )
    for name, state in states.items():
        odd = [key for key, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]
        if odd:
            raise InputError(f"expected finite weights in '{name}', got NaN or infinity in {', '.join(odd[:3])}; leave it out")


def _form(state: State, key: str) -> str:
    return f"{state[key].dtype} {tuple(state[key].shape)}".removeprefix("torch.") if key in state else "none"


def uniform(states: Sequence[State]) -> dict[str, Tensor]:
    """Return the mean of the weights, tensor by tensor; the mean of one model, or of copies, is that model to the bit.

    >>> uniform([{"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 2.0])}])
    {'w': tensor([2., 2.])}
    """
    check_alike({f"model {number}": state for number, state in enumerate(states, 1)})
    return {key: _mean([state[key] for state in states]) for key in states[0]}


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    """Mean of one tensor over models, in its type; of whole numbers the first."""
    first = tensors[0]
    if not first.is_floating_point():
        return first.clone()
    return _exact_mean(tensors).to(first.dtype)


def _exact_mean(tensors: Sequence[Tensor]) -> Tensor:
    """Mean in float64. Numbers are added from the smallest to the largest, so that the order of the models is none of theirs."""
    flat = [tensor.detach().flatten() for tensor in tensors]
    parts = []
    for start in range(0, max(1, flat[0].numel()), rows := max(1, CHUNK // len(flat))):
        ordered = torch.stack([values[start : start + rows].double() for values in flat]).sort(dim=0).values
        total = torch.zeros_like(ordered[0])
        for values in ordered:
            total += values
        parts.append(torch.where(ordered[0] == ordered[-1], ordered[0], total / len(flat)))
    return torch.cat(parts).view(tensors[0].shape)


def greedy(candidates: Sequence[Candidate], judge: Callable[[State], Score]) -> Greedy:
    """Return the greedy soup (Wortsman et al. 2022, Recipe 1): each candidate, best first, stays where the soup gains by it.

    Candidates are sorted by score, ties by lower NLL, then by number. A next one stays where more validation images are right,
    or as many with a lower NLL; so the soup is never below its best ingredient. Each is looked at once; a copy of one before it
    is never taken. A soup of one model is a possible result.

    Parameters
    ----------
    candidates
        Models with their scores on the validation images.
    judge
        Scores weights on the same images.
    """
    ordered = sorted(candidates, key=lambda one: (*one.score.loss, one.number))
    check_alike({one.name: one.state for one in ordered})
    pot, state, best = [ordered[0].state], dict(ordered[0].state), ordered[0].score
    steps, seen = [Step(ordered[0].name, ordered[0].score, True, ordered[0].score)], {digest(ordered[0].state)}
    for one in ordered[1:]:
        own = digest(one.state)
        tried = None
        if own not in seen:
            mixed = {key: _mean([*(part[key] for part in pot), one.state[key]]) for key in state}
            tried = judge(mixed)
        seen.add(own)
        kept = tried is not None and tried.loss < best.loss
        steps.append(Step(one.name, one.score, kept, tried, None if tried is None else best.value - tried.value))
        if kept and tried is not None:
            pot, state, best = [*pot, one.state], mixed, tried
    return Greedy(state, best, tuple(steps))


def digest(state: State) -> str:
    """A digest of all tensors of a state dict, their names included."""
    return "\n".join(f"{key} {tensor_digest(value)}" for key, value in sorted(state.items()))


def stock(states: Sequence[State], anchor: State, parameters: Collection[str]) -> Stocked:
    """Return the weights by Model Stock (Jang, Yun and Han 2024), tensor by tensor, between the mean and the anchor.

    With d_i = w_i - w0 and c the mean of cos(d_i, d_j) over pairs of models, t = N c / (1 + (N - 1) c) and w = t mean(w_i) +
    (1 - t) w0. A t below 0 is set to 0 and counted. Nothing is added to the norms; a model that left a tensor where it was has the
    cosine 0 with every other, and a tensor that none moved stays the anchor's.

    Parameters
    ----------
    states
        Weights of at least two models that were trained from the anchor.
    anchor
        The weights that all of them started from, w0.
    parameters
        Names of the tensors that are parameters; others (running statistics) are averaged as in the uniform soup.
    """
    if len(states) < 2:
        raise InputError(f"expected at least two models for Model Stock, whose angle is between them, got {len(states)}")
    check_alike({"the anchor": anchor} | {f"model {number}": state for number, state in enumerate(states, 1)})
    state: dict[str, Tensor] = {}
    ratios: dict[str, float] = {}
    clamped = []
    for key, origin in anchor.items():
        tensors = [one[key] for one in states]
        if key not in parameters or not origin.is_floating_point():
            state[key] = _mean(tensors)
            continue
        cosine = mean_cosine([tensor.double() - origin.double() for tensor in tensors])
        if cosine is None:
            state[key] = origin.clone()
            continue
        ratios[key] = _ratio(cosine, len(states))
        clamped += [key] if cosine < 0 else []
        state[key] = torch.lerp(origin.double(), _exact_mean(tensors), ratios[key]).to(origin.dtype)
    return Stocked(state, ratios, tuple(clamped))


def mean_cosine(moves: Sequence[Tensor]) -> float | None:
    """Mean over pairs of the cosine of their angle, not the cosine of the mean angle; None where nothing moved.

    >>> mean_cosine([torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])])
    0.7071067811865475
    """
    flat = [move.detach().double().flatten() for move in moves]
    squares = [torch.dot(one, one).item() for one in flat]
    if not any(squares):
        return None
    pairs = [(i, j) for i in range(len(flat)) for j in range(i)]
    cosines = [
        max(-1.0, min(1.0, torch.dot(flat[i], flat[j]).item() / (squares[i] * squares[j]) ** 0.5))
        if squares[i] and squares[j]
        else 0.0
        for i, j in pairs
    ]
    return sum(sorted(cosines)) / len(pairs)


def _ratio(cosine: float, n: int) -> float:
    """Share of the mean, in [0, 1]; the denominator is above 0 where the cosine is.

    >>> _ratio(1.0, 2), _ratio(0.5, 2), _ratio(0.0, 3), _ratio(-0.5, 3)
    (1.0, 0.6666666666666666, 0.0, 0.0)
    """
    return min(1.0, n * cosine / (1 + (n - 1) * cosine)) if cosine > 0 else 0.0
