"""What the arrays of a file are where their names do not say so: as a person says, else the one reading that there is."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from duo_core.arrays import InputError
from duo_core.formats.problems import Report, listed, shown
from duo_core.formats.uploads import Member

ALIASES = {
    "target": "labels",
    "filename": "ids",
    "base_logits": "logits/base",
    "sidekick_logits": "logits/sidekick",
}
"""Names that mean one thing in an upload."""
ROWS = ("labels", "ids", "split")
OF_MODEL = re.compile(r"(logits|flops|parameters)[/.](.+)", re.DOTALL)
LABELS = {
    *("label", "labels", "target", "targets", "y", "gt", "truth", "y_true", "y_test", "y_val", "ground_truth", "groundtruth"),
    *("true_labels", "true_label", "true_class", "class_id", "class_idx", "label_id", "gt_label", "gt_labels", "true_y"),
}
"""What people call the true classes, in lower case; taken for them where no array is called labels."""
IDS = {"id", "ids", "file", "filename", "filenames", "file_name", "path", "paths", "image", "image_id", "name", "names"}
WORDS = re.compile(r"(?i)(^|[_./ -])(logits?|scores?|outputs?|preds?|predictions?|probs?|probabilities|arr_\d+|x)($|[_./ -])")
"""What in an array's name says that it is logits, and not whose."""


@dataclass(frozen=True)
class Naming:
    """What a person says of arrays, role by role: an array's name, or FILE:NAME where several files have it."""

    said: Mapping[str, str]

    def __post_init__(self) -> None:
        for role, array in self.said.items():
            if not (role in (*ROWS, "class_names") or OF_MODEL.fullmatch(role)):
                raise InputError(
                    f"expected logits/MODEL, labels, ids, split, class_names, flops/MODEL or parameters/MODEL, got '{role}' "
                    f"for the array '{array}'"
                )

    def check(self, arrays: Mapping[str, Sequence[str]]) -> None:
        """Raise InputError where an array is named that none of the files has."""
        for array in self.said.values():
            if not any(array in (name, f"{file}:{name}") for file, names in arrays.items() for name in names):
                there = [name for names in arrays.values() for name in names]
                raise InputError(f"expected an array of the files, got '{array}'; they have {listed(there, 12)}")

    def applied(self, file: str, stem: str, members: Sequence[Member], report: Report) -> list[Member]:
        """Return the members under the names of their roles; what was guessed, and what was left out, is noted."""
        if not self.said:
            return _guessed(
                file, stem, [replace(member, name=role_of(member.name), shown=member.label) for member in members], report
            )
        found, rest = [], []
        for member in members:
            roles = [role for role, array in self.said.items() if array in (member.name, member.label, f"{file}:{member.name}")]
            found += [replace(member, name=role_of(role), shown=member.label) for role in roles]
            if not roles:
                rest.append(replace(member, name=role_of(member.name), shown=member.label))
        taken = {member.name for member in found}
        kept = [member for member in rest if is_known(member.name) and member.name not in taken]
        if left := [member.label for member in rest if member not in kept]:
            report.add(file, "W09", f"{listed(left)} {'is' if len(left) == 1 else 'are'} left out")
        return _guessed(file, stem, found + kept, report)


def role_of(name: str) -> str:
    """The role that a name stands for, or the name.

    >>> role_of("target"), role_of("logits.resnet"), role_of("ground_truth")
    ('labels', 'logits/resnet', 'ground_truth')
    """
    name = ALIASES.get(name, name)
    part = OF_MODEL.fullmatch(name)
    return f"{part[1]}/{part[2]}" if part else name


def is_known(name: str) -> bool:
    """Whether a name is that of a role."""
    return name in (*ROWS, "class_names") or OF_MODEL.fullmatch(name) is not None


def _guessed(file: str, stem: str, members: list[Member], report: Report) -> list[Member]:
    """Logits, labels and ids under other names are taken where there is one array that can be meant, and that is said."""
    guesses: dict[str, str] = {}
    if not any(member.name.startswith("logits/") for member in members) and len(_wide(members)) == 1:
        (wide,) = _wide(members)
        guesses[wide.name] = f"logits/{clean(wide.label) or stem}"
    n = {m.shape[0] for m in members if m.shape and guesses.get(m.name, m.name).startswith("logits/")}
    columns = [m for m in members if not is_known(m.name) and len(m.shape) == 1 and (not n or m.shape[0] in n)]
    whole = [member for member in columns if member.dtype.kind in "iu"]
    called = [member for member in whole if member.label.rpartition("/")[2].lower() in LABELS]
    names = [member for member in columns if member.is_text and member.label.lower() in IDS]
    for role, candidates in (("labels", called or whole), ("ids", names)):
        if len(candidates) == 1 and not any(member.name == role for member in members):
            guesses[candidates[0].name] = role
    if guesses:
        said = [f"'{shown(m.label)}' {m.shape} as {_words(guesses[m.name])}" for m in members if m.name in guesses]
        report.add(file, "W09", f"read {' and '.join(said)}")
    return [replace(member, name=guesses.get(member.name, member.name)) for member in members]


def _words(role: str) -> str:
    return f"the logits of '{shown(role.removeprefix('logits/'))}'" if role.startswith("logits/") else f"the {role}"


def _wide(members: Sequence[Member]) -> list[Member]:
    """Members that may be logits under another name."""
    return [m for m in members if not is_known(m.name) and len(m.shape) == 2 and m.dtype.kind == "f" and m.shape[1] > 1]


def clean(name: str) -> str:
    """A model's name out of an array's.

    >>> clean("resnet50_logits"), clean("predictions"), clean("model_a"), clean("logits/vit")
    ('resnet50', '', 'model_a', 'vit')
    """
    return WORDS.sub(r"\1", name).strip("_./ -")


def advised(members: Sequence[Member]) -> str:
    """The option that says what the arrays are, filled in as far as their shapes tell."""
    logits = [f"logits/{shown(clean(m.label) or m.label)}={shown(m.label)}" for m in _wide(members)]
    labels = [f"labels={shown(m.label)}" for m in members if len(m.shape) == 1 and m.dtype.kind in "iu"][:1]
    return " ".join(["--name", *logits[:4], *labels])
