"""A run's trials averaged into one model: which ones, scored on the run's validation images, written with all that led to it."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from duo_core.common.arrays import InputError
from duo_core.common.files import checked_name
from duo_core.images.splits import Split
from duo_core.models.zoo import LoadedModel, load
from duo_core.models.zoo.checkpoints import file_sha256, fill
from duo_core.models.zoo.trained import described
from duo_core.training import checkpoints
from duo_core.training.averages import Candidate, State, Stocked, check_alike, greedy, stock, uniform
from duo_core.training.folders import ANCHOR, Run
from duo_core.training.norms import LEAST_IMAGES, is_folded, norms, recompute
from duo_core.training.passes import logits_of
from duo_core.training.runs import images_digest
from duo_core.training.scores import Score, score

METHODS = {"uniform": "uniform soup", "greedy": "greedy soup", "stock": "Model Stock"}
SAME = ("model", "arguments", "classes", "anchor")
"""What models have to share for their average to mean anything."""


@dataclass(frozen=True)
class Ingredient:
    """A trial, as it goes into an average."""

    name: str
    sha256: str
    number: int
    about: Mapping[str, Any]
    state: State


@dataclass(frozen=True)
class Judged:
    """How many weights have been judged on the validation images, and how many may be.

    >>> print(Judged(3, 24))
     12%  3 of at most 24 judged on val
    """

    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.done / self.total:4.0%}  {self.done} of at most {self.total} judged on val"


@dataclass(frozen=True)
class Soup:
    """An average that was written."""

    file: Path
    sha256: str
    about: dict[str, Any]
    """What its header says: method, ingredients with their scores, the score of the whole, the anchor."""


def make_soup(
    run: Run,
    method: str,
    images: Mapping[str, Split],
    *,
    of: Sequence[str] = (),
    name: str | None = None,
    own_code: str | None = None,
    device: torch.device | None = None,
    show: Callable[[Judged], None] = lambda _: None,
) -> Soup:
    """Average trials of a run and write the result into its folder `soups`.

    Parameters
    ----------
    run
        Whose trials, and whose anchor.
    method
        A key of METHODS.
    images
        The run's own `val`, which scores; and its `train`, where statistics of BatchNorm may be recomputed.
    of
        Numbers of trials, or files of checkpoints; default all that finished.
    name
        Of the file; default the method, and what it is of.
    own_code
        `module:callable` that builds the model, where the run is of such a one: no file may say which code is run.
    device
        Where they are judged; default the CPU.
    show
        Takes each moment: trials alone, then averages.

    Raises
    ------
    InputError
        Where images, anchors, classes or tensors are not those of the run.
    """
    known = run.about()
    _check_images(run, known, images)
    ingredients = _ingredients(run, of)
    model = model_of(known, own_code)
    model.module.to(device or torch.device("cpu"))
    most = len(ingredients) + (len(ingredients) if method == "greedy" else 2)
    done = itertools.count(1)
    kitchen = _Kitchen(model, images, known["metric"], lambda: show(Judged(next(done), most)))
    checked = checked_name(name or "-".join([method, *(Path(one).stem for one in of)]), "soup")
    found, state, details = _averaged(kitchen, run, method, ingredients)
    state, found, statistics = kitchen.with_statistics(state, found, method, details["kept"])
    show(Judged(most, most))
    about = {
        **{key: known[key] for key in known if key != "made_with"},
        "run": run.name,
        "anchor": ingredients[0].about["anchor"],
        "methodology": METHODS[method],
        "score": found.to_dict(),
        "statistics": statistics,
        **details,
        "training_multiply_adds": _cost(ingredients),
        "failed": [record["trial"] for record in run.trials() if record["state"] == "failed"],
    }
    file = run.folder / "soups" / f"{checked}.safetensors"
    file.parent.mkdir(exist_ok=True)
    return Soup(file, checkpoints.write(file, state, about), about)


def _cost(ingredients: Sequence[Ingredient]) -> int | None:
    """Multiply-adds of all trials that were looked at, kept or not: a soup costs what it was chosen from."""
    costs = [one.about.get("training_multiply_adds") for one in ingredients]
    known = [int(cost) for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def model_of(known: Mapping[str, Any], own_code: str | None = None) -> LoadedModel:
    """Build the model that a run or a checkpoint of training describes, with random weights.

    Raises
    ------
    InputError
        Where it is own code that nobody named: what a file says is never run.
    """
    return load(described(known, own_code), random_weights=True)


def _check_images(run: Run, known: Mapping[str, Any], images: Mapping[str, Split]) -> None:
    if "val" not in images:
        raise InputError(f"expected the validation images of the run '{run.name}', got none; give them with --images val=SOURCE")
    for name, split in images.items():
        if known["images"].get(name, {}).get("sha256") != images_digest(split):
            raise InputError(
                f"expected the images that '{run.name}' has as '{name}' ({known['images'].get(name, {}).get('images', 0):,}), got "
                f"{len(split):,} others from '{split.source.text}'; give the same"
            )


def _ingredients(run: Run, of: Sequence[str]) -> list[Ingredient]:
    """The trials that were asked for, seen to come from one anchor."""
    finished = [str(record["trial"]) for record in run.trials() if record["state"] == "finished"]
    if not (of or finished):
        raise InputError(f"expected trials that have finished in the run '{run.name}', got none; run duo finetune first")
    if twice := [one for one in of if of.count(one) > 1]:
        raise InputError(f"expected each trial once, got '{twice[0]}' {of.count(twice[0])} times; leave the others out")
    found = [_ingredient(run, one, finished) for one in of or finished]
    for one in found:
        if one.about["anchor"] is None:
            raise InputError(
                f"expected trials that start from one anchor, got {one.name} from random weights; the average of such is no model: "
                "combine their logits with duo fit --members"
            )
        for key in SAME:
            if one.about[key] != found[0].about[key]:
                raise InputError(
                    f"expected trials of one {key}, got {found[0].name} and {one.name} with others; average models of one run"
                )
    return found


def _ingredient(run: Run, text: str, finished: Sequence[str]) -> Ingredient:
    if text.isdecimal() and str(int(text)) not in finished:
        there = ", ".join(finished) or "none"
        raise InputError(f"expected a trial that has finished in '{run.name}' ({there}), got {text}; name others with --of")
    file = run.trial(int(text)) / "model.safetensors" if text.isdecimal() else Path(text)
    about, state = checkpoints.read(file)
    if "trial" not in about:
        raise InputError(f"expected the checkpoint of a trial, got '{file}' ({about.get('methodology', 'of another kind')})")
    name = f"trial {about['trial']}" if text.isdecimal() else f"trial {about['trial']} of '{about['run']}'"
    return Ingredient(name, file_sha256(file), about["trial"], about, state)


def _averaged(
    kitchen: "_Kitchen", run: Run, method: str, ingredients: Sequence[Ingredient]
) -> tuple[Score, dict[str, Tensor], dict[str, Any]]:
    """Average by a method; return the score, the weights, and what the header says of the ingredients."""
    check_alike({one.name: one.state for one in ingredients})
    alone = {one.name: kitchen.judge(one.state) for one in ingredients}
    by_name = {one.name: one for one in ingredients}
    best = min(alone.values(), key=lambda found: found.loss)
    if method == "greedy":
        soup = greedy([Candidate(one.name, one.number, alone[one.name], one.state) for one in ingredients], kitchen.judge)
        listed = [
            {**_listed(by_name[step.name], step.alone), "kept": step.kept, "drop": step.drop, "copy": step.tried is None}
            for step in soup.steps
        ]
        return soup.score, soup.state, {"ingredients": listed, "kept": len(soup.kept), "best_alone": best.to_dict()}
    states = [one.state for one in ingredients]
    mixed = uniform(states) if method == "uniform" else _stocked(kitchen, run, ingredients)
    state = mixed.state if isinstance(mixed, Stocked) else mixed
    details: dict[str, Any] = {
        "ingredients": [{**_listed(one, alone[one.name]), "kept": True} for one in ingredients],
        "kept": len(ingredients),
        "best_alone": best.to_dict(),
    }
    if isinstance(mixed, Stocked):
        details |= {"ratios": mixed.ratios, "clamped": list(mixed.clamped)}
    return kitchen.judge(state), state, details


def _stocked(kitchen: "_Kitchen", run: Run, ingredients: Sequence[Ingredient]) -> Stocked:
    file = run.folder / ANCHOR
    _, anchor = checkpoints.read(file)
    if file_sha256(file) != ingredients[0].about["anchor"]:
        raise InputError(f"expected the anchor of the trials at '{file}', got another one; name the run that they are of")
    parameters = [name for name, _ in kitchen.model.module.named_parameters(remove_duplicate=False)]
    return stock([one.state for one in ingredients], anchor, parameters)


def _listed(one: Ingredient, alone: Score) -> dict[str, Any]:
    drawn = {key: one.about[key] for key in ("trial", "learning_rate", "weight_decay")}
    return {"name": one.name, "weights_sha256": one.sha256, **drawn, "score": asdict(alone)}


@dataclass(frozen=True)
class _Kitchen:
    """A model that takes on weights, and the images that they are judged on."""

    model: LoadedModel
    images: Mapping[str, Split]
    metric: Any
    told: Callable[[], None]

    def judge(self, state: State) -> Score:
        fill(self.model.module, state)
        split = self.images["val"]
        found = score(logits_of(self.model.module, split, self.model.transform), split.labels, self.metric)
        self.told()
        return found

    def with_statistics(
        self, state: dict[str, Tensor], found: Score, method: str, kept: int
    ) -> tuple[dict[str, Tensor], Score, dict[str, Any]]:
        """Recompute BatchNorm's statistics on training images where that lowers the NLL; of a greedy soup, where it is no worse."""
        fill(self.model.module, state)
        train = self.images.get("train")
        why = (
            "there are none"
            if not norms(self.model.module)
            else "folded into the convolutions"
            if is_folded(self.model.module)
            else "of one trial"
            if kept == 1
            else "no training images were given"
            if train is None or len(train) < LEAST_IMAGES
            else ""
        )
        if why or train is None:
            return state, found, {"taken": "averaged", "why": why}
        recompute(self.model.module, train, self.model.transform)
        other = {key: value.detach().cpu().clone().contiguous() for key, value in self.model.module.state_dict().items()}
        judged = self.judge(other)
        better = judged.loss < found.loss if method == "greedy" else judged.nll < found.nll
        said = {"taken": "recomputed" if better else "averaged", "nll_averaged": found.nll, "nll_recomputed": judged.nll}
        return (other, judged, said) if better else (state, found, said)
