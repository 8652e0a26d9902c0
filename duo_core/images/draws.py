"""Images drawn by lot, so that each class gives its share and the same images are drawn wherever they lie."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from duo_core.common.arrays import InputError


def drawn(labels: Sequence[int], ids: Sequence[str], size: int | float, seed: int) -> tuple[list[int], list[int]]:
    """Draw rows stratified by class; return those drawn and the rest, both in order.

    Each class gives its share of `size`, rounded by largest remainder, so that the total is exact. Lots are drawn by hashing
    seed and id: the same images fall to the same side in a folder and in its tar, with any version of any library.

    >>> drawn([0, 0, 0, 0, 1, 1], list("abcdef"), 3, seed=0)
    ([0, 3, 5], [1, 2, 4])
    """
    n = len(ids)
    count = round(size * n) if isinstance(size, float) else size
    if not 0 < count < n:
        raise InputError(f"expected to draw between 1 and {n - 1} of the {n} images of 'test', got {size}")
    members: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        members[label].append(row)
    quota = {label: divmod(count * len(rows), n) for label, rows in members.items()}
    by_remainder = sorted(quota, key=lambda label: (-quota[label][1], _lot(seed, f"class {label}")))
    extra = set(by_remainder[: count - sum(whole for whole, _ in quota.values())])
    chosen: set[int] = set()
    for label, rows in members.items():
        chosen.update(sorted(rows, key=lambda row: _lot(seed, ids[row]))[: quota[label][0] + (label in extra)])
    return sorted(chosen), [row for row in range(n) if row not in chosen]


def _lot(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{name}".encode()).digest()
