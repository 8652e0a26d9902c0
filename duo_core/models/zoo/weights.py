"""Which of the weights in a checkpoint a model is given: under any key and any wrapper's prefix, averaged ones first."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from duo_core.common.arrays import InputError
from duo_core.models.zoo.checkpoints import Place, State, few, file_name

RAW, AVERAGED = "raw", "ema"
WRAPPERS = ("module", "_orig_mod", "model", "net")
"""What training adds before the names of tensors: parallel and compiled modules, averages, and modules that hold the model."""
USUAL = ("state_dict", "model", "model_state_dict", "net", "module", "weights")
USUAL_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema", "model_ema_state_dict", "ema_model")
AVERAGE = re.compile(r"(^|[^a-z])(ema|avg|averaged?|swa|polyak|shadow)([^a-z]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Candidate:
    """Tensors that a model may take: those of a place in the checkpoint whose names begin with a prefix."""

    place: Place
    prefix: str
    state: State
    """Without the prefix, numbers as float32."""

    @property
    def label(self) -> str:
        """What a person calls it: the keys that lead to it, wrappers left out; nothing where the checkpoint is plain."""
        return ".".join([*self.place, *(part for part in self.prefix.split(".") if part and part not in WRAPPERS)])

    @property
    def averaged(self) -> bool:
        """Whether a name says that the weights are an average over training steps."""
        return any(map(_averaged, (*self.place, *self.prefix.split("."))))

    def rank(self) -> tuple[int, bool]:
        """Return what candidates of a kind are preferred by: usual keys first."""
        usual = USUAL_AVERAGED if self.averaged else USUAL
        first = self.place[0] if self.place else ""
        place = 0 if not first else usual.index(first) + 1 if first in usual else len(usual) + 1
        return place, any(part not in WRAPPERS for part in self.prefix.split(".") if part)


@dataclass(frozen=True)
class Chosen:
    """The weights that were chosen, and what is to be said of the choice."""

    state: State
    key: str | None
    """Where they stood; None where the checkpoint is plain."""
    averaged: bool
    note: str


def choose(places: Mapping[Place, State], module: nn.Module, which: str | None, name: str, path: Path) -> Chosen:
    """Choose the weights that a module is to be given.

    Parameters
    ----------
    places
        What `checkpoints.read` gave.
    module
        The model, or its outline; only the names and shapes of its tensors matter.
    which
        `raw`, `ema` (averaged), the key of one, or None: averaged ones where there are some, as timm does.
    name, path
        The model's name and the file, for what is said.

    Raises
    ------
    InputError
        Where the checkpoint does not have what is asked for, or has several and nothing says which.
    """
    fitting, best = _candidates(places, module)
    if not fitting:
        return Chosen(best.state, best.label or None, best.averaged, "")
    asked = _asked(fitting, which, path)
    kind = [one for one in asked if one.averaged] or asked
    first = min(kind, key=Candidate.rank)
    rivals = [one for one in kind if one.rank() == first.rank() and not _equal(one.state, first.state)]
    if rivals:
        raise InputError(
            f"'{path}' has several weights that fit '{name}' ({few([one.label for one in kind])}); say which with "
            f"--weights {name}={first.label}"
        )
    alone = all(one.averaged == first.averaged for one in fitting)
    key = first.label or (None if alone else RAW)  # a plain state dict may hold averages under names of their own
    return Chosen(first.state, key, first.averaged, _note(first, fitting, places, which, name, path))


def _averaged(part: str) -> bool:
    """Whether a part of a name says so, also one in camel case.

    >>> [_averaged(part) for part in ("state_dict_ema", "modelEma", "EMA", "schema", "emanet")]
    [True, True, True, False, False]
    """
    return AVERAGE.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", part)) is not None


def _candidates(places: Mapping[Place, State], module: nn.Module) -> tuple[list[Candidate], Candidate]:
    """All that have every tensor of the module (of them, those with most shapes right), and the one that comes closest."""
    own = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items() if not key.endswith("num_batches_tracked")}
    counted = [
        (number, place, prefix) for place, state in places.items() for prefix, number in _prefixes(state, own).items() if number
    ]
    if not counted:
        place = min(places, key=lambda place: Candidate(place, "", {}).rank())
        closest = _candidate(place, _wrapper(places[place]), places[place])
        return [], closest
    most = max(number for number, _, _ in counted)
    found = [_candidate(place, prefix, places[place]) for number, place, prefix in counted if number == most]
    right = [sum(tuple(one.state[key].shape) == shape for key, shape in own.items() if key in one.state) for one in found]
    found = [one for one, shapes in zip(found, right, strict=True) if shapes == max(right)]
    return (found if most == len(own) else []), min(found, key=Candidate.rank)


def _prefixes(state: State, own: Mapping[str, object]) -> Counter[str]:
    """How many of the module's tensors there are after each prefix."""
    found: Counter[str] = Counter()
    for key in state:
        parts = key.split(".")
        for depth in range(len(parts)):
            if ".".join(parts[depth:]) in own:
                found["".join(f"{part}." for part in parts[:depth])] += 1
    return found


def _wrapper(state: State) -> str:
    """The wrappers' prefix that all names share."""
    prefix = ""
    while True:
        longer = {f"{prefix}{word}." for word in WRAPPERS if all(key.startswith(f"{prefix}{word}.") for key in state)}
        if not longer:
            return prefix
        prefix = longer.pop()


def _candidate(place: Place, prefix: str, state: State) -> Candidate:
    taken = {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
    return Candidate(place, prefix, {key: value.float() if value.is_floating_point() else value for key, value in taken.items()})


def _asked(fitting: list[Candidate], which: str | None, path: Path) -> list[Candidate]:
    """Those that answer what was asked for."""
    if which is None:
        return fitting
    if which in (RAW, AVERAGED):
        found = [one for one in fitting if one.averaged == (which == AVERAGED)]
    else:
        found = [one for one in fitting if which in (one.label, *one.label.split("."))]
    if not found:
        labels = [one.label or "plain weights" for one in fitting]
        raise InputError(f"expected the weights '{which}' (--weights) in '{path}', got {few(labels)}; ask for another, or for none")
    return found


def _equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def _note(
    chosen: Candidate, fitting: list[Candidate], places: Mapping[Place, State], which: str | None, name: str, path: Path
) -> str:
    """Say what was chosen among several, and which averages could not be; nothing where there was no choice."""
    others = [one.label or "the plain ones" for one in fitting if one is not chosen]
    labels = {one.label for one in fitting}
    unfit = [
        ".".join(place)
        for place, state in places.items()
        if any(map(_averaged, place)) and ".".join(place) not in labels and 2 * len(state) >= len(chosen.state)
    ]
    file = file_name(path)
    said = []
    if others:
        kind = "averaged weights" if chosen.averaged else "weights"
        other = AVERAGED if not chosen.averaged and any(one.averaged for one in fitting) else RAW
        change = f"; --weights {name}={other} takes those" if chosen.averaged or other == AVERAGED else ""
        said.append(f"'{name}' has the {kind} '{chosen.label or 'plain'}' of '{file}', not {few(others)}{change}")
    if unfit and not chosen.averaged and which is None:
        said.append(f"the averaged weights {few(unfit)} of '{file}' are not whole and not used")
    return "; ".join(said)
