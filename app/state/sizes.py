"""How many bytes a value holds in memory, and where, so that what two values share is counted once."""

import sys
from collections.abc import Callable, Hashable, Iterable, Mapping
from mmap import mmap
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from duo_core.analysis.candidates import Candidate
from duo_core.systems.duo import Fit
from duo_core.systems.enumeration import Result
from duo_core.systems.system import Fitted, System

Place = Hashable
"""Where something lies: an address, or what stands for one."""
ATOMS = (str, bytes, bytearray, int, float, complex, bool, type(None))
OPAQUE = (type, ModuleType)
BUFFERS = (bytes, bytearray, memoryview, mmap)
"""What arrays look into beside arrays; a mapped file is none of our memory."""
RECORDS = (Fit, Fitted, Result, System, Candidate)
"""What is in thousands and looks into no array; of many, and of many atoms by key, the first says how large each is."""
LONG = 64
"""Items from which on a list of texts or numbers is one piece, without looking at each item again."""


class Piece(NamedTuple):
    """Something that lies in one place, and what else it holds."""

    place: Place
    size: int | Callable[[], int]
    """A function where it takes a while to say."""
    parts: Iterable[object] = ()


def pieces(value: object, known: Mapping[Place, int] = MappingProxyType({})) -> dict[Place, int]:
    """Bytes of everything that a value holds, by where it lies.

    Arrays, tensors and tables count with the memory that they look into; files mapped into memory count nothing, as the system
    takes them back when it needs to. Nothing is read for it: a mapping that is no dict counts as empty. Long lists that are `known`
    are not gone through again.

    >>> whole = np.zeros(1000)
    >>> sum(pieces(whole).values()), len(pieces([whole[:10], whole[10:]]).keys() & pieces(whole).keys())
    (8000, 1)
    """
    found: dict[Place, int] = {}
    seen: dict[int, object] = {}
    """Held meanwhile, so that no other object comes to lie where one was."""
    todo: list[object] = [value]
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        place, size, parts = _piece(one)
        bytes_here = size if isinstance(size, int) else known.get(place) or size()
        found[place] = max(bytes_here, found.get(place, 0))
        todo.extend(parts)
    return found


def _piece(one: object) -> Piece:
    if isinstance(one, ATOMS):
        return Piece(id(one), sys.getsizeof(one))
    for kind, measured in _MEASURED.items():
        if isinstance(one, kind):
            return measured(one)
    reads = isinstance(one, Mapping)
    parts = [] if reads or isinstance(one, OPAQUE) or callable(one) else list(getattr(one, "__dict__", {}).values())
    return Piece(id(one), sys.getsizeof(one), parts)


def _array(one: NDArray[Any]) -> Piece:
    """The whole that it looks into."""
    whole: Any = one
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    if isinstance(whole.base, Tensor):
        return _tensor(whole.base)
    if isinstance(whole.base, BUFFERS):
        return Piece(id(whole), 0, [whole.base])
    return Piece(whole.__array_interface__["data"][0], whole.nbytes, one.ravel().tolist() if one.dtype == object else ())


def _tensor(one: Tensor) -> Piece:
    storage = one.untyped_storage()
    return Piece(storage.data_ptr(), storage.nbytes())


def _table(one: "pd.DataFrame | pd.Series[Any]") -> Piece:
    """Numbers lie in arrays that other tables may share; of texts and names of rows only the table itself knows."""
    columns = [one.iloc[:, place] for place in range(one.shape[1])] if isinstance(one, pd.DataFrame) else [one]
    shared = [column.to_numpy() for column in columns if isinstance(column.dtype, np.dtype)]
    own = sum(column.memory_usage(index=False, deep=True) for column in columns if not isinstance(column.dtype, np.dtype))
    return Piece(id(one), int(own + one.index.memory_usage(deep=True)), shared)


def _sequence(one: Any) -> Piece:
    items = list(one)
    if len(items) > LONG and isinstance(items[0], ATOMS):
        return Piece(id(one), lambda: sys.getsizeof(one) + sum(map(sys.getsizeof, items)))
    if len(items) > LONG and isinstance(items[0], RECORDS):
        return Piece(id(one), sys.getsizeof(one) + len(items) * sum(pieces(items[0]).values()))
    return Piece(id(one), sys.getsizeof(one), items)


def _mapping(one: Mapping[Any, Any]) -> Piece:
    items = list(one.items())
    if len(items) > LONG and isinstance(items[0][1], (*RECORDS, *ATOMS)):
        return Piece(id(one), sys.getsizeof(one) + len(items) * sum(pieces(items[0]).values()))
    return Piece(id(one), sys.getsizeof(one), [part for item in items for part in item])


_MEASURED: dict[Any, Callable[[Any], Piece]] = {
    np.ndarray: _array,
    Tensor: _tensor,
    (pd.DataFrame, pd.Series): _table,
    memoryview: lambda one: Piece(id(one), 0, [one.obj]),
    (list, tuple, set, frozenset): _sequence,
    (dict, MappingProxyType): _mapping,
}


class Ledger:
    """What is held under keys, each place counted once.

    >>> whole, ledger = np.zeros(1000), Ledger()
    >>> ledger.enter("a", pieces(whole[:5])); ledger.enter("b", pieces(whole[5:])); ledger.total
    8000
    >>> ledger.strike("a"); ledger.total
    8000
    >>> ledger.strike("b"); ledger.total
    0
    """

    def __init__(self) -> None:
        self.total = 0
        self._of: dict[Hashable, dict[Place, int]] = {}
        self.sizes: dict[Place, int] = {}
        self._holders: dict[Place, int] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._of

    def enter(self, key: Hashable, held: dict[Place, int]) -> None:
        """Say what is held under a key, in place of what was."""
        self.strike(key)
        for place, size in held.items():
            before = self.sizes.get(place, 0)
            self.sizes[place] = max(before, size)
            self._holders[place] = self._holders.get(place, 0) + 1
            self.total += self.sizes[place] - before
        self._of[key] = held

    def of(self, *keys: Hashable) -> int:
        """Bytes that are held under some keys."""
        places = {place for key in keys for place in self._of.get(key, {})}
        return sum(self.sizes[place] for place in places)

    def strike(self, key: Hashable) -> None:
        """Say that a key holds nothing any more."""
        for place in self._of.pop(key, {}):
            self._holders[place] -= 1
            if not self._holders[place]:
                del self._holders[place]
                self.total -= self.sizes.pop(place)
