"""Arrays as fd-shifts writes them: logits, label and number of the data set side by side."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duo_core.formats.limits import Limits
from duo_core.formats.problems import Report
from duo_core.formats.uploads import Member, Upload

FD_SHIFTS = "arr_0"
"""The one member of its raw_logits.npz."""


def fd_shifts(upload: Upload, members: Sequence[Member], limits: Limits, report: Report) -> list[Member]:
    """An fd-shifts array (n, k + 2) as the three members that it stands for; other members as they are."""
    whole = members[0] if len(members) == 1 else None
    if whole is None or whole.name != FD_SHIFTS or whole.dtype.kind != "f" or len(whole.shape) != 2 or whole.shape[1] < 4:
        return list(members)
    n, k = whole.shape[0], whole.shape[1] - 2
    limits.check_logits((n, k))
    labels, split = (whole_numbers(whole.read()[:, index]) for index in (k, k + 1))
    if split.dtype.kind != "i":  # plain logits
        return list(members)
    report.add(upload.label, "W01", f"the file has one array of shape {whole.shape}, as fd-shifts writes them")
    parts = [Member(f"logits/{upload.stem}", (n, k), whole.dtype, lambda: whole.read()[:, :k], FD_SHIFTS)]
    parts.append(Member("labels", (n,), labels.dtype, partial(np.asarray, labels), f"column {k} of {FD_SHIFTS}"))
    if (split != split[:1]).any():  # one data set only says nothing of splits
        parts.append(Member("split", (n,), split.dtype, partial(np.asarray, split), f"column {k + 1} of {FD_SHIFTS}"))
    return parts


def whole_numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Floats as integers where they are."""
    return values.astype(np.int64) if ((np.abs(values) < 1 << 53) & (values == np.rint(values))).all() else values
