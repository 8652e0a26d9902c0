"""An upload, and the members that a file of any format consists of."""

import io
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from duo_core.formats.limits import Limits
from duo_core.formats.problems import Report, shown

TEXT = np.dtype("U")
"""The dtype of text members, whatever their width; they are read as arrays of str."""

Content = bytes | bytearray | memoryview | BinaryIO


@dataclass(frozen=True)
class Upload:
    """A file in memory: its name and its content, bytes-like (a memory map too) or an open binary file."""

    name: str
    content: Content
    path: str = ""
    """Where it lies, as a person wrote it; empty where only its name is known."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What a person says of its arrays: the role of each by the name it has in the file."""

    @property
    def label(self) -> str:
        """The name as a message shows it."""
        return shown(self.name, 120)

    @property
    def stem(self) -> str:
        """The name without folders and extension: what a model is called that the file does not name."""
        return PurePath(self.name.replace("\\", "/")).stem

    @property
    def suffix(self) -> str:
        """The extension, lower case, with its dot."""
        return PurePath(self.name.replace("\\", "/")).suffix.lower()

    def view(self, limits: Limits) -> memoryview:
        """Return the bytes without copying them, where they lie in memory already; raise a Flaw where they are too many."""
        content = self.content
        if isinstance(content, io.BytesIO):
            content = content.getbuffer()
        elif hasattr(content, "read") and not _bytes_like(content):
            content = content.read(limits.file_bytes + 1)
        view = memoryview(content).cast("B")  # type: ignore[arg-type]  # a file has been read by now
        limits.check_file(len(view))
        return view


def _bytes_like(content: object) -> bool:
    try:
        memoryview(content)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


@dataclass(frozen=True)
class Member:
    """One array of a file as its header declares it; nothing is unpacked before `read`."""

    name: str
    """Its role: logits/MODEL, labels, split, ids, ..."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]
    """Returns the array; it may share the upload's memory."""
    shown: str = ""
    """What the file calls it, where that is another name."""
    array: str = ""
    """What a person calls it who says what it is, where that is another name: in a table the first of its columns."""
    offered: bool = False
    """Whether it is a column that nothing asks for; it is left alone, and named where somebody may ask for it."""

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_text(self) -> bool:
        """Whether it holds text."""
        return self.dtype.kind in "US"

    @property
    def label(self) -> str:
        """The name as a message shows it."""
        return self.shown or self.name

    @property
    def given(self) -> str:
        """The name that the file itself gives it."""
        return self.array or self.name


def report_repeated(upload: Upload, names: Sequence[str], report: Report) -> None:
    """Report each name that stands in a file more than once."""
    for name, times in Counter(names).items():
        if times > 1:
            report.add(f"{upload.label}, {name}", "E103", f"'{shown(name)}' is there {times} times", mend="leave all but one out")
