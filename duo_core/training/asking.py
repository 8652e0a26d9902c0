"""What is asked for by `duo finetune` as plain values, and the job that it means."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from duo_core.common.arrays import InputError
from duo_core.images import open_source
from duo_core.images.splits import Split, splits
from duo_core.models.devices import best_precision, check_precision, compute_device
from duo_core.models.zoo import LoadedModel, ModelSpec, load, resolve
from duo_core.models.zoo.references import with_transform
from duo_core.training.finetune import Job
from duo_core.training.folders import Run
from duo_core.training.norms import check_statistics
from duo_core.training.recipes import RECIPES, Recipe
from duo_core.training.runs import job_model

RANGES = ("learning_rate", "weight_decay")
ROLES = {
    "train": "the images that models are trained on",
    "val": "the images that choose hyper-parameters and soups, and that temperatures may be fitted on",
}
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """Everything that a run's trials depend on, as JSON holds it; None for what the recipe says."""

    folder: str
    """Of the run."""
    model: str
    images: Mapping[str, str]
    class_index: str = "auto"
    class_folder: str = "leaf"
    checkpoint: str | None = None
    weights: str | None = None
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    transform: Mapping[str, Any] | None = None
    recipe: str = "paper"
    trials: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: Sequence[float] | None = None
    weight_decay: Sequence[float] | None = None
    batchnorm: str | None = None
    no_augment: bool = False
    metric: str = "accuracy"
    seed: int = 0
    precision: str = "auto"

    @property
    def run(self) -> Run:
        """Where the run is."""
        return Run(Path(self.folder))

    def job(self, device: str, tell: Tell) -> tuple[Job, LoadedModel]:
        """What is trained on what, and the model whose trunk is probed."""
        images = images_of(self.images, self.class_index, self.class_folder, list(ROLES), tell)
        where, recipe = compute_device(device), self._recipe()
        pretrained = load(self._spec(), random_weights=not recipe.probe)
        if pretrained.note:
            tell(pretrained.note)
        if recipe.probe:
            check_statistics(pretrained.module, recipe.statistics, pretrained.spec.name)
        model = job_model(pretrained, images["train"].source.classes or (), recipe.probe)
        precision = best_precision(where) if self.precision == "auto" else self.precision
        check_precision(precision, where)
        metric: Any = self.metric
        return Job(model, images["train"], images["val"], recipe, self.seed, metric, where, precision), pretrained

    def _spec(self) -> ModelSpec:
        found = resolve(self.model)
        if len(found) != 1:
            raise InputError(f"expected one model to train, got {len(found)} in '{self.model}'; name one of them")
        spec = replace(found[0], arguments={**found[0].arguments, **self.arguments})
        if self.checkpoint:
            spec = replace(spec, checkpoint=Path(self.checkpoint))
        if self.weights:
            spec = replace(spec, choice=self.weights)
        return spec if self.transform is None else with_transform(spec, self.transform)

    def _recipe(self) -> Recipe:
        given: dict[str, Any] = {key: getattr(self, key) for key in ("trials", "epochs", "batch_size")}
        given |= {key: tuple(value) if (value := getattr(self, key)) else None for key in RANGES}
        given |= {"statistics": self.batchnorm, "augment": False if self.no_augment else None}
        return RECIPES[self.recipe].with_options(given)


def images_of(texts: Mapping[str, str], class_index: str, class_folder: str, needed: Sequence[str], tell: Tell) -> dict[str, Split]:
    """The images of each split that is needed, with the classes of all seen to be the same."""
    other = [name for name in texts if name not in ROLES]
    missing = [name for name in needed if name not in texts]
    if other or missing:
        got = f"'{other[0]}'" if other else f"none for {' and '.join(missing)}"
        raise InputError(f"expected --images {' '.join(f'{name}=SOURCE' for name in ROLES)}, got {got}; training reads no others")
    sources = {name: open_source(text, class_index, class_folder) for name, text in texts.items()}
    for source in sources.values():
        for note in source.notes:
            tell(note)
        if source.classes is None:
            raise InputError(
                f"expected images whose classes all have names, got numbers with gaps in '{source.text}'; give a class map"
            )
    return splits(sources)
