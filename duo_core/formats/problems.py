"""Every problem that a logit file can have: its code, what is needed, and the one command or click that mends it."""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from duo_core.common.arrays import InputError

SAVE = "numpy.savez('logits.npz', base_logits=base, sidekick_logits=sidekick, labels=labels)"
INFERENCE = "timm's inference.py --output-type logit --topk 0 --results-separate-col"


@dataclass(frozen=True)
class Code:
    """One kind of problem."""

    title: str
    need: str
    """What is needed instead; each case fills the fields in braces."""
    mend: str
    """The one command or click that mends it; a case may know a better one."""


CODES = {
    "E101": Code(
        "the extension is unknown",
        "needed is a file that ends in .npz, .npy, .safetensors, .parquet, .csv or .tsv",
        f"duo convert does not read it either: save plain arrays, {SAVE}",
    ),
    "E102": Code(
        "the content does not match the extension",
        "needed is a whole {format} file",
        "save or download it again; duo convert writes one",
    ),
    "E103": Code(
        "an array is unexpected or repeated",
        "needed are logits/MODEL, labels, split, ids, class_names, flops/MODEL and parameters/MODEL, each once",
        "leave it out, or say what it is with --name ROLE=ARRAY (on the page under 'What the arrays are')",
    ),
    "E104": Code(
        "Python objects (pickle), which are never loaded",
        "needed are plain arrays of numbers or text, since loading an object runs its code",
        f"save plain arrays: {SAVE}",
    ),
    "E105": Code(
        "the file declares more than the limit, or other than it holds",
        "needed is {limit}",
        "save fewer rows or classes, or the logits as float16 (duo convert --dtype float16)",
    ),
    "E106": Code(
        "the dtype is not supported",
        "needed is float16, float32 or float64",
        "save it again after .float() in torch or .astype('float32') in NumPy",
    ),
    "E201": Code(
        "there are no logits of two models",
        "needed are logits/MODEL of two or more models, or base_logits and sidekick_logits (in a table logit_0, logit_1, ...)",
        "say what the arrays are with --name logits/MODEL=ARRAY (on the page under 'What the arrays are'), or add the other file",
    ),
    "E202": Code(
        "the logits look like probabilities",
        "needed are logits or log-probabilities",
        "tick 'Take the logarithm' (--log), or save what the model gives before its softmax",
    ),
    "E203": Code(
        "the logit columns are not complete",
        "needed are columns logit_0 to logit_{last}, each once",
        f"write the table again with {INFERENCE}",
    ),
    "E204": Code(
        "all logits stand in one list column",
        "needed is one column a class: logit_0, logit_1, ...",
        f"write the table again with {INFERENCE}",
    ),
    "E205": Code("the shape is wrong", "needed is {need}", "save it in that shape, with numpy.reshape for instance"),
    "E206": Code("the dtype is wrong here", "needed is {need}", "save it after .astype('{dtype}')"),
    "E207": Code(
        "there are fewer than two classes",
        "needed is one logit a class",
        "save a single logit z of a binary model as two: numpy.c_[0 * z, z]",
    ),
    "E208": Code(
        "logits are NaN or infinite",
        "needed are finite numbers, or -inf for a masked class that is not the label's",
        "compute these rows again in float32, or leave them out",
    ),
    "E301": Code(
        "`label` holds text, the name of the predicted class",
        "needed is the true class as an integer from 0",
        "add an integer column target to the table",
    ),
    "E302": Code(
        "there are no labels",
        "needed is the true class of every image as an integer from 0: labels, in a table target",
        "say which it is with --name labels=ARRAY (on the page under 'What the arrays are'), or add a file of labels",
    ),
    "E303": Code("row counts differ", "needed is one row an image in every array of a file", "save the arrays of the same images"),
    "E304": Code(
        "the labels' dtype or shape is wrong",
        "needed is one integer class an image, shape (N,)",
        "save labels.argmax(1) of one-hot rows, else labels.astype('int64')",
    ),
    "E305": Code(
        "labels are out of range",
        "needed are classes from 0 to {last}",
        "tick 'Labels start at 1' (--labels-from-one), or subtract 1",
    ),
    "E401": Code(
        "the classes differ between models or files",
        "needed are the same classes in the same order everywhere",
        "leave one of them out, or compute it again on the same classes",
    ),
    "E402": Code(
        "the files' ids do not overlap",
        "needed are the same names for the same images in every file",
        "write whole paths as ids (timm's inference.py --fullname)",
    ),
    "E403": Code(
        "labels disagree between files",
        "needed is one label an image",
        "add ids (in a table filename) to each file if their rows are in another order, or remove the wrong labels",
    ),
    "E404": Code(
        "there are no ids, and row counts differ between files",
        "needed are ids to join on, or the same images in the same order",
        "add ids (in a table filename) to each file",
    ),
    "E405": Code(
        "the split has no fit rows or no test rows, or cannot be read",
        "needed is 0 or 'val' for rows to fit on and 1 or 'test' for rows to judge on (2 and up or other names are further splits)",
        "correct split, or leave it out and it is drawn",
    ),
    "W01": Code(
        "read as fd-shifts' array",
        "the last two columns are taken as labels and split (0 fit, 1 test), the others as logits",
        "save the arrays under their names if that is wrong",
    ),
    "W02": Code(
        "the accuracy is about chance",
        "labels and logits may mean other images or other classes",
        "check that images and classes have the same order, and that labels start at 0",
    ),
    "W03": Code("fewer than 200 rows to fit on", "the temperatures are uncertain", "add rows to the fit split"),
    "W04": Code(
        "ids are duplicated",
        "the rows stay, but cannot be told apart by them",
        "write whole paths as ids (timm's inference.py --fullname)",
    ),
    "W05": Code("the base is less accurate or cheaper than the sidekick", "the base is usually the larger model", "swap them"),
    "W06": Code("a model's logits equal another's", "a model adds nothing to itself", "save the other model's own logits"),
    "W07": Code(
        "the fit split is separated perfectly",
        "no finite temperature is best for this model, so its weight will stand at the bound",
        "fit on images that it was not trained on, or on more of them",
    ),
    "W08": Code(
        "probabilities that are 0 or about it",
        "float16 rounds such values to 0, whose logarithm is minus infinity, so the result hangs on what is taken in their place",
        "save what the model gives before its softmax, or say another floor (--floor X, or on the page; 1e-30 leaves all but 0)",
    ),
    "W09": Code(
        "arrays under other names",
        "what an array is was read off its name and shape",
        "say otherwise with --name ROLE=ARRAY, or on the page under 'What the arrays are'",
    ),
    "W10": Code(
        "masked classes",
        "a class at -inf is left out of its row, and a very low logit is as good as that; neither moves the fit",
        "nothing is to be done if they are masked on purpose",
    ),
    "W11": Code(
        "rows of another scale",
        "one temperature serves all rows, so a wrong one among these draws it towards 0",
        "look at these rows; leave them out if they were computed otherwise",
    ),
    "W12": Code(
        "ties for the first place",
        "the lowest of the tied classes is taken as predicted, so accuracy hangs on the order of the classes",
        "save logits before they are rounded or thresholded",
    ),
    "W13": Code(
        "rows without names",
        "nothing says that they are of the same images",
        "write the images' names as ids (in a table filename) to each file",
    ),
}
"""All codes, errors first; docs/formats.md lists the same."""

UNREAD = {"E101", "E102", "E104", "E105", "E106"}
"""Something could not be read, so what seems to be missing may be there."""
UNREAD_LOGITS = UNREAD | {"E201", "E203", "E204", "E205", "E206", "E207"}


@dataclass(frozen=True)
class Problem:
    """One problem of an upload."""

    code: str
    where: str
    """The file, and the member, column or models in it."""
    message: str
    """What was found, what is needed, what mends it."""

    def __str__(self) -> str:
        return f"{self.code} {self.where}: {self.message}"


class Flaw(Exception):  # noqa: N818 (what is wrong with a file; the reader goes on)
    """What was found wrong at one place; becomes a Problem where the place is known."""

    def __init__(self, code: str, found: str, **fields: Any) -> None:
        super().__init__(found)
        self.code = code
        self.found = found
        self.fields = fields

    def problem(self, where: str) -> Problem:
        """Return the problem, its sentence made of the code's parts."""
        code = CODES[self.code]
        mend = self.fields.get("mend") or code.mend.format(**self.fields)
        parts = (self.found, code.need.format(**self.fields), mend)
        return Problem(self.code, shown(where, 160), " ".join("; ".join(parts).split()))


class RefusedError(InputError):
    """Files that cannot be used; `args` are one line a problem."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(*map(str, problems))
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.args)


@dataclass
class Report:
    """Collects problems and warnings while files are read."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def add(self, where: str, code: str, found: str, **fields: Any) -> None:
        """Note one problem, or a warning where the code begins with W."""
        (self.warnings if code.startswith("W") else self.problems).append(Flaw(code, found, **fields).problem(where))

    def has(self, codes: Collection[str], file: str = "") -> bool:
        """Whether one of the codes is there, in the given file if one is named."""
        return any(problem.code in codes and problem.where.startswith(file) for problem in self.problems)

    @contextlib.contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Run the body; a Flaw that it raises is noted as a problem of this place."""
        try:
            yield
        except Flaw as flaw:
            self.add(where, flaw.code, flaw.found, **flaw.fields)


def shown(text: object, length: int = 60) -> str:
    r"""Text from a file as a sentence may show it: printable, on one line, not long.

    >>> shown("a\x1b[31m" + "b" * 100, 12)
    'a?[31mbbbbb…'
    """
    clean = "".join(letter if letter.isprintable() else "?" for letter in str(text)[: length + 1])
    return clean if len(clean) <= length else clean[: length - 1] + "…"


def listed(names: list[str], most: int = 6) -> str:
    """Names as a sentence lists them.

    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    text = ", ".join(f"'{shown(name)}'" for name in names[:most])
    return (text or "nothing") + (f" and {len(names) - most} more" if len(names) > most else "")
