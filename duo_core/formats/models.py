"""The models of all files together: each in one file, on the same classes, with labels that they know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from duo_core.formats.checks import check_range
from duo_core.formats.parts import Part
from duo_core.formats.problems import UNREAD_LOGITS, Report, listed, shown
from duo_core.formats.uploads import Member


@dataclass(frozen=True)
class Model:
    """Logits that one of the files has."""

    name: str
    place: int
    """Which of the files has it."""
    part: Part
    member: Member

    @property
    def where(self) -> str:
        """Its place as a message names it."""
        return f"{self.part.file}, {self.member.label}"

    @property
    def k(self) -> int:
        """Number of classes."""
        return self.member.shape[1]


def models_of(parts: Sequence[Part], report: Report) -> dict[str, Model]:
    """Models by name; one that is in two files is reported."""
    models: dict[str, Model] = {}
    for place, part in enumerate(parts):
        for name, member in part.models.items():
            model = models.setdefault(name, Model(name, place, part, member))
            if model.place != place:
                found = f"'{shown(name)}' is in {model.part.file} too"
                report.add(f"{part.file}, {member.label}", "E103", found, mend="rename one of the two, or its table")
    return models


def check_count(parts: Sequence[Part], models: Mapping[str, Model], report: Report) -> None:
    """Report fewer than two models, unless one is missing because of what is reported already."""
    if len(models) < 2 and not report.has(UNREAD_LOGITS):
        found = f"there are logits of {listed(list(models))} alone" if models else "there are no logits"
        where = ", ".join(part.file for part in parts)
        report.add(where, "E201", found, mend="add the file of the other model, or save both in one")


def check_classes(parts: Sequence[Part], models: Mapping[str, Model], given: Sequence[str] | None, report: Report) -> None:
    """Report classes that differ between models or files, and names of classes that are too few or too many."""
    where = ", ".join(part.file for part in parts)
    sizes = {model.k for model in models.values()}
    if len(sizes) > 1:
        text = ", ".join(f"'{shown(name)}' {model.k:,}" for name, model in list(models.items())[:8])
        report.add(where, "E401", f"the models have different numbers of classes: {text}")
    named = [part for part in parts if part.classes]
    for part in named[1:]:
        if part.classes != named[0].classes:
            report.add(part.file, "E401", f"class_names differ from those of {named[0].file}")
    if given is not None and sizes - {len(given)}:
        need = f"one name for each of the {max(sizes)} classes"
        report.add(where, "E205", f"{len(given)} class names were given", need=need)


def check_labels(parts: Sequence[Part], models: Mapping[str, Model], from_one: bool, report: Report) -> None:
    """Report labels that are no classes of the models, after 1 has been subtracted where that is asked for."""
    for part in parts:
        if part.labels is None or not len(part.labels) or not models:
            continue
        part.labels = part.labels - from_one
        with report.at(f"{part.file}, labels"):
            check_range(part.labels, max(model.k for model in models.values()), from_one)
